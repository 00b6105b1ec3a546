"""Sessions of debuggers and loaders as people paste them: which chip they are of, and what became of a connection or write."""

from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.judge import BoardDiagnosis, diagnose
from h5diag.measure.logs import explain_text

from .bench import Bench, flash, leading, program, statuses

PROGRAM = program(61, size=0x2000)
OPENOCD = "Open On-Chip Debugger 0.12.0\nInfo : STLINK V2J43S7 (API v2)\nInfo : Target voltage: 3.251034\n"


def claims(board: BoardDiagnosis, id: str = "") -> str:
    return " ".join(f.claim for f in board.findings if not id or f.id == id)


# ---------------------------------------------------------------- the chip by a session's own words
CORE = "Info : [stm32l4x.cpu] Cortex-M4 r0p1 processor detected\n"
IDCODE = "device idcode = 0x20036468 (STM32G43/G44xx - Rev Z : 0x2003)\nflash size = 128 KiB\n"


@pytest.mark.parametrize("key", ["log", "registers", "uart"])
@pytest.mark.parametrize(
    ("text", "chip", "name"),
    [
        ("$ pyocd cmd -t stm32u575zitx -c 'savemem 0x08000000 0x10000 d.bin'\n", "stm32u575zi", ""),
        ("$ JLinkExe -device STM32L552ZE -if SWD -speed 4000\n", "stm32l552ze", ""),
        ("$ probe-rs read --chip STM32H573II b32 0x08000000 4\n", "stm32h573ii", ""),
        ("$ openocd -f interface/stlink.cfg -f target/stm32u5x.cfg\n" + OPENOCD, "stm32u575zi", ""),
        ("$ openocd -f board/st_nucleo_l476rg.cfg\n" + OPENOCD, "", "STM32L4"),
        (OPENOCD + CORE, "", "STM32L4"),
        (OPENOCD + "Info : [stm32g4x.cpu] target has 6 breakpoints\n> stm32l4x probe 0\n" + IDCODE, "", "STM32G43"),
        ("INFO common.c: F1xx Medium-density: 20 KiB SRAM, 128 KiB flash in at least 1 KiB pages.\n", "", "STM32F1"),
        ("HARDWARE: STM32F103C8T6 72MHz, 20KB RAM, 64KB Flash\n" + OPENOCD, "", "STM32F1"),
        ("$ pyocd flash -t nrf52840 fw.hex\n", "", "nrf52840 is no STM32"),
    ],
)
def test_a_session_names_its_chip(tmp_path: Path, key: str, text: str, chip: str, name: str) -> None:
    Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).text(key, text).first()
    found = diagnose(load_case(tmp_path)).to_dict()
    assert found["chip_known_by"] != "assumed"
    assert (found["chip"] or "") == chip
    assert name in found["chip_text"]


def test_a_series_alone_says_nothing_of_the_size(tmp_path: Path) -> None:
    big = program(62, size=0x1000, base=0x08000000)
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).image("far.hex", big, 0x08200000)
    board = b.text("log", "$ openocd -f target/stm32h5x.cfg\n" + OPENOCD).first()
    assert not claims(board, "larger-part-meant")
    named = b.text("registers", "> mdw 0x44024000\n0x44024000: 10016484\n").first()
    assert claims(named, "larger-part-meant")


# ---------------------------------------------------------------- option words that a debugger printed
G4 = OPENOCD + "Info : [stm32g4x.cpu] Cortex-M4 r0p1 processor detected\n> stm32l4x option_read 0 0x20\n" + IDCODE
WORD = "Option Register: <0x{at:08x}> = 0x{value:x}\n"
PLACES = (0x40022020, 0x40022024, 0x40022028)


def words(value: int, count: int = 3) -> str:
    return "".join(WORD.format(at=at, value=value) for at in PLACES[:count])


@pytest.mark.parametrize("key", ["log", "registers"])
@pytest.mark.parametrize("level", ["RDP level 1 (0xFF)\n", ""])
def test_option_words_of_all_ones_are_torn_options(tmp_path: Path, key: str, level: str) -> None:
    board = Bench(tmp_path).text(key, G4 + level + words(0xFFFFFFFF)).first()
    assert leading(board) == "options-torn"
    assert "All 3 option words read all ones" in claims(board, "options-all-ones")
    assert ("RDP 0xFF counts as protected" in claims(board)) is bool(level)
    assert statuses(board)["refused-write"] != "supported"
    assert "WRPERR" not in claims(board)


