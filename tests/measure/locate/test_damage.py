"""Every kind of damage that flash sees is found where it was planted, and a sound chip stays quiet."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from h5diag.layout import load_layout
from h5diag.measure.locate import Transform, locate
from h5diag.memory import MemoryImage

from .conftest import BASE, board, code, image_of

SECTOR = 0x2000


def at(placement, displacement, *, transform=Transform.AS_IS):
    """Return the dump bytes that strong regions explain at a displacement."""
    return sum(r.size for r in placement.strong if r.displacement == displacement and r.transform is transform)


def content(data):
    """Return how many bytes of `data` are no run of a repeated byte."""
    same = np.concatenate([[False], data[1:] == data[:-1]])
    return int((~same).sum())


def test_identical_images_are_in_place_and_nothing_else():
    data = board(1)
    p = locate(image_of(data), image_of(data))
    assert {r.displacement for r in p.regions} == {0}
    assert {r.explanation.kind.value for r in p.regions} == {"in-place"}
    assert sum(r.bit_errors for r in p.regions) == 0
    assert sum(r.equal_bytes for r in p.regions) >= content(data)
    assert p.dump_rest == ()
    assert p.reference_rest == ()


@pytest.mark.parametrize("offset", [0x10000, 0x10004, 0x12345])
def test_whole_image_displaced(offset):
    image = code(1 << 16, 2)
    dump = np.full(1 << 19, 0xFF, np.uint8)
    dump[offset : offset + image.size] = image
    p = locate(image_of(image), image_of(dump))
    (r,) = p.regions
    assert (r.reference_start, r.dump_start, r.size) == (BASE, BASE + offset, image.size)
    assert r.displacement == offset
    assert r.equal_bytes == r.size
    assert not r.weak
    assert r.explanation.kind.value == "image"
    assert p.displacements[0].displacement == offset


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 200_000), st.integers(96, 3000), st.integers(0, 1 << 30))
def test_a_planted_piece_is_found_at_any_offset(source, target, size, seed):
    reference = code(1 << 17, 3)
    source = min(source, reference.size - size)
    dump = code(1 << 18, seed + 1000)
    dump[target : target + size] = reference[source : source + size]
    p = locate(image_of(reference), image_of(dump))
    hits = [r for r in p.regions if r.displacement == target - source]
    assert hits
    assert min(abs(r.dump_start - BASE - target) for r in hits) <= 8
    assert min(abs(r.dump_range.stop - BASE - target - size) for r in hits) <= 8
    wrong = [r for r in p.strong if r.displacement != target - source]
    assert wrong == []


@pytest.mark.parametrize("size", [64, 96, 200])
def test_small_pieces_in_two_megabytes(size):
    reference, dump = code(1 << 21, 4), code(1 << 21, 5)
    rng = np.random.default_rng(size)
    planted = []
    for k in range(8):
        r, d = int(rng.integers(0, reference.size - size)), k * (1 << 18) + int(rng.integers(0, 200_000))
        dump[d : d + size] = reference[r : r + size]
        planted.append((r, d))
    p = locate(image_of(reference), image_of(dump))
    found = {(r.reference_start - BASE, r.dump_start - BASE) for r in p.regions}
    for r, d in planted:
        assert any(b - a == d - r and abs(b - d) <= 8 for a, b in found)
    assert all(any(g.displacement == d - r for r, d in planted) for g in p.strong)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.05])
def test_flipped_bits(share):
    image = code(1 << 17, 6)
    flips = np.packbits(np.random.default_rng(6).random((image.size, 8)) < share, axis=1).ravel()
    dump = np.full(1 << 19, 0xFF, np.uint8)
    dump[0x20000 : 0x20000 + image.size] = image ^ flips
    p = locate(image_of(image), image_of(dump))
    assert at(p, 0x20000) >= 0.999 * image.size
    assert {r.displacement for r in p.strong} == {0x20000}
    errors = sum(r.bit_errors for r in p.strong)
    assert errors == pytest.approx(share * 8 * image.size, rel=0.05)
    assert all(r.lines == () for r in p.strong)


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("high", [False, True])
def test_stuck_data_line(bit, high):
    image = code(1 << 16, 7)
    dump = np.full(1 << 18, 0xFF, np.uint8)
    dump[0x8004 : 0x8004 + image.size] = image | 1 << bit if high else image & ~np.uint8(1 << bit)
    p = locate(image_of(image), image_of(dump))
    assert at(p, 0x8004) >= 0.999 * image.size
    (r,) = {str(line) for g in p.strong for line in g.lines}
    assert r == f"data line D{bit} of 8 stuck at {int(high)}"


@pytest.mark.parametrize("bit", range(8))
def test_inverted_data_line(bit):
    image = code(1 << 16, 8)
    dump = np.full(1 << 18, 0xFF, np.uint8)
    dump[0x8000 : 0x8000 + image.size] = image ^ np.uint8(1 << bit)
    p = locate(image_of(image), image_of(dump))
    assert at(p, 0x8000) >= 0.999 * image.size
    assert any(f"data line D{bit} of 8 inverted" in g.explanation.text for g in p.strong)


@pytest.mark.parametrize(("bit", "width"), [(3, 16), (12, 16), (19, 32), (31, 32)])
def test_inverted_line_of_a_wide_bus(bit, width):
    image = code(1 << 16, 9)
    words = image.view(f"<u{width // 8}") ^ (1 << bit)
    dump = np.full(1 << 18, 0xFF, np.uint8)
    dump[0x8000 : 0x8000 + image.size] = words.astype(f"<u{width // 8}").view(np.uint8)
    p = locate(image_of(image), image_of(dump))
    assert at(p, 0x8000) >= 0.999 * image.size
    assert {(x.line, x.width) for g in p.strong for x in g.lines} == {(bit, width)}


def test_a_stuck_line_of_one_piece_does_not_hide_an_inverted_one_of_another():
    image = code(1 << 16, 91)
    dump = np.full(1 << 18, 0xFF, np.uint8)
    dump[0x8000:0x10000] = image[:0x8000] & ~np.uint8(4)
    dump[0x28000:0x30000] = image[0x8000:] ^ np.uint8(0x20)
    p = locate(image_of(image), image_of(dump))
    assert at(p, 0x8000) >= 0.999 * 0x8000
    assert at(p, 0x20000) >= 0.999 * 0x8000
    assert {str(x) for g in p.strong for x in g.lines} == {
        "data line D2 of 8 stuck at 0",
        "data line D5 of 8 inverted",
    }


_CHANGES = {
    Transform.INVERTED: lambda d: ~d,
    Transform.BYTESWAP16: lambda d: d.view("<u2").byteswap().view(np.uint8),
    Transform.BYTESWAP32: lambda d: d.view("<u4").byteswap().view(np.uint8),
    Transform.HALFWORDSWAP: lambda d: d.reshape(-1, 2, 2)[:, ::-1].reshape(-1),
    Transform.BITREVERSED: lambda d: np.array([int(f"{b:08b}"[::-1], 2) for b in range(256)], np.uint8)[d],
}


@pytest.mark.parametrize("transform", list(_CHANGES))
def test_transformed_content(transform):
    image = code(1 << 16, 10)
    dump = np.full(1 << 18, 0xFF, np.uint8)
    dump[0x9000 : 0x9000 + image.size] = _CHANGES[transform](image)
    p = locate(image_of(image), image_of(dump), transforms=True)
    assert at(p, 0x9000, transform=transform) >= 0.999 * image.size
    assert {r.transform for r in p.strong} == {transform}
    assert all(transform.value in r.explanation.text for r in p.strong)
    plain = locate(image_of(image), image_of(dump))
    assert at(plain, 0x9000) < 0.01 * image.size


@pytest.mark.parametrize("bit", [13, 14, 16])
def test_address_line_aliasing(bit):
    data = board(11)
    shown = data[np.arange(data.size) & ~(1 << bit)]
    p = locate(image_of(data), image_of(shown))
    moved = [r for r in p.strong if r.displacement == 1 << bit]
    assert sum(r.size for r in moved) >= 0.4 * content(shown)
    assert any(f"address line A{bit}" in r.explanation.text for r in moved)


def test_sound_chip_has_no_address_line_remark():
    data = board(11)
    p = locate(image_of(data), image_of(data))
    assert not any("address line" in r.explanation.text for r in p.regions)


def test_swapped_banks_by_name():
    size = 1 << 21
    data = np.full(size, 0xFF, np.uint8)
    data[: 1 << 17], data[1 << 20 : (1 << 20) + (1 << 17)] = code(1 << 17, 12), code(1 << 17, 13)
    p = locate(image_of(data), image_of(np.roll(data, size // 2)))
    assert {r.displacement for r in p.strong} == {1 << 20, -(1 << 20)}
    assert {r.explanation.kind.value for r in p.strong} == {"bank"}


def test_permuted_sectors():
    data, sectors = code(32 * SECTOR, 14), 32
    order = np.random.default_rng(14).permutation(sectors)
    dump = data.reshape(sectors, SECTOR)[order].reshape(-1)
    p = locate(image_of(data), image_of(dump))
    explained = np.zeros(data.size, bool)
    for r in p.strong:
        d = r.dump_start - BASE
        for s in range(d // SECTOR, (r.dump_range.stop - BASE - 1) // SECTOR + 1):
            assert r.displacement == (s - int(order[s])) * SECTOR
        explained[d : d + r.size] = True
    assert explained.mean() > 0.999
    kinds = {r.explanation.kind.value for r in p.strong}
    assert kinds <= {"sector-move", "in-place"}
    assert "sector-move" in kinds


def test_lost_and_repeated_words_in_a_read_window():
    data = code(1 << 16, 15)
    dump = data.copy()
    # Two words lost within a window of 1 KB; the bytes at the window's start are read again at its end.
    window = 0x4000
    cut = np.delete(data[window : window + 0x400], np.r_[0x120:0x128])
    dump[window : window + 0x400] = np.concatenate([cut, data[window : window + 8]])
    p = locate(image_of(data), image_of(dump))
    (shift,) = [r for r in p.strong if r.explanation.kind.value == "window-shift"]
    assert shift.displacement == -8
    assert abs(shift.dump_start - BASE - window - 0x120) <= 8
    assert abs(shift.dump_range.stop - BASE - window - 0x3F8) <= 8
    assert "8 bytes lost" in shift.explanation.text


def test_a_piece_beside_nothing_in_place_is_no_window_shift():
    image = code(1 << 14, 16)
    dump = np.full(1 << 16, 0xFF, np.uint8)
    dump[8 : 8 + image.size] = image
    p = locate(image_of(image), image_of(dump))
    assert all(r.explanation.kind.value != "window-shift" for r in p.regions)


def header(version, size):
    fields = [0x96F3B83D, 0, 0x400, size, 4, version, 0, 0]
    return np.frombuffer(b"".join(f.to_bytes(4, "little") for f in fields), np.uint8)


@pytest.mark.parametrize("fill", [0x00, 0xFF])
@pytest.mark.parametrize("seed", range(6))
def test_founding_case(fill, seed):
    rng = np.random.default_rng(seed)
    good = np.full(1 << 21, 0xFF, np.uint8)
    good[:0x10000] = code(0x10000, seed + 50)
    good[0x18000:0x1E000] = 0
    good[0x18000:0x18020] = header(1 + seed, 0x4C10 + seed * 16)
    good[0x18400:0x19C90] = code(0x1890, seed + 60)
    suspect = np.full(1 << 21, fill, np.uint8)
    suspect[0xBE000:0xBE020] = good[0x18000:0x18020]
    suspect[0xBE020:0xBE400] = 0
    suspect[0xBE400:0xC3130] = rng.integers(0, 256, 0x4D30, dtype=np.uint8)
    p = locate(image_of(good, 0x0C000000), image_of(suspect, 0x0C000000), layout=load_layout("oemirot-2m-overwrite"))
    (r,) = p.regions
    assert (r.reference_start, r.dump_start, r.size, r.displacement) == (0x0C018000, 0x0C0BE000, 32, 0xA6000)
    assert not r.weak
    assert r.explanation.kind.value == "slot"
    assert "secure secondary" in r.explanation.text
    # The encrypted body stays unexplained.
    assert any(x.start <= 0x0C0BE410 and x.stop >= 0x0C0C3120 for x in p.dump_rest)


def test_founding_case_negative_control():
    """An encrypted body alone matches nothing."""
    good = board(17, 1 << 20)
    suspect = np.zeros(1 << 20, np.uint8)
    suspect[0x8000:0x88000] = np.random.default_rng(17).integers(0, 256, 0x80000, dtype=np.uint8)
    assert locate(image_of(good), image_of(suspect), transforms=True).regions == ()


def test_tables_and_padding_do_not_flood():
    rng = np.random.default_rng(18)
    tables = rng.integers(0, 256, (8, 64), dtype=np.uint8)
    sides = []
    for _ in range(2):
        side = np.zeros(1 << 20, np.uint8)
        for where in rng.choice(np.arange(0, side.size, 64), 3000, replace=False):
            side[where : where + 64] = tables[rng.integers(8)]
        sides.append(side)
    reference, dump = sides
    planted = []
    for k, size in enumerate((64, 300, 2000, 20000)):
        r, d = 200_000 * k + 12_345, 200_000 * ((k + 2) % 4) + 54_321 + k
        reference[r : r + size] = dump[d : d + size] = code(size, 70 + k)
        planted.append(d - r)
    p = locate(image_of(reference), image_of(dump))
    assert {r.displacement for r in p.strong} == set(planted)
    assert len(p.weak) < 20


@pytest.mark.parametrize(
    "pattern", [b"\x00", b"\xff", b"\xa5\x5a", b"\xde\xad\xbe\xef", b"\x00\xbf", bytes(range(8)), b"\x01\x02\x03"]
)
def test_fill_is_never_a_match(pattern):
    fill = np.resize(np.frombuffer(pattern, np.uint8), 1 << 17)
    reference, dump = code(1 << 17, 19), code(1 << 17, 20)
    reference[0x4000:0x14000] = fill[:0x10000]
    dump[0x2000:0x1A000] = fill[:0x18000]
    p = locate(image_of(reference), image_of(dump))
    assert p.strong == ()
    assert p.displacements == ()


def test_sound_unrelated_content_is_quiet():
    p = locate(image_of(code(1 << 18, 21)), image_of(code(1 << 18, 22)))
    assert p.strong == ()
    assert len(p.weak) <= 2


def test_zeroed_chunks_do_not_end_a_piece():
    image = code(1 << 16, 23)
    dump = np.full(1 << 18, 0xFF, np.uint8)
    damaged = image.copy()
    for where in (0x1000, 0x5040, 0x9FC0):
        damaged[where : where + 64] = 0
    dump[0x4000 : 0x4000 + image.size] = damaged
    p = locate(image_of(image), image_of(dump))
    assert {r.displacement for r in p.strong} == {0x4000}
    assert at(p, 0x4000) >= image.size - 3 * 80


def test_aliases_are_named_and_folded():
    data = code(1 << 16, 24)
    p = locate(image_of(data, 0x08010000), image_of(data, 0x0C010000))
    assert {r.explanation.kind.value for r in p.regions} == {"alias"}
    assert {r.displacement for r in p.regions} == {0}
    assert p.regions[0].dump_start == 0x0C010000
    both = MemoryImage((*image_of(data, 0x08010000).segments, *image_of(data, 0x0C010000).segments))
    p = locate(image_of(data, 0x08010000), both)
    assert {r.explanation.kind.value for r in p.regions} == {"in-place", "alias"}
    p = locate(both, both)
    assert {r.explanation.kind.value for r in p.regions} == {"in-place"}


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_of_equal_copies_the_one_on_a_proven_displacement_wins(phase):
    """Copies at another phase of the index hide no copy: the piece behind the fill belongs to its neighbours."""
    table = code(0x2800, 72)
    reference = code(1 << 18, 73)
    reference[0x10000:0x10400] = np.resize(np.frombuffer(b"\x48\x70\x47\x50", np.uint8), 0x400)
    reference[0x10400:0x12C00] = table
    reference[0x30000 + phase : 0x32800 + phase] = table
    dump = np.full(1 << 19, 0xFF, np.uint8)
    dump[0x40000:0x48000] = reference[0xC000:0x14000]
    p = locate(image_of(reference), image_of(dump))
    assert {r.displacement for r in p.strong} == {0x34000}
    assert at(p, 0x34000) >= 0x8000 - 0x400 - 16
