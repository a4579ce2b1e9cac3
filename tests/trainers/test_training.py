"""A run from start to end: order, cadence, resume bit for bit, divergence, being asked to stop."""

import json
from itertools import count
from pathlib import Path

import pytest
import torch
from helpers.tiny import Loader, Measure, moments, same, snapshot, tiny

from datasets.image_set import open_images
from datasets.loader import TrainLoader
from trainers import checkpoint
from trainers.monitor import FolderMonitor
from trainers.objectives import running_front
from trainers.state import Diverged, History, Stopped
from trainers.training import TrainingRun

CPU = torch.device("cpu")


class Memory(FolderMonitor):
    """Keeps every checkpoint instead of the newest alone, and the order of calls."""

    def __init__(self, folder, config):
        super().__init__(folder, config, say=lambda line: None)
        self.calls = []

    def report(self, state, progress):
        self.calls.append(("report", state.phase, state.step))
        super().report(state, progress)

    def save(self, state, progress):
        self.calls.append(("save", state.phase, state.step))
        name = f"{state.phase}-{state.step:08d}"
        extra = {"progress": vars(progress)}
        checkpoint.save(self.folder / "checkpoints" / name, self.config, state, extra)


def run(config, folder, loader=None, measure=None, **more):
    monitor = Memory(folder, config)
    return monitor, TrainingRun(config, loader or Loader(), measure or Measure(), monitor, CPU, **more)


def everything(state, progress):
    curve = {f"{i}.{k}": torch.tensor(v) for i, row in enumerate(progress.curve) for k, v in row.items()}
    weights = snapshot(state.generator, state.ema, state.discriminator)
    return weights | moments(state.opt_g) | {f"d{k}": v for k, v in moments(state.opt_d).items()} | curve


@pytest.mark.parametrize(
    "design",
    [
        {"generator__norm": "batch"},
        {"generator__norm": "none", "discriminator__norm": "none", "run__ema_decay": 0.0},
        {"discriminator__norm": "spectral", "loss__r1_weight": 1.0, "optim__gan_schedule": "cosine_restarts"},
        {
            "discriminator__norm": "layer",
            "loss__adversarial": "wgan_gp",
            "loss__gradient_penalty_weight": 10.0,
            "optim__kind": "sgd",
            "optim__lr_tail_factor": 0.1,
        },
    ],
    ids=["batch norm", "no norm, no averaging", "spectral, r1", "wgan-gp, sgd"],
)
def test_a_run_resumed_from_any_checkpoint_ends_as_the_straight_one_bit_for_bit(design, tmp_path):
    config = tiny(**design)
    monitor, straight = run(config, tmp_path)
    end = everything(*straight.train())
    saved = checkpoint.whole(tmp_path / "checkpoints")
    assert [p.name[:4] + p.name[-1] for p in saved] == ["gan-2", "gan-4", "gan-6", "psnr2", "psnr4", "psnr6"]
    for folder in saved:
        monitor, again = run(config, tmp_path)
        monitor.restore = lambda folder=folder: folder
        assert same(end, everything(*again.train())), folder.name


def test_evaluations_come_before_the_save_that_carries_them_and_reports_after(tmp_path):
    monitor, whole = run(tiny(), tmp_path)
    whole.train()
    assert monitor.calls == [
        ("save", "psnr", 2),
        ("report", "psnr", 3),
        ("save", "psnr", 4),
        ("save", "psnr", 6),
        ("report", "psnr", 6),
        ("report", "gan", 0),
        ("save", "gan", 2),
        ("report", "gan", 3),
        ("save", "gan", 4),
        ("save", "gan", 6),
        ("report", "gan", 6),
    ]
    extra = checkpoint.read_extra(tmp_path / "checkpoints" / "gan-00000006")
    assert [row["step"] for row in extra["progress"]["curve"]] == [0, 3, 6]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    shares = [line["log"] for line in lines if "log" in line and line["phase"] == "gan"][-1]
    assert shares["gradient_share/pixel"] + shares["gradient_share/adversarial"] == pytest.approx(1)


def test_the_gan_phase_starts_from_the_averaged_weights_and_goes_on_with_the_data(tmp_path):
    seen = []

    class Watched(Loader):
        def batches(self, start_step=0):
            for index, batch in zip(count(start_step), super().batches(start_step), strict=False):
                seen.append(index)
                yield batch

    config = tiny(run__bn_recalibration_batches=0)
    _, whole = run(config, tmp_path, Watched())
    state = whole.new_phase("psnr")
    whole.run_phase(state, progress := type(whole.train()[1])())
    assert seen[:12] == list(range(12)), "the GAN phase takes the batches after those of the PSNR phase"
    gan = whole.new_phase("gan", checkpoint.weights_of(state.ema))
    assert same(snapshot(gan.generator), snapshot(state.ema))
    assert progress.curve


