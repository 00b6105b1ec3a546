"""Where the programmer puts a loader in RAM: a table with provenance, and the plan of stack and buffer behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.tables import packaged

BREAKPOINT = 0xBE00
"""The instruction ``BKPT 0`` at the base; an entry point returns into it."""

STACK_SIZE = 0x400
"""Bytes between the end of the image and the transfer buffer's gap: the stack, whatever ``_estack`` says."""

BUFFER_SIZE = 0x200
"""Bytes of the transfer buffer that the programmer clears first; how many it uses is not known."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base seen for a family. `trustzone` is ``on``, ``off`` or ``any``; `hint` means one report alone."""

    family: str
    trustzone: str
    versions: tuple[str, ...]
    address: int
    hint: bool
    sources: tuple[str, ...]

    @property
    def link_address(self) -> int:
        """Address of the image's first byte: behind the breakpoint."""
        return self.address + 4


@dataclass(frozen=True, slots=True)
class Window:
    """How many bytes of image the programmer downloads; `hint` means one report alone."""

    family: str
    trustzone: str
    size: int
    hint: bool
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A family that the table knows, or one chip of it.

    `ram` and `windows` are (start, size) in bytes, non-secure addresses; `octospi` the device IDs whose OCTOSPI1 is
    known. `first_sram` is the size of the first SRAM of a chip that was named, 0 when only the family is known; then
    `ram` is that of its largest part.
    """

    name: str
    dev_ids: tuple[int, ...]
    octospi: tuple[int, ...]
    ram: tuple[int, int]
    windows: tuple[tuple[int, int], ...]
    first_sram: int = 0

    def in_ram(self, start: int, stop: int) -> bool:
        """Tell whether ``[start, stop)`` lies in RAM, in either alias."""
        a, size = self.ram
        return any(a + alias <= start and stop <= a + alias + size for alias in (0, 0x10000000))

    def in_window(self, start: int, stop: int) -> bool:
        """Tell whether ``[start, stop)`` lies where external memory is mapped."""
        return any(a <= start and stop <= a + size for a, size in self.windows)


@dataclass(frozen=True, slots=True)
class RamPlan:
    """Addresses the programmer derives from base and image size: breakpoint, image, MSP, transfer buffer."""

    base: int
    image: int
    stack_pointer: int
    buffer: int


def ram_plan(base: int, image_size: int) -> RamPlan:
    """Return the programmer's plan for an image of `image_size` bytes.

    Source: fits the six traces published so far (STM32U031, L432, G030, L4P5, WLE5, WB15). Whether the size is that
    of the file or that in memory is not known: no trace tells them apart.
    """
    end = base + 4 + image_size
    return RamPlan(base, base + 4, end + STACK_SIZE - 4, (end + STACK_SIZE + 0x40) & ~0x1F)


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[Base, ...], tuple[Window, ...], tuple[Family, ...]]:
    raw = packaged("measure/loader/placement.toml")
    return (
        tuple(
            Base(b["family"], b["tz"], tuple(b["versions"]), b["base"], b["hint"], tuple(b["sources"]))
            for b in raw["base"]
        ),
        tuple(Window(w["family"], w["tz"], w["size"], w["hint"], tuple(w["sources"])) for w in raw["window"]),
        tuple(
            Family(
                f["name"],
                tuple(f["dev_ids"]),
                tuple(f["octospi"]),
                (f["ram"][0], f["ram"][1]),
                tuple((a, n) for a, n in f["windows"]),
            )
            for f in raw["family"]
        ),
    )


def families() -> tuple[Family, ...]:
    """Return all families that the table knows."""
    return _table()[2]


def family(name: str) -> Family:
    """Return the family by its word (``l5``), or with the RAM of one chip by its name (``h563``, ``stm32u575zi``).

    Raises
    ------
    InputError
        When the chip is unknown or of a family without a table.
    """
    m = re.fullmatch(r"(?:stm32)?([a-z]\d)(\w*)", name.strip().lower())
    word = m[1] if m else load_chip(name).family
    if wide := next((f for f in families() if f.name == word), None):
        return _narrowed(wide, name.strip().lower()) if m and m[2] else wide
    raise InputError(
        f"nothing is known of external loaders for {name!r}",
        advice="known families: " + ", ".join(f.name for f in families()),
    )


def _narrowed(wide: Family, name: str) -> Family:
    """Return the family with the RAM of the chip called `name`, as far as a chip file knows it."""
    try:
        chip = load_chip(name)
    except InputError:
        return wide
    stop = start = wide.ram[0]
    first = 0
    for region in sorted((r for r in chip.regions if r.kind == "ram"), key=lambda r: r.base):
        if region.base == stop:
            stop += region.size
            first = first or region.size
    return replace(wide, ram=(start, stop - start), first_sram=first) if first else wide


def bases(family_name: str, trustzone: str = "unknown", version: str = "") -> tuple[Base, ...]:
    """Return the bases that may apply, the likeliest first.

    Parameters
    ----------
    family_name
        As `family` returns it.
    trustzone
        ``on``, ``off`` or ``unknown``; unknown lets both apply.
    version
        The tool's version (``2.17.0``) or empty. A line for this version comes first; one for others is left out.
    """
    fitting = [
        b
        for b in _table()[0]
        if b.family == family_name
        and (b.trustzone == "any" or trustzone not in ("on", "off") or b.trustzone == trustzone)
        and (not b.versions or not version or any(f"{version}.".startswith(f"{v}.") for v in b.versions))
    ]
    return tuple(sorted(fitting, key=lambda b: (not (version and b.versions), bool(b.versions), b.hint)))


def windows(chip: Family, trustzone: str = "unknown") -> tuple[Window, ...]:
    """Return the size limits that may apply, the smallest first. A limit for TrustZone on needs TrustZone on."""
    fitting = (w for w in _table()[1] if w.family == chip.name and w.trustzone in ("any", trustzone))
    known = (replace(w, size=chip.first_sram) if chip.first_sram and not w.hint else w for w in fitting)
    return tuple(sorted(known, key=lambda w: w.size))


def beyond_window(chip: Family, trustzone: str, size: int) -> str:
    """Return what is said of an image of so many bytes where that is too many, empty where it is not."""
    limit = next((w for w in windows(chip, trustzone) if size > w.size), None)
    if limit is None:
        return ""
    claim = "one report says that more than 0x{:X} are not" if limit.hint else "more than 0x{:X} may not be"
    return f"{claim.format(limit.size)} downloaded ({limit.sources[0]})"
