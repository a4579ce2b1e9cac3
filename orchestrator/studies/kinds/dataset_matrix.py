"""Train on A, test on B: one network per set and seed, each measured on every set.

Protocol: equal numbers of training images, of test images and of updates; per test set the claim is
diagonal minus best off-diagonal, over seeds (Takano & Alaghband, 2019, charts 1 to 3).
"""

from pathlib import Path

from datasets.image_set import ImageSet, open_images
from datasets.text import count
from orchestrator.analysis.intervals import Comparison
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import LEAST, UNTESTED, ClaimResult, combined_status, decide, format_verdict
from orchestrator.studies.plan import Study, check_equal, named_sets, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, Column, StudyResults, Table, direction, format_value
from orchestrator.studies.spec import StudyTestSet, Training, installed, open_test, seeded
from trainers.config import TrainConfig
from trainers.metrics import METRICS
from trainers.metrics.domains import train_classifier

KIND = "dataset_matrix"
DEFAULTS = ("celeba", "lsun_dining_room", "lsun_tower")
BASELINES = ("bicubic", "bicubic, sharpened")
PIXEL_METRICS = ("psnr_y", "ssim_y", "swd", "fd_random")
INCEPTION = ("fid", "kid")
EFFICIENTNET = ("fd_efficientnet", "kd_efficientnet")
"""For test sets of a few hundred images: 64 projections of 1280 features, and a kernel over all of them."""
DOMAINS = ("fd_domains", "kd_domains")
NO_LEVEL = ("fd_random", *INCEPTION, *EFFICIENTNET)
"""Metrics whose value for bicubic is so far off that it would flatten the bars."""
CLASSIFIER_IMAGES = 400
"""Training images of each set for the classifier of domains: plenty for a few classes."""


def measured() -> tuple[str, ...]:
    """Return the metrics of the table, with LPIPS and those distances whose weights are installed."""
    return PIXEL_METRICS + installed("lpips_alex", *EFFICIENTNET, *INCEPTION)


def plan(request: StudyRequest, dry: bool = False) -> Study:
    """Return the trainings and test sets; unless `dry`, import the sets and train the domain classifier.

    UserError for fewer than two sets and, unless `dry`, for sets of different size or without a test part.
    """
    sets = named_sets(request.data, DEFAULTS, at_least=2)
    configs = {n: on_set(request.config, prepared(s, request.split, request, dry)) for n, s in sets.items()}
    extractor, conditions = "", _conditions(request)
    if not dry:
        extractor, counts = _check_sets(configs, request)
        conditions += (counts,)
    tests = tuple(StudyTestSet(name, config.data) for name, config in configs.items())
    trainings = tuple(
        Training(name, seed, seeded(config, seed), tests, measured(), extractor=extractor)
        for seed in range(request.seeds)
        for name, config in configs.items()
    )
    return Study(KIND, trainings, conclude, conditions, request.split)


def _check_sets(configs: dict[str, TrainConfig], request: StudyRequest) -> tuple[str, str]:
    """Check that the sets are equal; return the file of a classifier trained on them, and their sizes."""
    work_dir = request.work_dir
    train = {
        n: open_images(c.data.train, "train", work_dir=work_dir, data=c.data) for n, c in configs.items()
    }
    test = {name: open_test(config.data, work_dir) for name, config in configs.items()}
    low, n_test = check_equal(train, "train"), check_equal(test, "test")
    counts = ", ".join(f"{name} {len(images):,}" for name, images in train.items())
    sizes = f"training images: {counts} (at least {low:,}); test images of each: {n_test:,}"
    return str(_classifier(train, request)), sizes


def _classifier(train: dict[str, ImageSet], request: StudyRequest) -> Path:
    side = request.config.data.crop_px
    names = "-".join(images.digest[:6] for images in train.values())
    path = request.work_dir / "classifiers" / f"domains-{names}-{side}.safetensors"
    if not path.exists():
        domains = [[s[i] for i in range(min(CLASSIFIER_IMAGES, len(s)))] for s in train.values()]
        train_classifier(domains, side, path)
    return path


def _conditions(request: StudyRequest) -> tuple[str, ...]:
    c = request.config
    network = f"({c.loss.content_network}-{c.loss.content_weights})"
    return (
        f"recipe {c.recipe}: {c.generator.kind}, {c.generator.num_blocks} blocks x {c.generator.channels}, "
        f"x{c.generator.scale}, crop {c.data.crop_px} px, batch {c.data.batch_size}, "
        f"{c.run.psnr_steps:,} PSNR and {c.run.gan_steps:,} GAN updates for every network",
        f"content weight {c.loss.content_weight:g} "
        f"{network if c.loss.content_weight else '(no perceptual network)'}"
        f", adversarial weight {c.loss.adversarial_weight:g}; {count(request.seeds, 'seed')}",
    )


