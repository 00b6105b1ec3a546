"""Odd inputs, gaps, time, cancel and progress."""

import numpy as np
import pytest

from h5diag.chip import load_chip
from h5diag.errors import Cancelled
from h5diag.measure.locate import locate, search
from h5diag.measure.locate.pieces import Watch
from h5diag.measure.locate.side import Side
from h5diag.memory import AddressRange, MemoryImage, Segment

from .conftest import BASE, code, image_of

EMPTY = MemoryImage()


@pytest.mark.parametrize(
    ("reference", "dump"),
    [
        (EMPTY, EMPTY),
        (EMPTY, image_of(code(5000, 1))),
        (image_of(code(5000, 1)), EMPTY),
        (image_of(np.zeros(1, np.uint8)), image_of(np.zeros(1, np.uint8))),
        (image_of(code(5000, 1)), image_of(np.array([7], np.uint8))),
        (image_of(np.full(70000, 0xFF, np.uint8)), image_of(np.full(70000, 0xFF, np.uint8))),
        (image_of(np.zeros(70000, np.uint8)), image_of(code(70000, 2))),
        (image_of(np.arange(7, dtype=np.uint8)), image_of(np.arange(7, dtype=np.uint8))),
    ],
)
def test_nothing_to_find_is_a_result(reference, dump):
    p = locate(reference, dump, transforms=True, deep=True)
    assert p.regions == ()
    assert p.displacements == ()


def test_random_bytes_are_quiet():
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 256, 1 << 19, dtype=np.uint8) for _ in range(2))
    assert locate(image_of(a), image_of(b), transforms=True).regions == ()


def test_reference_longer_than_dump():
    data = code(1 << 17, 4)
    p = locate(image_of(data), image_of(data[0x4000:0x8000], BASE + 0x100))
    (r,) = p.strong
    assert (r.reference_start, r.size, r.displacement) == (BASE + 0x4000, 0x4000, 0x100 - 0x4000)


@pytest.mark.parametrize("size", [8, 24, 32, 63, 64, 65, 255, 1000])
def test_tiny_identical_images(size):
    data = code(4096, 5)[:size]
    p = locate(image_of(data), image_of(data))
    if size >= 32:
        assert [r.size for r in p.regions] == [size]


def test_zeros_against_zeros_look_up_nothing(monkeypatch):
    zeros = np.zeros(64 << 20, np.uint8)
    monkeypatch.setattr(search._Search, "_scan", lambda *_: pytest.fail("fill was looked up"))
    p = locate(image_of(zeros), image_of(zeros))
    assert p.regions == ()
    assert p.dump_fill == (AddressRange(BASE, BASE + zeros.size),)


def test_gaps_and_unreadable_ranges_are_unknown_and_never_match():
    data = code(1 << 16, 6)
    whole = image_of(data)
    torn = MemoryImage(
        (Segment(BASE, data[:0x3001]), Segment(BASE + 0x5003, data[0x5003:0xC000])),
        unreadable=(AddressRange(BASE + 0xC000, BASE + 0x10000),),
    )
    p = locate(whole, torn)
    assert p.dump_unknown == (AddressRange(BASE + 0x3001, BASE + 0x5003), AddressRange(BASE + 0xC000, BASE + 0x10000))
    assert [(r.dump_start - BASE, r.size, r.displacement) for r in p.regions] == [(0, 0x3001, 0), (0x5003, 0x6FFD, 0)]
    back = locate(torn, whole)
    assert [(r.reference_start - BASE, r.size) for r in back.regions] == [(0, 0x3001), (0x5003, 0x6FFD)]
    assert back.reference_unknown == p.dump_unknown


def test_a_piece_across_a_gap_of_the_other_side():
    data = code(1 << 16, 7)
    torn = MemoryImage((Segment(BASE, data[:0x4000]), Segment(BASE + 0x6000, data[0x6000:])))
    dump = np.full(1 << 18, 0xFF, np.uint8)
    dump[0x20000:0x30000] = data
    p = locate(torn, image_of(dump))
    assert sum(r.size for r in p.strong) == 0xE000
    assert {r.displacement for r in p.strong} == {0x20000}


def test_regions_never_overlap_in_the_dump_and_tell_the_truth():
    reference = code(1 << 17, 8)
    rng = np.random.default_rng(8)
    dump = reference.reshape(-1, 512)[rng.integers(0, 256, 300)].reshape(-1).copy()
    dump[rng.integers(0, dump.size, 400)] ^= 4
    p = locate(image_of(reference), image_of(dump))
    end = 0
    for r in p.regions:
        assert r.dump_start >= end
        end = r.dump_start + r.size
        x = reference[r.reference_start - BASE :][: r.size]
        y = dump[r.dump_start - BASE :][: r.size]
        assert r.equal_bytes == int((x == y).sum())
        assert r.bit_errors == int(np.unpackbits(x ^ y).sum())
        assert r.displacement == r.dump_start - r.reference_start
    total = {}
    for r in p.strong:
        total[r.displacement] = total.get(r.displacement, 0) + r.equal_bytes
    assert {d.displacement: d.bytes for d in p.displacements} == total
    assert [d.bytes for d in p.displacements] == sorted(total.values(), reverse=True)


