"""Record the curves of a second problem: real photographs, nine axes, four metrics, several seeds.

    upsweep weights vgg16 lpips_alex lpips_vgg dists
    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/record.py --train PHOTOS --out FILE [--processes 2]

96 designs are trained with three seeds, and once more from derived warm starts: all PSNR phases first, one
for each architecture and seed, then the GAN phases. Each run is appended to FILE when it ends: the command
can be stopped at any moment and given again. FILE.warm has the networks of PSNR phases.
FILE has JSON lines: {"about"}, then {"psnr" or "gan": settings, "seed", "derived", "points": [[step, metric,
...], ...], "seconds"}; "derived" is the share of the PSNR phase, 0 if it is the architecture's own.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench")]

import torch  # noqa: E402
from curves import Recorder, name  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from second import METRICS, SPACE  # noqa: E402

from datasets.image_set import open_images  # noqa: E402
from datasets.loader import TrainLoader, eval_pairs  # noqa: E402
from experiments.recipes.photos import photos_small  # noqa: E402
from orchestrator.results.labels import settings_of  # noqa: E402
from orchestrator.search.proposals import draw  # noqa: E402
from orchestrator.trial.warm_starts import SEEDS, ancestor_of  # noqa: E402
from trainers.checkpoint import weights_of  # noqa: E402
from trainers.config import TrainConfig, override  # noqa: E402
from trainers.device import describe_hardware, pick_device  # noqa: E402
from trainers.evaluate import Evaluator  # noqa: E402
from trainers.metrics import require  # noqa: E402
from trainers.models import build_generator  # noqa: E402
from trainers.models.derive import derive  # noqa: E402
from trainers.state import Diverged, History  # noqa: E402
from trainers.training import TrainingRun  # noqa: E402

FIXED = {
    "loss.content_network": "vgg16",
    "loss.content_activation": False,
    "loss.content_criterion": "l1",
    "loss.content_scale": 1.0,
    "loss.content_weight": 0.1,
    "loss.content_layer": "conv3_3",
    "objective.perceptual": "lpips_alex",
    "generator.channels": 24,
    "discriminator.base_channels": 16,
}


Run = tuple[str, dict[str, Any], int, float]
"""Phase, settings, seed, and the share of the PSNR phase after the ancestor's network; 0: a whole one."""
Line = dict[str, Any]


