"""Train on A, test on B: one network per set and seed, each measured on every set.

Protocol: equal numbers of training images, of test images and of updates; per test set the claim is
diagonal minus best off-diagonal, over seeds (Takano & Alaghband, 2019, charts 1 to 3).
"""

from dataclasses import replace
from pathlib import Path

from datasets.image_set import ImageSet, open_images
from datasets.prepare import prepare_study_set
from orchestrator.analysis.intervals import Comparison
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import UNTESTED, ClaimResult, combined_status, format_verdict
from orchestrator.studies.evaluation import PICTURES
from orchestrator.studies.plan import Study, check_equal, named_sets
from orchestrator.studies.request import Request
from orchestrator.studies.results import Answer, Results, Table, direction, shown
from orchestrator.studies.spec import TestSet, Training, open_test, seeded
from trainers.config import TrainConfig
from trainers.metrics import METRICS
from trainers.metrics.domains import train_classifier

KIND = "dataset_matrix"
DEFAULTS = ("celeba", "lsun_dining_room", "lsun_tower")
BASELINES = ("bicubic",)
PIXEL_METRICS = ("psnr_y", "ssim_y", "swd", "fd_random")
INCEPTION = ("fid", "kid")
DOMAINS = ("fd_domains", "kd_domains")


def measured() -> tuple[str, ...]:
    """The metrics of the table: FID and KID too where Inception's weights are at hand."""
    return (*PIXEL_METRICS, *(m for m in INCEPTION if not METRICS[m].unavailable()))


def plan(request: Request, dry: bool = False) -> Study:
    """The trainings. UserError for sets of different size, or without a test part; `dry` opens no image."""
    sets = named_sets(request.data, DEFAULTS, at_least=2)
    places = (
        sets if dry else {n: prepare_study_set(s, request.split, request.storage) for n, s in sets.items()}
    )
    configs = {name: on_set(request.config, place) for name, place in places.items()}
    extractor, conditions = "", _conditions(request)
    if not dry:
        extractor, more = _opened(configs, request)
        conditions += more
    tests = tuple(TestSet(name, config.data) for name, config in configs.items())
    trainings = tuple(
        Training(name, seed, seeded(config, seed), tests, measured(), extractor=extractor)
        for seed in range(request.seeds)
        for name, config in configs.items()
    )
    return Study(KIND, trainings, conclude, conditions, request.split)


def on_set(config: TrainConfig, place: str) -> TrainConfig:
    """The base settings on one set; scenes are measured on one crop that only the key decides."""
    return replace(config, data=replace(config.data, train=place, val="", test="", gate=""))


def _opened(configs: dict[str, TrainConfig], request: Request) -> tuple[str, tuple[str, ...]]:
    """Check the sets against each other and train the classifier of their domains, once."""
    work_dir = request.storage
    train = {
        n: open_images(c.data.train, "train", work_dir=work_dir, data=c.data) for n, c in configs.items()
    }
    test = {name: open_test(config.data, work_dir) for name, config in configs.items()}
    low, n_test = check_equal(train, "train"), check_equal(test, "test")
    path = _classifier(train, request)
    counts = ", ".join(f"{name} {len(images):,}" for name, images in train.items())
    return str(path), (f"training images: {counts} (at least {low:,}); test images of each: {n_test:,}",)


def _classifier(train: dict[str, ImageSet], request: Request) -> Path:
    side = request.config.data.crop_px
    names = "-".join(images.digest[:6] for images in train.values())
    path = request.storage / "classifiers" / f"domains-{names}-{side}.safetensors"
    if not path.exists():
        few = 400  # as many of each are plenty for three classes
        domains = [[images[i] for i in range(min(few, len(images)))] for images in train.values()]
        train_classifier(domains, side, path)
    return path


def _conditions(request: Request) -> tuple[str, ...]:
    c = request.config
    return (
        f"recipe {c.recipe}: {c.generator.kind}, {c.generator.num_blocks} blocks x {c.generator.channels}, "
        f"x{c.generator.scale}, crop {c.data.crop_px} px, batch {c.data.batch_size}, "
        f"{c.run.psnr_steps:,} PSNR and {c.run.gan_steps:,} GAN updates for every network",
        f"content weight {c.loss.content_weight:g}"
        + (
            f" ({c.loss.content_network}-{c.loss.content_weights})"
            if c.loss.content_weight
            else " (no perceptual network)"
        )
        + f", adversarial weight {c.loss.adversarial_weight:g}; {request.seeds} seeds",
    )


# -- what comes out --------------------------------------------------------------------------------------


def conclude(results: Results) -> Answer:
    """Tables, heat maps, bars, the strip, and the diagonal's verdicts."""
    arms = list(dict.fromkeys(d.training.arm for d in results.done))
    first = results.done[0]
    metrics = [
        m for m in (*first.training.metrics, *DOMAINS) if m in first.found["tests"][arms[0]]["summary"]
    ]
    verdicts = {m: diagonal(results, arms, m) for m in metrics}
    tables = [_values(results, arms, metrics), _diagonal_table(verdicts)]
    return Answer(tables, _figures(results, arms, metrics), _claims(verdicts, metrics, results))


