"""Axes have round ticks, keep outliers on the border, and accept equal values."""

import pytest

from orchestrator.report.axis import Axis, extent


def test_ticks_are_round():
    assert Axis([24.1, 26.3], 0, 100).ticks() == pytest.approx([24.0, 24.5, 25.0, 25.5, 26.0])


def test_values_outside_are_drawn_on_the_border():
    axis = Axis([24.1, 26.3], 0, 100)
    assert axis(1000) == 100 and axis(-1000) == 0


def test_equal_values_lie_in_the_middle_and_no_margin_is_no_margin():
    assert Axis([5.0, 5.0], 0, 100)(5.0) == Axis([0.0], 0, 100)(0.0) == pytest.approx(50)
    assert Axis([0, 4], 0, 100, margin=0)(1) == 25


def test_a_range_keeps_what_is_essential_and_the_middle_90_percent_of_the_rest():
    assert extent([500], [*range(40)]) == [500, *range(2, 38)]
    assert extent([], [3, 1, 2]) == [1, 2, 3]
