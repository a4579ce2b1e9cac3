"""When a sweep draws no more designs, and when its screen is complete all the same."""

from types import SimpleNamespace

import pytest

from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.sweep.request import Budget
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stages import Sweep
from orchestrator.sweep.tune_callback import StageCallback
from trainers.objectives import Objectives


def test_a_budget_is_reached_by_whichever_limit_comes_first():
    budget = Budget(hours=2, gpu_hours=10)
    assert budget.reached(1.9, 9.9) == ""
    assert budget.reached(2.0, 0.0) == "the 2 hours of --max-hours"
    assert budget.reached(0.5, 10.0) == "the 10 GPU-hours of --max-gpu-hours"
    assert str(budget) == "2 hours or 10 GPU-hours"
    assert Budget().reached(1e9, 1e9) == "" == str(Budget())


@pytest.mark.parametrize(
    ("ended", "hours", "complete"),
    [
        (4, 0.0, True),
        (3, 0.0, False),  # Ctrl-C
        (3, 5.0, True),  # the budget ended the drawing, in this life or in one before
        (0, 5.0, False),  # stopped before the first
    ],
)
def test_a_screen_is_complete_with_fewer_designs_only_where_the_budget_says_so(ended, hours, complete):
    sweep = object.__new__(Sweep)
    sweep.request = SimpleNamespace(trials=4, budget=Budget(hours=2.0), gpus_per_trial=1.0)
    sweep.life = SimpleNamespace(seconds=lambda: 3600 * hours)
    sweep.place, sweep.rows, sweep.enough = SimpleNamespace(gpus=0), [], ""
    stage = Stage("screen", scheduler=SuccessiveHalving(Objectives("psnr_y", "swd", 1.5), []))
    callback = StageCallback("s/screen", stage.scheduler)
    callback.params = {f"t{k}": {} for k in range(ended)}
    callback.results = {t: {"complete": 1} for t in callback.params}
    assert sweep._complete(stage, callback) == complete
    assert bool(sweep.enough) == (complete and ended < 4)
    if ended:
        callback.results["t0"] = {}
        assert not sweep._complete(stage, callback), "one of them is still under way"
