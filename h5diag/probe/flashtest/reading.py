"""Reading a sector so that the chip, its ECC and the link can be told apart."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from h5diag.chip import EccKind
from h5diag.errors import Cancelled, PermissionRefused
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress, subtracted
from h5diag.probe.acquire import PatientReader
from h5diag.probe.board import Board
from h5diag.probe.board.board import power_lost
from h5diag.probe.flashtest.patterns import left_behind, ordered
from h5diag.probe.flashtest.plan import TestPlan
from h5diag.probe.flashtest.programmer import ByAlgorithm
from h5diag.probe.flashtest.second_path import SecondPath
from h5diag.probe.flashtest.survey import Obstacle, Survey, sectors_of

NOTHING_WRONG: Bytes = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What repeated reads of a sector brought, against what it should hold.

    Parameters
    ----------
    wrong
        ``uint8``: exclusive or of what was read (alike in every read) and what was meant; empty when nothing differs.
    corrected, uncorrected
        Canonical addresses of the quad-words that the ECC registers named.
    flicker
        Canonical addresses of the words whose reads disagreed.
    """

    wrong: Bytes = field(default_factory=lambda: NOTHING_WRONG)
    corrected: tuple[int, ...] = ()
    uncorrected: tuple[int, ...] = ()
    flicker: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything was noticed."""
        return bool(self.wrong.size or self.corrected or self.uncorrected or self.flicker)

    def document(self) -> dict[str, Any]:
        """Return plain values for a journal."""
        packed = base64.b64encode(zlib.compress(self.wrong.tobytes(), 6)).decode() if self.wrong.size else ""
        return {
            "wrong": packed,
            "corrected": list(self.corrected),
            "uncorrected": list(self.uncorrected),
            "flicker": list(self.flicker),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any], size: int) -> Reading:
        """Return a reading out of a journal; ValueError when it is not one of a sector of `size` bytes."""
        wrong = NOTHING_WRONG
        if document["wrong"]:
            unpacked = zlib.decompressobj().decompress(base64.b64decode(document["wrong"]), size + 1)
            wrong = np.frombuffer(unpacked, np.uint8)
            if wrong.size != size:
                raise ValueError("a reading of another size")
        corrected, uncorrected, flicker = (
            tuple(int(a) for a in document[k]) for k in ("corrected", "uncorrected", "flicker")
        )
        return cls(wrong, corrected, uncorrected, flicker)


@dataclass(frozen=True, slots=True)
class Visit:
    """One sector in one step.

    Parameters
    ----------
    sector, step
        Canonical address of the sector, and number of the step.
    erase_s, program_s
        How long it took; None when it did not come to that.
    erased, programmed
        What was read after each.
    again
        What was read after the power cycle that followed; like `programmed` when there was none.
    held
        What was read after the neighbouring sectors were erased, and after many reads: the march step alone.
    outside
        Addresses outside of the range at which this sector's own pattern shows.
    flags
        Error flags of the FLASH interface.
    lost
        Why nothing follows from this visit; empty when it counts.
    """

    sector: int
    step: int
    erase_s: float | None = None
    program_s: float | None = None
    erased: Reading = field(default_factory=Reading)
    programmed: Reading = field(default_factory=Reading)
    again: Reading = field(default_factory=Reading)
    held: Reading = field(default_factory=Reading)
    outside: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()
    lost: str = ""

    def document(self) -> dict[str, Any]:
        """Return plain values for a journal."""
        out: dict[str, Any] = {
            "sector": self.sector,
            "step": self.step,
            "erase_s": self.erase_s,
            "program_s": self.program_s,
            "outside": list(self.outside),
            "flags": list(self.flags),
            "lost": self.lost,
        }
        for name in ("erased", "programmed", "again", "held"):
            reading = getattr(self, name)
            if reading:
                out[name] = reading.document()
        return out

    @classmethod
    def of(cls, document: Mapping[str, Any], size: int) -> Visit:
        """Return a visit out of a journal; KeyError, TypeError or ValueError when it is none."""
        erased, programmed, again, held = (
            Reading.of(document[n], size) if n in document else Reading()
            for n in ("erased", "programmed", "again", "held")
        )
        erase_s, program_s = (None if document[n] is None else float(document[n]) for n in ("erase_s", "program_s"))
        return cls(
            int(document["sector"]),
            int(document["step"]),
            erase_s,
            program_s,
            erased,
            programmed,
            again,
            held,
            tuple(int(a) for a in document["outside"]),
            tuple(map(str, document["flags"])),
            str(document["lost"]),
        )


_READ_TRIES = 5
_GLITCH_BITS = 4
_MORE = 2
_CONFIRMATIONS = 2
_SURE = 6


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One read of a sector: bytes (0 where unreadable), unreadable words, and quad-words that the ECC named."""

    data: Bytes
    unreadable: tuple[AddressRange, ...]
    corrected: tuple[int, ...]
    uncorrected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A `Reading`, and why nothing follows from it (empty when something does)."""

    reading: Reading
    lost: str = ""


class Reader:
    """Reads sectors of one side of a chip.

    Parameters
    ----------
    board
        A connected chip whose FLASH registers may be written (the ECC flags are cleared).
    access
        Security attribute; with secure accesses the secure alias is used.
    swapped
        SWAP_BANK, for the addresses in the ECC registers.
    core
        Reads a second way, when it runs code.
    """

    def __init__(self, board: Board, access: Access, swapped: bool, core: ByAlgorithm | None = None) -> None:
        self.board, self.access, self._swapped = board, access, swapped
        self.second = SecondPath(board, access, core)
        self.patient = PatientReader(board, access, same_chip=power_lost)
        self._confirmed: dict[tuple[int, int], int] = {}
        chip = board.chip
        secure = access is Access.SECURE
        base = chip.flash_registers_secure if secure else chip.flash_registers
        self._registers = [(n, base + chip.register(n).offset) for n in ("ECCCORR", "ECCDETR")]
        self._together = self._registers[1][1] == self._registers[0][1] + 4
        self._keep = [
            sum(f.mask for f in chip.register(n).fields if f.name in ("ECCIE", "ECCC", "ECCD"))
            for n, _ in self._registers
        ]

    def bus(self, address: int) -> int:
        """Return the bus address for a canonical one."""
        return self.board.chip.secure_alias(address) if self.access is Access.SECURE else address

    def _ecc(self) -> list[int]:
        (_, first), (_, second) = self._registers
        if self._together:
            return [int(w) for w in self.board.read_words(first, 2, access=self.access)]
        return [self.board.read_word(a, access=self.access) for a in (first, second)]

    def clear_ecc(self, values: list[int]) -> list[tuple[int, bool]]:
        """Clear what the ECC registers hold and return it: canonical address, and whether it was a double error."""
        chip, out = self.board.chip, []
        for (name, address), value, keep in zip(self._registers, values, self._keep, strict=True):
            place = chip.ecc_location(name, value)
            if place.kind is EccKind.NONE:
                continue
            self.board.write_word(address, value & keep, access=self.access)
            if not chip.flash_range.covers(AddressRange(place.address, place.address + 1)):
                continue
            at = place.address
            if self._swapped:
                at = chip.flash.base + (at - chip.flash.base + chip.flash.bank_size) % chip.flash.size
            out.append((at, place.kind is EccKind.DOUBLE))
        return out

    def forget_ecc(self) -> None:
        """Clear what earlier reads left in the ECC registers."""
        self.clear_ecc(self._ecc())

    def look(self, sector: AddressRange) -> _Look:
        """Read a sector once, and again behind every quad-word that the ECC named.

        Raises
        ------
        ProbeError
            When the link fails; a word that the bus refuses is only noted.
        """
        data = np.zeros(sector.size, np.uint8)
        bad: list[AddressRange] = []
        self._read(sector, data, sector.start, bad)
        events: dict[int, bool] = {}
        at = sector.start
        values = self._ecc()
        while any(values):
            found = [(a, d) for a, d in self.clear_ecc(values) if a in sector and a >= at]
            if not found:
                break
            for a, double in found:
                events[a] = events.get(a, False) or double
            # Only the first address is kept until it is cleared: what lies behind it shows in another read.
            at = min(a for a, _ in found) + self.board.chip.flash.program_unit
            if at >= sector.stop:
                break
            self._read(AddressRange(at, sector.stop), np.zeros(sector.size, np.uint8), sector.start, [])
            values = self._ecc()
        # A double error may come as a bus error: then the ECC register says what it was.
        doubles = [AddressRange(a, a + self.board.chip.flash.program_unit) for a, d in events.items() if d]
        return _Look(
            data,
            subtracted(bad, doubles),
            tuple(sorted(a for a, d in events.items() if not d)),
            tuple(sorted(a for a, d in events.items() if d)),
        )

    def look_once(self, sector: AddressRange) -> None:
        """Read a sector for the reading's sake."""
        self.patient.attempt(self.bus(sector.start), self.bus(sector.start) + sector.size)

    def _read(self, where: AddressRange, into: npt.NDArray[np.uint8], base: int, bad: list[AddressRange]) -> None:
        """Fill `into`; what the bus refuses is halved down to words, each tried several times."""
        for _ in range(_READ_TRIES if where.size <= 4 else 1):
            start = self.bus(where.start)
            data = self.patient.attempt(start, start + where.size)
            if data is not None:
                into[where.start - base : where.stop - base] = data
                return
        if where.size <= 4:
            bad.append(where)
            return
        middle = where.start + (where.size // 2 + 3 & ~3)
        self._read(AddressRange(where.start, middle), into, base, bad)
        self._read(AddressRange(middle, where.stop), into, base, bad)

    def compare(self, sector: AddressRange, meant: Bytes, reads: int, slow_hz: int, tag: int = 0) -> Judged:
        """Read a sector several times and compare; what differs is read more often, at the slowest speed too.

        What stays wrong is read a second way, twice for each `tag` (a round) and sector: only then it speaks of the chip.
        """
        looks = [self.look(sector) for _ in range(reads)]
        if all(not lk.unreadable and np.array_equal(lk.data, meant) for lk in looks):
            return Judged(Reading(NOTHING_WRONG, *_ecc_of(looks)))
        here = self.board.frequency_hz
        looks += [self.look(sector) for _ in range(_MORE)]
        slow: list[_Look] = []
        if slow_hz != here:
            self.board.set_frequency(slow_hz)
            slow = [self.look(sector) for _ in range(_MORE)]
            self.board.set_frequency(here)
        if _by_speed(meant, looks, slow):
            looks += [self.look(sector) for _ in range(_SURE)]  # a weak cell may look so a few times by chance
        judged = _judged(sector, meant, looks, slow)
        wrong = judged.reading.wrong
        if judged.lost or not wrong.size or self._confirmed.get((sector.start, tag), 0) >= _CONFIRMATIONS:
            return judged
        self._confirmed[sector.start, tag] = self._confirmed.get((sector.start, tag), 0) + 1
        moving = np.zeros(sector.size // 4, np.bool_)
        moving[[(a - sector.start) // 4 for a in judged.reading.flicker]] = True
        got = looks[0].data if moving.any() else meant ^ wrong
        why = self.second.confirms(sector, got, wrong.view("<u4") != 0, moving)
        self.forget_ecc()
        return Judged(Reading(), why) if why else judged


def _ecc_of(looks: list[_Look]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    double = {a for lk in looks for a in lk.uncorrected}
    single = {a for lk in looks for a in lk.corrected} - double
    return tuple(sorted(single)), tuple(sorted(double))


def _judged(sector: AddressRange, meant: Bytes, looks: list[_Look], slow: list[_Look]) -> Judged:
    everything = looks + slow
    if any(lk.unreadable for lk in everything):
        at = next(r for lk in everything for r in lk.unreadable)
        return Judged(Reading(), f"the bus refused to read 0x{at.start:08X}")
    words = np.stack([lk.data.view("<u4") for lk in everything])
    moving = (words != words[0]).any(axis=0)
    flicker: tuple[int, ...] = ()
    if moving.any():
        if _by_speed(meant, looks, slow):
            return Judged(Reading(), "reads are right at the slowest link speed and wrong alike at another")
        if not few_bits(words, moving):
            right = bool(slow) and all(np.array_equal(lk.data, meant) for lk in slow)
            return Judged(
                Reading(),
                "reads are right at the slowest link speed and wrong at another"
                if right
                else "reads disagree in whole words, as a bad link makes them",
            )
        flicker = tuple(sector.start + 4 * int(i) for i in np.flatnonzero(moving))
    wrong = np.where(moving, 0, words[0] ^ meant.view("<u4")).astype("<u4").view(np.uint8)
    return Judged(Reading(wrong if wrong.any() else NOTHING_WRONG, *_ecc_of(everything), flicker))


def _by_speed(meant: Bytes, looks: list[_Look], slow: list[_Look]) -> bool:
    """Tell whether every read at one speed is wrong alike, and every read at the slowest is right."""
    return (
        bool(slow)
        and all(np.array_equal(lk.data, meant) for lk in slow)
        and all(np.array_equal(lk.data, looks[0].data) for lk in looks)
        and not np.array_equal(looks[0].data, meant)
    )


def few_bits(words: npt.NDArray[np.uint32], moving: npt.NDArray[np.bool_]) -> bool:
    """Tell whether the words that move do so in a few bits each, as weak cells do."""
    spread = np.bitwise_or.reduce(words[:, moving] ^ words[0, moving], axis=0)
    bits = np.unpackbits(np.ascontiguousarray(spread).view(np.uint8)).reshape(-1, 32).sum(axis=1)
    return bool((bits <= _GLITCH_BITS).all())


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
    looks: dict[int, list[_Look]] = {s.start: [] for s in sectors}
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
    reader.forget_ecc()
    data = np.zeros(plan.range.size, np.uint8)
    obstacles, readings = list[Obstacle](), list[tuple[int, Reading]]()
    for s in sectors:
        why, reading = _trusted(s, looks[s.start])
        if reading:
            readings.append((s.start, reading))
        if not why and (apart := reader.second.differs(s, looks[s.start][0].data)):
            why = f"two ways of reading differ at 0x{apart[0]:08X}: no backup"
        if why:
            obstacles.append(Obstacle(s.start, why))
        else:
            data[s.start - plan.range.start : s.stop - plan.range.start] = looks[s.start][0].data
    return Backup(data, tuple(obstacles), tuple(readings))


def _trusted(sector: AddressRange, looks: list[_Look]) -> tuple[str, Reading]:
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
