"""Two documents that are one table each: resizing, SRCNN and SRGAN's or ESRGAN's family on test sets.

srresnet_srgan_review at x4: PSNR and SSIM of SRResNet-MSE against the other rows, and LPIPS of its GANs.
srcnn_vs_esrgan_analysis at x2: its Table 1, and its Table 2 in two ways, because its halves measured SSIM
differently; a public RRDB for x4, its results halved, is the pre-trained network. In both a sentinel, an
unsharp mask on the PSNR network, is a row. The arms come from experiments/recipes/review.py; published rows
are in experiments/benchmark_table.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from datasets.errors import UserError
from datasets.text import count
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.baselines import PUBLIC, lacking
from orchestrator.studies.claims import MECHANICS, NO_VERDICTS, UNTESTED, ClaimResult, decide
from orchestrator.studies.plan import Study, first_set, named_sets, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, Column, StudyResults, Table
from orchestrator.studies.spec import StudyTestSet, Training, installed, open_test, seeded
from trainers.config import TrainConfig

BASELINES = ("nearest", "bicubic")
VERSUS_BASELINES = (*BASELINES, PUBLIC)
DEFAULTS, MINIATURE = ("div2k",), ("demo",)
TESTS = ("set5", "set14", "bsd100")
VERSUS = "srcnn_vs_esrgan"
VERSUS_TESTS = {"div2k": (256, 0), "ffhq": (0, 1_000), "selfie2anime": (0, 0)}
"""Test sets of the comparison at full scale (its sec. 4.2, 4.3): centre crop in px, first images by key."""
MINIATURE_TEST = (128, 40)
"""Crop in px and first images of each test set in miniature; a public network takes seconds for each."""
METRICS = ("psnr_y", "ssim_y", "psnr_rgb")
PERCEPTUAL = ("lpips_alex",)
"""Measured as well if its weights are installed; VGG's, which train, have no part in it."""
EXTRAS = ("ssim_rgb", "ssim_misread")
SRRESNET, SRCNN = "SRResNet-MSE", "SRCNN"
MSE, VGG22, VGG54 = "SRGAN-MSE", "SRGAN-VGG22", "SRGAN-VGG54"
ESRGAN = "ESRGAN"
SHARPENED = ", sharpened"
"""Ending of the name of the row that is an unsharp mask on another row's outputs."""
TABLE_1_DB = 0.4
"""Difference of ESRGAN and SRCNN in the document's Table 1, DIV2K."""
PRETRAINED_DB = 2.6
"""Least difference of SRCNN and the pre-trained ESRGAN in it."""


@dataclass(frozen=True)
class Arm:
    """One row: the settings of its training, and the row whose network it starts from."""

    config: TrainConfig
    after: str = ""
    edit: str = ""
    """Sentinel that is not trained: the edited outputs of `after` (trainers/sentinels.py)."""


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
    metrics = METRICS + installed(*PERCEPTUAL)
    trainings = []
    for seed in range(request.seeds):
        names: dict[str, str] = {"": ""}
        for arm, row in arms.items():
            own = on_set(row.config, path)
            on = tuple(_test(own, n, s, request.miniature) for n, s in named.items())
            training = Training(
                arm, seed, seeded(own, seed), on, metrics, names[row.after], EXTRAS, edit=row.edit
            )
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


def _test(config: TrainConfig, name: str, spec: str, miniature: bool) -> StudyTestSet:
    crop_px, first = MINIATURE_TEST if miniature else VERSUS_TESTS.get(spec, (0, 0))
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
    metrics = results.done[0].training.metrics
    rows = [
        [name, *(c for t in tests for c in results.cells(name, t, metrics)), _parameters(results, name)]
        for name in (*results.baselines, *arms)
    ]
    columns = ["model", *(f"{t} {m}" for t in tests for m in metrics), "parameters"]
    test = _verdict_set(tests)
    notes = results.protocols(test, metrics)
    table = Table("benchmark", "Mean over seeds ± half the range", columns, rows, notes)
    series = {arm: [results.bar(arm, t, "psnr_y") for t in tests] for arm in arms}
    levels = {"bicubic": [results.baseline("bicubic", t, "psnr_y") for t in tests]}
    drawn = {"bars-psnr_y.svg": figures.bars("PSNR-Y by test set", tests, series, "psnr_y, dB", levels)}
    drawn["strip.png"] = _strip(results, arms, test)
    srgan = SRRESNET in arms
    claims = _srgan_claims(results, arms, test) if srgan else _esrgan_claims(results, arms, tests, test)
    return Answer([table, _ssim_table(results, arms, test)], drawn, claims)


def _strip(results: StudyResults, arms: list[str], test: str) -> bytes:
    columns: list[Column] = ["bicubic", *(b for b in results.baselines if b == PUBLIC)]
    columns += [results.of(arm)[0] for arm in arms]
    titles = [c if isinstance(c, str) else c.training.arm for c in columns]
    rows = [results.pictures(test, i, [*columns, "target"]) for i in range(3)]
    return figures.strip(rows, [*titles, "target"])


def _parameters(results: StudyResults, arm: str) -> str:
    return "" if arm in results.baselines else f"{results.of(arm)[0].measured['parameters']:,}"


