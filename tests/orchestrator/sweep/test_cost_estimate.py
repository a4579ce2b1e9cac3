"""What a plan takes: a line through two timed architectures, carried over the plan's own counts."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny import Loader, tiny

from datasets.errors import UserError
from orchestrator.cluster.capacity import Capacity
from orchestrator.console.progress_line import StagePlan
from orchestrator.sweep import cost_estimate, step_costs
from orchestrator.sweep.cost_estimate import Estimate
from orchestrator.sweep.request import Request
from orchestrator.sweep.step_costs import Costs
from orchestrator.sweep.wall_time import Pace
from trainers.benchmarks.cost import parameters
from trainers.config import override
from trainers.memory import forecast_gib
from trainers.models import build_generator

SMALL, LARGE = Costs(100, 0.1, 0.2, 1.0), Costs(300, 0.3, 0.4, 3.0)


def test_an_architecture_lies_on_the_line_between_the_extremes():
    middle = {"parameters": 200, "psnr_step": 0.2, "gan_step": 0.3, "evaluation": 2.0, "opinion": 0.0}
    assert vars(SMALL.interpolate(LARGE, 200)) == pytest.approx(middle)
    assert SMALL.interpolate(SMALL, 100) == SMALL


def test_the_plans_counts_become_hours():
    stages = [
        StagePlan("warm", 1, 60, 0),
        StagePlan("screen", 4, 0, 30, 0.5),
        StagePlan("confirm-warm", 2, 60, 0),
        StagePlan("confirm", 2, 0, 30),
    ]
    config = tiny(run__psnr_eval_every_steps=10, run__eval_every_steps=10)
    request = SimpleNamespace(config=config, confirm_top=1, confirm_seeds=2)
    prepared = SimpleNamespace(request=request, missing=[1], stages=lambda: stages)
    prepared.images, prepared.tested_networks = {"val": range(4), "test": range(8)}, 3
    hours = cost_estimate.stage_hours(prepared, [SMALL, LARGE])
    warm = 60 * (0.3 + 3.0 / 10)  # the large one alone is missing
    screen = 4 * 15 * (0.3 + 2.0 / 10)  # the mean of both
    confirm = 2 * (60 * (0.2 + 2.0 / 10) + 30 * (0.3 + 2.0 / 10))
    assert {k: v * 3600 for k, v in hours.items()} == pytest.approx(
        {"warm": warm, "screen": screen, "confirm": confirm, "test": 3 * 2.0 * (6 * 2 + 9)}
    )


def test_hours_are_shared_by_the_slots_and_a_gpu_by_its_trials():
    told = Estimate({"warm": 2.0, "screen": 6.0}, 4, True, 0.5, SMALL, LARGE)
    assert (told.wall_hours, told.gpu_hours) == (2.0, 4.0)
    assert "4.0 GPU-hours, cost 10.00 at 2.5 an hour" in told.describe(2.5)[0]
    assert "warm 30 min, screen 1.5 h" in told.describe(0)[0]
    assert "warm 30 min (cost 2.50), screen 1.5 h (cost 7.50)" in told.describe(2.5)[0]
    assert "about 2.0 h on this machine (" in told.describe(0)[0]
    assert "about 2.0 h on the cluster, 4 at once" in replace(told, place="the cluster").describe(0)[0]
    cpu = Estimate({"screen": 0.01}, 2, False, 1.0, SMALL, LARGE)
    assert cpu.gpu_hours == 0 and "18 s" in cpu.describe(2.5)[0] and "cost" not in cpu.describe(2.5)[0]


def test_steps_are_said_as_far_as_the_sweep_has_them():
    def said(*costs):
        return Estimate({"screen": 6.0}, 2, False, 1.0, *costs).describe(0)[1]

    both = "a PSNR step 100 to 300 ms, a GAN step 200 to 400 ms, an evaluation 1,000 to 3,000 ms (smallest to"
    assert said(SMALL, LARGE).startswith(f"timed    {both} largest architecture, one trial alone")
    started = replace(SMALL, psnr_step=0.0)
    assert said(started, started) == "timed    a GAN step 200 ms, an evaluation 1,000 ms (one trial alone)"


def test_of_several_ranks_one_is_timed_and_all_are_paid_for():
    told = Estimate({"screen": 6.0}, 2, True, 4.0, SMALL, LARGE, ranks=4)
    assert (told.wall_hours, told.gpu_hours) == (3.0, 24.0)
    assert "one of its 4 ranks, without the time they wait for one another)" in told.describe(0)[1]
    assert "ranks" not in Estimate({"screen": 6.0}, 2, True, 1.0, SMALL, LARGE).describe(0)[1]


def test_the_step_of_both_phases_and_an_evaluation_are_timed():
    measured = []
    evaluator = SimpleNamespace(measure=measured.append)
    costs = step_costs.measure_costs(tiny(), Loader(), evaluator, torch.device("cpu"))
    assert costs.psnr_step > 0 and costs.gan_step > 0 and costs.evaluation > 0
    assert costs.parameters == parameters(build_generator(tiny().generator))
    assert len(measured) >= 2 and not measured[0].training, "the first evaluation is not timed"
    assert costs.opinion == 0
    assert step_costs.measure_costs(tiny(), Loader(), evaluator, torch.device("cpu"), evaluator).opinion > 0


def test_the_second_opinion_on_test_reads_three_networks_and_once_the_real_images():
    request = SimpleNamespace(config=SimpleNamespace(data=SimpleNamespace(eval_images=4)))
    plan = SimpleNamespace(request=request, images={"val": range(8), "test": range(12)})
    costs = Costs(1, 0.0, 0.0, evaluation=2.0, opinion=0.0)
    assert cost_estimate.test_seconds(plan, costs) == 2.0 * (6 * 3 + 9)
    assert cost_estimate.test_seconds(plan, replace(costs, opinion=1.0)) == 2.0 * (6 * 3 + 9) + 4 * 3


def test_the_memory_of_the_largest_step_is_forecast(monkeypatch):
    monkeypatch.setattr(step_costs, "measure_on_device", lambda configs, *_: ([SMALL] * len(configs), 1.0))
    monkeypatch.setattr(cost_estimate, "stage_hours", lambda plan, costs: {})
    request = Request(config=tiny(), name="s")
    plan = SimpleNamespace(
        request=request,
        architectures=[{"generator.num_blocks": 1}, {"generator.num_blocks": 4}],
        space=SimpleNamespace(axes={}),
        missing=[],
        stages=list,
    )
    large = override(tiny(), {"generator.num_blocks": 4})
    told = cost_estimate.estimate(plan)
    assert told.memory_gib == pytest.approx(forecast_gib(large)) and told.memory_gib > 1
    words = f"memory   about {told.memory_gib:.1f} GiB of a GPU for the largest training step (forecast)"
    assert replace(told, on_gpu=True).describe(0.0)[-1] == words
    assert replace(told, on_gpu=False).describe(0.0)[-1] == f"{words}, if one trained it: there is none here"


def test_trials_that_share_a_gpu_are_said_to_slow_one_another():
    shared = Estimate({"screen": 6.0}, 4, True, 0.25, SMALL, LARGE).describe(0)[1]
    assert shared.endswith("one trial alone; the 4 that share a GPU slow one another, in all up to 4 times)")
    assert Estimate({"screen": 6.0}, 4, False, 0.25, SMALL, LARGE).describe(0)[1].endswith("one trial alone)")


def test_an_estimate_that_finds_no_memory_gives_the_advice_of_a_trial(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(step_costs, "measure_costs", full)
    monkeypatch.setattr(step_costs, "open_inputs", lambda *_: SimpleNamespace(loader=None, evaluator=None))
    with pytest.raises(UserError, match="it needs more memory than a share of 0.5"):
        step_costs.measure_on_device([tiny()], (), "", "", 1, 0.5)


def test_workers_time_as_many_trials_at_once_as_run_and_their_start(monkeypatch):
    asked = []

    def tasks(function, arguments, *, gpus):
        asked.append((function, len(arguments), gpus))
        return [
            ([SMALL, LARGE], -100.0),
            ([LARGE, LARGE], -200.0),
        ]  # so that the start is the time since then

    monkeypatch.setattr(step_costs, "run_tasks", tasks)
    blocks = [{"generator.num_blocks": b} for b in (1, 2, 4)]
    request = Request(config=tiny(), name="s")
    plan = SimpleNamespace(request=request, architectures=blocks)
    timing = step_costs.time_costs(plan, Capacity("", True, 1, 2, 0))
    assert asked == [(step_costs.measure_on_device, 2, 0.0)]
    assert timing.smallest.gan_step == pytest.approx(0.3) and timing.largest == LARGE
    assert timing.start == pytest.approx(100, abs=5)
    timed = []
    monkeypatch.setattr(
        step_costs, "measure_on_device", lambda configs, *_: timed.extend(configs) or ([SMALL], 0.0)
    )
    assert [c.gan_step for c in step_costs.time_costs(plan, one=True).all] == [0.2] * 3
    assert [c.generator.num_blocks for c in timed] == [2], "the one of middle size"


@pytest.mark.parametrize(
    ("capacity", "cores", "timed"),
    [
        (Capacity("", True, 1, 2, 0), 2, True),
        (Capacity("", True, 1, 2, 0), 1, False),
        (Capacity("", True, 1, 2, 1), 2, False),
        (Capacity("ray://a", False, 2, 8, 0), 2, False),
    ],
    ids=["here", "one core", "a GPU", "a cluster"],
)
def test_one_training_has_all_cores_of_this_machine_and_the_evaluations_of_its_recipe(
    capacity, cores, timed, monkeypatch
):
    """The advice promised "at most 15 minutes" for one that took 7.8 on two cores."""
    asked = []

    def measure(configs, metrics, second_opinion, work_dir, ranks, gpus):
        asked.append(configs[0].run.threads)
        return [SMALL], 1.0

    monkeypatch.setattr(step_costs, "measure_on_device", measure)
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    config = override(tiny(), {"run.psnr_eval_every_steps": 10, "run.eval_every_steps": 5})
    plan = SimpleNamespace(request=Request(config=config, name="s"))
    pace = Pace(psnr_step=1.0, gan_step=2.0, evaluation=10.0, start=8, test=16, ending=16, slots=2)
    measured = cost_estimate.pace_alone(plan, capacity, pace)
    psnr, gan, evaluation = (0.1, 0.2, 1.0) if timed else (1.0, 2.0, 10.0)
    alone = {"psnr_step": psnr + evaluation / 10, "gan_step": gan + evaluation / 5, "evaluation": evaluation}
    assert vars(measured) == pytest.approx(vars(pace) | alone)
    assert asked == [2] * timed
