"""A table of the datasets that Upsweep knows by name: size, files to provide, licence, address, splits."""

from dataclasses import dataclass
from pathlib import Path

from datasets.errors import unknown
from datasets.folders import names_beside


@dataclass(frozen=True)
class CatalogueEntry:
    """One dataset; `images` is the published number, 0 if it depends on the source."""

    images: int
    bring: str
    """Files to give to --source."""
    licence: str
    get: str
    """Address to download from."""
    splits: tuple[str, ...] = ("cut", "whole")
    """Values of --split, the default first."""


_RESEARCH = "non-commercial research"
_LSUN = "LSUN: research; images belong to their owners"
_LSUN_SPLITS = ("matrix", "cut", "whole")
_SELFEXSR = "https://github.com/jbhuang0604/SelfExSR"

CATALOGUE: dict[str, CatalogueEntry] = {
    "demo": CatalogueEntry(
        0,
        "nothing",
        "public domain and CC, as scikit-image and scikit-learn state; the portrait: US Navy, public domain",
        "comes with the installed packages",
        ("packaged",),
    ),
    "celeba": CatalogueEntry(
        202_599,
        "img_align_celeba.zip; beside it list_eval_partition.txt and, to cut by person, identity_CelebA.txt",
        _RESEARCH,
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        ("official", "matrix", "upsampling", "cut", "whole"),
    ),
    "lsun_dining_room": CatalogueEntry(
        657_571,
        "dining_room_train_lmdb.zip, or its folder",
        _LSUN,
        "http://dl.yf.io/lsun/scenes/dining_room_train_lmdb.zip",
        _LSUN_SPLITS,
    ),
    "lsun_tower": CatalogueEntry(
        708_264,
        "tower_train_lmdb.zip, or its folder",
        _LSUN,
        "http://dl.yf.io/lsun/scenes/tower_train_lmdb.zip",
        _LSUN_SPLITS,
    ),
    "div2k": CatalogueEntry(
        900,
        "a folder with DIV2K_train_HR.zip and DIV2K_valid_HR.zip, or one of them",
        "academic research only",
        "https://data.vision.ee.ethz.ch/cvl/DIV2K/",
        ("official", "cut"),
    ),
    "ffhq": CatalogueEntry(
        70_000,
        "thumbnails128x128.zip",
        "CC BY-NC-SA 4.0",
        "https://github.com/NVlabs/ffhq-dataset",
        ("official", "cut", "whole"),
    ),
    "selfie2anime": CatalogueEntry(
        6_900,
        "selfie2anime.zip (the anime half is used)",
        "not stated; research",
        "https://github.com/taki0112/UGATIT",
        ("official", "cut", "whole"),
    ),
    "t91": CatalogueEntry(91, "a folder or zip of the images", "research", _SELFEXSR, ("cut", "whole")),
    "set5": CatalogueEntry(5, "a folder or zip of the HR images", "research", _SELFEXSR, ("whole",)),
    "set14": CatalogueEntry(14, "a folder or zip of the HR images", "research", _SELFEXSR, ("whole",)),
    "bsd100": CatalogueEntry(100, "a folder or zip of the HR images", _RESEARCH, _SELFEXSR, ("whole",)),
    "urban100": CatalogueEntry(100, "a folder or zip of the HR images", "research", _SELFEXSR, ("whole",)),
    "pairs": CatalogueEntry(0, "--hr and --lr, two folders or zips, not --source", "yours", "your own pairs"),
    "folder": CatalogueEntry(0, "any folder or zip of photographs", "yours", "your own photographs"),
}


def check_exists(spec: str, option: str) -> None:
    """Raise UserError unless `spec` is a name of the catalogue, a URL or a path that exists."""
    if spec not in CATALOGUE and "://" not in spec and not Path(spec).exists():
        known = [*CATALOGUE, *names_beside(Path(spec))]
        raise unknown(f"folder, zip, shard folder or dataset for {option}", spec, known)
