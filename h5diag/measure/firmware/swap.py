"""The slots as MCUboot's swaps see them: trailers, how far a swap got, and the three ways of changing places.

A copy of the flash is changed exactly as the boot loader would change it. A `ref` names the function followed;
`bootloader` says which sources and which versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from h5diag.layout import Loader, Mode, Role, Slot
from h5diag.measure.firmware.trailer import ALIGNED_MAGIC_TAIL, CLASSIC_MAGIC, Magic, Trailer, trailer_places

MOST_ENTRIES = 128
"""BOOT_MAX_IMG_SECTORS, the sectors that a trailer's swap status has room for: MCUboot's and Zephyr's default.

It is the build's choice; where a dump shows status entries elsewhere, their place tells (`Area.entries`)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose boot loader, how it installs, and what it was compiled with.

    Parameters
    ----------
    loader, mode
        Whose, and how.
    unit
        The flash's program unit in bytes: the size of one status entry.
    sector
        The erase unit in bytes.
    """

    loader: Loader
    mode: Mode
    unit: int
    sector: int

    @property
    def alignment(self) -> int:
        """BOOT_MAX_ALIGN, the unit of the trailer's fields."""
        return max(8, self.unit)

    @property
    def magic(self) -> bytes:
        """The trailer magic that this boot loader takes for its own. Ref: upstream bootutil_public.c, ST bootutil_misc.c."""
        if self.loader is Loader.ST or self.alignment == 8:
            return CLASSIC_MAGIC
        return self.alignment.to_bytes(2, "little") + ALIGNED_MAGIC_TAIL

    def accepts(self, trailer: Trailer) -> bool:
        """Tell whether a trailer's magic is the boot loader's own."""
        if self.magic == CLASSIC_MAGIC:
            return trailer.magic is Magic.CLASSIC
        return trailer.magic is Magic.ALIGNED and trailer.alignment == self.alignment


class SwapType(IntEnum):
    """Swap types, by MCUboot's numbers. Ref: bootutil_public.h BOOT_SWAP_TYPE_*."""

    NONE = 1
    TEST = 2
    PERM = 3
    REVERT = 4
    FAIL = 5


UPGRADES = (SwapType.TEST, SwapType.PERM, SwapType.REVERT)


@dataclass(frozen=True, slots=True)
class SwapState:
    """Ref: boot_read_swap_state. Flags: True set, False unset, None neither (MCUboot's "bad")."""

    magic: bool | None
    type: SwapType
    image: int
    copy_done: bool | None
    image_ok: bool | None


@dataclass(slots=True)
class SwapStatus:
    """How far a swap got. Ref: struct boot_status; `swapping` is the second phase of swap-move, else False."""

    index: int = 1
    state: int = 1
    swapping: bool = False
    type: SwapType = SwapType.NONE
    resumed_in: FlashArea | None = None

    @property
    def fresh(self) -> bool:
        """Ref: boot_status_is_reset."""
        return self.index == 1 and self.state == 1 and not self.swapping


class Stuck(Exception):
    """The boot loader reads or writes outside of its slots, or stops in an assertion: nothing starts any more."""