@pytest.mark.parametrize(("count", "level", "torn"), [(1, "(0xFF)", True), (1, "(0xBB)", False), (2, "(0xBB)", True)])
def test_one_word_of_all_ones_needs_a_second_witness(tmp_path: Path, count: int, level: str, torn: bool) -> None:
    board = Bench(tmp_path).text("log", f"{G4}RDP level 1 {level}\n" + words(0xFFFFFFFF, count)).first()
    assert bool(claims(board, "options-all-ones")) is torn


def test_option_words_that_somebody_set_are_read_by_their_addresses(tmp_path: Path) -> None:
    board = Bench(tmp_path).text("log", G4 + WORD.format(at=PLACES[0], value=0xFBEFF8AA) + words(0xFF, 3)[40:]).first()
    assert statuses(board)["options-torn"] == "excluded"
    # nSWBOOT0 0 and nBOOT0 0 in the word at 0x40022020: the ROM boot loader starts.
    rom = 0xFBEFF8AA & ~(1 << 26 | 1 << 27)
    text = G4 + WORD.format(at=PLACES[0], value=rom) + WORD.format(at=PLACES[1], value=0xFF)
    assert leading(Bench(tmp_path).text("log", text).first()) == "starts-elsewhere"


def test_the_boot_words_of_an_older_driver_count_as_well(tmp_path: Path) -> None:
    f7 = OPENOCD + "> stm32f2x options_read 0\nstm32f2x user_options 0xFFC, boot_add0 0x{0}, boot_add1 0x{1}\n"
    torn = Bench(tmp_path).text("log", f7.format("FFFF", "FFFF")).first()
    assert leading(torn) == "options-torn"
    assert leading(Bench(tmp_path).text("log", f7.format("0080", "0040")).first()) == ""


# ---------------------------------------------------------------- registers of nobody
@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("0x40022020: ffffffff\n", False),
        ("NSSR = 0xFFFFFFFF\n", False),
        ("0x40022020: 00040000\n", False),  # of an assumed chip no address names a register
        ("DBGMCU_IDCODE 0x44024000 = 0x10016484\n0x40022020: 00040000\n", True),
        ("DBGMCU_IDCODE 0x44024000 = 0x10016484\n0x40022020: ffffffff\n", False),
    ],
)
def test_a_word_that_no_register_holds_refuses_nothing(tmp_path: Path, text: str, refused: bool) -> None:
    board = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).text("registers", text).first()
    assert bool(claims(board, "write-refused")) is refused
    assert (statuses(board)["refused-write"] == "supported") is refused


@pytest.mark.parametrize("view", [words(0xFFFFFFFF), "0x08000000: 20004000 08000201 08000205 08000209\n"])
def test_a_session_with_a_view_in_it_stands_for_its_log_too(tmp_path: Path, view: str) -> None:
    (tmp_path / "session.txt").write_text(G4 + view, "utf-8")
    folder = sort_evidence([tmp_path / "session.txt"]).write(tmp_path / "case")
    found = diagnose(load_case(folder))
    assert found.to_dict()["device"]["dev_id"] == 0x468
    assert (leading(found.first) == "options-torn") is ("Option" in view)


# ---------------------------------------------------------------- a write that stopped on its way
STM32FLASH = (
    "stm32flash 0.7\nUsing Parser : Raw BINARY\nLocation     : fw.bin\nSize         : 61440\n"
    "Interface serial_posix: 115200 8E1\nDevice ID    : 0x0460 (STM32G070xx/071xx/081xx)\nWrite to memory\n"
)
REDRAWN = "Wrote address 0x08000100 (0.42%) \rWrote address 0x08006400 (41.67%) "
NACK = "Got NACK from device on command 0x31\nFailed to write memory at address 0x{0:08x}\n"
DFU = "dfu-util 0.11\nDownloading element to address = 0x08004000, size = 61440\n"
LOADER = "$ stm32loader -e -w -v fw.bin\nChip id: 0x460 (STM32G070xx)\nWrite 256 bytes at 0x8000000\n"
CLI = (
    "STM32CubeProgrammer v2.16.0\nSerial Port COM7 is successfully opened.\nActivating device: OK\nChip ID: 0x460\n"
    "Memory Programming ...\nOpening and parsing file: fw.bin\n  File          : fw.bin\n  Size          : 60.00 KB\n"
    "  Address       : 0x08000000\nDownload in Progress:\n"
)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (STM32FLASH + REDRAWN + NACK.format(0x08006400), 0x08006400),
        (STM32FLASH + REDRAWN.replace("\r", "") + NACK.format(0x08006400), 0x08006400),
        (DFU + "Download\t[=====     ]  41%   25088 bytesdfu-util: Error during download (LIBUSB_ERROR_PIPE)\n", 0x0800A200),
        (DFU + 'Download\t[=  ]   4%   2048 bytesdfu-util: Error during special command "ERASE_PAGE" get_status\n', 0x08004800),
        (LOADER + "Write 256 bytes at 0x8002000\nstm32loader.bootloader.CommandError: Write memory (0x31)\n", 0x08002000),
        (CLI + "Error: WRITE command not acknowledged at address: 0x08004000\nError: failed to download File\n", 0x08004000),
    ],
)  # fmt: skip
def test_a_loader_that_was_stopped_on_its_way_met_no_read_protection(tmp_path: Path, text: str, at: int) -> None:
    board = Bench(tmp_path).text("log", text).first()
    assert leading(board) == "programming-incomplete"
    assert f"went well up to 0x{at:08X}" in claims(board, "write-stopped-at")
    assert statuses(board)["debug-locked"] in ("excluded", "not-tested", "possible")
    assert not claims(board, "port-refused")
    assert "0x31" not in claims(board, "tool-refused-to-write")


