"""Bundled boards: what is in the flash, in the option bytes and in the core of a virtual chip when it is taken up.

``sound`` is a development board (TrustZone off, Open), ``founding`` the suspect of the founding case, ``defect`` the
sound board with a flash that fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.memory import MemoryImage
from h5diag.virtual.faults import Fault, Setup, parse_fault

_RESET_FLAGS = 1 << 26 | 1 << 27
_CFSR, _HFSR = 0xE000ED28, 0xE000ED2C


@dataclass(frozen=True, slots=True, eq=False)
class Board:
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
    rev_id: int = 0x1007
    package: int = 4
    hdp_level: int = 1
    reset_flags: int = _RESET_FLAGS
    fault_registers: tuple[tuple[int, int], ...] = ()
    faults: tuple[Fault, ...] = field(default=())


def factory_options(chip: Chip) -> dict[str, int]:
    """Return the ``_CUR`` registers of a new part: Open, TrustZone off, nothing protected or hidden."""
    values = {r.name: 0 for r in chip.registers if r.name.endswith("_CUR")}
    settings = {o.name: o.factory for o in chip.options if o.factory >= 0}
    settings |= {"BOOT_UBE": 0xB4, "TZEN": 0xC3, "SECWM1_STRT": 0x7F, "SECWM1_END": 0, "SECWM2_STRT": 0x7F,
                 "SECWM2_END": 0}
    return with_options(chip, values, settings)


def with_options(chip: Chip, registers: dict[str, int], settings: dict[str, int]) -> dict[str, int]:
    """Return the registers with options set by the names that STM32CubeProgrammer gives them."""
    out = dict(registers)
    for name, value in settings.items():
        option = chip.option(name)
        if option.register in out:
            out[option.register] = chip.register(option.register).field(option.field).put(out[option.register], value)
    return out


def load_board(setup: Setup, chip: Chip) -> Board:
    """Return the board that `setup` names; its UID follows from board and seed."""
    uid = np.random.default_rng([setup.seed, len(setup.board), ord(setup.board[0])]).bytes(12)
    if setup.board == "founding":
        return replace(_founding(chip), uid=uid)
    board = replace(_sound(chip), uid=uid)
    if setup.board == "defect":
        texts = ("dead-sector@0x08040000-0x08042000,fails=1", "cell-stuck@0x08061230-0x08061240,bit=21,value=1",
                 "stuck-bit@0x08052008-0x0805200C,bit=9,value=0")
        board = replace(board, faults=tuple(parse_fault(t) for t in texts))
    return board


def _sound(chip: Chip) -> Board:
    flash = np.full(chip.flash.size, 0xFF, np.uint8)
    base = chip.flash.base
    _put(flash, 0, firmware(chip, 0x48000, base, 1))
    _put(flash, chip.flash.bank_size, firmware(chip, 0x11000, base + chip.flash.bank_size, 2))
    _put(flash, chip.flash.size - 0x2000, b"serial=H5-000417;calibration=" + bytes(range(64)))
    walk = tuple(base + 0x2000 + 2 * i for i in (5, 9, 130, 7, 2048, 12))
    return Board(flash, factory_options(chip), b"", walk, base)


def firmware(chip: Chip, size: int, base: int, seed: int) -> bytes:
    """Return `size` bytes that look like Thumb code: vector table, instructions, tables, text and zeros."""
    rng = np.random.default_rng(seed)
    out = rng.choice(np.array([0xBF00, 0x4770, 0x2000, 0xB510, 0xBD10, 0x4B03, 0x681A, 0xF000, 0x3301, 0x6013],
                              "<u2"), size // 2)
    some = rng.integers(0, size // 2, size // 8)
    out[some] = rng.integers(0, 0x10000, some.size)
    image = bytearray(out.tobytes())
    handlers = [0x20040000, base + 0x2001] + [base + 0x2101 + 16 * i for i in range(14)]
    image[:64] = np.array(handlers, "<u4").tobytes()
    for at in range(0x8000, size - 0x1000, 0x8000):
        image[at:at + 0x400] = bytes(0x400)
        image[at + 0x400:at + 0x420] = b"table %08x " % at + bytes(16)
    return bytes(image)


def _founding(chip: Chip) -> Board:
    settings = {"TZEN": 0xB4, "SECWM1_STRT": 0, "SECWM1_END": 0x7F, "SECWM2_STRT": 0x7F, "SECWM2_END": 0,
                "SRAM2_RST": 0, "SRAM2_ECC": 0}
    options = with_options(chip, factory_options(chip), settings)
    secure = chip.flash.secure_base
    walk = (secure + 0x2A10, secure + 0x2A12, secure + 0x2A10)
    board = Board(np.full(chip.flash.size, 0xFF, np.uint8), options, b"", walk, secure,
                  hdp_level=1, reset_flags=_RESET_FLAGS | 1 << 28)
    bundled = _bundled(chip)
    if bundled is not None:
        return replace(board, flash=bundled[0], options=with_options(chip, options, bundled[1]))
    flash = board.flash.copy()
    rng = np.random.default_rng(5)
    _put(flash, 0, firmware(chip, 0x16000, secure, 3))
    header = bytes.fromhex("3db8f396 00000000 0004 0c00 104c0000 04000000 01000000 00000000 00000000".replace(" ", ""))
    magic = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
    _put(flash, 0xBE000, header)
    _put(flash, 0xBE400, rng.bytes(0x4C10 + 0x118))
    _put(flash, 0xC4000 - 16, magic)
    return replace(board, flash=flash)


def _bundled(chip: Chip) -> tuple[npt.NDArray[np.uint8], dict[str, int]] | None:
    """Return flash and options of the founding suspect out of the bundled case, or None when it is not there."""
    folder = data_folder() / "founding"
    if not (folder / "case.toml").exists():
        return None
    import tomllib

    from h5diag.files import read_image

    try:
        suspect = tomllib.loads((folder / "case.toml").read_text("utf-8"))["suspect"]
        flash = np.full(chip.flash.size, 0xFF, np.uint8)
        for name in suspect.get("cells", suspect["dumps"])[:1]:
            _fill(flash, chip, read_image(folder / name))
        return flash, {}
    except (KeyError, IndexError, InputError):
        return None


def _fill(flash: npt.NDArray[np.uint8], chip: Chip, image: MemoryImage) -> None:
    for segment in image.segments:
        at = chip.canonical(segment.start) - chip.flash.base
        if 0 <= at < flash.size:
            n = min(segment.data.size, flash.size - at)
            flash[at:at + n] = segment.data[:n]


def data_folder() -> Path:
    """Return the folder of the bundled data: inside the installed package, or beside it in a checkout."""
    package = Path(str(resources.files("h5diag")))
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent / "data"


def _put(flash: npt.NDArray[np.uint8], offset: int, data: bytes) -> None:
    flash[offset:offset + len(data)] = np.frombuffer(data, np.uint8)
