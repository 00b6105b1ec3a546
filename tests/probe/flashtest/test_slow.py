"""A sector is slow when it is slow time and again."""

from __future__ import annotations

import pytest

from h5diag.memory import AddressRange
from h5diag.probe.flashtest.classify import _slow
from h5diag.probe.flashtest.plan import TestPlan
from h5diag.probe.flashtest.reading import Visit

SECTORS = (0x08000000, 0x08002000, 0x08004000)


@pytest.mark.parametrize(("slow_steps", "found"), [((), False), ((0,), False), ((0, 1), False), ((0, 1, 2), True)])
def test_one_slow_erase_is_no_defect(slow_steps: tuple[int, ...], found: bool) -> None:
    plan = TestPlan(AddressRange(SECTORS[0], SECTORS[-1] + 0x2000))
    numbers = [s.number for s in plan.steps[:4]]
    seen = {
        start: [
            Visit(start, number, erase_s=0.2 if start == SECTORS[0] and i in slow_steps else 0.002)
            for i, number in enumerate(numbers)
        ]
        for start in SECTORS
    }
    assert bool(_slow(plan, seen)) is found
