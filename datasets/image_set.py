"""A dataset's images for one role, decoded, with random access. Crops and batches are in loader.py."""

from functools import cached_property
from pathlib import Path

import numpy as np

from datasets.cache import Decoded, decoded
from datasets.config import ROLES, DataConfig
from datasets.duplicates import same_pictures
from datasets.errors import UserError, unknown
from datasets.manifest import Manifest
from datasets.pixels import PixelFormat
from datasets.prepare import import_once
from datasets.remote_shards import RemoteShards, is_url
from datasets.shard_reader import Location, read_index, read_manifest
from datasets.validate import Progress


class ImageSet:
    """The images of one role, in the order of their shards.

    `keys`, `hashes` (SHA-256 of the pixels) and `sources` (the photograph that an image was cut from) are
    parallel lists; `digest` identifies content and role by 16 hex digits. `pairs_scale` is the scale of a set
    of pairs, 0 of photographs alone; `format` is the set's bands and peak.
    """

    def __init__(self, location: str, role: str, cache: Path, cache_gb: float = 0.0) -> None:
        if role not in ROLES:
            raise unknown("role", role, ROLES)
        limit_bytes = int(cache_gb * 1e9)
        self.location: Location = RemoteShards(location, cache, limit_bytes) if is_url(location) else location
        self.role = role
        self.manifest: Manifest = read_manifest(self.location)
        self.split = self.manifest.split_for(role)
        self.name = self.manifest.name
        self.pairs_scale = self.manifest.pairs_scale
        self.format = self.manifest.pixels
        self.digest = self.manifest.digest(role)
        self.rows = read_index(self.location, self.manifest, self.split)
        self.keys = [row.key for row in self.rows]
        self.hashes = [row.pixel_sha256 for row in self.rows]
        self.sources = [row.source for row in self.rows]
        self._cache, self._limit = cache, limit_bytes

    @cached_property
    def pixels(self) -> Decoded:
        """The decoded images, from this machine's cache; the first process to use them decodes them."""
        return decoded(self.location, self.manifest, self.split, self.rows, self._cache, self._limit, 0)

    @cached_property
    def inputs(self) -> Decoded:
        """The decoded LR images of a set of pairs, from this machine's cache like `pixels`."""
        return decoded(self.location, self.manifest, self.split, self.rows, self._cache, self._limit, 1)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Height and width of each image, int64 (N, 2), in HR pixels; of pairs, the part that both have."""
        scale = self.pairs_scale
        sizes = np.array([(row.height, row.width) for row in self.rows], dtype=np.int64).reshape(-1, 2)
        if not scale:
            return sizes
        lr_sizes = np.array([(row.images[1].height, row.images[1].width) for row in self.rows])
        return np.minimum(sizes // scale, lr_sizes) * scale

    @property
    def min_side(self) -> int:
        """The shortest side of any image, in pixels; 0 if there are no images."""
        return int(self.sizes.min(initial=2**31)) if len(self.rows) else 0

    def check_scale(self, scale: int) -> None:
        """Check that the set fits networks of `scale`; UserError if its pairs have another scale."""
        if self.pairs_scale not in (0, scale):
            raise UserError(
                f"the pairs of data.{self.role}={self.name} are x{self.pairs_scale}, but generator.scale is "
                f"{scale}; set generator.scale {self.pairs_scale}"
            )

    def check_format(self, wanted: PixelFormat) -> None:
        """Raise UserError if the set has other bands or another range than the settings of a run."""
        if self.format != wanted:
            raise UserError(
                f"data.{self.role}={self.name} has the bands {self.format}, but data.bands and "
                f"data.peak say {wanted}; choose images of the kind that data.train has"
            )

    def check_training(self, data: DataConfig, scale: int) -> None:
        """Check that a run with these settings can train on the set; UserError otherwise."""
        if self.role != "train":
            raise UserError(f"training reads the train role only, but got {self.name} opened for {self.role}")
        if not len(self):
            raise UserError(f"data.train={self.name} holds no images")
        self.check_format(data.pixels)
        if self.min_side < data.crop_px:
            most = self.min_side // scale * scale
            raise UserError(
                f"data.crop_px={data.crop_px} is larger than the smallest image of {self.name} "
                f"({self.min_side} px); set --data.crop-px {most} or less, or leave small images out by "
                f"upsweep prepare folder --min-px {data.crop_px}"
            )
        if data.crop_px % scale:
            raise UserError(
                f"data.crop_px must be a multiple of generator.scale={scale}, but got {data.crop_px}"
            )
        self.check_scale(scale)
        if self.pairs_scale and data.input != "image":
            raise UserError(f"data.input={data.input} is made from HR images, but {self.name} has pairs")
        if self.pairs_scale and (data.train_degradation or data.psnr_degradation):
            raise UserError(f"data.train_degradation makes inputs from HR images, but {self.name} has pairs")

    def check_key(self, i: int, key: str) -> None:
        """Check the key that a shard has for image i against the index of the set.

        UserError if they differ, because the shards and their index then come from different imports.
        """
        if self.keys[i] != key:
            raise UserError(f"{self.location} holds {key}, but its index lists {self.keys[i]}; import again")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        """Return image i, uint8 or uint16 (H, W, bands), as a read-only view."""
        return self.pixels.image(i)


def open_images(
    spec: str,
    role: str,
    *,
    work_dir: Path,
    data: DataConfig | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """Open the images of `spec` for `role`.

    `spec` is a catalogue name, a shard folder or its URL (s3, gs, https), or a plain folder or zip of
    photographs, which is imported once into `work_dir`. A plain folder is cut into four roles by photograph
    if it is used for train, or for a role whose own field in `data` is empty; otherwise all of it is `role`.
    `progress` is called if images are imported.
    UserError if there is nothing to read, or if the dataset lacks the role.
    """
    if role not in ROLES:
        raise unknown("role", role, ROLES)
    is_cut = role == "train" or (data is not None and not getattr(data, role))
    split = "cut" if is_cut else "whole"
    location = import_once(spec, split, Path(work_dir), f"data.{role}", progress=progress)
    return ImageSet(location, role, Path(work_dir) / "cache", data.cache_gb if data else 0.0)


def disjoint(a: ImageSet, b: ImageSet) -> None:
    """Raise UserError if a picture is in both sets, exactly or as a near duplicate."""
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
