"""One board and the file that was flashed: every picture holds the dump against the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h5diag.app.panels import investigation
from h5diag.app.panels.evidence import CaseSource, OwnBoard, Upload, hints_html
from h5diag.app.panels.results import HexView
from h5diag.judge import BoardDiagnosis, Diagnosis, VerdictWord, diagnose
from h5diag.memory import AddressRange, MemoryImage, Segment
from h5diag.show.diagnosis import BADGES, badge_of, evidence_section, figures, map_words, options_table
from h5diag.show.pages import HexPages, pages_of
from h5diag.show.plots import plot_bits, plot_memory_map
from h5diag.show.report import render_html
from h5diag.show.sheet import Block, Section
from h5diag.show.spans import Look, bits_by_sector, lanes
from h5diag.text import size_text

BASE, SIZE = 0x08000000, 39_160
BAD = AddressRange(BASE + 0x4000, BASE + 0x4800)
LOG = """STM32CubeProgrammer v2.18.0
Device ID   : 0x469
Device name : STM32G47x/G48x
Flash size  : 512 KBytes
"""


def program() -> bytes:
    """Return a program with a vector table; every eighth byte of one page lacks a bit that a stuck column will set."""
    body = np.random.default_rng(5).integers(0, 256, SIZE, dtype=np.uint8)
    vectors = np.array([0x20020000, *([BASE + 0x201] * 15)], "<u4")
    body[:64] = vectors.view(np.uint8)
    body[0x4005:0x4800:8] &= 0xEF
    body[-1] = 0x5A
    return body.tobytes()


def dump() -> bytes:
    out = np.frombuffer(program().ljust(512 << 10, b"\xff"), np.uint8).copy()
    out[0x4005:0x4800:8] |= 0x10
    return out.tobytes()


def dropped(*, name: str = "secret-firmware.bin", flashed: bool = True) -> CaseSource:
    read = (Upload("read_a.bin", dump()), Upload("read_b.bin", dump()), Upload("log.txt", LOG.encode()))
    files = (Upload(name, program()),) if flashed else ()
    return CaseSource(suspect=OwnBoard(read), flashed=OwnBoard(files))


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return diagnose(dropped().load().case)


@pytest.fixture(scope="module")
def board(diagnosis: Diagnosis) -> BoardDiagnosis:
    return diagnosis.first


@pytest.fixture(scope="module")
def alone() -> BoardDiagnosis:
    return diagnose(dropped(flashed=False).load().case).first


def test_the_map_marks_where_the_dump_is_not_the_file(board: BoardDiagnosis) -> None:
    file, suspect = lanes(board.measured)
    assert (file.name, file.is_file, suspect.is_file) == ("secret-firmware.bin", True, False)
    assert [s.range for s in suspect.spans if s.look is Look.DIFFERS] == [BAD]
    ax = plot_memory_map(board)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["secret-firmware.bin\nwhat should be there", "suspect"]
    assert "differs from secret-firmware.bin" in [t.get_text() for t in ax.get_figure().legends[0].get_texts()]
    # Where the file ends, nothing was left unread.
    assert not [t.get_text() for t in ax.texts if "not read" in t.get_text()]


def test_a_size_on_the_map_is_that_of_the_content(board: BoardDiagnosis) -> None:
    words = map_words(board)
    assert f"secret-firmware.bin, what should be there: {size_text(SIZE)} content" in words
    assert f"{size_text(SIZE - BAD.size)} content" in words
    ends = [s.range.stop for s in lanes(board.measured)[1].spans]
    assert BASE + SIZE in ends


def test_the_bits_are_counted_against_the_file(board: BoardDiagnosis, alone: BoardDiagnosis) -> None:
    assert bits_by_sector(board.measured) == ((BAD, 256, 0),)
    legend = plot_bits(board).get_figure().legends[0].get_texts()
    assert any("0 in secret-firmware.bin, 1 here" in t.get_text() for t in legend)
    assert "bits" in [f.name for f in figures(board)]
    assert bits_by_sector(alone.measured) == ()


def test_the_bytes_stand_beside_the_file_or_alone(board: BoardDiagnosis, alone: BoardDiagnosis) -> None:
    pages = pages_of(board.measured)
    assert pages.names == ("secret-firmware.bin", "suspect")
    assert pages.differences.tolist() == [[BASE + 0x4005, BASE + 0x47FE]]
    view = HexView(pages)
    assert view.address == BASE + 0x4005
    view.next_difference()
    assert view.message == "this is the only block of differences, 0x08004005 to 0x080047FD"
    lone = HexView(pages_of(alone.measured))
    assert (lone.names, lone.both) == (["suspect", ""], False)
    lone.next_difference()
    assert lone.message == "there is nothing to compare it with"


def test_the_next_difference_says_which_of_how_many() -> None:
    def image(data: bytes) -> MemoryImage:
        return MemoryImage((Segment(0x100, np.frombuffer(data, np.uint8)),))

    view = HexView(HexPages(image(bytes(256)), image(b"\0" * 64 + b"xx" + b"\0" * 126 + b"yyy" + bytes(61))))
    assert view.address == 0x140
    view.next_difference()
    assert view.message == "block 2 of 2: 3 bytes from 0x000001C0"
    view.address = 0x1D0
    view.next_difference()
    assert view.message == "no difference after here: the last block of differences, 0x000001C0 to 0x000001C2"
    view.next_difference(backward=True)
    view.next_difference(backward=True)
    assert view.message == "block 1 of 2: 2 bytes from 0x00000140"
    view.next_difference(backward=True)
    assert view.message.startswith("this is the first block of differences")
    same = HexView(HexPages(image(bytes(64)), image(bytes(64))))
    same.next_difference()
    assert same.message == "no difference: both hold the same wherever both hold something"


def test_what_was_flashed_has_a_place_of_its_own(board: BoardDiagnosis) -> None:
    loaded = dropped(name="read.bin").load()  # a name that says "read from a board"
    assert [i.name for i in loaded.case.images] == ["read.bin"]
    assert [d.name for d in loaded.case.suspects[0].dumps] == ["read_a.bin", "read_b.bin"]
    said = hints_html(loaded)
    assert said.count("do not say where they were read: 0x08000000") == 1
    assert "0x0C000000" not in said
    assert "the field under the drop zone" in said
    # Of a board that is not there nothing but its dump is asked for, and that last where the file is known.
    missing = [m.what for m in loaded.missing]
    assert not [m for m in missing if "of the good board" in m or "the good board was" in m]
    assert next(m.rank for m in loaded.missing if m.what == "a dump of a board that works") == 9


def test_weighing_bars_that_all_point_down_are_no_picture(board: BoardDiagnosis, alone: BoardDiagnosis) -> None:
    assert "weighing" in [f.name for f in figures(board)]
    raised = [h for h in alone.verdict.hypotheses if h.score > h.cause.prior and h.status.value != "excluded"]
    assert not raised
    assert "weighing" not in [f.name for f in figures(alone)]


def test_a_result_without_a_verdict_on_the_chip_is_called_what_it_is(alone: BoardDiagnosis) -> None:
    v = alone.verdict
    assert v.word is VerdictWord.UNDECIDED
    assert badge_of(v) == BADGES[VerdictWord.UNDECIDED]
    first = v.hypotheses[0]
    known = replace(first, status=type(first.status).SUPPORTED, score=20)
    assert badge_of(replace(v, hypotheses=(known, *v.hypotheses[1:])))[1] == "no chip fault shown; likely cause below"


def test_a_redacted_write_up_cleans_the_name_of_the_file_too(tmp_path: Path) -> None:
    name = "jane@example.com.bin"
    page = render_html(diagnose(dropped(name=name).load().case), redact=True)
    assert "jane@example" not in page
    assert "Is the chip of this board faulty" in page


def test_no_column_for_a_board_without_a_listing_and_each_file_once(tmp_path: Path) -> None:
    listing = (
        "STM32CubeProgrammer v2.18.0\nDevice ID   : 0x484\nOPTION BYTES BANK: 0\n   Product state:\n"
        "     PRODUCT_STATE: 0xED (Open) \n   User Configuration:\n     SWAP_BANK    : 0x0 \n"
    )
    files = (Upload("read_a.bin", dump()), Upload("ob.txt", listing.encode()))
    d = diagnose(CaseSource(suspect=OwnBoard(files)).load().case)
    table = options_table(d.first.measured)
    assert table.heads == ("option", "suspect", "meaning")
    assert table.rows
    assert all(len(row) == 3 for row in table.rows)
    assert table.marked == frozenset()
    told = options_table(d.first.measured, "SWAP_BANK is 0.")
    assert (told.rows[0][0], told.marked) == ("SWAP_BANK", frozenset({0}))
    (evidence,) = evidence_section(d).parts
    assert [f.name for f in d.case.files].count("ob.txt") == 2, "it serves as listing and as log"
    assert sorted(row[2] for row in evidence.rows) == ["case.toml", "ob.txt", "read_a.bin"]


def test_what_is_to_be_typed_names_the_folder_and_what_was_dropped_is_dropped_again(alone: BoardDiagnosis) -> None:
    said = Section("Next", ("Save it and add it.", "Type:", Block("    h5diag case CASE_DIR ob.txt"), "Then ask again"
                            " (h5diag diagnose CASE_DIR).", "add what it gave (h5diag case CASE_DIR FILE)"))  # fmt: skip
    assert investigation._dropping(said).parts == (
        "Save it and add it.",
        "Then ask again (press Run the diagnosis).",
        "add what it gave (drop the file above)",
    )
    typed = replace(said, parts=("Type:", Block("    h5diag dump --probe auto")))
    assert investigation._dropping(typed) == typed
    whole = Diagnosis(alone.measured.case, (alone,))
    open_, closed = (render_html(whole, redact=r, typed="my case") for r in (False, True))
    assert "h5diag diagnose CASE_DIR" in render_html(whole)
    assert "CASE_DIR" not in open_
    assert "&#x27;my case&#x27;" in open_
    assert "my case" not in closed


def test_a_failed_write_is_told_wherever_its_log_was_dropped() -> None:
    log = LOG + (
        "Opening and parsing file: fw.bin\n  File          : fw.bin\n  Size          : 38.24 KB\n"
        "  Address       : 0x08000000\n\nFile download complete\nVerifying ...\n"
        "Error: Data mismatch found at address 0x08004005 (byte = 0x56 instead of 0x46)\n"
        "Error: Download verification failed\n"
    )
    read, text = Upload("read_a.bin", dump()), Upload("prog.log", log.encode())
    fw = OwnBoard((Upload("fw.bin", program()),))
    beside = CaseSource(suspect=OwnBoard((read, text)), flashed=fw)
    apart = CaseSource(suspect=OwnBoard((read,)), flashed=OwnBoard((*fw.files, text)))
    for source in (beside, apart):
        assert "write-failed-in-log" in [f.id for f in diagnose(source.load().case).first.findings]


def test_an_external_memory_is_drawn_though_nothing_of_the_flash_was_read() -> None:
    data = program()
    bad = bytearray(data)
    bad[0x4000:0x6000] = bytes(x ^ 0x55 for x in bad[0x4000:0x6000])
    files = OwnBoard((Upload("assets.bin", data),), base="0x90000000")
    read = OwnBoard((Upload("readback_0x90000000.bin", bytes(bad)),))
    m = diagnose(CaseSource(suspect=read, flashed=files).load().case).first.measured
    file, suspect = lanes(m)
    assert (file.view, suspect.view) == (0x90000000, 0x90000000)
    assert [s.range for s in suspect.spans if s.look is Look.DIFFERS] == [AddressRange(0x90004000, 0x90006000)]
    ax = plot_memory_map(m)
    assert "no dump was given" not in [t.get_text() for t in ax.texts]
    assert ax.get_xlabel().startswith("address; ")
