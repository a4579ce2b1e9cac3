"""Edges to photo: Canny on the grey image, smaller by k, and a network that upsamples by k.

k in {1, 2, 4, 8, 16} x {L1, L2} on the first set, faces, and one arm on every further set, which the seed
reports as not converging (Takano & Alaghband, 2019, 5.2). "Converged" means here: better than the mean
training image, which looks at no input at all.
"""

from dataclasses import replace

from datasets.errors import UserError
from datasets.prepare import prepare_study_set
from orchestrator.analysis.significance import (
    BEATS,
    LOSES,
    NOT_ENOUGH,
    NOT_SEPARABLE,
    Verdict,
    between_designs,
)
from orchestrator.studies import figures
from orchestrator.studies.claims import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNTESTED,
    ClaimResult,
    combined_status,
    format_verdict,
    status_of,
)
from orchestrator.studies.evaluation import PICTURES
from orchestrator.studies.kinds.dataset_matrix import on_set
from orchestrator.studies.plan import Study, check_scale, named_sets
from orchestrator.studies.request import Request
from orchestrator.studies.results import Answer, Results, Table, direction, shown
from orchestrator.studies.spec import TestSet, Training, open_test, seeded
from trainers.config import TrainConfig

KIND = "edges_to_photo"
BASELINES = ("mean image",)
DEFAULTS = ("celeba=img_align_celeba.zip", "lsun_dining_room", "lsun_tower")
"""Faces as they were published, because prepared ones have 128 px."""
SCALES, LOSSES = (1, 2, 4, 8, 16), ("l1", "l2")
ELSEWHERE = (4, "l1")
"""Scale and loss on the sets after the first."""
METRICS = ("psnr_rgb", "ssim_y", "colour_shift", "sharpness_gap", "swd")
EXTRAS = ("chroma_error",)


def plan(request: Request, dry: bool = False) -> Study:
    """All arms. UserError for another input than edges, or a crop that some scale does not divide."""
    config = request.config
    if config.data.input != "edges":
        raise UserError(f"edges to photo needs data.input edges, but got {config.data.input}")
    for k in SCALES:
        check_scale(config, k)
    trainings: list[Training] = []
    for place_of, (name, spec) in enumerate(named_sets(request.data, DEFAULTS).items()):
        place = spec if dry else prepare_study_set(spec, request.split, request.storage)
        own = on_set(config, place)
        if not dry:
            open_test(own.data, request.storage)
        pairs = [(k, loss) for k in SCALES for loss in LOSSES] if place_of == 0 else [ELSEWHERE]
        for k, loss in pairs:
            arm = _arm(own, k, loss)
            trainings += [
                Training(
                    f"{name} x{k} {loss.upper()}",
                    seed,
                    seeded(arm, seed),
                    (TestSet(f"{name}-x{k}", arm.data),),
                    METRICS,
                    extras=EXTRAS,
                )
                for seed in range(request.seeds)
            ]
    data = config.data
    said = (
        f"recipe {config.recipe}: Canny on the grey image (sigma {data.canny_sigma}, thresholds "
        f"{data.canny_low} and {data.canny_high} of an image in [0, 1]), then bicubic down by k; crop "
        f"{data.crop_px} px; {config.run.psnr_steps:,} PSNR and {config.run.gan_steps:,} GAN updates of "
        f"{data.batch_size}; {request.seeds} seeds",
        "converged: more PSNR than the mean training image",
    )
    return Study(KIND, tuple(trainings), conclude, said, request.split)


def _arm(config: TrainConfig, k: int, loss: str) -> TrainConfig:
    return replace(
        config, generator=replace(config.generator, scale=k), loss=replace(config.loss, pixel=loss)
    )


def conclude(results: Results) -> Answer:
    """The table beside the mean image, bars over k, Figure 7's strip, and the verdicts."""
    arms = {d.training.arm: d.training.tests[0].name for d in results.done}
    metrics = (*METRICS, *EXTRAS)
    rows: list[list[str | float]] = []
    for arm, test in arms.items():
        rows.append([arm, *(results.cell(arm, test, m) for m in metrics)])
    for test in dict.fromkeys(arms.values()):
        rows.append(
            [f"mean image {test}", *(shown(results.baseline("mean image", test, m), m) for m in metrics)]
        )
    converged = {arm: _verdict(results, arm, "mean image", test, "psnr_rgb") for arm, test in arms.items()}
    notes = [f"{arm} minus mean image, dB: {format_verdict(v, 2)}" for arm, v in converged.items()]
    table = Table("edges", "Mean over seeds ± half the range", ["arm", *metrics], rows, notes)
    first = next(iter(arms)).split(" x")[0]
    return Answer([table], _figures(results, first, arms), _claims(results, first, arms, converged))


def _verdict(results: Results, a: str, b: str, test: str, metric: str) -> Verdict:
    return between_designs({a: results.compare(a, b, test, metric)}, direction(metric))[a]