@pytest.mark.parametrize(
    "first",
    [
        "Got NACK from device on command 0x43\nFailed to erase memory\n",
        NACK.format(0x08000000),
        NACK.format(0x08010000),  # where the file begins, for all that is known
    ],
)
def test_a_loader_that_was_refused_at_once_met_a_protection(tmp_path: Path, first: str) -> None:
    board = Bench(tmp_path).text("log", STM32FLASH + first).first()
    assert leading(board) == "debug-locked"
    assert not claims(board, "write-stopped-at")


def test_a_second_run_that_came_through_is_no_stopped_write(tmp_path: Path) -> None:
    whole = STM32FLASH + REDRAWN + "\rWrote address 0x0800f000 (100.00%) Done.\n"
    board = Bench(tmp_path).text("log", STM32FLASH + REDRAWN + NACK.format(0x08006400) + whole).first()
    assert not claims(board, "write-stopped-at")
    leave = DFU + "File downloaded successfully\ndfu-util: Error during download get_status\n"
    board = Bench(tmp_path).text("log", leave).first()
    assert leading(board) == ""
    assert not claims(board, "write-failed-nothing-read")
    late = Bench(tmp_path).text("log", whole + "Got NACK from device on command 0x21\n").first()
    assert leading(late) == ""


def test_a_protection_that_is_named_after_a_write_stays_one(tmp_path: Path) -> None:
    done = CLI + "File download complete\nDownload verified successfully\n"
    set_after = Bench(tmp_path).text("log", done + "Error: Device is under RDP level 1: read protected\n").first()
    assert leading(set_after) == "debug-locked"
    erase = (
        Bench(tmp_path)
        .text("log", done + "Error: Mass erase operation failed. Please verify flash protection\n")
        .first()
    )
    assert "Mass erase operation failed" in claims(erase, "tool-refused-to-write")
    stop = STM32FLASH + REDRAWN + NACK.format(0x08006400) + "Warning: Device is under RDP Level 1\n"
    assert statuses(Bench(tmp_path).text("log", stop).first())["debug-locked"] != "excluded"


def test_a_read_back_that_differs_is_no_stopped_write(tmp_path: Path) -> None:
    text = LOADER + "Write 256 bytes at 0x8002000\nRead 256 bytes at 0x8000000\nVerification FAILED\n"
    board = Bench(tmp_path).text("log", text).first()
    assert not claims(board, "write-stopped-at")
    assert claims(board, "write-failed-nothing-read")


def test_a_failure_behind_a_whole_write_is_another_write(tmp_path: Path) -> None:
    wrote = OPENOCD + CORE + "wrote 4096 bytes from file a.bin in 0.2s (20 KiB/s)\n"
    text = wrote + "Error: error writing to flash at address 0x08000000 at offset 0x00008000\n"
    assert claims(Bench(tmp_path).text("log", text).first(), "write-failed-nothing-read")
    assert leading(Bench(tmp_path).text("log", wrote).first()) == ""


# ---------------------------------------------------------------- what has no place in the flash
WARNED = "Programming Started\nWarn : no flash bank found for address 0x{0:08x}\n{1}Programming Finished\n"


