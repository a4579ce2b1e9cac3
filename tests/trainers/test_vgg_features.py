"""VGG features end where they should, are the same in every run, and say which weights they hold."""

import dataclasses

import pytest
import requests
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from datasets.errors import UserError
from trainers.config.loss import PERCEPTUAL_NETWORKS, LossConfig, content_layers
from trainers.losses import content_loss
from trainers.vgg_features import VGGFeatures
from trainers.weights import WEIGHTS, identity


@pytest.mark.parametrize(
    ("network", "layer", "activation", "modules"),
    [
        ("vgg19", "conv5_4", True, 36),  # features[:36] is VGG54 after its ReLU, as in SRGAN
        ("vgg19", "conv5_4", False, 35),  # features[:35] is what ESRGAN compares
        ("vgg19", "conv2_2", True, 9),  # VGG22
        ("vgg16", "conv5_3", True, 30),
        ("vgg16", "pool5", True, 31),  # leftthomas
        ("vgg19", "pool3", True, 19),
    ],
)
def test_network_ends_at_the_named_layer(network, layer, activation, modules):
    features = VGGFeatures(network, layer, activation, "random").features
    assert len(features) == modules
    last = nn.MaxPool2d if layer.startswith("pool") else nn.ReLU if activation else nn.Conv2d
    assert isinstance(features[-1], last)


def test_shape_sign_and_label():
    net = VGGFeatures("vgg19", "conv2_2", True, "random")
    features = net(torch.rand(2, 3, 16, 12))
    assert features.shape == (2, 128, 8, 6) and features.min() == 0
    assert VGGFeatures("vgg19", "conv2_2", False, "random")(torch.rand(1, 3, 8, 8)).min() < 0
    assert net.label == "vgg19-random"


def test_random_features_do_not_depend_on_the_global_seed():
    torch.manual_seed(1)
    first = VGGFeatures("vgg16", "conv1_2", True, "random")
    torch.manual_seed(2)
    second = VGGFeatures("vgg16", "conv1_2", True, "random")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_frozen_yet_differentiable_towards_the_image():
    net = VGGFeatures("vgg19", "conv1_2", True, "random")
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    content_loss(net(image), torch.zeros(1, 64, 8, 8), 1 / 12.75).backward()
    assert image.grad.abs().max() > 0


def test_input_is_normalised_as_imagenet():
    net = VGGFeatures("vgg19", "conv1_1", False, "random")
    mean_image = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 6, 6)
    assert net(mean_image).abs().max() < 1e-6  # zero in, and the random biases are zero


def test_without_normalisation_images_go_in_as_they_are():
    net = VGGFeatures("vgg16", "conv1_1", False, "random", normalise=False)
    assert net(torch.zeros(1, 3, 6, 6)).abs().max() == 0
    image = torch.rand(1, 3, 6, 6)
    assert torch.equal(net(image), net.features(image))


def test_a_torchvision_state_file_is_read_exactly(tmp_path):
    torch.manual_seed(0)
    small = make_layers(cfgs["E"])[:3].state_dict(prefix="features.")
    torch.save(small, tmp_path / "vgg.pth")
    net = VGGFeatures("vgg19", "conv1_2", False, str(tmp_path / "vgg.pth"))
    assert torch.equal(net.features[2].weight, small["features.2.weight"])
    assert net.label.startswith("vgg19-") and net.label not in ("vgg19-imagenet", "vgg19-random")
    with pytest.raises(UserError, match=r"lacks features\.5\.weight"):
        VGGFeatures("vgg19", "conv2_1", False, str(tmp_path / "vgg.pth"))


def test_bad_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="imagenet, random or the path of a torchvision state file"):
        VGGFeatures("vgg19", "conv1_1", True, str(tmp_path / "absent.pth"))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(UserError, match="is not a torchvision state file"):
        VGGFeatures("vgg19", "conv1_1", True, str(tmp_path / "text.pth"))


def test_without_network_the_sentence_names_the_option_and_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests.Session, "get", offline)
    with pytest.raises(
        UserError, match=r"weights vgg19 could not be fetched .*; copy https://download.pytorch.org"
    ):
        VGGFeatures("vgg19", "conv1_1", True, "imagenet")


def test_an_unknown_layer():
    with pytest.raises(UserError, match=r"no layer of vgg16 'conv5_4'; known: blocks, conv1_1"):
        VGGFeatures("vgg16", "conv5_4", True, "random")
    with pytest.raises(UserError, match=r"no layer of vgg16 'conv5_4'; known: .*loss\.content_layer"):
        LossConfig(content_network="vgg16")


@pytest.mark.parametrize("network", PERCEPTUAL_NETWORKS)
def test_layers_are_named_after_the_convolutions_and_pools_of_torchvision(network):
    entries = cfgs[{"vgg16": "D", "vgg19": "E"}[network]]
    names = content_layers(network)
    assert len(names) == len(entries) and names[-1] == "pool5"
    assert all((entry == "M") == name.startswith("pool") for entry, name in zip(entries, names, strict=True))


def test_published_weights_in_a_file_are_known_whole_or_as_features(tmp_path, monkeypatch):
    torch.manual_seed(0)
    features = make_layers(cfgs["D"])[:3].state_dict(prefix="features.")
    row = dataclasses.replace(WEIGHTS["vgg16"], tensors=identity(features))
    monkeypatch.setitem(WEIGHTS, "vgg16", row)
    torch.save(features | {"classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "whole.pth")
    save_file(features, tmp_path / "features.safetensors")
    for name in ("whole.pth", "features.safetensors"):
        assert VGGFeatures("vgg16", "conv1_2", True, str(tmp_path / name)).label == "vgg16-imagenet"


@pytest.mark.parametrize("activation", [True, False])
@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_several_layers_are_the_weighted_sum_of_each_layer_s_loss(criterion, activation):
    a, b = torch.rand(2, 2, 3, 32, 24, generator=torch.Generator().manual_seed(0))
    weights = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_3": 1.0, "conv4_3": 1.0, "conv5_3": 1.0}

    def loss(layers):
        network = VGGFeatures("vgg16", layers, activation, "random", criterion=criterion)
        return content_loss(network(a), network(b), 0.5, criterion)

    parts = [weight * loss(layer) for layer, weight in weights.items()]
    assert min(parts) > 0
    torch.testing.assert_close(loss("real_esrgan"), sum(parts))
    torch.testing.assert_close(loss("conv5_3 + conv1_2*0.1"), parts[4] + parts[0])


def test_features_taken_before_a_relu_are_not_changed_by_it():
    image = torch.rand(1, 3, 16, 16)
    both = VGGFeatures("vgg19", "conv1_1+conv1_2", False, "random")
    one = VGGFeatures("vgg19", "conv1_1", False, "random")
    assert both(image).min() < 0
    size = 2 * 64 * 16 * 16
    expected = (size / (size / 2)) ** 0.5 * one(image).flatten(1)
    torch.testing.assert_close(both(image)[:, : size // 2], expected)