def _ssim_table(results: StudyResults, arms: list[str], test: str) -> Table:
    """Return SSIM of equal images as each half of the document's Table 2 measured it."""
    values = {arm: [results.mean(arm, test, m) for m in EXTRAS] for arm in arms}
    others = [name for name in results.baselines if name != "nearest"]
    values |= {name: [results.baseline(name, test, m) for m in EXTRAS] for name in others}
    rows = [[name, *(f"{100 * v:.1f}" for v in pair)] for name, pair in values.items()]
    title = f"SSIM of the same {test} images x 100: channels first, and rows read as channels"
    return Table("ssim-both-ways", title, ["model", "as it is", "misread"], rows)


def _srgan_claims(results: StudyResults, arms: list[str], test: str) -> list[ClaimResult]:
    others = [a for a in arms if a != SRRESNET and SHARPENED not in a] + list(BASELINES)
    both = {
        f"{other} {m}": v
        for m in METRICS[:2]
        for other, v in results.verdicts(SRRESNET, others, test, m).items()
    }
    psnr = results.verdicts(SRRESNET, [SRCNN, *BASELINES], test, "psnr_y")
    return [
        decide("review-psnr", both, before=f"SRResNet-MSE on {test} minus "),
        decide("review-srcnn", psnr, before=f"PSNR of SRResNet-MSE on {test} minus "),
        _texture(results, arms, test),
    ]


def _texture(results: StudyResults, arms: list[str], test: str) -> ClaimResult:
    """Answer "VGG54 restores texture best" by LPIPS, against VGG22, MSE and the sharpened SRResNet."""
    if VGG54 not in arms or "lpips_alex" not in results.done[0].training.metrics:
        return ClaimResult("review-vgg", UNTESTED, "needs weights: upsweep weights vgg16 lpips_alex")
    loss = results.of(VGG54)[0].training.config.loss
    rivals = [arm for arm in (MSE, VGG22, SRRESNET + SHARPENED) if arm in arms]
    verdicts = results.verdicts(VGG54, rivals, test, "lpips_alex")
    before = f"LPIPS on {test} with {loss.content_network} {loss.content_layer} minus that of "
    return decide("review-vgg", verdicts, before=before, untested=_random(results, VGG54))


def _random(results: StudyResults, arm: str) -> str:
    """Return the reason why an arm on random VGG features tests nothing; empty for published ones."""
    loss = results.of(arm)[0].training.config.loss
    return MECHANICS if loss.content_weight and loss.content_weights == "random" else ""


def _esrgan_claims(results: StudyResults, arms: list[str], tests: list[str], test: str) -> list[ClaimResult]:
    table_1 = ClaimResult("srcnn-table1", UNTESTED, "ESRGAN was left out (--only)")
    if ESRGAN in arms:
        label = f"PSNR (RGB) of ESRGAN minus SRCNN on {test}:"
        verdict = replace(results.verdict(ESRGAN, SRCNN, test, "psnr_rgb"), least=TABLE_1_DB)
        untested = _random(results, ESRGAN)
        table_1 = decide("srcnn-table1", {label: verdict}, unit=" dB", decimals=2, untested=untested)
    other = ESRGAN if ESRGAN in arms else SRCNN
    names = ("srcnn-table2", "srcnn-pretrained", "srcnn-figures")
    if PUBLIC not in results.baselines:
        return [table_1, *(ClaimResult(name, UNTESTED, lacking(PUBLIC)) for name in names)]
    right, wrong = (100 * results.baseline(PUBLIC, test, m) for m in EXTRAS)
    before = (
        f"{PUBLIC} has SSIM {right:.1f}, and {wrong:.1f} with rows read as channels; read rightly, minus "
        f"{other} on {test}: "
    )
    ssim = {"SSIM": _higher(results, PUBLIC, other, test, "ssim_rgb")}
    verdicts = {t: results.verdict(SRCNN, PUBLIC, t, "psnr_rgb") for t in tests}
    psnr = {f"on {t}": replace(v, least=PRETRAINED_DB) for t, v in verdicts.items()}
    return [
        table_1,
        decide("srcnn-table2", ssim, before=before),
        decide("srcnn-pretrained", psnr, before=f"PSNR of SRCNN minus {PUBLIC} ", unit=" dB", decimals=2),
        _sharper(results, test),
    ]


def _higher(results: StudyResults, a: str, b: str, test: str, metric: str) -> Verdict:
    """Return the verdict on "a has more of `metric` than b" for a metric without a direction of its own."""
    return between_designs({metric: results.compare(a, b, test, metric)}, "max")[metric]


def _sharper(results: StudyResults, test: str) -> ClaimResult:
    """Answer "SRCNN is smooth, the pre-trained network sharp" by LPIPS, against an unsharp mask on SRCNN."""
    if "lpips_alex" not in results.done[0].training.metrics:
        return ClaimResult("srcnn-figures", UNTESTED, "needs weights: upsweep weights lpips_alex")
    verdicts = results.verdicts(PUBLIC, [SRCNN], test, "lpips_alex")
    masked = SRCNN + SHARPENED
    also = results.verdicts(PUBLIC, [masked], test, "lpips_alex") if masked in results.arms else NO_VERDICTS
    return decide("srcnn-figures", verdicts, before=f"LPIPS of {PUBLIC} on {test} minus that of ", also=also)
