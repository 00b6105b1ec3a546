"""Checks of the reading path: they come before anything that is said about the chip."""

from __future__ import annotations

from collections.abc import Sequence

from h5diag.case.records import SpeedPoint
from h5diag.judge.facts import BoardFacts, Measured
from h5diag.judge.verdict import Direction, Finding, Number
from h5diag.layout import ExplanationKind
from h5diag.measure.compare import AreaState
from h5diag.measure.repeats import ReadPattern
from h5diag.memory import Access, AddressRange, merged
from h5diag.text import count_text, ranges_text, size_text


def check_reads(m: Measured) -> tuple[Finding, ...]:
    """Do repeated reads of the suspect agree?"""
    a = m.suspect.reads
    numbers = (
        Number("reads", a.reads),
        Number("disagreeing", a.disagreeing_bytes, "bytes"),
        Number("compared", a.common_bytes, "bytes"),
    )
    where, text = a.ranges, ranges_text(a.ranges)
    much = f"{count_text(a.disagreeing_bytes, 'byte')} of {size_text(a.common_bytes)} differ between {a.reads} reads"
    explains = merged(m.canonical(a.ranges))
    match a.pattern:
        case ReadPattern.SINGLE:
            return ()
        case ReadPattern.AGREE:
            return (
                Finding(
                    "reads-agree",
                    f"{a.reads} reads of {size_text(a.common_bytes)} agree in every byte.",
                    numbers=numbers,
                    limits="Says nothing about an error that is the same in every read.",
                ),
            )
        case ReadPattern.CHUNKS:
            return (
                Finding(
                    "reads-disagree-chunks",
                    f"{much}: whole 64-byte chunks are zero in one read and filled in"
                    f" another ({text}). Known from clone ST-LINK firmware; flash does not do that.",
                    numbers=numbers,
                    where=where,
                    direction=Direction.AGAINST,
                    explains=explains,
                ),
            )
        case ReadPattern.SHIFT:
            return (
                Finding(
                    "reads-disagree-shift",
                    f"{much}: from one point on words are shifted and back in step later"
                    f" ({text}). Words were lost on the way, not in the flash.",
                    numbers=numbers,
                    where=where,
                    direction=Direction.AGAINST,
                    explains=explains,
                ),
            )
        case ReadPattern.FIXED_BITS:
            return (
                Finding(
                    "reads-disagree-fixed-bits",
                    f"{much}, and the same {count_text(a.disagreeing_bits, 'bit')} disagree again and again ({text}).",
                    numbers=numbers,
                    where=where,
                    direction=Direction.CHIP,
                    explains=explains,
                    alternatives=("a weak supply of the board", "a link at the edge of its speed"),
                ),
            )
        case ReadPattern.LONE_BITS:
            return (
                Finding(
                    "reads-disagree-single-bits",
                    f"{much}, in one lone bit of a word each ({text}). The debug link"
                    " guards every word with a parity bit, so it does not do that unseen: the cells do, or a"
                    " supply that makes them doubtful.",
                    numbers=numbers,
                    where=where,
                    direction=Direction.CHIP,
                    explains=explains,
                    alternatives=("a weak supply of the board",),
                    asks="speed-sweep",
                    limits="Parity by the debug interface specification (ADIv5, SWD data phase).",
                ),
            )
        case ReadPattern.BITS:
            return (
                Finding(
                    "reads-disagree-bits",
                    f"{much}, in single bits ({text}).",
                    numbers=numbers,
                    where=where,
                    asks="speed-sweep",
                    open_point="single bits differ from read to read: the link or the cells",
                    alternatives=("a link at the edge of its speed", "weak cells"),
                    explains=explains,
                ),
            )
    return (
        Finding(
            "reads-disagree",
            f"{much} ({text}).",
            numbers=numbers,
            where=where,
            explains=explains,
            alternatives=("the firmware wrote between the reads", "a link at the edge of its speed"),
            asks="read-again",
            open_point="two reads of the same board differ in no known pattern",
        ),
    )


