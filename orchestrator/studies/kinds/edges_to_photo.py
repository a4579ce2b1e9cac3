"""Edges to photo: Canny edges of the grey image, reduced by k, and a network that upsamples by k.

k in {1, 2, 4, 8, 16} x {L1, L2} on the first set, faces, and one arm on every further set, which the document
reports as not converging (Takano & Alaghband, 2019, 5.2). "Converged" means here: more PSNR than the mean
training image, which ignores the input.
"""

from datasets.errors import UserError
from datasets.text import count
from orchestrator.analysis.significance import BEATS, LOSES, NOT_ENOUGH, NOT_SEPARABLE, Verdict
from orchestrator.studies import figures
from orchestrator.studies.claims import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNTESTED,
    ClaimResult,
    decide,
    format_verdict,
    format_verdicts,
    status_of,
)
from orchestrator.studies.evaluation import PICTURES
from orchestrator.studies.plan import Study, check_scale, named_sets, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, Column, StudyResults, Table
from orchestrator.studies.spec import StudyTestSet, Training, open_test, seeded
from trainers.config import override

KIND = "edges_to_photo"
MEAN_IMAGE = "mean image"
BASELINES = (MEAN_IMAGE,)
DEFAULTS = ("celeba=img_align_celeba.zip", "lsun_dining_room", "lsun_tower")
"""Faces as published, because prepared ones have 128 px only."""
SCALES, LOSSES = (1, 2, 4, 8, 16), ("L1", "L2")
FURTHER_SETS = (4, "L1")
"""Scale and loss on the sets after the first."""
METRICS = ("psnr_rgb", "ssim_y", "colour_shift", "sharpness_gap", "swd")
EXTRAS = ("chroma_error",)


def plan(request: StudyRequest, dry: bool = False) -> Study:
    """Return all arms. UserError for another input than edges, or if some scale does not divide the crop."""
    config, data = request.config, request.config.data
    if data.input != "edges":
        raise UserError(f"edges to photo needs data.input edges, but got {data.input}")
    for k in SCALES:
        check_scale(config, k)
    trainings = []
    for index, (name, spec) in enumerate(named_sets(request.data, DEFAULTS).items()):
        own = on_set(config, prepared(spec, request.split, request, dry))
        if not dry:
            open_test(own.data, request.work_dir)
        for k, loss in [FURTHER_SETS] if index else [(k, loss) for k in SCALES for loss in LOSSES]:
            arm = override(own, {"generator.scale": k, "loss.pixel": loss.lower()})
            test = (StudyTestSet(f"{name}-x{k}", arm.data),)
            trainings += [
                Training(f"{name} x{k} {loss}", seed, seeded(arm, seed), test, METRICS, extras=EXTRAS)
                for seed in range(request.seeds)
            ]
    conditions = (
        f"recipe {config.recipe}: Canny on the grey image (sigma {data.canny_sigma}, thresholds "
        f"{data.canny_low} and {data.canny_high} of an image in [0, 1]), then bicubic down by k; crop "
        f"{data.crop_px} px; {config.run.psnr_steps:,} PSNR and {config.run.gan_steps:,} GAN updates of "
        f"{data.batch_size}; {count(request.seeds, 'seed')}",
        "converged: more PSNR than the mean training image",
    )
    return Study(KIND, tuple(trainings), conclude, conditions, request.split)


def conclude(results: StudyResults) -> Answer:
    """Return the table beside the mean image, bars over k, strips of pictures, and the verdicts."""
    arms = {d.training.arm: d.training.tests[0].name for d in results.done}
    metrics = (*METRICS, *EXTRAS)
    rows = [[arm, *results.cells(arm, test, metrics)] for arm, test in arms.items()]
    for test in dict.fromkeys(arms.values()):
        rows.append([f"{MEAN_IMAGE} {test}", *results.cells(MEAN_IMAGE, test, metrics)])
    converged = {arm: results.verdict(arm, MEAN_IMAGE, test, "psnr_rgb") for arm, test in arms.items()}
    notes = [f"{arm} minus mean image, dB: {format_verdict(v, 2)}" for arm, v in converged.items()]
    table = Table("edges", "Mean over seeds ± half the range", ["arm", *metrics], rows, notes)
    first = next(iter(arms)).split(" x")[0]
    return Answer([table], _figures(results, first, arms), _claims(results, first, converged))