def conclude(results: StudyResults) -> Answer:
    """Return tables, heat maps, bars, a strip of pictures, and the verdicts on the diagonal."""
    arms, first = results.arms, results.done[0]
    summary = first.measured["tests"][arms[0]]["summary"]
    metrics = [m for m in (*first.training.metrics, *DOMAINS) if m in summary]
    verdicts = {m: diagonal(results, arms, m) for m in metrics}
    tables = [_values(results, arms, metrics), _diagonal_table(verdicts)]
    return Answer(tables, _figures(results, arms, metrics), _claims(verdicts))


def diagonal(results: StudyResults, arms: list[str], metric: str) -> dict[str, Verdict]:
    """Return per test set the verdict on that set's network against the best of the others."""
    better = max if direction(metric) == "max" else min
    comparisons: dict[str, Comparison] = {}
    for test in arms:
        rivals = [a for a in arms if a != test]
        rival = better(rivals, key=lambda a: results.mean(a, test, metric))
        comparisons[test] = results.compare(test, rival, test, metric)
    return between_designs(comparisons, direction(metric), least=LEAST.get(metric, 0.0))


def _values(results: StudyResults, arms: list[str], metrics: list[str]) -> Table:
    rows = [
        [metric, name, *(results.cells(name, test, [metric])[0] for test in arms)]
        for metric in metrics
        for name in (*arms, *(BASELINES if metric in METRICS else ()))
    ]
    columns = ["metric", "trained on", *(f"tested on {a}" for a in arms)]
    notes = results.protocols(arms[0], metrics) + [f"diverged: {line}" for line in results.diverged()]
    return Table("matrix", "Mean over seeds ± half the range", columns, rows, notes)


def _diagonal_table(verdicts: dict[str, dict[str, Verdict]]) -> Table:
    rows = [
        [m, *(f"{v.word}: {format_verdict(v)}" for v in by_test.values())] for m, by_test in verdicts.items()
    ]
    title = "Own set minus the best other network, 95 % interval, Holm over the test sets"
    return Table("diagonal", title, ["metric", *next(iter(verdicts.values()))], rows)


def _figures(results: StudyResults, arms: list[str], metrics: list[str]) -> dict[str, bytes]:
    maps, bars = [], {}
    for metric in metrics:
        values = [[results.mean(arm, test, metric) for test in arms] for arm in arms]
        cells = [[format_value(metric, v) for v in row] for row in values]
        maps.append(figures.Heat(metric, values, cells, direction(metric)))
        series = {f"trained on {arm}": [results.bar(arm, test, metric) for test in arms] for arm in arms}
        levels = {
            name: [results.baseline(name, test, metric) for test in arms]
            for name in (BASELINES if metric in METRICS and metric not in NO_LEVEL else ())
        }
        bars[f"bars-{metric}.svg"] = figures.bars(f"{metric} by test set", arms, series, metric, levels)
    heat = {
        f"heat-{k // 3 + 1}.svg": figures.heat_maps(maps[k : k + 3], arms, arms, "trained on / tested on")
        for k in range(0, len(maps), 3)
    }
    return heat | bars | {"strip.png": _strip(results, arms)}


def _strip(results: StudyResults, arms: list[str]) -> bytes:
    """Draw the document's Figure 2: input, target, and the output of each network (its first seed)."""
    columns: list[Column] = ["input", "target", *(results.of(arm)[0] for arm in arms)]
    rows = [results.pictures(test, i, columns) for test in arms for i in range(3)]
    return figures.strip(rows, ["input", "target", *(f"by {arm}" for arm in arms)])


def _claims(verdicts: dict[str, dict[str, Verdict]]) -> list[ClaimResult]:
    """Answer each chart by its own metric, FID by the first distance in its place that was measured."""
    distance = next(m for m in ("fid", "fd_efficientnet", "fd_domains") if m in verdicts)
    fid = (distance, "" if distance == "fid" else f"{distance} in place of FID (no Inception): ")
    answers = []
    for name, metric, before in (("psnr", "psnr_y", ""), ("ssim", "ssim_y", ""), ("fid", *fid)):
        labelled = {f"{test} {metric}": v for test, v in verdicts[metric].items()}
        before += "the diagonal wins where own minus best other is better: "
        answers.append(decide(f"matrix-{name}", labelled, before=before))
    others = ", ".join(f"{m} {combined_status(v)}" for m, v in verdicts.items())
    why = f"a strip is for eyes; by number the diagonal is: {others}"
    return [*answers, ClaimResult("matrix-strip", UNTESTED, why)]
