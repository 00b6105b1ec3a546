"""From what was seen in each sector to named faults, by the table of fault models."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import numpy as np

from h5diag.case.results import Fault, SectorTest
from h5diag.chip import Chip
from h5diag.probe.flashtest.plan import TestPlan
from h5diag.probe.flashtest.reading import Backup, Reading, Visit
from h5diag.probe.flashtest.signs import (
    SectorEvidence,
    fault_models,
    find_aliases,
    find_bits,
    find_disturbed,
    find_ignored,
    gather,
    whole_sector,
)
from h5diag.probe.flashtest.survey import Obstacle, sectors_of
from h5diag.text import count_text

_TWICE = 2


def classify(
    chip: Chip, plan: TestPlan, visits: Iterable[Visit], backup: Backup, obstacles: Iterable[Obstacle]
) -> tuple[SectorTest, ...]:
    """Return a result for each sector of the plan's range, in address order.

    Parameters
    ----------
    chip, plan
        Geometry, and what was done.
    visits
        What was seen.
    backup
        What the sectors held before, and what was noticed while it was read.
    obstacles
        Sectors that the survey ruled out.
    """
    seen: dict[int, list[Visit]] = {}
    for v in visits:
        seen.setdefault(v.sector, []).append(v)
    slow = _slow(plan, seen)
    barred = {o.start: o for o in (*backup.obstacles, *obstacles)}
    noticed = dict(backup.readings)
    out = []
    for s in sectors_of(chip, plan.range):
        start = s.range.start
        if start in barred:
            out.append(_barred(barred[start], noticed))
            continue
        own = sorted(seen.get(start, ()), key=lambda v: v.step)
        times = (
            _median(v.erase_s for v in own),
            _median(v.program_s for v in own),
        )
        lost = next((v for v in own if v.lost), None)
        if lost is not None or not own:
            reason = lost.lost if lost is not None else "the test did not come to it"
            out.append(SectorTest(start, "untested", reason, *times, _refusals(own)))
            continue
        offset = start - plan.range.start
        before = backup.data[offset : offset + s.range.size]
        evidence = gather(plan, s.range, own, before, noticed.get(start))
        faults = (*_of_sector(evidence), *slow.get(start, ()))
        reason = ""
        if not faults and evidence.flickered_once:
            out.append(
                SectorTest(
                    start,
                    "untested",
                    "a read disagreed once and never again: link or cell, it cannot be told",
                    *times,
                    (),
                )
            )
            continue
        bad = [f for f in faults if fault_models().kind(f.kind).verdict == "bad"]
        if bad:
            kinds = dict.fromkeys(f.kind for f in bad)
            reason = ", ".join(f"{k}: {fault_models().kind(k).means}" for k in kinds)
        out.append(SectorTest(start, "bad" if bad else "good", reason, *times, tuple(faults)))
    return tuple(out)


def _barred(o: Obstacle, noticed: dict[int, Reading]) -> SectorTest:
    faults: list[Fault] = []
    reading = noticed.get(o.start, Reading())
    if o.protected:
        faults.append(Fault("protected", o.start, None, o.reason, 0))
    kinds = (
        ("ecc-uncorrected", reading.uncorrected),
        ("ecc-corrected", reading.corrected),
        ("unstable", reading.flicker),
    )
    faults += [
        Fault(kind, a, None, "seen while the backup was read; the sector was not tested", 0)
        for kind, places in kinds
        for a in places[:20]
    ]
    return SectorTest(o.start, "untested", o.reason, None, None, tuple(faults))


def _refusals(visits: list[Visit]) -> tuple[Fault, ...]:
    """Return what the controller said when it refused; no fault of the cells."""
    models = fault_models()
    for v in visits:
        if v.flags:
            kind = "protected" if "WRPERR" in v.flags else "controller-error"
            detail = "; ".join(f"{f}: {models.flag(f)}" for f in v.flags)
            return (Fault(kind, v.sector, None, detail, 1),)
    return ()


def _of_sector(e: SectorEvidence) -> tuple[Fault, ...]:
    """Return the faults of one sector: those of the whole first, then of quad-words, then of bits."""
    if not e.anything:
        return ()
    dead = whole_sector(e)
    if dead:
        return (dead,)
    disturbed, lost = find_disturbed(e)
    aliases, aliased = find_aliases(e)
    aliased |= lost
    ignored, silent = find_ignored(e, aliased)
    out = [*disturbed, *aliases, *ignored, *_ecc(e), *_flicker(e), *find_bits(e, aliased | silent)]
    most = fault_models().most_faults
    if len(out) > most:
        more = len(out) - most
        out = [
            *out[: most - 1],
            Fault(
                out[most].kind,
                out[most].address,
                out[most].bit,
                f"and {more} more like these",
                out[most].rounds,
                out[most].swd_hz,
            ),
        ]
    return tuple(sorted(out, key=lambda f: (f.address, -1 if f.bit is None else f.bit)))


def _ecc(e: SectorEvidence) -> list[Fault]:
    doubles = {a for r in e.readings for a in r.uncorrected}
    singles = {a for r in e.readings for a in r.corrected}
    out = []
    for a in sorted(doubles | singles):
        showing = [r for r in e.readings if a in r.uncorrected or a in r.corrected]
        kind = "ecc-uncorrected" if a in doubles else "ecc-corrected"
        cells = "two or more cells wrong" if a in doubles else "one cell wrong, corrected"
        out.append(
            Fault(
                kind,
                a,
                None,
                f"{cells}; seen in {len(showing)} of {len(e.readings)} readings",
                *e.repetition(showing),
            )
        )
    return out


def _flicker(e: SectorEvidence) -> list[Fault]:
    places: dict[int, int] = {}
    for r in e.readings:
        for a in r.flicker:
            places[a] = places.get(a, 0) + 1
    for a in e.noticed.flicker:
        places[a] = places.get(a, 0) + 1
    out = []
    for a, n in sorted(places.items()):
        if n >= _TWICE:
            showing = [r for r in e.readings if a in r.flicker]
            out.append(
                Fault(
                    "unstable",
                    a,
                    None,
                    f"reads of this word disagree, in {count_text(n, 'place')} of the test",
                    *e.repetition(showing),
                )
            )
    return out


def _slow(plan: TestPlan, seen: dict[int, list[Visit]]) -> dict[int, tuple[Fault, ...]]:
    """Return the sectors whose erase takes several times as long as that of the others, step by step."""
    factor = fault_models().slow_factor
    steps = {s.number: s for s in plan.steps}
    by_step: dict[int, dict[int, float]] = {}
    for start, visits in seen.items():
        for v in visits:
            if v.erase_s is not None:
                by_step.setdefault(v.step, {})[start] = v.erase_s
    out: dict[int, tuple[Fault, ...]] = {}
    for start, visits in seen.items():
        slow, ratios, chances = [], [], 0
        for v in visits:
            others = [t for other, t in by_step.get(v.step, {}).items() if other != start]
            if v.erase_s is None or not others:
                continue
            chances += 1
            usual = float(np.median(others))
            if usual > 0 and v.erase_s > factor * usual:
                slow.append(steps[v.step])
                ratios.append(v.erase_s / usual)
        if slow and 2 * len(slow) > chances:
            out[start] = (
                Fault(
                    "slow-erase",
                    start,
                    None,
                    f"erase takes {median(ratios):.1f} times as long as in the other sectors",
                    len({s.round for s in slow}),
                    tuple(sorted({s.speed_hz for s in slow})),
                    len(slow),
                    chances,
                ),
            )
    return out


def _median(times: Iterable[float | None]) -> float | None:
    measured = [t for t in times if t is not None]
    return median(measured) if measured else None
