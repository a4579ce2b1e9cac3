"""The driver of a long screening stage, by counts: what each trial makes it do is bounded."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bench import scale

from orchestrator.search.windowed import WindowedTPESampler

SLOTS, REPORTS = 8, 2


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Make every bound as small as the sweep, and snapshots follow the virtual clock alone."""
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "inf")
    monkeypatch.setattr(WindowedTPESampler, "WINDOW", 20)
    monkeypatch.setattr(WindowedTPESampler, "GOOD", 10)
    monkeypatch.setattr("orchestrator.search.windowed.CHECK_EVERY", 5)
    monkeypatch.setattr("orchestrator.results.pages.PAGE", 16)
    monkeypatch.setattr("orchestrator.sweep.tune_controller.ENDED", 8)
    monkeypatch.setattr("orchestrator.search.study_export.PAUSE", 1e9)
    monkeypatch.setattr("bench.scale.SNAPSHOT_S", 200.0)


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Count the calls of Python functions in this thread."""
    count = [0]

    def see(frame, event, argument):
        count[0] += event == "call"

    sys.setprofile(see)
    try:
        yield count
    finally:
        sys.setprofile(None)


def test_what_a_trial_costs_does_not_grow_with_the_trials_before_it(tmp_path, monkeypatch):
    seen, files = [], []
    own = WindowedTPESampler._sample

    def sample(self, study, *words):
        seen.append(len(study._get_trials()))
        return own(self, study, *words)

    monkeypatch.setattr(WindowedTPESampler, "_sample", sample)
    with scale.open_driver(tmp_path, 140, REPORTS, SLOTS) as driver:
        costs = []
        for ended in (30, 60, 90, 120):
            with counted_calls() as calls:
                driver.run(ended)
            costs.append(calls[0] / 30)
            files.append(len(os.listdir("/proc/self/fd")))
        assert costs[-1] < 1.15 * costs[1], "function calls per trial"
        assert max(seen) < 2 * 20 + 5 * SLOTS, "trials that TPE looks at for a draw"
        assert len(driver.controller._trials) <= 2 * 8 + 2 * SLOTS, "trials that Tune keeps"
        sizes = [size for _, _, size in driver.snapshots]
        assert max(sizes[-20:]) < 1.25 * max(sizes[len(sizes) // 4 : len(sizes) // 2]), "bytes of a snapshot"
        assert max(files) - min(files) < 20, "open files: a journal is closed with its trial"
        assert len(driver.callback.rows) >= 120
        copies = tmp_path / scale.NAME / "tune" / "screen"
        assert not list(copies.glob("experiment_state-*")), "no copy of Tune's folders while trials run"
        driver.controller.checkpoint(force=True, wait=True)
        assert list(copies.glob("experiment_state-*.json")), "Tune reads its results from there at the end"


def test_a_driver_that_died_goes_on_with_all_that_was_known(tmp_path):
    """Its snapshot holds the trials that run, and pages those that are over and that Tune forgot."""
    with scale.open_driver(tmp_path, 60, REPORTS, SLOTS) as first:
        first.run(45)
        first.controller.save_to_dir()
    assert len(list((tmp_path / scale.NAME / "tune" / "screen.pages").iterdir())) == 4
    with scale.open_driver(tmp_path, 60, REPORTS, SLOTS, resume=True) as second:
        assert second.callback.rows == first.callback.rows and second.callback.params == first.callback.params
        drawn = [t.params for t in second.search._ot_study.trials]
        assert drawn == [t.params for t in first.search._ot_study.trials]
        second.run(60)
        assert second.controller.is_finished()
    assert list(second.callback.rows)[:45] == list(first.callback.rows)
    assert len(second.callback.rows) == len(second.search._ot_study.trials) == 60, (
        "none is drawn a second time"
    )
