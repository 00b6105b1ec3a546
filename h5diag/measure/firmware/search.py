"""Images found anywhere in a dump.

Every occurrence of a magic is looked at, all at once, and only those that could be an image are parsed. An
image counts as complete when a TLV area stands behind its body. A header without one is kept when it is
credible (aligned, known flags): that is what an erased or half written body looks like. Hostile content is
bounded: complete images that do not lie in each other are all kept, of nested ones and of lone headers only
`MOST_NESTED` and `MOST_LONE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.measure.firmware.mcuboot import HEADER_SIZE, KNOWN_FLAGS, Header, HeaderMagic, parse_header
from h5diag.measure.firmware.tlv import TLV_INFO_MAGIC, TLV_PROTECTED_MAGIC, Tlvs, TlvType, parse_tlvs
from h5diag.measure.firmware.words import find_word
from h5diag.memory import AddressRange, Bytes, MemoryImage, Segment

MOST_NESTED = 16
MOST_LONE = 64
SECTOR = 0x2000
AT_ONCE = 1 << 14
NO_TLVS = Tlvs((), 0, 0)


@dataclass(frozen=True, slots=True)
class BootImage:
    """An image as it stands in a dump, parsed and nothing more.

    Parameters
    ----------
    address
        Of its first byte, in the dump's own view.
    header
        Its header.
    tlvs
        Its TLV areas; `NO_TLVS` when none stands behind the body.
    available
        Bytes known without a gap from `address` on; the image is cut short when they are fewer than `size`.
    problems
        What is wrong with it, one sentence each.
    """

    address: int
    header: Header
    tlvs: Tlvs
    available: int
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether header, body and a TLV area are all there."""
        return bool(self.tlvs.size) and self.tlvs.walkable and self.tlvs.size <= self.available

    @property
    def verifiable(self) -> bool:
        """Tell whether enough is there to verify it; behind the mark of a pure signature imgtool needs no more."""
        return bool(self.tlvs.size) and (
            self.tlvs.walkable or any(r.type & 0xFF == TlvType.SIG_PURE for r in self.tlvs.plain)
        )

    @property
    def size(self) -> int:
        """Bytes from the header to the end of the TLV areas (of the body, where there are none)."""
        return self.tlvs.size or self.header.tlv_offset

    @property
    def range(self) -> AddressRange:
        """Addresses from the header to the end of the TLV areas."""
        return AddressRange(self.address, self.address + self.size)

    @property
    def body(self) -> AddressRange:
        """Addresses of the body."""
        return AddressRange(self.address + self.header.header_size, self.address + self.header.tlv_offset)


def find_images(image: MemoryImage, *, starts: Iterable[int] = ()) -> tuple[BootImage, ...]:
    """Return the images anywhere in a dump, in address order.

    Parameters
    ----------
    image
        The dump.
    starts
        Addresses (of the dump's view) where an image is expected; they go first where a bound holds.
    """
    wanted = frozenset(starts)
    found = [i for segment in image.segments for i in _in_segment(segment, wanted)]
    return tuple(sorted(found, key=lambda i: i.address))


def parse_image(data: memoryview, address: int) -> BootImage:
    """Return the image whose first byte is the first of `data`.

    Parameters
    ----------
    data
        All bytes known without a gap from there on.
    address
        Of the first byte.

    Raises
    ------
    InputError
        When no header stands there.
    """
    header = parse_header(data)
    try:
        tlvs = parse_tlvs(data, header)
    except InputError as error:
        problem = f"no TLV area behind the body: {error.problem}"
        if header.tlv_offset >= 1 << 30:
            problem = f"the header claims a body of {header.body_size} bytes"
        return BootImage(address, header, NO_TLVS, len(data), (problem,))
    problems = tlvs.problems
    if tlvs.walkable and tlvs.size > len(data):
        problems += ("the last record of the TLV area is cut short",)
    return BootImage(address, header, tlvs, len(data), problems)


