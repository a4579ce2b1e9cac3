"""A plan before anything is trained: where its steps are timed, and hours and price of the five stages."""

import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments import recipes, spaces
from orchestrator.cluster.capacity import Capacity
from orchestrator.sweep import cost_estimate, dry_run, step_costs
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.request import Request
from orchestrator.sweep.step_costs import Costs, Timing

COSTS = Costs(1_000, psnr_step=0.02, gan_step=0.05, evaluation=2.0)
CLUSTER = Capacity("the Ray cluster at h:1: 4 nodes, 16 GPUs, 64 CPU cores now", False, 4, 64, 16)
HERE = Capacity("this machine: 2 CPU cores", True, 1, 2, 0)


@pytest.fixture
def described(monkeypatch):
    """A function that returns the lines of a dry run of recipe srgan_8 over space full, and who was timed."""
    asked = []

    class Images(list):
        digest, location = "d", "shards"
        manifest = SimpleNamespace(name="mine", notes={}, rejected=0, splits={})

    def make_plan(request, space, resume):
        images = {role: Images(range(n)) for role, n in (("train", 500), ("val", 64), ("test", 64))}
        storage = SimpleNamespace(exists=lambda name: False)
        plan = SweepPlan(request.filled(space), space, storage, images)
        plan.find_architectures(resume)
        return plan

    def time_costs(plan, capacity=None, *, one=False):
        asked.append(capacity)
        return Timing(COSTS, COSTS, [COSTS] * len(plan.architectures), start=10.0)

    @contextmanager
    def connected(address):
        yield CLUSTER if address else HERE

    monkeypatch.setattr(step_costs, "time_costs", time_costs)
    monkeypatch.setattr(step_costs, "measure_on_device", lambda *_: ([COSTS], 1.0))
    monkeypatch.setattr(cost_estimate, "busy_cpus", lambda: 0.0)
    monkeypatch.setattr(cost_estimate, "forecast_gib", lambda config: 2.0)
    monkeypatch.setattr(cost_estimate, "largest_config", lambda plan: None)
    monkeypatch.setattr(cost_estimate, "step_flops", lambda config, phase: {"psnr": 1.0, "gan": 3.0}[phase])
    monkeypatch.setattr(dry_run, "make_plan", make_plan)
    monkeypatch.setattr(dry_run, "measure_architectures", lambda plan, capacity: [])
    monkeypatch.setattr(dry_run.connect, "reach", lambda address: None)
    monkeypatch.setattr(dry_run.connect, "connect", connected)
    request = Request(config=recipes.build("srgan_8"), name="s", price_per_gpu_hour=2.0)

    def describe(began=None, **options):
        asked_for = replace(request, **options)
        return dry_run.describe_plan(asked_for, spaces.build("full"), False, print, began), asked

    return describe


def test_on_a_cluster_its_workers_are_timed_and_each_stage_has_hours_and_a_price(described):
    lines, asked = described(address="h:1")
    assert asked == [CLUSTER]
    line = next(line for line in lines if line.startswith("time "))
    assert f"h on {CLUSTER.description}, 16 at once: warm " in line
    stages = [part.split()[0] for part in line.split(": ")[-1].split("; ")[0].split(", ")]
    assert stages == ["warm", "screen", "repeat", "confirm", "test"]
    assert line.count("(cost ") == 5 and "GPU-hours, cost " in line and line.endswith("at 2 an hour")


def test_here_this_machine_is_timed_and_the_memory_of_a_gpu_is_said_to_be_of_none(described):
    lines, asked = described()
    assert asked == [None]
    assert lines[-1].endswith("training step (forecast), if one trained it: there is none here")


def test_with_hours_workers_are_timed_and_the_time_that_is_over_counts(described):
    """A sweep has to start them too: without it a dry run promised more than the sweep then planned."""
    lines, asked = described(time.monotonic() - 90, hours=1.0, planned="run.psnr_steps run.gan_steps trials")
    assert asked == [HERE, HERE]
    assert lines[0].startswith("recipe   srgan_8 over space full: ")
    (timed,) = (line for line in lines if line.startswith("hours "))
    assert timed.startswith("hours    1 h: 1.5 of 60 minutes are over; then minutes of warm ")
    assert not any(line.startswith("screen   64 trials") for line in lines)
