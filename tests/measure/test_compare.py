"""In-place comparison: states, masks, views, bit directions."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.chip import load_chip
from h5diag.measure import compare as module
from h5diag.measure.compare import AreaState, bit_positions, compare
from h5diag.memory import AddressRange, MemoryImage, Segment, release

CHIP = load_chip("stm32h563zi")
NS, S = 0x08000000, 0x0C000000
CODE = np.random.default_rng(7).integers(1, 255, 0x8000, dtype=np.uint8)


def image(data: np.ndarray, start: int = NS) -> MemoryImage:
    return MemoryImage((Segment(start, data.copy()),))


def states(result) -> list[tuple[str, int, int]]:
    return [(a.state.value, a.range.start, a.range.size) for a in result.areas]


def test_equal_dumps_are_one_equal_area():
    result = compare(image(CODE), image(CODE), CHIP)
    assert states(result) == [("equal", NS, 0x8000)]
    assert (result.differing_bytes, result.risen, result.fallen, result.compared_bytes) == (0, 0, 0, 0x8000)


def test_one_flipped_bit_is_one_quad_word_and_its_direction():
    bad = CODE.copy()
    bad[0x1234] ^= 0x01
    result = compare(image(CODE), image(bad), CHIP)
    assert states(result) == [("equal", NS, 0x1230), ("differs", NS + 0x1230, 16), ("equal", NS + 0x1240, 0x6DC0)]
    assert result.differing_bytes == 1
    assert result.risen + result.fallen == 1
    assert result.risen == int(bad[0x1234] & 1)
    where = np.argwhere(bit_positions(image(CODE), image(bad), CHIP))
    assert where.tolist() == [[result.risen, (0x1234 % 16) * 8]]


def test_an_erased_sector_is_one_area_even_where_good_holds_ff():
    good, bad = CODE.copy(), CODE.copy()
    good[0x2100:0x2200] = 0xFF
    bad[0x2000:0x4000] = 0xFF
    result = compare(image(good), image(bad), CHIP)
    assert states(result)[1] == ("erased", NS + 0x2000, 0x2000)
    assert result.differing_bytes == 0x2000 - 0x100
    assert result.fallen == 0


def test_zeros_on_sector_edges_are_mask_like_and_others_are_not():
    bad = CODE.copy()
    bad[0x2000:0x4000] = 0
    bad[0x5000:0x5800] = 0
    zeros = compare(image(CODE), image(bad), CHIP).of(AreaState.ZERO)
    assert [(a.range.start - NS, a.range.size, a.mask_like) for a in zeros] == [
        (0x2000, 0x2000, True),
        (0x5000, 0x800, False),
    ]


def test_masked_needs_evidence_and_does_not_count():
    bad = CODE.copy()
    bad[:0x4000] = 0
    result = compare(image(CODE, S), image(bad, S), CHIP, masks=[AddressRange(NS, NS + 0x2000)])
    assert states(result)[:2] == [("masked", S, 0x2000), ("zero", S + 0x2000, 0x2000)]
    assert result.differing_bytes == 0x2000


def test_a_mask_hides_nothing_that_is_not_zero():
    bad = CODE.copy()
    bad[5] ^= 0x80
    result = compare(image(CODE), image(bad), CHIP, masks=[AddressRange(NS, NS + 0x2000)])
    assert not result.of(AreaState.MASKED)
    assert result.differing_bytes == 1


def test_unreadable_and_unread_are_not_different():
    suspect = MemoryImage((Segment(NS, CODE[:0x1000].copy()),), unreadable=(AddressRange(NS + 0x1000, NS + 0x1400),))
    result = compare(image(CODE), suspect, CHIP)
    assert states(result) == [("equal", NS, 0x1000), ("unreadable", NS + 0x1000, 0x400)]
    assert result.not_compared == (AddressRange(NS + 0x1400, NS + 0x8000),)
    assert result.differing_bytes == 0


def test_the_other_alias_names_the_same_cells_and_is_said():
    result = compare(image(CODE, S), image(CODE, NS), CHIP)
    assert states(result) == [("equal", NS, 0x8000)]
    assert not result.same_view


def test_views_are_held_against_their_own_kind_first():
    zeros = np.zeros_like(CODE)
    good = MemoryImage((Segment(NS, zeros), Segment(S, CODE)))
    suspect = MemoryImage((Segment(NS, zeros), Segment(S, CODE)))
    assert compare(good, suspect, CHIP).differing_bytes == 0


def test_ram_is_compared_too():
    good, bad = image(CODE[:64], 0x20000000), image(CODE[:64] ^ 1, 0x20000000)
    assert compare(good, bad, CHIP).differing_bytes == 64


def test_nothing_in_common_is_a_result():
    result = compare(image(CODE), MemoryImage(), CHIP)
    assert result.areas == ()
    assert result.compared_bytes == 0


@given(st.integers(0, 0x7FFF), st.integers(1, 64), st.integers(0, 255), st.integers(0, 15))
def test_the_sums_are_those_of_the_bytes(at, length, value, skew):
    bad = CODE.copy()
    bad[at : at + length] = value
    good, suspect = image(CODE[skew:], NS + skew), image(bad[skew:], NS + skew)
    result = compare(good, suspect, CHIP)
    a, b = CODE[skew:], bad[skew:]
    assert result.differing_bytes == np.count_nonzero(a != b)
    assert result.fallen == np.bitwise_count(a & ~b).sum()
    assert result.risen == np.bitwise_count(b & ~a).sum()
    assert sum(area.range.size for area in result.areas) == a.size
    assert bit_positions(good, suspect, CHIP).sum() == result.fallen + result.risen


@given(st.integers(0, 1 << 32), st.sampled_from([NS, S, NS + 0xFE7, 0x20000003, 0x90000000]))
def test_windows_change_nothing(seed, start):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 4, int(rng.integers(1, 60_000)), dtype=np.uint8) * np.uint8(85)
    b = a.copy()
    for _ in range(rng.integers(0, 7)):
        at = int(rng.integers(0, a.size))
        at -= at % 8192 if rng.random() < 0.4 else 0
        b[at : at + int(rng.choice([1, 16, 100, 8192, 20_000]))] = rng.choice([0, 255, 7])
    masks = [AddressRange(NS, NS + 0x2000 * int(rng.integers(1, 6)))] if rng.random() < 0.5 else []
    whole = compare(image(a, start), image(b, start), CHIP, masks=masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", 1 << 14)
        cut = compare(image(a, start), image(b, start), CHIP, masks=masks)
    assert cut == whole
    counted = [x for x in whole.areas if x.state in (AreaState.DIFFERS, AreaState.ERASED, AreaState.ZERO)]
    assert whole.differing_bytes == sum(x.differing_bytes for x in counted)
    assert [x.range for x in whole.areas] == sorted(x.range for x in whole.areas)


def test_areas_are_a_sequence_like_any_other():
    bad = CODE.copy()
    bad[0x100] ^= 1
    areas = compare(image(CODE), image(bad), CHIP).areas
    assert len(areas) == 3
    assert areas[-1] == list(areas)[2]
    assert list(areas[1:]) == list(areas)[1:]
    assert areas == tuple(areas)
    assert areas != tuple(areas)[:2]
    assert hash(areas) == hash(compare(image(CODE), image(bad), CHIP).areas)


@pytest.mark.parametrize(
    ("start", "stop", "like"), [(0x2000, 0x4000, True), (0x2000, 0x3800, False), (0x2800, 0x4000, False)]
)
def test_mask_like_takes_both_edges(start, stop, like):
    bad = CODE.copy()
    bad[start:stop] = 0
    (zero,) = compare(image(CODE), image(bad), CHIP).of(AreaState.ZERO)
    assert zero.mask_like is like


def test_of_two_mapped_files_no_more_than_a_window_is_held(tmp_path, monkeypatch):
    """What was compared is given back to the system: only then does a gigabyte need little memory."""
    good = np.tile(CODE, 256)  # 8 MiB
    suspect = good.copy()
    suspect[5_000_000] ^= 1
    mapped = []
    for name, data in (("good", good), ("suspect", suspect)):
        data.tofile(tmp_path / name)
        with (tmp_path / name).open("rb") as stream:
            mapped.append(np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), np.uint8))
    held = []
    monkeypatch.setattr(module, "release", lambda data: (held.append(_resident(data)), release(data))[1])
    images = [MemoryImage.from_bytes(m, 0x90000000) for m in mapped]
    assert states(compare(*images, CHIP)) == states(compare(image(good, 0x90000000), image(suspect, 0x90000000), CHIP))
    held = [h for h in held if h is not None]
    assert len(held) >= 8
    assert max(held) <= good.size // 2


def _resident(data: np.ndarray) -> int | None:
    """Bytes of a file's map that this process holds, as Linux tells it; None where nothing tells."""
    base = data
    while isinstance(base, np.ndarray):
        base = base.base
    if base is None:
        return None
    address, size = np.frombuffer(base.obj, np.uint8).ctypes.data, 0
    text = Path("/proc/self/smaps").read_text() if Path("/proc/self/smaps").exists() else ""
    inside = False
    for line in text.splitlines():
        if (m := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)) is not None:
            inside = int(m[1], 16) <= address < int(m[2], 16)
        elif inside and line.startswith("Rss:"):
            size += int(line.split()[1]) * 1024
    return size


