"""A hundred trials that only report, through everything the driver does at a report."""

import pytest
from bench import overhead

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_hundred_trials_of_ten_reports_leave_the_driver_small_and_the_record_whole(tmp_path):
    result = overhead.no_op(100, 10, tmp_path)
    assert result["ended"] == 100 and result["delivered"]
    assert result["reports"] >= 300, "every trial reports at least to its first rung"
    assert result["growth_mb"] < 200
