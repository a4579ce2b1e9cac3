"""The sets that Upsweep knows by name: counts, terms, where to get them. Only a table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue; `images` is the published count, 0 where it depends on the source."""

    images: int
    layout: str
    licence: str
    get: str


CATALOGUE: dict[str, Entry] = {
    "demo": Entry(0, "packaged", "public domain and CC (see scikit-image, scikit-learn)", "nothing to fetch"),
    "celeba": Entry(
        202_599,
        "img_align_celeba.zip (+ list_eval_partition.txt)",
        "non-commercial research",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
    "folder": Entry(0, "any folder or zip of photographs", "yours", "your own photographs"),
}
