"""How much was looked at: what was compared, what was not, and whether that is enough to say anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from h5diag.judge.facts import Measured
from h5diag.judge.verdict import Finding
from h5diag.measure.firmware import Check
from h5diag.memory import AddressRange, MemoryImage, merged, subtracted
from h5diag.text import ranges_text, size_text

LEAST_CONTENT = 64
"""A comparison of fewer bytes of content (neither 0x00 nor 0xFF) than this says nothing."""


def coverage(m: Measured) -> list[Finding]:
    """Return findings about content that was held against nothing."""
    if not m.compared:
        return []
    seen = merged(
        m.canonical([*(a.range for a in m.comparison.areas), *(a.range for k in m.known for a in k.comparison.areas)])
    )
    out = []
    images = [m.suspect.judged, m.good.judged, *(k.image.image for k in m.known)]
    compared = max(_content(i, m, within=seen) for i in images)
    if compared < LEAST_CONTENT:
        out.append(
            Finding(
                "too-little-compared",
                f"Only {size_text(compared)} of content can be compared: nothing follows.",
                asks="read-the-same-way",
                open_point=f"there was only {size_text(compared)} of content to compare",
            )
        )
    proven = [i.image.range for i in m.suspect.images if i.verification.hash is Check.VALID]
    waiting = [s.slot.range for s in m.suspect.slots if s.content.at_start]
    covered = merged((*seen, *m.canonical([*proven, *waiting]), *m.suspect.masked))
    total, rest = _content(m.suspect.judged, m), _content(m.suspect.judged, m, without=covered)
    if rest > total / 2:
        out.append(
            Finding(
                "mostly-uncompared",
                f"{size_text(rest)} of {size_text(total)} of content in the dump were held against nothing.",
                asks="known-good",
                open_point=f"{size_text(rest)} of content were not compared with anything",
            )
        )
    if m.has_good:
        shown = merged((*m.canonical(m.suspect.dump.ranges), *m.suspect.masked))
        total, rest = _content(m.good.judged, m), _content(m.good.judged, m, without=shown)
        if rest > total / 2:
            out.append(
                Finding(
                    "mostly-unread",
                    f"{size_text(rest)} of {size_text(total)} of the good board's content were never read on {m.name}.",
                    asks="read-the-same-way",
                    open_point=f"{size_text(rest)} of the good board's content were not read on {m.name}",
                )
            )
    return out


def _content(
    image: MemoryImage, m: Measured, *, within: Sequence[AddressRange] = (), without: Iterable[AddressRange] = ()
) -> int:
    """Count cells of an image that hold neither 0x00 nor the erased value; each cell once, whatever its alias."""
    count = 0
    done: tuple[AddressRange, ...] = merged(without)
    for s in image.segments:
        start = m.chip.canonical(s.start)
        here: tuple[AddressRange, ...] = (AddressRange(start, start + s.data.size),)
        if within:
            here = tuple(x for r in here for w in within if (x := r.intersection(w)).size)
        content = (s.data != m.chip.flash.erased) & (s.data != 0)
        for r in subtracted(here, done):
            count += int(np.count_nonzero(content[r.start - start : r.stop - start]))
        done = merged((*done, *here))
    return count


def _cells(ranges: Iterable[AddressRange], m: Measured) -> int:
    """Return how many cells these ranges name, each once."""
    return sum(r.size for r in merged(m.canonical(ranges)))


def scope_of(m: Measured) -> str:
    """Return what was judged and what was not, in words."""
    said = []
    judged = [a.range for a in m.comparison.areas if a.state.value not in ("masked", "unreadable")]
    if judged:
        said.append(
            f"{size_text(_cells(judged, m))} of {m.name} were compared with {m.good.board.name}"
            f" ({m.chip.title} has {size_text(m.chip.flash.size)} of flash)"
        )
    said += [f"{size_text(k.seen_bytes)} with {k.image.name}" for k in m.known if k.seen_bytes]
    if not said:
        said.append("nothing could be compared with a good dump or a known image")
    hidden = merged((*m.suspect.masked, *m.good.masked))
    if hidden:
        said.append(f"not judged, because the reader was not shown it: {ranges_text(hidden)}")
    unread = m.comparison.not_compared
    if _content(m.good.judged, m, within=m.canonical(unread)) if unread else 0:
        said.append(f"not read on {m.name}: {ranges_text(unread)}")
    if m.suspect.dump.unreadable:
        said.append(f"not readable: {ranges_text(m.suspect.dump.unreadable)}")
    tested = m.suspect.board.flashtest
    said.append(
        "cells were tested by a flash test"
        if tested.given
        else "contents only: no cell was erased or programmed to test it"
    )
    if m.chip_assumed:
        said.append(f"the chip is an assumption ({m.chip.name})")
    return "; ".join(said) + "."
