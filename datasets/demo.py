"""The real photographs inside scikit-image and scikit-learn, as a dataset that works offline.

Only pictures that ship in the wheels are used (no download), only photographs (no drawings, phantoms or
blurred simulations). Roles are split by photograph; both views of the stereo pair are training images.
"""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from datasets.errors import UserError
from datasets.sources import Member
from datasets.tiles import TiledSource

TILE_PX = 128
TRAIN_STRIDE_PX = 48
TRAIN_TILES_PER_PHOTOGRAPH = 64
MIN_CONTRAST = 6.0
"""Grey levels; below it a tile is empty sky, and bicubic is already perfect there."""

SKIMAGE, SKLEARN = ("skimage", "data"), ("sklearn", "datasets/images")

PHOTOGRAPHS: dict[str, dict[str, tuple[str, str]]] = {
    "train": {
        "astronaut.png": SKIMAGE,
        "brick.png": SKIMAGE,
        "coins.png": SKIMAGE,
        "grass.png": SKIMAGE,
        "gravel.png": SKIMAGE,
        "hubble_deep_field.jpg": SKIMAGE,
        "ihc.png": SKIMAGE,
        "motorcycle_left.png": SKIMAGE,
        "motorcycle_right.png": SKIMAGE,
        "retina.jpg": SKIMAGE,
    },
    "val": {"chelsea.png": SKIMAGE, "coffee.png": SKIMAGE},
    "test": {"china.jpg": SKLEARN, "flower.jpg": SKLEARN},
    "gate": {"camera.png": SKIMAGE, "rocket.jpg": SKIMAGE},
}

SAME_SCENE = {"motorcycle_left": "motorcycle", "motorcycle_right": "motorcycle"}


class PackagedPhotographs:
    """The photographs of one role, read from the installed packages. UserError where one is missing."""

    def __init__(self, role: str) -> None:
        self.name = "demo"
        self._paths = {name: _folder(*where) / name for name, where in PHOTOGRAPHS[role].items()}
        for path in self._paths.values():
            if not path.is_file():
                raise UserError(f"the demo photograph {path} is missing; reinstall its package")

    def members(self) -> Sequence[Member]:
        stems = {name: Path(name).stem for name in sorted(self._paths)}
        return [Member(stem, name, SAME_SCENE.get(stem, stem)) for name, stem in stems.items()]

    def fingerprint(self) -> str:
        hashes = [hashlib.sha256(self._paths[name].read_bytes()).hexdigest() for name in sorted(self._paths)]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    def read(self, member: Member) -> bytes:
        return self._paths[member.name].read_bytes()


def _folder(package: str, inside: str) -> Path:
    # find_spec, not import: scikit-image takes a second to import and nothing of its code is needed.
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the demo needs {package}; install the project's dependencies")
    return Path(spec.origin).parent / inside


def demo_sources() -> dict[str, TiledSource]:
    """One source per role: 128 px tiles, overlapping for train, side by side for the others."""
    sources = {}
    for role in PHOTOGRAPHS:
        train = role == "train"
        sources[role] = TiledSource(
            PackagedPhotographs(role),
            tile_px=TILE_PX,
            stride_px=TRAIN_STRIDE_PX if train else TILE_PX,
            min_contrast=MIN_CONTRAST,
            limit=TRAIN_TILES_PER_PHOTOGRAPH if train else 0,
        )
    return sources
