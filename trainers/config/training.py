"""Settings of optimisation, of the run and of its objectives, and TrainConfig, which holds all sections."""

from dataclasses import dataclass, field, is_dataclass

from datasets.config import DataConfig
from datasets.errors import UserError
from trainers.config.checks import at_least, below_one, known, numbers
from trainers.config.generators import GENERATORS
from trainers.config.loss import PERCEPTUAL_LOSSES, LossConfig
from trainers.config.networks import DiscriminatorConfig, GeneratorConfig, check_designs_together

UPDATE_ORDERS = ("d_first", "simultaneous")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "cosine_restarts", "one_cycle", "step", "multistep")
PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Settings of the optimizers of both networks, with a schedule per phase."""

    kind: str = "adam"
    """adam, adamw (Loshchilov & Hutter, 2019) with optim.weight_decay, or sgd with optim.momentum (SRCNN as
    published)."""
    lr_psnr: float = 1e-4
    """Peak learning rate of the generator in the PSNR phase."""
    lr_g: float = 1e-4
    """Peak learning rate of the generator in the GAN phase."""
    lr_d: float = 1e-4
    """Peak learning rate of the discriminator."""
    beta1: float = 0.9
    """Decay of Adam's first moment."""
    beta2: float = 0.999
    """Decay of Adam's second moment."""
    weight_decay: float = 0.01
    """Share of every weight that adamw takes off per update, times the learning rate; others ignore it."""
    momentum: float = 0.9
    """Momentum of sgd; adam ignores it."""
    lr_tail_factor: float = 1.0
    """Factor on the learning rate of the generator's last convolution (SRCNN: 0.1)."""
    clip_norm: float = 0.0
    """Largest norm of each network's gradient; longer ones are scaled down to it. 0 disables clipping."""
    micro_batches: int = 1
    """Number of parts a batch is split into, to save memory; norms and relativistic means see one part."""
    psnr_schedule: str = "constant"
    """Learning rate over the PSNR phase: constant, cosine, cosine_restarts, one_cycle, step or multistep."""
    gan_schedule: str = "multistep"
    """Learning rate over the full GAN phase, for both networks."""
    milestones: tuple[float, ...] = (0.5,)
    """Fractions of the phase at which multistep multiplies the learning rate by optim.gamma."""
    gamma: float = 0.1
    """Factor of step and multistep."""
    period: float = 0.25
    """Fraction of the phase between two drops of step, or two restarts of cosine_restarts."""
    warm_up: float = 0.0
    """Fraction of the phase in which the learning rate rises from near 0; one_cycle ignores it."""
    update_order: str = "d_first"
    """d_first as in the papers; simultaneous computes D(fake) once for both losses."""

    def __post_init__(self) -> None:
        known(
            "optim",
            self,
            ("optimizer", "kind", OPTIMIZERS),
            ("schedule", "psnr_schedule", SCHEDULES),
            ("schedule", "gan_schedule", SCHEDULES),
            ("update order", "update_order", UPDATE_ORDERS),
        )
        if any(not 0 < m < 1 for m in self.milestones):
            raise UserError(f"optim.milestones are fractions between 0 and 1, but got {self.milestones}")
        for name in ("lr_psnr", "lr_g", "lr_d", "lr_tail_factor", "gamma"):
            if not getattr(self, name) > 0:
                raise UserError(f"optim.{name} must be above 0, but got {getattr(self, name)}")
        below_one("optim", self, "beta1", "beta2", "momentum", "warm_up")
        if not 0 < self.period <= 1:
            raise UserError(f"optim.period must be in (0, 1], but got {self.period}")
        at_least("optim", self, 0, "clip_norm", "weight_decay")
        at_least("optim", self, 1, "micro_batches")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Length, cadence and hardware settings of a run. Cadence is in generator updates (steps)."""

    psnr_steps: int = 1_000_000
    """Steps of the PSNR phase."""
    gan_steps: int = 200_000
    """Steps of the GAN phase; 0: none, which makes a sweep a fidelity sweep."""
    psnr_eval_every_steps: int = 20_000
    """Steps between evaluations on val in the PSNR phase."""
    eval_every_steps: int = 5_000
    """Steps between evaluations on val in the GAN phase; a rung is the median of the last three."""
    log_every_steps: int = 100
    """Steps between logged losses; each one waits for the device once."""
    checkpoint_every_steps: int = 5_000
    """Steps between checkpoints, from which a killed run resumes."""
    ema_decay: float = 0.999
    """Decay of the averaged generator weights, which are evaluated and saved; 0 disables averaging."""
    bn_recalibration_batches: int = 8
    """Training batches that set the averaged generator's BN statistics before each evaluation."""
    precision: str = "tf32"
    """tf32: convolutions of a GPU multiply 10-bit mantissas, four times as fast as fp32; a CPU computes fp32.
    bf16: autocast, with losses and Adam in fp32 and images computed in tf32. Evaluation is in fp32."""
    deterministic: bool = True
    """On a GPU: repeat to the bit on one model of card and build of torch, also after a resume; False lets
    cuDNN time its algorithms and take the fastest."""
    compile: bool = False
    """Compile the networks with torch.compile, which saves time on a GPU."""
    cuda_graph: bool = True
    """On a GPU: record the training step as one CUDA graph and replay it, which spares the host its launches:
    up to three times as fast, with results equal to the bit."""
    cache_content: bool = False
    """Cache the content features of real images; requires images of exactly the crop size."""
    start_from: str = ""
    """Checkpoint folder whose generator weights, if they fit, start the first phase."""
    start_keeps_all: bool = False
    """With run.start_from: also take its discriminator, and Adam's moments of every weight that fits."""
    derived_from: str = ""
    """Set by a sweep (--derive): key of another architecture's warm start, whose network begins this one's
    PSNR phase."""
    seed: int = 0
    """Seed of the weights; the data order has another seed (data.order_seed)."""
    device: str = "auto"
    """auto (CUDA, else the CPU), or the name of a torch device."""
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's choice."""

    def __post_init__(self) -> None:
        known("run", self, ("precision", "precision", PRECISIONS))
        at_least("run", self, 0, "psnr_steps", "gan_steps", "threads", "bn_recalibration_batches", "seed")
        at_least("run", self, 1, "psnr_eval_every_steps")
        at_least("run", self, 1, "eval_every_steps", "log_every_steps", "checkpoint_every_steps")
        below_one("run", self, "ema_decay")

    @property
    def last_phase(self) -> str:
        """The phase whose networks are compared: "gan", or "psnr" in a fidelity run (run.gan_steps 0)."""
        return "gan" if self.gan_steps else "psnr"

    def steps(self, phase: str) -> int:
        """Return the updates of a phase."""
        return self.gan_steps if phase == "gan" else self.psnr_steps

    def eval_every(self, phase: str) -> int:
        """Return the steps between two evaluations in a phase."""
        return self.eval_every_steps if phase == "gan" else self.psnr_eval_every_steps


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """The two objectives of a sweep, fixed at its start and stored with every result."""

    distortion: str = "psnr_y"
    """Metric of closeness to the target; in a sweep one that is better when larger, in dB."""
    perceptual: str = "lpips_alex"
    """Metric of perceptual quality, whose weights must be installed; or FILE.py:NAME, your own function of a
    generated and a real image, uint8 (H, W, 3), that returns a number, smaller for better. With run.gan_steps
    0 a second distortion metric, such as ssim_y or sam."""
    delta_db: float = 3.0
    """Largest loss of distortion against the warm start that is feasible, in units of that metric. Published
    SRGAN and ESRGAN are 1.6 to 2.7 dB below their warm starts."""
    max_ms: float = 0.0
    """Largest latency of a design in milliseconds on the device of the trials; slower ones are left out
    before they cost anything. 0: no limit."""
    ms_px: int = 256
    """Side in pixels of the output whose latency and memory are measured."""

    def __post_init__(self) -> None:
        at_least("objective", self, 0, "max_ms")
        at_least("objective", self, 64, "ms_px")

    @property
    def pair(self) -> str:
        """Both metrics and delta, as text; networks of an equal pair compare, whatever else is set."""
        return f"{self.distortion}, {self.perceptual}, delta {self.delta_db:g}"


