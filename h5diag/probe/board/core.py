"""Where the core is and how it got there: samples of the program counter, vector table, resets and faults.

Nothing is halted unless a time for it is given.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from h5diag.case.results import CoreState, ProgramCounter
from h5diag.chip import Chip
from h5diag.errors import InputError, PermissionRefused, TargetError
from h5diag.evidence.files.elf import Named, open_elf
from h5diag.layout import Layout
from h5diag.memory import AddressRange
from h5diag.probe.board.board import Board
from h5diag.probe.board.link import ConnectMode

RCC_RSR = 0x44020CF4
"""Reset status of the STM32H5 (CM RCC_TypeDef.RSR)."""

_RESETS = (
    (26, "reset pin"),
    (27, "brown-out or power-on"),
    (28, "software"),
    (29, "independent watchdog"),
    (30, "window watchdog"),
    (31, "low-power entry"),
)
_PCSR, _VTOR, _DHCSR, _DSCSR = 0xE000101C, 0xE000ED08, 0xE000EDF0, 0xE000EE08
_RESET_SEEN, _LOOKS, _LOOK_S = 1 << 25, 4, 0.01
_FAULTS = (
    ("CFSR", 0xE000ED28),
    ("HFSR", 0xE000ED2C),
    ("DFSR", 0xE000ED30),
    ("MMFAR", 0xE000ED34),
    ("BFAR", 0xE000ED38),
    ("SFSR", 0xE000EDE4),
    ("SFAR", 0xE000EDE8),
)
_NO_SAMPLE = 0xFFFFFFFF


def read_symbols(path: str | Path) -> tuple[Named, ...]:
    """Return the functions of an ELF, by address.

    Raises
    ------
    InputError
        When the file is no ELF or holds no function symbol.
    """
    found = open_elf(path).functions()
    if not found:
        raise InputError("holds no function symbols", source=str(path), advice="give the ELF before stripping")
    return found


def core_state(
    board: Board,
    *,
    samples: int = 16,
    halt_s: float = 0.0,
    layout: Layout | None = None,
    symbols: Iterable[Named] = (),
) -> CoreState:
    """Look where the core is.

    Parameters
    ----------
    board
        A connected chip.
    samples
        How many program counters to take.
    halt_s
        How long the core may be halted in all, for cores that give no sample while they run; 0 never halts. Needs the
        permission `halt` on a board that was attached to.
    layout, symbols
        Name slots and functions.

    Raises
    ------
    PermissionRefused
        When halting was asked for and not allowed.
    ProbeError
        When the link fails.
    """
    remarks: list[str] = []
    with board.locked():
        status, loops = _status(board)
        if loops:
            remarks.append(
                "the chip is reset again and again: between two looks a reset came each time (watchdog, supply, reset line?)"
            )
        counters = [c for c in (_word(board, _PCSR) for _ in range(samples)) if c not in (0, _NO_SAMPLE)]
        halted = 0.0
        if not counters and status & 1 << 17:
            counters = [board.read_core_register("pc")]
        elif not counters and halt_s > 0:
            try:
                counters, halted = _halted_samples(board, samples, halt_s)
            except (PermissionRefused, TargetError) as error:
                remarks.append(f"the core could not be halted for samples: {error}")
        elif not counters:
            secret = not board.secure_allowed and _word(board, _DSCSR) & 1 << 16
            remarks.append(
                "the core gives no samples: it runs secure code, which a non-secure debugger may neither see nor halt"
                if secret
                else "the core gives no samples while it runs: allow it to be halted with --halt SECONDS"
            )
        resets: tuple[str, ...] = ()
        if board.chip.state_option == "PRODUCT_STATE":  # RCC_RSR is at this place in the STM32H5
            flags = _word(board, RCC_RSR)
            resets = tuple(text for bit, text in _RESETS if flags >> bit & 1)
        faults = {n: v for n, a in _FAULTS if (v := _word(board, a))}
        vtor = _word(board, _VTOR)
    known = tuple(symbols)
    return CoreState(
        _state(status),
        tuple(ProgramCounter(c, place_of(board.chip, c, layout, known)) for c in counters),
        vtor,
        resets,
        faults,
        halted,
        tuple(remarks),
    )


def _status(board: Board) -> tuple[int, bool]:
    """Return DHCSR, and whether a reset came between each two of several looks (S_RESET_ST clears when read)."""
    looks = [_word(board, _DHCSR)]
    while len(looks) < _LOOKS and looks[-1] & _RESET_SEEN:
        time.sleep(_LOOK_S)
        looks.append(_word(board, _DHCSR))
    return looks[-1], len(looks) == _LOOKS and bool(looks[-1] & _RESET_SEEN)


def _halted_samples(board: Board, samples: int, halt_s: float) -> tuple[list[int], float]:
    if board.mode is ConnectMode.ATTACH:
        board.permissions.require("halt")
    spent, out = 0.0, list[int]()
    while len(out) < samples and spent < halt_s:
        begun = time.monotonic()
        board.halt()
        out.append(board.read_core_register("pc"))
        board.resume()
        spent += time.monotonic() - begun
    return out, spent


def _word(board: Board, address: int) -> int:
    try:
        return board.read_word(address)
    except TargetError:
        return 0


def _state(dhcsr: int) -> str:
    for bit, text in ((19, "locked up"), (17, "halted"), (18, "sleeping")):
        if dhcsr >> bit & 1:
            return text
    return "running"


def place_of(chip: Chip, address: int, layout: Layout | None = None, symbols: tuple[Named, ...] = ()) -> str:
    """Return a name for where a program counter points: function, slot, or region of the chip."""
    parts = []
    for s in symbols:
        if address in s.range or chip.canonical(address) in AddressRange(
            chip.canonical(s.range.start), chip.canonical(s.range.start) + s.range.size
        ):
            parts.append(s.name)
            break
    canonical = chip.canonical(address)
    slot = layout.slot_at(canonical) if layout is not None else None
    if slot:
        parts.append(slot.name)
    elif canonical in chip.flash_range:
        parts.append("user flash")
    else:
        parts.append(_region(chip, address))
    return ", ".join(parts)


def _region(chip: Chip, address: int) -> str:
    try:
        region = chip.region_at(address)
    except KeyError:
        return "nowhere known"
    return {"system": "ROM boot loader or RSS (system flash)", "ram": region.name}.get(region.kind, region.name)
