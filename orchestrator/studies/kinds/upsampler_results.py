"""What the upsampler study says: table, curves with each stage's own loss apart, the factor of the units."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.loader import eval_pairs
from orchestrator.analysis.intervals import seed_level
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import MECHANICS, UNTESTED, ClaimResult, format_verdict, status_of
from orchestrator.studies.results import Answer, FinishedTraining, Results, Table, direction, shown
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


def conclude(results: Results) -> Answer:
    """Tables, figures and claims."""
    first = results.done[0].training
    test, metrics = first.tests[0].name, first.metrics
    arms = list(dict.fromkeys(d.training.arm for d in results.done))
    factor = units(results)
    tables = [_values(results, arms, test, metrics), _pairs(results, arms, test), _factor_table(factor)]
    return Answer(tables, _figures(results, test), _claims(results, test, factor))


def _values(results: Results, arms: list[str], test: str, metrics: tuple[str, ...]) -> Table:
    rows: list[list[str | float]] = []
    for arm in arms:
        done = results.of(arm)
        if not done:
            continue
        cells = [results.cell(arm, test, m) for m in metrics]
        speed = float(np.median([d.found["latency_ms"] for d in done]))
        rows.append([_labelled(arm, done[0]), *cells, f"{done[0].found['parameters']:,}", f"{speed:.1f}"])
    rows.append(["bicubic", *(shown(results.baseline("bicubic", test, m), m) for m in metrics), "", ""])
    notes = [f"{m}: {results.done[0].found['tests'][test]['protocol'][m]}" for m in metrics]
    notes += [f"diverged: {words}" for words in results.diverged()]
    columns = ["arm", *metrics, "parameters", "ms at 256x256"]
    return Table("upsamplers", "Mean over seeds ± half the range", columns, rows, notes)


def _labelled(arm: str, done: FinishedTraining) -> str:
    loss = done.training.config.loss
    named = f"{loss.content_network}-{loss.content_weights}"
    return f"{arm} ({named})" if loss.content_weight else arm


def _pairs(results: Results, arms: list[str], test: str) -> Table:
    others = [a for a in arms if a != SHUFFLE and results.of(a)]
    rows = []
    for metric in ("psnr_y", "swd", "checkerboard"):
        comparisons = {arm: results.compare(SHUFFLE, arm, test, metric) for arm in others}
        verdicts = between_designs(comparisons, direction(metric))
        rows += [[metric, arm, v.word, format_verdict(v)] for arm, v in verdicts.items()]
    return Table(
        "pairs", f"{SHUFFLE} minus each arm, 95 % interval, Holm", ["metric", "arm", "it", "by"], rows
    )


# -- the change of unit ----------------------------------------------------------------------------------


def units(results: Results) -> dict[str, float]:
    """The stage-2 network of seed 0 on test images: its pixel loss, and VGG's with and without 1/12.75."""
    done = results.of(STAGES[1])[0]
    training = done.training
    network, config = load_generator(Path(done.found["checkpoint"]))
    data = training.tests[0].data
    pairs = eval_pairs(open_test(data, results.work_dir), data, config.generator.scale, limit=FACTOR_IMAGES)
    hr, lr_image = (_batch([getattr(p, part) for p in pairs]) for part in ("hr", "lr_image"))
    loss = training.config.loss
    vgg = VGGFeatures(loss.content_network, loss.content_layer, loss.content_activation, loss.content_weights)
    with torch.inference_mode():
        sr = network(lr_image)
        features = vgg(sr), vgg(hr)
        found = {"pixel": float(pixel_loss("l2", sr, hr))}
        for name, scale in (("vgg_scaled", 1 / 12.75), ("vgg", 1.0)):
            found[name] = float(content_loss(*features, scale, loss.content_criterion))
    return found


