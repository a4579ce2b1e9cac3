"""Grey to colour at scale 1, one network per domain, each on its own (Takano & Alaghband, 2019, 5.1)."""

from datasets.errors import UserError
from datasets.prepare import prepare_study_set
from orchestrator.analysis.intervals import hierarchical_bootstrap
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import UNTESTED, ClaimResult, combined_status, format_verdict, status_of
from orchestrator.studies.evaluation import PICTURES
from orchestrator.studies.kinds.dataset_matrix import DEFAULTS, on_set
from orchestrator.studies.plan import Study, named_sets
from orchestrator.studies.request import Request
from orchestrator.studies.results import Answer, Results, Table, direction, shown
from orchestrator.studies.spec import TestSet, Training, open_test, seeded

KIND = "colorize"
BASELINES = ("grey", "tint")
METRICS = ("psnr_rgb", "ssim_y", "colour_shift", "swd")
EXTRAS = ("chroma_error", "chroma_centre", "chroma_border", "saturation")
CLAIMS = ("colour-faces", "colour-rooms", "colour-towers")
"""Of the first, second and third set: faces, rooms, buildings."""


def plan(request: Request, dry: bool = False) -> Study:
    """One arm per set. UserError for another task than grey at scale 1, or a set without a test part."""
    config = request.config
    if config.data.input != "grey" or config.generator.scale != 1:
        raise UserError(
            f"colouring is data.input grey at generator.scale 1, but got {config.data.input} at "
            f"{config.generator.scale}"
        )
    sets = named_sets(request.data, DEFAULTS)
    trainings = []
    for name, spec in sets.items():
        place = spec if dry else prepare_study_set(spec, request.split, request.storage)
        own = on_set(config, place)
        if not dry:
            open_test(own.data, request.storage)
        test = (TestSet(name, own.data),)
        trainings += [
            Training(name, seed, seeded(own, seed), test, METRICS, extras=EXTRAS)
            for seed in range(request.seeds)
        ]
    said = (
        f"recipe {config.recipe}, grey input at scale 1, {config.loss.pixel} as content, crop "
        f"{config.data.crop_px} px, {config.run.psnr_steps:,} PSNR and {config.run.gan_steps:,} GAN updates "
        f"of {config.data.batch_size}; {request.seeds} seeds; the sets stand for faces, rooms, buildings in "
        f"this order",
    )
    return Study(KIND, tuple(trainings), conclude, said, request.split)


def conclude(results: Results) -> Answer:
    """The table beside the grey input and one tint, bars of the chroma error, strips, and the verdicts."""
    arms = list(dict.fromkeys(d.training.arm for d in results.done))
    metrics = (*METRICS, *EXTRAS)
    rows: list[list[str | float]] = []
    for arm in arms:
        rows.append([arm, "network", *(results.cell(arm, arm, m) for m in metrics)])
        for kind, words in (("tint", "one tint"), ("grey", "grey input")):
            rows.append([arm, words, *(shown(results.baseline(kind, arm, m), m) for m in metrics)])
    first = results.done[0]
    notes = [f"{m}: {first.found['tests'][first.training.arm]['protocol'][m]}" for m in metrics]
    table = Table("colour", "Mean over seeds ± half the range", ["set", "image", *metrics], rows, notes)
    series = {
        m: [results.bar(a, a, m) for a in arms] for m in ("chroma_error", "chroma_centre", "chroma_border")
    }
    grey = {
        f"chroma_error of {kind}": [results.baseline(kind, a, "chroma_error") for a in arms]
        for kind in BASELINES
    }
    found = {
        "bars-chroma.svg": figures.bars("Chroma error, grey levels", arms, series, "RMSE of Cb, Cr", grey)
    }
    found |= {f"strip-{arm}.png": _strip(results, arm) for arm in arms}
    return Answer([table], found, _claims(results, arms))


def _strip(results: Results, arm: str) -> bytes:
    """Figures 4 to 6 of the seed: grey, original, output (the first seeds)."""
    kept, done = results.folder / "pictures", results.of(arm)[:2]
    rows = [
        [
            kept / f"{arm}-input-{i}.png",
            kept / f"{arm}-target-{i}.png",
            *(d.folder / "pictures" / f"{arm}-{i}.png" for d in done),
        ]
        for i in range(PICTURES)
    ]
    return figures.strip(rows, ["grey", "original", *(f"seed {d.training.seed}" for d in done)])


def _claims(results: Results, arms: list[str]) -> list[ClaimResult]:
    said = []
    for name, arm in zip(CLAIMS, arms, strict=False):
        metric = "chroma_centre" if name == "colour-faces" else "chroma_error"
        verdicts = {kind: _against(results, arm, kind, metric) for kind in BASELINES}
        words = "; ".join(f"minus that of {kind} {format_verdict(v, 2)}" for kind, v in verdicts.items())
        said.append(ClaimResult(name, combined_status(verdicts), f"{metric} of {arm}, grey levels, {words}"))
    background = _background(results, arms[0])
    why = (
        f"chroma error removed at the centre minus at the border of {arms[0]}: "
        f"{format_verdict(background, 2)} "
        f"grey levels"
    )
    said.append(ClaimResult("colour-background", status_of(background), why))
    missing = CLAIMS[len(arms) :]
    return said + [ClaimResult(name, UNTESTED, "no set was given for it") for name in missing]


def _against(results: Results, arm: str, kind: str, metric: str) -> Verdict:
    """Against the grey input, and against one tint over all of it, which needs no eye for anything."""
    comparison = results.compare(arm, kind, arm, metric)
    return between_designs({arm: comparison}, direction(metric))[arm]


def _background(results: Results, arm: str) -> Verdict:
    """Whether more of the error goes at the centre, where the face is, than at the border."""
    grey = results.baselines["grey"][arm]["per_image"]
    gains = {
        place: [
            [g - n for g, n in zip(grey[place], d.found["tests"][arm]["per_image"][place], strict=True)]
            for d in results.of(arm)
        ]
        for place in ("chroma_centre", "chroma_border")
    }
    comparison = hierarchical_bootstrap(gains["chroma_centre"], gains["chroma_border"])
    return between_designs({arm: comparison}, "max")[arm]