@pytest.mark.parametrize(
    ("at", "more", "id"),
    [
        (0, "", "written-nowhere"),
        (0, "wrote 0 bytes from file fw.bin in 0.000015s (0.000 KiB/s)\n", "written-nowhere"),
        (0x08030000, "wrote 131072 bytes from file fw.elf in 2.1s (60 KiB/s)\n", "part-left-out"),
        (0x90000000, "", "part-left-out"),
        (0x2000005C, "", ""),
    ],
)
def test_what_a_tool_left_out_is_said(tmp_path: Path, at: int, more: str, id: str) -> None:
    board = Bench(tmp_path).text("log", OPENOCD + CORE + WARNED.format(at, more)).first()
    made = {f.id for f in board.findings}
    assert made & {"written-nowhere", "part-left-out"} == ({id} if id else set())
    assert leading(board) == ("programming-incomplete" if id else "")
    assert "OpenOCD found no flash at" in claims(board) or not id
    assert diagnose(load_case(tmp_path)).to_dict()["device"]["name"] == "STM32L4"


# ---------------------------------------------------------------- a port that opens under reset
PYOCD = "$ pyocd cmd -t stm32g474retx -c 'read32 0x08000000'\n0000731 C SWD/JTAG communication failure (No ACK) [__main__]\n"
SAVED = "Saved 16384 bytes to dump.bin\n"
CLI_PLAIN = "STM32CubeProgrammer v2.16.0\nST-LINK SN  : 066DFF\nVoltage     : 3.26V\nError: No STM32 target found!\n"
CLI_UR = "ST-LINK SN  : 066DFF\nVoltage     : 3.26V\nConnect mode: Under Reset\nDevice ID   : 0x469\n"
ST_FLASH = "st-flash 1.7.0\nERROR common.c: Can not connect to target. Please use 'connect under reset' and try again\n"
KIB = "INFO common.c: G47x/G48x: 128 KiB SRAM, 512 KiB flash in at least 2 KiB pages.\n"
JLINK = 'SEGGER J-Link Commander V7.94\nDevice "STM32G474RE" selected.\nCannot connect to target.\n'
OPENED = {
    "pyocd": (PYOCD, "$ pyocd cmd -t stm32g474retx -M under-reset -c 'savemem 0x08000000 16384 dump.bin'\n", SAVED),
    "cli": (CLI_PLAIN, "$ STM32_Programmer_CLI -c port=SWD mode=UR -u 0x08000000 0x4000 dump.bin\n", CLI_UR),
    "openocd": (
        OPENOCD + "Error: init mode failed (unable to connect to the target)\n",
        '$ openocd -f target/stm32g4x.cfg -c "reset_config srst_only connect_assert_srst"\n',
        "Info : [stm32g4x.cpu] Cortex-M4 r0p1 processor detected\n",
    ),
    "st-flash": (ST_FLASH, "$ st-flash --connect-under-reset read dump.bin 0x08000000 0x4000\n", KIB),
    "probe-rs": (
        "$ probe-rs run --chip STM32G474RETx fw.elf\nError: Connecting to the chip was unsuccessful.\n",
        "$ probe-rs run --chip STM32G474RETx --connect-under-reset fw.elf\n",
        "     Finished in 1.52s\n",
    ),
    "j-link": (JLINK, "Connecting under reset\n", "Found Cortex-M4 r0p1, Little endian.\n"),
}


@pytest.mark.parametrize("tool", sorted(OPENED))
@pytest.mark.parametrize("dump", [True, False])
def test_a_port_that_opens_under_reset_alone_was_shut_by_the_firmware(tmp_path: Path, tool: str, dump: bool) -> None:
    plain, told, reached = OPENED[tool]
    b = Bench(tmp_path)
    b = b.dump(flash((0, PROGRAM), size=0x4000)) if dump else b
    board = b.text("log", plain + told + reached).first()
    assert leading(board) == "door-shut-by-firmware"
    assert claims(board, "opened-under-reset")
    assert statuses(board)["debug-locked"] in ("excluded", "not-tested")


@pytest.mark.parametrize("tool", sorted(OPENED))
def test_a_reset_that_opened_nothing_says_nothing(tmp_path: Path, tool: str) -> None:
    plain, told, reached = OPENED[tool]
    assert not claims(Bench(tmp_path).text("log", plain + told + plain).first(), "opened-under-reset")
    assert not claims(Bench(tmp_path).text("log", told + reached).first(), "opened-under-reset")
    # A plain connection that worked in between: the second failure is another matter, and so is the way in.
    if tool != "cli":
        assert not claims(Bench(tmp_path).text("log", plain + reached + told + reached).first(), "opened-under-reset")


@pytest.mark.parametrize("tool", sorted(OPENED))
def test_a_plain_connection_that_fails_once_more_afterwards_tells_the_same(tmp_path: Path, tool: str) -> None:
    plain, told, reached = OPENED[tool]
    board = Bench(tmp_path).text("log", plain + told + reached + plain).first()
    assert leading(board) == "door-shut-by-firmware"