def check_transport_marks(m: Measured) -> tuple[Finding, ...]:
    """Does the dump itself show marks of a bad transport: shifted windows, zeroed chunks?"""
    # A link loses or repeats whole words; a few bytes that happen to fit elsewhere are none.
    shifts = [
        r
        for r in m.placement.strong
        if r.explanation.kind is ExplanationKind.WINDOW_SHIFT and r.displacement % 4 == 0 and r.size >= 16
    ]
    if shifts:
        first = shifts[0]
        where = tuple(r.dump_range for r in shifts)
        return (
            Finding(
                "window-shift",
                f"{first.explanation.text}: {count_text(len(shifts), 'piece')} of the good dump"
                f" stand a few words off ({ranges_text(where)}). That is how a read window looks that lost"
                " words; flash cells do not move.",
                where=where,
                direction=Direction.AGAINST,
                explains=merged(m.canonical(where)),
                compares=True,
            ),
        )
    chunks = [
        a.range
        for a in m.comparison.of(AreaState.ZERO)
        if a.range.size % 64 == 0 and a.range.start % 64 == 0 and a.range.size <= 1024 and not a.mask_like
    ]
    if chunks:
        return (
            Finding(
                "zero-chunks",
                f"{count_text(len(chunks), 'aligned 64-byte chunk')} read zero where the good"
                f" board has content ({ranges_text(chunks)}): clone probes drop such chunks, and a second read"
                " shows them.",
                where=tuple(chunks),
                hint=m.suspect.reads.pattern is not ReadPattern.SINGLE,
                compares=True,
                asks="read-again",
                open_point="chunks of 64 zeros, seen in a single read" if m.suspect.reads.reads < 2 else "",
            ),
        )
    if m.comparison.compared_bytes:
        return (Finding("no-transport-damage", "The dump shows no shifted window and no zeroed chunk.", compares=True),)
    return ()


def check_sweep(m: Measured) -> tuple[Finding, ...]:
    """Do errors depend on the link speed?"""
    points = m.suspect.board.sweep.points
    if len(points) < 2:
        return ()
    bad = [p for p in points if p.disagreeing > 0]
    numbers = tuple(Number(f"{p.swd_hz} Hz", p.disagreeing, "bytes") for p in points)
    if not bad:
        return (
            Finding(
                "speed-independent",
                f"Reads agree at every speed from {_mhz(points[0])} to {_mhz(points[-1])}.",
                numbers=numbers,
            ),
        )
    if points[0].disagreeing == 0:
        return (
            Finding(
                "speed-dependent",
                f"Reads agree at {_mhz(points[0])} and disagree from {_mhz(bad[0])} on"
                f" ({count_text(bad[-1].disagreeing, 'byte')} at {_mhz(bad[-1])}): wiring, not cells.",
                numbers=numbers,
                direction=Direction.AGAINST,
            ),
        )
    return (
        Finding(
            "speed-independent",
            f"Reads disagree at every speed, {_mhz(points[0])} included.",
            numbers=numbers,
            alternatives=("cells", "supply"),
        ),
    )


def check_views(m: Measured) -> tuple[Finding, ...]:
    """Were good and suspect read in one and the same known way?"""
    if not m.has_good or not m.suspect.dump.size:
        return ()
    g, s = m.good.board, m.suspect.board
    for facts in (m.good, m.suspect):
        if facts.access is Access.NONSECURE and facts.hidden and not facts.masked and _shows(facts, m):
            return (
                Finding(
                    "views-not-comparable",
                    f"{facts.board.name} is said to be read with non-secure accesses, and"
                    " shows content of sectors that its own option bytes make secure: one of the two is not so.",
                    hint=True,
                    asks="read-the-same-way",
                    open_point=f"{facts.board.name} was not read the way it is said to be",
                ),
            )
    if m.comparable:
        return ()
    if Access.UNKNOWN in (g.access, s.access):
        unknown = [b.name for b in (g, s) if b.access is Access.UNKNOWN]
        # Where nothing deviates and no sector is blank, the way of reading cannot have hidden anything.
        matters = m.comparison.counted or not m.suspect.options.settings or _blank_sectors(m)
        return (
            Finding(
                "views-not-comparable",
                f"Nobody noted how {' and '.join(unknown)} was read (secure or"
                " non-secure, which connect mode), so zeros in one dump and content in the other need not be"
                " a difference of the boards.",
                hint=True,
                asks="read-the-same-way",
                open_point="how the dumps were read is unknown" if matters else "",
            ),
        )
    if m.suspect.masked or m.good.masked:
        return ()  # each board's own option bytes say what its reader was shown
    return (
        Finding(
            "views-not-comparable",
            f"{g.name} was read with {_word(g.access)} and {s.name} with"
            f" {_word(s.access)} accesses: zeros in either may be what the reader was not shown.",
            hint=True,
        ),
    )


