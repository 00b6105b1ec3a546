"""Where a chip, a boot loader or a firmware really looks: boot pin, slots of another layout, the other bank."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.evidence.files import write_image
from h5diag.evidence.texts.registers import core_registers
from h5diag.judge import diagnose
from h5diag.memory import MemoryImage, Segment

from .bench import BASE, Bench, Bytes, flash, leading, listing, program, programmed, statuses
from .test_starts import G0, options, said

PROGRAM = program(91)


def signed(body: Bytes, version: tuple[int, int, int] = (1, 2, 0)) -> Bytes:
    """Return an image with header and hash, as a signing tool makes it."""
    head = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 0x400, 0, body.size, 0, *version, 0, 0).ljust(0x400, b"\0")
    plain = head + body.tobytes()
    tail = struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + hashlib.sha256(plain).digest()
    return np.frombuffer(plain + tail, np.uint8).copy()


# ---------------------------------------------------------------- the core in its ROM boot loader
GDB = """(gdb) target extended-remote :3333
0x1fff0de6 in ?? ()
(gdb) info registers lr pc
lr             0x1fff0cd1          0x1fff0cd1
pc             0x1fff0de6          0x1fff0de6
(gdb) x/2xw 0x08000000
0x8000000:\t0x20040000\t0x08000201
"""
SESSIONS = {
    "gdb": GDB,
    "gdb without registers": GDB.replace("pc ", "psp "),
    "openocd": "> reg pc\npc (/32): 0x1fff0de6\n> mdw 0x08000000 2\n0x08000000: 20040000 08000201\n",
    "jlink": "J-Link>h\nPC = 1FFF0DE6, CycleCnt = 00000000\nJ-Link>mem32 0x08000000 2\n08000000 = 20040000 08000201\n",
}


@pytest.mark.parametrize("tool", SESSIONS)
@pytest.mark.parametrize(
    ("dev_id", "values", "pin"),
    [
        (0x456, G0 | {"nBOOT_SEL": 0}, "nBOOT_SEL 0 lets the pin BOOT0 decide, which is PA14 (SWCLK) here"),
        (0x493, G0 | {"nBOOT_SEL": 0}, "PA14 (SWCLK)"),
        (
            0x468,
            {"RDP": 0xAA, "IWDG_SW": 1, "nSWBOOT0": 1, "nBOOT0": 1},
            "nSWBOOT0 1 lets the pin BOOT0 decide, which is PB8",
        ),
        (0x415, {"RDP": 0xAA, "IWDG_SW": 1, "nBOOT1": 1}, ""),
    ],
)
def test_a_core_in_its_rom_says_what_the_options_leave_to_the_pin(
    tmp_path: Path, tool: str, dev_id: int, values: dict[str, int], pin: str
) -> None:
    brought = tmp_path / "brought"
    brought.mkdir()
    (brought / "session.txt").write_text(SESSIONS[tool], "utf-8")
    (brought / "ob.txt").write_text(options(dev_id, **values), "utf-8")
    (brought / "read.bin").write_bytes(flash((0, PROGRAM), size=0x10000).tobytes())
    write_image(MemoryImage((Segment(BASE, PROGRAM),)), brought / "app.hex")
    sort_evidence([brought]).write(tmp_path / "case")
    d = diagnose(load_case(tmp_path / "case"))
    assert leading(d.first) == "starts-elsewhere"
    assert "0x1FFF0DE6" in said(d.first, "core-in-rom")
    assert pin in said(d.first, "core-in-rom")
    assert d.to_dict()["input_remarks"] == []


def test_what_is_no_register_of_the_core_gives_none() -> None:
    text = "pc: see below\nPCLK 0x08000000\nepc = 0x08000000\npc 12345678\nwarning: pc 0x\n.pc: 0x08000100\n"
    assert list(core_registers(text)) == []
    assert list(core_registers("PC=0x800\npc: 08000ABC\nICACHE_CR = 0x1\n")) == [
        ("PC", 0x800),
        ("PC", 0x08000ABC),
        ("ICACHE_CR", 1),
    ]


@pytest.mark.parametrize("dev_id", [0x466, 0x493])
def test_a_pin_that_the_options_overrule_is_told_beside_a_sound_flash(tmp_path: Path, dev_id: int) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x10000)).image("app.hex", PROGRAM)
    board = b.text("options", options(dev_id, **G0)).first()
    assert "(nBOOT_SEL 1, nBOOT0 1)" in said(board, "boot-pin-unused")
    assert board.verdict.word.value == "sound"
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other").dump(flash((0, program(5)), size=0x10000)).image("app.hex", PROGRAM)
    assert not said(other.text("options", options(dev_id, **G0)).first(), "boot-pin-unused")


# ---------------------------------------------------------------- images for the slots of another layout
def refused(b: Bench) -> Bench:
    lines = [
        "Starting bootloader",
        "Swap type: none",
        "Image in the primary slot is not valid!",
        "Unable to find bootable image",
    ]
    return b.text("uart", "".join(f"[{'ERR' if i > 1 else 'INF'}] {x}\n" for i, x in enumerate(lines)))


@pytest.mark.parametrize(
    ("layout", "off", "looked"),
    [("oemirot-2m-overwrite", 0x10000, 0x08018000), ("oemirot-2m-swap", -0x10000, 0x08028000)],
)
def test_images_of_another_layout_stand_where_the_loader_does_not_look(
    tmp_path: Path, layout: str, off: int, looked: int
) -> None:
    image = signed(program(3, 0x4000))
    at = looked - BASE + off
    b = refused(Bench(tmp_path).head(f'layout = "{layout}"').dump(flash((0, PROGRAM), (at, image))))
    board = b.image("app_sign.hex", image, BASE + at).log(programmed("app_sign.hex", BASE + at, 17)).first()
    assert leading(board) == "wrong-placement"
    assert statuses(board)["image-refused"] != "supported"
    assert f"0x{looked:08X}" in said(board, "slots-without-image")


def test_an_image_in_its_slot_may_be_refused_beside_a_stray_one(tmp_path: Path) -> None:
    one, two = signed(program(3, 0x4000)), signed(program(4, 0x3000))
    cells = flash((0, PROGRAM), (0x18000, one), (0x1C0000, two))
    board = refused(Bench(tmp_path).head('layout = "oemirot-2m-overwrite"').dump(cells)).first()
    assert not said(board, "slots-without-image")
    assert statuses(board)["image-refused"] in ("supported", "possible")


# ---------------------------------------------------------------- an erase that went to the other bank
@pytest.mark.parametrize("swap", [1, 0])
@pytest.mark.parametrize("told", [True, False])
def test_an_erase_one_bank_from_the_hole_is_named(tmp_path: Path, swap: int, told: bool) -> None:
    whole = flash((0, PROGRAM), (0x100000, program(6)))
    holed = whole.copy()
    holed[0x4000:0x6000] = 0xFF
    b = Bench(tmp_path).dump(holed).image("app.hex", PROGRAM)
    b.text("options", listing(SWAP_BANK=f"0x{swap} (bank 1 and bank 2 {'' if swap else 'not '}swapped)"))
    if told:
        b.text(
            "uart", "fw: update of 8 KiB\nflash: erasing page at 0x08104000 (bank 2, page 2)\nflash: not blank, -5\n"
        )
    board = b.first()
    assert bool(said(board, "firmware-erased-mirror")) is told
    assert (leading(board) == "wrong-bank-erase") is told
    assert ("0x08104000 to 0x08105FFF" in said(board, "piece-erased-inside")) is bool(swap)


def test_an_erase_of_the_hole_itself_is_the_firmwares_own(tmp_path: Path) -> None:
    holed = flash((0, PROGRAM))
    holed[0x4000:0x6000] = 0xFF
    b = Bench(tmp_path).dump(holed).image("app.hex", PROGRAM).text("options", listing())
    board = b.text("uart", "erasing 0x08104000 later\nerasing 0x08004000 now\n").first()
    assert said(board, "firmware-erased-there")
    assert not said(board, "firmware-erased-mirror")


def test_zeros_of_a_secure_area_name_it(tmp_path: Path) -> None:
    secure = listing(TZEN="0xB4 (Trust zone enabled)", SECWM2_STRT="0x0 (0x8100000)", SECWM2_END="0x7F (0x81FE000)")
    board = Bench(tmp_path).dump(flash(size=0x40000, fill=0), base=BASE + 0x100000).text("options", secure).first()
    assert "SECWM2" in said(board, "all-zero-and-secure")


# ---------------------------------------------------------------- an application over its boot loader
OVERLAY = """&flash0 {
\tpartitions {
\t\tcompatible = "fixed-partitions";
\t\tboot_partition: partition@0 { label = "mcuboot"; reg = <0x00000000 DT_SIZE_K(64)>; };
\t\tslot0_partition: partition@10000 { label = "image-0"; reg = <0x00010000 DT_SIZE_K(128)>; };
\t\tslot1_partition: partition@30000 { label = "image-1"; reg = <0x00030000 DT_SIZE_K(128)>; };
\t};
};
"""


@pytest.mark.parametrize("layout", [True, False])
@pytest.mark.parametrize(("dev_id", "encoding"), [(0x483, "utf-16"), (0x469, "utf-8")])
def test_an_application_over_its_boot_loader_is_misplaced(
    tmp_path: Path, layout: bool, dev_id: int, encoding: str
) -> None:
    image = signed(program(7, 0x6000, BASE + 0x400))
    brought = tmp_path / "brought"
    brought.mkdir()
    for name, data in (("mcuboot.hex", PROGRAM), ("app.signed.hex", image)):
        write_image(MemoryImage((Segment(BASE, data),)), brought / name)
    (brought / "read.bin").write_bytes(flash((0, image), size=0x80000).tobytes())
    runs = programmed("mcuboot.hex", BASE, 36) + programmed("app.signed.hex", BASE, 25)
    (brought / "west.txt").write_text(f"Device ID   : 0x{dev_id:03X}\n{runs}", encoding)
    if layout:
        (brought / "board.overlay").write_text(OVERLAY, "utf-8")
    sort_evidence([brought]).write(tmp_path / "case")
    board = diagnose(load_case(tmp_path / "case")).first
    assert leading(board) == "wrong-placement"
    assert statuses(board)["programming-incomplete"] != "supported"
    assert "mcuboot.hex is gone" in said(board, "file-overwritten")
    if layout:
        assert "0x08010000" in said(board, "slots-without-image")
    else:
        assert "0x08000000" in said(board, "image-where-the-chip-starts")


def test_a_padded_image_is_no_read_of_a_flash(tmp_path: Path) -> None:
    image = flash((0, signed(program(7, 0x6000))), size=0x20000)
    image[-16:] = np.frombuffer(bytes.fromhex("77c295f360d2ef7f3552500f2cb67980"), np.uint8)
    for name, data in (("padded.bin", image), ("whole.bin", flash((0, image[:0x7000]), size=0x20000))):
        (tmp_path / name).write_bytes(data.tobytes())
        sorted_in = sort_evidence([tmp_path / name]).boards
        dumps = [e.path.name for b in sorted_in.suspects for e in b.files if e.role.value == "dumps"]
        assert dumps == (["whole.bin"] if name == "whole.bin" else [])
