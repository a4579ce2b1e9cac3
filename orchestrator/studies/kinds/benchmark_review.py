"""Two documents that are one table each: resizing, SRCNN and SRGAN's or ESRGAN's family on test sets.

srresnet_srgan_review at x4: PSNR and SSIM of SRResNet-MSE against the other rows. srcnn_vs_esrgan_analysis
at x2: its Table 1, and its Table 2 in two ways, because its halves measured SSIM differently.
The arms come from experiments/recipes/review.py; published rows are in experiments/benchmark_table.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from datasets.errors import UserError
from datasets.text import count
from orchestrator.analysis.significance import NOT_ENOUGH
from orchestrator.studies import figures
from orchestrator.studies.claims import MECHANICS, NOT_REPRODUCED, ClaimResult, decide
from orchestrator.studies.plan import Study, first_set, named_sets, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, StudyResults, Table
from orchestrator.studies.spec import StudyTestSet, Training, open_test, seeded
from trainers.config import TrainConfig

BASELINES = ("nearest", "bicubic")
DEFAULTS, MINIATURE = ("div2k",), ("demo",)
TESTS = ("set5", "set14", "bsd100")
VERSUS = "srcnn_vs_esrgan"
VERSUS_TESTS = {"div2k": (256, 0), "ffhq": (0, 1_000), "selfie2anime": (0, 0)}
"""Test sets of the comparison at full scale (its sec. 4.2, 4.3): centre crop in px, first images by key."""
METRICS = ("psnr_y", "ssim_y", "psnr_rgb")
EXTRAS = ("ssim_rgb", "ssim_misread")
SRRESNET, SRCNN = "SRResNet-MSE", "SRCNN"
ESRGAN = "ESRGAN"
TABLE_1_DB = 0.4
"""Difference of ESRGAN and SRCNN in the document's Table 1, DIV2K."""
MISREAD_GAIN = 0.02
"""Gain of SSIM by misreading alone that explains the document's Table 2."""


@dataclass(frozen=True)
class Arm:
    """One row: the settings of its training, and the row whose network it starts from."""

    config: TrainConfig
    after: str = ""


def plan(
    request: StudyRequest,
    dry: bool = False,
    arms: Mapping[str, Arm] | None = None,
    tests: tuple[str, ...] = (),
) -> Study:
    """Return every arm with every seed on every test set. UserError if the arms have different scales."""
    arms = arms or {}
    scales = {arm.config.generator.scale for arm in arms.values()}
    if len(scales) != 1:
        raise UserError(f"one table holds one scale, but its arms have {sorted(scales)}")
    _, spec = first_set(request.data, MINIATURE if request.miniature else DEFAULTS)
    path = prepared(spec, "", request, dry)
    own_tests = request.kind == VERSUS and not request.miniature
    named = named_sets(tests, tuple(VERSUS_TESTS) if own_tests else TESTS)
    trainings = []
    for seed in range(request.seeds):
        names: dict[str, str] = {"": ""}
        for arm, row in arms.items():
            own = on_set(row.config, path)
            on = tuple(_test(own, n, s) for n, s in named.items())
            training = Training(arm, seed, seeded(own, seed), on, METRICS, names[row.after], EXTRAS)
            names[arm] = training.name
            trainings.append(training)
    if not dry:
        for test in trainings[0].tests:
            open_test(test.data, request.work_dir)
    conditions = (
        f"trained on {path}, x{scales.pop()}, {count(request.seeds, 'seed')}; tested on "
        f"{', '.join(named)}; verdicts on {_verdict_set(list(named))}",
    )
    return Study(request.kind, tuple(trainings), conclude, conditions)


def _test(config: TrainConfig, name: str, spec: str) -> StudyTestSet:
    crop_px, first = VERSUS_TESTS.get(spec, (0, 0))
    own = replace(config.data, eval_crop_px=crop_px, eval_crop_at="centre")
    return StudyTestSet(
        name, replace(own, train="demo", test=spec, crop_px=96, batch_size=1, order_seed=0), first
    )