def check_zeros(m: Measured) -> tuple[Finding, ...]:
    """Are zeros in the suspect's dump a mask, or content?"""
    if not m.suspect.dump.size:
        return ()
    masked, access = m.suspect.masked, m.suspect.access
    out = []
    if masked:
        size = sum(r.size for r in masked)
        out.append(
            Finding(
                "zeros-are-the-mask",
                f"{size_text(size)} read zero at {ranges_text(masked)}: exactly sectors that the"
                f" option bytes make {'secure' if access is Access.NONSECURE else 'non-secure'}, and the dump was read with"
                f" {_word(access)} accesses. The chip answers such reads with 0x00. What is there was not seen and is not"
                " judged.",
                where=masked,
                direction=Direction.AGAINST,
                explains=masked,
                numbers=(Number("masked", size, "bytes"),),
            )
        )
    zeros = [a for a in m.comparison.of(AreaState.ZERO) if not _covered(m, a.range.start, masked)]
    edges = [a.range for a in zeros if a.mask_like]
    inside = [a.range for a in zeros if not a.mask_like and a.differing_bytes >= 16]
    if edges:
        where = ranges_text(edges)
        secure = m.suspect.options.secure_ranges
        fits = bool(secure) and all(_covered(m, r.start, secure) and _covered(m, r.stop - 1, secure) for r in edges)
        said = (
            "They are the sectors that the option bytes make secure; a non-secure reader gets zeros there. "
            if fits
            else ""
        )
        # Both aliases of the cells zero in a known mode, and just the watermark: no other reading is left.
        settled = fits and m.suspect.both_aliases and m.suspect.board.mode != "unknown"
        id = (
            "zeros-fit-the-watermarks"
            if settled
            else "zeros-look-like-a-mask"
            if fits or access is not Access.UNKNOWN
            else "zeros-on-sector-edges"
        )
        out.append(
            Finding(
                id,
                f"{size_text(sum(r.size for r in edges))} read zero where the good board has content, and"
                f" the zeros begin and end on sector edges ({where}). {said}Erased flash reads 0xFF.",
                where=tuple(edges),
                compares=True,
                direction=Direction.AGAINST,
                alternatives=("the reader was not entitled to these sectors", "programmed with zeros"),
                explains=merged(m.canonical(edges)) if settled else (),
                asks="read-the-same-way",
                open_point="" if settled else f"zeros at {where}: masked or real, the way of reading decides",
            )
        )
    if inside:
        out.append(
            Finding(
                "zeros-inside-a-sector",
                f"{count_text(len(inside), 'run')} of zeros begin or end inside a"
                f" sector, which no mask does ({ranges_text(inside)}).",
                where=tuple(inside),
                compares=True,
                alternatives=("programmed zeros", "a chunk lost while reading"),
                asks="read-again",
                open_point=f"zeros at {ranges_text(inside)} that no mask explains",
            )
        )
    if not masked and not zeros and m.comparison.compared_bytes:
        out.append(
            Finding("no-unexpected-zeros", "No area reads zero where the good board has content.", compares=True)
        )
    return tuple(out)


def _shows(facts: BoardFacts, m: Measured) -> bool:
    """Tell whether a dump holds content in the ranges that its reader should not be shown."""
    shift = m.chip.flash.secure_base - m.chip.flash.base
    return any(
        s.data.any()
        for h in facts.hidden
        for by in (0, shift)
        for s in facts.dump.segments_in(h.start + by, h.stop + by)
    )


def _blank_sectors(m: Measured) -> bool:
    """Tell whether the suspect's dump has a whole sector of zeros."""
    size = m.chip.flash.sector_size
    return any(
        not s.data[-s.start % size :][i : i + size].any()
        for s in m.suspect.dump.segments
        for i in range(0, max(0, s.data.size - size + 1), size)
    )


def _covered(m: Measured, address: int, ranges: Sequence[AddressRange]) -> bool:
    return any(m.chip.canonical(address) in r for r in ranges)


def _word(access: Access) -> str:
    return "non-secure" if access is Access.NONSECURE else access.value


def _mhz(p: SpeedPoint) -> str:
    return f"{p.swd_hz / 1e6:g} MHz"
