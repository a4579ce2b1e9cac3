"""Search spaces by name: the settings that a sweep varies, under their dotted names in the config."""

from dataclasses import replace

from datasets.errors import unknown
from orchestrator.search.space import Axis, Choice, Derived, LogFloat, Space

BLOCKS, NORM, UPSAMPLER = "generator.num_blocks", "generator.norm", "generator.upsampler"
ADVERSARIAL = "loss.adversarial_weight"

# Half of a 2 x 2 x 2 grid: each value of one axis occurs with each value of the other two.
DEMO_UPSAMPLER = Derived(
    (BLOCKS, NORM),
    (
        ((2, "batch"), "pixel_shuffle"),
        ((2, "none"), "transposed_conv"),
        ((4, "batch"), "transposed_conv"),
        ((4, "none"), "pixel_shuffle"),
    ),
)

DEMO = Space(
    name="demo",
    axes={
        BLOCKS: Choice((2, 4)),
        NORM: Choice(("batch", "none")),
        UPSAMPLER: DEMO_UPSAMPLER,
        ADVERSARIAL: LogFloat(0.03, 0.5),
    },
    points=(
        {BLOCKS: 4, NORM: "none", ADVERSARIAL: 0.3},
        {BLOCKS: 2, NORM: "none", ADVERSARIAL: 0.1},
        {BLOCKS: 4, NORM: "batch", ADVERSARIAL: 0.1},
        {BLOCKS: 2, NORM: "batch", ADVERSARIAL: 0.3},
    ),
    trials=8,
    repeat_top=2,
    confirm_top=1,
    confirm_seeds=2,
    reduction=2,
)

_PHOTOS: dict[str, Axis] = {
    UPSAMPLER: Choice(("pixel_shuffle", "nearest_conv")),
    ADVERSARIAL: LogFloat(0.005, 0.3),
    "loss.pixel_weight": LogFloat(0.03, 1.0),
}
PHOTOS = Space(name="photos", axes={BLOCKS: Choice((8, 16)), **_PHOTOS})
PHOTOS_SMALL = Space(name="photos_small", axes={BLOCKS: Choice((4, 8)), **_PHOTOS})

FULL = Space(
    name="full",
    axes={
        BLOCKS: Choice((5, 8, 16)),
        NORM: Choice(("batch", "none")),
        UPSAMPLER: Choice(("pixel_shuffle", "transposed_conv")),
        ADVERSARIAL: LogFloat(1e-4, 1e-1),
        "loss.pixel_weight": LogFloat(1e-3, 1.0, or_zero=True),
        "loss.tv_weight": Choice((0.0, 2e-8)),
    },
    points=(
        {
            BLOCKS: 16,
            NORM: "batch",
            UPSAMPLER: "pixel_shuffle",
            ADVERSARIAL: 1e-3,
            "loss.pixel_weight?": False,
            "loss.tv_weight": 0.0,
        },
        {
            BLOCKS: 8,
            NORM: "batch",
            UPSAMPLER: "pixel_shuffle",
            ADVERSARIAL: 1e-3,
            "loss.pixel_weight?": True,
            "loss.pixel_weight": 1.0,
            "loss.tv_weight": 2e-8,
        },
    ),
)

BALANCE = Space(
    name="balance",
    axes={k: v for k, v in FULL.axes.items() if k.startswith("loss.")},
)

FINETUNE = replace(
    BALANCE,
    name="finetune",
    axes={**BALANCE.axes, "optim.lr_g": LogFloat(5e-6, 2e-4)},
    points=(
        {
            ADVERSARIAL: 1e-3,
            "loss.pixel_weight?": True,
            "loss.pixel_weight": 1.0,
            "loss.tv_weight": 0.0,
            "optim.lr_g": 2e-5,
        },
    ),
)
"""Weights and the generator's rate, for networks that are trained already: how much a step of a given rate
changes depends on how a network is written. SPAN computes each convolution as a product of three, and at 2e-4
it forgets within a few steps what it knew."""

