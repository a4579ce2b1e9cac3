"""Public weights: exact both ways in every layout, refused in a sentence where they do not fit."""

import pytest
import torch
from helpers.weights import RRDB_LAYOUTS, write_public
from safetensors.torch import save_file

from datasets.errors import UserError
from trainers.config import GeneratorConfig
from trainers.models import build_generator
from trainers.weight_formats import public_weights
from trainers.weight_import import import_generator

RRDB = GeneratorConfig(kind="rrdb", norm="none", upsampler="nearest_conv", num_blocks=2, channels=8)
LEFTTHOMAS = GeneratorConfig(kind="leftthomas", num_blocks=3, channels=8)


def network(config: GeneratorConfig, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_generator(config)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("layout", "config"),
    [(layout, RRDB) for layout in RRDB_LAYOUTS]
    + [
        ("leftthomas", LEFTTHOMAS),
        ("esrgan_old", GeneratorConfig(**vars(RRDB) | {"scale": 2})),
        ("esrgan_old", GeneratorConfig(**vars(RRDB) | {"scale": 8})),
        ("basicsr", GeneratorConfig(**vars(RRDB) | {"scale": 2, "unshuffle_input": True})),
        ("basicsr", GeneratorConfig(**vars(RRDB) | {"scale": 1, "unshuffle_input": True})),
    ],
)
def test_out_and_in_again_gives_the_same_settings_and_bits(tmp_path, layout, config):
    net = network(config)
    write_public(net, config, tmp_path / "net.pth", layout=layout)
    settings, state = import_generator(tmp_path / "net.pth")
    assert settings == config and same(state, net.state_dict())
    again = build_generator(settings)
    again.load_state_dict(state)
    write_public(again, settings, tmp_path / "again.pth", layout=layout)
    first, second = (torch.load(tmp_path / f"{n}.pth", weights_only=True) for n in ("net", "again"))
    assert same(first.get("params", first), second.get("params", second))


def test_published_names_of_each_layout(tmp_path):
    names = {}
    for layout in RRDB_LAYOUTS:
        write_public(network(RRDB), RRDB, tmp_path / "net.pth", layout=layout)
        content = torch.load(tmp_path / "net.pth", weights_only=True)
        names[layout] = set(content.get("params", content))
    assert {"conv_first.weight", "body.1.rdb3.conv5.bias", "conv_body.weight", "conv_up2.weight"} <= names[
        "basicsr"
    ]
    assert {"RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.bias", "HRconv.weight"} <= names["esrgan"]
    assert {"model.1.sub.1.RDB3.conv5.0.bias", "model.1.sub.2.weight", "model.10.bias"} <= names["esrgan_old"]
    assert len({len(n) for n in names.values()}) == 1


def test_both_sets_of_weights_travel_and_the_averaged_one_is_read(tmp_path):
    live, averaged = network(RRDB, 1), network(RRDB, 2)
    write_public(live, RRDB, tmp_path / "net.pth", ema=averaged)
    assert same(import_generator(tmp_path / "net.pth")[1], averaged.state_dict())


SPAN = GeneratorConfig(kind="span", size='{"feature_channels": 8}')
FILES = {
    "published size": GeneratorConfig(kind="compact", size="conv16"),
    "own size": GeneratorConfig(kind="compact", size='{"num_conv": 3, "num_feat": 8}', scale=2),
    "scale 1": GeneratorConfig(kind="realplksr", size='{"dim": 8, "n_blocks": 1}', scale=1),
    "merged branches": SPAN,
    "windows": GeneratorConfig(
        kind="swinir",
        size='{"depths": [2], "embed_dim": 12, "num_heads": [2], "upsampler": "pixelshuffledirect"}',
        scale=3,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_public_architecture_is_recognised_with_its_sizes_and_bits(tmp_path, name):
    config = FILES[name]
    net = network(config)
    save_file(public_weights(net, config), tmp_path / "net.safetensors")
    settings, state = import_generator(tmp_path / "net.safetensors")
    assert settings == config and same(state, net.state_dict())


def test_half_precision_is_read_as_float32(tmp_path):
    weights = {k: v.half() for k, v in public_weights(network(SPAN), SPAN).items()}
    torch.save(weights, tmp_path / "half.pth")
    _, state = import_generator(tmp_path / "half.pth")
    assert {t.dtype for t in state.values()} == {torch.float32}


def test_the_default_networks_have_public_names_only_if_their_architecture_is_public():
    with pytest.raises(UserError, match=r"names need generator\.kind rrdb, but got srresnet"):
        public_weights(network(LEFT := GeneratorConfig(num_blocks=1, channels=4)), LEFT)


def test_safetensors_and_the_prefix_of_parallel_training(tmp_path):
    write_public(network(RRDB), RRDB, tmp_path / "net.pth", layout="esrgan")
    bare = torch.load(tmp_path / "net.pth", weights_only=True)
    save_file({f"module.{k}": v for k, v in bare.items()}, tmp_path / "net.safetensors")
    assert same(import_generator(tmp_path / "net.safetensors")[1], network(RRDB).state_dict())


def test_files_that_do_not_fit_are_refused_by_their_first_difference(tmp_path):
    write_public(network(RRDB), RRDB, tmp_path / "net.pth")
    weights = torch.load(tmp_path / "net.pth", weights_only=True)["params"]
    path = tmp_path / "changed.pth"

    def saved(changed):
        torch.save(changed, path)
        return path

    with pytest.raises(UserError, match=r"changed\.pth' does not fit its architecture: "):
        import_generator(saved({k: v for k, v in weights.items() if not k.startswith("conv_hr")}))
    with pytest.raises(UserError, match=r"no architecture that is known .* tensor is 'a\.weight'"):
        import_generator(saved({"a.weight": torch.zeros(1)}))
    with pytest.raises(UserError, match="holds no table of named tensors"):
        import_generator(saved([1, 2]))
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as a weight file"):
        import_generator(tmp_path / "text.pth")


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"reading that would run code of the file; ask its author for"):
        import_generator(tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()


def test_only_a_published_rrdb_has_public_names():
    other = GeneratorConfig(**vars(RRDB) | {"upsampler": "pixel_shuffle"})
    with pytest.raises(UserError, match=r"names need generator\.upsampler nearest_conv, but got pixel_sh"):
        public_weights(network(other), other)
    with pytest.raises(UserError, match=r"names need generator\.kind rrdb, but got leftthomas"):
        public_weights(network(LEFTTHOMAS), LEFTTHOMAS)
    names = public_weights(network(RRDB), RRDB).keys()
    assert {"conv_first.weight", "body.1.rdb3.conv5.bias", "conv_up2.weight", "conv_hr.bias"} <= names
