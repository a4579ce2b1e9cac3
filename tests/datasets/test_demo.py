"""The demo dataset."""

import itertools
from pathlib import Path

import pytest

from datasets import demo
from datasets.demo import PackagedPhotographs, demo_sources
from datasets.errors import UserError
from datasets.image_set import disjoint, open_images


def test_the_demos_roles_share_no_picture(work: Path) -> None:
    sets = [open_images("demo", role, work_dir=work) for role in ("train", "val", "test", "gate")]
    for a, b in itertools.combinations(sets, 2):
        disjoint(a, b)
    assert len({s.digest for s in sets}) == 4 and all(len(s) >= 16 for s in sets)


def test_the_demo_has_as_many_tiles_as_its_figures_were_measured_on() -> None:
    members = {role: source.members() for role, source in demo_sources().items()}
    assert {role: len(m) for role, m in members.items()} == {"train": 600, "val": 18, "test": 33, "gate": 31}
    assert members["train"][0].key == "astronaut-y0000x0000"


def test_both_views_of_the_stereo_pair_count_as_one_photograph() -> None:
    photographs = {m.key: m.photograph for m in PackagedPhotographs("train").members()}
    assert photographs["motorcycle_left"] == photographs["motorcycle_right"] == "motorcycle"
    assert len(set(photographs.values())) == len(photographs) - 1 == 9


def test_a_missing_package_or_photograph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(demo.PHOTOGRAPHS, "val", {"cat.png": demo.SKIMAGE})
    with pytest.raises(UserError, match="the demo photograph .*cat.png is missing; reinstall its package"):
        PackagedPhotographs("val")
    monkeypatch.setitem(demo.PHOTOGRAPHS, "val", {"cat.png": ("no_such_package", "data")})
    with pytest.raises(UserError, match="the demo needs no_such_package; install"):
        PackagedPhotographs("val")


def test_photographs_are_decoded_by_the_first_import_alone(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker opens two roles of the demo, and spent two seconds on each."""
    open_images("demo", "val", work_dir=work)
    monkeypatch.setattr(demo.TiledSource, "members", lambda self: pytest.fail("decoded again"))
    assert len(open_images("demo", "test", work_dir=work)) == 33