NETWORKS: dict[str, Axis] = {
    BLOCKS: Choice((5, 8, 16)),
    NORM: Choice(("batch", "none")),
    UPSAMPLER: Choice(("pixel_shuffle", "transposed_conv", "nearest_conv")),
}

ARCHITECTURE = Space(name="architecture", axes=NETWORKS, trials=18, sampler="grid")

KIND, SIZE = "generator.kind", "generator.size"

LIGHT_NETWORKS = Space(
    name="networks",
    axes={
        KIND: Choice(("srresnet", "compact", "span", "plksr", "swinir")),
        SIZE: Choice(("tiny",)),
        ADVERSARIAL: LogFloat(1e-3, 1e-1),
    },
    only_if={SIZE: {KIND: "plksr"}},
    points=(
        {KIND: "compact", ADVERSARIAL: 1e-2},
        {KIND: "span", ADVERSARIAL: 1e-2},
        {KIND: "plksr", SIZE: "tiny", ADVERSARIAL: 1e-2},
        {KIND: "swinir", ADVERSARIAL: 1e-2},
        {KIND: "srresnet", ADVERSARIAL: 1e-2},
    ),
)
"""Today's light networks beside the recipe's own: with objective.max_ms, the best that is fast enough."""

OPTIMIZER = Space(
    name="optimizer",
    axes={
        "optim.lr_g": LogFloat(1e-5, 1e-3),
        "optim.lr_d": LogFloat(1e-5, 1e-3),
        "optim.gan_schedule": Choice(("constant", "multistep", "cosine")),
        "optim.update_order": Choice(("d_first", "simultaneous")),
    },
    trials=48,
)

ARMS: dict[str, Axis] = {
    NORM: Choice(("batch", "none")),
    UPSAMPLER: Choice(("pixel_shuffle", "transposed_conv")),
    "loss.pixel_weight": Choice((0.0, 1e-2)),
}

# Every arm runs to its end with five seeds: a claim about one setting needs them, and stopping would bias it.
ABLATION = Space(
    name="ablation",
    axes=ARMS,
    trials=8,
    repeat_top=0,
    confirm_top=8,
    confirm_seeds=5,
    sampler="grid",
    stopping="none",
)

DEGRADATION = Space(
    name="degradation",
    axes={
        "data.train_degradation": Choice(
            ("matlab", "blur:0.2-2,down,noise:1-15,jpeg:50-95", "bsrgan", "real_esrgan")
        ),
        ADVERSARIAL: LogFloat(1e-3, 1e-1),
    },
    trials=24,
)
"""Which degradation to train with; --val, --test and --gate can be pairs, to ask it of measured inputs."""

FIDELITY_BALANCE = Space(
    name="fidelity_balance",
    axes={
        "loss.pixel": Choice(("l1", "l2", "charbonnier")),
        "optim.lr_psnr": LogFloat(2e-5, 1e-3),
        "optim.psnr_schedule": Choice(("constant", "cosine")),
    },
    trials=24,
    fidelity=True,
)
"""Losses and rates of a sweep without a GAN phase (run.gan_steps 0)."""

FIDELITY = replace(
    FIDELITY_BALANCE,
    name="fidelity",
    axes={BLOCKS: NETWORKS[BLOCKS], UPSAMPLER: NETWORKS[UPSAMPLER], **FIDELITY_BALANCE.axes},
)

SPACES = {
    s.name: s
    for s in (
        DEMO,
        PHOTOS,
        PHOTOS_SMALL,
        FULL,
        BALANCE,
        FINETUNE,
        ARCHITECTURE,
        LIGHT_NETWORKS,
        OPTIMIZER,
        ABLATION,
        DEGRADATION,
        FIDELITY,
        FIDELITY_BALANCE,
    )
}


def build(name: str) -> Space:
    """Return the space called `name`. UserError for an unknown name."""
    if name not in SPACES:
        raise unknown("space", name, SPACES, "--space")
    return SPACES[name]
