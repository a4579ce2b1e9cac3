"""Which cluster `ray up` has started from here, read from what it leaves behind; nobody is asked."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from datasets.errors import UserError
from orchestrator.provenance import ROOT

NEEDED = ("cluster_name", "provider", "auth")
ELSEWISE = "correct it, or use --local to run here"


@dataclass(frozen=True)
class KnownCluster:
    """A cluster that was started from here, whether or not it still answers."""

    name: str
    file: str
    """Its cluster file, absolute."""
    provider: str
    user: str
    key: str
    """Private key for ssh; empty: ssh's own choice."""
    address: str = ""
    """Of the head where the file itself names it (provider local)."""


def home() -> Path:
    """Where this machine remembers clusters."""
    return Path.home() / ".ray" / "upsweep"


def latest(root: Path = ROOT) -> KnownCluster | None:
    """The cluster that was started last from `root`, by its cluster files or remembered; None without one."""
    found = [(at, trace) for path in sorted(root.glob("cluster*.yaml")) for at, trace in _traces(path)]
    found += _remembered(root)
    return max(found, key=lambda pair: pair[0])[1] if found else None


def from_file(path: Path) -> KnownCluster:
    """The cluster that `path` describes, with the key that `ray up` made where it made one."""
    config = read(path)
    cached = [_trace(path, ready) for _, ready in _caches(config)]
    return cached[-1] if cached else _trace(path, config)


def read(path: Path) -> dict[str, Any]:
    """A cluster file. UserError for one that is none: a sweep on this machine, too, looks for clusters."""
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}; {ELSEWISE}") from None
    lacking = [k for k in NEEDED if not isinstance(config, dict) or not config.get(k)]
    if lacking:
        raise UserError(f"{path} is no cluster file, it lacks {', '.join(lacking)}; {ELSEWISE}")
    return config


def remember(trace: KnownCluster, root: Path = ROOT) -> None:
    """Keep it where a reboot does not wipe it, as it wipes Ray's own."""
    home().mkdir(parents=True, exist_ok=True)
    (home() / f"{trace.name}.json").write_text(json.dumps(asdict(trace) | {"root": str(root)}))


def forget(trace: KnownCluster) -> None:
    """The cluster is down: no later sweep looks for it."""
    (home() / f"{trace.name}.json").unlink(missing_ok=True)
    for path, _ in _caches(read(Path(trace.file))):
        path.unlink(missing_ok=True)


def _traces(path: Path) -> list[tuple[float, KnownCluster]]:
    config = read(path)
    found = [(cache.stat().st_mtime, _trace(path, ready)) for cache, ready in _caches(config)]
    if not found and _local_state_is_up(config):
        found.append((0.0, _trace(path, config)))
    return found


def _remembered(root: Path) -> list[tuple[float, KnownCluster]]:
    """Of this checkout, whose file may lie anywhere."""
    found = []
    for path in home().glob("*.json"):
        kept = json.loads(path.read_text())
        if kept.pop("root") == str(root) and Path(kept["file"]).exists():
            found.append((path.stat().st_mtime, KnownCluster(**kept)))
    return found


def _caches(config: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """What `ray up` resolved this configuration to, oldest first; other projects' are left alone."""
    found = []
    for path in Path(tempfile.gettempdir()).glob("ray-config-*"):
        try:
            ready = json.loads(path.read_text())["config"]
        except (OSError, ValueError, KeyError):
            continue
        if ready.get("cluster_name") == config["cluster_name"] and _place(ready) == _place(config):
            found.append((path, ready))
    return sorted(found, key=lambda pair: pair[0].stat().st_mtime)


def _place(config: dict[str, Any]) -> tuple[Any, ...]:
    provider = config["provider"]
    return tuple(provider.get(key) for key in ("type", "region", "project_id", "head_ip"))


def _local_state_is_up(config: dict[str, Any]) -> bool:
    """`ray up --no-config-cache` of one's own machines leaves only this."""
    path = Path("/tmp/ray") / f"cluster-{config['cluster_name']}.state"
    if config["provider"]["type"] != "local" or not path.exists():
        return False
    head = json.loads(path.read_text()).get(config["provider"]["head_ip"], {})
    return head.get("state") == "running"


def _trace(path: Path, config: dict[str, Any]) -> KnownCluster:
    auth = config["auth"]
    key = auth.get("ssh_private_key", "")
    return KnownCluster(
        name=config["cluster_name"],
        file=str(path.resolve()),
        provider=config["provider"]["type"],
        user=auth["ssh_user"],
        key=str(Path(key).expanduser()) if key else "",
        address=config["provider"].get("head_ip", ""),
    )
