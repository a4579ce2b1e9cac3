"""What experiments/sweep.py can be asked for."""

from dataclasses import dataclass, field

from experiments import recipes
from experiments.common import cli


@dataclass
class Options:
    """Options of a sweep; every setting of a run follows under its dotted name."""

    space: str = ""
    """What is varied: a name of experiments/spaces.py, your own path.py:Class or path.yaml; empty: demo for
    the demo, else full."""
    trials: int = 0
    """Designs to screen; 0 takes the space's own number."""
    confirm_top: int = 0
    """Designs to confirm with several seeds; 0 takes the space's own number."""
    confirm_seeds: int = 0
    """Seeds per confirmed design; 0 takes the space's own number."""
    sampler: str = ""
    """What draws designs: tpe, nsga2, random or grid (every combination); empty: what the space suggests."""
    stopping: str = ""
    """Who goes on at a rung: feasible_first, front, asha (perceptual metric alone), none (everybody); or pbt:
    everybody, but the last quarter takes over networks of the first and changes their settings (for spaces
    without architectures). Empty: what the space suggests."""
    name: str = ""
    """Name of the sweep; empty: the recipe's name, numbered where that exists."""
    train: str = ""
    """Training images: a catalogue name, a shard folder or URL, or a folder of photographs."""
    val: str = ""
    """Images for rungs and checkpoint choice; empty: cut from --train."""
    test: str = ""
    """Images opened once, at the end; empty: cut from --train."""
    storage: str = "./runs"
    """Folder or URL (s3://...) that keeps sweeps, warm starts and checkpoints."""
    tracking_uri: str = ""
    """MLflow server or database; empty: an SQLite file in --storage."""
    seed: int = 0
    """Seed of the sampler that draws designs."""
    gpus_per_trial: float = 1.0
    """GPUs per trial: a share of one (0.5 runs two trials on each), or a whole number, each with a process of
    its own that takes its part of every batch."""
    ranks_per_trial: int = 0
    """Such processes per trial, on CPU cores where there are no GPUs; 0: one, or one for each whole GPU."""
    max_hours: float = 0.0
    """Draw no new designs after this many hours; the confirmation comes on top. 0: --trials alone decides."""
    max_gpu_hours: float = 0.0
    """The same, in hours of a GPU."""
    price_per_gpu_hour: float = 0.0
    """What an hour of a GPU costs, in any currency; 0 leaves costs out."""
    resume: str = ""
    """Go on with the sweep of this name, with the settings it began with."""
    status: str = ""
    """Say how far the sweep of this name has come, and stop."""
    stop: str = ""
    """Ask the running sweep of this name to stop in good order, from any shell that reaches the storage."""
    dry_run: bool = False
    """Print the plan and what it will take on this machine, from a few timed steps; start nothing."""
    local: bool = False
    """Run on this machine even where there is a cluster."""
    address: str = ""
    """HOST:PORT of a Ray cluster to run on; empty: RAY_ADDRESS, a cluster of ray up, this machine."""
    detach: bool = False
    """Submit to the cluster and return; --resume NAME follows it again."""
    config: cli.Settings = field(default_factory=recipes.demo)