class FlashArea:
    """A slot or the scratch area, on the copy of the flash that the boot loader's steps change."""

    def __init__(self, slot: Slot, data: npt.NDArray[np.uint8], rules: Rules) -> None:
        self.slot, self.rules, self.scratch = slot, rules, slot.role is Role.SCRATCH
        self.before, self.data, self.size = data, data.copy(), int(data.size)
        self.places = trailer_places(rules.alignment, with_sizes=rules.mode is Mode.SWAP_OFFSET)

    @property
    def changed(self) -> bool:
        """Tell whether a byte is another than in the dump."""
        return not np.array_equal(self.before, self.data)

    def erase(self, start: int = 0, stop: int | None = None) -> None:
        """Erase from one offset to before another."""
        self.data[start:stop] = 0xFF

    def copy(self, start: int, source: FlashArea, at: int, count: int) -> None:
        """Erase and copy, as much as both hold."""
        count = min(count, self.size - start, source.size - at)
        self.data[start : start + count] = source.data[at : at + count].copy()

    def write(self, back: int, value: bytes) -> None:
        """Write a field `back` bytes before the end; cells only lose bits. Ref: boot_write_trailer."""
        self.data[self.size - back : self.size - back + len(value)] &= np.frombuffer(value, np.uint8)

    def trailer(self) -> SwapState:
        """Ref: boot_read_swap_state."""
        info, magic = self._byte(self.places.swap_info), self.data[-16:].tobytes()
        known = info != 0xFF and 1 <= info & 0xF <= 4
        good = True if magic == self.rules.magic else False if magic == b"\xff" * 16 else None
        kind, image = (SwapType(info & 0xF), info >> 4) if known else (SwapType.NONE, 0)
        return SwapState(good, kind, image, self._flag(self.places.copy_done), self._flag(self.places.image_ok))

    def _byte(self, back: int) -> int:
        return int(self.data[self.size - back])

    def _flag(self, back: int) -> bool | None:
        return {1: True, 0xFF: False}.get(self._byte(back))

    def swap_size(self) -> int:
        """Ref: boot_read_swap_size."""
        at = self.size - self.places.swap_size
        return int.from_bytes(self.data[at : at + 4].tobytes(), "little")

    def entries(self) -> npt.NDArray[np.bool_]:
        """Return which status entries are written, from the first one's place on. Ref: swap_read_status_bytes."""
        unit, stop = self.rules.unit, self.size - self.places.swap_size
        start = max(0, self.size - self._trailer_size(MOST_ENTRIES))
        if not self.scratch:
            rows = self.data[stop % unit : stop].reshape(-1, unit)[-3 * 1024 :]
            entry, strange = status_rows(rows)
            other = np.flatnonzero(strange)
            # Saved image keys stand behind the entries; the image's own end may stand before them.
            behind = int(other[other < len(rows) - 16].max(initial=-1)) + 1
            first = np.flatnonzero(entry[behind:] & (rows[behind:, 0] == 1))
            if first.size:
                start = stop - (len(rows) - behind - int(first[0])) * unit
        written: npt.NDArray[np.bool_] = self.data[start:stop:unit] != 0xFF
        return written[:3] if self.scratch else written

    def _trailer_size(self, entries: int) -> int:
        """Ref: boot_trailer_sz, upstream boot_scratch_trailer_sz."""
        r = self.rules
        if r.loader is Loader.ST and not r.mode.swaps:
            return self.places.copy_done
        states = 2 if r.mode is Mode.SWAP_OFFSET else 3
        count = 1 if self.scratch and r.loader is Loader.UPSTREAM else entries
        return self.places.swap_size + count * states * r.unit

    @property
    def status_start(self) -> int:
        """Offset of the trailer. Ref: boot_status_off."""
        return self.size - self._trailer_size(MOST_ENTRIES)

    @property
    def trailer_sectors(self) -> int:
        """Offset of the first sector that holds a part of the trailer. Ref: swap_scramble_trailer_sectors."""
        return max(0, self.status_start) // self.rules.sector * self.rules.sector


