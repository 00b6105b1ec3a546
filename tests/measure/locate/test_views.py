"""The correlation and the per-bit view, their plots, the JSON document and the text."""

import json

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.layout import load_layout
from h5diag.measure.locate import LineState, Placement, correlate, locate
from h5diag.measure.locate.meaning import line_faults
from h5diag.memory import MemoryImage
from h5diag.show.locate import headline
from h5diag.show.plots.locate import plot_correlation, plot_dots

from .conftest import BASE, board, code, image_of

LAYOUT = load_layout("oemirot-2m-overwrite")


def pair():
    good = np.full(1 << 21, 0xFF, np.uint8)
    good[0x1E000:0x3E000] = code(0x20000, 30)
    suspect = np.full(1 << 21, 0xFF, np.uint8)
    suspect[0xC4000:0xE4000] = good[0x1E000:0x3E000]
    suspect[0x10000:0x14000] = code(0x4000, 31)
    return image_of(good), image_of(suspect)


def test_correlation_peaks_at_the_displacement():
    good, suspect = pair()
    c = correlate(good, suspect, locate(good, suspect, layout=LAYOUT), layout=LAYOUT)
    best = int(c.displacements[c.fraction.argmax()])
    assert best == c.winner == 0xA6000
    assert c.fraction.max() == pytest.approx(0x20000 / 0x24000, abs=0.02)
    assert "non-secure secondary" in c.winner_text
    assert c.span == (-(1 << 21) + 1, (1 << 21) - 1)
    assert {0, 0xA6000, -0xA6000, 1 << 20}.issubset({m.displacement for m in c.marks})
    assert np.sort(c.fraction)[-2] < 0.01


def test_correlation_of_nothing():
    c = correlate(MemoryImage(), image_of(code(4096, 1)), Placement())
    assert not c.found
    assert c.displacements.size == 0
    assert plot_correlation(c).get_title(loc="left")


def test_correlation_plot_shows_winner_and_meaning():
    good, suspect = pair()
    ax = plot_correlation(correlate(good, suspect, locate(good, suspect, layout=LAYOUT), layout=LAYOUT))
    assert "0xA6000" in ax.get_title(loc="left")
    assert "secondary" in ax.get_title(loc="left")
    ax.figure.canvas.draw()
    assert any(t.get_text() == "0x100000" for t in ax.get_xticklabels())


def test_a_piece_across_a_slot_border_is_cut_there():
    border = next(s.range.start for s in LAYOUT.slots if s.name == "non-secure secondary") - BASE
    source = next(s.range.start for s in LAYOUT.slots if s.name == "non-secure primary") - BASE
    good, suspect = (np.full(1 << 21, 0xFF, np.uint8) for _ in range(2))
    good[source - 16 : source + 32] = suspect[border - 16 : border + 32] = code(48, 77)
    good[0x1000:0x9000] = suspect[0x1000:0x9000] = code(0x8000, 78)
    suspect[border + 20] ^= 0x10
    a, b = image_of(good), image_of(suspect)
    (whole,) = [r for r in locate(a, b).regions if r.displacement]
    p = locate(a, b, layout=LAYOUT)
    low, high = [r for r in p.regions if r.displacement]
    assert (low.dump_start, low.size, high.dump_start, high.size) == (BASE + border - 16, 16, BASE + border, 32)
    assert "'secure secondary'" in low.explanation.text
    assert "'non-secure secondary'" in high.explanation.text
    assert (low.bit_errors, high.bit_errors) == (0, 1)
    assert low.equal_bytes + high.equal_bytes == whole.equal_bytes == 47
    assert not low.weak
    assert not high.weak
    starts = sorted({x for s in LAYOUT.slots for x in (s.range.start, s.range.stop)})
    for r in p.regions:
        assert not any(r.dump_start < x < r.dump_range.stop for x in starts)
    d = p.to_dict()
    total = {}
    for r in d["regions"]:
        total[r["displacement"]] = total.get(r["displacement"], 0) + r["equal_bytes"]
    assert {e["displacement"]: e["bytes"] for e in d["displacements"]} == total


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda w: w | (1 << 19), LineState.STUCK_AT_1),
        (lambda w: w & ~np.uint32(1 << 19), LineState.STUCK_AT_0),
        (lambda w: w ^ (1 << 19), LineState.INVERTED),
    ],
)
def test_bit_errors_of_one_line_name_it(change, state):
    data = code(1 << 16, 32)
    bad = change(data.view("<u4")).astype("<u4").view(np.uint8)
    (fault,) = line_faults(data, bad, BASE)
    assert (fault.line, fault.width, fault.state) == (19, 32, state)


