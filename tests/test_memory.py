"""Laws of MemoryImage and of the range arithmetic, against a plain dictionary of bytes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.memory import Access, AddressRange, MemoryImage, Origin, Segment, merged, subtracted

BASE = 0x0800_0000
small = st.integers(0, 200)
ranges = st.lists(st.tuples(small, small).map(lambda p: AddressRange(min(p), max(p))), max_size=8)


@st.composite
def contents(draw):
    """A dictionary address -> byte and the image made of it in shuffled pieces."""
    known = draw(st.dictionaries(small, st.integers(0, 255), max_size=80))
    pieces, run = [], []
    for address in sorted(known):
        if run and (address != run[-1] + 1 or draw(st.booleans())):
            pieces.append(run)
            run = []
        run.append(address)
    pieces += [run] if run else []
    segments = [Segment(BASE + p[0], np.array([known[a] for a in p], np.uint8)) for p in pieces]
    return known, MemoryImage(tuple(draw(st.permutations(segments))))


def cells(rs):
    return {a for r in rs for a in range(r.start, r.stop)}


def proper(rs):
    return all(r.size for r in rs) and all(a.stop < b.start for a, b in pairwise(rs))


@given(ranges, ranges)
def test_range_arithmetic_is_set_arithmetic(a, b):
    assert cells(merged(a)) == cells(a)
    assert proper(merged(a))
    assert merged(merged(a)) == merged(a)
    assert cells(subtracted(a, b)) == cells(a) - cells(b)
    assert proper(subtracted(a, b))
    assert cells(subtracted(a, b)) | cells(subtracted(a, subtracted(a, b))) == cells(a)


@given(small, small, small, small)
def test_intersection_and_overlap_agree(a, b, c, d):
    x, y = AddressRange(min(a, b), max(a, b)), AddressRange(min(c, d), max(c, d))
    common = cells([x]) & cells([y])
    assert cells([x.intersection(y)]) == common
    if x.size and y.size:
        assert x.overlaps(y) == bool(common)
        assert x.covers(y) == (cells([y]) <= cells([x]))


@given(contents())
def test_an_image_holds_exactly_its_bytes(pair):
    known, image = pair
    assert image.size == len(known)
    assert proper(image.ranges)
    assert {a - BASE: int(b) for s in image.segments for a, b in enumerate(s.data, s.start)} == known
    if known:
        assert (image.span.start, image.span.stop) == (BASE + min(known), BASE + max(known) + 1)


@given(contents(), small, small)
def test_crop_gaps_and_reading(pair, a, b):
    known, image = pair
    start, stop = BASE + min(a, b), BASE + max(a, b)
    inside = {BASE + k for k in known if start <= BASE + k < stop}
    assert cells(image.crop(start, stop).ranges) == inside
    assert cells(image.gaps(start, stop)) == set(range(start, stop)) - inside
    data, mask = image.read_filled(start, stop, 0xA5)
    assert [int(x) for x in data] == [known.get(i - BASE, 0xA5) for i in range(start, stop)]
    assert {start + int(i) for i in np.flatnonzero(mask)} == inside
    assert image.covers(start, stop) == (not image.gaps(start, stop))
    if image.covers(start, stop):
        assert [int(x) for x in image.read(start, stop)] == [known[i - BASE] for i in range(start, stop)]
    else:
        with pytest.raises(KeyError, match=f"0x{image.gaps(start, stop)[0].start:08X}"):
            image.read(start, stop)


@given(contents(), st.integers(-1000, 1000))
def test_shifting_there_and_back_is_the_same_image(pair, displacement):
    _, image = pair
    assert image.shifted(displacement).shifted(-displacement) == image
    assert image.shifted(displacement).size == image.size


@given(contents())
def test_equality_and_digest_do_not_depend_on_the_pieces(pair):
    known, image = pair
    one_by_one = MemoryImage(tuple(Segment(BASE + a, np.array([b], np.uint8)) for a, b in known.items()))
    assert one_by_one == image
    assert hash(one_by_one) == hash(image)
    assert one_by_one.sha256() == image.sha256()
    if known:
        first = min(known)
        other = MemoryImage(tuple(Segment(BASE + a, np.array([b ^ (a == first)], np.uint8)) for a, b in known.items()))
        assert other != image
        assert other.sha256() != image.sha256()


@given(contents(), small)
def test_an_overlap_is_refused(pair, at):
    known, image = pair
    extra = Segment(BASE + at, np.zeros(3, np.uint8))
    if any(at <= a < at + 3 for a in known):
        with pytest.raises(ValueError, match="overlap"):
            MemoryImage((*image.segments, extra))
    else:
        assert MemoryImage((*image.segments, extra)).size == image.size + 3


def test_a_byte_cannot_be_readable_and_unreadable():
    segment = Segment(BASE, np.zeros(4, np.uint8))
    assert MemoryImage((segment,), (AddressRange(BASE + 4, BASE + 8),)).unreadable[0].size == 4
    with pytest.raises(ValueError, match="unreadable"):
        MemoryImage((segment,), (AddressRange(BASE + 3, BASE + 8),))


def test_two_bytes_four_gigabytes_apart_cost_two_bytes():
    image = MemoryImage((Segment(0, np.array([1], np.uint8)), Segment(1 << 32, np.array([2], np.uint8))))
    assert image.size == 2
    assert image.span.size == (1 << 32) + 1
    assert image.gaps(0, (1 << 32) + 1) == (AddressRange(1, 1 << 32),)


def test_bytes_are_read_only_and_not_the_callers():
    mine = np.arange(8, dtype=np.uint8)
    segment = Segment(BASE, mine)
    with pytest.raises(ValueError, match="read-only"):
        segment.data[0] = 1
    mine[0] = 0  # the caller's own array stays usable


@pytest.mark.parametrize(("start", "stop"), [(-1, 4), (5, 4), (0, (1 << 64) + 1)])
def test_impossible_ranges(start, stop):
    with pytest.raises(ValueError, match="range"):
        AddressRange(start, stop)


@pytest.mark.parametrize("data", [np.empty(0, np.uint8), np.zeros((2, 2), np.uint8)])
def test_impossible_segments(data):
    with pytest.raises(ValueError, match="segment"):
        Segment(BASE, data)


def test_crop_keeps_what_is_known_about_the_read():
    origin = Origin("a.bin", "bin", Access.SECURE, "hotplug")
    image = MemoryImage(
        (Segment(BASE, np.zeros(16, np.uint8)),),
        (AddressRange(BASE + 16, BASE + 32),),
        (AddressRange(BASE + 4, BASE + 8),),
        origin,
    )
    part = image.crop(BASE + 6, BASE + 20)
    assert part.ranges == (AddressRange(BASE + 6, BASE + 16),)
    assert part.unreadable == (AddressRange(BASE + 16, BASE + 20),)
    assert part.unstable == (AddressRange(BASE + 6, BASE + 8),)
    assert part.origin == origin
    assert part.access is Access.SECURE


def test_an_empty_image():
    image = MemoryImage.from_bytes(b"", BASE)
    assert image.size == 0
    assert image.span == AddressRange(0, 0)
    assert image.gaps(BASE, BASE + 4) == (AddressRange(BASE, BASE + 4),)


def test_ranges_are_subtracted_in_work_that_grows_with_their_number():
    """A file of sixty thousand pieces is compared in a second; each piece against each took half an hour."""

    class Counted(AddressRange):
        looked = 0

        def __getattribute__(self, name):
            if name in ("start", "stop"):
                Counted.looked += 1
            return super().__getattribute__(name)

    def looks(n):
        Counted.looked = 0
        pieces = [Counted(64 * i, 64 * i + 8) for i in range(n)]
        subtracted(pieces, [Counted(r.start + 4, r.stop + 4) for r in pieces])
        return Counted.looked

    assert looks(800) < 5 * looks(200)