def _batch(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _factor_table(factor: dict[str, float]) -> Table:
    pixel = factor["pixel"]
    rows = [
        ["MSE on [-1, 1]", f"{pixel:.5f}", "1"],
        ["VGG features x 1/12.75", f"{factor['vgg_scaled']:.5f}", f"{factor['vgg_scaled'] / pixel:.3g}"],
        ["VGG features", f"{factor['vgg']:.5f}", f"{factor['vgg'] / pixel:.3g}"],
    ]
    title = f"One network (stage 2, seed 0), {FACTOR_IMAGES} test images, three units of loss"
    return Table("units", title, ["loss", "value", "times the MSE"], rows)


# -- figures ---------------------------------------------------------------------------------------------


def _figures(results: Results, test: str) -> dict[str, bytes]:
    lines = {arm: _mean_curve(results.of(arm)) for arm in (SHUFFLE, INTERP, TRANSPOSED, VGG)}
    lines["5+5+5"] = _joined([_mean_curve(results.of(stage)) for stage in STAGES], results)
    third = results.of(STAGES[0])[0].training.config.run.gan_steps
    swaps = (third, 2 * third)
    found = {
        "psnr.svg": figures.curves("PSNR on val, mean over seeds", lines, "update", "psnr_y, dB", marks=swaps)
    }
    own = {}
    for k, stage in enumerate(STAGES):
        term = "content" if k == 2 else "pixel"
        own[f"stage {k + 1}: {term}"] = [(k * third + s, v) for s, v in _mean_losses(results.of(stage), term)]
    own["pixel shuffle: pixel"] = _mean_losses(results.of(SHUFFLE), "pixel")
    found["losses.svg"] = figures.curves(
        "Each stage's own loss: stage 3 is another unit", own, "update", "loss", marks=swaps, log=True
    )
    found["strip.png"] = _strip(results, test)
    return found


def _mean_curve(done: list[FinishedTraining]) -> list[tuple[float, float]]:
    curves = [dict(d.curve("psnr_y")) for d in done]
    return [(s, float(np.mean([c[s] for c in curves]))) for s in (curves[0] if curves else {})]


def _mean_losses(done: list[FinishedTraining], term: str) -> list[tuple[float, float]]:
    curves = [dict(d.losses(term)) for d in done]
    return [(s, float(np.mean([c[s] for c in curves]))) for s in (curves[0] if curves else {})]


def _joined(curves: list[list[tuple[float, float]]], results: Results) -> list[tuple[float, float]]:
    third = results.of(STAGES[0])[0].training.config.run.gan_steps
    return [(k * third + s, v) for k, curve in enumerate(curves) for s, v in curve]


def _strip(results: Results, test: str) -> bytes:
    kept = results.folder / "pictures"
    drawn = [a for a in (SHUFFLE, INTERP, TRANSPOSED, VGG, STAGES[1], STAGES[2]) if results.of(a)]
    rows = [
        [
            kept / f"{test}-input-{i}.png",
            kept / f"{test}-bicubic-{i}.png",
            *(results.of(a)[0].folder / "pictures" / f"{test}-{i}.png" for a in drawn),
            kept / f"{test}-target-{i}.png",
        ]
        for i in range(3)
    ]
    titles = ["input", "bicubic", *(a.replace("interpolation", "int.") for a in drawn), "target"]
    return figures.strip(rows, titles)


# -- claims ----------------------------------------------------------------------------------------------


def _claims(results: Results, test: str, factor: dict[str, float]) -> list[ClaimResult]:
    random = results.done[0].training.config.loss.content_weights == "random"
    change = _verdict(results, STAGES[2], STAGES[1], test)
    pixel = factor["pixel"]
    said = [
        ClaimResult(
            "staged-loss",
            UNTESTED if random else status_of(change),
            f"{_mechanics(random)}the change of unit alone multiplies the loss of one network by "
            f"{factor['vgg'] / pixel:.3g} (by {factor['vgg_scaled'] / pixel:.3g} with 1/12.75); PSNR of "
            f"stage 3 minus stage 2: {format_verdict(change, 2)} dB",
        )
    ]
    for name, a, b, uses_vgg in (
        ("staged-worse", SHUFFLE, STAGES[2], True),
        ("shuffle-bicubic", SHUFFLE, "bicubic", False),
        ("interp-better", INTERP, STAGES[2], True),
        ("transposed-blurred", SHUFFLE, TRANSPOSED, False),
        ("vgg-blurred", SHUFFLE, VGG, True),
    ):
        verdict = _verdict(results, a, b, test)
        untested = random and uses_vgg
        why = f"{_mechanics(untested)}PSNR of {a} minus {b}: {format_verdict(verdict, 2)} dB"
        if name == "transposed-blurred":
            fair = _verdict(results, SHUFFLE, TRANSPOSED + EQUAL, test)
            why += f"; at equal parameters {format_verdict(fair, 2)} dB"
        said.append(ClaimResult(name, UNTESTED if untested else status_of(verdict), why))
    return [*said, _converges(results)]


def _mechanics(is_random: bool) -> str:
    return f"{MECHANICS}: " if is_random else ""


def _verdict(results: Results, a: str, b: str, test: str) -> Verdict:
    return between_designs({b: results.compare(a, b, test, "psnr_y")}, "max")[b]


def _converges(results: Results) -> ClaimResult:
    """PSNR on val at the end against that after the first third, over seeds."""
    curves: list[list[Any]] = [d.curve("psnr_y") for d in results.of(SHUFFLE)]
    third = curves[0][-1][0] / 3
    early = [min(c, key=lambda p: abs(p[0] - third))[1] for c in curves]
    images = results.done[0].training.config.data.eval_images
    comparison = seed_level([c[-1][1] for c in curves], early, max(images, 30))
    verdict = between_designs({SHUFFLE: comparison}, "max")[SHUFFLE]
    return ClaimResult(
        "shuffle-converges",
        status_of(verdict),
        f"PSNR on val at the end minus after five epochs: {format_verdict(verdict, 2)} dB",
    )
