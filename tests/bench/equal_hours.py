"""Networks that were trained for equal hours, on test images that chose none of them.

    PYTHONPATH=. python tests/bench/equal_hours.py PHOTOS NAME=FOLDER ... [--sharpen NAME] [--sheet FILE]

PHOTOS is a folder or zip as --train of the sweep had it, or "demo"; its test images are those of the sweep.
FOLDER is what `upsweep train` wrote (its best checkpoint is taken) or a checkpoint's own, such as a
candidate of a run. Prints each network's values and, with 95 % intervals over images, what it has less the
first one. With --sharpen one of them is added sharpened, at the strength that is best on val under the
rules of a sweep. --sheet writes pictures: the targets, then a row for each network. Asserts nothing.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from experiments import recipes  # noqa: E402
from orchestrator.analysis.intervals import paired_bootstrap  # noqa: E402
from orchestrator.trial.inputs import open_evaluator, open_role  # noqa: E402
from trainers.checkpoint import load_generator  # noqa: E402
from trainers.evaluate import Evaluator  # noqa: E402
from trainers.objectives import Objectives  # noqa: E402
from trainers.sentinels import edit, strongest  # noqa: E402
from trainers.train import checkpoint_in  # noqa: E402

RECIPE = "photos_small"
METRICS = ("psnr_y", "lpips_alex", "lpips_vgg", "dists", "grid_detail")
OF_FLOOR = ("lr_consistency",)
SHOWN = 8
"""Images of the sheet."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("networks", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--sharpen", default="", help="a NAME")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--storage", type=Path, default=Path("runs"))
    options = parser.parse_args()
    folders = dict(text.split("=", 1) for text in options.networks)
    networks = {name: load_generator(checkpoint_in(Path(folder)))[0] for name, folder in folders.items()}
    test, targets = _evaluator("test", options.photos, options.storage)
    made = {name: test.upscale(network) for name, network in networks.items()}
    if options.sharpen:
        val, _ = _evaluator("val", options.photos, options.storage)
        images = val.upscale(networks[options.sharpen])
        objectives = Objectives.of(recipes.build(RECIPE).objective)
        by = strongest("sharpened", images, val.measure_images(images), val, objectives)
        made[f"{options.sharpen}, sharpened by {by:g}"] = edit("sharpened", by, made[options.sharpen])
    found = {"bicubic": test.measure_resizer("bicubic")}
    found |= {name: test.measure_images(images) for name, images in made.items()}
    first = next(iter(networks))
    print(f"{len(targets)} test images")
    for name, own in found.items():
        print(name, *(f"{metric} {own.summary[metric]:.3f}" for metric in METRICS), sep="  ")
        for metric in METRICS if name != first else ():
            i = paired_bootstrap(own.per_image[metric], found[first].per_image[metric])
            print(f"    less {first}: {metric} {i.estimate:+.3f} [{i.low:+.3f}, {i.high:+.3f}]")
    if options.sheet:
        _sheet([targets, *made.values()]).save(options.sheet)


def _evaluator(role: str, photos: str, storage: Path) -> tuple[Evaluator, list[np.ndarray]]:
    """Return an evaluator of the whole images of a role, and their targets, uint8 (H, W, 3)."""
    config = recipes.build(RECIPE)
    data, scale = replace(config.data, train=photos, eval_crop_px=0), config.generator.scale
    evaluator, pairs = open_evaluator(open_role(data, role, storage), data, scale, METRICS + OF_FLOOR)
    return evaluator, [pair.hr for pair in pairs]


def _sheet(rows: list[list[np.ndarray]]) -> Image.Image:
    """Return the first images of each row side by side, cut to the smallest side."""
    side = min(min(image.shape[:2]) for image in rows[0][:SHOWN])
    lines = [np.concatenate([image[:side, :side] for image in row[:SHOWN]], 1) for row in rows]
    return Image.fromarray(np.concatenate(lines, 0))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
