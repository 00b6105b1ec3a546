"""Reading a sector so that the chip, its ECC and the link can be told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.chip import EccKind
from h5diag.errors import TargetError
from h5diag.memory import Access, AddressRange, Bytes, subtracted
from h5diag.probe.board import Board
from h5diag.probe.flashtest.observe import NOTHING_WRONG, Reading

_TRIES = 5
_GLITCH_BITS = 4
_MORE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Look:
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
    """

    def __init__(self, board: Board, access: Access, swapped: bool) -> None:
        self.board, self.access, self._swapped = board, access, swapped
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

    def look(self, sector: AddressRange) -> Look:
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
        return Look(
            data,
            subtracted(bad, doubles),
            tuple(sorted(a for a, d in events.items() if not d)),
            tuple(sorted(a for a, d in events.items() if d)),
        )

    def _read(self, where: AddressRange, into: npt.NDArray[np.uint8], base: int, bad: list[AddressRange]) -> None:
        """Fill `into`; what the bus refuses is halved down to words, each tried several times."""
        for _ in range(_TRIES if where.size <= 4 else 1):
            try:
                start = self.bus(where.start)
                into[where.start - base : where.stop - base] = self.board.read(
                    start, start + where.size, access=self.access
                )
                return
            except TargetError:
                continue
        if where.size <= 4:
            bad.append(where)
            return
        middle = where.start + (where.size // 2 + 3 & ~3)
        self._read(AddressRange(where.start, middle), into, base, bad)
        self._read(AddressRange(middle, where.stop), into, base, bad)

    def compare(self, sector: AddressRange, meant: Bytes, reads: int, slow_hz: int) -> Judged:
        """Read a sector several times and compare; what differs is read more often, at the slowest speed too."""
        looks = [self.look(sector) for _ in range(reads)]
        if all(not lk.unreadable and np.array_equal(lk.data, meant) for lk in looks):
            return Judged(Reading(NOTHING_WRONG, *_ecc_of(looks)))
        here = self.board.frequency_hz
        looks += [self.look(sector) for _ in range(_MORE)]
        slow: list[Look] = []
        if slow_hz != here:
            self.board.set_frequency(slow_hz)
            slow = [self.look(sector) for _ in range(_MORE)]
            self.board.set_frequency(here)
        return _judge(sector, meant, looks, slow)


def _ecc_of(looks: list[Look]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    double = {a for lk in looks for a in lk.uncorrected}
    single = {a for lk in looks for a in lk.corrected} - double
    return tuple(sorted(single)), tuple(sorted(double))


def _judge(sector: AddressRange, meant: Bytes, looks: list[Look], slow: list[Look]) -> Judged:
    everything = looks + slow
    if any(lk.unreadable for lk in everything):
        at = next(r for lk in everything for r in lk.unreadable)
        return Judged(Reading(), f"the bus refused to read 0x{at.start:08X}")
    words = np.stack([lk.data.view("<u4") for lk in everything])
    moving = (words != words[0]).any(axis=0)
    flicker: tuple[int, ...] = ()
    if moving.any():
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


def few_bits(words: npt.NDArray[np.uint32], moving: npt.NDArray[np.bool_]) -> bool:
    """Tell whether the words that move do so in a few bits each, as weak cells do."""
    spread = np.bitwise_or.reduce(words[:, moving] ^ words[0, moving], axis=0)
    bits = np.unpackbits(np.ascontiguousarray(spread).view(np.uint8)).reshape(-1, 32).sum(axis=1)
    return bool((bits <= _GLITCH_BITS).all())
