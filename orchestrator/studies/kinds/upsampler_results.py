"""Results of the upsampler study: tables, curves of PSNR and of each stage's own loss, and the claims."""

from pathlib import Path

import numpy as np
import torch

from datasets.loader import eval_pairs
from datasets.text import short_number
from orchestrator.analysis.intervals import welch_difference
from orchestrator.analysis.significance import between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import MECHANICS, NO_VERDICTS, ClaimResult, decide, format_verdict
from orchestrator.studies.results import Answer, Column, FinishedTraining, StudyResults, Table
from orchestrator.studies.spec import open_test
from trainers.checkpoint import load_generator
from trainers.losses import content_loss, pixel_loss
from trainers.vgg_features import VGGFeatures

SHUFFLE, INTERP, TRANSPOSED, VGG = (
    "pixel shuffle 15",
    "interpolation + transposed 15",
    "two transposed 15",
    "two transposed, VGG 15",
)
STAGES = ("5+5+5 stage 1", "5+5+5 stage 2", "5+5+5 stage 3")
EQUAL, KEPT = ", equal parameters", ", moments kept"
FACTOR_IMAGES = 16
Points = list[tuple[float, float]]


def conclude(results: StudyResults) -> Answer:
    """Return tables, figures and claims."""
    first = results.done[0].training
    test, metrics = first.tests[0].name, first.metrics
    losses = losses_in_each_unit(results)
    tables = [_values(results, test, metrics), _pairs(results, test, metrics), _units_table(losses)]
    return Answer(tables, _figures(results, test), _claims(results, test, losses))


def _values(results: StudyResults, test: str, metrics: tuple[str, ...]) -> Table:
    rows = []
    for arm in results.arms:
        if done := results.of(arm):
            cells = results.cells(arm, test, metrics)
            speed = float(np.median([d.measured["latency_ms"] for d in done]))
            count = f"{done[0].measured['parameters']:,}"
            rows.append([_labelled(arm, done[0]), *cells, count, f"{speed:.1f}"])
    rows += [[name, *results.cells(name, test, metrics), "", ""] for name in results.baselines]
    notes = results.protocols(test, metrics) + [f"diverged: {line}" for line in results.diverged()]
    columns = ["arm", *metrics, "parameters", "ms at 256x256"]
    return Table("upsamplers", "Mean over seeds ± half the range", columns, rows, notes)


def _labelled(arm: str, done: FinishedTraining) -> str:
    loss = done.training.config.loss
    return f"{arm} ({loss.content_network}-{loss.content_weights})" if loss.content_weight else arm


def _pairs(results: StudyResults, test: str, metrics: tuple[str, ...]) -> Table:
    others = [a for a in results.arms if a != SHUFFLE and results.of(a)] + list(results.baselines)
    rows = [
        [metric, arm, v.word, format_verdict(v)]
        for metric in ("psnr_y", *(m for m in metrics if m in ("swd", "lpips_alex", "checkerboard")))
        for arm, v in results.verdicts(SHUFFLE, others, test, metric).items()
    ]
    title = f"{SHUFFLE} minus each arm, 95 % interval, Holm"
    return Table("pairs", title, ["metric", "arm", "it", "by"], rows)


def losses_in_each_unit(results: StudyResults) -> dict[str, float]:
    """Return the losses of the first seed's stage-2 network on test images: pixel, and VGG in two scales."""
    done = results.of(STAGES[1])[0]
    training = done.training
    network, config = load_generator(Path(done.measured["checkpoint"]))
    data = training.tests[0].data
    pairs = eval_pairs(open_test(data, results.work_dir), data, config.generator.scale, limit=FACTOR_IMAGES)
    hr, lr_image = (_batch([getattr(p, part) for p in pairs]) for part in ("hr", "lr_image"))
    loss = training.config.loss
    vgg = VGGFeatures(loss.content_network, loss.content_layer, loss.content_activation, loss.content_weights)
    with torch.inference_mode():
        sr = network(lr_image)
        features = vgg(sr), vgg(hr)
        return {
            "pixel": float(pixel_loss("l2", sr, hr)),
            "vgg_scaled": float(content_loss(*features, 1 / 12.75, loss.content_criterion)),
            "vgg": float(content_loss(*features, 1.0, loss.content_criterion)),
        }


