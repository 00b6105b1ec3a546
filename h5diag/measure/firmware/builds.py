"""A build against a dump: where it is, whether all of it is there, and how it differs.

The build may be signed or not. Places that are tried: its own addresses in both aliases, the images of the dump
(a build of an application belongs behind the image header), and wherever pieces of it are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from h5diag.evidence.files.elf import ElfMap
from h5diag.layout import Layout, Slot
from h5diag.limits import BUILD_DIFFERENCES
from h5diag.measure.copies import agreeing
from h5diag.measure.firmware.content import ExaminedImage
from h5diag.measure.firmware.image import HASH_TYPES, BootImage, find_images
from h5diag.measure.stretches import occurrences, runs
from h5diag.memory import AddressRange, MemoryImage, common
from h5diag.text import count_text

ANCHOR = 32
ANCHORS = 48


@dataclass(frozen=True, slots=True)
class Deviation:
    """Bytes of a build that the dump holds otherwise.

    Parameters
    ----------
    range
        Where, in the dump's view, from the first to behind the last differing byte.
    build_start
        The first byte's address in the build.
    count
        How many bytes differ.
    erased
        How many of them are 0xFF in the dump.
    section, symbol, offset
        Names from the ELF file (empty without one) and the first byte's offset in the symbol.
    """

    range: AddressRange
    build_start: int
    count: int
    erased: int
    section: str = ""
    symbol: str = ""
    offset: int = 0

    def __str__(self) -> str:
        where = f"in {self.symbol}+0x{self.offset:X}" if self.symbol else f"at 0x{self.range.start:08X}"
        where = f"in {self.section}, {where}" if self.section else where
        kind = " (erased here)" if self.erased == self.count else ""
        return f"{count_text(self.count, 'byte differs', 'bytes differ')} {where}{kind}"


@dataclass(frozen=True, slots=True)
class Match:
    """A place where a build, or most of it, stands in a dump.

    Parameters
    ----------
    address
        Of the build's first byte, in the dump's view.
    slot
        The slot there, None without a layout.
    displacement
        `address` minus the build's own address, both canonical when a layout gives the chip.
    size
        Bytes of the build.
    compared
        How many of them the dump holds; the rest is not there to compare.
    differing
        How many of those differ.
    differences
        Where, grouped by section and symbol when an ELF file names them; at most `BUILD_DIFFERENCES`.
    same_image
        Whether both are the same signed image by their hash records, whatever the bodies look like (one may be
        encrypted and the other not).
    """

    address: int
    slot: Slot | None
    displacement: int
    size: int
    compared: int
    differing: int
    differences: tuple[Deviation, ...]
    same_image: bool = False

    @property
    def whole(self) -> bool:
        """Tell whether every byte is there and equal."""
        return self.compared == self.size and not self.differing

    def __str__(self) -> str:
        at = f"at 0x{self.address:08X}" + (f" (slot '{self.slot}')" if self.slot else "")
        way = "above" if self.displacement > 0 else "below"
        at += f", 0x{abs(self.displacement):X} {way} its own address" if self.displacement else ""
        if self.whole:
            return f"all {count_text(self.size, 'byte')} are there {at}"
        if self.same_image:
            return (
                f"the same image by its hash record {at}; {count_text(self.differing, 'byte')} differ, as between two signing"
                " runs or between the encrypted and the plain form"
            )
        missing = self.size - self.compared
        rest = f", {count_text(missing, 'byte')} are not in the dump" if missing else ""
        return f"{self.differing} of {count_text(self.compared, 'byte')} differ {at}{rest}"


def compare_build(
    dump: MemoryImage,
    build: MemoryImage,
    *,
    layout: Layout | None = None,
    images: Sequence[ExaminedImage] = (),
    names: ElfMap | None = None,
) -> tuple[Match, ...]:
    """Return the places where a build stands in a dump, the best first; empty when it is nowhere.

    Parameters
    ----------
    dump
        The dump; with encrypted images opened (`open_images`) their plain content is compared.
    build
        What was built, at its own addresses.
    layout
        Names slots and knows the flash aliases.
    images
        What `examine_images` found in the dump.
    names
        Sections and symbols of the build.
    """
    if not build.size:
        return ()
    signed = [i for i in find_images(build) if i.complete]
    digests = {(s.address, r.value) for s in signed for r in s.tlvs.plain if r.type in HASH_TYPES}
    own = build.segments[0].start
    counts = {d: _equal(dump, build, d) for d in _displacements(dump, build, layout, images, signed)}
    matches, spans = list[Match](), list[AddressRange]()
    for d, (equal, compared, telling) in sorted(counts.items(), key=lambda kv: (-kv[1][0], abs(kv[0]))):
        same = any((i.image.address - d, i.verification.digest) in digests for i in images)
        span = AddressRange(own + d, build.span.stop + d) if own + d >= 0 else AddressRange(0, 0)
        # Zeros and 0xFF agree everywhere: the other bytes decide whether this is the build at all.
        little = (equal * 2 < compared or equal * 4 < build.size or telling < 0.5) and not same
        if little or any(span.overlaps(t) for t in spans):
            continue
        spans.append(span)
        found, differing = _differences(dump, build, d, names)
        slot = layout.slot_at(own + d) if layout else None
        moved = layout.chip.canonical(own + d) - layout.chip.canonical(own) if layout else d
        matches.append(Match(own + d, slot, moved, build.size, compared, differing, found, same))
    return tuple(matches)


def _displacements(
    dump: MemoryImage,
    build: MemoryImage,
    layout: Layout | None,
    images: Sequence[ExaminedImage],
    signed: Sequence[BootImage],
) -> set[int]:
    own, alias = build.segments[0].start, layout.chip.flash.alias if layout else 0
    tried = {0, alias, -alias}
    for i in images:
        tried |= {i.image.address - s.address for s in signed} if signed else {i.image.body.start - own}
    return tried | _anchored(dump, build)


def _anchored(dump: MemoryImage, build: MemoryImage) -> set[int]:
    """Return the displacements at which telling pieces of the build are found."""
    votes: Counter[int] = Counter()
    contents = [(s.start, s.data.tobytes()) for s in dump.segments]
    for segment in build.segments:
        step = max(ANCHOR, segment.data.size * len(build.segments) // ANCHORS)
        for at in range(0, segment.data.size - ANCHOR + 1, step):
            piece = segment.data[at : at + ANCHOR].tobytes()
            for start, content in contents if len(set(piece)) >= 8 else ():
                votes.update(start + hit - segment.start - at for hit in islice(occurrences(content, piece), 4))
    return {d for d, n in votes.most_common(16) if n >= 2}


def _equal(dump: MemoryImage, build: MemoryImage, displacement: int) -> tuple[int, int, float]:
    """Return how many bytes are equal and compared, and the equal fraction of those that are not 0x00 or 0xFF."""
    pairs = [(a, b) for _, a, b in common(build, dump, displacement)]
    telling, same = (sum(counts) for counts in zip((0, 0), *(agreeing(a, b) for a, b in pairs), strict=True))
    equal = sum(int(np.count_nonzero(a == b)) for a, b in pairs)
    return equal, sum(int(a.size) for a, _ in pairs), same / telling if telling else 1.0


def _differences(
    dump: MemoryImage, build: MemoryImage, displacement: int, names: ElfMap | None
) -> tuple[tuple[Deviation, ...], int]:
    """Return the differing bytes grouped by section and symbol, or in runs with gaps below 16 without names."""
    total, groups = 0, dict[tuple[str, str, int], list[Deviation]]()
    for place, a, b in common(build, dump, displacement):
        start, differs = place - displacement, a != b
        total += int(np.count_nonzero(differs))
        for first_of, stop_of in runs(differs, 16):
            for piece in _by_name(first_of + np.flatnonzero(differs[first_of:stop_of]), start, names):
                first, last = start + int(piece[0]), start + int(piece[-1])
                section = names.section_at(first) if names else ""
                symbol, offset = names.symbol_at(first) if names else ("", 0)
                where = AddressRange(first + displacement, last + 1 + displacement)
                key = (section, symbol, -1 if symbol else first)
                d = Deviation(where, first, int(piece.size), int((b[piece] == 0xFF).sum()), section, symbol, offset)
                groups.setdefault(key, []).append(d)
                if len(groups) >= BUILD_DIFFERENCES:
                    equal, compared, _ = _equal(dump, build, displacement)
                    return _joined(groups), compared - equal
    return _joined(groups), total


def _by_name(run: npt.NDArray[np.int64], start: int, names: ElfMap | None) -> list[npt.NDArray[np.int64]]:
    """Cut a run where its bytes belong to another section or symbol."""
    if names is None or not names.sections or run.size > 1 << 16:
        return [run]
    labels = [(names.section_at(start + o), names.symbol_at(start + o)[0]) for o in run.tolist()]
    return np.split(run, [i for i in range(1, len(labels)) if labels[i] != labels[i - 1]])


def _joined(groups: dict[tuple[str, str, int], list[Deviation]]) -> tuple[Deviation, ...]:
    joined = (
        replace(
            parts[0],
            range=AddressRange(parts[0].range.start, parts[-1].range.stop),
            count=sum(p.count for p in parts),
            erased=sum(p.erased for p in parts),
        )
        for parts in groups.values()
    )
    return tuple(sorted(joined, key=lambda d: d.range))
