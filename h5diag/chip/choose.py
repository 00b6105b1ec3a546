"""Which chip a piece of evidence is of: the one place that chooses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Protocol

from h5diag.chip.devices import describe, resized
from h5diag.chip.files import DEFAULT_CHIP, Device, Part, find_device, find_parts, in_order, index, load_chip
from h5diag.chip.model import Chip
from h5diag.errors import InputError

_LINE = re.compile(r"(?<![A-Z0-9])(?:STM32)?([A-Z]{1,2}\d[0-9A-Z])[0-9A-Z]?X{0,2}(?![A-Z0-9])")
"""A product line as tools write it: G47x, L496xx, U575."""
_PART = re.compile(r"STM32[A-Z]{1,3}\d[0-9A-Z]{0,4}")
_WORD = re.compile(r"[A-Z0-9]{1,12}")

UNNAMED = "nothing names the chip; give --chip"

_MODEL = re.compile(r"(?:STM32)?([A-Z]{1,2}\d{3})")
"""A model as tools write it: F411 of ``F411xx``."""

IDCODE_AT = (0x44024000, 0x54024000, 0xE0044000, 0xE0042000, 0x40015800, 0x5C001000)
"""Where DBGMCU_IDCODE lies: STM32H5; U5, L5 and G4; older families with an M3, M4 or M7; with an M0; STM32H7."""


class KnownBy(Enum):
    """What a choice of chip rests on; the first of these that there is decides."""

    GIVEN = "given"
    IDENTITY = "identity"
    DEV_ID = "dev-id"
    OPTION_NAMES = "option-names"
    SIDECAR = "sidecar"
    LAYOUT = "layout"
    ASSUMED = "assumed"


class Identified(Protocol):
    """An identity that a probe read; None (or 0 and less) where it was not."""

    @property
    def dev_id(self) -> int | None:
        """DEV_ID."""

    @property
    def flash_kib(self) -> int | None:
        """Flash size in KiB."""


class LaidOut(Protocol):
    """Whatever belongs to a chip, as a layout does."""

    @property
    def chip(self) -> Chip:
        """The chip that it is of."""


@dataclass(frozen=True, slots=True)
class ChipChoice:
    """The chip of some evidence.

    Parameters
    ----------
    chip
        None for a device without a chip file: then nothing is known of its options, errata and addresses.
    device
        The device of the DEV_ID; None when no DEV_ID is known.
    known_by
        What it rests on.
    text
        A sentence about it for a person.
    flash_kib
        Flash size as read, None when it was not; a device without a chip file has it from here.
    sized
        False where only the family is known: the size of `chip` is then that of its usual part.
    """

    chip: Chip | None
    device: Device | None
    known_by: KnownBy
    text: str
    flash_kib: int | None = None
    sized: bool = True

    @property
    def assumed(self) -> bool:
        """Tell whether nothing names the chip: then it supports and excludes nothing."""
        return self.known_by is KnownBy.ASSUMED

    @property
    def family(self) -> str:
        """The family in lower case (``h5``, ``f4``), or what a part of another maker is called."""
        if self.chip is not None:
            return self.chip.family
        return (self.device.series or self.device.name).lower().removeprefix("stm32") if self.device else ""

    @property
    def read_as(self) -> Chip:
        """The chip as which bytes and texts are read: without a chip file what the device's data alone tell."""
        if self.chip is not None:
            return self.chip
        return describe(self.device, self.flash_kib) if self.device is not None else load_chip()

    def to_dict(self, *, needed: bool = True) -> dict[str, Any]:
        """Return the keys of every document: ``chip``, ``chip_known_by``, ``chip_text`` and, without chip, ``device``.

        Where nothing was read as a chip's, because a text names none, it is not `needed`: an assumed one is left out.
        """
        unnamed = self.assumed and not needed
        out: dict[str, Any] = {
            "chip": self.chip.name if self.chip and not unnamed else None,
            "chip_known_by": self.known_by.value,
            "chip_text": UNNAMED if unnamed else self.text,
        }
        if self.device is not None:
            out["device"] = {
                "dev_id": self.device.dev_id or None,
                "name": self.device.name or self.device.series or None,
            }
        return out


