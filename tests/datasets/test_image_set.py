"""Image sets by name and role: what is opened, cut, refused."""

from pathlib import Path

import numpy as np
import pytest
from helpers.archives import photographs
from PIL import Image

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import disjoint, open_images


def test_sets_that_share_a_picture_are_refused(work: Path, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "p", 4)
    a = open_images(str(folder), "val", work_dir=work)
    b = open_images(str(folder), "test", work_dir=work)
    with pytest.raises(UserError, match="data.val and data.test share images: .* have the same pixels"):
        disjoint(a, b)


def test_a_plain_folder_is_cut_for_train_and_whole_for_a_role(work: Path, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "p", 20)
    data = DataConfig(train=str(folder))
    cut = [open_images(str(folder), r, work_dir=work, data=data) for r in ("train", "val", "test", "gate")]
    assert [len(s) for s in cut] == [15, 2, 2, 1]
    assert len({key for s in cut for key in s.keys}) == 20
    assert len(open_images(str(folder), "test", work_dir=work)) == 20


def test_images_of_several_sizes_are_read_back_exactly(work: Path, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "p", 5)
    images = open_images(str(folder), "test", work_dir=work)
    assert images.min_side == 48 and images.keys[0] == "photo_0_v1"
    for i in range(5):
        assert np.array_equal(images[i], np.array(Image.open(folder / f"photo {i}.v1.png")))
    with pytest.raises(ValueError, match="read-only"):
        images[0][0, 0] = 0


def test_an_unknown_dataset_names_the_known_ones(work: Path) -> None:
    with pytest.raises(UserError, match="'dmeo'; known: .*did you mean 'demo'"):
        open_images("dmeo", "train", work_dir=work)


def test_a_catalogue_set_that_is_not_prepared_says_how(work: Path) -> None:
    with pytest.raises(UserError, match="celeba is not prepared in .*upsweep prepare celeba --source"):
        open_images("celeba", "train", work_dir=work)
