"""What the hex view shows, against the plain truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.errors import InputError
from h5diag.memory import AddressRange, MemoryImage, Segment
from h5diag.show import pages as module
from h5diag.show.pages import ROW, HexPages, parse_query


def image(*pieces: tuple[int, bytes]) -> MemoryImage:
    return MemoryImage(tuple(Segment(a, np.frombuffer(b, np.uint8)) for a, b in pieces))


def test_rows_of_sparse_dumps() -> None:
    pages = HexPages(image((0x08000004, b"a" * 20)), image((0x08000100, b"b" * 16)))
    assert [(b.start, b.rows) for b in pages.blocks] == [(0x08000000, 2), (0x08000100, 1)]
    left, _, flags = pages.page(0x08000000, 2)
    assert left[4:24] == b"a" * 20
    assert list(flags[:5]) == [0, 0, 0, 0, 1]
    assert list(pages.page(0x08000100, 1)[2]) == [2] * 16


@given(st.binary(min_size=1, max_size=300), st.data())
def test_each_difference_is_met_once_in_either_direction(content: bytes, data) -> None:
    changed = bytearray(content)
    places = data.draw(st.sets(st.integers(0, len(content) - 1), max_size=8))
    for p in places:
        changed[p] ^= 0xFF
    pages = HexPages(image((0x100, content)), image((0x100, bytes(changed))))
    forward, at = [], 0
    while (found := pages.difference_after(at)) is not None:
        forward.append(found)
        at = found.start
    back, at = [], 1 << 20
    while (found := pages.difference_after(at, backward=True)) is not None:
        back.append(found)
        at = found.start
    assert forward == back[::-1]
    assert all(any(p + 0x100 in r for r in forward) for p in places)
    assert all(b.start - a.stop >= ROW for a, b in pairwise(forward))
    flags = b"".join(pages.page(b.start, b.rows)[2] for b in pages.blocks)
    assert sum(f & 4 > 0 for f in flags) == len(places)


def test_search_in_either_dump_and_round() -> None:
    pages = HexPages(image((0x100, b"..needle..."), (0x900, b"needle")), image((0x100, b"...........")))
    first = pages.find("needle", 0)
    assert first is not None
    assert first.start == 0x102
    second = pages.find("6E 65 65 64 6c 65", first.start)
    assert second is not None
    assert second.start == 0x900
    third = pages.find("needle", second.start)
    assert third is not None
    assert third.start == 0x102
    assert pages.find("nowhere", 0) is None


def test_search_finds_the_nearest_of_both_boards() -> None:
    pages = HexPages(image((0x100, b"needle.........needle")), image((0x100, b"......needle.........")))
    met, at = [], 0
    for _ in range(4):
        found = pages.find("needle", at)
        assert found is not None
        met.append(found.start)
        at = found.start
    assert met == [0x100, 0x106, 0x10F, 0x100]


def test_what_was_masked_is_no_difference_and_any_alias_names_a_cell() -> None:
    left, right = image((0x08000000, b"a" * 96)), image((0x08000000, b"\0" * 64 + b"a" * 16 + b"b" * 16))
    flash, secure = AddressRange(0x08000000, 0x08200000), AddressRange(0x0C000000, 0x0C200000)
    plain = HexPages(left, right)
    assert plain.difference_after(-1) == AddressRange(0x08000000, 0x08000040)
    pages = HexPages(left, right, masked=(AddressRange(0x08000000, 0x08000040),), aliases=((secure, 0x04000000),))
    assert pages.difference_after(-1) == AddressRange(0x08000050, 0x08000060)
    assert pages.difference_after(0x08000050) is None
    assert pages.canonical(0x0C000010) == pages.canonical(0x08000010) == 0x08000010
    assert flash.start in pages.left.ranges[0]


def test_the_first_equal_content_is_no_fill() -> None:
    fill, content = b"\xff" * 32, bytes(range(32))
    pages = HexPages(image((0x100, fill + content)), image((0x100, fill + content)))
    assert pages.first_equal() == 0x120
    assert HexPages(image((0x100, fill)), image((0x100, fill))).first_equal() is None


def test_what_a_search_means() -> None:
    assert parse_query("3D B8 f3 96") == b"\x3d\xb8\xf3\x96"
    assert parse_query("0x3D,0xB8") == b"\x3d\xb8"
    assert parse_query('"beef"') == b"beef"
    assert parse_query("boot") == b"boot"
    with pytest.raises(InputError):
        parse_query("  ")


def test_large_dumps_stay_cheap() -> None:
    content = np.zeros(64 << 20, np.uint8)
    pages = HexPages(MemoryImage.from_bytes(content, 0x08000000), MemoryImage.from_bytes(content, 0x08000000))
    assert pages.differences.shape == (0, 2)
    assert pages.blocks[0].rows == 4 << 20
    assert len(pages.page(0x0A000000, 64)[0]) == 1024


@pytest.mark.parametrize("seed", range(20))
def test_differences_across_the_pieces_are_those_of_the_whole(seed: int, monkeypatch) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, 2000, dtype=np.uint8)
    b = a.copy()
    for at in rng.integers(0, 1990, int(rng.integers(0, 12))):
        b[at : at + int(rng.integers(1, 300))] ^= 1
    whole = HexPages(image((0x100, a.tobytes())), image((0x100, b.tobytes()))).differences
    monkeypatch.setattr(module, "_PIECE", 64)
    pages = HexPages(image((0x100, a.tobytes())), image((0x100, b.tobytes())))
    assert pages.differences.tolist() == whole.tolist()
    there, at = [], -1
    while (found := pages.difference_after(at)) is not None:
        there.append([found.start, found.stop])
        at = found.start
    back, at = [], 0x10000
    while (found := pages.difference_after(at, backward=True)) is not None:
        back.append([found.start, found.stop])
        at = found.start
    assert there == back[::-1] == whole.tolist()


def test_the_first_difference_does_not_wait_for_the_last(monkeypatch) -> None:
    monkeypatch.setattr(module, "_PIECE", 64)
    a = np.zeros(64 * 1000, np.uint8)
    b = a.copy()
    b[64 * 10 + 5] = b[64 * 900] = 1
    pages = HexPages(image((0, a.tobytes())), image((0, b.tobytes())))
    assert pages.difference_after(-1) == AddressRange(645, 646)
    assert len(pages._seen) <= 13
    assert not pages.counted
