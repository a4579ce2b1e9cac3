"""Two documents that are one table each: resizers, SRCNN and SRGAN's or ESRGAN's family on test sets.

srresnet_srgan_review at x4: PSNR and SSIM of SRResNet-MSE against the rest. srcnn_vs_esrgan_analysis at x2:
its Table 1, and its Table 2 both ways, because its two halves measured SSIM differently (see `ssim_misread`).
What is trained comes as arms from the recipes; published rows stand in experiments/benchmark_table.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from datasets.errors import UserError
from datasets.prepare import prepare_study_set
from orchestrator.analysis.significance import NOT_ENOUGH, Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import (
    MECHANICS,
    NOT_REPRODUCED,
    UNTESTED,
    ClaimResult,
    combined_status,
    format_verdict,
    status_of,
)
from orchestrator.studies.kinds.dataset_matrix import on_set
from orchestrator.studies.plan import Study, named_sets
from orchestrator.studies.request import Request
from orchestrator.studies.results import Answer, Results, Table, direction, shown
from orchestrator.studies.spec import TestSet, Training, open_test, seeded
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


@dataclass(frozen=True)
class Arm:
    """One row: how it is trained, and the row whose network it starts from."""

    config: TrainConfig
    after: str = ""


def plan(
    request: Request, dry: bool = False, arms: Mapping[str, Arm] | None = None, tests: tuple[str, ...] = ()
) -> Study:
    """Every arm with every seed on every test set. UserError where arms of two scales would meet."""
    arms = arms or {}
    scales = {arm.config.generator.scale for arm in arms.values()}
    if len(scales) != 1:
        raise UserError(f"one table holds one scale, but its arms have {sorted(scales)}")
    ((_, spec),) = list(named_sets(request.data, MINIATURE if request.miniature else DEFAULTS).items())[:1]
    place = spec if dry else prepare_study_set(spec, "", request.storage)
    own_tests = request.kind == VERSUS and not request.miniature
    named = named_sets(tests, tuple(VERSUS_TESTS) if own_tests else TESTS)
    trainings = []
    for seed in range(request.seeds):
        for name, arm in arms.items():
            own = on_set(arm.config, place)
            on = tuple(_test(own, n, s) for n, s in named.items())
            before = _named(arm.after, seed) if arm.after else ""
            trainings.append(Training(name, seed, seeded(own, seed), on, METRICS, before, EXTRAS))
    if not dry:
        for test in trainings[0].tests:
            open_test(test.data, request.storage)
    said = (
        f"trained on {place}, x{scales.pop()}, {request.seeds} seeds; tested on "
        f"{', '.join(named)}; verdicts on {_judged_on(list(named))}",
    )
    return Study(request.kind, tuple(trainings), conclude, said)


def _test(config: TrainConfig, name: str, spec: str) -> TestSet:
    crop_px, first = VERSUS_TESTS.get(spec, (0, 0))
    own = replace(config.data, eval_crop_px=crop_px, eval_crop_at="centre")
    return TestSet(name, replace(own, train="demo", test=spec, crop_px=96, batch_size=1, order_seed=0), first)


def _judged_on(tests: list[str]) -> str:
    """The document's DIV2K, else the last set, which is the largest of the usual three."""
    return "div2k" if "div2k" in tests else tests[-1]


def _named(arm: str, seed: int) -> str:
    return Training(arm, seed, TrainConfig(), (), ()).name


