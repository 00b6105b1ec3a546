"""The plots show what was measured: read back from the axes, not from the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.case import load_case
from h5diag.case.results import Fault, FlashTest, SectorTest
from h5diag.errors import InputError
from h5diag.evidence.samples import data_folder
from h5diag.judge import BoardDiagnosis, Status, diagnose
from h5diag.memory import AddressRange, MemoryImage, Segment
from h5diag.show.diagnosis import correlation_of
from h5diag.show.plots import picture, plot_bits, plot_causes, plot_memory_map, save_png
from h5diag.show.plots.boards import LOOKS as CAUSES, plot_weighing
from h5diag.show.plots.flashtest import plot_fault_bits
from h5diag.show.plots.locate import plot_correlation
from h5diag.show.plots.memory_map import plot_spans
from h5diag.show.plots.picture import TOOLS, WIDEST, live
from h5diag.show.plots.style import new_axes, plain
from h5diag.show.spans import Look, bits_by_sector, condensed_axis, lanes, spans_of


@pytest.fixture(scope="module")
def founding() -> BoardDiagnosis:
    return diagnose(load_case(data_folder() / "founding")).first


@pytest.fixture(scope="module")
def defect() -> BoardDiagnosis:
    return diagnose(load_case(data_folder() / "defect")).first


def texts(ax) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_the_lanes_cover_the_dumps_exactly(founding: BoardDiagnosis) -> None:
    m = founding.measured
    good, suspect = lanes(m)
    assert (good.name, good.good, suspect.name, suspect.good) == ("nucleo", True, "custom board 1", False)
    for lane, dump in ((good, m.good.dump), (suspect, m.suspect.dump)):
        assert sum(s.range.size for s in lane.spans) == dump.size
        assert all(a.range.stop <= b.range.start for a, b in zip(lane.spans, lane.spans[1:], strict=False))
    masked = [s.range for s in suspect.spans if s.look is Look.MASKED]
    assert masked == [AddressRange(0x08000000, 0x0801E000)]
    assert any(s.look is Look.DIFFERS and 0x080C0000 in s.range for s in suspect.spans)


def test_a_lonely_difference_is_marked(defect: BoardDiagnosis) -> None:
    (small,) = lanes(defect.measured)[1].small
    assert small.range.start == 0x08026A40
    assert small.differing_bytes == 2
    assert any("2 bytes differ at 0x08026A40" in t for t in texts(plot_memory_map(defect)))


def test_the_map_names_slots_and_what_became_of_them(founding: BoardDiagnosis) -> None:
    ax = plot_memory_map(founding)
    said = texts(ax)
    assert "secure primary" in said
    assert "secure secondary" in said
    assert "installed" in said
    assert said.count("waits to be installed") == 2
    assert any("not shown" in t for t in said)
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert all(t.startswith("0x") for t in labels)
    assert {"0x08018000", "0x080BE000"} <= set(labels)
    hatches = {p.get_hatch() for p in ax.patches if p.get_hatch()}
    assert len(hatches) >= 4


def test_a_slot_of_24_kb_is_seen_in_2_mb(founding: BoardDiagnosis) -> None:
    ax = plot_memory_map(founding)
    left, right = ax.get_xaxis_transform().transform([(0x080BE000, 0), (0x080C4000, 0)])[:, 0]
    low, high = ax.get_xaxis_transform().transform([(x, 0) for x in ax.get_xlim()])[:, 0]
    assert (right - left) / (high - low) > 0.1


def test_a_place_on_the_map_is_its_address(founding: BoardDiagnosis) -> None:
    ax = plot_memory_map(founding)
    for address in (0x08000000, 0x0801E000, 0x080BE000, 0x08163F80):
        pixel = ax.transData.transform((address, 0.0))
        assert abs(ax.transData.inverted().transform(pixel)[0] - address) < 1
    assert ax.format_coord(0x080BE000, 0.0) == "0x080BE000"


@given(st.lists(st.tuples(st.integers(0, 1 << 21), st.integers(1, 1 << 18)), min_size=1, max_size=12))
def test_the_condensed_axis_goes_both_ways(pieces) -> None:
    shown = [AddressRange(0x08000000 + a, 0x08000000 + a + n) for a, n in pieces]
    axis = condensed_axis(shown, [e for r in shown for e in (r.start, r.stop)])
    places = np.array(axis.places)
    assert (np.diff(places) > 0).all()
    points = np.unique(np.concatenate([[r.start, r.start + r.size // 2, r.stop - 1] for r in shown]))
    assert np.abs(axis.address(axis.place(points)) - points).max() < 0.5
    assert (np.diff(axis.place(points)) > 0).all()


def test_bits_by_sector_add_up(founding: BoardDiagnosis, defect: BoardDiagnosis) -> None:
    for board in (founding, defect):
        rows, c = bits_by_sector(board.measured), board.measured.comparison
        assert sum(r[1] for r in rows) == c.risen
        assert sum(r[2] for r in rows) == c.fallen
        ax = plot_bits(board)
        heights = sorted(round(abs(p.get_height())) for p in ax.patches if p.get_height())
        assert heights == sorted(n for r in rows for n in r[1:] if n)


def test_the_tools_of_a_live_plot_cover_none_of_its_words(founding: BoardDiagnosis) -> None:
    ax = plot_memory_map(founding)
    live(ax)
    figure = ax.get_figure()
    assert figure.bbox.width <= WIDEST
    labels = boxes(ax.get_yticklabels())
    assert min(b.x0 for b in labels) >= TOOLS


def test_causes_of_many_boards(founding: BoardDiagnosis, defect: BoardDiagnosis) -> None:
    ax = plot_causes([founding, defect])
    labels = [t.get_text() for t in ax.get_yticklabels()]
    stand = {
        h.cause.name
        for b in (founding, defect)
        for h in b.verdict.hypotheses
        if h.status in (Status.SUPPORTED, Status.POSSIBLE)
    }
    assert sorted(labels) == sorted(stand)
    rest = len(founding.verdict.hypotheses) - len(stand)
    assert ax.get_xlabel() == f"{rest} more causes are excluded or not tested on every board"
    columns = [t.get_text() for t in plot_causes([founding, founding]).get_xticklabels()]
    assert columns == ["custom board 1 (founding)"] * 2, "two boards of one name are told apart by their cases"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["custom board 1", "board 12"]
    assert texts(ax).count("S") == sum(
        h.status.value == "supported" for b in (founding, defect) for h in b.verdict.hypotheses
    )


def test_a_dump_shows_where_its_reads_disagree() -> None:
    segment = Segment(0x08000000, np.arange(4096, dtype=np.uint64).astype(np.uint8))
    steady, shaky = (MemoryImage((segment,), unstable=u) for u in ((), (AddressRange(0x08000123, 0x08000125),)))
    axes = [plot_spans([("dump", spans_of(m))], unstable=m.unstable) for m in (steady, shaky)]
    places = [[float(x) for c in ax.collections for x, _ in c.get_offsets()] for ax in axes]
    assert places == [[], [0x08000123]]
    legends = [[t.get_text() for t in ax.get_figure().legends[0].get_texts()] for ax in axes]
    assert ["reads disagree" in names for names in legends] == [False, True]
    assert shaky.plot().data != steady.plot().data


def boxes(artists) -> list:
    figure = artists[0].get_figure(root=True)
    figure.draw_without_rendering()
    return [a.get_window_extent() for a in artists]


def test_the_weighing_is_drawn_as_it_was_weighed(founding: BoardDiagnosis, defect: BoardDiagnosis) -> None:
    for board in (founding, defect):
        ax = plot_weighing(board)
        names = [t.get_text() for t in ax.get_yticklabels()]
        bars = [p for p in ax.patches if p.get_height() == pytest.approx(0.66)]
        scores = {h.cause.name: h for h in board.verdict.hypotheses}
        assert [b.get_x() for b in bars] == [scores[n].cause.prior for n in names]
        assert [b.get_x() + b.get_width() for b in bars] == [scores[n].score for n in names]
        assert [b.get_hatch() or "" for b in bars] == [CAUSES[scores[n].status].hatch for n in names]
        assert {h.cause.name for h in board.verdict.of(Status.SUPPORTED)} <= set(names)
        assert not {h.cause.name for h in board.verdict.of(Status.NOT_TESTED)} & set(names)
        excluded = len(board.verdict.of(Status.EXCLUDED))
        assert sum(scores[n].status is Status.EXCLUDED for n in names) == min(4, excluded)
        assert f"{excluded - 4} more causes stand lower" in ax.get_xlabel()
        title = boxes([ax._left_title])[0]
        assert not [t for t in boxes([t for t in ax.texts if "from here" in t.get_text()]) if t.overlaps(title)]


@pytest.mark.parametrize("width", [7.0, 11.5])
@pytest.mark.parametrize("case", ["founding", "founding-no-magic", "defect", "sound"])
def test_no_name_of_the_offset_plot_touches_a_peak_another_name_or_the_title(case: str, width: float) -> None:
    board = diagnose(load_case(data_folder() / case)).first
    result = correlation_of(board.measured)
    ax = plot_correlation(result, ax=new_axes(width, 4.2))
    title = ax.get_title(loc="left")
    assert "…" not in title
    assert max(map(len, title.splitlines())) <= 100
    names = [t for t in ax.texts if ", " in t.get_text()]
    assert names
    frame = ax.get_window_extent()
    places = boxes([*names, ax._left_title])
    assert all(p.y0 >= frame.y1 for p in places), "a name stands among the peaks"
    for n, a in enumerate(places):
        assert not [b for b in places[n + 1 :] if a.overlaps(b)], (names[n].get_text(), title)
    left, right = ax.get_figure().bbox.x0, ax.get_figure().bbox.x1
    assert all(left <= p.x0 and p.x1 <= right for p in places)


def test_no_arrow_of_the_map_runs_through_a_label_and_a_waiting_download_is_pale(founding: BoardDiagnosis) -> None:
    ax = plot_memory_map(founding)
    arrows = [t.arrow_patch for t in ax.texts if getattr(t, "arrow_patch", None) is not None]
    words = [t for t in ax.texts if t.get_text() in ("installed", "empty", "waits to be installed")]
    assert arrows
    labels = boxes(words)
    for arrow in arrows:
        ends = ax.transData.transform([arrow._posA_posB[0], arrow._posA_posB[1]])
        line = [ends[0] + (ends[1] - ends[0]) * k / 50 for k in range(51)]
        assert not [w.get_text() for w, b in zip(words, labels, strict=True) for x, y in line if b.contains(x, y)]
    legend = [t.get_text() for t in ax.get_figure().legends[0].get_texts()]
    assert "differs: a download that waits" in legend
    assert "differs from the good board" not in legend
    loud = plot_memory_map(diagnose(load_case(data_folder() / "founding-no-magic")).first)
    assert "differs from the good board" in [t.get_text() for t in loud.get_figure().legends[0].get_texts()]


def test_pictures_are_the_same_twice_and_hold_no_text(founding: BoardDiagnosis, tmp_path: Path) -> None:
    first, again = (picture(plot_memory_map(founding), name="map", alt="words & <tags>") for _ in range(2))
    assert first == again
    assert b"nucleo" not in first.data
    assert b"<text" not in first.data
    assert "words &amp; &lt;tags&gt;" in first._repr_html_()
    pixels = picture(plot_bits(founding), name="bits", alt="x", pixels=True)
    assert pixels.data.startswith(b"\x89PNG")
    assert b"matplotlib" not in pixels.data
    save_png(plot_bits(founding), tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 10_000


def test_a_strangers_name_is_no_formula() -> None:
    assert plain("cost $5$\nand\x07 more") == r"cost \$5\$ and? more"
    assert len(plain("x" * 500)) == 60


def test_a_board_without_a_dump_is_drawn_too(tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text("[suspect]\nname = 'nothing'\n", encoding="utf-8")
    board = diagnose(load_case(tmp_path)).first
    assert "no dump was given" in texts(plot_memory_map(board))
    assert "there is nothing to compare it with" in texts(plot_bits(board))


def ladder_of(tmp_path: Path, *calls: str):
    from h5diag.judge.preflight import rehearsal
    from h5diag.show.plots.runs import plot_ladder

    script = tmp_path / "close.sh"
    script.write_text("".join(f"STM32_Programmer_CLI -c port=SWD {c}\n" for c in calls), "utf-8")
    return plot_ladder(rehearsal(script, chip="h563"))


def test_the_ladder_shows_what_is_locked_and_where_the_script_ends(tmp_path: Path) -> None:
    ax = ladder_of(tmp_path, "-ob PRODUCT_STATE=0x17", "-ob PRODUCT_STATE=0x72")
    said = texts(ax)
    assert [t for t in said if "\n0x" in t] == [
        f"{n}\n0x{v:02X}"
        for n, v in (
            ("OPEN", 0xED),
            ("PROVISIONING", 0x17),
            ("PROVISIONED", 0x2E),
            ("TZ-CLOSED", 0xC6),
            ("CLOSED", 0x72),
            ("LOCKED", 0x5C),
        )
    ]
    assert {"1: to 0x17", "2: to 0x72", "no way back"} <= set(said)
    assert "ends in CLOSED" in ax.get_title(loc="left")
    assert (said.count("everything"), said.count("nothing")) == (1, 2)


def test_a_refused_step_stays_on_its_rung(tmp_path: Path) -> None:
    said = texts(ladder_of(tmp_path, "-ob PRODUCT_STATE=0x72", "-sdp nothing.obk"))
    assert {"1: refused", "2: refused, ends here"} <= set(said)
    with pytest.raises(InputError, match="no ladder"):
        ladder_of(tmp_path, "-ob RDP=0xCC")


def test_a_bit_that_is_counted_in_the_quad_word_is_drawn_in_its_word():
    result = FlashTest(sectors=(SectorTest(0x08000000, "bad", faults=(Fault("stuck-at-0", 0x08000000, 53),)),))
    axes = plot_fault_bits(result)
    assert [bar.get_x() + bar.get_width() / 2 for bar in axes.patches if bar.get_height()] == [53 - 32]
