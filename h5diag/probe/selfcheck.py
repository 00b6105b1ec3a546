"""Every assumption that driver and facts make about probe and chip, looked at on the real thing: read-only.

Nobody of this project has seen every probe on every chip. What holds on the virtual chip is held against what is
connected, line by line, with the source of each expectation; a redacted recording of the session can be sent in and
replays in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from h5diag.chip import Chip
from h5diag.errors import TargetError
from h5diag.measure.options import Belief
from h5diag.memory import Access
from h5diag.probe.board import Board, identify, supply_mv
from h5diag.probe.board.identity import options_of
from h5diag.probe.board.link import look_at_ports
from h5diag.text import count_text

_SUPPLY_MV = (1710, 3600)
_PIECE, _SINGLE, _BURST = 0x4000, 64, 500
_SPEEDS_HZ = (1_000_000, 4_000_000)
_CPUID, _DHCSR, _DAUTHSTATUS, _PCSR = 0xE000ED00, 0xE000EDF0, 0xE000EFB8, 0xE000101C
_S_SDE, _SID_ON = 1 << 20, 0x30


@dataclass(frozen=True, slots=True)
class SelfCheckRow:
    """One assumption: what is expected and why, what was seen, and whether it agrees (None: it could not be told)."""

    id: str
    expected: str
    seen: str
    agrees: bool | None
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row of the contract."""
        return {n: getattr(self, n) for n in ("id", "expected", "seen", "agrees", "source")}


