"""From found spans to regions: joined, scored, judged, named; and what is left over."""

from __future__ import annotations

from dataclasses import dataclass

from h5diag.chip import Chip
from h5diag.layout import Layout, explain
from h5diag.measure.locate.borders import cuts, parts
from h5diag.measure.locate.fill import Flags, alike, barriers, content_bytes, wrong_bits
from h5diag.measure.locate.joints import joined_spans, rounded, sharpened
from h5diag.measure.locate.lines import LEAST_ERRORS, line_faults
from h5diag.measure.locate.naming import named, told
from h5diag.measure.locate.placement import Displacement, Region, Transform
from h5diag.measure.locate.score import TRAINED, Model
from h5diag.measure.locate.search import Search, Span
from h5diag.measure.locate.sides import Side, Watch
from h5diag.measure.locate.significance import LEAST, SHOWN, Ground, expectation, is_weak
from h5diag.memory import AddressRange, Bytes, merged, subtracted

SCORED_AT_ONCE = 256

PLAIN = 1 << 12
"""When every piece has so many bytes a coarse model tells enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Spans of one way to read the dump."""

    transform: Transform
    data: Bytes
    spans: tuple[Span, ...]


def regions_of(
    found: list[Found], search: Search, chip: Chip, layout: Layout | None, watch: Watch
) -> tuple[Region, ...]:
    """Return the scored, judged and named regions of all spans, by dump address."""
    a, b = search.reference_side, search.dump_side
    if not any(f.spans for f in found):
        return ()
    ground = Ground(content_bytes(~search.reference_fill), content_bytes(~search.dump_fill), chip.flash.sector_size)
    joined = [(f, joined_spans(f.spans, a, b, f.data, watch)) for f in found]
    plain = min(s.size for _, spans in joined for s in spans) >= PLAIN
    model = Model(a.data, b.data, search.reference_fill, search.dump_fill, TRAINED // 8 if plain else TRAINED)
    scored: list[tuple[Found, Span, float]] = []
    for f, spans in joined:
        for mask in {s.mask for s in spans}:
            group = [s for s in spans if s.mask == mask]
            # Equal parts, so that each is scored as finely as the whole group would be.
            step = -(-len(group) // max(1, -(-len(group) // SCORED_AT_ONCE)))
            for at in range(0, len(group), step):
                watch.pause()
                some = group[at : at + step]
                scores = model.score(
                    a.data,
                    f.data,
                    [(s.reference, s.dump, s.size) for s in some],
                    as_is=f.transform is Transform.AS_IS,
                    mask=mask,
                )
                scored += [(f, s, float(v)) for s, v in zip(some, scores, strict=True)]
    known = {0, chip.flash.bank_size, -chip.flash.bank_size, *_slot_displacements(layout)}
    displacement = {id(s): b.canonical_address(s.dump) - a.canonical_address(s.reference) for _, s, _ in scored}
    everywhere = float(ground.reference) * ground.dump
    known |= {displacement[id(s)] for _, s, score in scored if s.size >= 256 and expectation(score, everywhere) < 1e-6}
    scored.sort(key=lambda entry: entry[1].dump)
    taken = [(s.dump, s.dump + s.size) for _, s, _ in scored]
    out: list[tuple[Region, Found, Span]] = []
    for i, (f, s, score) in enumerate(scored):
        if i & 7 == 0:
            watch.check(i / len(scored))
        moved = displacement[id(s)]
        here = b.canonical_address(s.dump)
        cells = ground.cells(moved, here - chip.flash.base, moved in known)
        expected = expectation(score, cells)
        if score < LEAST or expected > SHOWN:
            continue
        s = rounded(sharpened(s, a, b, f.data, taken), a, b, f.data, taken, chip.flash.program_unit)
        taken[i] = s.dump, s.dump + s.size
        x, y = a.data[s.reference : s.reference + s.size], f.data[s.dump : s.dump + s.size]
        equal = alike(x, y)
        errors = 0 if equal == s.size else wrong_bits(x, y)
        start, there = b.address(s.dump), a.address(s.reference)
        region = Region(
            there,
            start,
            s.size,
            moved,
            equal,
            errors,
            round(score, 1),
            expected,
            is_weak(score, s.size, cells, ground),
            f.transform,
            layout.explain(there, start, s.size) if layout else explain(chip, there, start, s.size),
            line_faults(x, y, there) if errors >= LEAST_ERRORS else (),
        )
        out.append((region, f, s))
    out.sort(key=lambda entry: entry[0].dump_start)
    regions = named(tuple(r for r, _, _ in out), a, b, chip)
    if layout is not None:
        cut: list[Region] = []
        for r, (_, f, s) in zip(regions, out, strict=True):
            watch.pause()
            where = cuts(s, layout, a, b)
            cut += parts(r, s, f.data, where, layout, a, model, as_is=f.transform is Transform.AS_IS) if where else [r]
        regions = tuple(cut)
    return told(regions, chip)


def _slot_displacements(layout: Layout | None) -> set[int]:
    if layout is None:
        return set()
    starts = [s.range.start for s in layout.slots]
    return {x - y for x in starts for y in starts}


def displacements_of(regions: tuple[Region, ...]) -> tuple[Displacement, ...]:
    """Return the bytes of the strong regions that agree, but for a broken data line, by displacement."""
    total: dict[int, int] = {}
    for r in regions:
        if not r.weak:
            total[r.displacement] = total.get(r.displacement, 0) + (r.size if r.lines else r.equal_bytes)
    return tuple(Displacement(d, n) for d, n in sorted(total.items(), key=lambda e: (-e[1], abs(e[0]))))


def unexplained(
    a: Side, b: Side, a_fill: Flags, b_fill: Flags, regions: tuple[Region, ...], equal: tuple[Span, ...], watch: Watch
) -> dict[str, tuple[AddressRange, ...]]:
    """Return fill and unexplained content of both sides, named as in `Placement`."""
    out: dict[str, tuple[AddressRange, ...]] = {}
    for name, side, fill, taken in (
        ("reference", a, a_fill, [r.reference_range for r in regions if not r.weak]),
        ("dump", b, b_fill, [r.dump_range for r in regions if not r.weak]),
    ):
        watch.pause()
        first, last = barriers(side, fill)
        padding = merged(x for p, q in zip(first.tolist(), last.tolist(), strict=True) for x in side.ranges(p, q))
        watch.pause()
        # Equal in place but too plain to be a piece of evidence: explained all the same.
        plain = [x for s in equal for x in side.ranges(getattr(s, name), getattr(s, name) + s.size)]
        watch.pause()
        whole = side.ranges(0, side.size)
        out[f"{name}_fill"] = padding
        out[f"{name}_rest"] = subtracted(whole, [*padding, *taken, *plain])
    return out
