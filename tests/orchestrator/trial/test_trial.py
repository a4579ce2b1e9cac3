"""One trial without Ray: what it reports, publishes and says when it cannot go on."""

import errno
import json
import os
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.trials import CONFIG, FakeTune, new_context, photographs, run  # noqa: F401

from orchestrator.results.trial_report import Status, TrialReport, Usage
from orchestrator.storage import Storage
from orchestrator.trial import inputs, warm_starts
from orchestrator.trial.context import TrialContext
from orchestrator.trial.spec import Lineage
from orchestrator.trial.trial import run_opened
from trainers import checkpoint
from trainers.config import override
from trainers.device import DeviceError
from trainers.train_step import TrainStep

RUNNING, COMPLETE = Status.RUNNING, Status.COMPLETE


def steps_of(reports):
    """Return the step and the status of each report in the GAN phase."""
    return [(r.step, r.status) for r in reports if r.phase == "gan"]


def test_warm_then_screen_then_confirm(run, tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    reports, warm = run("warm")
    assert [(r.phase, r.step, r.status) for r in reports] == [
        ("psnr", 3, RUNNING),
        ("psnr", 6, RUNNING),
        ("psnr", 6, COMPLETE),
    ]
    assert warm_starts.ready(storage, warm.context.warm_key)

    reports, screen = run("screen")
    assert steps_of(reports) == [(0, RUNNING), (2, RUNNING), (4, RUNNING), (6, RUNNING), (6, COMPLETE)]
    first, last = reports[0], reports[-1]
    assert first.ranked["psnr_y"] == first.warm_start["psnr_y"] == last.warm_start["psnr_y"], "step 0 is it"
    assert last.gradient_shares["adversarial"] > 0
    assert {c["step"] for c in last.candidates} >= {6}
    for candidate in last.candidates:
        checkpoint.load_generator(Path(candidate["checkpoint"]))
    assert storage.exists("s/trials/screen-1/strip.png")

    reports, confirm = run("confirm", **{"run.seed": 3})
    assert reports[0].status is Status.FAILED, "the PSNR phase of its seed comes before it"
    run("warm", **{"run.seed": 3})
    reports, confirm = run("confirm", **{"run.seed": 3})
    assert [r.phase for r in reports] == ["gan"] * 5
    assert warm_starts.ready(storage, confirm.context.warm_key)


def test_a_shorter_psnr_phase_begins_with_the_network_of_another_architecture(run):
    """With a rate of nearly 0 the second phase changes nothing: its outputs are those of the first."""
    _, first = run("warm")
    part = {"generator.num_blocks": 2, "run.psnr_steps": 2, "run.derived_from": first.context.warm_key}
    reports, derived = run("warm", **part, **{"optim.lr_psnr": 1e-30, "run.ema_decay": 0.0})
    assert [(r.phase, r.step) for r in reports] == [("psnr", 2), ("psnr", 2)]
    assert reports[-1].latest == pytest.approx(run("warm")[0][-1].latest, abs=1e-5)
    source, network = (t.context.fetch_warm_start(t.context.warm_key) for t in (first, derived))
    assert len(checkpoint.load_generator(network)[0].blocks) == 2
    images = torch.rand(1, 3, 8, 8)
    outputs = [checkpoint.load_generator(folder)[0](images) for folder in (source, network)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-6)


def test_a_phase_cannot_begin_with_a_network_that_was_not_trained(run):
    reports, _ = run("warm", **{"run.derived_from": "0123456789abcdef"})
    assert reports[-1].status is Status.FAILED and "warm-0123456789abcdef" in reports[-1].reason


def test_without_a_psnr_phase_networks_start_from_random_weights_and_bicubic_is_what_to_beat(run):
    for stage in ("screen", "confirm"):
        reports, trial = run(stage, **{"run.psnr_steps": 0})
        assert steps_of(reports)[-1] == (6, COMPLETE) and steps_of(reports)[0] == (0, RUNNING)
        assert reports[-1].warm_start == trial.context.spec.bicubic != {}
        assert trial.context.storage.exists(f"s/trials/{stage}-1/strip.png")


def test_without_a_gan_phase_the_psnr_phase_is_compared(run, tmp_path):
    fidelity = {"run.gan_steps": 0, "objective.perceptual": "ssim_y"}
    for stage in ("screen", "confirm"):
        reports, trial = run(stage, metrics=("psnr_y", "ssim_y"), **fidelity)
        assert [(r.phase, r.step, r.status) for r in reports] == [
            ("psnr", 3, RUNNING),
            ("psnr", 6, RUNNING),
            ("psnr", 6, COMPLETE),
        ]
        last = reports[-1]
        assert last.warm_start == trial.context.spec.bicubic, "bicubic is what to beat"
        assert {c["step"] for c in last.candidates} >= {6}
        checkpoint.load_generator(Path(last.candidates[-1]["checkpoint"]))
        assert trial.context.storage.exists(f"s/trials/{stage}-1/strip.png")


def test_without_a_gan_phase_a_network_that_is_given_is_trained_further_and_what_to_beat(run, tmp_path):
    _, first = run("warm")
    given = first.context.inputs.evaluator.measure(first.context.warm_generator).summary["psnr_y"]
    fidelity = {"run.gan_steps": 0, "run.start_from": str(tmp_path / "runs" / first.monitor.pointer)}
    reports, warm = run("warm", **fidelity | {"run.psnr_steps": 0})
    assert [r.status for r in reports] == [COMPLETE]
    reports, screen = run("screen", **fidelity)
    assert [(r.phase, r.step) for r in reports] == [("psnr", s) for s in (0, 3, 6, 6)]
    assert reports[-1].status is COMPLETE and reports[-1].warm_start["psnr_y"] == given
    assert screen.context.warm_key == warm.context.warm_key


def test_a_network_that_is_given_is_the_warm_start_of_every_stage(run, tmp_path):
    """run.start_from without a PSNR phase: published once, and measured as what to beat."""
    _, first = run("warm")
    settings = {"run.psnr_steps": 0, "run.start_from": str(tmp_path / "runs" / first.monitor.pointer)}
    reports, warm = run("warm", **settings)
    assert [r.status for r in reports] == [COMPLETE] and warm.context.warm_key != first.context.warm_key
    given = first.context.inputs.evaluator.measure(first.context.warm_generator).summary["psnr_y"]
    for stage in ("screen", "repeat", "confirm"):
        reports, _ = run(stage, **settings)
        assert reports[-1].status is COMPLETE and reports[-1].warm_start["psnr_y"] == given


def test_a_node_that_lacks_the_folder_of_the_start_takes_it_from_the_storage(run, tmp_path):
    _, first = run("warm")
    shutil.copytree(tmp_path / "runs" / first.monitor.pointer, tmp_path / "runs" / "s" / "start")
    elsewhere = {"run.psnr_steps": 0, "run.start_from": "/only/on/the/first/machine"}
    reports, warm = run("warm", start="s/start", **elsewhere)
    assert [r.status for r in reports] == [COMPLETE]
    reports, screen = run("screen", start="s/start", **elsewhere)
    assert reports[-1].status is COMPLETE and screen.context.warm_key == warm.context.warm_key


def test_a_phase_in_two_trials_ends_as_in_one(run, tmp_path):
    run("warm")
    whole, one = run("screen")
    reports, first = run("screen", Lineage(end_step=4))
    assert steps_of(reports) == [(0, RUNNING), (2, RUNNING), (4, RUNNING), (4, COMPLETE)]
    parent = Lineage(parent=reports[-1].checkpoint, start_step=4, end_step=6)
    later, two = run("screen", parent)
    assert steps_of(later) == [(6, RUNNING), (6, COMPLETE)]
    for name in ("ranked", "warm_start", "gradient_shares"):
        assert getattr(later[-1], name) == getattr(whole[-1], name)
    files = [tmp_path / "runs" / t.monitor.pointer / "generator.safetensors" for t in (one, two)]
    assert files[0].read_bytes() == files[1].read_bytes(), "the schedule was cut, not compressed"
    assert {c["step"] for c in later[-1].candidates} <= {4, 6}
    for candidate in later[-1].candidates:
        assert Path(candidate["checkpoint"]).exists(), "earlier ones are stored with its parent"


def test_settings_change_at_their_step_and_a_repeat_does_so_too(run):
    strong = {"loss.adversarial_weight": 5.0}
    run("warm")
    unchanged, _ = run("screen")
    changed, trial = run("screen", Lineage(((0, {}), (4, strong))))
    same = [a.latest["swd"] == b.latest["swd"] for a, b in zip(changed[:4], unchanged[:4], strict=True)]
    assert same == [True, True, True, False]
    assert trial.monitor.config.loss.adversarial_weight == 5.0, "checkpoints hold the last settings"
    saved = trial.context.storage.fetch(trial.monitor.pointer, trial.context.scratch)
    assert json.loads((saved / "config.json").read_text())["loss.adversarial_weight"] == 5.0
    assert trial.context.config.loss.adversarial_weight == 0.1, "the context is fixed"
    reports, _ = run("repeat", Lineage(((0, {}), (4, strong))))
    assert [r.step for r in reports if r.phase == "gan"] == [0, 2, 4, 6, 6]


def flip(saved):
    """One bit of the state is another."""
    content = bytearray((saved / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (saved / "state.pt").write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (flip, "the checkpoint in .* is damaged: state.pt does not match its hash"),
        (lambda saved: (saved / "manifest.json").unlink(), "no checkpoint in .*: manifest.json is missing"),
        (shutil.rmtree, "no checkpoint in .*: manifest.json is missing"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_an_error_and_no_new_start(
    run, tmp_path, monkeypatch, harm, reason
):
    _, trial = run("warm")
    pointer = SimpleNamespace(as_directory=lambda: nullcontext(trial.context.scratch / "pointer"))
    monkeypatch.setattr(FakeTune, "get_checkpoint", lambda self: pointer)
    harm(tmp_path / "runs" / trial.monitor.pointer)
    reports, _ = run("warm")
    assert len(reports) == 1 and reports[0].status is Status.FAILED
    assert re.fullmatch(reason, reports[0].reason)


@pytest.mark.parametrize("stage", ["warm", "screen"])
def test_a_diverged_trial_reports_finite_values_the_term_and_the_step(run, stage):
    if stage == "screen":
        run("warm")
    name = "optim.lr_psnr" if stage == "warm" else "optim.lr_g"
    reports, trial = run(stage, **{name: 1e30})
    last = reports[-1]
    assert last.status is Status.DIVERGED
    assert 1 <= last.step <= 6 and last.diverged_term
    assert last.ranked["psnr_y"] < 20, "the values of a mid-grey image"
    assert last.phase == ("psnr" if stage == "warm" else "gan")
    if stage == "screen":
        assert last.warm_start["psnr_y"] == reports[0].warm_start["psnr_y"], "feasible for no rule"
    else:
        context = trial.context
        assert not warm_starts.ready(context.storage, context.warm_key), "no trial starts from it"


def test_a_trial_whose_warm_start_failed_says_so_and_is_not_tried_again(run):
    reports, trial = run("screen")
    assert [(r.status, r.phase, r.reason) for r in reports] == [
        (
            Status.FAILED,
            "gan",
            f"the PSNR phase that it starts from (warm-{trial.context.warm_key}) did not finish",
        )
    ]


def test_a_design_gives_the_same_as_first_and_as_later_trial_of_a_worker(run):
    """A worker keeps its loader and evaluator for the next trial; nothing else may stay behind."""

    def curve(**settings):
        reports, trial = run("screen", **settings)
        timed = {"usage": Usage(), "attempt": "", "attempt_usage": Usage(), "journal": (), "checkpoint": None}
        shown = []
        for report in reports:
            accuracy = {k: v for k, v in report.diagnostics.items() if k != "data_wait_share"}
            shown.append(replace(report, **timed, diagnostics=accuracy))
        state = checkpoint.generator_weights(Path(shown[-1].candidates[-1]["checkpoint"]))
        return shown, {k: v.clone() for k, v in state.items()}

    run("warm")
    inputs.open_inputs.cache_clear()
    first, weights = curve()
    curve(**{"loss.adversarial_weight": 3.0, "optim.lr_g": 1e-2})
    run("screen", **{"optim.lr_g": 1e30})  # diverges
    again, same = curve()
    assert again == first
    assert weights.keys() == same.keys() and all(torch.equal(weights[k], same[k]) for k in weights)


def test_a_warm_start_begins_from_run_start_from(run, tmp_path):
    """As a run without a sweep does; its key names those weights, not the folder that holds them."""
    _, trial = run("warm")
    first = trial.context
    source = tmp_path / "copied"
    shutil.copytree(tmp_path / "runs" / trial.monitor.pointer, source)
    reports, second = run("warm", **{"run.start_from": str(source)})
    assert second.context.warm_key != first.warm_key
    before = first.inputs.evaluator.measure(first.warm_generator).summary["psnr_y"]
    assert reports[0].ranked["psnr_y"] != before
    moved = source.rename(tmp_path / "moved")
    _, third = run("screen", **{"run.start_from": str(moved)})
    assert third.context.warm_key == second.context.warm_key


def test_a_trial_whose_device_fails_says_so_and_names_the_machine_as_the_reason(new_context, monkeypatch):
    def no_device(run, gpus):
        raise DeviceError("Ray assigned GPU 0 of node-7, but torch sees no GPU there")

    monkeypatch.setattr("orchestrator.trial.context.open_device", no_device)
    reports = []
    reporter = SimpleNamespace(report=lambda result, pointer: reports.append(TrialReport.from_result(result)))
    spec = SimpleNamespace(stage="screen")
    run_opened(lambda: new_context("screen"), CONFIG, spec, reporter)
    (report,) = reports
    assert (report.status, report.machine_fault, report.phase) == (Status.FAILED, True, "gan")
    assert report.reason == "Ray assigned GPU 0 of node-7, but torch sees no GPU there"
    assert report.max_steps == CONFIG.run.gan_steps and report.attempt


def test_a_full_disk_is_the_fault_of_the_machine_and_no_checkpoint_is_sent(run, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save", full)
    reports, _ = run("warm")
    assert (reports[-1].status, reports[-1].machine_fault) == (Status.FAILED, True)
    assert reports[-1].reason == "the disk is full; change that and run the command again"


@pytest.fixture
def full_gpu(run, monkeypatch):
    """full_gpu(share of a GPU) -> what a warm trial reports if the first update finds no memory."""

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(TrainStep, "__call__", fail)
    name = "orchestrator.cluster.worker.describe_device"
    monkeypatch.setattr(name, lambda device: "NVIDIA A10G, driver 580.65.06")

    def go(share):
        opened = TrialContext.open

        def with_share(*args, **kwargs):
            context = opened(*args, **kwargs)
            return replace(context, spec=replace(context.spec, gpus=share))

        monkeypatch.setattr(TrialContext, "open", with_share)
        try:
            return run("warm")[0]
        finally:
            monkeypatch.setattr(TrialContext, "open", opened)

    return go


def test_a_trial_alone_on_its_gpu_that_needs_more_memory_is_not_repeated_but_advised(full_gpu):
    (report,) = full_gpu(1.0)
    assert report.status is Status.FAILED and not report.machine_fault
    assert report.reason == (
        "it needs more memory than NVIDIA A10G has with data.batch_size 2: raise optim.micro_batches "
        "(now 1), lower data.batch_size, set run.precision bf16"
    )


def test_a_trial_that_shares_its_gpu_is_tried_once_more(full_gpu):
    with pytest.raises(torch.OutOfMemoryError):
        full_gpu(0.5)  # Tune starts it again in a new process
    (report,) = full_gpu(0.5)
    assert report.status is Status.FAILED
    assert "more memory than a share of 0.5 of NVIDIA A10G has" in report.reason
    assert report.reason.endswith(" or give trials a larger --gpus-per-trial")


def test_another_error_of_the_device_is_left_to_the_retries(run, monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(TrainStep, "__call__", fail)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run("warm")


def test_trials_that_compile_share_the_cores_of_their_machine(new_context, monkeypatch):
    monkeypatch.setattr("orchestrator.trial.trial.Trial.run", lambda self: None)
    name, spec = "TORCHINDUCTOR_COMPILE_THREADS", SimpleNamespace(stage="warm", compile_threads=3)
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)
    run_opened(lambda: new_context("warm"), CONFIG, spec, None)
    assert name not in os.environ
    compiled = override(CONFIG, {"run.compile": True})
    run_opened(lambda: new_context("warm"), compiled, spec, None)
    assert os.environ[name] == "3"
    monkeypatch.setenv(name, "8")
    run_opened(lambda: new_context("warm"), compiled, spec, None)
    assert os.environ[name] == "8", "the user's choice"