@dataclass(slots=True)
class _Look:
    """A board under the looks, and the words that must not leave the machine."""

    board: Board
    private: set[int] = field(default_factory=set)
    public: set[int] = field(default_factory=set)

    def word(self, address: int, access: Access | None = None) -> int:
        value = self.board.read_word(address, access=access)
        self.public.add(value)
        return value

    def data(self, start: int, stop: int, access: Access | None = None) -> np.ndarray[Any, np.dtype[np.uint32]]:
        words = self.board.read_words(start, (stop - start) // 4, access=access)
        self.private.update(int(w) for w in np.unique(words))
        return words


def selfcheck(
    board: Board, *, progress: Callable[[float], None] = lambda fraction: None
) -> tuple[tuple[SelfCheckRow, ...], frozenset[int]]:
    """Return the table of assumptions, and the words of flash and identity that a recording must not hold.

    Writes nothing but the debugger's own registers; takes a minute at most.

    Raises
    ------
    ProbeError
        When the link fails for good.
    """
    look, rows = _Look(board), list[SelfCheckRow]()
    progress(0.0)
    for i, (name, source, check) in enumerate(_CHECKS):
        try:
            for number, (expected, seen, agrees) in enumerate(check(look), 1):
                rows.append(SelfCheckRow(f"{name}-{number}", expected, seen, agrees, source))
        except TargetError as error:
            board.still_there()  # raises when the chip is not there any more: then no line is about it
            rows.append(SelfCheckRow(name, "readable", str(error), False, source))
        except KeyError as error:
            rows.append(
                SelfCheckRow(name, "a fact of the chip file", f"the chip file has none ({error.args[0]})", None, source)
            )
        progress((i + 1) / len(_CHECKS))
    return tuple(rows), frozenset(look.private - look.public)


Seen = Iterator[tuple[str, str, bool | None]]


def _hex(value: int | None) -> str:
    return "not readable" if value is None else f"0x{value:08X}"


def _ports(look: _Look) -> Seen:
    board = look.board
    with board.locked():
        ports = look_at_ports(board.target.session.probe, board.chip)
        for cached in (board.target.dp, *board.target.dp.aps.values()):
            cached._invalidate_cache()
    wanted = board.chip.identity.dpidr
    yield (
        " or ".join(map(_hex, wanted)) or "any",
        f"DPIDR {_hex(ports.dpidr)}",
        ports.dpidr in wanted if wanted else None,
    )
    yield "0x54770002", f"AP0 IDR {_hex(ports.system)}", ports.system == 0x54770002
    yield "0x84770001", f"AP1 IDR {_hex(ports.core)}", ports.core == 0x84770001
    both = ports.status is not None and ports.status >> 1 & 1 == 1 and ports.status >> 17 & 1 == 1
    yield "AP1 present and enabled (bits 1, 17)", f"DBGMCU_SR {_hex(ports.status)}", both


def _core(look: _Look) -> Seen:
    value = look.word(_CPUID)
    yield "0x410FD21x", f"CPUID {_hex(value)}", value & ~0xF == 0x410FD210


def _identity_words(look: _Look) -> Seen:
    chip = look.board.chip
    seen = [look.word(a) for a in chip.identity.idcode]
    places = ", ".join(f"0x{a:08X} {_hex(v)}" for a, v in zip(chip.identity.idcode, seen, strict=True))
    yield (
        f"DEV_ID 0x{chip.identity.dev_id:03X}",
        places,
        all(v & chip.identity.dev_id_mask == chip.identity.dev_id for v in seen),
    )
    yield "the same word at every place", places, len(set(seen)) == 1
    revisions = {r.id: r.letter for r in chip.revisions}
    named = f"one of {', '.join(sorted(revisions.values()))}" if revisions else "the chip file names none"
    yield named, f"REV_ID 0x{seen[0] >> 16:04X}", seen[0] >> 16 in revisions if revisions else None
    size = look.word(chip.identity.flash_size) & 0xFFFF
    yield f"{chip.flash.size // 1024} KiB", f"{size} KiB", size == chip.flash.size // 1024
    if chip.identity.uid is not None:
        uid = look.data(chip.identity.uid, chip.identity.uid + 12)
        yield "three words, none zero or all ones", "as expected" if _lively(uid) else "zero or all ones", _lively(uid)


def _lively(words: np.ndarray[Any, np.dtype[np.uint32]]) -> bool:
    return not any(int(w) in (0, 0xFFFFFFFF) for w in words)


def _options(look: _Look) -> Seen:
    board = look.board
    who = identify(board)
    look.private.update(int(who.uid[i : i + 8], 16) for i in range(0, 24, 8) if who.uid)
    look.public.update(v for v in who.registers.values() if v is not None)
    state = who.product_state_text or "not known"
    yield "a known product state", state, who.product_state is not None
    names = {r.name for r in board.chip.registers}
    apart = []
    access = Access.SECURE if board.secure_allowed else Access.NONSECURE
    for name in sorted(n for n in names if n.endswith("_CUR") and n.removesuffix("_CUR") + "_PRG" in names):
        other = board.register(name.removesuffix("_CUR") + "_PRG", access=access)
        look.public.add(other)
        if who.registers.get(name.lower()) != other:
            apart.append(name.removesuffix("_CUR"))
    yield "current and prepared options alike", ", ".join(apart) + " differ" if apart else "alike", not apart
    odd = [n.name for n in options_of(who, board.chip).settings if n.belief is Belief.IMPOSSIBLE]
    yield "no option at a value that it cannot have", ", ".join(odd) or "none", not odd


def _security(look: _Look) -> Seen:
    board = look.board
    who = identify(board)
    allowed, status, auth = board.secure_allowed, look.word(_DHCSR), look.word(_DAUTHSTATUS)
    state_open = who.product_state_text == "Open"
    yield (
        f"secure accesses {'allowed' if state_open else 'as the state says'}",
        f"CSW.SPIDEN {int(allowed)}",
        (allowed if state_open else None),
    )
    yield "DHCSR.S_SDE as CSW.SPIDEN", f"S_SDE {status >> 20 & 1}", bool(status & _S_SDE) == allowed
    yield "DAUTHSTATUS.SID as CSW.SPIDEN", f"DAUTHSTATUS 0x{auth:02X}", (auth & _SID_ON == _SID_ON) == allowed


def _views(look: _Look) -> Seen:
    board, chip = look.board, look.board.chip
    start = chip.flash.base + chip.flash.size // 2
    plain = look.data(start, start + 0x1000, Access.NONSECURE)
    if chip.flash.secure_base != chip.flash.base:
        secure = chip.secure_alias(start)
        other = look.data(secure, secure + 0x1000, Access.NONSECURE)
        yield "both aliases alike to one reader", _alike(plain, other), bool((plain == other).all())
        first = look.data(chip.flash.base, chip.flash.base + 0x1000, Access.NONSECURE)
        who = options_of(identify(board), chip)
        if who.trustzone is False:
            if board.secure_allowed:
                seen = look.data(chip.flash.base, chip.flash.base + 0x1000, Access.SECURE)
                yield (
                    "without TrustZone the attribute changes nothing",
                    _alike(first, seen),
                    bool((first == seen).all()),
                )
        elif any(chip.flash.base in r for r in who.secure_ranges):
            yield (
                "a non-secure read of a secure sector gives zeros",
                "zeros" if not first.any() else "content",
                (not first.any()),
            )
    ram = next((r for r in chip.regions if r.kind == "ram" and r.base == 0x20000000), None)
    if ram is not None:
        a, b = (look.data(at, at + 64) for at in (0x20000000, 0x0A000000))
        yield "SRAM at 0x20000000 and at 0x0A000000 alike", _alike(a, b), bool((a == b).all())


def _alike(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> str:
    return "alike" if (a == b).all() else f"{int((a != b).sum())} of {count_text(a.size, 'word')} differ"


def _faults(look: _Look) -> Seen:
    board, chip = look.board, look.board.chip
    beyond = chip.flash.base + chip.flash.size
    if chip.identity.dev_id:
        try:
            board.read_word(beyond)
            yield "a read past the flash faults", "it answers", False
        except TargetError as error:
            yield "a read past the flash faults at its address", f"0x{error.address:08X}", error.address == beyond
        after = board.read_word(_CPUID)
        yield "the next read works", _hex(after), after & ~0xF == 0x410FD210


def _registers(look: _Look) -> Seen:
    board = look.board
    for name in ("ECCCORR", "ECCDETR", "ECCR", "OPSR"):
        if all(r.name != name for r in board.chip.registers):
            continue
        value = board.register(name)
        look.public.add(value)
        if name == "OPSR":
            yield "OPSR readable", _hex(value), True
            continue
        place = board.chip.ecc_location(name, value)
        clean = not place.size
        yield (
            f"{name} reports nothing, or a place in a known area",
            (_hex(value) if clean else f"{_hex(value)}: 0x{place.address:08X}"),
            clean or _known_place(board.chip, place.address),
        )


def _speeds(look: _Look) -> Seen:
    board, before, out = look.board, look.board.frequency_hz, list[int | None]()
    try:
        for asked in _SPEEDS_HZ:
            board.set_frequency(asked)
            true = board.swd_hz
            out.append(true)
            told = "not told by the probe" if true is None else f"{true / 1e6:g} MHz"
            yield f"at most {asked / 1e6:g} MHz", told, None if true is None else true <= asked
    finally:
        board.set_frequency(before)
    known = [hz for hz in out if hz is not None]
    yield (
        "two different speeds",
        ", ".join(f"{hz / 1e6:g} MHz" for hz in known) or "not told",
        (len(set(known)) == len(known) if known else None),
    )


def _paths(look: _Look) -> Seen:
    board, chip = look.board, look.board.chip
    start = chip.flash.base + chip.flash.size // 2
    first, again = (look.data(start, start + _PIECE) for _ in range(2))
    yield "two readings alike", _alike(first, again), bool((first == again).all())
    cuts = (start, *range(start + 4, start + _PIECE, _BURST), start + _PIECE)
    other = np.concatenate([look.data(a, b) for a, b in pairwise(cuts)])
    yield "other bursts read the same", _alike(first, other), bool((first == other).all())
    step = first.size // _SINGLE
    single = np.array([board.read_word(start + 4 * i) for i in range(0, first.size, step)], np.uint32)
    yield "single words read the same", _alike(first[::step], single), bool((first[::step] == single).all())


def _supply(look: _Look) -> Seen:
    supply = supply_mv(look.board)
    low, high = _SUPPLY_MV
    seen = "not measured by this probe" if supply is None else f"{supply} mV"
    yield f"{low} to {high} mV", seen, None if supply is None else low <= supply <= high
    yield "told", look.board.firmware or "not told by this probe", True if look.board.firmware else None


def _samples(look: _Look) -> Seen:
    words = [look.word(_PCSR) for _ in range(4)]
    places = [w for w in words if w not in (0, 0xFFFFFFFF)]

    seen = f"0x{places[0]:08X}" if places else "none: halted, in reset, or secure code"
    yield (
        "program counters in a region that is known",
        seen,
        all(_known_place(look.board.chip, p) for p in places) if places else None,
    )


def _known_place(chip: Chip, address: int) -> bool:
    try:
        chip.region_at(address)
    except KeyError:
        return chip.canonical(address) in chip.flash_range
    return True


_CHECKS: tuple[tuple[str, str, Callable[[_Look], Seen]], ...] = (
    ("ports", "blackmagic #1440, ST OpenOCD #33, stm32h563xx.h (DBGMCU_SR)", _ports),
    ("core", "Armv8-M ARM; blackmagic #1440", _core),
    ("identity", "chip file: identity", _identity_words),
    ("options", "stm32h563xx.h (OPTSR_CUR ... PRG), chip file", _options),
    ("security", "Armv8-M ARM (DHCSR.S_SDE, DAUTHSTATUS), ADIv5 (CSW.SPIDEN)", _security),
    ("views", "measured on a NUCLEO-H563ZI: the attribute of the transaction decides", _views),
    ("faults", "pyOCD 0.46: TransferFaultError with its address", _faults),
    ("registers", "stm32h563xx.h (ECCCORR, ECCDETR, OPSR)", _registers),
    ("speed", "pyOCD 0.46 probe/stlink/stlink.py; pyOCD #667, #1276", _speeds),
    ("reading-paths", "this project: what is read does not depend on how", _paths),
    ("supply", "data sheet: 1.71 to 3.6 V", _supply),
    ("samples", "Armv8-M ARM (DWT_PCSR)", _samples),
)
