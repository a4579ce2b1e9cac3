"""Results of the upsampler study: tables, curves of PSNR and of each stage's own loss, and the claims."""

from pathlib import Path

import numpy as np
import torch

from datasets.loader import eval_pairs
from datasets.text import short_number
from orchestrator.analysis.intervals import welch_difference
from orchestrator.analysis.significance import MIN_IMAGES, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import MECHANICS, NO_VERDICTS, UNTESTED, ClaimResult, decide, format_verdict
from orchestrator.studies.results import Answer, Column, FinishedTraining, StudyResults, Table
from orchestrator.studies.spec import open_test
from trainers.checkpoint import load_generator
from trainers.evaluate import to_tensor
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
LAYERS = {"vgg16": ("conv3_3", "conv5_3"), "vgg19": ("conv3_4", "conv5_4")}
"""Further layers whose unit is measured, since the document does not name its layer."""
HUNDREDS = 100.0
"""Least factor that "hundreds of times" means."""
Points = list[tuple[float, float]]


def conclude(results: StudyResults) -> Answer:
    """Return tables, figures and claims."""
    first = results.done[0].training
    test, metrics = first.tests[0].name, first.metrics
    losses = losses_at_the_swap(results)
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


def losses_at_the_swap(results: StudyResults) -> dict[str, np.ndarray]:
    """Return for each VGG layer the losses of every seed, (seeds, 3), on the first test images.

    They are the MSE of the network of stage 2, and the loss on VGG's features, unscaled, of the networks of
    stages 2 and 3: the swap to VGG multiplies the printed loss by the second over the first.
    """
    seeds = [pair for pair in zip(*(results.of(stage) for stage in STAGES[1:]), strict=True)]
    training = seeds[0][0].training
    data, loss = training.tests[0].data, training.config.loss
    scale = training.config.generator.scale
    pairs = eval_pairs(open_test(data, results.work_dir), data, scale, limit=FACTOR_IMAGES)
    hr, lr_image = (to_tensor([getattr(p, part) for p in pairs], "cpu") for part in ("hr", "lr_image"))
    layers = dict.fromkeys((loss.content_layer, *LAYERS[loss.content_network]))
    with torch.inference_mode():
        outputs = [
            [load_generator(Path(done.measured["checkpoint"]))[0](lr_image) for done in pair]
            for pair in seeds
        ]
        found = {}
        for layer in layers:
            vgg = VGGFeatures(loss.content_network, layer, loss.content_activation, loss.content_weights)
            target = vgg(hr)
            found[layer] = np.array(
                [
                    [
                        float(pixel_loss("l2", before, hr)),
                        *(float(content_loss(vgg(x), target, 1.0, "l2")) for x in (before, after)),
                    ]
                    for before, after in outputs
                ]
            )
    return found


def _units_table(losses: dict[str, np.ndarray]) -> Table:
    rows = []
    for layer, values in losses.items():
        pixel, before, after = values.T
        factors = (before / pixel, before / pixel / 12.75**2, after / before)
        rows.append([layer, *(short_number(float(_geometric(f))) for f in factors)])
    columns = ["features", "VGG loss over MSE", "with 1/12.75", "VGG loss after stage 3 over before"]
    title = f"The swap to VGG on {FACTOR_IMAGES} test images: what the unit multiplies, what training changes"
    return Table("units", title, columns, rows)


def _geometric(factors: np.ndarray) -> float:
    return float(np.exp(np.log(factors).mean()))


def _figures(results: StudyResults, test: str) -> dict[str, bytes]:
    third = results.of(STAGES[0])[0].training.config.run.gan_steps
    swaps = (third, 2 * third)
    psnr = {
        arm: _mean([d.curve("psnr_y") for d in results.of(arm)])
        for arm in (SHUFFLE, INTERP, TRANSPOSED, VGG, *STAGES)
    }
    psnr = {arm: curve for arm, curve in psnr.items() if curve}
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
    ("staged-worse", SHUFFLE, STAGES[2], True),
    ("shuffle-bicubic", SHUFFLE, "bicubic", False),
    ("interp-better", INTERP, STAGES[2], True),
    ("transposed-blurred", SHUFFLE, TRANSPOSED, False),
    ("vgg-blurred", SHUFFLE, VGG, True),
)
"""Claim, the arm with more PSNR, the arm with less, and whether one of them is trained on VGG features."""


def _claims(results: StudyResults, test: str, losses: dict[str, np.ndarray]) -> list[ClaimResult]:
    loss = results.done[0].training.config.loss
    untested = MECHANICS if loss.content_weights == "random" else ""
    equal = NO_VERDICTS
    if TRANSPOSED + EQUAL in results.arms:
        equal = {"at equal parameters": results.verdict(SHUFFLE, TRANSPOSED + EQUAL, test, "psnr_y")}
    answers = [_growth(losses[loss.content_layer], f"{loss.content_network} {loss.content_layer}", untested)]
    for name, a, b, uses_vgg in PSNR_CLAIMS:
        if not {a, b} <= {*results.arms, *results.baselines}:
            answers.append(ClaimResult(name, UNTESTED, "its arms were left out (--only)"))
            continue
        answers.append(
            decide(
                name,
                {f"PSNR of {a} minus {b}:": results.verdict(a, b, test, "psnr_y")},
                unit=" dB",
                decimals=2,
                also=equal if name == "transposed-blurred" else NO_VERDICTS,
                untested=untested if uses_vgg else "",
            )
        )
    return [*answers, _converges(results)]


def _growth(losses: np.ndarray, features: str, untested: str) -> ClaimResult:
    """Answer "the loss grows hundreds of times" by the factor of the swap, in decades above HUNDREDS."""
    pixel, before, after = losses.T
    decades = np.log10(before / pixel / HUNDREDS)
    comparison = welch_difference(list(decades), [0.0] * len(decades), MIN_IMAGES)
    label = f"decades above {HUNDREDS:g} times:"
    unit, network = (short_number(_geometric(f)) for f in (before / pixel, after / before))
    before_words = (
        f"the swap from MSE to unscaled {features} multiplies the loss of one network by {unit}, training "
        f"then multiplies it by {network}: the growth is the unit's; "
    )
    verdicts = between_designs({label: comparison}, "max")
    return decide("staged-loss", verdicts, before=before_words, decimals=2, untested=untested)


def _converges(results: StudyResults) -> ClaimResult:
    """Compare PSNR on val at the end with that after the first third, over seeds."""
    curves = [d.curve("psnr_y") for d in results.of(SHUFFLE)]
    third = curves[0][-1][0] / 3
    early = [min(c, key=lambda p: abs(p[0] - third))[1] for c in curves]
    images = results.done[0].training.config.data.eval_images
    late = [c[-1][1] for c in curves]
    comparison = welch_difference(late, early, max(images, MIN_IMAGES), paired=True)
    label = "PSNR on val at the end minus after five epochs:"
    verdicts = between_designs({label: comparison}, "max")
    return decide("shuffle-converges", verdicts, unit=" dB", decimals=2)