@pytest.mark.parametrize("start", [NS, S + 0x2000, 0x90000000, 0x90000123])
@pytest.mark.parametrize("fill", [None, 0xFF, 0x00])
def test_too_many_areas_are_joined_by_sector_and_no_sum_changes(start: int, fill: int | None) -> None:
    good = np.resize(CODE, 3 * module.WINDOW + 77)
    bad = good.copy()
    for at in range(0, good.size, 64):
        bad[at : at + 16] = good[at : at + 16] ^ 0x81 if fill is None else fill
    bad[0x8000:0xC000] = good[0x8000:0xC000]
    bad[0x10000:0x14000] = 0xFF
    each = compare(image(good, start), image(bad, start), CHIP)
    one = compare(image(good, start), image(bad, start), CHIP, most=100)
    assert len(each.areas) > 10_000
    assert len(one.areas) < 2 * good.size // CHIP.flash.sector_size
    for name in ("differing_bytes", "risen", "fallen", "compared_bytes", "covered"):
        assert getattr(one, name) == getattr(each, name)
    # A quad-word that is zero in part only differs.
    mixed = AreaState.ZERO if fill == 0 and start % 16 == 0 else AreaState.DIFFERS
    assert {a.state for a in one.areas if 0 < a.range.start - start < 0x6000} == {mixed}
    assert not any(a.mask_like for a in one.areas)
    # What is of one state throughout stays what it is.
    assert one.of(AreaState.EQUAL)[0].range.size >= 0x2000
    assert sum(a.range.size for a in one.of(AreaState.ERASED)) >= 0x2000
    assert compare(image(good, start), image(bad, start), CHIP, most=len(each.areas) * 2) == each


def test_too_many_pieces_are_joined_as_well() -> None:
    good, bad = (
        MemoryImage(tuple(Segment(NS + 64 * k, (CODE[:32] ^ flip).copy()) for k in range(300))) for flip in (0, 1)
    )
    one, each = (compare(good, bad, CHIP, most=most) for most in (100, 1000))
    assert len(each.areas) == len(one.areas) == 300  # there is nothing between them to join over
    assert one.differing_bytes == each.differing_bytes == 300 * 32
