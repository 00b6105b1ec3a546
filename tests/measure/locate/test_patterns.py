"""Another build, a stuck address line, a wrong reading mode: recognised, and each with its negative control."""

import numpy as np
import pytest

from h5diag.measure.locate import PatternKind, Transform, locate
from h5diag.memory import MemoryImage
from h5diag.show.locate import headline, placement_document

from .builds import GCC, build, source
from .conftest import BASE, board, code, image_of

NUMBERS = list(range(160))
BUILDS = {
    "one more": source([*NUMBERS[:40], 900, *NUMBERS[40:]], seed=1),
    "one less": source(NUMBERS[:70] + NUMBERS[71:], seed=1),
    "one changed": source([x if x != 33 else 933 for x in NUMBERS], seed=1),
    "three more": source([*NUMBERS[:10], 901, *NUMBERS[10:50], 902, *NUMBERS[50:120], 903, *NUMBERS[120:]], seed=1),
    "one more at the end": source([*NUMBERS, 950], seed=1),
    "more variables": source(NUMBERS, seed=1, states=40),
    "another constant": source(NUMBERS, seed=1, salt=9999),
    "many changes": source([x for x in NUMBERS if x % 13 != 5] + [960, 961], seed=1, version="2.0.0"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="module")
def first(folder):
    if GCC is None:
        pytest.skip("no arm-none-eabi-gcc")
    return build(folder, "first", source(NUMBERS, seed=1))


def flash(data, at=0, size=1 << 20):
    out = np.full(size, 0xFF, np.uint8)
    out[at : at + data.size] = data
    return image_of(out)


@pytest.mark.arm
@pytest.mark.parametrize("name", list(BUILDS))
def test_another_build_is_recognised(name, first, folder):
    other = build(folder, "other", BUILDS[name])
    p = locate(flash(first), flash(other))
    (pattern,) = p.patterns
    assert pattern.kind is PatternKind.OTHER_BUILD
    assert headline(p).startswith("Another build of the same firmware")
    assert f"{pattern.pieces} piece" in pattern.text
    assert pattern.number >= 8
    low, high = pattern.drift
    assert low <= 0 <= high
    covered = sum(x.size for x in pattern.ranges)
    assert covered >= 0.9 * other.size
    assert not any(r.explanation.kind.value == "window-shift" for r in p.regions)
    assert placement_document(p)["patterns"][0]["kind"] == "other-build"
    back = locate(flash(other), flash(first))
    assert back.pattern(PatternKind.OTHER_BUILD)


@pytest.mark.arm
def test_another_build_in_another_slot(first, folder):
    other = build(folder, "other", BUILDS["three more"], origin=0x08020000)
    p = locate(flash(first), flash(other, at=0x20000))
    (pattern,) = p.patterns
    assert pattern.kind is PatternKind.OTHER_BUILD
    assert pattern.drift[0] == 0x20000


@pytest.mark.arm
def test_the_same_build_damaged_is_no_other_build(first, folder):
    rng = np.random.default_rng(1)
    damaged = {}
    damaged["flipped"] = first ^ np.packbits(rng.random((first.size, 8)) < 0.01, axis=1).ravel()
    damaged["few flips"] = first.copy()
    damaged["few flips"][rng.integers(0, first.size, 25)] ^= np.uint8(1) << rng.integers(0, 8, 25).astype(np.uint8)
    damaged["words lost"] = np.delete(first, np.r_[5000:5008])
    damaged["zeroed"] = first.copy()
    damaged["zeroed"][0x1000:0x1400] = 0
    damaged["stuck"] = first | np.uint8(4)
    damaged["moved"] = np.concatenate([np.full(0x4000, 0xFF, np.uint8), first])
    for name, dump in damaged.items():
        assert not locate(flash(first), flash(dump)).patterns, name


@pytest.mark.arm
def test_another_firmware_is_no_other_build(first, folder):
    """The same makers, compiler and style, but other functions."""
    other = build(folder, "strange", source(NUMBERS, seed=2))
    assert not locate(flash(first), flash(other)).patterns


@pytest.mark.parametrize("bit", [13, 14, 16])
@pytest.mark.parametrize("high", [False, True])
def test_a_stuck_address_line(bit, high):
    data = board(11)
    index = np.arange(data.size)
    shown = data[index | 1 << bit if high else index & ~(1 << bit)]
    (pattern,) = locate(image_of(data), image_of(shown)).patterns
    assert pattern.kind is PatternKind.ADDRESS_LINE
    assert pattern.number == bit
    assert f"A{bit} were stuck at {int(high)}" in pattern.text
    assert not locate(image_of(data), image_of(data)).patterns


@pytest.mark.parametrize("move", [1, 2, -1, 3])
def test_everything_stands_some_bytes_off(move):
    data = code(50_000, 60)
    dump = np.concatenate([np.full(move, 0x5A, np.uint8), data]) if move > 0 else data[-move:]
    reference, shown = (MemoryImage.from_bytes(x, 0x90000000) for x in (data, dump))
    (pattern,) = locate(reference, shown).patterns
    assert pattern.kind is PatternKind.SHIFTED
    assert pattern.number == abs(move)
    assert pattern.drift == (move, move)
    assert ("later" if move > 0 else "earlier") in pattern.text


def test_a_small_piece_some_bytes_off_is_not_everything():
    data, dump = code(50_000, 61), code(50_000, 62)
    dump[20_002:21_002] = data[20_000:21_000]
    assert locate(image_of(data), image_of(dump)).patterns == ()


@pytest.mark.parametrize(
    ("change", "number", "words"),
    [
        (lambda d: np.where(np.arange(d.size) % 2, 0x99, d), 2, "every second byte is 0x99"),
        (lambda d: np.where(np.arange(d.size) % 2, d, 0xFF), 2, "every second byte is 0xFF"),
        (lambda d: np.where(np.arange(d.size) % 4 == 1, 0, d), 4, "every fourth byte is 0x00"),
        (lambda d: d[::2].copy(), 2, "only every second byte of the reference is there"),
        (lambda d: np.stack([d, np.full_like(d, 0)], axis=1).ravel(), 2, "the reference is there in every second byte"),
        (lambda d: np.repeat(d, 2), 2, "the reference is there in every second byte"),
    ],
)
def test_lanes(change, number, words):
    data = code(40_000, 63)
    reference = MemoryImage.from_bytes(data, 0x90000000)
    dump = MemoryImage.from_bytes(change(data).astype(np.uint8), 0x90000000)
    pattern = locate(reference, dump).pattern(PatternKind.LANES)
    assert pattern
    assert pattern.number == number
    assert words in pattern.text


def test_unrelated_erased_and_zero_have_no_lanes():
    data = code(40_000, 64)
    for other in (code(40_000, 65), np.zeros(40_000, np.uint8), np.full(40_000, 0xFF, np.uint8)):
        assert locate(image_of(data), image_of(other)).patterns == ()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("lost", [False, True])
def test_bytes_inserted_or_lost_every_page(count, lost):
    pages = code(64_000, 66).reshape(-1, 1000)
    whole = pages.ravel()
    if lost:
        dump = pages[:, : 1000 - count].ravel()
    else:
        dump = np.concatenate([pages, np.full((len(pages), count), 0xA5, np.uint8)], axis=1).ravel()
    (pattern,) = locate(image_of(whole), image_of(dump)).patterns
    assert pattern.kind is PatternKind.INSERTED
    assert abs(pattern.number - 1000) <= 2
    assert f"{count} byte" in pattern.text
    assert ("lost" if lost else "inserted") in pattern.text


def test_the_second_bank_of_a_smaller_board():
    """A 2 MB reference, a board of 1 MB: its second bank begins at 0x08080000."""
    good, small = (np.full(n, 0xFF, np.uint8) for n in (1 << 21, 1 << 20))
    good[0x1000:0x9000] = small[0x1000:0x9000] = code(0x8000, 67)
    good[0x103000:0x10B000] = small[0x83000:0x8B000] = code(0x8000, 68)
    p = locate(image_of(good), image_of(small))
    home, bank = p.regions
    assert home.explanation.kind.value == "in-place"
    assert bank.displacement == -0x80000
    assert bank.explanation.kind.value == "bank"
    assert "0x08080000 on a board of 1024 KiB" in bank.explanation.text
    back = locate(image_of(small), image_of(good))
    assert [r.explanation.kind.value for r in back.regions] == ["in-place", "bank"]
    # The same distance within a full-size board is no bank's.
    same = np.full(1 << 21, 0xFF, np.uint8)
    same[0x83000:0x8B000] = good[0x103000:0x10B000]
    same[0x1F0000:] = code(0x10000, 69)
    (moved,) = locate(image_of(good), image_of(same)).strong
    assert moved.explanation.kind.value == "sector-move"


@pytest.mark.parametrize("unit", [2, 4])
def test_an_exact_swapped_piece_beats_a_half_alike_plain_one(unit):
    """Words whose bytes repeat read nearly alike in plain and swapped."""
    rng = np.random.default_rng(70)
    low = code(60_000, 70).reshape(-1, unit)
    data = np.where((rng.random(len(low)) < 0.6)[:, None], low[:, :1], low).astype(np.uint8).ravel()
    dump = data.reshape(-1, unit)[:, ::-1].ravel().copy()
    swapped = Transform.BYTESWAP16 if unit == 2 else Transform.BYTESWAP32
    p = locate(image_of(data), image_of(dump))
    assert sum(r.size for r in p.strong if r.transform is swapped) >= 0.97 * data.size
    assert all(r.displacement == 0 for r in p.strong)
    assert p.strong[0].reference_start == BASE


def test_a_swapped_part_beside_a_plain_one():
    data = code(1 << 18, 71)
    dump = data.copy()
    dump[0x10000:0x20000] = data[0x10000:0x20000].reshape(-1, 2)[:, ::-1].ravel()
    p = locate(image_of(data), image_of(dump))
    swapped = [r for r in p.strong if r.transform is Transform.BYTESWAP16]
    assert sum(r.size for r in swapped) == pytest.approx(0x10000, abs=8)
    assert sum(r.size for r in p.strong if r.transform is Transform.AS_IS) == pytest.approx(0x30000, abs=8)