def _batch(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _units_table(losses: dict[str, float]) -> Table:
    names = {"pixel": "MSE on [-1, 1]", "vgg_scaled": "VGG features x 1/12.75", "vgg": "VGG features"}
    rows = [[n, f"{losses[k]:.5f}", short_number(losses[k] / losses["pixel"])] for k, n in names.items()]
    title = f"One network (stage 2, seed 0), {FACTOR_IMAGES} test images, three units of loss"
    return Table("units", title, ["loss", "value", "times the MSE"], rows)


def _figures(results: StudyResults, test: str) -> dict[str, bytes]:
    third = results.of(STAGES[0])[0].training.config.run.gan_steps
    swaps = (third, 2 * third)
    psnr = {
        arm: _mean([d.curve("psnr_y") for d in results.of(arm)])
        for arm in (SHUFFLE, INTERP, TRANSPOSED, VGG, *STAGES)
    }
    psnr["5+5+5"] = [(k * third + s, v) for k, stage in enumerate(STAGES) for s, v in psnr.pop(stage)]
    own = {}
    for k, (stage, term) in enumerate(zip(STAGES, ("pixel", "pixel", "content"), strict=True)):
        points = _mean([d.losses(term) for d in results.of(stage)])
        own[f"stage {k + 1}: {term}"] = [(k * third + s, v) for s, v in points]
    own["pixel shuffle: pixel"] = _mean([d.losses("pixel") for d in results.of(SHUFFLE)])
    title = "Each stage's own loss: stage 3 is another unit"
    return {
        "psnr.svg": figures.curves("PSNR on val, mean over seeds", psnr, "update", "psnr_y, dB", marks=swaps),
        "losses.svg": figures.curves(title, own, "update", "loss", marks=swaps, log=True),
        "strip.png": _strip(results, test),
    }


def _mean(curves: list[Points]) -> Points:
    """Return the mean over seeds of curves with equal steps."""
    by_step = [dict(c) for c in curves]
    return [(s, float(np.mean([c[s] for c in by_step]))) for s in (by_step[0] if by_step else {})]


def _strip(results: StudyResults, test: str) -> bytes:
    drawn = [a for a in (SHUFFLE, INTERP, TRANSPOSED, VGG, STAGES[1], STAGES[2]) if results.of(a)]
    columns: list[Column] = ["input", "bicubic", *(results.of(a)[0] for a in drawn), "target"]
    titles = ["input", "bicubic", *(a.replace("interpolation", "int.") for a in drawn), "target"]
    return figures.strip([results.pictures(test, i, columns) for i in range(3)], titles)


PSNR_CLAIMS = (
    ("staged-loss", STAGES[2], STAGES[1], True),
    ("staged-worse", SHUFFLE, STAGES[2], True),
    ("shuffle-bicubic", SHUFFLE, "bicubic", False),
    ("interp-better", INTERP, STAGES[2], True),
    ("transposed-blurred", SHUFFLE, TRANSPOSED, False),
    ("vgg-blurred", SHUFFLE, VGG, True),
)
"""Claim, the arm with more PSNR, the arm with less, and whether one of them is trained on VGG features."""


def _claims(results: StudyResults, test: str, losses: dict[str, float]) -> list[ClaimResult]:
    random = results.done[0].training.config.loss.content_weights == "random"
    factor, scaled = (short_number(losses[name] / losses["pixel"]) for name in ("vgg", "vgg_scaled"))
    change_of_unit = (
        f"the change of unit alone multiplies the loss of one network by {factor} "
        f"(by {scaled} with 1/12.75); "
    )
    equal = {"at equal parameters": results.verdict(SHUFFLE, TRANSPOSED + EQUAL, test, "psnr_y")}
    answers = []
    for name, a, b, uses_vgg in PSNR_CLAIMS:
        words = "stage 3 minus stage 2" if name == "staged-loss" else f"{a} minus {b}"
        answers.append(
            decide(
                name,
                {f"PSNR of {words}:": results.verdict(a, b, test, "psnr_y")},
                before=change_of_unit if name == "staged-loss" else "",
                unit=" dB",
                decimals=2,
                also=equal if name == "transposed-blurred" else NO_VERDICTS,
                untested=MECHANICS if random and uses_vgg else "",
            )
        )
    return [*answers, _converges(results)]


def _converges(results: StudyResults) -> ClaimResult:
    """Compare PSNR on val at the end with that after the first third, over seeds."""
    curves = [d.curve("psnr_y") for d in results.of(SHUFFLE)]
    third = curves[0][-1][0] / 3
    early = [min(c, key=lambda p: abs(p[0] - third))[1] for c in curves]
    images = results.done[0].training.config.data.eval_images
    comparison = welch_difference([c[-1][1] for c in curves], early, max(images, 30))
    label = "PSNR on val at the end minus after five epochs:"
    verdicts = between_designs({label: comparison}, "max")
    return decide("shuffle-converges", verdicts, unit=" dB", decimals=2)
