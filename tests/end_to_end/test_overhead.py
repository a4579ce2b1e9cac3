"""A hundred trials that only report, through everything the driver does at a report."""

import pytest
from bench import overhead

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_hundred_trials_of_ten_reports_leave_the_driver_small_and_the_record_whole(tmp_path):
    told = overhead.no_op(100, 10, tmp_path)
    assert told["ended"] == 100 and told["delivered"]
    assert told["reports"] >= 300, "every trial reports at least to its first rung"
    assert told["growth_mb"] < 200
