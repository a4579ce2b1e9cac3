"""The time of a trial, over all ranks and attempts, and the means of its gradient shares."""

import json

import pytest

from orchestrator.results.trial_report import Usage
from orchestrator.trial import totals
from orchestrator.trial.totals import ShareMeans, UsageMeter
from trainers.distributed import ALONE, Ranks


class ThreeRanks(Ranks):
    """Ranks of equal CPU time."""

    def total(self, number):
        return 3 * number


@pytest.fixture
def clock(monkeypatch):
    now = {"wall": 100.0, "cpu": 10.0}
    monkeypatch.setattr(totals.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(totals.time, "process_time", lambda: now["cpu"])
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


def test_only_shares_are_averaged_and_plain_data_is_a_copy():
    means = ShareMeans()
    for value in (0.2, 0.4):
        means.add("gan", {"gradient_share/content": value, "loss": 7.0})
    plain = json.loads(json.dumps(vars(means)))
    again = ShareMeans(**plain)
    again.add("gan", {"gradient_share/content": 0.6})
    assert means.means() == {"content": pytest.approx(0.3)}
    assert again.means() == {"content": pytest.approx(0.4)}
