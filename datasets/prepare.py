"""A catalogue name and its archive -> a shard folder. Which reader, which split, which transform."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from datasets import splits
from datasets.catalogue import CATALOGUE
from datasets.codec import Rejected, size_of
from datasets.demo import demo_sources
from datasets.errors import UserError, unknown
from datasets.importers import FolderSource, Member, Source, ZipSource, open_source
from datasets.manifest import Manifest
from datasets.shards import PackSettings, Part, Progress, pack

Parts = dict[str, Part]


def prepare(
    name: str,
    source: str,
    out: str,
    *,
    limit: int = 0,
    min_px: int = 0,
    max_rejected: float = 0.05,
    progress: Progress | None = None,
) -> Manifest:
    """Import the dataset `name` from `source` into the folder `out`; what is done already is kept.

    UserError for an unknown name, a missing or wrong source, and too many broken images.
    """
    if name not in CATALOGUE:
        raise unknown("dataset", name, CATALOGUE)
    if not out:
        raise UserError("--out is missing: the folder that the shards go to")
    if not source and name != "demo":
        raise UserError(f"--source is missing: {CATALOGUE[name].layout}, from {CATALOGUE[name].get}")
    settings = PackSettings(min_px=min_px, max_rejected=max_rejected)
    parts, settings = PREPARERS[name](Path(source), limit, settings)
    return pack(Path(out), name if name != "folder" else _title(parts), parts, settings, progress)


def _title(parts: Parts) -> str:
    return next(iter(parts.values())).source.name


def _demo(source: Path, limit: int, settings: PackSettings) -> tuple[Parts, PackSettings]:
    return {r: Part(s, _first(s.members(), limit)) for r, s in demo_sources().items()}, settings


def _folder(path: Path, limit: int, settings: PackSettings) -> tuple[Parts, PackSettings]:
    source = open_source(path)
    roles = splits.cut(_first(source.members(), limit))
    return {role: Part(source, members) for role, members in roles.items()}, settings


def _celeba(path: Path, limit: int, settings: PackSettings) -> tuple[Parts, PackSettings]:
    """The official zip (or its folder); the partition file may lie in it or beside it."""
    source = FolderSource(path, "celeba") if path.is_dir() else ZipSource(path, "celeba", "img_align_celeba/")
    members = [replace(m, photograph=m.key) for m in _first(source.members(), limit)]
    text = _partition_text(source, path)
    roles = splits.partition(members, text) if text is not None else splits.cut(members)
    settings = replace(settings, transform=_celeba_transform(source, members))
    return {role: Part(source, chosen) for role, chosen in roles.items()}, settings


def _celeba_transform(source: Source, members: Sequence[Member]) -> str:
    # Aligned CelebA is 178x218 and becomes its centre at 128 px; smaller copies are kept as they are.
    try:
        return "celeba128" if size_of(source.read(members[0])) == (218, 178) else "none"
    except Rejected as error:
        raise UserError(f"the first image {members[0].name} cannot be read: {error}") from None


def _partition_text(source: Source, path: Path) -> str | None:
    beside = (path if path.is_dir() else path.parent) / "list_eval_partition.txt"
    if beside.is_file():
        return beside.read_text(errors="replace")
    return source.text("list_eval_partition.txt") if isinstance(source, ZipSource) else None


def _first(members: Sequence[Member], limit: int) -> list[Member]:
    return list(members[: limit or None])


PREPARERS: dict[str, Callable[[Path, int, PackSettings], tuple[Parts, PackSettings]]] = {
    "demo": _demo,
    "celeba": _celeba,
    "folder": _folder,
}