def test_progress_never_goes_back():
    seen = []
    data = code(1 << 18, 9)
    locate(image_of(data), image_of(np.roll(data, 777)), transforms=True, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 5


@pytest.mark.parametrize("after", [0, 3, 20, 60])
def test_cancel_stops_at_the_look_that_says_so(after):
    a, b = code(8 << 20, 10), code(8 << 20, 11)
    looks = []

    def cancel():
        looks.append(len(looks))
        return len(looks) > after

    with pytest.raises(Cancelled):
        locate(image_of(a), image_of(b), transforms=True, deep=True, cancel=cancel)
    assert len(looks) == after + 1


@pytest.mark.parametrize("kind", ["strange", "shifted", "small-pieces"])
def test_every_megabyte_looks_at_cancel(kind):
    a = code(4 << 20, 10)
    dump = {
        "strange": lambda: np.random.default_rng(1).integers(0, 256, a.size, dtype=np.uint8),
        "shifted": lambda: np.roll(a, 3),
        "small-pieces": lambda: (
            a[: a.size // 1024 * 1024].reshape(-1, 1024)[np.random.default_rng(2).permutation(a.size // 1024)].ravel()
        ),
    }[kind]()
    looks = []

    def cancel():
        looks.append(0)
        return False

    locate(image_of(a), image_of(dump), deep=kind == "strange", transforms=True, cancel=cancel)
    assert len(looks) >= 4


@pytest.mark.parametrize("shift", [0, 1, 2, 7])
def test_deep_finds_a_header_among_noise(shift):
    rng = np.random.default_rng(16)
    reference, dump = code(9 << 20, 16), rng.integers(0, 256, 1 << 20, dtype=np.uint8)
    piece = np.frombuffer(bytes.fromhex("3db8f3960000000000040000104c03000400000002030000") + bytes(8), np.uint8)
    r, d = 0x418000 + shift, 0xBE000 + shift
    reference[r : r + piece.size] = dump[d : d + piece.size] = piece
    p = locate(image_of(reference), image_of(dump), deep=True)
    (found,) = p.regions
    assert abs(found.dump_start - BASE - d) <= 8
    assert found.displacement == d - r


def test_same_twice():
    data, other = code(1 << 17, 12), code(1 << 17, 13)
    other[5000:9000] = data[1000:5000]
    assert locate(image_of(data), image_of(other)) == locate(image_of(data), image_of(other))


def test_large_images_say_what_was_not_searched_and_deep_finds_the_header():
    reference, dump = np.tile(code(1 << 20, 14), 10), code(10 << 20, 15)
    reference ^= np.repeat(np.arange(10, dtype=np.uint8), 1 << 20)
    piece = np.frombuffer(
        bytes.fromhex("3db8f3960000000000040000104c0300040000000203000000000000 00000000".replace(" ", "")), np.uint8
    )
    reference[0x18000 : 0x18000 + piece.size] = piece
    dump[0xBE000 : 0xBE000 + piece.size] = piece
    quick = locate(image_of(reference), image_of(dump))
    assert any("sampled" in text for text in quick.assumptions)
    p = locate(image_of(reference), image_of(dump), deep=True)
    assert any(r.dump_start == BASE + 0xBE000 and r.displacement == 0xA6000 and not r.weak for r in p.regions)
    assert p.assumptions == ()


def test_a_segment_across_the_border_of_an_alias_is_cut_without_a_copy():
    chip = load_chip()
    border = chip.flash.secure_base
    data = np.arange(4096, dtype=np.uint16).view(np.uint8)
    one = Side.of(MemoryImage((Segment(border - 4096, data),)), chip, Watch())
    assert np.shares_memory(one.data, data)
    assert one.data.tolist() == data.tolist()
    assert (one.starts.tolist(), one.addresses.tolist()) == ([0, 4096, 8192], [border - 4096, border])
    assert one.canonical.tolist() == [chip.canonical(a) for a in (border - 4096, border)]
    two = Side.of(MemoryImage((Segment(border - 8192, data[:64]), Segment(border - 4096, data))), chip, Watch())
    assert two.data.tolist() == [*data[:64].tolist(), *data.tolist()]
    assert two.starts.tolist() == [0, 64, 4160, 8256]
    assert two.addresses.tolist() == [border - 8192, border - 4096, border]