def _in_segment(segment: Segment, wanted: frozenset[int]) -> list[BootImage]:
    data = segment.data
    positions = _magics(data)
    if not positions.size:
        return []
    complete, lone = _sorted_out(data, positions, segment.start)
    view = memoryview(data)  # type: ignore[arg-type]
    images: list[BootImage] = []
    nested: list[int] = []
    stop = -1
    for p in complete.tolist():
        if p < stop and segment.start + p not in wanted:
            nested.append(p)
            continue
        images.append(parse_image(view[p:], segment.start + p))
        stop = max(stop, p + images[-1].size)
    # A lone magic inside a complete image is that image's content.
    spans = [(i.address - segment.start, i.range.stop - segment.start) for i in images]
    tops = np.array(spans, np.int64).reshape(-1, 2)
    reach = np.maximum.accumulate(tops[:, 1]) if images else tops[:, 1]
    before = np.searchsorted(tops[:, 0], lone, "right")
    inside = (before > 0) & (lone < np.append(reach, 0)[before - 1]) if images else np.zeros(lone.size, np.bool_)

    def rank(p: int) -> tuple[bool, bool, bool, int]:
        return segment.start + p not in wanted, p != 0, (segment.start + p) % SECTOR != 0, p

    alone = [
        p for p, within in zip(lone.tolist(), inside.tolist(), strict=True) if not within or segment.start + p in wanted
    ]
    more = sorted(nested, key=rank)[:MOST_NESTED] + sorted(alone, key=rank)[:MOST_LONE]
    return images + [parse_image(view[p:], segment.start + p) for p in more]


def _magics(data: Bytes) -> npt.NDArray[np.int64]:
    """Return the offsets of all magics that have room for a header, ascending.

    MCUboot's is looked for at every offset, since a dump may have lost bytes; those of STiROT at multiples of 16
    only.
    """
    found = np.concatenate([find_word(data, m.value, step=1 if m is HeaderMagic.MCUBOOT else 16) for m in HeaderMagic])
    return np.sort(found[found + HEADER_SIZE <= data.size])


def _sorted_out(
    data: Bytes, positions: npt.NDArray[np.int64], start: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the offsets of complete images and those of credible lone headers."""
    complete, lone = [], []
    for first in range(0, positions.size, AT_ONCE):
        part = positions[first : first + AT_ONCE]
        whole, credible = _told(data, part, start)
        complete.append(part[whole])
        lone.append(part[credible])
    return np.concatenate(complete), np.concatenate(lone)


def _told(
    data: Bytes, positions: npt.NDArray[np.int64], start: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which of the magics begin a complete image, and which a credible header without TLVs."""
    headers = data[positions[:, None] + np.arange(HEADER_SIZE)]
    size = np.ascontiguousarray(headers[:, 8:10]).view("<u2")[:, 0].astype(np.int64)
    body = np.ascontiguousarray(headers[:, 12:16]).view("<u4")[:, 0].astype(np.int64)
    flags = np.ascontiguousarray(headers[:, 16:20]).view("<u4")[:, 0]
    pad = np.ascontiguousarray(headers[:, 28:32]).view("<u4")[:, 0]
    sound = size >= HEADER_SIZE
    tlv = positions + size + body
    reachable = sound & (tlv + 4 <= data.size)
    at = np.where(reachable, tlv, 0)
    word = data[at].astype(np.uint16) | data[np.minimum(at + 1, data.size - 1)].astype(np.uint16) << 8
    complete = reachable & ((word == TLV_INFO_MAGIC) | (word == TLV_PROTECTED_MAGIC))
    aligned = ((start + positions) % 16 == 0) | (positions == 0)
    credible = (
        sound & ~complete & aligned & (flags & np.uint32(~KNOWN_FLAGS & 0xFFFFFFFF) == 0) & (pad == 0) & (size % 4 == 0)
    )
    return complete, credible