def status_rows(rows: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which rows of one unit each are swap status entries, and which hold something else."""
    entry = (rows[:, 0] >= 1) & (rows[:, 0] <= 3) & (rows[:, 1:] == 0xFF).all(axis=1)
    return entry, ~entry & ~(rows == 0xFF).all(axis=1)


def most_image(area: FlashArea, primary: FlashArea, secondary: FlashArea) -> int:
    """Return how many bytes an image in `area` may have. Ref: upstream bootutil_max_image_size, app_max_size."""
    r = area.rules
    if not r.mode.swaps:
        return area.size - area.places.swap_info
    if r.mode is Mode.SWAP_SCRATCH:
        inside = primary.trailer_sectors + r.sector - primary.status_start
        return primary.status_start - max(0, area.places.swap_size + 3 * r.unit - inside)
    free = (r.sector, 0) if r.mode is Mode.SWAP_MOVE else (0, r.sector)
    return min(primary.trailer_sectors - free[0], secondary.trailer_sectors - free[1])


def swap_status(
    primary: FlashArea, secondary: FlashArea, scratch: FlashArea | None, image: int, count: int
) -> SwapStatus:
    """Return how far a swap of image number `image` of `count` got.

    Ref: swap_status_source and its table, swap_read_status_bytes.
    """
    mode = primary.rules.mode
    if not mode.swaps:
        return SwapStatus()
    p, area = primary.trailer(), None
    if scratch is not None and mode is Mode.SWAP_SCRATCH:
        s = scratch.trailer()
        if s.magic is True:
            area = scratch if count == 1 or s.image == image else None
        elif p.magic is not None and p.copy_done is False:
            area = primary
    elif p.magic and p.copy_done is False and secondary.trailer().magic is not True:
        area = primary
    if area is None:
        return SwapStatus()
    written, status = area.entries(), SwapStatus(type=area.trailer().type, resumed_in=area)
    if not (found := np.flatnonzero(written)).size:
        return status
    if mode is Mode.SWAP_MOVE:
        # One entry for each sector that went up, then, behind the unused ones of those, two for each swap.
        last = sectors_to_swap(swap_size(primary, secondary, scratch), area.rules.sector)
        up = min(next((k for k, step in enumerate(np.diff(found), 1) if step > 1), int(found.size)), last)
        status.swapping = found.size > up
        entries, per = (int(found.size) - up, 2) if status.swapping else (up, 1)
    else:
        erased = np.flatnonzero(~written[int(found[0]) :])
        entries = int(found[0]) + int(erased[0]) if erased.size else int(written.size)
        per = 2 if mode is Mode.SWAP_OFFSET else 3
    status.index, status.state = entries // per + 1, entries % per + 1
    return status


def swap_size(primary: FlashArea, secondary: FlashArea, scratch: FlashArea | None) -> int:
    """Return how many bytes a swap that was cut handles.

    Ref: boot_find_status, boot_read_swap_size. A size beyond the slot leads the boot loader out of the flash.
    """
    size = next((a.swap_size() for a in (scratch, primary) if a is not None and a.trailer().magic), None)
    if size is None or size > min(primary.size, secondary.size):
        raise Stuck
    return size


def sectors_to_swap(swap_size: int, sector: int) -> int:
    """Ref: find_last_idx, find_last_sector_idx."""
    return max(1, -(-swap_size // sector))


def begin_trailer(primary: FlashArea, image: int, kind: SwapType, size: int, *, confirmed: bool) -> None:
    """Write the primary slot's trailer anew. Ref: swap_status_init."""
    places = primary.places
    primary.erase(primary.trailer_sectors)
    if kind is not SwapType.NONE:
        primary.write(places.swap_info, bytes([image << 4 | kind]))
    if confirmed:
        primary.write(places.image_ok, b"\x01")
    primary.write(places.swap_size, size.to_bytes(4, "little"))
    primary.write(16, primary.rules.magic)


def swap_by_scratch(
    primary: FlashArea, secondary: FlashArea, scratch: FlashArea, image: int, status: SwapStatus, size: int
) -> None:
    """Swap groups of sectors as large as the scratch area, from the images' end backwards.

    Ref: swap_scratch.c swap_run, boot_swap_sectors.
    """
    sector = primary.rules.sector
    most = scratch.size // sector * sector
    for number, stop in enumerate(range(sectors_to_swap(size, sector) * sector, 0, -most), 1):
        start = max(0, stop - most)
        if number >= status.index:
            state = status.state if number == status.index else 1
            shared = stop > primary.trailer_sectors  # the trailer lies in this group: it waits in the scratch area
            copied = (primary.status_start if shared else stop) - start
            confirmed = number == 1 and (secondary if state == 1 else scratch).trailer().image_ok is True
            if state == 1:
                scratch.erase()
                if number == 1 and not shared:
                    begin_trailer(primary, image, status.type, size, confirmed=confirmed)
                scratch.copy(0, secondary, start, copied)
            if state <= 2:
                secondary.erase(start, stop)
                secondary.copy(start, primary, start, copied)
                if number == 1:
                    secondary.erase(start + copied if shared else secondary.trailer_sectors)
            primary.copy(start, scratch, 0, copied)
            if number == 1 and shared:
                begin_trailer(primary, image, status.type, size, confirmed=confirmed)
                primary.copy(start, scratch, 0, copied)
                scratch.erase(scratch.size - sector)


def _begin_trailers(primary: FlashArea, secondary: FlashArea, image: int, status: SwapStatus, size: int) -> None:
    if status.resumed_in is not primary:
        begin_trailer(primary, image, status.type, size, confirmed=secondary.trailer().image_ok is True)
    secondary.erase(secondary.trailer_sectors)


def swap_by_moving(primary: FlashArea, secondary: FlashArea, image: int, status: SwapStatus, size: int) -> None:
    """Move the primary slot's sectors up by one, then let them change places. Ref: swap_move.c swap_run."""
    sector = primary.rules.sector
    last = sectors_to_swap(size, sector)
    index, state = (status.index, status.state) if status.swapping else (1, 1)
    if not status.swapping:
        if status.index == 1:
            _begin_trailers(primary, secondary, image, status, size)
        for i in range(last - status.index + 1, 0, -1):
            primary.copy(i * sector, primary, (i - 1) * sector, sector)
    for i in range(index, last + 1):
        if i > index or state == 1:
            primary.copy((i - 1) * sector, secondary, (i - 1) * sector, sector)
        secondary.copy((i - 1) * sector, primary, i * sector, sector)


def swap_by_offset(
    primary: FlashArea, secondary: FlashArea, image: int, status: SwapStatus, size: int, *, reverts: bool
) -> None:
    """Swap with a download that stands one sector up, so that each sector has a free place to go to.

    Ref: swap_offset.c swap_run.
    """
    sector = primary.rules.sector
    last = sectors_to_swap(size, sector)
    if status.index == 1:
        _begin_trailers(primary, secondary, image, status, size)
    for i in range(status.index, last + 1):
        at = (last - i if reverts else i - 1) * sector
        away, home = (at + sector, at) if reverts else (at, at + sector)
        if i > status.index or status.state == 1:
            secondary.copy(away, primary, at, sector)
        primary.copy(at, secondary, home, sector)
    if reverts:
        secondary.erase(0, sector)
        secondary.erase(secondary.trailer_sectors)