def conclude(results: Results) -> Answer:
    """The table, SSIM both ways, bars and the claims of the document that the arms belong to."""
    arms = list(dict.fromkeys(d.training.arm for d in results.done if results.of(d.training.arm)))
    tests = [t.name for t in results.done[0].training.tests]
    rows: list[list[str | float]] = []
    for name in BASELINES:
        cells = [shown(results.baseline(name, t, m), m) for t in tests for m in METRICS]
        rows.append([name, *cells, ""])
    for arm in arms:
        cells = [results.cell(arm, t, m) for t in tests for m in METRICS]
        rows.append([arm, *cells, f"{results.of(arm)[0].found['parameters']:,}"])
    columns = ["model", *(f"{t} {m}" for t in tests for m in METRICS), "parameters"]
    protocols = results.done[0].found["tests"][_judged_on(tests)]["protocol"]
    notes = [f"{m}: {protocols[m]}" for m in METRICS]
    table = Table("benchmark", "Mean over seeds ± half the range", columns, rows, notes)
    last = _judged_on(tests)
    series = {arm: [results.bar(arm, t, "psnr_y") for t in tests] for arm in arms}
    levels = {"bicubic": [results.baseline("bicubic", t, "psnr_y") for t in tests]}
    drawn = {"bars-psnr_y.svg": figures.bars("PSNR-Y by test set", tests, series, "psnr_y, dB", levels)}
    claims = _esrgan_claims(results, last) if ESRGAN in arms else _srgan_claims(results, arms, last)
    return Answer([table, _both_ways(results, arms, last)], drawn, claims)


def _both_ways(results: Results, arms: list[str], test: str) -> Table:
    """The same images with SSIM as half of the document's Table 2 has it, and as the other half."""
    rows: list[list[str | float]] = [
        [arm, *(f"{100 * results.mean(arm, test, m):.1f}" for m in EXTRAS)] for arm in arms
    ]
    rows.append(["bicubic", *(f"{100 * results.baseline('bicubic', test, m):.1f}" for m in EXTRAS)])
    title = f"SSIM of the same {test} images x 100: channels first, and rows read as channels"
    return Table("ssim-both-ways", title, ["model", "as it is", "misread"], rows)


def _verdicts(results: Results, arm: str, others: list[str], test: str, metric: str) -> dict[str, Verdict]:
    comparisons = {other: results.compare(arm, other, test, metric) for other in others}
    return between_designs(comparisons, direction(metric))


def _words(verdicts: dict[str, Verdict]) -> str:
    return "; ".join(f"{name} {format_verdict(v)}" for name, v in verdicts.items())


def _srgan_claims(results: Results, arms: list[str], test: str) -> list[ClaimResult]:
    others = [a for a in arms if a != SRRESNET] + list(BASELINES)
    found = {
        f"{o} {m}": v for m in METRICS[:2] for o, v in _verdicts(results, SRRESNET, others, test, m).items()
    }
    lower = [SRCNN, *BASELINES]
    psnr = _verdicts(results, SRRESNET, lower, test, "psnr_y")
    return [
        ClaimResult("review-psnr", combined_status(found), f"SRResNet-MSE on {test} minus {_words(found)}"),
        ClaimResult(
            "review-srcnn", combined_status(psnr), f"PSNR of SRResNet-MSE on {test} minus {_words(psnr)}"
        ),
    ]


def _esrgan_claims(results: Results, test: str) -> list[ClaimResult]:
    verdict = _verdicts(results, ESRGAN, [SRCNN], test, "psnr_rgb")[SRCNN]
    loss = results.of(ESRGAN)[0].training.config.loss
    random = loss.content_weight > 0 and loss.content_weights == "random"
    said = ClaimResult(
        "srcnn-table1",
        UNTESTED if random else status_of(verdict),
        (f"{MECHANICS}: " if random else "")
        + f"PSNR (RGB) of ESRGAN minus SRCNN on {test}: {format_verdict(verdict, 2)} dB",
    )
    right, wrong = (results.mean(ESRGAN, test, m) for m in EXTRAS)
    status = NOT_REPRODUCED if wrong - right > 0.02 else NOT_ENOUGH
    why = (
        f"an artefact: one set of images has SSIM {100 * right:.1f} as the document's own rows are measured "
        f"and {100 * wrong:.1f} with rows read as channels, as its pre-trained row is"
    )
    return [said, ClaimResult("srcnn-table2", status, why)]