def choose_chip(
    *,
    given: str = "",
    identity: Identified | None = None,
    dev_ids: Iterable[int | None] = (),
    option_names: Iterable[str] = (),
    sidecars: Iterable[str | None] = (),
    targets: Iterable[str] = (),
    families: Iterable[str] = (),
    names: Iterable[str] = (),
    foreign: str = "",
    layout: LaidOut | None = None,
    flash_kib: int | None = None,
    marking: str = "",
    device_name: str = "",
) -> ChipChoice:
    """Return the chip that the evidence is of.

    What decides is the first of: the name given, the identity that a probe read, a DEV_ID alone, option names that
    only one family has, a name noted beside the evidence (a sidecar's, what a tool's user told it, the marking), a
    series for which a tool was set up, a layout, a part or board of which a text speaks; failing all, the default chip is
    assumed. Where one of these names a
    device without a chip file, there is no chip, and none is assumed. Flash size and the tool's device name narrow the
    part within a family; so does the marking where something better names the family.

    Parameters
    ----------
    given
        Chip file's name, family word or marking; empty when nobody named one.
    identity
        What a probe read.
    dev_ids
        DEV_IDs of logs, listings and tools, the most telling first; None, 0 and 0xFFF name nothing.
    option_names
        Names of option bytes as printed.
    sidecars, targets
        Chip names that dumps and files carry, and those that users told their tools.
    families
        Series for which tools were set up (``STM32L4``): they name neither part nor size.
    names
        Part numbers that stand in texts; those of several series name nothing.
    foreign
        A part of another maker, as a tool read it or was told; empty when none was.
    layout
        The layout in use.
    flash_kib
        Flash size in KiB; None when it was not read. A tool's default is no size.
    marking, device_name
        What is printed on the part, and what a tool calls it.

    Raises
    ------
    InputError
        When `given` names no chip.
    """
    narrow = _Narrowing(_positive(flash_kib), marking, device_name)
    known = [i for i in map(_dev_id, dev_ids) if i is not None]
    if given:
        found = find_parts(given)
        strange = known and all(p.dev_id not in known for p in found)
        against = f"; DEV_ID 0x{known[0]:03X} was read, which is none of it" if strange else ""
        exact = len(found) == 1
        chip = load_chip(found[0].name) if exact else narrow.chip([p for p in found if p.dev_id in known] or found)
        return ChipChoice(chip, None, KnownBy.GIVEN, f"{chip.title}, as given{against}")
    if identity is not None and (read := _dev_id(identity.dev_id)) is not None:
        own = _Narrowing(_positive(identity.flash_kib) or narrow.flash_kib, marking, device_name)
        return _of_dev_id(read, own, KnownBy.IDENTITY)
    if not known and (named := _called(device_name)) is not None:
        return _of_device(named, narrow, KnownBy.DEV_ID, "by the name that a tool printed")
    if known:
        return _of_dev_id(next((i for i in known if find_device(i).name), known[0]), narrow, KnownBy.DEV_ID)
    if by_names := _of_names(tuple(option_names), narrow):
        return by_names
    if foreign:
        text = f"{foreign} is no STM32: h5diag compares its bytes and reads its texts, and nothing else is known of it"
        return ChipChoice(None, Device(0, foreign, ""), KnownBy.DEV_ID, text, narrow.flash_kib)
    noted = [(n, "as noted beside the dump or in a file") for n in sidecars if n]
    noted += [(n, "as a tool was told") for n in targets]
    for name, how in (*noted, (marking, "by what is printed on the part")):
        if (choice := _of_name(name, narrow, how)) is not None:
            return choice
    if series := next((s for s in families if any(d.series == s for d in index().devices)), ""):
        return _of_series(series, narrow)
    if layout is not None:
        return ChipChoice(layout.chip, None, KnownBy.LAYOUT, f"{layout.chip.title}, the layout's")
    if spoken := _spoken_of(names, narrow):
        return spoken
    chip = load_chip(DEFAULT_CHIP)
    return ChipChoice(chip, None, KnownBy.ASSUMED, f"{chip.title} is assumed: {UNNAMED}")


def _dev_id(value: int | None) -> int | None:
    """Return a DEV_ID that can be one; bits above 11 belong to the revision."""
    return value & 0xFFF if value is not None and value > 0 and value & 0xFFF not in (0, 0xFFF) else None