def _figures(results: StudyResults, first: str, arms: dict[str, str]) -> dict[str, bytes]:
    drawn = {}
    for metric in ("psnr_rgb", "ssim_y", "sharpness_gap", "swd"):
        series = {
            loss: [results.bar(f"{first} x{k} {loss}", f"{first}-x{k}", metric) for k in SCALES]
            for loss in LOSSES
        }
        levels = {MEAN_IMAGE: [results.baseline(MEAN_IMAGE, f"{first}-x{k}", metric) for k in SCALES]}
        title = f"{metric}, {first} from edges"
        drawn[f"bars-{metric}.svg"] = figures.bars(title, [f"x{k}" for k in SCALES], series, metric, levels)
    drawn["strip.png"] = _strip(results, first)
    for arm, test in arms.items():
        if not arm.startswith(f"{first} "):
            columns: list[Column] = ["input", "target", results.of(arm)[0]]
            rows = [results.pictures(test, i, columns) for i in range(PICTURES)]
            drawn[f"strip-{test}.png"] = figures.strip(rows, ["input", "target", "output"])
    return drawn


def _strip(results: StudyResults, first: str) -> bytes:
    """Draw the document's Figure 7: input, target, output L1, output L2 of the first seed; two rows per k."""
    rows = []
    for k in SCALES:
        columns: list[Column] = ["input", "target"]
        columns += [results.of(f"{first} x{k} {loss}")[0] for loss in LOSSES]
        rows += [results.pictures(f"{first}-x{k}", i, columns) for i in range(2)]
    return figures.strip(rows, ["input", "target", *(f"output {loss}" for loss in LOSSES)])


def _claims(results: StudyResults, first: str, converged: dict[str, Verdict]) -> list[ClaimResult]:
    faces = {arm: v for arm, v in converged.items() if arm.startswith(f"{first} ")}
    others = {arm: v for arm, v in converged.items() if arm not in faces}
    return [
        decide("edges-faces", faces, before="against the mean image: ", unit=" dB", decimals=2),
        _artefacts(results, first),
        _losses(results, first),
        _further_sets(others),
    ]


def _artefacts(results: StudyResults, first: str) -> ClaimResult:
    """Compare the detail of x1 and x2 by mean gradients; artefacts need eyes, so it stays untested."""
    gaps = {
        loss: [results.mean(f"{first} x{k} {loss}", f"{first}-x{k}", "sharpness_gap") for k in (1, 2)]
        for loss in LOSSES
    }
    words = "; ".join(
        f"{loss}: x1 {a:.2f}, x2 {b:.2f} octaves from the target's" for loss, (a, b) in gaps.items()
    )
    which = "the sharper" if all(a < b for a, b in gaps.values()) else "not the sharper"
    why = f"mean gradient: {words}; x1 is {which}, artefacts are for eyes"
    return ClaimResult("edges-artefacts", UNTESTED, why)


def _losses(results: StudyResults, first: str) -> ClaimResult:
    """Answer "different, and neither is better for all scales": some difference, and no common winner."""
    verdicts = {
        f"x{k}": results.verdict(f"{first} x{k} L1", f"{first} x{k} L2", f"{first}-x{k}", "psnr_rgb")
        for k in SCALES
    }
    words = {v.word for v in verdicts.values()}
    status = NOT_REPRODUCED if len(words) == 1 else REPRODUCED
    if not words & {BEATS, LOSES}:
        status = NOT_ENOUGH
    return ClaimResult("edges-l1-l2", status, f"L1 minus L2: {format_verdicts(verdicts, 2, ' dB')}")


def _further_sets(converged: dict[str, Verdict]) -> ClaimResult:
    """Answer "these sets do not converge": refuted by one arm that beats the mean image."""
    if not converged:
        return ClaimResult("edges-rooms", UNTESTED, "no set beside faces was given")
    status, before = NOT_ENOUGH, "not separable: "
    if any(status_of(v) == REPRODUCED for v in converged.values()):
        status, before = NOT_REPRODUCED, "some learnt more than the mean image: "
    elif all(v.word == LOSES for v in converged.values()):
        status, before = REPRODUCED, ""
    elif any(v.word not in (LOSES, NOT_SEPARABLE) for v in converged.values()):
        before = "too few seeds: "
    why = before + format_verdicts(converged, 2, " dB against the mean image")
    return ClaimResult("edges-rooms", status, why)
