"""A placement as the JSON document of the command line, and as text for a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from h5diag.chip import Chip
from h5diag.layout import Explanation, ExplanationKind
from h5diag.measure.locate.placement import Placement, Region
from h5diag.memory import AddressRange

MANY = 40
"""Rows of a table for a person; the rest is counted."""


def document(placement: Placement) -> dict[str, object]:
    """Return the placement in the terms of ``h5diag locate --json``."""
    return {
        "regions": [_region(r) for r in placement.regions],
        "displacements": [{"displacement": d.displacement, "bytes": d.bytes} for d in placement.displacements],
        "unexplained": {"reference": _pairs(placement.reference_rest), "dump": _pairs(placement.dump_rest)},
        "unknown": {"reference": _pairs(placement.reference_unknown), "dump": _pairs(placement.dump_unknown)},
        "assumptions": list(placement.assumptions),
    }


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


def _region(r: Region) -> dict[str, object]:
    return {
        "reference_start": r.reference_start,
        "dump_start": r.dump_start,
        "size": r.size,
        "displacement": r.displacement,
        "equal_bytes": r.equal_bytes,
        "bit_errors": r.bit_errors,
        "score_bits": r.score_bits,
        "nominal_expectation": r.expectation,
        "transform": r.transform.value,
        "explanation": {"kind": r.explanation.kind.value, "text": r.explanation.text},
        "lines": [str(line) for line in r.lines],
        **({"weak": True} if r.weak else {}),
    }


def _pairs(ranges: Iterable[AddressRange]) -> list[list[int]]:
    return [[r.start, r.stop] for r in ranges]


def text(placement: Placement) -> str:
    """Return the placement for a person: the answer first."""
    lines = [headline(placement)]
    if placement.displacements:
        lines += ["", "  displacement       bytes"]
        lines += [f"  {_signed(d.displacement):>12} {d.bytes:11,}" for d in placement.displacements[:8]]
        lines += _more(len(placement.displacements) - 8)
    if placement.regions:
        lines += ["", "  reference    dump         size        displacement  equal    score  what it means"]
        shown = sorted(placement.regions, key=lambda r: -r.score_bits)[:MANY]
        lines += [_row(r) for r in sorted(shown, key=lambda r: r.dump_start)]
        lines += _more(len(placement.regions) - MANY)
    lines += _ranges("not found in the dump", placement.reference_rest)
    lines += _ranges("in the dump and not in the reference", placement.dump_rest)
    lines += _ranges("unknown in the dump (gap or unreadable)", placement.dump_unknown)
    lines += _ranges("unknown in the reference (gap or unreadable)", placement.reference_unknown)
    lines += [f"note: {a}" for a in placement.assumptions]
    return "\n".join(lines)


def headline(placement: Placement) -> str:
    """Return the answer in one sentence."""
    strong = placement.strong
    if not strong:
        weak = len(placement.weak)
        return "No piece of the reference was found in the dump" + (
            f"; {weak} short likeness{'es' if weak > 1 else ''} could be chance." if weak else "."
        )
    first = placement.displacements[0]
    total = sum(d.bytes for d in placement.displacements)
    best = max((r for r in strong if r.displacement == first.displacement), key=lambda r: r.size)
    where = "at its place" if first.displacement == 0 else f"displaced by {_signed(first.displacement)}"
    share = (
        f"{first.bytes:,} of {total:,} found bytes are"
        if len(placement.displacements) > 1
        else f"{total:,} bytes were found, all"
    )
    return f"{share} {where}: {best.explanation.text}."


def _row(r: Region) -> str:
    return (
        f"  0x{r.reference_start:08X}   0x{r.dump_start:08X}   {r.size:9,}  {_signed(r.displacement):>12}  "
        f"{_percent(r):>6} {r.score_bits:8.0f}  {r.explanation.kind.value}: {r.explanation.text}"
        f"{' (weak: could be chance)' if r.weak else ''}"
    )


def _percent(r: Region) -> str:
    return "all" if r.equal_bytes == r.size else f"{min(100 * r.identity, 99.99):.4g} %"


def _signed(value: int) -> str:
    return f"{'-' if value < 0 else '+'}0x{abs(value):X}" if value else "0"


def _more(count: int) -> list[str]:
    return [f"  ... and {count} more"] if count > 0 else []


def _ranges(title: str, ranges: tuple[AddressRange, ...]) -> list[str]:
    if not ranges:
        return []
    total = sum(r.size for r in ranges)
    large = sorted(sorted(ranges, key=lambda r: -r.size)[:6])
    return ["", f"{total:,} bytes {title}:", *(f"  {r}  {r.size:,}" for r in large), *_more(len(ranges) - 6)]
