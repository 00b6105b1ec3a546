"""What the search for displaced pieces found: regions, displacements, and what is left unexplained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from h5diag.answer import Answer
from h5diag.chip import Chip, ChipChoice
from h5diag.layout import Explanation, ExplanationKind
from h5diag.memory import AddressRange


class Transform(Enum):
    """How the dump's bytes must be changed to read as the reference's."""

    AS_IS = "as-is"
    INVERTED = "inverted"
    BYTESWAP16 = "byteswap16"
    BYTESWAP32 = "byteswap32"
    HALFWORDSWAP = "halfwordswap"
    BITREVERSED = "bitreversed"


class LineState(Enum):
    """What a data line does to a region."""

    STUCK_AT_0 = "stuck at 0"
    STUCK_AT_1 = "stuck at 1"
    INVERTED = "inverted"


@dataclass(frozen=True, slots=True)
class LineFault:
    """A data line that explains the bit errors of a region.

    Parameters
    ----------
    line
        0 (least significant) up to ``width - 1``, by the address within a bus word of `width` bits.
    width
        8 when all bytes are hit alike; 16 or 32 when only one byte of each bus word is.
    state
        What the line does.
    """

    line: int
    width: int
    state: LineState

    def __str__(self) -> str:
        return f"data line D{self.line} of {self.width} {self.state.value}"


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of the reference found in the dump.

    Parameters
    ----------
    reference_start, dump_start
        Address of its first byte in the reference's and in the dump's own view.
    size
        Bytes on either side.
    displacement
        Where it is minus where it should be, on canonical (0x08..) addresses.
    equal_bytes
        Bytes that agree after `transform`.
    bit_errors
        Bits that disagree after `transform`.
    score_bits
        How surprising the agreement is, in bits under the order-2 model of the pair.
    expectation
        Nominal number of hits as good as this one between unrelated contents of this size.
    weak
        True when it could be chance.
    transform
        How the dump's bytes were changed for the comparison.
    explanation
        What the displacement means.
    lines
        Data lines that explain the bit errors.
    """

    reference_start: int
    dump_start: int
    size: int
    displacement: int
    equal_bytes: int
    bit_errors: int
    score_bits: float
    expectation: float
    weak: bool
    transform: Transform
    explanation: Explanation
    lines: tuple[LineFault, ...] = ()

    @property
    def reference_range(self) -> AddressRange:
        """Where it stands in the reference."""
        return AddressRange(self.reference_start, self.reference_start + self.size)

    @property
    def dump_range(self) -> AddressRange:
        """Where it stands in the dump."""
        return AddressRange(self.dump_start, self.dump_start + self.size)

    @property
    def identity(self) -> float:
        """Fraction of the bytes that agree."""
        return self.equal_bytes / self.size


@dataclass(frozen=True, slots=True)
class Displacement:
    """How many bytes of all strong regions agree at one displacement, but for a broken data line."""

    displacement: int
    bytes: int


class PatternKind(Enum):
    """What the pieces show together that none of them shows alone."""

    OTHER_BUILD = "other-build"
    ADDRESS_LINE = "address-line"
    INSERTED = "inserted-bytes"
    SHIFTED = "shifted-whole"
    LANES = "every-nth-byte"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What several pieces, or the whole of both sides, show together.

    Parameters
    ----------
    kind
        ``other-build``: pieces in the same order, the displacement drifts, addresses in them are adjusted.
        ``address-line``: content repeats at a power of two. ``inserted-bytes``: bytes inserted or lost at a steady
        period. ``shifted-whole``: all of it stands a few bytes off. ``every-nth-byte``: some of each two or four
        bytes agree, the others are constant or missing.
    ranges, reference_ranges
        What it explains of the dump and of the reference.
    bytes
        Bytes that agree within it.
    pieces
        Pieces that it is made of.
    drift
        Lowest and highest displacement.
    number
        ``other-build``: addresses and branches that differ as a move of their targets makes them. ``address-line``:
        the line. ``inserted-bytes``: the period. ``shifted-whole``: the bytes. ``every-nth-byte``: 2 or 4.
    text
        The same in words.
    """

    kind: PatternKind
    ranges: tuple[AddressRange, ...]
    reference_ranges: tuple[AddressRange, ...]
    bytes: int
    pieces: int
    drift: tuple[int, int]
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Placement(Answer):
    """Where the pieces of a reference stand in a dump.

    Parameters
    ----------
    regions
        Found pieces by dump address; each byte of the dump belongs to one at most.
    displacements
        Agreeing bytes by displacement, most first. Weak regions do not count.
    reference_rest, dump_rest
        Ranges with content (no fill) that no region and no equal byte in place explains.
    reference_fill, dump_fill
        Ranges of constant or short-period bytes; they are never matched.
    reference_unknown, dump_unknown
        Gaps between and unreadable ranges beside the known bytes: unknown, not different.
    assumptions
        What was taken for granted or not searched, one sentence each.
    patterns
        What the pieces show together, the most telling first.
    choice
        The chip and how it is known; None when nobody asked.
    """

    regions: tuple[Region, ...] = ()
    displacements: tuple[Displacement, ...] = ()
    reference_rest: tuple[AddressRange, ...] = ()
    dump_rest: tuple[AddressRange, ...] = ()
    reference_fill: tuple[AddressRange, ...] = ()
    dump_fill: tuple[AddressRange, ...] = ()
    reference_unknown: tuple[AddressRange, ...] = ()
    dump_unknown: tuple[AddressRange, ...] = ()
    assumptions: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    choice: ChipChoice | None = field(default=None, compare=False)

    @property
    def strong(self) -> tuple[Region, ...]:
        """The regions that chance does not explain."""
        return tuple(r for r in self.regions if not r.weak)

    def pattern(self, kind: PatternKind) -> Pattern | None:
        """Return the pattern of a kind, if the pieces show it."""
        return next((p for p in self.patterns if p.kind is kind), None)

    @property
    def weak(self) -> tuple[Region, ...]:
        """The regions that could be chance."""
        return tuple(r for r in self.regions if r.weak)


def on_assumption(placement: Placement, chip: Chip) -> Placement:
    """Return the placement as far as it stands when the chip is only assumed: nothing is called an alias then.

    That two addresses name the same cells follows from the chip; an assumption does not support it.
    """

    def plain(r: Region) -> Region:
        if r.explanation.kind is not ExplanationKind.ALIAS:
            return r
        text = f"{r.explanation.text}, if the chip is an {chip.title}: it is assumed, name it to be sure"
        return replace(r, explanation=Explanation(ExplanationKind.IN_PLACE, text))

    note = f"the chip is assumed to be {chip.name}: banks, aliases and sectors are its"
    return replace(
        placement, regions=tuple(plain(r) for r in placement.regions), assumptions=(*placement.assumptions, note)
    )
