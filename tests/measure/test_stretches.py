"""Many stretches at once are what each of them is; large content is looked at part by part and counted whole."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.chip import load_chip
from h5diag.measure import drift as drifting, shapes
from h5diag.measure.shapes import Form, difference
from h5diag.measure.stretches import commonest, constant, counts, every, marked, runs, share_of, some, stretches
from h5diag.memory import MemoryImage, Segment

CHIP, BASE = load_chip("stm32h563zi"), 0x90000000
CODE = np.random.default_rng(11).integers(1, 255, 0x40000, dtype=np.uint8)


@given(st.binary(min_size=1, max_size=200), st.integers(1, 5), st.integers(1, 4))
def test_what_is_told_of_many_stretches_is_what_is_told_of_each(data: bytes, gap: int, least: int) -> None:
    values = np.frombuffer(data, np.uint8) % 4
    flags, other = values > 1, values != 3
    found = stretches(flags, gap, least)
    assert runs(flags, gap, least) == [tuple(x) for x in found.tolist()]
    each = [slice(a, b) for a, b in found.tolist()]
    assert constant(values, found).tolist() == [len(set(values[x].tolist())) == 1 for x in each]
    assert every(other, found).tolist() == [bool(other[x].all()) for x in each]
    assert some(other, found).tolist() == [bool(other[x].any()) for x in each]
    flagged = np.zeros(values.size, np.bool_)
    for x in each:
        flagged[x] = True
    assert (marked(found, values.size) == flagged).all()
    a, b = found.T
    assert counts(other, a - 3, b + 3).tolist() == [int(other[max(0, x.start - 3) : x.stop + 3].sum()) for x in each]


def test_a_sample_tells_only_what_is_far_from_right() -> None:
    one = np.tile(CODE, 2)
    other = one.copy()
    other[::40] ^= 1
    assert share_of(one, other, 0.95) == float((one == other).mean())
    assert share_of(one, one[::-1], 0.95) < 0.1
    assert commonest(np.where(np.arange(one.size) % 64 == 0, one, 7).astype(np.uint8), 0.98)[0] == 7


def held(good: np.ndarray, suspect: np.ndarray, part: int, start: int = BASE) -> shapes.Difference:
    images = [MemoryImage((Segment(start, x.copy()),)) for x in (good, suspect)]
    with mock.patch.multiple(shapes, PART=part, LOOKED_AT=2 * part):
        return difference(*images, CHIP)


@pytest.mark.parametrize("start", [BASE, BASE + 0x1230])
def test_a_stop_goes_on_over_all_parts(start: int) -> None:
    bad = CODE.copy()
    bad[0x15000:] = 0xFF
    one, many = held(CODE, bad, 1 << 20, start), held(CODE, bad, 0x8000, start)
    assert [(s.form, s.at, s.bytes, s.bits) for s in many.shapes] == [
        (s.form, s.at, s.bytes, s.bits) for s in one.shapes
    ]
    assert many.shapes[0].form is Form.STOPPED
    assert many.ranges == one.ranges


def test_a_blank_memory_is_blank_in_every_part_and_one_that_is_not_in_none() -> None:
    bad = np.full_like(CODE, 0xFF)
    assert {s.form for s in held(CODE, bad, 0x8000).shapes} == {Form.BLANK}
    bad[:0x4000] = CODE[:0x4000]
    assert Form.BLANK not in {s.form for s in held(CODE, bad, 0x8000).shapes}


def test_lone_bits_are_found_in_every_part() -> None:
    bad = CODE.copy()
    bad[5::512] |= 0x80
    one, many = held(CODE, bad, 1 << 20), held(CODE, bad, 0x8000)
    assert [(s.form, s.bytes, s.bits) for s in many.shapes] == [(s.form, s.bytes, s.bits) for s in one.shapes]
    assert many.shapes[0].form in (Form.ROSE_ALONE, Form.LONE)


def test_where_nothing_tells_no_more_is_looked_at_and_all_is_counted() -> None:
    bad = CODE[::-1].copy()
    with mock.patch.object(shapes, "_shapes", wraps=shapes._shapes) as looks:
        many = held(CODE, bad, 0x8000)
    assert looks.call_count <= 3 < CODE.size // 0x8000
    one = held(CODE, bad, 1 << 20)
    for name in ("seen", "content", "differing"):
        assert getattr(many, name) == getattr(one, name)
    told = sum(s.bits for s in many.shapes) + many.rest_risen + many.rest_fallen
    assert told == int(np.bitwise_count(CODE ^ bad).sum(dtype=np.int64))
    assert sum(r.size for r in many.ranges) >= many.differing


def test_another_build_is_told_from_a_sample_of_its_windows() -> None:
    good = np.random.default_rng(12).integers(0, 256, 5 << 20, dtype=np.uint8)
    parts = [good[: 1 << 20], CODE[:64], good[1 << 20 : 3 << 20], CODE[64:160], good[3 << 20 :]]
    bad = np.concatenate(parts)[: good.size]
    with mock.patch.object(drifting, "_moved", wraps=drifting._moved) as m:
        assert drifting.drift(good, bad) in (64, 160)
    assert max(len(call.args[0][0]) for call in m.call_args_list) < good.size // 4
