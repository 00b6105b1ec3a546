"""The backup: several reads of every sector, and a reason for each sector whose contents could not be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5diag.errors import Cancelled, PermissionRefused
from h5diag.memory import AddressRange, Bytes, Cancel, Progress
from h5diag.probe.flashtest.observe import NOTHING_WRONG, Reading
from h5diag.probe.flashtest.patterns import left_behind, ordered
from h5diag.probe.flashtest.plan import TestPlan
from h5diag.probe.flashtest.reading import Look, Reader, few_bits
from h5diag.probe.flashtest.survey import Obstacle, Survey, sectors_of


@dataclass(frozen=True, slots=True, eq=False)
class Backup:
    """What the range held.

    Parameters
    ----------
    data
        ``uint8`` over the range; zeros where there is no backup.
    obstacles
        Sectors without a backup that can be trusted, beside those of the survey.
    readings
        What was noticed by the way, by canonical address of the sector.
    """

    data: Bytes
    obstacles: tuple[Obstacle, ...]
    readings: tuple[tuple[int, Reading], ...]


def read_backup(
    reader: Reader,
    plan: TestPlan,
    survey: Survey,
    *,
    progress: Progress = lambda fraction: None,
    cancel: Cancel = lambda: False,
) -> Backup:
    """Read the range in several passes, at the speeds of the plan and in changing order.

    Raises
    ------
    PermissionRefused
        When a sector holds the pattern of an interrupted test.
    ProbeError
        When the link fails.
    Cancelled
        When `cancel` says so; nothing was erased.
    """
    chip = reader.board.chip
    barred = {o.start for o in survey.obstacles}
    sectors = [s.range for s in sectors_of(chip, plan.range) if s.range.start not in barred]
    looks: dict[int, list[Look]] = {s.start: [] for s in sectors}
    speed = reader.board.frequency_hz
    reader.forget_ecc()
    total, done = len(sectors) * plan.backup_passes, 0
    for number in range(plan.backup_passes):
        reader.board.set_frequency(plan.speeds_hz[number % len(plan.speeds_hz)])
        for i in ordered(len(sectors), "shuffled" if number else "ascending", number):
            if cancel():
                raise Cancelled("stopped while the backup was read; nothing was erased")
            looks[sectors[i].start].append(reader.look(sectors[i]))
            done += 1
            progress(done / total)
    reader.board.set_frequency(speed)
    data = np.zeros(plan.range.size, np.uint8)
    obstacles, readings = list[Obstacle](), list[tuple[int, Reading]]()
    for s in sectors:
        why, reading = _trusted(s, looks[s.start])
        if reading:
            readings.append((s.start, reading))
        if why:
            obstacles.append(Obstacle(s.start, why))
        else:
            data[s.start - plan.range.start : s.stop - plan.range.start] = looks[s.start][0].data
    return Backup(data, tuple(obstacles), tuple(readings))


def _trusted(sector: AddressRange, looks: list[Look]) -> tuple[str, Reading]:
    """Return why the reads are no backup (empty when they are one), and what was noticed."""
    corrected = tuple(sorted({a for lk in looks for a in lk.corrected}))
    double = tuple(sorted({a for lk in looks for a in lk.uncorrected}))
    words = np.stack([lk.data.view("<u4") for lk in looks])
    moves = (words != words[0]).any(axis=0)
    moving = np.flatnonzero(moves)
    weak = moving if few_bits(words, moves) else moving[:0]  # whole words that move speak of the link, not of cells
    reading = Reading(NOTHING_WRONG, corrected, double, tuple(sector.start + 4 * int(i) for i in weak))
    for lk in looks:
        if lk.unreadable:
            return f"cannot be read at 0x{lk.unreadable[0].start:08X}: no backup", Reading(corrected=corrected)
    if double:
        return f"fails the ECC at 0x{double[0]:08X}: no backup", reading
    if moving.size:
        return f"reads disagree at 0x{sector.start + 4 * int(moving[0]):08X}: no backup", reading
    if not looks[0].data.any():
        return "reads as zeros only: it cannot be told from a masked sector, no backup", reading
    name = left_behind(looks[0].data, sector.start)
    if name:
        raise PermissionRefused(
            f"the sector at 0x{sector.start:08X} holds the pattern '{name}' of an interrupted flash test",
            advice="put its contents back first: h5diag flashtest --probe P --restore DIR, with that test's folder",
        )
    return "", reading
