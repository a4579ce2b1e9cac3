"""Choose where a command runs: Ray's job API, a Ray at an address, a cluster started from here, or here.

Never `address="auto"`, which joins another process's private Ray and dies with it.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from datasets.address import masked
from datasets.errors import UserError
from datasets.files import is_trusted
from orchestrator.cluster import capacity, connect, known_clusters
from orchestrator.cluster.known_clusters import KnownCluster


@runtime_checkable
class CommandOptions(Protocol):
    """The options of every command that can run on a cluster."""

    local: bool
    address: str
    storage: str
    tracking_uri: str
    dry_run: bool


@runtime_checkable
class SweepCommandOptions(CommandOptions, Protocol):
    """The further options of a sweep that matter on a cluster."""

    status: str
    stop: str
    resume: str
    detach: bool
    space: str
    train: str
    val: str
    test: str
    gate: str


@dataclass(frozen=True)
class Local:
    """This machine; a command that needs Ray starts a private one."""


@dataclass(frozen=True)
class Address:
    """A Ray that runs already, reached from this process."""

    address: str
    """HOST:PORT."""


@dataclass(frozen=True)
class Remote:
    """A cluster that `ray up` started from here: the command is sent to its head."""

    cluster: KnownCluster


@dataclass(frozen=True)
class Jobs:
    """Ray's job API at a URL: the command is sent there."""

    url: str


Target = Local | Address | Remote | Jobs


def choose_target(options: CommandOptions, env: Mapping[str, str]) -> Target:
    """Return where a command runs; imports nothing heavy.

    In this order: this machine with --local; --jobs; --address; RAY_API_SERVER_ADDRESS; RAY_ADDRESS; this
    machine with UPSWEEP_LOCAL; a Ray that `ray start` began on this machine; the cluster that `ray up`
    started last from here; this machine.

    Raises:
        UserError: if nothing listens at the address, unless the command needs no Ray (--status, --stop and
            --dry-run).
    """
    if url := resolve_jobs(options, env):
        return Jobs(url)
    if address := resolve_address(options, env):
        asks = isinstance(options, SweepCommandOptions) and (options.status or options.stop)
        if not options.dry_run and not asks:
            connect.check_listening(address)
        return Address(address)
    if options.local or env.get("UPSWEEP_LOCAL"):
        return Local()
    if started := started_here(env):
        return Address(started)
    cluster = known_clusters.latest()
    return Remote(cluster) if cluster else Local()


def resolve_address(options: CommandOptions, env: Mapping[str, str]) -> str:
    """Return HOST:PORT of the Ray that --address or RAY_ADDRESS names; empty with --local or without one.

    Raises:
        UserError: RAY_ADDRESS is the URL of a job API, which this command cannot use.
    """
    if options.local or options.address:
        return "" if options.local else options.address
    address = env.get("RAY_ADDRESS", "")
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"RAY_ADDRESS is {masked(address)}, and this command is not sent to a job API: unset it, pass "
            f"--address HOST:PORT of Ray itself, or --local"
        )
    return address


def resolve_jobs(options: CommandOptions, env: Mapping[str, str]) -> str:
    """Return the URL of Ray's job API that --jobs or a variable names; empty with --local or without one.

    Inside a job the variables are ignored, and --address comes before them.
    """
    given = getattr(options, "jobs", "")
    if options.local or given or options.address or "UPSWEEP_JOB" in env:
        return "" if options.local else given
    url = env.get("RAY_API_SERVER_ADDRESS", "") or env.get("RAY_ADDRESS", "")
    return url if url.startswith(("http://", "https://")) else ""


def started_here(env: Mapping[str, str]) -> str | None:
    """Return HOST:PORT of the Ray that `ray start` began on this machine; None if none answers."""
    note = Path(env.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    if not is_trusted(note):  # anybody may write into /tmp, and what runs at the address gets our code
        return None
    try:
        address = note.read_text().strip()
        connect.check_listening(address)
    except (OSError, UserError):
        return None  # the note of a Ray that was killed stays
    return address


def defaults(words: list[str], env: Mapping[str, str], has_gpus: Callable[[], bool]) -> tuple[list[str], str]:
    """Return the options that a sweep without recipe or data stands for, and a sentence to print first.

    Images of one's own have a recipe made for any photographs. With prepared data (UPSWEEP_DATA) and a GPU
    that is the published recipe, otherwise the demo.
    """
    if any(word.startswith(("--recipe", "--resume", "--status", "--stop", "--help", "-h")) for word in words):
        return [], ""
    train = _own_images(words)
    if train and train != "demo":
        recipe, why = ("photos", "a GPU") if has_gpus() else ("photos_small", "no GPU")
        return ["--recipe", recipe], f"recipe {recipe}, because none is named and there is {why}"
    if any(word.startswith(("--train", "--space", "--data.")) for word in words):
        return [], ""
    data = env.get("UPSWEEP_DATA", "").rstrip("/")
    real = ["--recipe", "srgan_8", "--space", "full", "--train", f"{data or 'DATA'}/celeba"]
    if data and has_gpus():
        return real, f"recipe srgan_8 over space full on {data}/celeba"
    missing = "UPSWEEP_DATA names no prepared data" if not data else "there is no GPU"
    demo = f"this is only the demo, a check of the mechanics ({missing})"
    own = "upsweep sweep --train path/to/photos --name mine --hours 8"
    return [], f"{demo}; with photographs of your own: {own}"


def _own_images(words: list[str]) -> str:
    """Return the value of --train or --data.train; empty if neither is given."""
    for word, after in itertools.zip_longest(words, words[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name in ("--train", "--data.train"):
            return value if equals else after
    return ""


def cluster_may_have_gpus(address: str) -> bool:
    """Return True if trials may get a GPU: on the cluster whose head this is, or else on this machine.

    `address` is that of the chosen Ray, or empty.
    """
    config = capacity.declared() if address else None
    if config is not None:
        return capacity.maximum(config).gpus > 0
    import torch

    return torch.cuda.is_available()