def test_the_averaged_weights_carry_statistics_of_their_own(tmp_path):
    _, whole = run(tiny(), tmp_path)
    state = whole.new_phase("psnr")
    with torch.no_grad():
        for p in state.ema.parameters():
            p.mul_(2)
    whole.refresh_ema_buffers(state.ema, state.generator)
    norms = [m for m in state.ema.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not state.ema.training
    activations = []
    norms[0].register_forward_pre_hook(lambda m, args: activations.append(args[0]))
    for index in range(2):
        with torch.no_grad():
            state.ema(next(Loader().batches(index)).lr_image)
    mean = torch.stack([a.mean((0, 2, 3)) for a in activations]).mean(0)
    torch.testing.assert_close(norms[0].running_mean, mean)


def spoil(hr, lr_image):
    return hr * float("nan"), lr_image


def test_divergence_names_step_and_term_and_saves_nothing_of_it(tmp_path):
    config = tiny(run__log_every_steps=50, run__psnr_steps=2, run__gan_steps=60, run__eval_every_steps=60)
    _, diverging = run(config, tmp_path, Loader(spoil={2 + 36: spoil}))
    with pytest.raises(Diverged, match="diverged at step 37: discriminator is not finite"):
        diverging.train()
    assert [p.name for p in checkpoint.whole(tmp_path / "checkpoints")][-2:] == [
        "gan-00000036",
        "psnr-00000002",
    ]


def test_an_output_that_cannot_be_measured_is_divergence(tmp_path):
    class Broken(Measure):
        def measure(self, generator):
            raise FloatingPointError("the generator's output is not finite for a.png")

    _, diverging = run(tiny(), tmp_path, measure=Broken())
    with pytest.raises(Diverged, match="diverged at step 3: output is not finite") as caught:
        diverging.train()
    assert caught.value.__reduce__() == (Diverged, (3, "output"))


def test_a_run_asked_to_stop_saves_itself_and_goes_on_later_bit_for_bit(tmp_path):
    config = tiny()
    end = everything(*run(config, tmp_path / "straight")[1].train())
    asked = iter([False] * 8 + [True])
    monitor, stopped = run(config, tmp_path / "stopped", stop=lambda: next(asked))
    with pytest.raises(Stopped, match="stopped at step 3 of the gan phase"):
        stopped.train()
    assert monitor.restore().name == "gan-00000003"
    assert same(end, everything(*run(config, tmp_path / "stopped")[1].train()))


def test_a_stop_that_comes_with_the_last_step_ends_the_run_as_usual(tmp_path):
    asked = iter([False] * 5 + [True])
    config = tiny(run__gan_steps=0)
    _, run_ = run(config, tmp_path, stop=lambda: next(asked))
    assert run_.train()[0].step == 6


def test_learning_rates_follow_the_schedule_of_the_phase_and_the_tail_its_factor(tmp_path):
    config = tiny(optim__lr_tail_factor=0.1, optim__lr_g=1e-2, optim__milestones=(0.5,))
    _, whole = run(config, tmp_path)
    state = whole.new_phase("gan")
    rates = []
    for fraction in (0.0, 0.6):
        whole._set_rates(state, fraction)
        rates.append([g["lr"] for g in (*state.opt_g.param_groups, *state.opt_d.param_groups)])
    assert rates[0] == pytest.approx([1e-2, 1e-3, 1e-3])
    assert rates[1] == pytest.approx([1e-3, 1e-4, 1e-4])
    assert sum(p.numel() for p in state.opt_g.param_groups[1]["params"]) == 3 * 8 * 81 + 3


def test_only_the_runs_own_front_is_kept_and_the_last(tmp_path):
    monitor, whole = run(tiny(), tmp_path)
    _, progress = whole.train()
    kept = [int(p.name) for p in checkpoint.whole(tmp_path / "candidates")]
    assert kept == progress.candidates == running_front(progress.curve, tiny().objective)


def test_a_run_without_a_psnr_phase_starts_with_the_gan_phase(tmp_path):
    state, progress = run(tiny(run__psnr_steps=0), tmp_path)[1].train()
    assert (state.phase, state.step) == ("gan", 6) and progress.curve[0]["step"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc")
@pytest.mark.timeout(1200)
def test_memory_stays_flat_over_a_thousand_steps_on_real_images(tmp_path):
    """Resident memory of its own at the end is that after 100 steps, within what the allocator keeps."""
    cadence = {"run__eval_every_steps": 50, "run__log_every_steps": 10}
    config = tiny(run__psnr_steps=0, run__gan_steps=1001, loss__content_weight=0.1, **cadence)
    images = open_images("demo", "train", work_dir=tmp_path / "images", data=config.data)
    source, sizes = TrainLoader(images, config.data, config.generator.scale, device="cpu"), {}

    class Sized:
        def batches(self, start_step=0):
            for index, batch in zip(count(start_step), source.batches(start_step), strict=False):
                _, resident, shared = map(int, Path("/proc/self/statm").read_text().split()[:3])
                sizes[index] = resident - shared  # mapped images count as shared
                yield batch

    run(config, tmp_path / "run", Sized())[1].train()
    print(f"pages resident after 100 and 1,000 steps: {sizes[100]:,} and {sizes[1000]:,}")
    assert sizes[1000] <= 1.02 * sizes[100]


def test_each_phase_trains_on_its_own_degradation(tmp_path):
    seen = []

    class Degraded(Loader):
        def __init__(self, text):
            super().__init__()
            self.text = text

        def with_degradation(self, text):
            return Degraded(text)

        def batches(self, start_step=0):
            if start_step:  # from 0 on, batch norm reads batches, too
                seen.append(self.text)
            return super().batches(start_step)

    mixture = {"data__train_degradation": "bsrgan", "data__psnr_degradation": "bsrgan+jpeg:10-40"}
    config = tiny(**mixture)
    _, trained = run(config, tmp_path / "both", Degraded("bsrgan"))
    trained.train()
    assert seen == ["bsrgan"], "the GAN phase takes the run's own"
    _, psnr = run(config, tmp_path / "psnr", Degraded("bsrgan"))
    state = psnr.initial_state()
    state.step = 2
    psnr.run_phase(state, History(), until=3)
    assert seen[1:] == ["bsrgan+jpeg:10-40"], "the PSNR phase takes the mixture"