def _figures(results: Results, first: str, arms: dict[str, str]) -> dict[str, bytes]:
    found = {}
    for metric in ("psnr_rgb", "ssim_y", "sharpness_gap", "swd"):
        series = {
            loss.upper(): [
                results.bar(f"{first} x{k} {loss.upper()}", f"{first}-x{k}", metric) for k in SCALES
            ]
            for loss in LOSSES
        }
        levels = {"mean image": [results.baseline("mean image", f"{first}-x{k}", metric) for k in SCALES]}
        title = f"{metric}, {first} from edges"
        found[f"bars-{metric}.svg"] = figures.bars(title, [f"x{k}" for k in SCALES], series, metric, levels)
    found["strip.png"] = _strip(results, first)
    for arm, test in arms.items():
        if not arm.startswith(f"{first} "):
            found[f"strip-{test}.png"] = _others(results, arm, test)
    return found


def _strip(results: Results, first: str) -> bytes:
    """Figure 7 of the seed: input, target, output L1, output L2, a row per k (seed 0)."""
    rows = []
    for k in SCALES:
        test, kept = f"{first}-x{k}", results.folder / "pictures"
        done = [results.of(f"{first} x{k} {loss.upper()}")[0] for loss in LOSSES]
        for i in range(2):
            rows.append(
                [
                    kept / f"{test}-input-{i}.png",
                    kept / f"{test}-target-{i}.png",
                    *(d.folder / "pictures" / f"{test}-{i}.png" for d in done),
                ]
            )
    return figures.strip(rows, ["input", "target", "output L1", "output L2"])


def _others(results: Results, arm: str, test: str) -> bytes:
    kept, done = results.folder / "pictures", results.of(arm)[0]
    rows = [
        [
            kept / f"{test}-input-{i}.png",
            kept / f"{test}-target-{i}.png",
            done.folder / "pictures" / f"{test}-{i}.png",
        ]
        for i in range(PICTURES)
    ]
    return figures.strip(rows, ["input", "target", "output"])


def _claims(
    results: Results, first: str, arms: dict[str, str], converged: dict[str, Verdict]
) -> list[ClaimResult]:
    faces = {arm: v for arm, v in converged.items() if arm.startswith(f"{first} ")}
    words = "; ".join(f"{arm} {format_verdict(v, 2)} dB" for arm, v in faces.items())
    said = [ClaimResult("edges-faces", combined_status(faces), f"against the mean image: {words}")]
    said.append(_artefacts(results, first))
    said.append(_losses(results, first))
    others = {arm: v for arm, v in converged.items() if arm not in faces}
    return [*said, _elsewhere(others)]


def _artefacts(results: Results, first: str) -> ClaimResult:
    """More detail at x1 is a number; artefacts are for eyes."""
    name, sets = "edges-artefacts", {}
    for loss in ("L1", "L2"):
        x1, x2 = (
            [d.value(f"{first}-x{k}", "sharpness_gap") for d in results.of(f"{first} x{k} {loss}")]
            for k in (1, 2)
        )
        sets[loss] = (sum(x1) / len(x1), sum(x2) / len(x2))
    words = "; ".join(
        f"{loss}: x1 {a:.2f}, x2 {b:.2f} octaves from the target's" for loss, (a, b) in sets.items()
    )
    sharper = all(a < b for a, b in sets.values())
    which = "the sharper" if sharper else "not the sharper"
    why = f"mean gradient: {words}; x1 is {which}, artefacts are for eyes"
    return ClaimResult(name, UNTESTED, why)


def _losses(results: Results, first: str) -> ClaimResult:
    """Different, and neither better everywhere: no common winner over the scales, and some difference."""
    verdicts = {
        k: _verdict(results, f"{first} x{k} L1", f"{first} x{k} L2", f"{first}-x{k}", "psnr_rgb")
        for k in SCALES
    }
    found = [v.word for v in verdicts.values()]
    apart = [w for w in found if w in (BEATS, LOSES)]
    if not apart:
        status = NOT_ENOUGH
    else:
        status = NOT_REPRODUCED if len(set(found)) == 1 else REPRODUCED
    words = "; ".join(f"x{k} {format_verdict(v, 2)} dB" for k, v in verdicts.items())
    return ClaimResult("edges-l1-l2", status, f"L1 minus L2: {words}")


def _elsewhere(others: dict[str, Verdict]) -> ClaimResult:
    """The seed says that these do not converge; one that beats the mean image does."""
    if not others:
        return ClaimResult("edges-rooms", UNTESTED, "no set beside faces was given")
    words = "; ".join(f"{arm} {format_verdict(v, 2)} dB against the mean image" for arm, v in others.items())
    if any(status_of(v) == REPRODUCED for v in others.values()):
        return ClaimResult("edges-rooms", NOT_REPRODUCED, f"some learnt more than the mean image: {words}")
    if all(v.word == LOSES for v in others.values()):
        return ClaimResult("edges-rooms", REPRODUCED, words)
    few = any(v.word not in (LOSES, NOT_SEPARABLE) for v in others.values())
    return ClaimResult("edges-rooms", NOT_ENOUGH, f"{'too few seeds' if few else 'not separable'}: {words}")
