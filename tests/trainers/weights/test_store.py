"""Weights on this machine: folders, damage, and one identity for whole networks and features."""

import dataclasses

import pytest
import torch
from helpers.weights import publish
from safetensors.torch import save_file

from datasets.errors import UserError
from trainers import weights
from trainers.weights import store

FEATURES = {"features.0.weight": torch.arange(54.0).view(2, 3, 3, 3), "features.0.bias": torch.ones(2)}
WHOLE = FEATURES | {"classifier.weight": torch.rand(4, 4)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of UPSWEEP_WEIGHTS, with a published VGG16 that has a classifier; torch's cache is empty."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    publish(monkeypatch, own, "vgg16", WHOLE)
    known = dataclasses.replace(weights.WEIGHTS["vgg16"], tensors=weights.identity(FEATURES))
    monkeypatch.setitem(weights.WEIGHTS, "vgg16", known)
    return own


def test_the_named_folder_is_searched_before_torchs_cache(folder, tmp_path):
    cache, file = tmp_path / "torch" / "hub" / "checkpoints", weights.WEIGHTS["vgg16"].file
    assert weights.folders() == [folder, cache] and weights.find("vgg16") == folder / file
    cache.mkdir(parents=True)
    (folder / file).rename(cache / file)
    assert weights.find("vgg16") == cache / file and weights.missing(["vgg16", "vgg19"]) == ["vgg19"]


def test_a_whole_file_and_its_features_are_the_same_weights(folder):
    whole = weights.load("vgg16")
    (folder / weights.WEIGHTS["vgg16"].file).unlink()
    save_file(FEATURES, folder / "vgg16.safetensors")
    features = weights.load("vgg16")
    assert whole.keys() == features.keys() == FEATURES.keys()
    assert weights.identity(whole) == weights.identity(features)


def test_a_file_saved_again_by_another_torch_is_known_by_its_tensors(folder):
    torch.save(WHOLE | {"more": torch.zeros(1)}, folder / weights.WEIGHTS["vgg16"].file)
    assert weights.load("vgg16").keys() == FEATURES.keys()


def test_identity_sees_names_types_shapes_and_values_and_not_the_order():
    other = [
        {"features.1.weight": FEATURES["features.0.weight"], "features.0.bias": torch.ones(2)},
        FEATURES | {"features.0.bias": torch.ones(2, dtype=torch.float64)},
        FEATURES | {"features.0.weight": torch.arange(54.0).view(3, 2, 3, 3)},
        FEATURES | {"features.0.bias": torch.tensor([1.0, 1.0000001])},
    ]
    ids = {weights.identity(t) for t in [FEATURES, *other]}
    assert len(ids) == 5
    assert weights.identity(dict(reversed(FEATURES.items()))) == weights.identity(FEATURES)
    strided = {n: t.clone().contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t
               for n, t in FEATURES.items()}  # fmt: skip
    assert weights.identity(strided) == weights.identity(FEATURES)


@pytest.mark.parametrize("stored", ["published", "packaged"])
def test_one_changed_byte_is_damage(folder, stored):
    path = folder / weights.WEIGHTS["vgg16"].file
    if stored == "packaged":
        path.unlink()
        path = folder / "vgg16.safetensors"
        save_file(FEATURES, path)
    assert weights.find("vgg16")
    data = path.read_bytes()
    place = data.index(FEATURES["features.0.weight"].numpy().tobytes()) + 40
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(UserError, match=r"is damaged: .*delete it and run upsweep weights"):
        weights.load("vgg16")


def test_a_cut_file_is_damage(folder):
    path = folder / weights.WEIGHTS["vgg16"].file
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged"):
        weights.load("vgg16")


def test_missing_weights_are_an_error_with_the_command_and_the_publisher(folder):
    with pytest.raises(
        UserError, match=r"upsweep weights vgg19, or fetch https://download.pytorch.org/.*UPS"
    ):
        weights.load("vgg19")
    with pytest.raises(UserError, match="no weights 'vgg1'.*did you mean 'vgg1"):
        weights.load("vgg1")


def test_metrics_stand_for_the_weights_that_they_need():
    assert store.weights_of(["dists", "lpips_vgg", "vgg19"]) == [
        "vgg16", "dists_alpha_beta", "lpips_vgg_heads", "vgg19"
    ]  # fmt: skip
    with pytest.raises(UserError, match="did you mean 'lpips_alex'"):
        store.weights_of(["lpips_alexx"])
