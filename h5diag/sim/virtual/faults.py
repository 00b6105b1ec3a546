"""Faults of a virtual chip by name, and the words that describe a virtual probe.

A probe is ``virtual[:ITEM[+ITEM]...]``; an ITEM is ``board=...``, ``seed=N``, ``state=FILE``, ``link=dap`` or
``link=memory`` or ``FAULT[@START-STOP][,key=value]...``. Ranges are half-open and may name either alias of the flash.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from h5diag.errors import InputError
from h5diag.memory import AddressRange

ANYWHERE = AddressRange(0, 0)
"""The range of a fault for which none was given."""

BOARDS = ("sound", "founding", "defect")
LINKS = ("dap", "memory")


class FaultKind(Enum):
    """What goes wrong. The value is the name on the command line."""

    STUCK_BIT = "stuck-bit"
    CELL_STUCK = "cell-stuck"
    DEAD_SECTOR = "dead-sector"
    SLOW_SECTOR = "slow-sector"
    ADDRESS_ALIAS = "address-alias"
    BUS_FAULT_SPORADIC = "bus-fault-sporadic"
    BUS_FAULT = "bus-fault"
    ZERO_CHUNK = "zero-chunk"
    DROP_WORD = "drop-word"
    UNSTABLE = "unstable"
    COUPLING = "coupling"
    UNPLUG = "unplug"
    LOCKED_PORT = "locked-port"
    FAR_ERASE = "far-erase"
    FAR_PROGRAM = "far-program"
    POWER_DIP = "power-dip"
    UID_ZERO = "uid-zero"
    SIZE_ZERO = "size-zero"
    BANK_SWAP = "bank-swap"
    CORE_ASLEEP = "core-asleep"
    NO_RESET_LINE = "no-reset-line"


RANDOM = -1.0
"""Value of a setting that the seed is to choose."""

SETTINGS: tuple[tuple[FaultKind, tuple[tuple[str, float], ...]], ...] = (
    # One bit of a 32-bit word (0..31) reads as `value` behind the ECC, in `count` words.
    (FaultKind.STUCK_BIT, (("bit", RANDOM), ("value", RANDOM), ("count", 1))),
    # One cell of a quad-word (0..127) holds `value` whatever is written: the ECC sees it.
    (FaultKind.CELL_STUCK, (("bit", RANDOM), ("value", RANDOM), ("count", 1))),
    # `fails`: 1 erase does nothing, 2 programming does nothing, 3 both.
    (FaultKind.DEAD_SECTOR, (("count", 1), ("fails", 3))),
    (FaultKind.SLOW_SECTOR, (("count", 1), ("factor", 10))),
    # Address line `bit` of the array (4 and up) always reads as `value`.
    (FaultKind.ADDRESS_ALIAS, (("bit", RANDOM), ("value", 0))),
    # `rate` of the words fail, anew in each read; as the next two only when the link is faster than `above` Hz.
    (FaultKind.BUS_FAULT_SPORADIC, (("rate", 0.0005), ("above", 0))),
    # Every read of the range fails, or of one word when no range is given.
    (FaultKind.BUS_FAULT, ()),
    # `rate` of the 64-byte chunks come as zeros; with `repeat` 1 always the same ones.
    (FaultKind.ZERO_CHUNK, (("rate", 0.002), ("repeat", 0), ("above", 0))),
    # With `rate` per word a word is lost and the rest of the read window moves down.
    (FaultKind.DROP_WORD, (("rate", 0.0005), ("repeat", 0), ("above", 0))),
    # `count` bits read wrong with probability `rate`, anew in each read.
    (FaultKind.UNSTABLE, (("count", 16), ("rate", 0.5))),
    # Programming a 0 into one bit also clears a bit `distance` quad-words further, in `count` pairs.
    (FaultKind.COUPLING, (("count", 1), ("distance", 1))),
    # The cable leaves after `after` bytes, or when the range is touched; `times` times.
    (FaultKind.UNPLUG, (("after", RANDOM), ("times", 1))),
    (FaultKind.LOCKED_PORT, ()),
    # An erase takes the sector `distance` further with it; programming clears the same bits `distance` bytes further.
    (FaultKind.FAR_ERASE, (("distance", 9),)),
    (FaultKind.FAR_PROGRAM, (("distance", 0x100000),)),
    # The supply is gone for a moment when quad-word number `after` is programmed; `times` times.
    (FaultKind.POWER_DIP, (("after", RANDOM), ("times", 1))),
    # UID or flash size read zero, as they do while the chip's boot code runs.
    (FaultKind.UID_ZERO, ()),
    (FaultKind.SIZE_ZERO, ()),
    # SWAP_BANK is set.
    (FaultKind.BANK_SWAP, ()),
    # The core's port says who it is, and memory behind it does not answer until the chip is reset.
    (FaultKind.CORE_ASLEEP, ()),
    # The probe's reset line is not wired.
    (FaultKind.NO_RESET_LINE, ()),
)
_DEFAULTS = {kind: dict(pairs) for kind, pairs in SETTINGS}


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault.

    Parameters
    ----------
    kind
        What goes wrong.
    range
        Where, in canonical or secure addresses; `ANYWHERE` lets the seed choose.
    settings
        Pairs of name and number as in `SETTINGS`; what is left out has its default.
    """

    kind: FaultKind
    range: AddressRange = ANYWHERE
    settings: tuple[tuple[str, float], ...] = ()

    def setting(self, name: str) -> float:
        """Return a setting; `RANDOM` when it is left to the seed. KeyError when this kind has none of that name."""
        return dict(self.settings).get(name, _DEFAULTS[self.kind][name])

    def whole(self, name: str) -> int:
        """Return a setting as an integer."""
        return int(self.setting(name))

    def __str__(self) -> str:
        place = "" if self.range == ANYWHERE else f"@0x{self.range.start:08X}-0x{self.range.stop:08X}"
        return self.kind.value + place + "".join(f",{k}={v:g}" for k, v in self.settings)


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that makes one virtual probe.

    Parameters
    ----------
    board
        ``sound``, ``founding`` or ``defect``.
    seed
        Chooses places, values and moments that the faults leave open.
    state
        File that keeps the flash between runs; empty for none.
    link
        ``dap`` (DP and AP registers, as CMSIS-DAP) or ``memory`` (pyOCD's accelerated interface, as ST-LINK).
    faults
        What is wrong with it.
    """

    board: str = "sound"
    seed: int = 0
    state: str = ""
    link: str = "dap"
    faults: tuple[Injected, ...] = ()

    def rng(self, index: int) -> random.Random:
        """Return the source of chance of fault number `index`; -1 is that of the board."""
        return random.Random(self.seed * 1_000_003 + index)


def parse_items(items: Iterable[str]) -> Setup:
    """Return the setup that ITEMs describe; later ones win, faults add up.

    Raises
    ------
    InputError
        When an item is of no known form; the advice names what there is.
    """
    setup = Setup()
    for item in items:
        word, equals, value = item.partition("=")
        if equals and word == "board":
            if value not in BOARDS:
                raise InputError(f"no virtual board is called {value!r}", advice="known: " + ", ".join(BOARDS))
            setup = replace(setup, board=value)
        elif equals and word == "seed":
            setup = replace(setup, seed=_whole(value, item))
        elif equals and word == "state":
            setup = replace(setup, state=value)
        elif equals and word == "link":
            if value not in LINKS:
                raise InputError(f"no virtual link is called {value!r}", advice="known: " + ", ".join(LINKS))
            setup = replace(setup, link=value)
        elif item:
            setup = replace(setup, faults=(*setup.faults, parse_fault(item)))
    return setup


def parse_probe(text: str) -> Setup:
    """Return the setup of ``virtual[:ITEM[+ITEM]...]``; InputError when it is of another form."""
    name, _, rest = text.partition(":")
    if name != "virtual":
        raise InputError(f"not a virtual probe: {text!r}", advice="write virtual or virtual:ITEM+ITEM")
    return parse_items(rest.split("+") if rest else ())


def parse_fault(text: str) -> Injected:
    """Return the fault written as ``FAULT[@START-STOP][,key=value]...``; InputError when it is of another form."""
    head, *pairs = text.split(",")
    name, at, place = head.partition("@")
    try:
        kind = FaultKind(name)
    except ValueError:
        known = ", ".join(k.value for k in FaultKind) + ", board=, seed=, state=, link="
        raise InputError(f"no fault is called {name!r}", advice=f"known: {known}") from None
    where = ANYWHERE
    if at:
        start, dash, stop = place.partition("-")
        first, last = _whole(start, text), _whole(stop, text) if dash else 0
        if not dash or first >= last:
            raise InputError(f"not a range: {place!r}", place=text, advice="write @START-STOP, STOP not included")
        where = AddressRange(first, last)
    settings = []
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in _DEFAULTS[kind]:
            known = ", ".join(_DEFAULTS[kind]) or "none"
            raise InputError(f"{name} has no setting {key!r}", place=text, advice=f"known: {known}")
        settings.append((key, _number(value, text)))
    return Injected(kind, where, tuple(settings))


def _whole(text: str, where: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise InputError(f"not a number: {text!r}", place=where, advice="write 0x08000000 or 134217728") from None


def _number(text: str, where: str) -> float:
    try:
        value = float(int(text, 0)) if not any(c in text for c in ".e") or text.startswith("0x") else float(text)
    except ValueError:
        raise InputError(f"not a number: {text!r}", place=where) from None
    if not value >= 0 or value > 2**32:
        raise InputError(f"out of range: {text!r}", place=where, advice="settings are 0 or more")
    return value
