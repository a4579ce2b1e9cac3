"""The time of a trial: of this attempt, over all ranks, and of attempts before its checkpoint."""

import pytest

from orchestrator.results.trial_report import Usage
from orchestrator.trial import usage
from orchestrator.trial.usage import UsageMeter
from trainers.distributed import ALONE, Ranks


class ThreeRanks(Ranks):
    """Ranks of equal CPU time."""

    def total(self, number):
        return 3 * number


@pytest.fixture
def clock(monkeypatch):
    now = {"wall": 100.0, "cpu": 10.0}
    monkeypatch.setattr(usage.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(usage.time, "process_time", lambda: now["cpu"])
    return now


@pytest.mark.parametrize(("ranks", "cpu_seconds"), [(ALONE, 7.0), (ThreeRanks(), 21.0)])
def test_time_counts_from_the_start_of_the_attempt(clock, ranks, cpu_seconds):
    meter = UsageMeter(ranks)
    assert meter.this_attempt == meter.cumulative() == Usage()
    clock["wall"], clock["cpu"] = 105.0, 17.0
    assert meter.this_attempt == Usage(), "counted at updates only"
    for _ in range(2):  # a second update counts nothing twice
        meter.update()
        assert meter.this_attempt == meter.cumulative() == Usage(5.0, cpu_seconds)


def test_a_resumed_trial_adds_the_time_before_its_checkpoint(clock):
    meter = UsageMeter(ALONE)
    meter.before_checkpoint = Usage(50.0, 60.0)
    clock["wall"], clock["cpu"] = 101.0, 12.0
    meter.update()
    assert meter.this_attempt == Usage(1.0, 2.0)
    assert meter.cumulative() == Usage(51.0, 62.0)