def diagonal(results: Results, arms: list[str], metric: str) -> dict[str, Verdict]:
    """Per test set: the network of that set against the best of the others."""
    better = max if direction(metric) == "max" else min
    comparisons: dict[str, Comparison] = {}
    for test in arms:
        others = [a for a in arms if a != test]
        rival = better(others, key=lambda a: results.mean(a, test, metric))
        comparisons[test] = results.compare(test, rival, test, metric)
    return between_designs(comparisons, direction(metric))


def _values(results: Results, arms: list[str], metrics: list[str]) -> Table:
    rows: list[list[str | float]] = []
    for metric in metrics:
        for arm in arms:
            cells = [results.cell(arm, test, metric) for test in arms]
            rows.append([metric, arm, *cells])
        if metric in METRICS:
            base = [shown(results.baseline("bicubic", test, metric), metric) for test in arms]
            rows.append([metric, "bicubic", *base])
    columns = ["metric", "trained on", *(f"tested on {a}" for a in arms)]
    notes = [f"{m}: {results.done[0].found['tests'][arms[0]]['protocol'][m]}" for m in metrics]
    notes += [f"diverged: {words}" for words in results.diverged()]
    return Table("matrix", "Mean over seeds ± half the range", columns, rows, notes)


def _diagonal_table(verdicts: dict[str, dict[str, Verdict]]) -> Table:
    rows = [
        [m, *(f"{v.word}: {format_verdict(v)}" for v in by_test.values())] for m, by_test in verdicts.items()
    ]
    tests = next(iter(verdicts.values()))
    return Table(
        "diagonal",
        "Own set minus the best other network, 95 % interval, Holm over the test sets",
        ["metric", *tests],
        rows,
    )


def _figures(results: Results, arms: list[str], metrics: list[str]) -> dict[str, bytes]:
    maps = []
    for metric in metrics:
        values = [[results.mean(arm, test, metric) for test in arms] for arm in arms]
        words = [[shown(v, metric) for v in row] for row in values]
        maps.append(figures.Heat(metric, values, words, direction(metric)))
    found = {}
    for part in range(0, len(maps), 3):
        name = f"heat-{part // 3 + 1}.svg"
        found[name] = figures.heat_maps(maps[part : part + 3], arms, arms, "trained on / tested on")
    for metric in metrics:
        series = {f"trained on {arm}": [results.bar(arm, test, metric) for test in arms] for arm in arms}
        levels = (
            {"bicubic": [results.baseline("bicubic", t, metric) for t in arms]} if metric in METRICS else None
        )
        if metric in DOMAINS or metric in INCEPTION or metric == "fd_random":
            levels = None  # bicubic is far off and would flatten the bars
        found[f"bars-{metric}.svg"] = figures.bars(f"{metric} by test set", arms, series, metric, levels)
    found["strip.png"] = _strip(results, arms)
    return found


def _strip(results: Results, arms: list[str]) -> bytes:
    """Figure 2 of the seed: input, target, and the output of each network (seed 0)."""
    firsts = {arm: results.of(arm)[0] for arm in arms}
    rows = []
    for test in arms:
        for i in range(min(PICTURES, 3)):
            kept = results.folder / "pictures"
            row = [kept / f"{test}-input-{i}.png", kept / f"{test}-target-{i}.png"]
            rows.append(row + [d.folder / "pictures" / f"{test}-{i}.png" for d in firsts.values()])
    return figures.strip(rows, ["input", "target", *(f"by {arm}" for arm in arms)])


def _claims(
    verdicts: dict[str, dict[str, Verdict]], metrics: list[str], results: Results
) -> list[ClaimResult]:
    """PSNR and SSIM as they are; the FID claim by FID, else by the named stand-ins with their names."""
    said = [_judged(f"matrix-{m[:4]}", [m], verdicts) for m in ("psnr_y", "ssim_y")]
    if "fid" in metrics:
        said.append(_judged("matrix-fid", ["fid"], verdicts))
    else:
        said.append(
            _judged("matrix-fid", ["fd_domains"], verdicts, "FD-domains in place of FID (no Inception): ")
        )
    others = ", ".join(f"{m} {combined_status(verdicts[m])}" for m in metrics)
    said.append(
        ClaimResult("matrix-strip", UNTESTED, f"a strip is for eyes; by number the diagonal is: {others}")
    )
    return said


def _judged(
    name: str, metrics: list[str], verdicts: dict[str, dict[str, Verdict]], before: str = ""
) -> ClaimResult:
    chosen = {f"{t} {m}": v for m in metrics for t, v in verdicts[m].items()}
    words = "; ".join(f"{where} {format_verdict(v)}" for where, v in chosen.items())
    return ClaimResult(
        name,
        combined_status(chosen),
        before + "the diagonal wins where own minus best other is better: " + words,
    )