def test_bit_errors_of_sound_and_of_noisy_content_blame_no_line():
    data = code(1 << 15, 33)
    assert line_faults(data, data, BASE) == ()
    noisy = data ^ np.packbits(np.random.default_rng(1).random((data.size, 8)) < 0.02, axis=1).ravel()
    assert line_faults(data, noisy, BASE) == ()


def test_dot_plot_draws_each_kind_once():
    data = board(34)
    dump = data.copy()
    dump[0x20400:0x24400] = data[0x8000:0xC000]
    p = locate(image_of(data), image_of(dump))
    ax = plot_dots(p)
    assert len(ax.lines) == len(p.regions)
    assert plot_dots(Placement()).texts


def test_of_many_pieces_the_largest_are_judged_and_drawn_and_that_is_said(monkeypatch):
    data = code(1 << 16, 35)
    dump = code(1 << 16, 36)
    for at in range(0, data.size, 1024):
        size = 128 if at < 1 << 15 else 256
        dump[at : at + size] = data[at : at + size]
    p = locate(image_of(data), image_of(dump))
    assert len(p.regions) == 64
    assert not p.assumptions
    monkeypatch.setattr("h5diag.show.plots.locate.MOST_DRAWN", 10)
    ax = plot_dots(p)
    assert len(ax.lines) == 10
    assert "the 10 largest of 64 pieces" in ax.get_xlabel()
    monkeypatch.setattr("h5diag.measure.locate.regions.MOST_PIECES", 32)
    few = locate(image_of(data), image_of(dump))
    assert few.regions == tuple(r for r in p.regions if r.size >= 256)
    assert few.assumptions == ("of 64 pieces the 32 largest were judged",)


def test_document_is_plain_json_and_text_leads_with_the_answer():
    good, suspect = pair()
    p = locate(good, suspect, layout=LAYOUT)
    d = json.loads(json.dumps(p.to_dict(), allow_nan=False))
    (region,) = d["regions"]
    assert region["displacement"] == 0xA6000
    assert region["transform"] == "as-is"
    assert region["explanation"]["kind"] == "slot"
    assert "weak" not in region
    assert d["displacements"] == [{"displacement": 0xA6000, "bytes": region["equal_bytes"]}]
    assert " ".join(str(p).split()).startswith(headline(p))
    assert "+0xA6000" in headline(p)
    assert headline(Placement()).startswith("No piece")


def test_command_line(tmp_path, capsys):
    good, suspect = pair()
    for name, image in (("good.bin", good), ("suspect.bin", suspect)):
        (tmp_path / name).write_bytes(image.segments[0].data.tobytes())
    files = [str(tmp_path / "good.bin"), str(tmp_path / "suspect.bin")]
    assert (
        main(
            [
                "locate",
                *files,
                "--layout",
                "oemirot-2m-overwrite",
                "--json",
                "--base",
                "0x0C000000",
                "--reference-base",
                "0x0C00_0000",
            ]
        )
        == 0
    )
    d = json.loads(capsys.readouterr().out)
    assert d["regions"][0]["dump_start"] == 0x0C0C4000
    assert d["regions"][0]["displacement"] == 0xA6000
    assert main(["locate", *files]) == 0
    assert "+0xA6000" in capsys.readouterr().out.splitlines()[0]
    assert main(["locate", files[0], str(tmp_path / "none.bin")]) == 2
    assert "none.bin" in capsys.readouterr().err
    assert main(["locate", *files, "--layout", "nonsense"]) == 2
    assert "Traceback" not in capsys.readouterr().err
