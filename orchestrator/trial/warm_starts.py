"""The published generators of PSNR phases, one per key, shared by all sweeps of a storage.

A trial's GAN phase starts from the one of its architecture: screening and repeats from that of the sweep's
own seeds, confirmation from that of its own, which designs of equal architecture and seed share. One
architecture, the ancestor, may train the whole phase for screening and repeats, and others a part of it that
begins with the ancestor's network (trainers/models/derive.py).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.results.labels import SEEDS
from trainers.config import TrainConfig, flatten, override
from trainers.models.derive import CONVERTED, is_derivable
from trainers.warm_start_key import warm_start_key

if TYPE_CHECKING:
    from orchestrator.storage import Storage


LONG_PHASE = 2_000
"""Steps of the shortest PSNR phase that others are derived from: at 2,000 derived networks rank designs as
whole phases do, at 400 they end as far below them as architectures differ (docs/sweeps.md)."""


@dataclass(frozen=True)
class Ancestor:
    """The architecture with whose PSNR network the PSNR phases of others begin."""

    values: Mapping[str, Any]
    """Dotted setting -> value, of the architecture."""
    share: float
    """Part of a PSNR phase that the others train, in (0, 1)."""

    def derived(self, config: TrainConfig, train_digest: str) -> TrainConfig:
        """Return the settings of the PSNR phase of `config`, shorter if it can begin with the ancestor's."""
        own = override(config, self.values)
        if own.generator == config.generator or not is_derivable(own.generator, config.generator):
            return config
        steps = max(1, round(self.share * config.run.psnr_steps))
        key = warm_start_key(own, train_digest)
        return override(config, {"run.psnr_steps": steps, "run.derived_from": key})


def ancestor_of(
    architectures: Sequence[Mapping[str, Any]], base: TrainConfig, share: float
) -> Ancestor | None:
    """Return the architecture from which most of the others can be derived; None if there is none.

    There is none for a PSNR phase of fewer than LONG_PHASE steps.
    `architectures` are values that replace those of `base`. Among equals it is one without norm, of the
    fewest blocks, and with the first upsampler in CONVERTED.
    """
    run = base.run
    if not (share and run.gan_steps) or run.psnr_steps < LONG_PHASE or run.start_from:
        return None
    designs = [override(base, values) for values in architectures]

    def others(i: int) -> int:
        return sum(is_derivable(designs[i].generator, d.generator) for d in designs) - 1

    def rank(i: int) -> tuple[int, bool, int, int]:
        own = designs[i].generator
        place = CONVERTED.index(own.upsampler) if own.upsampler in CONVERTED else len(CONVERTED)
        return -others(i), own.norm != "none", own.num_blocks, place

    first = min(range(len(designs)), key=rank, default=None)
    return Ancestor(architectures[first], share) if first is not None and others(first) else None


def source(
    config: TrainConfig,
    stage: str,
    base: Mapping[str, Any],
    train_digest: str = "",
    ancestor: Ancestor | None = None,
) -> TrainConfig | None:
    """Return the settings of the PSNR phase that the GAN phase of a trial of `stage` starts from.

    `base` are the sweep's settings, flat. A network given by run.start_from, without a PSNR phase of its own,
    takes that phase's place whatever the seed. None if there is neither: then bicubic is what to beat. In a
    fidelity sweep the PSNR phase itself is compared, so that only run.start_from can come before it.
    """
    run = config.run
    if not run.start_from and not (run.psnr_steps and run.gan_steps):
        return None
    if not run.gan_steps:  # the network as it was given, whatever the trial varies
        return override(config, {name: base[name] for name in flatten(config)} | {"run.psnr_steps": 0})
    if stage in ("screen", "repeat") or not run.psnr_steps:
        shared = override(config, {name: base[name] for name in SEEDS})
        return ancestor.derived(shared, train_digest) if ancestor else shared
    return config


def folder(warm_key: str) -> str:
    """Return the storage name of the folder of a warm start."""
    return f"warm/{warm_key}"


def ready(storage: "Storage", warm_key: str) -> bool:
    """Return True if the warm start has been trained and published."""
    return storage.exists(f"{folder(warm_key)}/done.json")


def published(storage: "Storage", warm_key: str) -> str:
    """Return the storage name of the checkpoint of a warm start; FileNotFoundError if it is not ready."""
    done = storage.read_json(f"{folder(warm_key)}/done.json")
    return f"{folder(warm_key)}/{done.get('checkpoint', 'checkpoint')}"


def metrics(storage: "Storage", warm_key: str) -> dict[str, float]:
    """Return the metrics on val of a warm start that is ready."""
    return storage.read_json(f"{folder(warm_key)}/done.json", keys=("metrics",))["metrics"]


def publish(storage: "Storage", warm_key: str, checkpoint: Path, metrics: Mapping[str, float]) -> None:
    """Publish the checkpoint of a finished PSNR phase, unless the key has one; done.json is written last.

    Two sweeps may train one key at once. Each writes its own folder, and done.json names one of them, so that
    no reader sees a partial checkpoint or files of both.
    """
    if ready(storage, warm_key):
        return
    name = f"checkpoint-{uuid.uuid4().hex[:8]}"
    storage.publish(checkpoint, f"{folder(warm_key)}/{name}")
    done = {"checkpoint": name, "metrics": dict(metrics)}
    storage.write_text(f"{folder(warm_key)}/done.json", json.dumps(done))
