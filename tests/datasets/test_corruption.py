"""Random degradations: each image draws its own, whatever the batch, rank or start."""

import io
import itertools

import numpy as np
import pytest
import torch
from helpers.archives import photographs
from PIL import Image
from skimage import data as pictures

from datasets.config import DataConfig
from datasets.corruption import Frame, Jpeg, Noise, Resize, Shuffled, shot_noise
from datasets.corruption_presets import Corruption, channel_factor, correlated_noise
from datasets.degrade import down
from datasets.errors import UserError
from datasets.image_set import ImageSet, open_images
from datasets.loader import TrainLoader

HR = pictures.astronaut()[100:196, 100:196]
TEXTS = ("bsrgan", "real_esrgan", "matlab", "blur:0.2-3,down,noise:1-25,jpeg:30-95", "jpeg:10-40+poisson:1-2")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder = tmp_path_factory.mktemp("corruption")
    return open_images(str(photographs(folder / "p", 16)), "train", work_dir=folder)


def loader(
    images: ImageSet, text: str = "bsrgan", rank: int = 0, world: int = 1, **more: object
) -> TrainLoader:
    data = DataConfig(crop_px=32, batch_size=4, train_degradation=text, **more)  # type: ignore[arg-type]
    return TrainLoader(images, data, 4, device="cpu", rank=rank, world=world)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_one_index_has_one_input_and_others_have_others(text: str, scale: int) -> None:
    corrupt = Corruption(text, scale)
    first, again, other = (corrupt(HR, (0, 0, i)) for i in (5, 5, 6))
    assert first.shape == (96 // scale, 96 // scale, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert text == "matlab" or not np.array_equal(first, other)


@pytest.mark.parametrize("mode", ["cached", "streamed"])
def test_a_resumed_run_and_other_ranks_see_the_same_inputs(images: ImageSet, mode: str) -> None:
    straight = list(itertools.islice(loader(images, mode=mode, rotate=True).batches(), 6))
    resumed = next(loader(images, mode=mode, rotate=True).batches(5))
    assert torch.equal(straight[5].lr_image, resumed.lr_image)
    for rank in range(4):
        part = next(loader(images, rank=rank, world=4, mode=mode, rotate=True).batches(5))
        assert torch.equal(part.lr_image, straight[5].lr_image[rank::4])


def test_the_target_is_not_changed_and_each_epoch_draws_anew(images: ImageSet) -> None:
    plain = next(loader(images, "").batches())
    batch = next(loader(images).batches())
    assert torch.equal(plain.hr, batch.hr) and not torch.equal(plain.lr_image, batch.lr_image)
    epochs = [Corruption("bsrgan", 4)(HR, (0, epoch, 3)) for epoch in (0, 1)]
    assert not np.array_equal(*epochs)


def test_a_fixed_degradation_as_a_training_degradation_is_itself(images: ImageSet) -> None:
    plain, same = (next(loader(images, text, flip=False).batches()) for text in ("", "matlab"))
    assert torch.equal(plain.lr_image, same.lr_image)


def test_the_psnr_phase_has_the_same_crops_under_its_own_degradation(images: ImageSet) -> None:
    base = loader(images, "jpeg:10-20")
    mixed = next(base.with_degradation("bsrgan+jpeg:10-20").batches())
    assert torch.equal(mixed.hr, next(base.batches()).hr)
    assert not torch.equal(mixed.lr_image, next(base.batches()).lr_image)


def grey(level: float = 0.5, side: int = 256) -> Frame:
    return Frame(torch.full((3, side, side), level), (side, side))


def test_noise_has_its_level_in_colour_and_in_grey() -> None:
    rng = np.random.default_rng(0)
    colour = Noise(sigma=(20, 20))(grey(), rng).pixels
    assert abs(colour.std() * 255 - 20) < 0.3 and colour.std(0).mean() * 255 > 15
    alike = Noise(sigma=(20, 20), grey_chance=1.0)(grey(), rng).pixels
    assert abs(alike.std() * 255 - 20) < 0.3 and alike.std(0).max() == 0


def test_shot_noise_has_the_variance_of_photons() -> None:
    pixels = torch.linspace(0, 1, 256).repeat(3, 256, 1)  # 256 levels, so 256 photons
    noise = shot_noise(pixels, np.random.default_rng(0), grey=False)
    assert abs(noise.mean()) < 1e-3
    assert torch.allclose(noise[:, :, 128].var(), torch.tensor(0.5 / 256), rtol=0.15)


def test_bsrgans_noise_has_the_published_covariance() -> None:
    factor = channel_factor(np.random.default_rng(3), 0.1)
    covariance = factor @ factor.T
    assert np.allclose(covariance, covariance.T) and 0 < np.diag(covariance).max() <= 0.1**2
    spread = [
        correlated_noise(grey(side=64), np.random.default_rng(i)).pixels.std() * 255 for i in range(200)
    ]
    assert 12.5 < np.mean(spread) < 16  # 14.1 with the authors' code


def test_jpeg_is_that_of_the_codec() -> None:
    pixels = torch.from_numpy(HR).permute(2, 0, 1).float() / 255
    ours = Jpeg((30, 30))(Frame(pixels, (96, 96)), np.random.default_rng(0)).pixels
    buffer = io.BytesIO()
    Image.fromarray(HR).save(buffer, "JPEG", quality=30)
    theirs = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255
    assert (ours - theirs).abs().max() <= 1 / 255 + 1e-6


def test_a_factor_of_one_keeps_the_size_and_half_halves_it() -> None:
    rng = np.random.default_rng(0)
    assert Resize((0.5, 0.5), (0, 0, 1))(grey(side=64), rng).pixels.shape[-1] == 64
    assert (
        Resize((0.5, 0.5), (0, 0, 1), from_final=True)(
            Frame(torch.zeros(3, 64, 64), (16, 16)), rng
        ).pixels.shape[-1]
        == 16
    )


def test_shuffled_steps_keep_the_order_of_two() -> None:
    seen: list[str] = []

    def step(name: str):  # type: ignore[no-untyped-def]
        return lambda frame, rng: (seen.append(name), frame)[1]

    for seed in range(30):
        Shuffled(tuple(step(n) for n in "abcd"), ordered=(1, 3))(grey(side=8), np.random.default_rng(seed))
        order = seen[-4:]
        assert sorted(order) == list("abcd") and order.index("b") < order.index("d")
    assert len({tuple(seen[i : i + 4]) for i in range(0, 120, 4)}) > 6


def test_down_is_matlabs_and_comes_last_if_it_is_not_named() -> None:
    plain = down(torch.from_numpy(HR.copy()).permute(2, 0, 1)[None], 4)[0].permute(1, 2, 0).numpy()
    for text in ("down", "noise:0-0"):
        assert np.array_equal(Corruption(text, 4)(HR, (0,)), plain)


BAD = {
    "fog": "no degradation 'fog'",
    "jpeg": "jpeg needs two numbers of 1 to 100, as in jpeg:1-100, but got 'jpeg'",
    "jpeg:95-30": "jpeg needs two numbers",
    "blur:1-900": "blur needs two numbers of 0 to 20",
    "noise:1..2-3": "noise needs two numbers",
    "bsrgan,jpeg:30-95": "no degradation 'bsrgan'",
    "+": "no degradation ''",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_degradation_is_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match=BAD[text]):
        DataConfig(train_degradation=text)


def test_settings_that_contradict_it_are_refused() -> None:
    with pytest.raises(UserError, match="data.train_degradation needs data.input image, but got edges"):
        DataConfig(train_degradation="bsrgan", input="edges")