def _positive(value: int | None) -> int | None:
    return value if value is not None and 0 < value < 0xFFFF else None


def _called(device_name: str) -> Device | None:
    """Return the device of a tool's device name, a part number or a line; None when it names none.

    It is the one called exactly so, else the one of which most letters agree. Where several of a series do, the series
    alone is known: a device without DEV_ID.
    """
    wanted = device_name.strip().upper()
    if not wanted:
        return None
    for d in index().devices:
        if d.name.upper() == wanted:
            return d
    if digits := _MODEL.search(wanted):
        exact = [d for d in index().devices if digits[1] in d.name.upper()]
        if len({d.dev_id for d in exact}) == 1:
            return exact[0]
    lines = _lines(wanted)
    found = [d for d in index().devices if lines and lines & _lines(d.name.upper())]
    if len({d.dev_id for d in found}) == 1:
        return found[0]
    core = _core(wanted)
    agreeing = [(max(_agreement(core, t) for t in _tokens(d.name.upper())), d) for d in index().devices] if core else []
    most = max((n for n, _ in agreeing), default=0)
    found = [d for n, d in agreeing if n == most]
    if most < 2 or len({d.series for d in found}) != 1:
        return None
    return found[0] if len({d.dev_id for d in found}) == 1 else Device(0, "", found[0].series)


def _core(name: str) -> str:
    """Return the part number that a name holds, without packing and temperature: ``STM32G474RE``; empty without one."""
    m = _PART.search(name.upper().replace("-", "").replace(" ", ""))
    return m[0] if m else ""


def _tokens(name: str) -> tuple[str, ...]:
    """Return the lines of a device name in full: H56X and H573 of ``STM32H56x/573``; X stands for any letter."""
    out: list[str] = []
    for word in _WORD.findall(name.removeprefix("STM32").replace("H7RS", "H7R/H7S")):
        letters = re.match("[A-Z]+", out[-1]) if out else None
        if letters is None or word.startswith(("STM32", letters[0])):
            out.append(word.removeprefix("STM32"))
        else:  # an ending of the line before: 573 behind H56X, B1XX behind G0B0XX
            out.append((out[-1][: max(0, len(out[-1]) - len(word))] or letters[0]) + word)
    return tuple(out) or ("",)


def _agreement(core: str, token: str) -> int:
    """Return how many letters of a part number (STM32 and more) and of a line agree; 0 when one contradicts."""
    pairs = list(zip(core.removeprefix("STM32"), token, strict=False))
    return 0 if any(b not in ("X", a) for a, b in pairs) else sum(a == b for a, b in pairs)


def _lines(name: str) -> set[str]:
    """Return the product lines that a device name lists: G47 and G48 of ``STM32G47x_G48x``."""
    return set(_LINE.findall(name))


