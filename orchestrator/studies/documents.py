"""The five documents that this project was made from: each figure, table and statement is a claim.

A claim is quoted by its meaning, with its number and its place. Claims that no study can answer give the
reason here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A figure, table or statement of a document."""

    id: str
    where: str
    says: str
    study: str = ""
    """Study that answers it; empty if none can."""
    why: str = ""
    """The reason why it stays untested if no study answers it."""


_ANSWERED = {
    "dataset_matrix": (
        (
            "matrix-psnr",
            "Chart 1",
            "PSNR of 3 networks on 3 test sets; here the diagonal is tested as for FID",
        ),
        ("matrix-ssim", "Chart 2", "SSIM of the same; here the diagonal is tested as for FID"),
        ("matrix-fid", "Chart 3", "FID is lowest on the diagonal for all 3 of 3 test sets"),
        ("matrix-strip", "Figure 2", "networks trained on other sets do not draw eyes"),
    ),
    "colorize": (
        ("colour-faces", "Figure 4", "grey faces get their skin colour back, 1 of 1 domain"),
        ("colour-background", "Figure 4", "the background of faces stays a generic beige"),
        ("colour-rooms", "Figure 5", "rooms: tables and chairs get colours from their texture"),
        ("colour-towers", "Figure 6", "buildings: sky and lights come back, facades less"),
    ),
    "edges_to_photo": (
        ("edges-faces", "Figure 7", "faces come from edges at x1, x2, x4, x8 and x16"),
        ("edges-artefacts", "Section 5.2", "x1 has more artefacts and more detail than x2 and above"),
        ("edges-l1-l2", "Section 5.2", "L1 and L2 differ, none is better for all of 5 scales"),
        ("edges-rooms", "Section 5.2", "edges to rooms or towers did not converge, 2 of 2 domains"),
    ),
    "upsampler_study": (
        ("staged-loss", "Figure 3", "the loss grows hundreds of times after epoch 10 of the schedule"),
        ("staged-worse", "Figure 5", "the 5 + 5 + 5 schedule ends worse than pixel shuffle for 15"),
        ("shuffle-converges", "Figure 4", "pixel shuffle converges within 15 epochs"),
        ("shuffle-bicubic", "Figure 7", "pixel shuffle beats bicubic within 15 epochs"),
        ("interp-better", "Section III.C", "interpolation + transposed for 15 epochs beats the schedule"),
        ("transposed-blurred", "Section III.C", "two transposed for 15 epochs stay worse than pixel shuffle"),
        ("vgg-blurred", "Section III.C", "VGG loss for 15 epochs stays worse than pixel shuffle"),
    ),
    "perception_distortion": (
        ("plane", "Figure 3", "perception and distortion oppose each other; a front in three regions"),
        ("gan-perception", "Section 4.1", "the GAN wins perception and loses distortion to its PSNR start"),
        ("interpolation", "Equation 5", "interpolation moves along the trade-off without training again"),
    ),
    "srgan_review": (
        ("review-psnr", "Figures 7, 9", "SRResNet-MSE has the highest PSNR and SSIM of all rows"),
        ("review-vgg", "Figure 10", "SRGAN-VGG54 restores texture better than VGG22 and MSE"),
        ("review-srcnn", "Figure 9", "SRResNet is above SRCNN, bicubic and nearest in PSNR"),
    ),
    "srcnn_vs_esrgan": (
        ("srcnn-table1", "Table 1", "PSNR 29.5 of the PSNR-heavy ESRGAN against 29.1 of SRCNN on DIV2K"),
        (
            "srcnn-table2",
            "Table 2",
            "SSIM 95.9 of pre-trained ESRGAN against 86.9, although its PSNR is 3 dB lower",
        ),
        (
            "srcnn-pretrained",
            "Table 1",
            "pre-trained ESRGAN has 2.6 to 4.3 dB less PSNR than SRCNN on 3 of 3 sets",
        ),
        ("srcnn-figures", "Figures 4 to 6", "SRCNN is smooth, pre-trained ESRGAN sharp"),
    ),
}
"""Study -> id, place and meaning of the claims that it answers."""

_UNANSWERED = {
    "esrgan_implementation_report": (
        (
            "esrgan-better",
            "Section 2.4",
            "RRDB, relativistic loss and features before activation look better than SRGAN",
            "",
            "needs published VGG19 weights and DIV2K: upsweep sweep --recipe esrgan",
        ),
        ("esrgan-time", "Section 3.1", "training takes nearly 30 hours on a Tesla P100", "", "another GPU"),
    ),
    "srresnet_srgan_review": (
        (
            "review-mos",
            "Figures 8, 9",
            "SRGAN has the highest opinion score of 26 raters",
            "",
            "needs people who rate: upsweep rate",
        ),
    ),
}
"""Document -> id, place and meaning of the claims that no study can answer, and the reason."""

_STUDIES = {
    "srgan_training_dataset_matters": (
        "dataset_matrix",
        "colorize",
        "edges_to_photo",
    ),
    "srgan_upsampling_lab_report": ("upsampler_study",),
    "esrgan_implementation_report": ("perception_distortion",),
    "srresnet_srgan_review": ("srgan_review",),
    "srcnn_vs_esrgan_analysis": ("srcnn_vs_esrgan",),
}

DOCUMENTS: dict[str, tuple[Claim, ...]] = {
    document: (
        *(Claim(*claim, study) for study in studies for claim in _ANSWERED[study]),
        *(Claim(*claim) for claim in _UNANSWERED.get(document, ())),
    )
    for document, studies in _STUDIES.items()
}
"""Document -> its claims, first those that studies answer."""

CLAIMS = {c.id: c for claims in DOCUMENTS.values() for c in claims}
