"""The answer: what a cause means for the person at the bench, and a next step that can be taken."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import causes, diagnose
from h5diag.judge.checks.placement import check_placement
from h5diag.judge.next_test import known_tests
from h5diag.measure.shapes import Difference
from h5diag.show.answers import text
from h5diag.show.reply import reply
from h5diag.show.report import render_html

from .bench import BASE, Bench, flash, leading, listing, statuses
from .test_causes import CASES, PROGRAM, pages, rebuilt

FORBIDDEN = re.compile(r"PRODUCT_STATE|TZEN|mass.?erase|-e all|regress|debugauth|-ob \w+=|authenticat", re.IGNORECASE)


def ids(board) -> set[str]:
    return {f.id for f in board.findings}


def flat(told: str) -> str:
    return " ".join(told.split())


def test_every_cause_has_a_name_and_says_what_it_means() -> None:
    assert len({c.name for c in causes()}) == len(causes())
    for c in causes():
        assert 0 < len(c.name) <= 32, c.id
        assert len(c.means) > 40, c.id
        assert not FORBIDDEN.search(c.means), c.id


@pytest.mark.parametrize("name", ["no header", "stopped part-way", "no core answers", "another build"])
def test_what_it_means_is_told_everywhere(tmp_path: Path, name: str) -> None:
    CASES[name][1](Bench(tmp_path)).first()
    d = diagnose(load_case(tmp_path))
    means = d.first.verdict.leading[0].means
    assert means in flat(text(d))
    assert means.split(".")[0].split(":")[0] in reply(d)
    assert means.split(":")[0] in unescape(render_html(d))


def test_what_stands_under_next_is_not_told_twice(tmp_path: Path) -> None:
    board = CASES["linked for the secure side"][1](Bench(tmp_path)).first()
    assert board.next_test.id == "none"
    assert flat(text(diagnose(load_case(tmp_path)))).count(board.verdict.leading[0].means) == 1


def test_a_document_holds_what_each_cause_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES["stopped part-way"][1](Bench(tmp_path)).first()
    assert main(["diagnose", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(h["means"] for h in document["hypotheses"])


def test_the_answer_ends_with_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = CASES["stopped part-way"][1](Bench(tmp_path))
    b.first()
    assert main(["diagnose", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    last = out.rstrip().split("\n\n")[-1]
    assert last.startswith("Next (")
    assert "CASE_DIR" not in out
    assert f"h5diag diagnose {tmp_path}" in flat(last)


def test_a_headline_and_its_sections_agree(tmp_path: Path) -> None:
    for name, (_, scene) in CASES.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        board = scene(Bench(folder)).first()
        said = text(board)
        assert board.verdict.leading, name
        assert "speaks for a cause" not in said, name
        assert flat(board.verdict.leading[0].cause.text) in flat(said), name


def test_lists_are_in_words(tmp_path: Path) -> None:
    said = flat(text(CASES["stopped part-way"][1](Bench(tmp_path)).first()))
    excluded = said.partition("Excluded:")[2].partition("Next (")[0]
    assert excluded
    assert not [c.id for c in causes() if "-" in c.id and f"{c.id}," in excluded]


@pytest.mark.parametrize("name", ["no core answers", "no core answers, other words"])
def test_nothing_is_asked_of_a_board_that_does_not_answer(tmp_path: Path, name: str) -> None:
    board = CASES[name][1](Bench(tmp_path)).first()
    assert not [t.id for t in (board.next_test, *board.more_tests) if t.answers]
    assert {t.id for t in known_tests() if t.answers} >= {"sample-the-core", "read-options", "flash-test"}


def test_a_sound_board_does_not_end_with_a_multimeter(tmp_path: Path) -> None:
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM).text("options", listing()).first()
    assert board.verdict.word.value == "sound"
    assert board.next_test.id != "meter"
    assert "multimeter" not in text(board)


def test_zeros_are_no_mask_where_trustzone_is_off(tmp_path: Path) -> None:
    zeros = flash((0, PROGRAM))
    zeros[0x2000:0x6000] = 0
    b = Bench(tmp_path).dump(flash((0, PROGRAM)), good=True).dump(zeros)
    board = b.text("options", listing()).first()
    assert statuses(board)["masked-read"] == "excluded"
    assert not ids(board) & {"views-not-comparable", "zeros-on-sector-edges", "zeros-look-like-a-mask"}
    assert "zeros-not-masked" in ids(board)


def test_zeros_may_be_a_mask_where_trustzone_is_not_known(tmp_path: Path) -> None:
    zeros = flash((0, PROGRAM))
    zeros[0x2000:0x6000] = 0
    board = Bench(tmp_path).dump(flash((0, PROGRAM)), good=True).dump(zeros).first()
    assert statuses(board)["masked-read"] == "possible"


def test_a_row_of_a_listing_refuses_nothing(tmp_path: Path) -> None:
    rows = "UPLOADING OPTION BYTES DATA ...\n\n     RDP          : 0xBB (Level 1, read protection of memories)\n"
    log = "Device ID   : 0x482\nFlash size  : 2 MBytes (default)\n" + rows + "Error: Data read failed\n"
    board = Bench(tmp_path).text("log", log).first()
    assert not any(": 0xBB (" in f.claim for f in board.findings if f.id in ("port-refused", "refused-by-protection"))
    assert statuses(board)["debug-locked"] == "supported"


def with_flash_test(b: Bench, sectors: int, *, wrong_at: int) -> Bench:
    """Add a thorough flash test without a fault over the first sectors, and a byte that differs."""
    record = json.loads((data_folder() / "defect" / "flashtest.json").read_text("utf-8"))
    rows = [
        {"start": BASE + n * 0x2000, "verdict": "good", "erase_s": 0.002, "program_s": 0.05, "faults": []}
        for n in range(sectors)
    ]
    record |= {
        "range": [BASE, BASE + sectors * 0x2000],
        "sectors": rows,
        "faults": 0,
        "level": "standard",
        "restored": True,
    }
    record["conditions"]["rounds"] = 2
    cells = flash((0, PROGRAM))
    cells[wrong_at] ^= 0x3C
    return b.dump(flash((0, PROGRAM)), good=True).dump(cells).text("flashtest", json.dumps(record))


@pytest.mark.parametrize(
    ("sectors", "wrong_at", "status", "id"),
    [
        (4, 0x4100, "excluded", "flash-test-clean-there"),
        (2, 0x4100, "possible", "flash-test-clean-in-part"),
        (256, 0x4100, "excluded", "flash-test-clean"),
    ],
)
def test_a_flash_test_clears_the_sectors_that_it_tested(
    tmp_path: Path, sectors: int, wrong_at: int, status: str, id: str
) -> None:
    board = with_flash_test(Bench(tmp_path), sectors, wrong_at=wrong_at).first()
    assert id in ids(board)
    assert statuses(board)["flash-defect"] == status
    assert ("tested sectors only" in flat(text(board))) is (id == "flash-test-clean-there")


def holed(*places: int) -> np.ndarray:
    cells = flash((0, PROGRAM))
    for at in places:
        cells[at : at + 16] = 0xFF
    return cells


def test_one_erased_flash_word_is_an_answer_without_a_good_board(tmp_path: Path) -> None:
    board = Bench(tmp_path).dump(holed(0x3210)).text("log", "Device ID   : 0x484\nFlash size  : 2 MBytes\n").first()
    assert "one-word-erased" in ids(board)
    assert "0x08003210" in board.verdict.open_points[0]
    assert board.next_test.id == "file-bases"


@pytest.mark.parametrize("places", [(), (0x3210, 0x5000), (0x3210, 0x3220)])
def test_several_erased_words_are_a_program_s_own(tmp_path: Path, places: tuple[int, ...]) -> None:
    board = Bench(tmp_path).dump(holed(*places)).text("log", "Device ID   : 0x484\nFlash size  : 2 MBytes\n").first()
    assert "one-word-erased" not in ids(board)


def test_pieces_that_stand_off_by_many_distances_are_another_build(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    body = rng.integers(1, 255, 0x9000, dtype=np.uint8)
    pieces = [body[at : at + 0x800] for at in range(0x1000, 0x9000, 0x800)]
    order = [pieces[i] for i in rng.permutation(len(pieces))]
    between = (rng.integers(1, 255, 12 * (n + 1), dtype=np.uint8) for n in range(len(order)))
    parts = [
        rng.integers(1, 255, 0x1000, dtype=np.uint8),
        *(x for p, gap in zip(order, between, strict=True) for x in (p, gap)),
    ]
    good = flash((0, body))
    board = Bench(tmp_path).dump(good, good=True).dump(flash((0, np.concatenate(parts)))).first()
    assert leading(board) == "other-build"
    # Where no literal was adjusted that would tell it, the distances alone do.
    found = check_placement(replace(board.measured, difference=Difference()))
    assert [f.id for f in found] == ["pieces-drift"]


def test_a_program_that_was_put_elsewhere_is_no_other_build(tmp_path: Path) -> None:
    board = Bench(tmp_path).dump(flash((0, PROGRAM)), good=True).dump(flash((0x5000, PROGRAM))).first()
    assert leading(board) == "wrong-placement"
    found = check_placement(replace(board.measured, difference=Difference()))
    assert [f.id for f in found] == ["content-misplaced"]


def test_equal_boards_are_sound_whatever_reads_zero_on_both(tmp_path: Path) -> None:
    both = flash((0, PROGRAM))
    both[0x10000:0x14000] = 0
    board = Bench(tmp_path).dump(both, good=True).dump(both).first()
    assert board.verdict.word.value == "sound"


def test_two_reads_that_differ_in_a_page_of_data_are_no_corrupted_dump(tmp_path: Path) -> None:
    one, two = (flash((0, PROGRAM), (0x1F0000, pages(n)[:0x180])) for n in (3, 5))
    board = Bench(tmp_path).dump(one, two).image("app.hex", PROGRAM).first()
    assert "reads-differ-in-pages" in ids(board)
    assert statuses(board)["dump-corrupted"] != "supported"
    two = flash((0, PROGRAM))
    two[0x2000:0x2400] = pages(5)[:0x400]
    other = tmp_path / "other"
    other.mkdir()
    assert "reads-differ-in-pages" not in ids(Bench(other).dump(flash((0, PROGRAM)), two).first())


def test_a_program_that_goes_on_at_odd_distances_is_another_build(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    body = rng.integers(1, 255, 0x9000, dtype=np.uint8)
    extra = rng.integers(1, 255, 0x200, dtype=np.uint8)
    newer = np.concatenate((body[:0x3000], extra[:0x10C], body[0x3000:0x6000], extra[0x110:0x11F], body[0x6000:]))
    board = Bench(tmp_path).dump(flash((0, body)), good=True).dump(flash((0, newer))).first()
    found = check_placement(replace(board.measured, difference=Difference()))
    assert [f.id for f in found] == ["pieces-inserted"]
    assert leading(board) == "other-build"


def test_tables_of_zeros_in_another_build_are_no_holes(tmp_path: Path) -> None:
    old, new = PROGRAM.copy(), rebuilt(0x180)
    old[0x4000:0x4100], new[0x4180:0x4280] = 0, 0
    board = Bench(tmp_path).dump(flash((0, old)), good=True).dump(flash((0, new))).first()
    assert leading(board) == "other-build"
    assert "zero-chunks" not in ids(board)
    assert not any("zeros" in point for point in board.verdict.open_points)
    assert board.verdict.hypothesis("masked-read").score < 0
