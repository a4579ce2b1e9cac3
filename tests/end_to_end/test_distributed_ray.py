"""Trials of two ranks under Tune and Ray Train: equal to one process, never stuck, nothing left behind.

Minutes, so all are slow tests; tests/trainers/test_distributed.py compares two processes with one by default.
"""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import fp64 as double
from helpers.paths import ROOT
from helpers.tiny import noise, tiny
from ray.tune import Callback

from orchestrator.cluster import placement_groups
from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.trial.inputs import open_role
from orchestrator.trial.spec import TrialSpec
from trainers import checkpoint
from trainers.config import flatten, override

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]

NORMS = {"generator.norm": "batch", "discriminator.norm": "batch", "loss.adversarial": "relativistic"}
DIGITS = 1e-10


@pytest.fixture(scope="module")
def two_cores(tmp_path_factory):
    """A Ray of exactly two cores."""
    import ray

    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
    switched = pytest.MonkeyPatch()
    # Seen reads Tune's own files, which the product, once it has run in this process, has switched off
    switched.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "0")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
        runtime_env={"env_vars": env},
    )
    yield ray
    ray.shutdown()
    switched.undo()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("photos") / "noise")


LONG = {"run.gan_steps": 100, "run.eval_every_steps": 20, "run.checkpoint_every_steps": 10}
DIVERGES = {"optim.lr_g": 1e30}


class Curves(Callback):
    """The reports of each design as Tune receives them: (phase, step) -> psnr_y.

    Tune's own log files lose lines of a trial that starts again: its loggers fetch their file from the
    storage, which is behind.
    """

    def __init__(self):
        self.by_design = {}

    def on_trial_result(self, iteration, trials, trial, result, **info):
        report = TrialReport.from_result(result)
        curve = self.by_design.setdefault(trial.config["index"], {})
        curve[report.phase, report.step] = report.ranked["psnr_y"]


class Seen:
    """The curve of each design that reached Tune, and its last report whole."""

    def __init__(self, grid, curves):
        self.errors = list(grid.errors)
        self.last = {r.config["index"]: TrialReport.from_result(r.metrics) for r in grid}
        self.curves = curves.by_design

    def weights(self, index):
        """Of the averaged generator that a trial ended with."""
        return checkpoint.generator_weights(Path(self.last[index].checkpoint))


def warmed(storage, photographs, designs, ranks):
    """The PSNR phase of each seed of `designs`, as trials of the warm stage, which publish them."""
    seeds = dict.fromkeys(d.get("run.seed", 0) for d in designs)
    return tuned(storage, photographs, [{"run.seed": seed} for seed in seeds], ranks, 2, stage="warm")


