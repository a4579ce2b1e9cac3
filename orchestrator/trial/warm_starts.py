"""The published generators of PSNR phases, one per key, shared by all sweeps of a storage."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.storage import Storage


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
