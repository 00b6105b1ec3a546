"""The settings of one board: options with their names, values and what they protect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from h5diag.answer import Answer
from h5diag.chip import Chip, Option, ProductState, ProtectedArea
from h5diag.memory import Access, AddressRange, MemoryImage, Segment, merged, subtracted


class Belief(Enum):
    """How far a printed value can be believed."""

    READ = "read"
    """Printed, and possible."""
    MASKED = "masked"
    """Reads zero because the reader may not see it in this state: says nothing about the option."""
    IMPOSSIBLE = "impossible"
    """No value that the option can have: a garbage read."""
    UNNAMED = "unnamed"
    """The chip file does not know the name; kept as printed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of a board.

    Parameters
    ----------
    name
        As in the chip file, or as printed when it is not known there.
    value
        As printed.
    text
        What the tool printed beside it; a stranger's text.
    meaning
        What the value means, in a sentence.
    belief
        How far the value can be believed.
    option
        The fact behind it; for an unknown name one without a register.
    line
        Where it was printed, 0 when it came from a register.
    follows
        What follows from it for somebody who reads the flash; empty when nothing does.
    printed
        The name as printed where that is another spelling, else empty.
    """

    name: str
    value: int
    text: str
    meaning: str
    belief: Belief
    option: Option
    line: int = 0
    follows: str = ""
    printed: str = ""

    @property
    def sentence(self) -> str:
        """The meaning and what follows, in one sentence."""
        return f"{self.meaning}; {self.follows}" if self.follows else self.meaning

    @property
    def number(self) -> int | None:
        """The value where it can be believed; None where the reader may not see it, or it cannot be."""
        return self.value if self.belief in (Belief.READ, Belief.UNNAMED) else None

    @property
    def known(self) -> bool:
        """Tell whether the chip file knows the name."""
        return self.belief is not Belief.UNNAMED


class Extent(Enum):
    """What is known of an area that options describe."""

    SET = "set"
    EMPTY = "empty"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AreaSetting:
    """An area as the options set it: `ranges` are canonical, none unless `extent` is SET; sectors are bank-relative."""

    area: ProtectedArea
    extent: Extent
    ranges: tuple[AddressRange, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """A register of the FLASH interface that was read; `secure` tells through which alias."""

    name: str
    value: int
    secure: bool = False


@dataclass(frozen=True, slots=True)
class OptionBytes(Answer):
    """The option bytes of one board.

    Parameters
    ----------
    chip
        The chip that they were read as, in the geometry that they select.
    settings
        In the order of the text.
    areas
        What they protect, in the order of the chip file.
    warnings
        What is odd or missing, a sentence each, the weightiest first.
    registers
        The registers of a dump that were not options, or all of them.
    """

    chip: Chip
    settings: tuple[Setting, ...]
    areas: tuple[AreaSetting, ...] = ()
    warnings: tuple[str, ...] = ()
    registers: tuple[RegisterValue, ...] = ()

    def setting(self, name: str) -> Setting:
        """Return the setting called `name` or by an alias of the chip file; KeyError when it was not read."""
        wanted = chip_name(self.chip, name)
        for s in self.settings:
            if s.name == wanted or s.name.upper() == wanted.upper():
                return s
        raise KeyError(f"{name} was not read")

    def value(self, name: str) -> int | None:
        """Return the value of an option, or `None` when it was not read, is masked or is impossible."""
        try:
            return self.setting(name).number
        except KeyError:
            return None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.value(name) is not None

    @property
    def state(self) -> ProductState | None:
        """The product state or RDP level, as the chip file describes it."""
        value = self.value(self.chip.state_option)
        try:
            return None if value is None else self.chip.state(value)
        except KeyError:
            return None

    @property
    def product_state(self) -> str:
        """Name of the product state or RDP level; ``unknown`` when it was not read or is no state."""
        return self.state.name if self.state else "unknown"

    @property
    def trustzone(self) -> bool | None:
        """Whether TrustZone is on."""
        if not self.chip.trustzone:
            return False
        value = self.value("TZEN")
        return None if value is None else value == self.chip.tzen_on

    @property
    def swapped(self) -> bool | None:
        """Whether the banks are exchanged on the bus."""
        value = self.value("SWAP_BANK")
        return None if value is None else bool(value)

    def ranges(self, kind: str) -> tuple[AddressRange, ...]:
        """Return the canonical ranges of all areas of a kind (see `h5diag.chip.Area`), as far as they are known."""
        return merged(r for a in self.areas if a.area.kind == kind for r in a.ranges)

    def extent(self, kind: str) -> Extent:
        """Return what is known of a kind of area: UNKNOWN as soon as one of them is not known, or none is described."""
        extents = {a.extent for a in self.areas if a.area.kind == kind} or {Extent.UNKNOWN}
        return next(e for e in (Extent.UNKNOWN, Extent.SET, Extent.EMPTY) if e in extents)

    @property
    def secure_ranges(self) -> tuple[AddressRange, ...]:
        """What the watermarks make secure: a non-secure read of it gives zeros. Physical banks, canonical."""
        return self.ranges("secure")

    @property
    def hdp_ranges(self) -> tuple[AddressRange, ...]:
        """What is hidden once the boot code has raised the HDP level. Physical banks, canonical."""
        return self.ranges("hidden")

    @property
    def wrp_ranges(self) -> tuple[AddressRange, ...]:
        """What is write-protected. Physical banks, canonical."""
        return self.ranges("write-protected")

    @property
    def edata_ranges(self) -> tuple[AddressRange, ...]:
        """What has left the code area for the high-cycle data area. Physical banks, canonical."""
        return self.ranges("high-cycle")


def chip_name(chip: Chip, name: str) -> str:
    """Return an option's name as the chip file has it, by any of its aliases; the name itself where it has none."""
    try:
        return chip.option(name).name
    except KeyError:
        return name


def hidden_ranges(options: OptionBytes, access: Access, chip: Chip) -> tuple[AddressRange, ...]:
    """Return the canonical ranges of which a reader with that access gets zeros instead of content.

    A non-secure read of a secure sector, and a secure read of a non-secure one, returns 0x00 without a fault
    (measured on a NUCLEO-H563ZI, public test note of the m33mu project). Without option bytes, or with an unknown
    access, nothing is known to be hidden.
    """
    if not options.trustzone:
        return ()
    plain, secure = (
        subtracted((chip.flash_range,), options.secure_ranges),
        (*options.secure_ranges, *options.hdp_ranges),
    )
    return {Access.NONSECURE: merged(secure), Access.SECURE: plain}.get(access, ())


def seen_cells(image: MemoryImage, chip: Chip, cells: AddressRange) -> list[Segment]:
    """Return what an image knows of canonical cells, by either alias."""
    views = dict.fromkeys((0, chip.flash.alias))
    return [s for by in views for s in image.segments_in(cells.start + by, cells.stop + by)]


def masked_ranges(dump: MemoryImage, hidden: Sequence[AddressRange], chip: Chip) -> tuple[AddressRange, ...]:
    """Return the parts of `hidden` that the dump holds, where it holds nothing but zeros there.

    The rule knows no exceptions inside a range: one that shows content anywhere is shown to this reader, and zeros
    in it are content (a gap that the linker filled).
    """
    parts = [seen_cells(dump, chip, area) for area in hidden]
    return chip.cells(s.range for here in parts if not any(s.data.any() for s in here) for s in here)
