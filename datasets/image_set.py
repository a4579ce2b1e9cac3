"""A named set of images for one role, decoded, with random access. Crops and batches are in loader.py."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from datasets.cache import Decoded, decoded
from datasets.catalogue import CATALOGUE
from datasets.config import ROLES, DataConfig
from datasets.demo import demo_sources
from datasets.duplicates import same_pictures
from datasets.errors import UserError, unknown
from datasets.manifest import Manifest
from datasets.remote_shards import is_url
from datasets.shard_reader import is_shards, located, read_index, read_manifest
from datasets.shard_writer import PackSettings, pack
from datasets.sources import open_source
from datasets.splits import cut
from datasets.validate import SplitSource


class ImageSet:
    """The images of one role, in the order of their shards.

    `keys`, `hashes` (SHA-256 of the pixels) and `sources` (the photograph an image was cut from) are
    parallel lists; `digest` names the content and the role in 16 hex digits.
    """

    def __init__(self, location: str, role: str, cache: Path, cache_gb: float = 0.0) -> None:
        if role not in ROLES:
            raise unknown("role", role, ROLES)
        self.location, self.role = located(location, cache, int(cache_gb * 1e9)), role
        self.manifest: Manifest = read_manifest(self.location)
        self.split = self.manifest.split_for(role)
        self.name = self.manifest.name
        self.digest = self.manifest.digest(role)
        self.rows = read_index(self.location, self.manifest, self.split)
        self.keys = [row.key for row in self.rows]
        self.hashes = [row.pixel_sha256 for row in self.rows]
        self.sources = [row.source for row in self.rows]
        self._cache, self._limit = cache, int(cache_gb * 1e9)

    @cached_property
    def pixels(self) -> Decoded:
        """The decoded images; the first process on a machine that asks decodes them."""
        return decoded(self.location, self.manifest, self.split, self.rows, self._cache, self._limit)

    @cached_property
    def min_side(self) -> int:
        """The shortest side of any image, in pixels."""
        return min((min(row.width, row.height) for row in self.rows), default=0)

    def expect(self, i: int, key: str) -> None:
        """Nothing, where `key` is image i; UserError where the shards and the index disagree."""
        if self.keys[i] != key:
            raise UserError(f"{self.location} holds {key} where its index lists {self.keys[i]}; import again")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        """uint8 (H, W, 3) RGB, a read-only view."""
        return self.pixels.image(i)


def open_images(spec: str, role: str, *, work_dir: Path, data: DataConfig | None = None) -> ImageSet:
    """The images of `spec` for `role`.

    `spec` is a catalogue name, a shard folder or its URL (s3, gs, https), or a plain folder or zip of
    photographs, which is imported once under `work_dir`. A plain folder that serves train (or another role
    only because its own field is empty) is cut into four roles by photograph; one that is named for a role
    is that role, whole. UserError where there is nothing to read, or no such role in it.
    """
    if role not in ROLES:
        raise unknown("role", role, ROLES)
    work_dir = Path(work_dir)
    cache_gb = data.cache_gb if data else 0.0
    return ImageSet(_location(spec, role, work_dir, data), role, work_dir / "cache", cache_gb)


def _location(spec: str, role: str, work_dir: Path, data: DataConfig | None) -> str:
    if is_shards(spec) or is_url(spec):
        return spec
    if spec == "demo":
        return _demo(work_dir)
    prepared = work_dir / "datasets" / spec
    if spec in CATALOGUE:
        if is_shards(str(prepared)):
            return str(prepared)
        raise UserError(
            f"data.{role}={spec} is not prepared in {prepared}; get it from {CATALOGUE[spec].get} and run "
            f"python experiments/prepare_data.py {spec} --source FILE --out {prepared}"
        )
    if Path(spec).exists():
        is_cut = role == "train" or (data is not None and not getattr(data, role))
        return _imported(Path(spec), is_cut, work_dir)
    raise unknown(f"folder, zip, shard folder or dataset for data.{role}", spec, CATALOGUE)


def _demo(work_dir: Path) -> str:
    sources = demo_sources()
    prints = "".join(source.fingerprint() for source in sources.values())
    out = work_dir / "datasets" / f"demo-{_short(prints)}"
    if not is_shards(str(out)):
        parts = {role: SplitSource(source, source.members()) for role, source in sources.items()}
        pack(out, "demo", parts, PackSettings())
    return str(out)


def _imported(path: Path, is_cut: bool, work_dir: Path) -> str:
    source = open_source(path)
    out = work_dir / "datasets" / f"{_short(source.fingerprint())}-{'cut' if is_cut else 'whole'}"
    if not is_shards(str(out)):
        members = source.members()
        roles = cut(members) if is_cut else {"all": members}
        parts = {role: SplitSource(source, chosen) for role, chosen in roles.items()}
        pack(out, source.name, parts, PackSettings())
    return str(out)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def disjoint(a: ImageSet, b: ImageSet) -> None:
    """Nothing, where no picture is in both sets; UserError naming one that is, exactly or nearly."""
    known = dict(zip(a.hashes, a.keys, strict=True))
    for key, digest in zip(b.keys, b.hashes, strict=True):
        if digest in known:
            raise _shared(a, known[digest], b, key, "have the same pixels")
    near = same_pictures(a.rows, b.rows)
    if near:
        i, j = near[0]
        raise _shared(a, a.keys[i], b, b.keys[j], "are near duplicates")


def _shared(a: ImageSet, a_key: str, b: ImageSet, b_key: str, how: str) -> UserError:
    return UserError(
        f"data.{a.role} and data.{b.role} share images: {a.name}/{a_key} and {b.name}/{b_key} {how}; "
        f"choose sets without common pictures"
    )