def _verdict_set(tests: list[str]) -> str:
    """Return the test set that decides the claims: div2k if it is measured, else the last of `tests`."""
    return "div2k" if "div2k" in tests else tests[-1]


def conclude(results: StudyResults) -> Answer:
    """Return the table, SSIM in two ways, bars, and the claims of the document that the arms belong to."""
    arms = [arm for arm in results.arms if results.of(arm)]
    tests = [t.name for t in results.done[0].training.tests]
    rows = [
        [name, *(c for t in tests for c in results.cells(name, t, METRICS)), _parameters(results, name)]
        for name in (*BASELINES, *arms)
    ]
    columns = ["model", *(f"{t} {m}" for t in tests for m in METRICS), "parameters"]
    test = _verdict_set(tests)
    notes = results.protocols(test, METRICS)
    table = Table("benchmark", "Mean over seeds ± half the range", columns, rows, notes)
    series = {arm: [results.bar(arm, t, "psnr_y") for t in tests] for arm in arms}
    levels = {"bicubic": [results.baseline("bicubic", t, "psnr_y") for t in tests]}
    drawn = {"bars-psnr_y.svg": figures.bars("PSNR-Y by test set", tests, series, "psnr_y, dB", levels)}
    claims = _esrgan_claims(results, test) if ESRGAN in arms else _srgan_claims(results, arms, test)
    return Answer([table, _ssim_table(results, arms, test)], drawn, claims)


def _parameters(results: StudyResults, arm: str) -> str:
    return "" if arm in BASELINES else f"{results.of(arm)[0].measured['parameters']:,}"


def _ssim_table(results: StudyResults, arms: list[str], test: str) -> Table:
    """Return SSIM of equal images as each half of the document's Table 2 measured it."""
    values = {arm: [results.mean(arm, test, m) for m in EXTRAS] for arm in arms}
    values["bicubic"] = [results.baseline("bicubic", test, m) for m in EXTRAS]
    rows = [[name, *(f"{100 * v:.1f}" for v in pair)] for name, pair in values.items()]
    title = f"SSIM of the same {test} images x 100: channels first, and rows read as channels"
    return Table("ssim-both-ways", title, ["model", "as it is", "misread"], rows)


def _srgan_claims(results: StudyResults, arms: list[str], test: str) -> list[ClaimResult]:
    others = [a for a in arms if a != SRRESNET] + list(BASELINES)
    both = {
        f"{other} {m}": v
        for m in METRICS[:2]
        for other, v in results.verdicts(SRRESNET, others, test, m).items()
    }
    psnr = results.verdicts(SRRESNET, [SRCNN, *BASELINES], test, "psnr_y")
    return [
        decide("review-psnr", both, before=f"SRResNet-MSE on {test} minus "),
        decide("review-srcnn", psnr, before=f"PSNR of SRResNet-MSE on {test} minus "),
    ]


def _esrgan_claims(results: StudyResults, test: str) -> list[ClaimResult]:
    label = f"PSNR (RGB) of ESRGAN minus SRCNN on {test}:"
    verdict = replace(results.verdict(ESRGAN, SRCNN, test, "psnr_rgb"), least=TABLE_1_DB)
    loss = results.of(ESRGAN)[0].training.config.loss
    untested = MECHANICS if loss.content_weight and loss.content_weights == "random" else ""
    right, wrong = (results.mean(ESRGAN, test, m) for m in EXTRAS)
    status = NOT_REPRODUCED if wrong - right > MISREAD_GAIN else NOT_ENOUGH
    why = (
        f"an artefact: one set of images has SSIM {100 * right:.1f} as the document's own rows are measured "
        f"and {100 * wrong:.1f} with rows read as channels, as its pre-trained row is"
    )
    return [
        decide("srcnn-table1", {label: verdict}, unit=" dB", decimals=2, untested=untested),
        ClaimResult("srcnn-table2", status, why),
    ]
