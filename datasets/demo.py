"""The demo dataset: photographs that scikit-image, scikit-learn and matplotlib bring, without download.

Drawings, phantoms and blurred simulations are left out. Roles are split by photograph; both views of the
stereo pair are training images.
"""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from datasets.errors import UserError
from datasets.sources import ArchiveMember
from datasets.tiles import TiledSource

TILE_PX = 128
TRAIN_STRIDE_PX = 48
TILES_PER_PHOTOGRAPH = {"train": 64, "test": 11}
"""The most of each, for speed; roles that are not named have no limit."""
MIN_CONTRAST = 6.0
"""In grey levels; a tile with less is empty sky, for which bicubic is already perfect."""

SKIMAGE, SKLEARN = ("skimage", "data"), ("sklearn", "datasets/images")
MATPLOTLIB = ("matplotlib", "mpl-data/sample_data")

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
    "test": {"china.jpg": SKLEARN, "flower.jpg": SKLEARN, "grace_hopper.jpg": MATPLOTLIB},
    "gate": {"camera.png": SKIMAGE, "rocket.jpg": SKIMAGE},
}

SAME_SCENE = {"motorcycle_left": "motorcycle", "motorcycle_right": "motorcycle"}


class PackagedPhotographs:
    """The demo photographs of one role; UserError if a package lacks one."""

    def __init__(self, role: str) -> None:
        self.name = "demo"
        self._paths = {name: _folder(*where) / name for name, where in sorted(PHOTOGRAPHS[role].items())}
        for path in self._paths.values():
            if not path.is_file():
                raise UserError(f"the demo photograph {path} is missing; reinstall its package")

    def members(self) -> Sequence[ArchiveMember]:
        stems = {name: path.stem for name, path in self._paths.items()}
        return [ArchiveMember(stem, name, SAME_SCENE.get(stem, stem)) for name, stem in stems.items()]

    def fingerprint(self) -> str:
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._paths.values()]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    def read(self, member: ArchiveMember) -> bytes:
        return self._paths[member.name].read_bytes()


def _folder(package: str, inside: str) -> Path:
    # find_spec instead of import: scikit-image takes a second to import and only its data are needed.
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the demo needs {package}; install the project's dependencies")
    return Path(spec.origin).parent / inside


def demo_sources() -> dict[str, TiledSource]:
    """Return one source per role: tiles of 128 px, overlapping for train, side by side for other roles."""
    return {
        role: TiledSource(
            PackagedPhotographs(role),
            tile_px=TILE_PX,
            stride_px=TRAIN_STRIDE_PX if role == "train" else TILE_PX,
            min_contrast=MIN_CONTRAST,
            limit=TILES_PER_PHOTOGRAPH.get(role, 0),
        )
        for role in PHOTOGRAPHS
    }
