"""The second way of reading: by it alone a link that errs at fixed places is told from a chip that holds wrong data.

The core itself computes checksums in SRAM, which does not pass the link at all. Where it runs no code, the same words
are read in other bursts and one by one. The whole flash is watched in the same way, before and after the test.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from h5diag.case.results import SecondPath as Name
from h5diag.errors import TargetError
from h5diag.memory import Access, AddressRange, Bytes, merged
from h5diag.probe.board import Board
from h5diag.probe.flashtest.programmer import ByAlgorithm, bus_address, checksums_of

BLOCK = 64
_TRIES = 3
"""A weak cell reads now so, now so: what differs is asked again before it counts."""
_BURST, _MOST_SINGLE, _FEW = 500, 256, 8
_PIECE = 0x8000
_WINDOW = 0x400
"""Bytes after which an access port's address begins anew."""


@dataclass(slots=True)
class SecondPath:
    """Compares what was read with a second way of reading it.

    Parameters
    ----------
    board, access
        The chip, and the side of its flash.
    core
        Computes checksums; None when the core runs no code, or was found unable to.
    doubtful
        Whether the link was seen to err in a way that other bursts do not show (whole chunks lost, words that read right
        only alone): then no backup that was read over it, and no comparison with it, can be trusted.
    erased
        Whether the backup was taken and something was erased: what shows from then on may be in the backup too.
    """

    board: Board
    access: Access
    core: ByAlgorithm | None
    doubtful: bool = False
    erased: bool = False
    _compared: bool = False
    _proved: set[Name] = field(default_factory=set)

    @property
    def name(self) -> Name | None:
        """The way that stands behind the result: the weakest of those that failures rest on, else that of the backup."""
        if self._proved:
            return "core-checksum" if self._proved == {"core-checksum"} else "single-word"
        if not self._compared:
            return None
        return "core-checksum" if self.core is not None else "burst"

    def differs(self, where: AddressRange, data: Bytes, ignore: npt.NDArray[np.bool_] | None = None) -> tuple[int, ...]:
        """Return canonical addresses at which the second way reads something else than `data`; the first few.

        Parameters
        ----------
        where
            Canonical, whole blocks.
        data
            What the first way read, ``uint8``.
        ignore
            Words whose reads disagreed anyway.
        """
        skip = np.zeros(where.size // 4, np.bool_) if ignore is None else ignore
        self._compared = True
        if self.core is not None:
            try:
                return self._by_core(where, data, skip)
            except TargetError:
                self.core = None  # it met what it cannot read, or does not run any more: words then
        bad = np.flatnonzero((self._read(where, _BURST) != data.view("<u4")) & ~skip)
        if bad.size:
            return tuple(where.start + 4 * int(i) for i in bad[:_FEW])
        apart = self._alone(where, data, skip)
        self.doubtful |= bool(apart) and self.erased
        return apart

    def confirms(
        self, where: AddressRange, data: Bytes, wrong: npt.NDArray[np.bool_], ignore: npt.NDArray[np.bool_]
    ) -> str:
        """Return why words that read wrong prove nothing; empty when the second way reads the same wrong values.

        Parameters
        ----------
        where, data
            A sector, and what it read alike every time.
        wrong
            The words that are not what was meant.
        ignore
            Words whose reads disagreed.
        """
        apart = self.differs(where, data, ignore)
        if apart:
            # Wrong alike in every reading but the second: then other words may be wrong alike in the backup.
            self.doubtful |= self.core is None and any(wrong[(a - where.start) // 4] for a in apart)
            return f"two ways of reading differ at 0x{apart[0]:08X}: the link, not the chip"
        if self.core is not None:
            self._proved.add("core-checksum")
            return ""
        if whole_zero_blocks(data, wrong):
            self.doubtful = True
            return "whole blocks of 64 bytes read zero while the ECC is silent: no array does that, a link does"
        places = np.flatnonzero(wrong)
        for i in places[:: -(-places.size // _MOST_SINGLE) or 1]:
            at = where.start + 4 * int(i)
            try:
                word = self.board.read_word(bus_address(self.board, self.access, at), access=self.access)
            except TargetError:
                return f"the word at 0x{at:08X} cannot be read alone"
            if word != int(data.view("<u4")[i]):
                self.doubtful = True
                return f"the word at 0x{at:08X} reads otherwise alone: the link, not the chip"
        self._proved.add("single-word")
        return ""

    def _by_core(self, where: AddressRange, data: Bytes, skip: npt.NDArray[np.bool_]) -> tuple[int, ...]:
        assert self.core is not None
        own = checksums_of(data, BLOCK)
        bad = ~skip.reshape(-1, BLOCK // 4).any(axis=1)
        for _ in range(_TRIES):
            bad &= self.core.checksums(where, BLOCK) != own
            if not bad.any():
                break
        return tuple(where.start + BLOCK * int(i) for i in np.flatnonzero(bad)[:_FEW])

    def _alone(self, where: AddressRange, data: Bytes, skip: npt.NDArray[np.bool_]) -> tuple[int, ...]:
        """Compare a word read alone at each place of the port's window: a link may err there in bursts of any length."""
        words, blocks, out = data.view("<u4"), max(1, where.size // _WINDOW), list[int]()
        for place in range(min(_WINDOW, where.size) // 4):
            i = 5 * place % blocks * (_WINDOW // 4) + place
            at = bus_address(self.board, self.access, where.start + 4 * i)
            try:
                right = skip[i] or self.board.read_word(at, access=self.access) == int(words[i])
            except TargetError:
                self.board.require_alive()
                right = False
            if not right:
                out.append(where.start + 4 * i)
        return tuple(out[:_FEW])

    def _read(self, where: AddressRange, most: int) -> npt.NDArray[np.uint32]:
        """Return the words read in bursts that begin one word later and never fill a window of the port."""
        out = np.zeros(where.size // 4, "<u4")
        cuts = (where.start, *range(where.start + 4, where.stop, most), where.stop)
        for start, stop in pairwise(cuts):
            at = bus_address(self.board, self.access, start)
            try:
                out[(start - where.start) // 4 : (stop - where.start) // 4] = self.board.read(
                    at, at + stop - start, access=self.access
                ).view("<u4")
            except TargetError:
                self.board.require_alive()
                continue  # what cannot be read this way differs by it
        return out


def whole_zero_blocks(data: Bytes, wrong: npt.NDArray[np.bool_]) -> bool:
    """Tell whether everything that is wrong lies in aligned blocks of 64 bytes that read as zeros from end to end.

    A sector most of which is zero is no such thing: one that does not erase ends so when it is programmed again and again.
    """
    rows = wrong.reshape(-1, BLOCK // 4).any(axis=1)
    return 0 < rows.mean() <= 0.5 and not data.reshape(-1, BLOCK)[rows].any()


@dataclass(slots=True)
class FlashWatch:
    """Everything outside of the tested range that this reader may see, remembered by sector.

    Parameters
    ----------
    path
        Reads it.
    sectors
        Canonical, outside of the range, visible.
    sector_size
        Bytes.
    """

    path: SecondPath
    sectors: tuple[AddressRange, ...]
    sector_size: int
    _sums: dict[int, int] = field(default_factory=dict)
    _by_core: bool = False

    def remember(self) -> None:
        """Take the checksum of every sector, by the core where it can."""
        self._by_core = self.path.core is not None
        self._sums = self._checksums(self.sectors)

    def changed(self) -> tuple[AddressRange, ...]:
        """Return what reads otherwise now, each asked several times; a link that errs now and then is not blamed on it."""
        if not self._sums or self._by_core != (self.path.core is not None):
            return ()  # what was taken in one way is not compared with the other
        left = self.sectors
        for _ in range(_TRIES):
            now = self._checksums(left)
            left = tuple(s for s in left if s.start in self._sums and now.get(s.start) != self._sums[s.start])
            if not left:
                break
        return merged(left)

    def _checksums(self, sectors: Iterable[AddressRange]) -> dict[int, int]:
        out: dict[int, int] = {}
        for run in merged(sectors):
            for at in range(run.start, run.stop, _PIECE * 32):
                part = AddressRange(at, min(run.stop, at + _PIECE * 32))
                for i, word in enumerate(self._of(part)):
                    if word is not None:
                        out[part.start + i * self.sector_size] = word
        return out

    def _of(self, part: AddressRange) -> list[int | None]:
        if self._by_core and self.path.core is not None:
            try:
                return [int(w) for w in self.path.core.checksums(part, self.sector_size)]
            except TargetError:
                self.path.core = None
                return []
        out: list[int | None] = []
        board, access = self.path.board, self.path.access
        for start in range(part.start, part.stop, self.sector_size):
            at = bus_address(board, access, start)
            try:
                out.append(zlib.crc32(board.read(at, at + self.sector_size, access=access).data))
            except TargetError:
                board.require_alive()
                out.append(None)
        return out
