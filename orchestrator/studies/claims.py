"""The documents that this project was made from: each figure, table and claim, and what answers it.

A claim is quoted by its meaning with its number and its place; a study answers it with a status. What no
study can answer says why, here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis.significance import BEATS, NOT_ENOUGH, NOT_SEPARABLE, SEEDS_TO_BEAT, Verdict

REPRODUCED, NOT_REPRODUCED, UNTESTED = "reproduced", "not reproduced", "untested"
STATUSES = (REPRODUCED, NOT_REPRODUCED, NOT_ENOUGH, UNTESTED)
MECHANICS = "mechanics shown with random VGG features, claim untested"


@dataclass(frozen=True)
class Claim:
    """One figure, table or statement of a seed."""

    id: str
    where: str
    says: str
    study: str
    """Study that answers it; empty where none can."""
    why: str = ""
    """Why it stays untested, where it does."""


@dataclass(frozen=True)
class ClaimResult:
    """The answer of a study to a claim."""

    id: str
    status: str
    why: str


def status_of(verdict: Verdict) -> str:
    """What a verdict on "a beats b" makes of the claim that it does."""
    if verdict.word == BEATS:
        return REPRODUCED
    few = verdict.interval is None or verdict.interval.n < SEEDS_TO_BEAT
    right = verdict.word == NOT_SEPARABLE and few
    return NOT_ENOUGH if verdict.word == NOT_ENOUGH or right else NOT_REPRODUCED


def combined_status(verdicts: Mapping[str, Verdict]) -> str:
    """The status of a claim that needs every verdict: reproduced, else the worst of them."""
    statuses = {status_of(v) for v in verdicts.values()}
    return next(s for s in (NOT_REPRODUCED, NOT_ENOUGH, REPRODUCED) if s in statuses)


def format_verdict(verdict: Verdict, decimals: int = 3) -> str:
    """The difference with its interval, and the word where it is not plain."""
    said = f"{verdict.estimate:+.{decimals}f}"
    if verdict.interval is not None:
        said += f" [{verdict.interval.low:+.{decimals}f}, {verdict.interval.high:+.{decimals}f}]"
    return said + (f" ({verdict.word})" if verdict.word in (NOT_SEPARABLE, NOT_ENOUGH) else "")


_MATRIX, _COLOUR, _EDGES = "dataset_matrix", "colorize", "edges_to_photo"
_UPSAMPLER, _PLANE = "upsampler_study", "perception_distortion"
_REVIEW, _VERSUS = "srgan_review", "srcnn_vs_esrgan"

DOCUMENTS: dict[str, tuple[Claim, ...]] = {
    "srgan_training_dataset_matters": (
        Claim(
            "matrix-psnr",
            "Chart 1",
            "PSNR of 3 networks on 3 test sets; here the diagonal is tested as for FID",
            _MATRIX,
        ),
        Claim("matrix-ssim", "Chart 2", "SSIM of the same; here the diagonal is tested as for FID", _MATRIX),
        Claim("matrix-fid", "Chart 3", "FID is lowest on the diagonal for all 3 of 3 test sets", _MATRIX),
        Claim("matrix-strip", "Figure 2", "networks trained on other sets do not draw eyes", _MATRIX),
        Claim("colour-faces", "Figure 4", "grey faces get their skin colour back, 1 of 1 domain", _COLOUR),
        Claim("colour-background", "Figure 4", "the background of faces stays a generic beige", _COLOUR),
        Claim("colour-rooms", "Figure 5", "rooms: tables and chairs get colours from their texture", _COLOUR),
        Claim("colour-towers", "Figure 6", "buildings: sky and lights come back, facades less", _COLOUR),
        Claim("edges-faces", "Figure 7", "faces come from edges at x1, x2, x4, x8 and x16", _EDGES),
        Claim(
            "edges-artefacts",
            "Section 5.2",
            "x1 has more artefacts and more detail than x2 and above",
            _EDGES,
        ),
        Claim("edges-l1-l2", "Section 5.2", "L1 and L2 differ, none is better for all of 5 scales", _EDGES),
        Claim(
            "edges-rooms", "Section 5.2", "edges to rooms or towers did not converge, 2 of 2 domains", _EDGES
        ),
    ),
    "srgan_upsampling_lab_report": (
        Claim(
            "staged-loss",
            "Figure 3",
            "the loss grows hundreds of times after epoch 10 of the schedule",
            _UPSAMPLER,
        ),
        Claim(
            "staged-worse",
            "Figure 5",
            "the 5 + 5 + 5 schedule ends worse than pixel shuffle for 15",
            _UPSAMPLER,
        ),
        Claim("shuffle-converges", "Figure 4", "pixel shuffle converges within 15 epochs", _UPSAMPLER),
        Claim("shuffle-bicubic", "Figure 7", "pixel shuffle beats bicubic within 15 epochs", _UPSAMPLER),
        Claim(
            "interp-better",
            "Section III.C",
            "interpolation + transposed for 15 epochs beats the schedule",
            _UPSAMPLER,
        ),
        Claim(
            "transposed-blurred",
            "Section III.C",
            "two transposed for 15 epochs stay worse than pixel shuffle",
            _UPSAMPLER,
        ),
        Claim(
            "vgg-blurred",
            "Section III.C",
            "VGG loss for 15 epochs stays worse than pixel shuffle",
            _UPSAMPLER,
        ),
    ),
    "esrgan_implementation_report": (
        Claim(
            "plane",
            "Figure 3",
            "perception and distortion oppose each other; a front in three regions",
            _PLANE,
        ),
        Claim(
            "gan-perception",
            "Section 4.1",
            "the GAN wins perception and loses distortion to its PSNR start",
            _PLANE,
        ),
        Claim(
            "interpolation",
            "Equation 5",
            "interpolation moves along the trade-off without training again",
            _PLANE,
        ),
        Claim(
            "esrgan-better",
            "Section 2.4",
            "RRDB, relativistic loss and features before activation look better than SRGAN",
            "",
            "needs published VGG19 weights and DIV2K: python experiments/sweep.py --recipe esrgan",
        ),
        Claim(
            "esrgan-time", "Section 3.1", "training takes nearly 30 hours on a Tesla P100", "", "another GPU"
        ),
    ),
    "srresnet_srgan_review": (
        Claim(
            "review-psnr", "Figures 7, 9", "SRResNet-MSE has the highest PSNR and SSIM of all rows", _REVIEW
        ),
        Claim("review-srcnn", "Figure 9", "SRResNet is above SRCNN, bicubic and nearest in PSNR", _REVIEW),
        Claim(
            "review-vgg",
            "Figure 10",
            "SRGAN-VGG54 restores texture better than VGG22 and MSE",
            "",
            "needs published VGG19 weights: recipes srgan_vgg54, srgan_vgg22, srgan_mse",
        ),
        Claim(
            "review-mos",
            "Figures 8, 9",
            "SRGAN has the highest opinion score of 26 raters",
            "",
            "needs people who rate: python experiments/rate.py",
        ),
    ),
    "srcnn_vs_esrgan_analysis": (
        Claim(
            "srcnn-table1",
            "Table 1",
            "PSNR 29.5 of the PSNR-heavy ESRGAN against 29.1 of SRCNN on DIV2K",
            _VERSUS,
        ),
        Claim(
            "srcnn-table2",
            "Table 2",
            "SSIM 95.9 of pre-trained ESRGAN against 86.9, although its PSNR is 3 dB lower",
            _VERSUS,
        ),
        Claim(
            "srcnn-pretrained",
            "Tables 1 and 2",
            "pre-trained ESRGAN has PSNR 26.5, 26.4 and 23.6",
            "",
            "needs the public RRDB weights, DIV2K, FFHQ and selfie2anime: experiments/benchmark_table.py",
        ),
        Claim(
            "srcnn-figures",
            "Figures 4 to 6",
            "SRCNN is smooth, pre-trained ESRGAN sharp",
            "",
            "needs the public weights",
        ),
    ),
}

_BY_ID = {c.id: c for claims in DOCUMENTS.values() for c in claims}


def claim(name: str) -> Claim:
    """The claim called `name`."""
    return _BY_ID[name]
