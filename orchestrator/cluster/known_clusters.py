"""Clusters that `ray up` started from here, read from the files that it leaves; nothing is contacted."""

import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.files import atomic_json, is_trusted, parse_json, read_json, reading, user_path
from datasets.parsing import build, parse_yaml
from orchestrator.provenance import ROOT

NEEDED = ("cluster_name", "provider", "auth")
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,252}")
REMEDY = "correct it, or use --local to run here"


@dataclass(frozen=True)
class KnownCluster:
    """A cluster that was started from here, whether or not it still answers."""

    name: str
    file: str
    """Its cluster file, absolute."""
    provider: str
    user: str
    key: str
    """Private key for ssh; empty: ssh chooses."""
    address: str = ""
    """Address of the head, if the cluster file itself states it (provider local)."""

    def __post_init__(self) -> None:
        """Raise UserError for a word that ssh would take for an option, or that is a path."""
        check_word("cluster_name", self.name)
        check_word("ssh_user", self.user)
        if self.address:
            check_word("head_ip", self.address)


def check_word(what: str, word: object) -> None:
    """Raise UserError unless `word`, of a file or a provider, is safe in a command line and as a name."""
    if not isinstance(word, str) or not WORD.fullmatch(word):
        raise UserError(
            f"{what} must be letters, digits, '.', ':', '_' and '-', and begin with a letter or digit, "
            f"but got {word!r}; {REMEDY}"
        )


def home() -> Path:
    """Return the folder in which this machine remembers clusters."""
    return Path.home() / ".ray" / "upsweep"


def latest(root: Path = ROOT) -> KnownCluster | None:
    """Return the cluster that was started last from the checkout `root`; None without one."""
    started = _remembered(root)
    for path in sorted(root.glob("cluster*.yaml")):
        config = read(path)
        caches = [(cache.stat().st_mtime, _cluster(path, resolved)) for cache, resolved in _caches(config)]
        if not caches and _local_state_is_up(config):
            caches = [(0.0, _cluster(path, config))]
        started += caches
    return max(started, key=lambda pair: pair[0])[1] if started else None


def from_file(path: Path) -> KnownCluster:
    """Return the cluster that `path` describes, with the key that `ray up` made, if it made one."""
    config = read(path)
    caches = _caches(config)
    return _cluster(path, caches[-1][1] if caches else config)


def read(path: Path) -> dict[str, Any]:
    """Return a cluster file as a dictionary.

    Raises:
        UserError: if it is not one; it names --local, because sweeps on this machine read these files too.
    """
    try:
        config = parse_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, UserError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}; {REMEDY}") from None
    tables = isinstance(config, dict) and all(isinstance(config.get(k), dict) for k in NEEDED[1:])
    if isinstance(config, dict) and not tables and all(config.get(k) for k in NEEDED):
        raise UserError(f"{path} is not a cluster file: provider and auth are tables; {REMEDY}")
    lacking = [k for k in NEEDED if not isinstance(config, dict) or not config.get(k)]
    if lacking:
        raise UserError(f"{path} is not a cluster file: it lacks {', '.join(lacking)}; {REMEDY}")
    return config


def remember(cluster: KnownCluster, root: Path = ROOT) -> None:
    """Note the cluster in the home folder: a reboot deletes Ray's own note in the temporary folder."""
    home().mkdir(parents=True, exist_ok=True)
    atomic_json(home() / f"{cluster.name}.json", asdict(cluster) | {"root": str(root)})


def forget(cluster: KnownCluster) -> None:
    """Delete every note of a cluster that is down."""
    (home() / f"{cluster.name}.json").unlink(missing_ok=True)
    for path, _ in _caches(read(Path(cluster.file))):
        path.unlink(missing_ok=True)


def _remembered(root: Path) -> list[tuple[float, KnownCluster]]:
    """Return (time, cluster) of those noted from the checkout `root`; their files may be anywhere."""
    clusters = []
    for path in home().glob("*.json"):
        note = read_json(path, keys=("root", "file"))
        with reading(path):
            if note.pop("root") == str(root) and Path(note["file"]).exists():
                clusters.append((path.stat().st_mtime, build(KnownCluster, note, str(path))))
    return clusters


def _caches(config: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the notes of `ray up` about this cluster, oldest first, each with the resolved cluster file."""
    caches = []
    for path in filter(is_trusted, Path(tempfile.gettempdir()).glob("ray-config-*")):
        try:
            resolved = parse_json(path.read_text(), str(path), keys=("config",))["config"]
        except (OSError, UserError):
            continue
        with reading(path):
            if resolved.get("cluster_name") == config["cluster_name"] and _site(resolved) == _site(config):
                caches.append((path, resolved))
    return sorted(caches, key=lambda pair: pair[0].stat().st_mtime)


def _site(config: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a cluster from another project's cluster of that name."""
    return tuple(config["provider"].get(key) for key in ("type", "region", "project_id", "head_ip"))


def _local_state_is_up(config: dict[str, Any]) -> bool:
    """Return True if Ray noted a running head, which is all that `ray up --no-config-cache` leaves."""
    path = Path("/tmp/ray") / f"cluster-{config['cluster_name']}.state"
    if config["provider"].get("type") != "local" or not is_trusted(path):
        return False
    with reading(path):
        return bool(read_json(path).get(config["provider"].get("head_ip"), {}).get("state") == "running")


def _cluster(path: Path, config: dict[str, Any]) -> KnownCluster:
    auth = config["auth"]
    key = str(auth.get("ssh_private_key", ""))
    return KnownCluster(
        name=config["cluster_name"],
        file=str(path.resolve()),
        provider=str(config["provider"].get("type", "")),
        user=auth.get("ssh_user", ""),
        key=str(user_path(key)) if key else "",
        address=config["provider"].get("head_ip", ""),
    )
