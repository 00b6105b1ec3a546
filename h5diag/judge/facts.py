"""What was measured, as values: of each board alone, of the suspect against the good board, of an external loader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from h5diag.case.case import Board, Case, KnownImage
from h5diag.chip import Chip
from h5diag.evidence.texts import Log
from h5diag.layout import Layout
from h5diag.measure.compare import Comparison
from h5diag.measure.firmware import (
    ExaminedImage,
    Match,
    SlotState,
    StageReport,
)
from h5diag.measure.loader.signs import LoaderSign
from h5diag.measure.locate import Placement
from h5diag.measure.options import OptionBytes
from h5diag.measure.repeats import Agreement
from h5diag.memory import Access, AddressRange, MemoryImage, Segment, merged, subtracted


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What follows from one board's evidence alone.

    Parameters
    ----------
    board
        The evidence.
    dump
        The first of its dumps; empty when there is none.
    options
        Its option bytes; an empty value when there is no listing.
    log, uart
        What the programmer's text says, and the boot loader's.
    reads
        How its repeated dumps agree.
    hidden
        Canonical ranges of which its reader got zeros by rule, shown by option bytes and access.
    masked
        The sectors among them that do read zero in the dump.
    images
        Boot-loader images in the dump.
    slots
        State of each slot; empty without a layout or a dump.
    """

    board: Board
    dump: MemoryImage
    options: OptionBytes
    log: Log
    uart: Log
    reads: Agreement
    hidden: tuple[AddressRange, ...]
    masked: tuple[AddressRange, ...]
    images: tuple[ExaminedImage, ...]
    slots: tuple[SlotState, ...]

    @property
    def trusted(self) -> MemoryImage:
        """The dump without the places where repeated reads disagree: they say nothing about the flash."""
        return without(self.dump, self.reads.ranges, 0) if self.reads.ranges else self.dump

    @property
    def judged(self) -> MemoryImage:
        """What can be judged: trusted, and without the sectors that its reader was not shown."""
        return without(self.trusted, self.masked, self._alias)

    @property
    def _alias(self) -> int:
        return self.options.chip.flash.secure_base - self.options.chip.flash.base

    @property
    def access(self) -> Access:
        """How it was read."""
        return self.board.access

    @property
    def both_aliases(self) -> bool:
        """Tell whether the same cells were read through the non-secure and through the secure alias."""
        shift = self._alias
        return shift > 0 and any(
            s.start + shift < r.stop and r.start < s.stop + shift for s in self.dump.ranges for r in self.dump.ranges
        )


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A known image against the suspect's dump.

    `matches` says where the build stands whole or nearly so, by section and symbol when it is an ELF.
    `equal_bytes` of `seen_bytes` (those that the dump shows at the image's own place) agree in place. `elsewhere` is
    the placement of the image in the dump when it is not in place.
    """

    image: KnownImage
    comparison: Comparison
    seen_bytes: int
    equal_bytes: int
    elsewhere: Placement
    matches: tuple[Match, ...]

    @property
    def in_place(self) -> bool:
        """Tell whether at least half of what was seen at its own place is its own."""
        return 0 < self.seen_bytes <= 2 * self.equal_bytes


@dataclass(frozen=True, slots=True)
class LoaderFacts:
    """What the external loader's file and log say: was it passed over, is it linked so that it is never loaded."""

    bypassed: LoaderSign
    mislinked: LoaderSign


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured about one suspect of a case."""

    case: Case
    chip: Chip
    chip_assumed: bool
    layouts: tuple[Layout, ...]
    good: BoardFacts
    suspect: BoardFacts
    comparison: Comparison
    placement: Placement
    later: Comparison
    known: tuple[KnownFact, ...]
    provisioning: tuple[Log, ...]
    loader: LoaderFacts
    stages: tuple[StageReport, ...]

    @property
    def name(self) -> str:
        """Name of the suspect."""
        return self.suspect.board.name

    @property
    def has_good(self) -> bool:
        """Tell whether there is a good board's dump to compare with."""
        return self.good.dump.size > 0

    @property
    def compared(self) -> bool:
        """Tell whether bytes of the suspect were held against a good dump or a known image."""
        return self.comparison.compared_bytes > 0 or any(k.seen_bytes for k in self.known)

    def canonical(self, ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
        """Return the same cells by their canonical addresses."""
        return tuple(AddressRange(c := self.chip.canonical(r.start), c + r.size) for r in ranges)

    @property
    def comparable(self) -> bool:
        """Tell whether both boards were read in one and the same known way, so that zeros can be compared.

        The same way is the same known access; or, where a tool does not tell its access, the same connect mode
        through both aliases, as the capture script reads.
        """
        g, s = self.good, self.suspect
        if Access.UNKNOWN not in (g.access, s.access):
            return g.access is s.access
        return g.board.mode == s.board.mode != "unknown" and g.both_aliases and s.both_aliases


def without(dump: MemoryImage, holes: Sequence[AddressRange], alias: int) -> MemoryImage:
    """Return the dump without these canonical ranges, in either alias."""
    if not holes:
        return dump
    both = merged((*holes, *(h.shifted(alias) for h in holes)))
    kept = [
        Segment(r.start, s.data[r.start - s.start : r.stop - s.start])
        for s in dump.segments
        for r in subtracted((s.range,), both)
    ]
    return replace(dump, segments=tuple(kept))