def tuned(storage, photographs, designs, ranks, at_once=1, scheduler=None, stage="confirm"):
    """Designs as trials of a stage, `at_once` of them together, tried again where they fail."""
    from ray import tune

    from orchestrator.trial import distributed

    config = override(tiny(data__train=str(photographs)), NORMS)
    spec = TrialSpec(
        sweep="s",
        stage=stage,
        storage=str(storage),
        work_dir=str(storage),
        base=flatten(config),
        digests={r: open_role(config.data, r, storage).digest for r in ("train", "val")},
        designs=tuple({"trial_id": f"{stage[0]}{k}"} | d for k, d in enumerate(designs)),
        threads=1,
        metrics=("psnr_y", "swd"),
        ranks=ranks,
    )
    several = double.run_ranks, distributed.DRIVER
    function, holds = several if ranks > 1 else (double.run_trial, {"cpu": 1})
    curves = Curves()
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(function, spec=spec), holds),
        param_space={"index": tune.grid_search(list(range(len(designs))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=at_once, scheduler=scheduler, reuse_actors=ranks == 1
        ),
        run_config=tune.RunConfig(
            name=f"tune-{stage}",
            storage_path=str(storage),
            verbose=0,
            callbacks=[curves],
            failure_config=tune.FailureConfig(max_failures=3),
        ),
    )
    with placement_groups.removing_orphans():
        return Seen(tuner.fit(), curves)


@pytest.fixture(scope="module")
def one(two_cores, photographs, tmp_path_factory):
    """A design in one process, and the PSNR phase that it starts from."""
    storage = tmp_path_factory.mktemp("one")
    warm = warmed(storage, photographs, [{}], 1)
    seen = tuned(storage, photographs, [{}], 1)
    seen.warm, seen.storage = warm, storage
    return seen


@pytest.fixture(scope="module")
def alone(two_cores, photographs, tmp_path_factory):
    """Three designs, each in one process, and the two PSNR phases that they start from."""
    storage, designs = tmp_path_factory.mktemp("alone"), [{}, {"run.seed": 5}, LONG]
    warm = warmed(storage, photographs, designs, 1)
    seen = tuned(storage, photographs, designs, 1, at_once=2)
    seen.warm, seen.storage = warm, storage
    return seen


def same(found, expected):
    """Whether two trials saw the same and ended with the same weights, to ten digits."""
    (seen, index), (other, place) = found, expected
    assert seen.curves[index] == pytest.approx(other.curves[place], rel=1e-9)
    ours, theirs = seen.weights(index), other.weights(place)
    assert {v.dtype for n, v in ours.items() if "num_batches" not in n} == {torch.float64}
    torch.testing.assert_close(ours, theirs, rtol=DIGITS, atol=DIGITS)


def processes(name):
    """Ids of this Ray's living actors of that class: other Rays may run on the same machine."""
    from ray._private.state import actors

    rows = [a for a in actors().values() if a["State"] == "ALIVE" and a["ActorClassName"].endswith(name)]
    return [a["Pid"] for a in sorted(rows, key=lambda a: a["StartTime"])]


def until(found, what, limit_s=240):
    """The first true answer of `found()`."""
    deadline = time.monotonic() + limit_s
    while not (answer := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return answer


def nothing_left(ray):
    """No rank lives and all cores are free: `orphans.freed` has ended, so nobody helps any more."""
    until(lambda: not processes("RayTrainWorker") and not processes("TrainController"), "ranks live", 30)
    until(lambda: ray.available_resources().get("CPU") == 2, ray.util.placement_group_table(), 30)


def test_two_ranks_end_as_one_process_and_a_diverged_trial_keeps_nobody(
    two_cores, one, photographs, tmp_path
):
    """Two drivers at once on cores for one trial: with a core each they would wait for ranks for ever."""
    shutil.copytree(one.storage / "warm", tmp_path / "warm")
    both = tuned(tmp_path, photographs, [{}, DIVERGES], 2, at_once=2)
    assert not any(seen.errors for seen in (one.warm, one, both))
    same((both, 0), (one, 0))
    last = both.last[1]
    assert last.status is Status.DIVERGED and last.diverged_term and np.isfinite(last.ranked["psnr_y"])
    assert last.phase == "gan"
    nothing_left(two_cores)


def checkpoints(storage):
    """Attempt -> steps of its whole checkpoints in the GAN phase."""
    found = sorted(storage.glob("s/trials/c0/attempt-*/gan-*/manifest.json"))
    steps = {}
    for path in found:
        steps.setdefault(path.parts[-3], []).append(int(path.parts[-2].removeprefix("gan-")))
    return steps


def test_psnr_phases_and_two_seeds_of_two_ranks_end_as_those_of_one_process(
    two_cores, alone, photographs, tmp_path
):
    designs = [{}, {"run.seed": 5}]
    warm = warmed(tmp_path, photographs, designs, 2)
    both = tuned(tmp_path, photographs, designs, 2, at_once=2)
    assert not any(seen.errors for seen in (alone.warm, alone, warm, both))
    for index in (0, 1):
        same((warm, index), (alone.warm, index))
        same((both, index), (alone, index))
    nothing_left(two_cores)


def test_a_rank_killed_and_a_driver_killed_change_nothing(two_cores, alone, photographs, tmp_path):
    """Each time the trial goes on from its last checkpoint, and the ranks of the dead one are gone."""
    shutil.copytree(alone.storage / "warm", tmp_path / "warm")
    groups = []

    def kill():
        for dead, name in enumerate(("RayTrainWorker", "ImplicitFunc")):
            # a checkpoint is known to Tune with the next report: at step 20
            until(lambda n=dead: sum(s[-1] >= 30 for s in checkpoints(tmp_path).values()) > n, "step 30")
            groups.append(set(processes("RayTrainWorker")))
            os.kill(processes(name)[-1], signal.SIGKILL)
            until(lambda: not groups[-1] & set(processes("RayTrainWorker")), "the others end as well", 60)

    killer = threading.Thread(target=kill)
    killer.start()
    seen = tuned(tmp_path, photographs, [LONG], 2)
    killer.join()
    assert not seen.errors and len(groups) == 2
    firsts = sorted(steps[0] for steps in checkpoints(tmp_path).values())
    assert len(firsts) == 3 and firsts[0] == 10 and firsts[1] >= 30, "each went on from what Tune knew"
    same((seen, 0), (alone, 2))
    nothing_left(two_cores)


def test_the_ranks_of_a_stopped_trial_make_room_for_the_next(two_cores, alone, photographs, tmp_path):
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    class First(FIFOScheduler):
        """Stops the first trial at its first measured step of the GAN phase."""

        def on_trial_result(self, tune_controller, trial, result):
            report = TrialReport.from_result(result)
            stop = trial.config["index"] == 0 and report.phase == "gan" and report.step > 0
            return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE

    shutil.copytree(alone.storage / "warm", tmp_path / "warm")
    seen = tuned(tmp_path, photographs, [LONG, {"run.seed": 5}], 2, scheduler=First())
    assert not seen.errors
    assert max(step for _, step in seen.curves[0]) == 20
    same((seen, 1), (alone, 1))
    nothing_left(two_cores)
