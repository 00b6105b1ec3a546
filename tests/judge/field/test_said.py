"""Kinds of evidence in which the right fact is visible and has to be said: texts of offsets, byte order, reverts ..."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.evidence.files import Sidecar, read_image, sidecar_path, write_image, write_sidecar
from h5diag.judge import BoardDiagnosis, Diagnosis, diagnose
from h5diag.memory import MemoryImage, Segment

from .bench import BASE, Bench, Bytes, flash, leading, listing, program, programmed, statuses
from .test_causes import rebuilt

PROGRAM = program(31)


def offsets(data: Bytes, start: int = 0) -> str:
    """Return what `hexdump -C` prints of a file."""
    rows = (data[i : i + 16].tobytes() for i in range(0, data.size, 16))
    return "".join(f"{start + 16 * i:08x}  {r[:8].hex(' ')}  {r[8:].hex(' ')}\n" for i, r in enumerate(rows))


def said(board: BoardDiagnosis, id: str) -> str:
    """Return the claim of a finding, empty when it was not made."""
    return next((f.claim for f in board.findings if f.id == id), "")


def dumped(b: Bench, text: str) -> Bench:
    (b.folder / "view.txt").write_text(text, "utf-8")
    b.suspect.append('dumps = ["view.txt"]')
    return b


# ---------------------------------------------------------------- texts whose addresses count from 0
def test_offsets_are_no_addresses(tmp_path: Path) -> None:
    file = tmp_path / "view.txt"
    for start in (0, 0x1000):
        file.write_text(offsets(PROGRAM, start), "utf-8")
        image = read_image(file)
        assert (image.span.start, image.origin.base_assumed) == (BASE + start, True)
        assert any("was assumed" in r for r in image.origin.remarks)
    file.write_text(offsets(PROGRAM, BASE + 0x2000), "utf-8")
    image = read_image(file)
    assert (image.span.start, image.origin.base_assumed) == (BASE + 0x2000, False)


def test_a_sidecar_a_name_or_the_caller_gives_the_address_of_offsets(tmp_path: Path) -> None:
    file = tmp_path / "view.txt"
    file.write_text(offsets(PROGRAM), "utf-8")
    given = read_image(file, base=0x0C000000)
    assert (given.span.start, given.origin.base_assumed) == (0x0C000000, False)
    write_sidecar(file, Sidecar(base=0x08040000))
    assert sidecar_path(file).exists()
    beside = read_image(file)
    assert (beside.span.start, beside.origin.base_assumed) == (0x08040000, False)
    named = tmp_path / "view-0x08060000.txt"
    named.write_text(offsets(PROGRAM), "utf-8")
    assert (read_image(named).span.start, read_image(named).origin.base_assumed) == (0x08060000, False)


def test_a_program_in_a_text_of_offsets_stands_where_it_was_linked(tmp_path: Path) -> None:
    b = dumped(Bench(tmp_path), offsets(flash((0, PROGRAM), size=0x10000))).image("fw.bin", PROGRAM, None)
    board = b.first()
    assert leading(board) == ""
    assert statuses(board)["linked-elsewhere"] != "supported"
    assert "given by nobody; the vector table there fits it" in board.verdict.scope


def test_a_window_saved_from_the_middle_supports_no_other_link_address(tmp_path: Path) -> None:
    high = program(32, base=BASE + 0x20000)
    b = dumped(Bench(tmp_path), offsets(flash((0, high), size=0x10000))).image("app.bin", high, None)
    board = b.first()
    assert leading(board) == ""
    assert statuses(board)["linked-elsewhere"] not in ("supported", "possible")
    assert "most likely 0x08020000" in said(board, "dump-base-unknown")
    assert "an assumption, which supports nothing" in board.verdict.scope
    # A log that wrote it there leaves no other reading.
    board = b.log(programmed("app.bin", BASE, high.size / 1024)).first()
    assert leading(board) == "linked-elsewhere"


def test_the_round_address_in_a_range_is_named(tmp_path: Path) -> None:
    high = program(33, base=BASE + 0x20000)
    board = Bench(tmp_path).dump(flash((0x2000, high))).image("app.bin", high, None).first()
    claim = said(board, "vectors-point-elsewhere")
    assert "0x08002000" in claim
    assert "most likely 0x08020000" in claim
    assert leading(board) == "linked-elsewhere"


# ---------------------------------------------------------------- bytes in another order
@pytest.mark.parametrize(("word", "kept"), [(2, 1), (4, 1), (4, 2), (8, 1)])
@pytest.mark.parametrize("base", [BASE, 0x90000000])
def test_another_byte_order_is_the_leading_fact(tmp_path: Path, word: int, kept: int, base: int) -> None:
    data = np.random.default_rng(34).integers(0, 256, 0x8000, np.uint8) if base != BASE else PROGRAM
    swapped = data.reshape(-1, word // kept, kept)[:, ::-1].reshape(-1)
    board = Bench(tmp_path).dump(swapped, base=base).image("file.hex", data, base).first()
    assert leading(board) == ("dump-corrupted" if base == BASE else "external-read-mode")
    claim = said(board, "dump-byte-order" if base == BASE else "external-byte-order")
    assert f"{8 * word}-bit word" in claim
    assert ("halves" in claim) == (kept == 2)
    assert statuses(board)["wrong-placement"] != "supported"


def test_a_file_of_two_equal_bytes_a_word_is_in_no_other_order(tmp_path: Path) -> None:
    other = program(35)
    board = Bench(tmp_path).dump(flash((0, other))).image("file.hex", PROGRAM).first()
    assert not said(board, "dump-byte-order")


# ---------------------------------------------------------------- what a log says
def test_a_reverted_update_is_said(tmp_path: Path) -> None:
    lines = "*** Booting MCUboot v2.1.0 ***\nI: Image index: 0, Swap type: {}\nI: Jumping to the first image slot\n"
    claims = {
        t: said(Bench(tmp_path).text("uart", lines.format(t)).first(), "boot-log-reverts") for t in ("revert", "test")
    }
    assert "not confirmed" in claims["revert"]
    assert not claims["test"]
    board = Bench(tmp_path).text("uart", lines.format("revert")).first()
    assert "never confirmed" in board.verdict.summary.partition("What happened: ")[2]
    assert board.next_test.id == "trial-log"
    assert board.verdict.events[0].means


def test_the_slot_that_a_boot_log_starts_is_named(tmp_path: Path) -> None:
    header = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 0x400, 0, 0x2000, 0, 1, 4, 0, 0, 0)
    image = np.frombuffer(header + b"\xff" * (0x400 - len(header)) + program(41, 0x2000).tobytes(), np.uint8)
    dump = flash((0x10000, image), (0x80000, image), size=0x100000)
    log = "*** Booting MCUboot v2.1.0 ***\n{}I: Jumping to the first image slot\n"
    plain = Bench(tmp_path).dump(dump).text("uart", log.format("")).first()
    assert "which slot begins at 0x08010000" in plain.verdict.open_points
    offset = log.format("I: Bootloader chainload address offset: 0x10000\n")
    board = Bench(tmp_path).dump(dump).text("uart", offset).first()
    assert not [p for p in board.verdict.open_points if "which slot" in p]
    told = [f.claim for f in board.findings if f.id == "header-stands"]
    assert "is started" in told[0]
    assert "download" in told[1]


def test_a_wireless_service_without_a_version_is_said(tmp_path: Path) -> None:
    head = "STM32CubeProgrammer v2.18.0\nDevice ID   : 0x495\nDevice name : STM32WB5x\n"
    for version, there in (("v0.0.0.0", True), ("v1.2.0.0", False)):
        board = Bench(tmp_path).text("log", f"{head}FUS Version : {version}\nSTACK Version : v1.13.0.0\n").first()
        claim = said(board, "wireless-service-silent")
        assert ("v0.0.0.0" in claim) is there
        assert board.verdict.word.value == "undecided"


# ---------------------------------------------------------------- a bit that stays programmed
def test_a_bit_that_fails_again_after_an_erase_makes_suspect_and_no_more(tmp_path: Path) -> None:
    at = next(i for i in range(0x5A30, 0x5A40) if PROGRAM[i] & 4)
    stuck = PROGRAM.copy()
    stuck[at] &= 0xFB
    run = programmed("fw.hex", BASE, 36, ok=False).replace("0x08000400", f"0x{BASE + at:08X}")
    once = Bench(tmp_path).dump(flash((0, stuck)), flash((0, stuck))).image("fw.hex", PROGRAM).log(run).first()
    assert once.verdict.word.value == "undecided"
    assert not said(once, "bit-stays-programmed")
    b = Bench(tmp_path).dump(flash((0, stuck)), flash((0, stuck))).image("fw.hex", PROGRAM).log(run + run)
    twice = b.first()
    assert twice.verdict.word.value == "suspect"
    assert leading(twice) == "flash-defect"
    assert f"0x{BASE + at:08X}" in said(twice, "bit-stays-programmed")
    assert "2 times" in said(twice, "bit-stays-programmed")
    assert statuses(twice)["flash-defect"] == "possible"
    # A bit that rose, or a log without an erase, is no such cell.
    rose = PROGRAM.copy()
    rose[at] |= np.uint8(next(1 << i for i in range(8) if not PROGRAM[at] & 1 << i))
    other = Bench(tmp_path).dump(flash((0, rose)), flash((0, rose))).image("fw.hex", PROGRAM).log(run + run).first()
    kept = run.replace("Erasing", "Loading")
    none = Bench(tmp_path).dump(flash((0, stuck)), flash((0, stuck))).image("fw.hex", PROGRAM).log(kept + kept).first()
    assert not said(other, "bit-stays-programmed")
    assert not said(none, "bit-stays-programmed")


# ---------------------------------------------------------------- two boards, neither of which is good
def two(folder: Path, one: Bytes, other: Bytes) -> Diagnosis:
    for name, data in (("a", one), ("b", other)):
        write_image(MemoryImage((Segment(BASE, data),)), folder / f"{name}.hex")
    write_image(MemoryImage((Segment(BASE, PROGRAM),)), folder / "fw.hex")
    boards = "".join(f'[[suspects]]\nname = "board {n}"\ndumps = ["{n}.hex"]\n' for n in "ab")
    (folder / "case.toml").write_text(boards + '[[images]]\nfile = "fw.hex"\n', "utf-8")
    return diagnose(load_case(folder))


def test_two_boards_without_a_good_one_are_held_against_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(36)
    data = [rng.integers(0, 256, 0x3000, np.uint8) for _ in range(2)]
    pages = two(tmp_path, *(flash((0, PROGRAM), (0xC0000, d)) for d in data))
    claim = next(f.claim for f in pages.across if f.id == "two-differ-in-data")
    assert "0x080C0000" in claim
    assert "Neither is known to be good" in claim
    assert all([h.id for h in b.verdict.leading] == ["board-data"] for b in pages.boards)
    changed = PROGRAM.copy()
    changed[0x3000:0x3100] ^= 0x5A
    code = two(tmp_path, flash((0, PROGRAM)), flash((0, changed)))
    claim = next(f.claim for f in code.across if f.id == "two-differ")
    assert "256 bytes" in claim
    assert "0x08003000" in claim
    assert "sound" not in {b.verdict.word.value for b in code.boards}
    builds = two(tmp_path, flash((0, program(1))), flash((0, rebuilt(0x1A4))))
    assert "0x1A4 bytes higher" in next(f.claim for f in builds.across if f.id == "two-builds")
    assert all([h.id for h in b.verdict.leading] == ["other-build"] for b in builds.boards)
    dated = PROGRAM.copy(), PROGRAM.copy()
    for data, text in zip(dated, (b"Jan 31 2026 08:15:00", b"Feb  2 2026 17:41:09"), strict=True):
        data[0x2005 : 0x2005 + len(text)] = np.frombuffer(text, np.uint8)
    stamped = two(tmp_path, *(flash((0, d)) for d in dated))
    claim = next(f.claim for f in stamped.across if f.id == "two-stamps")
    assert "Jan 31 2026 08:15:00" in claim
    assert "Feb  2 2026 17:41:09" in claim
    dated[1][0x2040:0x2048] = np.frombuffer(b"SN004711", np.uint8)
    dated[0][0x2040:0x2048] = np.frombuffer(b"SN004699", np.uint8)
    numbered = two(tmp_path, *(flash((0, d)) for d in dated))
    assert "two-stamps" not in {f.id for f in numbered.across}  # a serial number is no date
    same = two(tmp_path, flash((0, PROGRAM)), flash((0, PROGRAM)))
    assert [f.id for f in same.across] == ["lot-agrees"]
    assert same.verdict.word.value == "sound"


def test_a_file_and_a_dump_that_differ_in_the_date_alone_are_two_builds(tmp_path: Path) -> None:
    file, here = PROGRAM.copy(), PROGRAM.copy()
    file[0x2003:0x200D] = np.frombuffer(b"2026-01-31", np.uint8)
    here[0x2003:0x200D] = np.frombuffer(b"2026-02-01", np.uint8)
    board = Bench(tmp_path).dump(flash((0, here)), flash((0, here))).image("app.hex", file).first()
    assert "app.hex has 2026-01-31, and here stands 2026-02-01" in said(board, "stamps-differ")
    assert leading(board) == "other-build"


# ---------------------------------------------------------------- header sizes and wrapped addresses
def signed(link: int, header: int) -> Bytes:
    """Return an image whose handlers begin with a push, are linked for `link`, and stand behind a header of this size."""
    body = program(37, 0x4000, link)
    places = [0x300 + 2 * (37 * i * i + 11 * i) for i in range(15)]
    body.view("<u4")[1:16] = [link + p + 1 for p in places]
    body.view("<u2")[[p // 2 for p in places]] = 0xB510
    head = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, header, 0, body.size, 0, 1, 0, 0, 0, 0).ljust(header, b"\0")
    digest = hashlib.sha256(head + body.tobytes()).digest()
    tail = struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + digest
    return np.frombuffer(head + body.tobytes() + tail, np.uint8)


def test_a_header_of_another_size_than_the_program_was_linked_for_is_said(tmp_path: Path) -> None:
    at = BASE + 0x20000
    for header, wrong in ((0x200, True), (0x400, False)):
        b = Bench(tmp_path).dump(flash((0, PROGRAM), (0x20000, signed(at + 0x400, header))))
        board = b.image("boot.hex", PROGRAM).first()
        claim = said(board, "header-size-disagrees")
        assert bool(claim) is wrong
        if wrong:
            assert "0x200 bytes" in claim
            assert "linked for 0x08020400" in claim
            assert leading(board) == "linked-elsewhere"
            assert statuses(board)["linked-elsewhere"] == "possible"


def test_an_external_memory_that_wraps_at_three_address_bytes_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(38)
    one, other = (rng.integers(0, 256, 0x4000, np.uint8) for _ in range(2))
    low = 0x90000000

    def case(upper: Bytes, wanted: Bytes | None, high: int = 0x91000000) -> BoardDiagnosis:
        for name, base, data in (("low", low, one), ("high", high, upper)):
            write_image(MemoryImage((Segment(base, data),)), tmp_path / f"{name}.hex")
        parts = [Segment(low, one), *([] if wanted is None else [Segment(high, wanted)])]
        write_image(MemoryImage(tuple(parts)), tmp_path / "assets.hex")
        b = Bench(tmp_path)
        b.suspect.append('dumps = ["low.hex", "high.hex"]')
        b.rest.append('[[images]]\nfile = "assets.hex"')
        return b.first()

    wrapped = case(one, other)
    assert leading(wrapped) == "external-read-mode"
    assert "three-byte" in said(wrapped, "external-wraps")
    assert "0x91000000" in said(wrapped, "external-wraps")
    assert "four address bytes" in wrapped.verdict.leading[0].means
    smaller = case(one, other, 0x90100000)
    assert leading(smaller) == "external-read-mode"
    assert "a memory of just that size" in said(smaller, "external-wraps")
    assert "four address bytes" not in smaller.verdict.leading[0].means
    assert statuses(case(one, None))["external-read-mode"] == "possible"  # no file says what belongs there
    assert not said(case(one, None, 0x90100000), "external-wraps")  # two slots with one image
    assert not said(case(other, other), "external-wraps")
    assert not said(case(one, one), "external-wraps")  # the file itself has it twice


# ---------------------------------------------------------------- how much was compared
def test_the_headline_says_how_much_was_compared(tmp_path: Path) -> None:
    rest = np.random.default_rng(39).integers(1, 255, 0x8000, np.uint8)
    part = Bench(tmp_path).dump(flash((0, PROGRAM), (0x80000, rest))).image("fw.hex", PROGRAM).first()
    assert part.verdict.word.value == "sound"
    assert "35.2 KiB of 67.2 KiB of the dump's content" in part.verdict.summary
    assert "Everything compared is as it should be" not in part.verdict.summary
    whole = Bench(tmp_path).dump(flash((0, PROGRAM))).image("fw.hex", PROGRAM).first()
    assert "Everything compared is as it should be" in whole.verdict.summary


# ---------------------------------------------------------------- a boot address of which nothing was read
@pytest.mark.parametrize(("address", "says"), [("0x81100  (0x8110000)", True), ("0x80000  (0x8000000)", False)])
def test_a_boot_address_outside_of_what_was_read(tmp_path: Path, address: str, says: bool) -> None:
    board = Bench(tmp_path).dump(PROGRAM).image("app.bin", PROGRAM).text("options", listing(NSBOOTADD=address)).first()
    assert ("0x08110000, of which the dump shows nothing" in said(board, "boot-address-elsewhere")) is says
    assert leading(board) == ("starts-elsewhere" if says else "")
    assert statuses(board)["starts-elsewhere"] != "supported"


@pytest.mark.parametrize("written", [False, True])
def test_a_file_that_neither_log_nor_dump_shows(tmp_path: Path, written: bool) -> None:
    second = program(32, base=BASE + 0x100000)
    log = programmed("app.hex", BASE, PROGRAM.size / 1024)
    if written:
        log += programmed("other.bin", BASE + 0x100000, second.size / 1024)
    b = Bench(tmp_path).dump(PROGRAM).image("app.bin", PROGRAM).image("other.bin", second, BASE + 0x100000)
    board = b.text("log", log).first()
    assert ("no write of other.bin to 0x08100000" in said(board, "file-left-out")) is not written
    assert leading(board) == ("" if written else "programming-incomplete")


# ---------------------------------------------------------------- what other tools say that they wrote
ST_FLASH = """st-flash 1.8.0
file out/app.bin md5 checksum: {md5}, stlink checksum: 0x006b9a59
INFO common_flash.c: Attempting to write {size} (0x0) bytes to stm32 address: 134217728 (0x8000000)
"""


@pytest.mark.parametrize("kind", ["same", "md5", "size"])
def test_a_file_of_that_name_that_the_log_does_not_mean_is_said(tmp_path: Path, kind: str) -> None:
    other = program(33) if kind == "md5" else PROGRAM
    size = PROGRAM.size + 0x800 * (kind == "size")
    log = ST_FLASH.format(md5=hashlib.md5(other.tobytes(), usedforsecurity=False).hexdigest().lstrip("0"), size=size)
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.bin", PROGRAM).text("log", log).first()
    assert ("not the file that was written" in said(board, "other-file-of-that-name")) is (kind != "same")


def test_a_write_of_the_programming_tool_that_was_refused_is_not_the_firmwares(tmp_path: Path) -> None:
    chip = "INFO common.c: STM32G0Bx_G0Cx: 144 KiB SRAM, 512 KiB flash in at least 2 KiB pages.\n"
    log = chip + ST_FLASH.format(md5="0", size=4) + "ERROR common_flash.c: Flash programming error: 0x00000080\n"
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).text("log", log).first()
    assert "the programming tool wrote" in said(board, "tool-write-refused")
    assert "program again" in board.next_test.instruction
    own = Bench(tmp_path).dump(flash((0, PROGRAM))).text("registers", "NSSR = 0x00040000\n").first()
    assert "refused the firmware's own operation" in said(own, "write-refused")


# ---------------------------------------------------------------- what is done next, in words of this chip
def test_a_family_without_a_chip_file_is_asked_for_nothing_that_is_not_understood(tmp_path: Path) -> None:
    chip = "INFO common.c: STM32G0Bx_G0Cx: 144 KiB SRAM, 512 KiB flash in at least 2 KiB pages.\n"
    old, new = program(42), program(43)
    board = (
        Bench(tmp_path).dump(flash((0, old & new))).image("app.bin", new).text("log", f"st-flash 1.8.0\n{chip}").first()
    )
    assert leading(board) == "not-erased"
    assert not {t.id for t in (board.next_test, *board.more_tests)} & {"read-options", "read-registers"}


@pytest.mark.parametrize(("names", "port"), [(True, True), (False, False)])
def test_the_access_port_is_named_where_the_chip_is_known(tmp_path: Path, names: bool, port: bool) -> None:
    zeros = flash((0, PROGRAM))
    zeros[0x2000:0x6000] = 0
    b = Bench(tmp_path).dump(flash((0, PROGRAM)), good=True).dump(zeros)
    board = (b.head('chip = "stm32h563zi"') if names else b).first()
    tests = [t for t in (board.next_test, *board.more_tests) if t.id == "read-options"]
    assert tests
    assert ("ap=1" in tests[0].instruction) is port


def test_a_vendors_boot_code_does_not_go_by_the_boot_address(tmp_path: Path) -> None:
    said_ = listing(BOOT_UBE="0xC3 (ST-iRoT)", TZEN="0xB4 (on)", SECBOOTADD="0xC0000  (0xC000000)")
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM).text("options", said_).first()
    assert leading(board) == "starts-elsewhere"
    assert said(board, "boot-entry-vendor")
    assert not said(board, "boot-address-good")
    assert "0xB4" in board.verdict.leading[0].means


# ---------------------------------------------------------------- one bit of every word in one place
@pytest.mark.parametrize(
    ("step", "value", "reads", "id"),
    [(8, 1, 2, "column-constant"), (16, 0, 2, "column-constant"), (8, 1, 1, "column-constant-once"), (8, 1, 2, "")],
)
def test_a_bit_line_that_is_stuck_in_one_page_is_named(
    tmp_path: Path, step: int, value: int, reads: int, id: str
) -> None:
    bad = flash((0, PROGRAM))
    last = 0x4800 if id else PROGRAM.size  # the same bit everywhere is a data line, not a page's
    column = slice(0x4005 if id else 5, last, step)
    bad[column] = bad[column] | 0x10 if value else bad[column] & 0xEF
    board = Bench(tmp_path).dump(*[bad] * reads).image("app.hex", PROGRAM).first()
    told = [f.id for f in board.findings if f.id.startswith("column-constant")]
    assert told == ([id] if id else [])
    if id == "column-constant":
        assert leading(board) == "flash-defect"
        assert f"Bit {8 * 5 + 4} of every {step}-byte word reads {value}" in said(board, id)
        assert statuses(board)["flash-defect"] == "possible"
        assert board.verdict.word.value == "suspect"
    elif id:
        assert leading(board) not in ("flash-defect", "worn-cells")
        assert board.next_test.id == "read-again"


@pytest.mark.parametrize(
    ("tzen", "address", "there"),
    [
        ("0xB4", "0xC0000  (0xC000000)", True),
        ("0xC3", "0xC0000  (0xC000000)", False),
        ("0xB4", "0xC0100  (0xC010000)", False),
    ],
)
def test_a_program_without_a_secure_side_where_the_secure_world_starts(
    tmp_path: Path, tzen: str, address: str, there: bool
) -> None:
    text = listing(TZEN=f"{tzen} (x)", SECBOOTADD=address)
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM).text("options", text).first()
    assert bool(said(board, "nonsecure-where-secure-starts")) is there
    assert (statuses(board)["linked-elsewhere"] != "excluded") is there


def test_a_boot_log_brings_the_advice_of_its_own_line(tmp_path: Path) -> None:
    head = "*** Booting MCUboot v2.2.0 ***\nI: Starting bootloader\n"
    end = "E: Image in the secondary slot is not valid!\nI: Jumping to the first image slot\n"
    first = "E: Secondary header magic detected in first sector, wrong upload address?\n"
    board = Bench(tmp_path).text("uart", head + first + end).first()
    assert leading(board) == "image-refused"
    assert "first sector" in said(board, "boot-log-refuses-image")
    assert "one sector" in board.verdict.leading[0].means
    strange = Bench(tmp_path).text("uart", head + "E: frobnication of slot 1 is -5\n" + end).first()
    assert "Just before it says: 'E: frobnication of slot 1 is -5'" in said(strange, "boot-log-refuses-image")
    assert strange.verdict.leading[0].means == strange.verdict.leading[0].cause.means


def test_options_that_all_read_zero_say_that_nobody_answered_and_nothing_else(tmp_path: Path) -> None:
    zeros = re.sub(r"(?m)^(\s+\w+\s*: )0x[0-9A-F]+.*$", r"\g<1>0x0", listing())
    board = Bench(tmp_path).text("options", zeros.replace("0x488", "0x484")).first()
    assert leading(board) == "board-wiring"
    assert not {f.id for f in board.findings} & {"hardware-watchdog", "boot-address-outside", "boot-option-rom"}


@pytest.mark.parametrize(("times", "protected"), [(2, False), (1, False), (2, True)])
def test_a_place_that_fails_again_and_is_wrong_marks_the_chip(tmp_path: Path, times: int, protected: bool) -> None:
    half = flash((0, PROGRAM))
    half[0x3000:0x4000] = 0xFF
    log = programmed("app.hex", BASE, PROGRAM.size / 1024, ok=False).replace("0x08000400", "0x08003000")
    log = log.replace("Error: Data", "Erasing internal memory sectors [0 4]\nError: Data")
    options = listing(**({"WRPSGn1": "0xFFFFFFFE"} if protected else {"WRPSGn1": "0xFFFFFFFF"}))
    b = Bench(tmp_path).dump(half, half).image("app.hex", PROGRAM).text("options", options)
    names = [f"program-{i}.log" for i in range(times)]
    for name in names:
        (tmp_path / name).write_text(log, "utf-8")
    b.rest.append(f"[provisioning]\nlogs = {names}".replace("'", '"'))
    board = b.first()
    marked = times == 2 and not protected
    assert bool(said(board, "fails-there-again")) is marked
    assert (board.verdict.word.value == "suspect") is marked
    assert statuses(board)["flash-defect"] != "supported"


# ---------------------------------------------------------------- which image a boot loader refuses
def titled(version: tuple[int, int, int]) -> Bytes:
    """Return the image of this version, as a signing tool makes it."""
    head = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 0x200, 0, 0x2000, 0, *version, 0, 0).ljust(0x200, b"\0")
    return np.frombuffer(head + PROGRAM[:0x2000].tobytes(), np.uint8).copy()


@pytest.mark.parametrize(
    "line",
    ["E: Insufficient version in secondary slot", "[ERR] image 1: security counter check failed, downgrade refused"],
)
def test_a_refused_downgrade_names_the_versions(tmp_path: Path, line: str) -> None:
    b = Bench(tmp_path).image("old.bin", titled((3, 7, 9)), None).image("plain.bin", PROGRAM, None)
    listed = "image=0 slot=0\n    version: 3.8.1\n    flags: active\nimage=0 slot=1\n    version: 3.7.9\n"
    board = b.text("uart", f"I: Starting bootloader\nI: Image index: 0, Swap type: test\n{line}\n{listed}").first()
    told = said(board, "boot-log-refuses-image")
    assert "old.bin is 3.7.9" in told
    assert "slot 0 holds 3.8.1; slot 1 holds 3.7.9" in told
    assert "plain.bin" not in told


def test_a_refusal_for_another_reason_names_no_versions(tmp_path: Path) -> None:
    b = Bench(tmp_path).image("old.bin", titled((3, 7, 9)), None)
    text = "I: Starting bootloader\nI: Image index: 0, Swap type: test\n"
    text += "E: Image too large: required 0x60000 bytes but only 0x5e000 are available\n"
    told = said(b.text("uart", text).first(), "boot-log-refuses-image")
    assert told
    assert "3.7.9" not in told


def test_a_device_managers_list_of_images_is_evidence(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("Images:\n image=0 slot=0\n    version: 1.0.0\n    bootable: true\n", "utf-8")
    found = sort_evidence([tmp_path / "list.txt"])
    assert [e.what for b in found.boards.suspects for e in b.files] == ["a list of a device's images"]


# ---------------------------------------------------------------- a read of external memory that nobody gave an address
PICTURE = np.frombuffer(
    b"".join(
        struct.pack("<H", (y * 31 // 100 << 11) | (x * 63 // 200 << 5) | ((x ^ y) & 31))
        for y in range(100)
        for x in range(200)
    ),
    np.uint8,
)


@pytest.mark.parametrize("at", [0x70000000, 0x90000000])
@pytest.mark.parametrize("word", [2, 4])
@pytest.mark.parametrize("content", [PICTURE, PROGRAM], ids=["picture", "program"])
def test_a_read_without_an_address_stands_where_the_log_wrote_it(
    tmp_path: Path, at: int, word: int, content: Bytes
) -> None:
    swapped = content.reshape(-1, word)[:, ::-1].reshape(-1)
    (tmp_path / "read.bin").write_bytes(flash((0, swapped), size=0x20000).tobytes())
    b = Bench(tmp_path).image("assets.bin", content, None).say('dumps = ["read.bin"]')
    board = b.log(programmed("assets.bin", at, 39, ok=False).replace("0x08000400", f"0x{at:08X}")).first()
    assert leading(board) == "external-read-mode"
    assert f"every {8 * word}-bit word in the reverse order" in said(board, "external-byte-order")
    assert not said(board, "external-write-without-loader")
    assert board.measured.suspect.dump.span.start == at


def test_a_read_of_other_content_stays_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "read.bin").write_bytes(flash((0, program(8)), size=0x20000).tobytes())
    b = Bench(tmp_path).image("assets.bin", PROGRAM, None).say('dumps = ["read.bin"]')
    board = b.log(programmed("assets.bin", 0x90000000, 39)).first()
    assert board.measured.suspect.dump.span.start == BASE


# ---------------------------------------------------------------- one word that nobody can read; pads left slow
def typed(at: int, unit: int, hole: int, size: int = 0x100) -> str:
    """Return memory as somebody types it off a screen, with one hole of so many bytes."""
    rows = []
    for i in range(0, size, 16):
        words = PROGRAM[i : i + 16].view("<u4")
        shown = ["????????" if hole <= i + 4 * k < hole + unit else f"{w:08X}" for k, w in enumerate(words)]
        rows.append(f"0x{at + i:08X}  {' '.join(shown)}\n")
    return "".join(rows)


@pytest.mark.parametrize(
    ("dev_id", "unit", "hole", "told"),
    [
        (0x450, 32, 0x40, True),
        (0x469, 8, 0x48, True),
        (0x450, 32, 0x50, False),  # no flash word begins there
        (0x450, 64, 0x40, False),
        (0x413, 4, 0x44, False),  # no ECC
    ],
)
def test_one_flash_word_that_cannot_be_read_is_told(
    tmp_path: Path, dev_id: int, unit: int, hole: int, told: bool
) -> None:
    at = BASE + 0x1E000
    board = dumped(Bench(tmp_path), typed(at, unit, hole)).text("log", f"Device ID   : 0x{dev_id:03X}\n").first()
    assert bool(said(board, "one-word-unreadable")) is told
    assert (leading(board) == "torn-write") is told
    assert statuses(board)["torn-write"] != "supported"
    if told:
        assert f"0x{at + hole:08X} to 0x{at + hole + unit - 1:08X}" in said(board, "one-word-unreadable")


H7RS = "Device ID   : 0x485\n\nOPTION BYTES BANK: 0\n\n   User Configuration:\n\n"


@pytest.mark.parametrize(
    ("value", "line", "told"),
    [
        (0, "[boot] MapMemory() failed", True),
        (0, "BOOT_ERROR_MAPPEDMODEFAIL", True),
        (1, "[boot] MapMemory() failed", False),
        (0, "[boot] mapped", False),
    ],
)
def test_pads_left_slow_beside_a_memory_that_cannot_be_mapped(
    tmp_path: Path, value: int, line: str, told: bool
) -> None:
    rows = "".join(
        f"     {n:<13}: 0x{v:X} (0x{v:X})\n" for n, v in (("XSPI1_HSLV", 1), ("XSPI2_HSLV", value), ("BOR_LEV", 0))
    )
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x10000), base=0x70000000).image("xip.hex", PROGRAM, 0x70000000)
    board = b.text("options", H7RS + rows).text("uart", f"[boot] start\n{line}\n").first()
    assert ("XSPI2_HSLV" in said(board, "external-memory-not-mapped")) is told
    assert "XSPI1_HSLV" not in said(board, "external-memory-not-mapped")
    assert statuses(board)["options-not-applied"] == ("possible" if told else "not-tested")
