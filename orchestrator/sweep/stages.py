"""The sweep: warm -> screen -> confirm -> test, each stage resumable, nothing lost when anything dies."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from ray import tune

from datasets.loader import eval_pairs, eval_protocol
from orchestrator.cluster.capacity import Capacity
from orchestrator.console import ProgressLine
from orchestrator.results import leaderboard
from orchestrator.results import row as row_module
from orchestrator.results.row import Row
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.search import proposals
from orchestrator.search.labels import design_of, settings_of
from orchestrator.search.sampler import ENOUGH, SNAPSHOTS, build_search
from orchestrator.search.study_export import StudyExport
from orchestrator.sweep.heartbeat import Heartbeat
from orchestrator.sweep.held_out import evaluate_checkpoints
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.population import Population
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_view import StageObserver
from orchestrator.sweep.tune_callback import LIVE, StageCallback
from orchestrator.sweep.tune_controller import restore_snapshot, using_upsweep_controller
from orchestrator.tracking.sweep_record import SweepRecord
from orchestrator.trial.lineage import Lineage
from orchestrator.trial.spec import TrialSpec
from orchestrator.trial.trial import run_trial
from trainers.config import flatten, override
from trainers.evaluate import Evaluator
from trainers.objectives import Objectives

MAX_FAILURES = 3  # in a row, without a new measurement between them; a diverged trial is never retried


class Interrupted(Exception):
    """Ctrl-C: the stage stopped in good order and can be resumed."""


class Sweep:
    """Runs a prepared request on a place; `record` tells MLflow, `progress` tells the person."""

    def __init__(
        self,
        prepared: SweepPlan,
        place: Capacity,
        record: SweepRecord,
        progress: ProgressLine,
        life: Heartbeat,
    ) -> None:
        self.prepared, self.place, self.record, self.progress = prepared, place, record, progress
        self.life, self.enough = life, ""
        self.request, self.storage = prepared.request, prepared.storage
        self.objectives = Objectives.of(self.request.config.objective)
        self.base = flatten(self.request.config)
        self.rows: list[Row] = []
        evaluator = self.val_evaluator(torch.device("cpu"))
        self.bicubic, self.protocol = evaluator.measure_resizer("bicubic").summary, evaluator.protocol

    # -- the four stages ------------------------------------------------------------------------------

    def run(self) -> list[Row]:
        """All stages; those that finished before are read back, not run again."""
        self._stage(Stage("warm", self._warm_designs()))
        if self.prepared.generations:
            self._population()
        else:
            self._stage(Stage("screen", scheduler=self._scheduler()))
        self._stage(Stage("confirm", self._confirm_designs()))
        self._test()
        return self.rows

    def _warm_designs(self) -> tuple[dict[str, Any], ...]:
        p = self.prepared
        return tuple({"trial_id": f"warm-{p.warm_keys[i]}", **p.architectures[i]} for i in p.missing)

    def _scheduler(self) -> SuccessiveHalving:
        r = self.request
        rule = "feasible_first" if r.stopping == "none" else r.stopping  # then there are no milestones
        return SuccessiveHalving(self.objectives, self.prepared.milestones, r.space.reduction, rule)

    def _confirm_designs(self) -> tuple[dict[str, Any], ...]:
        """The best designs of the screen, each with seeds of its own for weights and data order."""
        chosen = leaderboard.to_confirm(self.rows, self.objectives, self.request.confirm_top)
        designs = []
        for place, row in enumerate(chosen):
            for k in range(self.request.confirm_seeds):
                seed = self.request.config.run.seed + 1 + k
                values = row["values"] | {"run.seed": seed, "data.order_seed": seed}
                course = {"course": row["course"]} if row.get("course") else {}
                designs.append({"trial_id": f"confirm-{place}-s{k}", **values, **course})
        return tuple(designs)

    def _test(self) -> None:
        """Open the test images once, for the checkpoints that val chose."""
        confirmed = [r for r in self.rows if r["stage"] == "confirm" and r["finished"]]
        done = self._finished_rows("test")
        if done is None:
            self.progress.begin("test")
            measured = evaluate_checkpoints(
                [(r["checkpoint"], self._warm_url(r)) for r in confirmed],
                "test",
                self.request,
                self.prepared.digests["test"],
                self.place,
            )
            done = []
            for row, evaluation in zip(confirmed, measured, strict=True):
                done.append(row_module.test_row(row, evaluation, self.request.price_per_gpu_hour))
                self.record.test(row["trial_id"], evaluation)
            self._keep("test", done)
        self.rows += done

    def _warm_url(self, row: Row) -> str:
        return self.storage.url(f"{self.request.name}/trials/{row['trial_id']}/warm")

    # -- one stage under Tune -------------------------------------------------------------------------

    def _stage(self, stage: Stage) -> None:
        self._add(self.rows_of(stage))

    def _population(self) -> None:
        """The screen stage as population based training."""
        rows = self._finished_rows("screen")
        if rows is None:
            population = Population(self)
            rows = population.run()
            self._decided("screen", population.decisions)
            self._keep("screen", rows)
        self._add(rows)

    def _add(self, rows: list[Row]) -> None:
        self.rows += rows
        leaderboard.write(self.storage, self.request.name, self.rows)

    def rows_of(self, stage: Stage) -> list[Row]:
        """The rows of a stage or a part of one: read back where it was finished before, else run."""
        rows = self._finished_rows(stage.key)
        if rows is None:
            self.progress.begin(stage.name)
            rows = []
            if stage.designs or stage.scheduler is not None:
                rows = self._rows(stage, self._tune(stage))
            if stage.scheduler is not None:
                self._decided(stage.key, stage.scheduler.get_state())
            self._keep(stage.key, rows)
        elif stage.part:  # of a stage that goes on
            self.progress.begin(stage.name)
            for row in rows:
                self.progress.end(row["trial_id"])
        return rows

    def _decided(self, stage: str, decisions: Any) -> None:
        """What early stopping decided, for whoever wants to follow it."""
        name = f"{self.request.name}/stages/{stage}-decisions.json"
        self.storage.write_text(name, json.dumps(decisions))

    def _tune(self, stage: Stage) -> StageCallback:
        """Run or resume the stage's trials; what they reported is in the callback."""
        key = f"{self.request.name}/{stage.key}"
        callback = StageCallback(key, stage.scheduler)
        folder = f"{self.request.name}/tune/{stage.key}"
        path, snapshot = self.storage.url(folder), f"{folder}.snapshot"
        function, holds = self._trial()
        trainable = tune.with_resources(tune.with_parameters(function, job=self._job(stage)), holds)
        if tune.Tuner.can_restore(path) and restore_snapshot(self.storage, snapshot, folder):
            tuner = tune.Tuner.restore(path, trainable=trainable, resume_unfinished=True, resume_errored=True)
            callback = _callback_of(tuner)
            callback.must_restore = True
            stage.scheduler = callback.scheduler  # the one that was pickled with it
        else:
            self.storage.remove(folder)  # what a driver left that was killed before its first trial
            tuner = self._new_tuner(stage, trainable, callback, path)
        LIVE[key] = StageObserver(self, stage)
        study = self._study(stage)
        export = SNAPSHOTS[study] = StudyExport(self.storage, self.request.name)
        ENOUGH[study] = lambda: self._enough(callback)
        keep = partial(self.storage.write_bytes, snapshot)
        try:
            with using_upsweep_controller(keep, self._slots):
                tuner.fit()
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            export.write()
            del LIVE[key], SNAPSHOTS[study], ENOUGH[study]
        if not self._complete(stage, callback):
            raise Interrupted
        return callback

    def _complete(self, stage: Stage, callback: StageCallback) -> bool:
        """Whether all trials that the stage was to have are over. A budget may have ended the drawing in an
        earlier life: then Tune asks for no more designs, and nobody has said why in this one."""
        expected = len(stage.designs) or self.request.trials
        drawn = len(callback.params)
        if drawn < expected and not (drawn and not stage.designs and self._enough(callback)):
            return False
        return all(stage.over(t, callback) for t in callback.params)

    def _enough(self, callback: StageCallback) -> bool:
        """Whether the budget for drawing designs is spent; once it is, it stays so."""
        running = (row_module.cost_of(r, self.gpus, 0.0)["gpu_hours"] for r in callback.results.values())
        spent = sum(r["gpu_hours"] for r in self.rows) + sum(running)
        self.enough = self.enough or self.request.budget.reached(self.life.seconds() / 3600, spent)
        return bool(self.enough)

    def _study(self, stage: Stage) -> str:
        """The name of a stage's study: no two sweeps share one."""
        return f"{self.request.name}-{stage.key}"

    def _new_tuner(self, stage: Stage, trainable: Any, callback: StageCallback, path: str) -> tune.Tuner:
        r = self.request
        search: dict[str, Any] = {}
        space: dict[str, Any] = {"index": tune.grid_search(list(range(len(stage.designs))))}
        if stage.scheduler is not None:
            search = {
                "search_alg": build_search(
                    r.space,
                    r.config.objective,
                    self._study(stage),
                    r.seed,
                    proposals.points(r),
                    r.trials,
                    r.sampler,
                ),
                "scheduler": stage.scheduler,
                "num_samples": r.trials,
            }
            space = {}
        folder, _, name = path.rpartition("/")
        return tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(
                max_concurrent_trials=self._slots(),
                reuse_actors=r.ranks == 1,  # the ranks of a stopped trial end with their driver
                **search,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=folder,
                verbose=0,
                callbacks=[callback],
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            ),
        )

    def _job(self, stage: Stage) -> TrialSpec:
        digests = {role: self.prepared.digests[role] for role in ("train", "val")}
        return TrialSpec(
            sweep=self.request.name,
            stage=stage.name,
            storage=self.storage.root,
            work_dir=str(self.request.work_dir()),
            base=self.base,
            digests=digests,
            designs=stage.designs,
            # two trials with one thread each beat one trial with two
            threads=self.request.config.run.threads or (0 if self.place.gpus else 1),
            metrics=self.request.metrics,
            ranks=self.request.ranks,
            gpus=self.request.gpus_per_rank if self.place.gpus else 0.0,
        )

    def _trial(self) -> tuple[Callable[..., None], dict[str, float]]:
        """What Tune runs, and what that holds."""
        if self.request.ranks > 1:
            from orchestrator.trial import distributed  # Ray Train: seconds that others need not wait for

            return distributed.run_ranks, distributed.DRIVER
        return run_trial, {"cpu": 1, "gpu": self.gpus} if self.place.gpus else {"cpu": 1}

    @property
    def gpus(self) -> float:
        """GPUs, or the share of one, that each trial holds."""
        return self.request.gpus if self.place.gpus else 0.0

    def _slots(self) -> int:
        """How many trials run at once now."""
        slots = self.place.current().slots(self.request.gpus, self.request.ranks)
        self.progress.set_slots(slots)
        return slots

    # -- rows ------------------------------------------------------------------------------------------

    def _rows(self, stage: Stage, callback: StageCallback) -> list[Row]:
        rows = []
        for tune_id, params in callback.params.items():
            rows.append(self._row(stage, tune_id, params, callback))
        return sorted(rows, key=lambda r: r["trial_id"]) if stage.designs else rows

    def _row(self, stage: Stage, tune_id: str, params: Mapping[str, Any], callback: StageCallback) -> Row:
        trial_id, values = stage.identity(tune_id, params)
        row = row_module.make_row(
            stage=stage.name,
            trial_id=trial_id,
            values=design_of(values),
            config=flatten(override(self.request.config, settings_of(values))),
            result=callback.results.get(tune_id, {}),
            curve=callback.curves.get(tune_id, []),
            measured=self.request.metrics,
            bicubic=self.bicubic,
            protocol=self.protocol,
            stopped_at=stage.stopped_at(tune_id),
            error=callback.errors.get(tune_id, ""),
            gpus=self.gpus,
            objectives=self.objectives,
            price=self.request.price_per_gpu_hour,
        )
        row["values"] = settings_of(values)
        if "course" in values:
            row["course"] = values["course"]
            row["design"] += Lineage.of(values["course"]).words()
        strip = f"{self.request.name}/trials/{trial_id}/strip.png"
        row["strip"] = self.storage.url(strip) if self.storage.exists(strip) else None
        return leaderboard.use_best_checkpoint(row, self.objectives) if stage.name == "confirm" else row

    def _finished_rows(self, stage: str) -> list[Row] | None:
        name = f"{self.request.name}/stages/{stage}.json"
        return json.loads(self.storage.read_text(name)) if self.storage.exists(name) else None

    def _keep(self, stage: str, rows: Sequence[Row]) -> None:
        """The stage's rows, written when all of it is done: a resumed sweep reads them back."""
        self.storage.write_text(f"{self.request.name}/stages/{stage}.json", json.dumps(list(rows)))

    def val_evaluator(self, device: torch.device) -> Evaluator:
        """Measures on val, by the protocol of every row of this sweep before the test."""
        config, images = self.request.config, self.prepared.images["val"]
        pairs = eval_pairs(images, config.data, config.generator.scale, limit=config.data.eval_images)
        scale, protocol = config.generator.scale, eval_protocol(images, config.data)
        return Evaluator(pairs, self.request.metrics, scale=scale, device=device, protocol=protocol)


def _callback_of(tuner: tune.Tuner) -> StageCallback:
    """The callback that was pickled with a tuner, and with it the scheduler that the tuner uses."""
    callbacks = tuner._local_tuner.get_run_config().callbacks or []  # type: ignore[union-attr]
    return next(c for c in callbacks if isinstance(c, StageCallback))