def test_words_that_were_read_are_a_way_in(tmp_path: Path) -> None:
    _, told, _ = OPENED["pyocd"]
    view = "08000000:  20050000 08004f21 0800022d 08000231    | ..P.!O..-...1...\n"
    board = Bench(tmp_path).text("log", PYOCD + told + view + PYOCD).first()
    assert claims(board, "opened-under-reset")


def test_with_too_little_supply_no_firmware_is_blamed(tmp_path: Path) -> None:
    low = (CLI_PLAIN + OPENED["cli"][1] + CLI_UR).replace("3.26V", "1.47V")
    board = Bench(tmp_path).text("log", low).first()
    assert not claims(board, "opened-under-reset")
    assert leading(board) == "board-wiring"


def test_a_dump_that_was_read_under_reset_after_a_failure_tells_the_same(tmp_path: Path) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).say('mode = "under-reset"')
    assert leading(b.text("log", PYOCD).first()) == "door-shut-by-firmware"


# ---------------------------------------------------------------- what the firmware itself says that it read back
SEEN = {
    "two lines": "flash: verify failed at 0x08001000\nreadback 0x08001000: {0} expected {1}\n",
    "one line": "[00:12:07.118] E/nvm: verify failed at 0x08001000: read 0x{2:08X}, expected 0x{3:08X}\n",
    "held against": "[nvm] mismatch @ 0x08001000: {2:08x} != {3:08x}\n",
    "two columns": "verify error, addr=08001000\n  expected: {1}\n  actual:   {0}\n",
    "write and read": "program 0x08001000 0x{3:08x}\nverify 0x08001000 0x{2:08x}\n",
    "secure alias": "compare failed addr 0x0C001000 exp 0x{3:08X} got 0x{2:08X}\n",
    "the other way": "read 0x{2:08X} instead of 0x{3:08X} at 0x08001000\n",
}


@pytest.mark.parametrize("form", sorted(SEEN))
@pytest.mark.parametrize("key", ["uart", "log"])
def test_a_readback_that_the_cells_contradict_is_a_stale_view(tmp_path: Path, form: str, key: str) -> None:
    data = flash((0, PROGRAM), size=0x4000)
    here = data[0x1000:0x1004].tobytes()
    old = b"\xff\xff\xff\xff"
    text = SEEN[form].format(old.hex(" "), here.hex(" "), *(int.from_bytes(x, "little") for x in (old, here)))
    board = Bench(tmp_path).dump(data).text(key, f"fw 1.4.2, DCACHE: on\n{text}").first()
    assert leading(board) == "stale-cache"
    assert here.hex(" ").upper() in claims(board, "firmware-sees-other")
    assert claims(board, "cache-told-on")
    # What the cells do not hold was not written: the firmware saw what is there.
    wrong = data.copy()
    wrong[0x1000:0x1004] = 0xFF
    board = Bench(tmp_path).dump(wrong).text(key, text).first()
    assert not claims(board, "firmware-sees-other")
    assert leading(board) != "stale-cache"


@pytest.mark.parametrize(
    "text",
    [
        "boot: app at 0x08001000 is 0x20010000\n",
        "[00:01:02.345] flash write ok at 0x08001000 len 64\n",
        "0x08001000: wrote 0x{0:08x} read 0x{0:08x}\n",
        "ota: crc mismatch, expected 0x{0:08x} got 0x9ABCDEF0\n",
        "verify failed at 0x08001000\n\nidle\nidle\nidle\nidle\nidle\nexpected 0x{0:08x} got 0xFFFFFFFF\n",
    ],
)
def test_prints_of_another_kind_are_no_readback(tmp_path: Path, text: str) -> None:
    data = flash((0, PROGRAM), size=0x4000)
    here = int.from_bytes(data[0x1000:0x1004].tobytes(), "little")
    board = Bench(tmp_path).dump(data).text("uart", text.format(here)).first()
    assert not claims(board, "firmware-sees-other")


def test_a_firmwares_own_log_is_told_by_its_readback(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(SEEN["two lines"].format("ff ff ff ff", "00 00 05 24"), "utf-8")
    folder = sort_evidence([tmp_path / "notes.txt"]).write(tmp_path / "case")
    assert load_case(folder).suspects[0].uart is not None
    reading = explain_text((tmp_path / "notes.txt").read_text("utf-8"))
    assert any("read back FF FF FF FF at 0x08001000 and wanted 00 00 05 24" in r.text for r in reading.remarks)