class Recording:
    """Settings, images and metrics of a recording, and the networks of its PSNR phases."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.warm: Path = options.out.with_suffix(".warm")
        self.warm.mkdir(parents=True, exist_ok=True)
        evaluations = {
            "run.psnr_eval_every_steps": max(1, options.psnr_steps // 5),
            "run.eval_every_steps": max(1, options.gan_steps // options.evaluations),
        }
        lengths = {"run.psnr_steps": options.psnr_steps, "run.gan_steps": options.gan_steps}
        settings = (
            FIXED | lengths | evaluations | {"run.log_every_steps": evaluations["run.eval_every_steps"]}
        )
        settings |= {"data.eval_images": options.images, "data.eval_crop_px": options.crop_px}
        # the recipe's rate when photos.jsonl was recorded; not among the settings that its head names
        self.base: TrainConfig = override(photos_small(), {"optim.lr_psnr": 1e-3} | settings)
        self.device = pick_device()
        torch.set_num_threads(1)
        require(list(METRICS), "tests/bench/record.py")
        data = self.base.data
        images = {r: open_images(options.train, r, work_dir=self.warm, data=data) for r in ("train", "val")}
        self.images, scale = images["train"], self.base.generator.scale
        pairs = eval_pairs(images["val"], data, scale, limit=data.eval_images)
        self.evaluator = Evaluator(pairs, METRICS, scale=scale, device=self.device)
        first = ancestor_of(SPACE.architectures(), self.base, 0.5)
        assert first is not None
        self.ancestor = dict(first.values)
        self.about = {"settings": settings, "metrics": METRICS, "train": images["train"].digest}

    def train(self, run: Run) -> Line:
        """Train a phase and return its line; keep the averaged network of a PSNR phase."""
        phase, settings, seed, derived = run
        config = override(self.base, settings | dict.fromkeys(SEEDS, seed))
        weights: Any = None
        if phase == "gan":
            weights = load_file(self._network(SPACE.architecture_of(settings), seed, derived))
        elif derived:
            weights = self._derived(settings, seed)
            steps = round(derived * config.run.psnr_steps)
            config = override(config, {"run.psnr_steps": steps, "run.psnr_eval_every_steps": steps})
        loader = TrainLoader(self.images, config.data, config.generator.scale, device=self.device)
        monitor, began = Recorder(METRICS), time.monotonic()
        ended: dict[str, Any] = {}
        training = TrainingRun(config, loader, self.evaluator, monitor, self.device)
        state = training.new_phase(phase, weights)
        try:
            training.run_phase(state, History())
        except Diverged as error:
            ended = {"diverged": [error.step, error.term]}
        seconds = round(time.monotonic() - began, 1)
        if phase == "psnr" and not ended:
            network = {k: v.detach().cpu().contiguous() for k, v in weights_of(state.ema).items()}
            save_file(network, self._network(settings, seed, derived))
        line = {phase: settings, "seed": seed, "derived": derived}
        return line | {"points": monitor.points, "seconds": seconds} | ended

    def _derived(self, architecture: dict[str, Any], seed: int) -> Any:
        """Return the weights of the ancestor's network as the beginning of another architecture's."""
        before = override(self.base, self.ancestor).generator
        now = override(self.base, architecture)
        source = build_generator(before)
        source.load_state_dict(load_file(self._network(self.ancestor, seed)))
        loader = TrainLoader(self.images, now.data, now.generator.scale, device=torch.device("cpu"))
        batches = islice(loader.batches(0), now.run.bn_recalibration_batches)
        lr_images = torch.cat([batch.lr_image for batch in batches])
        return weights_of(derive(source, before, build_generator(now.generator), now.generator, lr_images))

    def _network(self, architecture: dict[str, Any], seed: int, derived: float = 0.0) -> Path:
        values = "-".join(str(v) for _, v in sorted(architecture.items()))
        return self.warm / f"{values}-s{seed}{'-derived' if derived else ''}.safetensors"


class Lines:
    """The file of a recording."""

    def __init__(self, file: Path, recording: Recording) -> None:
        self.file = file
        text = file.read_text() if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a kill may have left a part of a line
        file.write_text(whole)
        if not whole:
            command = ["git", "rev-parse", "--short", "HEAD"]
            commit = subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
            bicubic = recording.evaluator.measure_resizer("bicubic").summary
            facts: Line = {"commit": commit, "hardware": describe_hardware()}
            facts["bicubic"] = {m: bicubic[m] for m in METRICS}
            self.append({"about": recording.about | facts})
        head, *lines = map(json.loads, file.read_text().splitlines())
        own = json.loads(json.dumps(recording.about))
        if differing := [key for key in own if head["about"][key] != own[key]]:
            raise SystemExit(
                f"{file} was recorded with other {' and '.join(differing)}: choose another --out"
            )
        phases = ["gan" if "gan" in line else "psnr" for line in lines]
        self.done = {
            (p, name(line[p]), line["seed"], line["derived"]) for p, line in zip(phases, lines, strict=True)
        }

    def append(self, line: Line) -> None:
        """Write a line."""
        with self.file.open("a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def lack(self, run: Run) -> bool:
        """Return whether a run is not recorded yet."""
        phase, settings, *rest = run
        return (phase, name(settings), *rest) not in self.done


def plan(options: argparse.Namespace, ancestor: dict[str, Any]) -> Iterator[list[Run]]:
    """Yield the runs in three lists, each of which needs networks of those before it.

    PSNR phases of their own, derived ones, and the GAN phases: all designs with each seed, and those of
    other architectures than the ancestor's derived.
    """
    drawn = [settings_of(values) for values in draw(SPACE, options.designs, seed=0)]
    others = (design for design in drawn if SPACE.architecture_of(design) != ancestor)
    gan: list[Run] = [("gan", design, s, 0.0) for s in range(options.seeds) for design in drawn]
    gan += [("gan", design, 0, options.derived) for design in others if options.derived]
    psnr: dict[tuple[str, int, float], Run] = {}
    for _, design, seed, derived in [("psnr", ancestor, 0, 0.0), *gan]:
        architecture = SPACE.architecture_of(design)
        psnr[name(architecture), seed, derived] = ("psnr", architecture, seed, derived)
    yield [run for run in psnr.values() if not run[3]]
    yield [run for run in psnr.values() if run[3]]
    yield gan


_recording: Recording


def _begin(options: argparse.Namespace) -> None:
    """Open images and metrics in a process of the pool."""
    global _recording
    _recording = Recording(options)


def _train(run: Run) -> tuple[Run, Line]:
    return run, _recording.train(run)


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--train", required=True, help="folder or zip of photographs, or a catalogue name")
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines")
    parser.add_argument(
        "--processes", type=int, default=1, help="that train at once, on the GPU if there is one"
    )
    parser.add_argument("--designs", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--derived", type=float, default=0.15, help="part of the PSNR phase of derived ones")
    parser.add_argument("--psnr-steps", type=int, default=2000)
    parser.add_argument("--gan-steps", type=int, default=400)
    parser.add_argument("--evaluations", type=int, default=16, help="of a GAN phase")
    parser.add_argument("--images", type=int, default=12, help="val images that are measured")
    parser.add_argument("--crop-px", type=int, default=96, help="their measured squares; 0: whole images")
    options = parser.parse_args()
    recording = Recording(options)
    lines = Lines(options.out, recording)
    lists = [list(filter(lines.lack, runs)) for runs in plan(options, recording.ancestor)]
    missing, began = sum(map(len, lists)), time.monotonic()
    print(f"{missing} runs are missing in {options.out}", flush=True)
    done = 0
    with multiprocessing.get_context("spawn").Pool(options.processes, _begin, (options,)) as pool:
        for runs in lists:
            for run, line in pool.imap_unordered(_train, runs):
                lines.append(line)
                done += 1
                minutes = (time.monotonic() - began) / done * (missing - done) / 60
                last = f"seed {run[2]} {line['points'][-1]}, {line['seconds']} s"
                print(
                    f"{done} of {missing}, {minutes:.0f} minutes left: {run[0]} {name(run[1])} {last}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
