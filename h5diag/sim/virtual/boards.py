"""Bundled boards: what is in the flash, in the option bytes and in the core of a virtual chip when it is taken up.

``sound`` is a development board (TrustZone off, Open), ``founding`` the suspect of the founding case, ``defect`` the
sound board with a flash that fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.evidence.samples import data_folder
from h5diag.memory import AddressRange, MemoryImage
from h5diag.sim.virtual.faults import FaultKind, Injected, Setup, parse_fault

_RESET_FLAGS = 1 << 26 | 1 << 27
_REVISION = 0x1007


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A board as it lies on the bench.

    Parameters
    ----------
    flash
        ``uint8``: the whole user flash in bank order.
    options
        Values of the ``_CUR`` registers by name.
    uid
        12 bytes.
    walk
        Program counters at which the running core is found.
    vtor, fault_registers
        Vector table address, and words of the core's fault registers by address.
    reset_flags
        RCC_RSR.
    rev_id, package, hdp_level
        Revision, package code, HDP level 0 to 3.
    faults
        What is wrong with this very board.
    """

    flash: npt.NDArray[np.uint8]
    options: dict[str, int]
    uid: bytes
    walk: tuple[int, ...]
    vtor: int
    rev_id: int = _REVISION
    package: int = 4
    hdp_level: int = 1
    reset_flags: int = _RESET_FLAGS
    fault_registers: tuple[tuple[int, int], ...] = ()
    faults: tuple[Injected, ...] = field(default=())


def factory_options(chip: Chip) -> dict[str, int]:
    """Return the ``_CUR`` registers of a new part: Open, TrustZone off, nothing protected or hidden."""
    values = {r.name: 0 for r in chip.registers if r.name.endswith("_CUR")}
    settings = {o.name: o.factory for o in chip.options if o.factory is not None}
    settings |= {"BOOT_UBE": 0xB4, "TZEN": 0xC3, "SECWM1_END": 0, "SECWM2_END": 0}
    for name in ("SECWM1_STRT", "SECWM2_STRT"):  # the last sector of the bank: a start behind the end covers nothing
        field = chip.register(chip.option(name).register).field(chip.option(name).field)
        settings[name] = field.get(0xFFFFFFFF)
    return with_options(chip, values, settings)


def with_options(chip: Chip, registers: dict[str, int], settings: dict[str, int]) -> dict[str, int]:
    """Return the registers with options set by the names that STM32CubeProgrammer gives them."""
    out = dict(registers)
    for name, value in settings.items():
        option = chip.option(name)
        if option.register in out:
            out[option.register] = chip.register(option.register).field(option.field).put(out[option.register], value)
    return out


def load_board(setup: Setup, chip: Chip) -> Bench:
    """Return the board that `setup` names; its UID follows from board and seed."""
    uid = np.random.default_rng([setup.seed, len(setup.board), ord(setup.board[0])]).bytes(12)
    if setup.board == "founding":
        return replace(_founding(chip), uid=uid)
    board = replace(_sound(chip), uid=uid)
    return replace(board, faults=_defects(chip)) if setup.board == "defect" else board


@lru_cache(maxsize=8)
def _sound(chip: Chip) -> Bench:
    flash = np.full(chip.flash.size, 0xFF, np.uint8)
    base, bank = chip.flash.base, chip.flash.bank_size
    _put(flash, 0x40000, firmware(chip, 0x30000, base + 0x40000, 1))
    _put(flash, bank, firmware(chip, 0x11000, base + bank, 2))
    _put(flash, chip.flash.size - 0x2000, b"serial=H5-000417;calibration=" + bytes(range(64)))
    if not _program(flash, chip, "images/standalone.hex"):
        _put(flash, 0, firmware(chip, 0x20000, base, 4))
    walk = tuple(base + 0x400 + 2 * i for i in (5, 9, 130, 7, 260, 12))
    known = [r.id for r in chip.revisions]
    rev_id = _REVISION if _REVISION in known or not known else known[-1]
    return Bench(flash, factory_options(chip), b"", walk, base, rev_id)


@lru_cache(maxsize=8)
def _defects(chip: Chip) -> tuple[Injected, ...]:
    """Return the stuck cells by which the two boards of the bundled case differ, or two of our own choice."""
    out: list[Injected] = []
    good, bad = _image("defect/good.hex"), _image("defect/suspect-1.hex")
    for segment in good.segments:
        if not bad.covers(segment.start, segment.stop):
            continue
        other = bad.read(segment.start, segment.stop)
        for i in np.flatnonzero(segment.data != other):
            at = chip.canonical(segment.start + int(i))
            quad = at // chip.flash.program_unit * chip.flash.program_unit
            for bit in range(8):
                if (int(segment.data[i]) ^ int(other[i])) >> bit & 1:
                    settings = (("bit", float((at - quad) * 8 + bit)), ("value", float(int(other[i]) >> bit & 1)))
                    where = AddressRange(quad, quad + chip.flash.program_unit)
                    out.append(Injected(FaultKind.CELL_STUCK, where, settings))
    return tuple(out) or tuple(parse_fault(f"cell-stuck@0x08026A40-0x08026A50,value=0,bit={b}") for b in (29, 97))


