"""The causes that people bring beside those of the chip: two boards each, and one that must not be taken for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .bench import BASE, Bench, cells_led, flash, leading, listing, program, programmed, statuses

PROGRAM = program(1)
OLD = program(2)


def stopped(b: Bench) -> Bench:
    part = PROGRAM[:0x4D50]
    return b.dump(flash((0, part))).image("new.hex", PROGRAM)


def nothing_written(b: Bench) -> Bench:
    return b.dump(flash((0, OLD))).image("new.hex", PROGRAM).image("old.hex", OLD).log(programmed("new.hex", BASE, 36))


def torn(b: Bench) -> Bench:
    lines = []
    for line in listing().split("\n"):
        name = line.split(":")[0]
        ones = "FF" if name.strip() == "PRODUCT_STATE" else "FFFFFFFF" if "WRPSG" in name else "1"
        lines.append(f"{name}: 0x{ones}" if line.startswith("     ") and ":" in line else line)
    return b.text("options", "\n".join(lines))


def torn_l4(b: Bench) -> Bench:
    names = [
        "RDP",
        "BOR_LEV",
        "nRST_STOP",
        "nRST_STDBY",
        "IWDG_SW",
        "PCROP1_STRT",
        "PCROP1_END",
        "WRP1A_STRT",
        "WRP1A_END",
    ]
    ones = (0xFF, 7, 1, 1, 1, 0xFFFF, 0xFFFF, 0xFF, 0xFF)
    text = "Device ID   : 0x461\n\nOPTION BYTES BANK: 0\n\n   Read Out Protection:\n\n"
    return b.text("options", text + "".join(f"     {n:<13}: 0x{v:X}\n" for n, v in zip(names, ones, strict=True)))


def boot_address(b: Bench) -> Bench:
    b.dump(flash((0, PROGRAM))).image("app.hex", PROGRAM)
    return b.text("options", listing(NSBOOTADD="0x80600  (0x8060000)"))


def rom(b: Bench) -> Bench:
    b.dump(flash((0, PROGRAM))).image("app.hex", PROGRAM)
    core = "Core registers:\n  PC  = 0x0BF97F10\n  MSP = 0x20000400\n"
    return b.text("log", "Device ID   : 0x484\nFlash size  : 2 MBytes\n" + core)


def linked(b: Bench) -> Bench:
    boot = program(5, 0x4000)
    return b.dump(flash((0, boot), (0x10000, PROGRAM))).image("boot.bin", boot, None).image("app.bin", PROGRAM, None)


def linked_secure(b: Bench) -> Bench:
    other = program(6, base=0x0C000000)
    return b.dump(flash((0, other))).image("app.bin", other, None).text("options", listing())


def refused(b: Bench) -> Bench:
    lines = ("[INF] Starting bootloader", "[INF] Swap type: none", "[ERR] Image in the primary slot is not valid!")
    return b.text("uart", "\n".join(lines))


def no_header(b: Bench) -> Bench:
    plain = program(7, 0x5000, base=0x08018400)
    return b.head('layout = "oemirot-2m-overwrite"').dump(flash((0x18000, plain))).image("app.bin", plain, None)


def door(b: Bench) -> Bench:
    return b.text(
        "log",
        "ST-LINK SN  : 001122\nST-LINK FW  : V3J15M7\nVoltage     : 3.27V\nError: Unable to get core ID\n"
        "Error: No STM32 target found!\n",
    )


def door_again(b: Bench) -> Bench:
    return b.text(
        "log",
        "ST-LINK SN  : 001122\nST-LINK FW  : V2J45S7\nVoltage     : 3.01V\nWarning: Connection to device 0x0 is lost\n"
        "Error: No STM32 target found! If your product embeds Debug Authentication, please perform a discovery\n",
    )


def stale(b: Bench) -> Bench:
    data = flash((0, PROGRAM))
    data[0x60000:0x60004] = np.frombuffer(b"\xef\xbe\xad\xde", np.uint8)
    return (
        b.dump(data)
        .image("app.hex", PROGRAM)
        .text("uart", "write 0x08060000 = 0xDEADBEEF ok\nread back 0x08060000 = 0xFFFFFFFF mismatch\n")
    )


def uncached(b: Bench) -> Bench:
    b.text("options", listing())
    status = "CFSR = 0x00008200\nHFSR = 0x40000000\nBFAR = 0x08FFF804\n"
    return b.text("uart", f"HardFault\n{status}PC = 0x08000B02\nICACHE_CR = 0x1\n")


def shifted(b: Bench) -> Bench:
    data = flash((2, PROGRAM), size=0x10000)
    return b.dump(data, base=0x90000000).image("assets.bin", PROGRAM, None)


def lane(b: Bench) -> Bench:
    data = PROGRAM.copy()
    data[0::2] = 0x5A
    return b.dump(data, base=0x70000000).image("assets.bin", PROGRAM, None)


def pages(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, 0x2000 + 0x100 * seed, dtype=np.uint8)


def eeprom(b: Bench) -> Bench:
    b.dump(flash((0, PROGRAM), (0x1F0000, pages(3))), good=True)
    return b.dump(flash((0, PROGRAM), (0x1F0000, pages(5))))


def serial(b: Bench) -> Bench:
    one, two = (np.frombuffer(f"SN-{n:08d} cal {n % 977}".encode(), np.uint8) for n in (1204, 8871))
    b.dump(flash((0, PROGRAM), (0x1FE000, one)), good=True)
    return b.dump(flash((0, PROGRAM), (0x1FE000, two)))


def rebuilt(step: int, at: int = 0x3000) -> np.ndarray:
    words = PROGRAM.copy().view("<u4").astype(np.int64)
    own = (words >= BASE + at) & (words < BASE + PROGRAM.size)
    words[own] += step
    moved = words.astype("<u4").view(np.uint8)
    return np.concatenate((moved[:at], program(9, 0x2000)[0x400 : 0x400 + step], moved[at:]))


def other_build(b: Bench) -> Bench:
    return b.dump(flash((0, PROGRAM)), good=True).dump(flash((0, rebuilt(0x1A4))))


def other_build_file(b: Bench) -> Bench:
    return b.dump(flash((0, rebuilt(0x48, 0x1200)))).image("app.hex", PROGRAM)


def refused_write(b: Bench) -> Bench:
    return b.text("options", listing()).text("registers", "NSSR = 0x00020000\n")


def refused_sequence(b: Bench) -> Bench:
    return b.text("options", listing()).text("registers", "0x40022020 : 00040000\n")


def edata(b: Bench) -> Bench:
    b.text("options", listing(EDATA1_EN="0x1  (0x1)"))
    return b.text("registers", "0x40022104 : 80203001\n0x40022108 : 0000FFFF\n")


def otp(b: Bench) -> Bench:
    return b.text("options", listing()).text("registers", "0x40022104 : 81000610\n")


def erased(b: Bench) -> Bench:
    return b.dump(flash()).image("app.hex", PROGRAM)


def erased_alone(b: Bench) -> Bench:
    return b.dump(flash(size=0x100000))


def gap(b: Bench) -> Bench:
    file, chip = PROGRAM.copy(), PROGRAM.copy()
    file[0x188:0x1A0], chip[0x188:0x1A0] = 0, 0xFF
    return b.dump(flash((0, chip))).image("app.hex", file)


CASES: dict[str, tuple[str, Callable[[Bench], Bench]]] = {
    "stopped part-way": ("programming-incomplete", stopped),
    "nothing written": ("programming-incomplete", nothing_written),
    "all ones": ("options-torn", torn),
    "all ones on another family": ("options-torn", torn_l4),
    "boot address left over": ("starts-elsewhere", boot_address),
    "core in ROM": ("starts-elsewhere", rom),
    "linked for the begin": ("linked-elsewhere", linked),
    "linked for the secure side": ("linked-elsewhere", linked_secure),
    "boot log refuses": ("image-refused", refused),
    "no header": ("image-refused", no_header),
    "no core answers": ("door-shut-by-firmware", door),
    "no core answers, other words": ("door-shut-by-firmware", door_again),
    "cache after a write": ("stale-cache", stale),
    "unique id through the cache": ("stale-cache", uncached),
    "two bytes further on": ("external-read-mode", shifted),
    "one of two chips": ("external-read-mode", lane),
    "settings pages": ("board-data", eeprom),
    "serial number": ("board-data", serial),
    "another build": ("other-build", other_build),
    "another build than the file": ("other-build", other_build_file),
    "write protection error": ("refused-write", refused_write),
    "sequence error": ("refused-write", refused_sequence),
    "data area never written": ("never-written-ecc", edata),
    "OTP never written": ("never-written-ecc", otp),
    "erased": ("erased-whole", erased),
    "erased, nothing to compare": ("erased-whole", erased_alone),
    "a linker's gap": ("padding", gap),
}


@pytest.mark.parametrize("name", CASES)
def test_the_cause_leads_and_no_cause_of_the_cells_does(tmp_path: Path, name: str) -> None:
    cause, scene = CASES[name]
    board = scene(Bench(tmp_path)).first()
    assert leading(board) == cause
    for cells in ("worn-cells", "flash-defect"):
        assert statuses(board)[cells] != "supported"
    assert board.verdict.word.value in ("sound", "undecided")


@pytest.mark.parametrize("name", CASES)
def test_a_sound_board_is_not_taken_for_it(tmp_path: Path, name: str) -> None:
    cause = CASES[name][0]
    b = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM).text("options", listing())
    board = b.first()
    assert board.verdict.word.value == "sound"
    assert statuses(board)[cause] != "supported"
    assert leading(board) == ""


def test_cells_that_lost_charge_are_suspect_and_never_proved_by_reading(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    weak = flash((0, PROGRAM))
    for at in rng.choice(np.arange(0, PROGRAM.size, 16), 60, replace=False).tolist():
        low = int(weak[at]) ^ 0xFF
        weak[at] |= low & -low
    board = Bench(tmp_path).dump(weak, weak).image("app.hex", PROGRAM).first()
    assert board.verdict.word.value == "suspect"
    assert cells_led(board)
    assert "supported" not in (statuses(board)["worn-cells"], statuses(board)["flash-defect"])
    assert statuses(board)["torn-write"] != "supported"


@pytest.mark.parametrize(("pairs", "told"), [(20, True), (3, False)])
def test_cells_that_lost_charge_may_share_a_flash_word(tmp_path: Path, pairs: int, told: bool) -> None:
    rng = np.random.default_rng(5)
    weak = flash((0, PROGRAM))
    for word in rng.choice(np.arange(0x400, PROGRAM.size, 16), pairs, replace=False).tolist():
        for at in (word + 1, word + 9):
            low = int(weak[at]) ^ 0xFF
            weak[at] |= low & -low
    board = Bench(tmp_path).dump(weak, weak).dump(flash((0, PROGRAM)), good=True).first()
    assert any(f.id == "lone-bits-rose" for f in board.findings) is told
    assert (leading(board) == "worn-cells") is told


@pytest.mark.parametrize(("written", "lead"), [(True, "write-protected"), (False, "")])
def test_an_older_build_in_protected_sectors_is_the_protections_where_a_write_is_told(
    tmp_path: Path, written: bool, lead: str
) -> None:
    # Four sectors a group: the listing protects the first three groups, the program lies in the first two of them.
    b = Bench(tmp_path).dump(flash((0, rebuilt(0x48, 0x1200)))).image("app.hex", PROGRAM).text("options", listing())
    if written:
        b.log(programmed("app.hex", BASE, 36, ok=False))
    board = b.first()
    assert ("other-build" in {f.id for f in board.findings}) is not written
    assert leading(board) == (lead or "other-build") or not written
    assert statuses(board)["write-protected"] == "supported"


def test_one_read_of_the_same_cells_leads_nowhere(tmp_path: Path) -> None:
    weak = flash((0, PROGRAM))
    for at in range(0x40, 0x2000, 0x110):
        weak[at] |= 1
    board = Bench(tmp_path).dump(weak).image("app.hex", PROGRAM).first()
    assert not cells_led(board)
    assert board.verdict.word.value == "undecided"
    assert board.next_test.id == "read-again"


@pytest.mark.parametrize("line", [11, 13, 14])
def test_a_stuck_address_line_is_no_misplaced_file(tmp_path: Path, line: int) -> None:
    bit = 1 << line
    at = np.arange(PROGRAM.size)
    twisted = flash((0, PROGRAM[at & ~bit]))
    board = Bench(tmp_path).dump(twisted, twisted).image("app.hex", PROGRAM).first()
    assert leading(board) == "flash-defect"
    assert board.verdict.word.value == "suspect"
    assert statuses(board)["wrong-placement"] != "supported"
    assert f"A{line}" in " ".join(f.claim for f in board.findings)


def test_a_sector_that_keeps_the_old_program_is_told(tmp_path: Path) -> None:
    data = flash((0, PROGRAM))
    data[0x4000:0x6000] = OLD[0x4000:0x6000]
    b = Bench(tmp_path).dump(data, data).image("new.hex", PROGRAM).image("old.hex", OLD)
    board = b.text("options", listing()).log(programmed("new.hex", BASE, 36)).first()
    assert statuses(board)["flash-defect"] == "possible"
    assert any("old.hex" in f.claim and "0x08004000" in f.claim for f in board.findings)
    told = " ".join([board.next_test.instruction, *(t.instruction for t in board.more_tests)])
    assert "0x08000000:" not in told
