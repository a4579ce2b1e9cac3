"""All stages of a sweep in this process, without Ray: what each hands on to the next, and what ships."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers.tiny import noise, tiny

from orchestrator.search.hooks import active
from orchestrator.search.space import Choice, Space
from orchestrator.sweep import held_out, stage_runner, stages
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.plan import make_plan
from orchestrator.sweep.request import Request
from orchestrator.sweep.result import sweep_result
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_observer import StageObserver
from orchestrator.sweep.tune_callback import StageCallback
from orchestrator.trial import reporter
from orchestrator.trial.trial import run_trial

WEIGHTS = (0.05, 0.1, 0.2, 0.4)
SPACE = Space(
    name="two",
    axes={"generator.num_blocks": Choice((1, 2)), "loss.adversarial_weight": Choice(WEIGHTS)},
    trials=4,
)


class Silent:
    """A double of the progress line and of MLflow's record: it takes every call."""

    best = None

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class OneProcess:
    """A double of Tune: trials run one after the other, and their reports reach the stage's callback."""

    def __init__(self):
        self.Checkpoint = SimpleNamespace(from_directory=lambda folder: folder)

    def report(self, result, checkpoint=None):
        self.callback.on_trial_result(0, [], self.trial, result)

    def get_checkpoint(self):
        return None

    def run_stage(self, context, stage):
        if stage.draws:
            drawn = []
            for k, weight in enumerate(WEIGHTS):
                values = {"generator.num_blocks": 1 + k % 2, "loss.adversarial_weight": weight}
                drawn.append({"trial_id": f"screen-{k}", **values})
            stage = Stage(stage.name, tuple(drawn))
        self.callback = StageCallback(stage.study_name(context.request.name))
        with active(self.callback.key, StageObserver(context, stage, self.callback)):
            for index in range(len(stage.designs)):
                run = SimpleNamespace(num_failures=0)
                self.trial = SimpleNamespace(trial_id=f"t{index}", config={"index": index}, run_metadata=run)
                self.callback.on_trial_start(0, [], self.trial)
                run_trial({"index": index}, stage_runner._spec(context, stage))
                self.callback.on_trial_complete(0, [], self.trial)
        return list(self.callback.rows.values())


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """sweep(**settings) -> rows and the entries of sweep.json"""
    photos = noise(tmp_path / "photos", count=24)

    def go(clock=None, **settings):
        double = OneProcess()
        monkeypatch.setattr(reporter, "tune", double)
        monkeypatch.setattr(stages, "run_stage", double.run_stage)
        in_turn = lambda task, arguments, gpus: [task(*a) for a in arguments]  # noqa: E731
        monkeypatch.setattr(held_out, "run_tasks", in_turn)
        config = tiny(data__train=str(photos), data__eval_images=4, loss__adversarial_weight=0.1, **settings)
        options = {"trials": 4, "repeat_top": 2, "confirm_top": 2, "confirm_seeds": 2}
        request = Request(config=config, name="s", storage=str(tmp_path / "runs"), **options)
        plan = make_plan(request, SPACE)
        evaluator = plan.val_evaluator()
        bicubic = evaluator.measure_resizer("bicubic").summary
        capacity = SimpleNamespace(gpus=0, cpus=1, slots=lambda *_: 1)
        options = {"bicubic": bicubic, "protocol": evaluator.protocol, "clock": clock}
        context = SweepContext(plan, capacity, Silent(), Silent(), None, **options)
        rows = stages.run_stages(context)
        return rows, sweep_result(rows, context)

    return go


def test_the_stages_hand_on_to_each_other_and_something_ships(sweep):
    rows, result = sweep()
    stage_names = [r["stage"] for r in rows]
    counts = {s: stage_names.count(s) for s in ("warm", "screen", "repeat", "confirm")}
    architectures = len({r["values"]["generator.num_blocks"] for r in rows if r["stage"] == "confirm"})
    # two at first; in the confirmation one of each seed, and a longer one, for each architecture
    assert counts == {"warm": 2 + 3 * architectures, "screen": 4, "repeat": 4, "confirm": 4}
    assert not [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
    assert all(r["warm"].startswith("warm/") for r in rows if r["stage"] in ("screen", "repeat", "confirm"))
    repeated = {r["warm"] for r in rows if r["stage"] == "repeat"}
    assert repeated <= {r["warm"] for r in rows if r["stage"] == "screen"}, "from the shared warm starts"
    tests = [r for r in rows if r["stage"] == "test"]
    assert len(tests) - 4 - architectures in (0, 1), "one more if a warm start is better than these"
    for row in tests[:4]:
        assert set(row["sentinels"]) == {"sharpened", "noisy", "longer", "grid"}
        assert {"warm/swd", "longer/swd", "sharpened/swd", "lr_consistency"} <= set(row["metrics"])
    json.dumps([rows, result], allow_nan=False)
    shipped = next(r for r in rows if r["trial_id"] == result["pick"])
    assert shipped["checkpoint"], "there is something to promote"
    assert shipped["stage"] == ("test" if result["unbeaten"] or not result["gan_pick"] else "confirm")


class OneMoreSeed(Silent):
    """A double of the clock: there is time for a third seed, and for no fourth."""

    def add_seeds(self, plan, progress):
        plan.request = replace(plan.request, confirm_seeds=3)


def test_a_further_seed_of_the_confirmation_counts_as_the_first_ones_do(sweep):
    rows, result = sweep(clock=OneMoreSeed())
    confirmed = [r for r in rows if r["stage"] == "confirm"]
    assert [len(d["trial_ids"]) for d in result["designs"]] == [3, 3]
    assert len(confirmed) == len({r["trial_id"] for r in confirmed}) == 6
    assert len({r["warm"] for r in confirmed}) == 3 * len(
        {r["values"]["generator.num_blocks"] for r in confirmed}
    )
    tests = [r for r in rows if r["stage"] == "test"]
    assert {r["trial_id"] for r in confirmed} == {r["of"] for r in tests if "val" not in r}
    assert all("longer/swd" in r["metrics"] for r in tests if "val" not in r), (
        "one longer phase for all seeds"
    )


def test_without_a_psnr_phase_every_stage_runs_and_bicubic_is_what_to_beat(sweep):
    rows, result = sweep(run__psnr_steps=0)
    assert {r["stage"] for r in rows} == {"screen", "repeat", "confirm", "test"}
    trained = [r for r in rows if r["stage"] != "test"]
    assert all(r["warm"] is None for r in trained)
    assert all(r["metrics"]["warm/psnr_y"] == r["metrics"]["bicubic/psnr_y"] for r in rows)
    assert len(result["designs"]) == 2 and result["unbeaten"] == []
