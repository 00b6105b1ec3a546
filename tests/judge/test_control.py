"""The control chart of a lot: exact limits, groups in the order of time, and what a steady line does."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from h5diag.judge.control import GROUP, TAIL, control_chart, limits


def exact(boards, share):
    """Return the limits by whole numbers: the oracle."""
    p = Fraction(share)
    chance = [comb(boards, k) * p**k * (1 - p) ** (boards - k) for k in range(boards + 1)]
    low = next(k for k in range(boards + 1) if sum(chance[: k + 1]) > TAIL)
    high = next(k for k in reversed(range(boards + 1)) if sum(chance[k:]) > TAIL)
    return low / boards, high / boards


@pytest.mark.parametrize("boards", [1, 20, 37, 150])
@pytest.mark.parametrize("share", [0.001, 0.03, 0.25, 0.5, 0.97])
def test_limits_are_those_of_the_binomial_distribution(boards, share):
    assert limits(boards, share) == exact(boards, share)


def test_limits_where_nothing_or_everything_deviates_and_of_a_very_large_group():
    assert limits(20, 0.0) == (0.0, 0.0)
    assert limits(20, 1.0) == (1.0, 1.0)
    low, high = limits(25_000, 0.4)
    sigma = (0.4 * 0.6 / 25_000) ** 0.5
    assert low == pytest.approx(0.4 - 3 * sigma, abs=0.0003)
    assert high == pytest.approx(0.4 + 3 * sigma, abs=0.0003)


def day(n):
    return f"2026-03-{1 + n // 24:02d}T{n % 24:02d}:00:00+00:00"


def test_a_day_on_which_something_began_stands_out_and_the_order_of_the_boards_does_not_matter():
    boards = [(day(n), n % 50 == 0 or 200 <= n < 215) for n in range(400)]
    chart = control_chart(boards)
    assert [g.first for g in chart.outside] == [day(200)]
    assert chart.outside[0].deviating == 15
    assert chart.centre == sum(d for _, d in boards) / 400
    shuffled = [boards[i] for i in np.random.default_rng(1).permutation(400)]
    assert control_chart(shuffled) == chart


def test_groups_hold_every_board_once():
    for count in (60, 61, 79, 80, 799, 800, 801, 5003):
        chart = control_chart([(day(n % 700), n % 9 == 0) for n in range(count)])
        assert sum(g.boards for g in chart.groups) == count
        assert sum(g.deviating for g in chart.groups) == len(range(0, count, 9))
        assert all(g.boards >= GROUP for g in chart.groups)
        assert len(chart.groups) <= 40


def test_too_few_boards_or_one_time_give_no_chart():
    assert control_chart([(day(n), False) for n in range(59)]) is None
    assert control_chart([(day(0), n == 3) for n in range(500)]) is None
    assert control_chart([]) is None


def test_a_steady_line_seldom_leaves_its_limits():
    random = np.random.default_rng(7)
    groups = [
        g
        for _ in range(50)
        for g in control_chart([(day(n % 700), bool(random.random() < 0.04)) for n in range(2000)]).groups
    ]
    assert len(groups) == 2000
    assert sum(g.outside for g in groups) <= 15  # 2 x 0.00135 x 2000 = 5 at the most in the mean
