"""Record the curves of a second problem: real photographs, nine axes, four metrics, several seeds.

    upsweep weights vgg16 lpips_alex lpips_vgg dists
    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/record.py --train PHOTOS --out FILE

Designs are trained one after the other, first all of them with one seed, then the first ones again with two
more, then the first ones from derived warm starts. Each is appended to FILE when it ends: the command can be
stopped at any moment and given again. PSNR phases are trained once for each architecture and seed; their
networks are in FILE.warm. FILE has JSON lines: {"about"}, then {"psnr" or "gan": settings, "seed", "derived",
"points": [[step, metric, ...], ...], "cpu_seconds"}; "derived" is the share of the PSNR phase, 0 if it is
the architecture's own.
"""

import argparse
import json
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
from trainers.device import describe_hardware  # noqa: E402
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


class Recording:
    """The file of a recording, and what trains its runs."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.file, self.warm = options.out, options.out.with_suffix(".warm")
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
        self.base: TrainConfig = override(photos_small(), settings)
        self.device = torch.device("cpu")
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
        self.done = self._read()

    def _read(self) -> set[tuple[str, str, int, float]]:
        """Return what is recorded; begin the file if there is none, and cut off a line that a kill left."""
        text = self.file.read_text() if self.file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if not whole:
            commit = subprocess.run(
                ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT
            )
            bicubic = self.evaluator.measure_resizer("bicubic").summary
            facts = {"commit": commit.stdout.strip(), "hardware": describe_hardware()}
            self.file.write_text("")
            self.append({"about": self.about | facts | {"bicubic": {m: bicubic[m] for m in METRICS}}})
            return set()
        if whole != text:
            self.file.write_text(whole)
        head, *lines = map(json.loads, whole.splitlines())
        own = json.loads(json.dumps(self.about))
        if differing := [key for key in own if head["about"][key] != own[key]]:
            raise SystemExit(
                f"{self.file} was recorded with other {' and '.join(differing)}: choose another --out"
            )
        kinds = [(next(kind for kind in ("psnr", "gan") if kind in line), line) for line in lines]
        return {(kind, name(line[kind]), line["seed"], line.get("derived", 0)) for kind, line in kinds}

    def append(self, line: dict[str, Any]) -> None:
        """Write a line."""
        with self.file.open("a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def train(
        self, phase: str, settings: dict[str, Any], seed: int, weights: Any = None, derived: float = 0.0
    ) -> Any:
        """Train a phase, append its curve, and return the averaged weights, or None if it diverged."""
        config = override(self.base, settings | dict.fromkeys(SEEDS, seed))
        if phase == "psnr" and derived:
            steps = round(derived * config.run.psnr_steps)
            config = override(config, {"run.psnr_steps": steps, "run.psnr_eval_every_steps": steps})
        loader = TrainLoader(self.images, config.data, config.generator.scale, device=self.device)
        monitor, began, ended = Recorder(METRICS), time.process_time(), {}
        run = TrainingRun(config, loader, self.evaluator, monitor, self.device)
        state = run.new_phase(phase, weights)
        try:
            run.run_phase(state, History())
        except Diverged as error:
            ended = {"diverged": [error.step, error.term]}
        seconds = round(time.process_time() - began, 1)
        line = {phase: settings, "seed": seed, "derived": derived}
        line |= {"points": monitor.points, "cpu_seconds": seconds}
        network = None if ended else {k: v.clone().contiguous() for k, v in weights_of(state.ema).items()}
        if phase == "psnr" and network is not None:  # the line says that the network is there
            save_file(network, self._network(settings, seed, derived))
        self.append(line | ended)
        print(
            f"{phase} {name(settings)} seed {seed}: {monitor.points[-1]}, {seconds} CPU seconds", flush=True
        )
        return network

    def record(self, design: dict[str, Any], seed: int, derived: float = 0.0) -> None:
        """Record a design, after the PSNR phase of its architecture if that is missing."""
        architecture = SPACE.architecture_of(design)
        if ("psnr", name(architecture), seed, derived) not in self.done:
            weights = self._derived(architecture, seed) if derived else None
            self.train("psnr", architecture, seed, weights, derived)
            self.done.add(("psnr", name(architecture), seed, derived))
        weights = load_file(self._network(architecture, seed, derived))
        self.train("gan", design, seed, weights, derived)

    def _derived(self, architecture: dict[str, Any], seed: int) -> Any:
        """Return the weights of the ancestor's network as the beginning of another architecture's."""
        before = override(self.base, self.ancestor).generator
        now = override(self.base, architecture)
        source = build_generator(before)
        source.load_state_dict(load_file(self._network(self.ancestor, seed)))
        loader = TrainLoader(self.images, now.data, now.generator.scale, device=self.device)
        batches = islice(loader.batches(0), now.run.bn_recalibration_batches)
        lr_images = torch.cat([batch.lr_image for batch in batches])
        return weights_of(derive(source, before, build_generator(now.generator), now.generator, lr_images))

    def _network(self, architecture: dict[str, Any], seed: int, derived: float = 0.0) -> Path:
        values = "-".join(str(v) for _, v in sorted(architecture.items()))
        return self.warm / f"{values}-s{seed}{'-derived' if derived else ''}.safetensors"


Run = tuple[dict[str, Any], int, float]
"""Design, seed, and the share of the PSNR phase that follows the ancestor's; 0 for a phase of its own."""


def plan(designs: int, repeated: int, seeds: int, share: float, ancestor: dict[str, Any]) -> Iterator[Run]:
    """Yield all designs with the first seed, then the first `repeated` again: with others, and derived."""
    drawn = [settings_of(values) for values in draw(SPACE, designs, seed=0)]
    yield from ((design, 0, 0.0) for design in drawn)
    yield from ((design, seed, 0.0) for seed in range(1, seeds) for design in drawn[:repeated])
    others = (design for design in drawn if SPACE.architecture_of(design) != ancestor)
    yield from ((design, 0, share) for design in islice(others, repeated if share else 0))


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--train", required=True, help="folder or zip of photographs, or a catalogue name")
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--designs", type=int, default=96)
    parser.add_argument("--repeated", type=int, default=24, help="designs that get all seeds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--derived", type=float, default=0.15, help="part of the PSNR phase of derived ones")
    parser.add_argument("--psnr-steps", type=int, default=2000)
    parser.add_argument("--gan-steps", type=int, default=400)
    parser.add_argument("--evaluations", type=int, default=16, help="of a GAN phase")
    parser.add_argument("--images", type=int, default=12, help="val images that are measured")
    parser.add_argument("--crop-px", type=int, default=96, help="their measured squares; 0: whole images")
    parser.add_argument("--most", type=int, help="end after so many new designs")
    options = parser.parse_args()
    recording = Recording(options)
    runs = plan(options.designs, options.repeated, options.seeds, options.derived, recording.ancestor)
    missing = [run for run in runs if ("gan", name(run[0]), *run[1:]) not in recording.done]
    print(f"{len(missing)} runs are missing in {options.out}")
    for run in islice(missing, options.most):
        recording.record(*run)


if __name__ == "__main__":
    main()
