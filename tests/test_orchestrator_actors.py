"""Workers are used again, but never one in which a trial diverged or raised."""

import os

import pytest
import ray
from ray import tune

from orchestrator.actors import careful_actors
from orchestrator.cluster import connect

pytestmark = pytest.mark.ray


def test_who_is_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.cluster.available_cpus", lambda: 1)
    ways = ["well", "well", "diverged", "well", "out of memory", "well"]
    designs = [{"how": way, "mark": str(tmp_path / "mark")} for way in ways]

    def trial(params):
        """Ends in one of three ways, and says in which process."""
        how, mark = designs[params["index"]].values()
        if how == "out of memory" and not os.path.exists(mark):
            open(mark, "w").close()
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        tune.report({"pid": os.getpid(), "diverged": int(how == "diverged")})

    with connect(None), careful_actors():
        grid = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"index": tune.grid_search(list(range(len(designs))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=str(tmp_path), verbose=0, failure_config=tune.FailureConfig(max_failures=1)
            ),
        ).fit()
        pids = {r.metrics["config"]["index"]: r.metrics["pid"] for r in grid}
    assert ray.tune.tune.TuneController.__name__ == "TuneController", "nobody else is affected"
    a, b, diverged, after, oom, last = (pids[i] for i in range(6))
    assert a == b == diverged, "reused after a trial that ended well"
    assert after != diverged, "not after one that diverged"
    assert oom != after, "nor after one that ran out of memory"
    assert last == oom
