"""Grey to colour at scale 1: one network per domain, tested on it (Takano & Alaghband, 2019, sec. 5.1)."""

from datasets.errors import UserError
from datasets.text import count
from orchestrator.analysis.intervals import hierarchical_bootstrap
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import UNTESTED, ClaimResult, decide
from orchestrator.studies.evaluation import PICTURES
from orchestrator.studies.kinds.dataset_matrix import DEFAULTS
from orchestrator.studies.plan import Study, named_sets, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, StudyResults, Table
from orchestrator.studies.spec import StudyTestSet, Training, open_test, seeded

KIND = "colorize"
BASELINES = ("grey", "tint")
METRICS = ("psnr_rgb", "ssim_y", "colour_shift", "swd")
EXTRAS = ("chroma_error", "chroma_centre", "chroma_border", "saturation")
CLAIMS = ("colour-faces", "colour-rooms", "colour-towers")
"""Claims about the first, second and third set: faces, rooms, buildings."""


def plan(request: StudyRequest, dry: bool = False) -> Study:
    """Return one arm per set. UserError for another task than grey at scale 1, or without a test part."""
    config = request.config
    if config.data.input != "grey" or config.generator.scale != 1:
        raise UserError(
            f"colouring needs data.input grey and generator.scale 1, but got {config.data.input} and "
            f"{config.generator.scale}"
        )
    trainings = []
    for name, spec in named_sets(request.data, DEFAULTS).items():
        own = on_set(config, prepared(spec, request.split, request, dry))
        if not dry:
            open_test(own.data, request.work_dir)
        test = (StudyTestSet(name, own.data),)
        trainings += [
            Training(name, seed, seeded(own, seed), test, METRICS, extras=EXTRAS)
            for seed in range(request.seeds)
        ]
    conditions = (
        f"recipe {config.recipe}, grey input at scale 1, {config.loss.pixel} as content, crop "
        f"{config.data.crop_px} px, {config.run.psnr_steps:,} PSNR and {config.run.gan_steps:,} GAN updates "
        f"of {config.data.batch_size}; {count(request.seeds, 'seed')}; the sets stand for faces, rooms, "
        f"buildings in this order",
    )
    return Study(KIND, tuple(trainings), conclude, conditions, request.split)


def conclude(results: StudyResults) -> Answer:
    """Return the table beside the grey input and one tint, bars of chroma errors, strips, and verdicts."""
    arms, metrics = results.arms, (*METRICS, *EXTRAS)
    rows = [
        [arm, words, *results.cells(name or arm, arm, metrics)]
        for arm in arms
        for name, words in (("", "network"), ("tint", "one tint"), ("grey", "grey input"))
    ]
    notes = results.protocols(results.done[0].training.arm, metrics)
    table = Table("colour", "Mean over seeds ± half the range", ["set", "image", *metrics], rows, notes)
    series = {
        m: [results.bar(a, a, m) for a in arms] for m in ("chroma_error", "chroma_centre", "chroma_border")
    }
    levels = {
        f"chroma_error of {kind}": [results.baseline(kind, a, "chroma_error") for a in arms]
        for kind in BASELINES
    }
    bars = figures.bars("Chroma error, grey levels", arms, series, "RMSE of Cb, Cr", levels)
    strips = {f"strip-{arm}.png": _strip(results, arm) for arm in arms}
    return Answer([table], {"bars-chroma.svg": bars, **strips}, _claims(results, arms))


def _strip(results: StudyResults, arm: str) -> bytes:
    """Draw a table of pictures as Figures 4 to 6 of the document: one row for each of PICTURES test images.

    Its columns are the grey input, the original, and the outputs of the networks of the first two seeds.
    """
    done = results.of(arm)[:2]
    rows = [results.pictures(arm, i, ["input", "target", *done]) for i in range(PICTURES)]
    return figures.strip(rows, ["grey", "original", *(f"seed {d.training.seed}" for d in done)])


def _claims(results: StudyResults, arms: list[str]) -> list[ClaimResult]:
    """Compare each set with the grey input and with one tint, which needs no recognition of content."""
    answers = []
    for name, arm in zip(CLAIMS, arms, strict=False):
        metric = "chroma_centre" if name == "colour-faces" else "chroma_error"
        verdicts = {f"minus that of {kind}": results.verdict(arm, kind, arm, metric) for kind in BASELINES}
        answers.append(decide(name, verdicts, before=f"{metric} of {arm}, grey levels, ", decimals=2))
    label = f"chroma error removed at the centre minus at the border of {arms[0]}:"
    background = {label: _background(results, arms[0])}
    answers.append(decide("colour-background", background, unit=" grey levels", decimals=2))
    missing = CLAIMS[len(arms) :]
    return answers + [ClaimResult(name, UNTESTED, "no set was given for it") for name in missing]


def _background(results: StudyResults, arm: str) -> Verdict:
    """Return the verdict on "more error is removed at the centre, where the face is, than at the border"."""
    grey = results.baselines["grey"][arm]["per_image"]
    centre, border = (
        [
            [g - n for g, n in zip(grey[m], d.measured["tests"][arm]["per_image"][m], strict=True)]
            for d in results.of(arm)
        ]
        for m in ("chroma_centre", "chroma_border")
    )
    return between_designs({arm: hierarchical_bootstrap(centre, border, paired=True)}, "max")[arm]