def firmware(chip: Chip, size: int, base: int, seed: int) -> bytes:
    """Return `size` bytes that look like Thumb code: vector table, instructions, tables, text and zeros."""
    rng = np.random.default_rng(seed)
    out = rng.choice(
        np.array([0xBF00, 0x4770, 0x2000, 0xB510, 0xBD10, 0x4B03, 0x681A, 0xF000, 0x3301, 0x6013], "<u2"), size // 2
    )
    some = rng.integers(0, size // 2, size // 8)
    out[some] = rng.integers(0, 0x10000, some.size)
    image = bytearray(out.tobytes())
    handlers = [0x20040000, base + 0x2001] + [base + 0x2101 + 16 * i for i in range(14)]
    image[:64] = np.array(handlers, "<u4").tobytes()
    for at in range(0x8000, size - 0x1000, 0x8000):
        image[at : at + 0x400] = bytes(0x400)
        image[at + 0x400 : at + 0x420] = b"table %08x " % at + bytes(16)
    return bytes(image)


@lru_cache(maxsize=8)
def _founding(chip: Chip) -> Bench:
    """Return the custom board of the founding case: both download slots filled, the boot stage never ran."""
    from h5diag.evidence.texts import parse_listing

    settings = {
        "TZEN": 0xB4,
        "PRODUCT_STATE": 0x17,
        "SECWM1_STRT": 0,
        "SECWM1_END": 0xE,
        "SECWM2_STRT": 0x7F,
        "SECWM2_END": 0,
        "SRAM2_RST": 0,
        "SRAM2_ECC": 0,
        "WRPSGn1": 0xFFFFFFF8,
        "HDP1_STRT": 0,
        "HDP1_END": 0xB,
    }
    listing = data_folder() / "founding" / "suspect-ob.txt"
    known = {o.name for o in chip.options}
    if listing.exists():
        settings |= {o.name: o.value for o in parse_listing(listing.read_text("utf-8")).fields if o.name in known}
    settings |= {"SECBOOTADD": 0xC0000, "SECBOOT_LOCK": 0xB4}  # the listing was read non-secure, which shows zeros
    flash = np.full(chip.flash.size, 0xFF, np.uint8)
    boot = data_folder() / "images" / "boot.bin"
    _put(flash, 0, boot.read_bytes() if boot.exists() else firmware(chip, 0x1400, chip.flash.secure_base, 3))
    slots = [_program(flash, chip, f"images/{name}_enc_sign_b.hex") for name in ("secure", "nonsecure")]
    if not all(slots):
        header = bytes.fromhex("3db8f3960000000000040000104c000004000000010000000000000000000000")
        _put(flash, 0xBE000, header)
        _put(flash, 0xBE400, np.random.default_rng(5).bytes(0x4C10 + 0x118))
        _put(flash, 0xC4000 - 16, bytes.fromhex("77c295f360d2ef7f3552500f2cb67980"))
    rom = chip.region("SYSTEM").base + 0x17000
    walk = tuple(rom + 2 * i for i in (0x120, 0x123, 0x124, 0x122))
    return Bench(flash, with_options(chip, factory_options(chip), settings), b"", walk, rom)


def _image(name: str) -> MemoryImage:
    """Return a bundled file; empty when it is not there."""
    from h5diag.evidence.files import read_image

    path = data_folder() / name
    return read_image(path) if path.exists() else MemoryImage()


def _program(flash: npt.NDArray[np.uint8], chip: Chip, name: str) -> bool:
    image = _image(name)
    _fill(flash, chip, image)
    return bool(image.size)


def _fill(flash: npt.NDArray[np.uint8], chip: Chip, image: MemoryImage) -> None:
    for segment in image.segments:
        at = chip.canonical(segment.start) - chip.flash.base
        if 0 <= at < flash.size:
            n = min(segment.data.size, flash.size - at)
            flash[at : at + n] = segment.data[:n]


def _put(flash: npt.NDArray[np.uint8], offset: int, data: bytes) -> None:
    room = flash[offset : offset + len(data)]
    room[:] = np.frombuffer(data, np.uint8)[: room.size]