def check_objective_apart(loss: LossConfig, objective: ObjectiveConfig) -> None:
    """Raise UserError if a loss and an objective compare images by the same published network.

    Training would then raise the score by what this network overlooks, not by better images.
    """
    measures = {"perceptual": objective.perceptual, "distortion": objective.distortion}
    for field_name, metric in measures.items():
        network = PERCEPTUAL_LOSSES.get(metric)
        if network in loss.published_networks:
            free = [m for m, other in PERCEPTUAL_LOSSES.items() if other not in loss.published_networks]
            raise UserError(
                f"objective.{field_name} {metric} and the loss use the same weights ({network}), so training "
                f"would raise the score without better images: set objective.{field_name} "
                f"{free[-1] if free else 'swd'}, or another loss"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings of one training run."""

    recipe: str = "custom"
    """Name of the recipe (experiments/recipes/__init__.py) that set the defaults of all other settings."""
    data: DataConfig = field(default_factory=DataConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def __post_init__(self) -> None:
        for section, config in vars(self).items():
            if is_dataclass(config):
                numbers(section, config)
        for name in ("crop_px", "eval_crop_px"):
            side = getattr(self.data, name)
            if side % self.generator.scale:
                raise UserError(
                    f"data.{name} must be a multiple of generator.scale={self.generator.scale}, "
                    f"but got {side}"
                )
        if self.loss.grid_weight and self.generator.scale == 1:
            raise UserError("generator.scale 1 has no upsampling grid: set loss.grid_weight 0")
        self._check_bands()
        check_designs_together(self.discriminator, self.loss, self.data.crop_px)
        check_objective_apart(self.loss, self.objective)
        self._check_step()

    def _check_bands(self) -> None:
        """Check that networks and losses read the bands of the images."""
        bands = self.data.pixels.channels
        for section in ("generator", "discriminator"):
            if (channels := getattr(self, section).image_channels) != bands:
                raise UserError(
                    f"{section}.image_channels must be {bands}, the number of data.bands, but got {channels}"
                )
        if not self.data.pixels.is_rgb8 and "image_channels" not in GENERATORS[self.generator.kind].reads:
            raise UserError(
                f"generator.kind {self.generator.kind} takes 8-bit RGB, but the images have the bands "
                f"{self.data.pixels}: set generator.kind srresnet, rrdb, srcnn_915 or srcnn_955"
            )
        for name, unset in (("content_weight", 0), ("perceptual_weight", 0), ("pixel_colors", "rgb")):
            if getattr(self.loss, name) != unset and not self.data.pixels.is_rgb8:
                raise UserError(
                    f"loss.{name} needs 8-bit RGB, which its published network or luma was made for, but the "
                    f"images have the bands {self.data.pixels}: set loss.{name} {unset}"
                )

    def _check_step(self) -> None:
        part, least = self.data.batch_size // self.optim.micro_batches, self.generator.smallest_batch
        if part < least:
            raise UserError(
                f"{self.generator.kind} normalises over the images of a batch, so data.batch_size / "
                f"optim.micro_batches must be at least {least}, but got {part}"
            )
        if self.data.batch_size % self.optim.micro_batches:
            raise UserError(
                f"data.batch_size={self.data.batch_size} must be a multiple of optim.micro_batches="
                f"{self.optim.micro_batches}"
            )
        if self.run.compile and (self.loss.r1_weight or self.loss.gradient_penalty_weight):
            raise UserError(
                "run.compile cannot differentiate twice, as loss.r1_weight and loss.gradient_penalty_weight "
                "need: set run.compile False"
            )