@dataclass(frozen=True, slots=True)
class _Narrowing:
    flash_kib: int | None
    marking: str
    device_name: str

    def parts(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Return the parts that size, marking and name leave; each is ignored when it would leave none."""
        low, name = self.marking.strip().lower(), self.device_name.lower()
        left = in_order(parts)
        for fits in (
            lambda p: self.flash_kib is not None and p.flash_kib == self.flash_kib,
            lambda p: bool(low) and any(fnmatchcase(low, pattern + "*") for pattern in p.parts),
            lambda p: bool(name) and (_line(p) in name or f"{_line(p)[:2]}x" in name),
        ):
            left = tuple(p for p in left if fits(p)) or left
        return left

    def chip(self, parts: Sequence[Part]) -> Chip:
        return load_chip(self.parts(parts)[0].name)


def _line(part: Part) -> str:
    """Return the digits of a part's line as a device name has them (``563``)."""
    return part.name.removeprefix("stm32")[1:4]


def _of_device(device: Device, narrow: _Narrowing, by: KnownBy, how: str) -> ChipChoice:
    """Return the choice where a name, and no DEV_ID, tells the device."""
    if any(p.dev_id == device.dev_id for p in index().parts):
        found = _of_dev_id(device.dev_id, narrow, by)
        title = found.chip.title if found.chip else device.title
        return replace(found, text=f"{title}, {how}")
    title = device.title if device.dev_id else device.series
    text = f"{title}, {how}: h5diag compares its bytes and reads its texts, but knows none of its options"
    return ChipChoice(None, device, by, text, narrow.flash_kib)


def _of_name(name: str, narrow: _Narrowing, how: str) -> ChipChoice | None:
    """Return the choice where a part number or a marking names the chip; None when it names none."""
    try:
        chip = narrow.chip(find_parts(_core(name) or name))
    except InputError:
        return None if (device := _called(name)) is None else _of_device(device, narrow, KnownBy.SIDECAR, how)
    return ChipChoice(chip, None, KnownBy.SIDECAR, f"{chip.title}, {how}")


def _spoken_of(names: Iterable[str], narrow: _Narrowing) -> ChipChoice | None:
    """Return the choice by part numbers in running text; None where they are of several series, as in a list of parts."""
    found = [c for n in dict.fromkeys(names) if (c := _of_name(n, narrow, f"of which a text speaks ({n})")) is not None]
    return replace(found[0], sized=narrow.flash_kib is not None) if len({c.family for c in found}) == 1 else None


def _of_series(series: str, narrow: _Narrowing) -> ChipChoice:
    """Return the choice where a tool was set up for a series, and nothing names the part."""
    how = "for which a tool was set up; nothing names the part"
    family = series.lower().removeprefix("stm32")
    if parts := [p for p in index().parts if p.family == family]:
        chip = narrow.chip(parts)
        text, read = f"{chip.title} of {series}, {how}", narrow.flash_kib
        return ChipChoice(chip, None, KnownBy.SIDECAR, text if read else f"{text} or its size", sized=read is not None)
    return _of_device(Device(0, "", series), narrow, KnownBy.SIDECAR, how)


def _of_dev_id(dev_id: int, narrow: _Narrowing, by: KnownBy) -> ChipChoice:
    device = find_device(dev_id)
    parts = [p for p in index().parts if p.dev_id == dev_id]
    if not parts:
        text = (
            f"{device.title}: h5diag compares its bytes and reads its texts, but knows none of its options"
            if device.name
            else f"DEV_ID 0x{dev_id:03X} is in no list here: bytes are compared and texts read, nothing else is known"
        )
        return ChipChoice(None, device, by, text, narrow.flash_kib)
    left = narrow.parts(parts)
    chip = load_chip(left[0].name)
    if narrow.flash_kib and narrow.flash_kib != left[0].flash_kib:
        chip = resized(chip, narrow.flash_kib * 1024)
    size = "" if narrow.flash_kib else ", flash size not read"
    others = sorted({p.name for p in left} - {chip.name})
    also = f"; also that of {', '.join(others)}" if others else ""
    return ChipChoice(chip, device, by, f"{chip.title}, by DEV_ID 0x{dev_id:03X}{size}{also}")


def _of_names(names: Sequence[str], narrow: _Narrowing) -> ChipChoice | None:
    """Return the one family that has all of these option names; None when none or several have them."""
    wanted = {n.upper() for n in names}
    # Two names that everybody has (RDP, BOR_LEV) tell nothing; a family shows by what only it has.
    fitting = [d for d in index().devices if wanted and wanted <= {o.upper() for o in d.options}]
    if len({d.series for d in fitting}) != 1:
        return None
    device = fitting[0]
    parts = [p for p in index().parts if p.dev_id in {d.dev_id for d in fitting}]
    if not parts:
        several = "" if len(fitting) == 1 else f" or {', '.join(d.name for d in fitting[1:4])}"
        text = f"{device.series} by its option names: h5diag knows none of its options ({device.name}{several})"
        # Of several devices with the same options none was read: then the series alone is known.
        alone = device if len({d.dev_id for d in fitting}) == 1 else Device(0, "", device.series)
        return ChipChoice(None, alone, KnownBy.OPTION_NAMES, text)
    chip = narrow.chip(parts)
    return ChipChoice(
        chip,
        None,
        KnownBy.OPTION_NAMES,
        f"{chip.title}: the option names are those of {device.series} alone, nothing names the part or its size",
        sized=narrow.flash_kib is not None,
    )
