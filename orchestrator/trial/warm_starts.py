"""Pretrained generators shared by content: one PSNR phase per key, whoever trains it first."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # spaces need the key's names for --help, where torch and pyarrow would cost seconds
    from orchestrator.storage import Storage


def folder(warm_key: str) -> str:
    """Where the warm start of `warm_key` lies under the storage root, shared by all sweeps."""
    return f"warm/{warm_key}"


def ready(storage: "Storage", warm_key: str) -> bool:
    """Whether it has been trained and published whole."""
    return storage.exists(f"{folder(warm_key)}/done.json")


def published(storage: "Storage", warm_key: str) -> str:
    """The storage name of its checkpoint; FileNotFoundError where none is ready."""
    done = json.loads(storage.read_text(f"{folder(warm_key)}/done.json"))
    return f"{folder(warm_key)}/{done.get('checkpoint', 'checkpoint')}"


def publish(storage: "Storage", warm_key: str, checkpoint: Path, metrics: Mapping[str, float]) -> None:
    """Publish a finished PSNR phase unless one is there; the marker that names its folder goes last.

    Two sweeps may train the same one at once. Each writes a folder of its own, so nobody ever reads half of
    one or one that was put together from both.
    """
    if ready(storage, warm_key):
        return
    name = f"checkpoint-{uuid.uuid4().hex[:8]}"
    storage.publish(checkpoint, f"{folder(warm_key)}/{name}")
    done = {"checkpoint": name, "metrics": dict(metrics)}
    storage.write_text(f"{folder(warm_key)}/done.json", json.dumps(done))
