"""What other tools than STM32CubeProgrammer say that they wrote: where, how much, and whether it was read back."""

import pytest

from h5diag.evidence.texts import parse_log
from h5diag.evidence.texts.programming import ReadBack

OPENOCD = "Open On-Chip Debugger 0.12.0\n** Programming Started **\nwrote 20480 bytes from file out/app.elf in 0.61s (32 KiB/s)\n"
OPENOCD += "** Programming Finished **\n** Verify Started **\n"
GDB = """(gdb) load
Loading section .isr_vector, size 0x24c lma 0x8000000
Loading section .text, size 0x4a14 lma 0x8000250
Start address 0x08001234, load size 19552
"""
PYOCD = """0000812 I Target type is stm32h563zi [board]
0002345 I Loading C:\\fw\\App 2.bin at 0x08010000 [load_cmd]
0004567 I Erased 40960 bytes (5 sectors), programmed 40960 bytes (80 pages), skipped 0 bytes (0 pages) at 20.11 kB/s [loader]
"""
JLINK = """SEGGER J-Link Commander V7.94
Downloading file [app.hex]...
J-Link: Flash download: Bank 0 @ 0x08000000: 1 range affected (65536 bytes)
J-Link: Flash download: Total: 1.234s (Prepare: 0.05s, Compare: 0.01s)
"""
ST_FLASH = """st-flash 1.8.0
file app.bin md5 checksum: 51891abe16bfd9fa234e522b8a4d87, stlink checksum: 0x006b9a59
INFO common_flash.c: Attempting to write 39160 (0x98f8) bytes to stm32 address: 134217728 (0x8000000)
ERROR common_flash.c: Flash programming error: 0x00000080
stlink_fwrite_flash() == -1
"""
DFU = "dfu-util 0.11\nDownloading element to address = 0x08008000, size = 2048\nFile downloaded successfully\n"


@pytest.mark.parametrize(
    ("text", "kind", "file", "address", "size", "complete", "check", "failed"),
    [
        (f"{OPENOCD}verified 18964 bytes in 0.21s\n", "openocd", "out/app.elf", None, 18964, True, "verified", False),
        (f"{OPENOCD}** Verify Failed **\n", "openocd", "out/app.elf", None, 0, True, "failed", True),
        (GDB, "gdb-server", "", 0x0800_0000, 0x250 + 0x4A14, True, "not-checked", False),
        (PYOCD, "pyocd", "C:\\fw\\App 2.bin", 0x0801_0000, 0, True, "not-checked", False),
        (JLINK, "j-link", "app.hex", 0x0800_0000, 0, True, "not-checked", False),
        (ST_FLASH, "st-info", "app.bin", 0x0800_0000, 39160, False, "not-checked", True),
        (DFU, "dfu", "", 0x0800_8000, 2048, True, "not-checked", False),
    ],
)
def test_a_write_of_another_tool_is_told(text, kind, file, address, size, complete, check, failed):
    log = parse_log(text)
    (w,) = log.programming.writes
    assert log.kind.value == kind
    assert (w.file, w.address, w.size, w.complete, w.check.value, w.failed) == (
        file, address, size, complete, check, failed,
    )  # fmt: skip


def test_two_files_are_two_writes_and_the_first_difference_keeps_its_place():
    text = PYOCD + PYOCD.replace("App 2", "App 3").replace("0x08010000", "0x08020000")
    assert [w.address for w in parse_log(text).programming.writes] == [0x0801_0000, 0x0802_0000]
    bad = f"{OPENOCD}diff 0 address 0x08001000. Was 0xff instead of 0x60\ndiff 1 address 0x08001004. Was 0xff instead of 0x61\n"
    (w,) = parse_log(bad).programming.writes
    assert (w.mismatch, w.check) == (0x0800_1000, ReadBack.FAILED)


def test_the_checksum_of_st_flash_is_kept_without_its_leading_zeros():
    (w,) = parse_log(ST_FLASH).programming.writes
    assert int(w.md5, 16) == int("51891abe16bfd9fa234e522b8a4d87", 16)


def test_a_text_of_the_programmer_keeps_its_own_writes():
    text = "STM32CubeProgrammer v2.18\nOpening and parsing file: app.bin\n  File : app.bin\n  Size : 2.00 KB\n"
    text += "  Address : 0x08000000\nDownload verified successfully\n"
    log = parse_log(text)
    assert (log.kind.value, log.programming.tool, log.programming.writes[0].size) == ("programming", "", 2048)
