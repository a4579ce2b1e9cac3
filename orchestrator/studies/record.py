"""The recorded answers: what the studies in miniature found for each claim, as docs/results.md tells it.

The table at the top of that page is made from these rows (`table`), and `upsweep reproduce` without a
document prints them (`lines`); a test keeps page and rows equal.
"""

from collections.abc import Iterator, Sequence

from orchestrator.analysis.significance import NOT_ENOUGH
from orchestrator.studies.claims import NOT_REPRODUCED, REPRODUCED, UNTESTED
from orchestrator.studies.documents import DOCUMENTS, Claim
from trainers.benchmarks.formats import markdown

ANSWERS = {
    "matrix-psnr": (
        NOT_REPRODUCED,
        "faces +0.73 dB, fronts -0.21 [-0.39, -0.03]: the network trained on faces is best on every set",
    ),
    "matrix-ssim": (
        NOT_REPRODUCED,
        "faces +0.032, rooms -0.008 [-0.012, -0.003], fronts -0.017 [-0.021, -0.013]",
    ),
    "matrix-fid": (
        NOT_REPRODUCED,
        "FD of EfficientNet: rooms -1.50 [-2.06, -0.93] hold, fronts +1.25 [+0.61, +1.90] do not",
    ),
    "matrix-strip": (UNTESTED, "an image strip must be judged by eye"),
    "colour-faces": (
        REPRODUCED,
        "chroma error at the centre 11.90 less than grey, 2.25 [1.59, 2.92] less than one tint",
    ),
    "colour-background": (
        REPRODUCED,
        "weakly: the error falls 7.49 [6.46, 8.52] more at the centre, but one tint does so, too",
    ),
    "colour-rooms": (
        REPRODUCED,
        "by a mean: error 0.27 [0.03, 0.51] less than one tint; to the eye rooms are sepia",
    ),
    "colour-towers": (
        REPRODUCED,
        "by a mean: error 0.23 [0.04, 0.41] less than grey; to the eye skies stay grey",
    ),
    "edges-faces": (NOT_REPRODUCED, "PSNR is 0.12 to 0.66 dB below the mean image, which ignores the edges"),
    "edges-artefacts": (UNTESTED, "artefacts must be judged by eye; by mean gradient x1 is the sharper"),
    "edges-l1-l2": (NOT_ENOUGH, "-0.10 to 0.00 dB, not separable at any scale"),
    "edges-rooms": (
        NOT_ENOUGH,
        "rooms -0.11 [-0.25, +0.03], fronts +0.19 [-0.22, +0.60] dB against the mean image",
    ),
    "staged-loss": (
        REPRODUCED,
        "but by its unit: features of VGG16 conv2_2 multiply it by 203, training then by 0.69",
    ),
    "staged-worse": (
        REPRODUCED,
        "on VGG16: PSNR 3.75 [1.56, 5.94] dB lower; LPIPS is better, 0.20 against 0.30, with a pattern",
    ),
    "shuffle-converges": (REPRODUCED, "1.96 [1.46, 2.46] dB more on val than after five epochs"),
    "shuffle-bicubic": (REPRODUCED, "+0.22 [+0.13, +0.31] dB; but an unsharp mask on bicubic has +0.27 dB"),
    "interp-better": (
        REPRODUCED,
        "on VGG16: PSNR 3.47 [1.34, 5.60] dB higher; LPIPS is worse, 0.33 against 0.20",
    ),
    "transposed-blurred": (NOT_ENOUGH, "0.29 [-0.15, +0.72] dB; -0.02 [-0.21, +0.17] at equal parameters"),
    "vgg-blurred": (
        REPRODUCED,
        "on VGG16: PSNR 3.43 [1.84, 5.03] dB lower; LPIPS is better, 0.17 against 0.30, with a pattern",
    ),
    "plane": (
        REPRODUCED,
        "RMSE against LPIPS: rank correlation along alpha -0.86 [-0.97, -0.75]; all in region 3",
    ),
    "gan-perception": (
        REPRODUCED,
        "LPIPS 0.072 [0.063, 0.081] better, RMSE 0.27 [0.11, 0.43] worse; NIQE -0.01 [-0.63, +0.60]",
    ),
    "interpolation": (
        REPRODUCED,
        "at 0.5 RMSE is 0.25 [0.11, 0.39] less than at 1, LPIPS 0.024 [0.020, 0.028] less than at 0",
    ),
    "review-psnr": (
        NOT_REPRODUCED,
        "SRGAN-MSE has 0.024 [0.011, 0.038] dB more; above all others, VGG's by 0.27 and 0.44 dB",
    ),
    "review-srcnn": (
        REPRODUCED,
        "on BSD100 by 0.24 [0.18, 0.30], 0.60 [0.51, 0.69] and 1.66 [1.45, 1.88] dB",
    ),
    "review-vgg": (
        NOT_REPRODUCED,
        "on VGG16: LPIPS 0.036 [0.027, 0.045] above VGG22's; an unsharp mask betters every GAN here",
    ),
    "srcnn-pretrained": (
        NOT_REPRODUCED,
        "RealSR-DF2K, halved: 0.21 [-0.22, +0.64] dB less on BSD100, which excludes 2.6",
    ),
    "srcnn-figures": (
        REPRODUCED,
        "LPIPS of RealSR-DF2K 0.125 [0.109, 0.142] below SRCNN's, 0.115 below an unsharp mask's",
    ),
    "srcnn-table1": (NOT_REPRODUCED, "+0.03 [-0.10, +0.15] dB, which excludes 0.4"),
    "srcnn-table2": (
        NOT_REPRODUCED,
        "RealSR-DF2K: SSIM 0.020 [0.013, 0.027] below ESRGAN's; 98.0 with rows read as channels",
    ),
}
"""Claim -> status and evidence, for every claim that has a study."""


def recorded(claim: Claim) -> tuple[str, str]:
    """Return the recorded status of a claim and its reason; untested if no study can answer it."""
    return ANSWERS[claim.id] if claim.study else (UNTESTED, claim.why)


def count(statuses: Sequence[str]) -> str:
    """Return the number of claims of each status, the clearest first."""
    order = (REPRODUCED, NOT_REPRODUCED, NOT_ENOUGH, UNTESTED)
    return ", ".join(f"{statuses.count(s)} {s}" for s in order if s in statuses)


def _answers() -> Iterator[tuple[str, Claim, str, str]]:
    """Yield document, claim, status and evidence of every claim; the document with its first claim alone."""
    for document, claims in DOCUMENTS.items():
        for index, claim in enumerate(claims):
            yield "" if index else document, claim, *recorded(claim)


def table() -> list[str]:
    """Return every claim with its recorded answer as Markdown, and the count of statuses."""
    answers = list(_answers())
    rows = [[document, f"{c.where}: {c.says}", f"**{status}**", why] for document, c, status, why in answers]
    columns = ["document", "what it says", "here", "by what"]
    return [markdown(columns, rows), "", f"{len(rows)} claims: {count([a[2] for a in answers])}."]


def lines() -> list[str]:
    """Return every claim with its recorded answer for a terminal, and the command that runs the studies."""
    text, statuses = [], []
    for document, claim, status, why in _answers():
        text += ["", document] if document else []
        text += [f"  {status:<20} {claim.where}: {claim.says}", f"  {'':<20} {why}"]
        statuses.append(status)
    studies = "upsweep reproduce DOCUMENT --miniature --data NAME=SPEC runs a document's studies again"
    told = f"{len(statuses)} claims: {count(statuses)} (in miniature, docs/results.md)"
    return [*text[1:], "", told, studies]
