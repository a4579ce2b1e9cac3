"""The champion as a file: public names where they exist, read back, and judged beside the network."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from datasets.errors import UserError
from orchestrator.registry import export_file
from orchestrator.registry.export_file import Export, possible_exports, write_export
from orchestrator.registry.load_model import load_model
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator

COMPACT = GeneratorConfig(kind="compact", size='{"num_conv": 1, "num_feat": 4}', scale=2)
OURS = GeneratorConfig(num_blocks=1, channels=4, scale=2)


def network(config: GeneratorConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(config).eval()


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_public_names_are_read_back_and_open_here_again(tmp_path, name):
    net, path = network(COMPACT), tmp_path / name
    lines = write_export(Export(path), net, TrainConfig(generator=COMPACT), tmp_path)
    assert lines == ["read back by spandrel as compact x2"]
    again, config = load_model(str(path), "")
    assert config.generator == COMPACT
    image = torch.rand(1, 3, 8, 9)
    assert torch.equal(again(image), net(image))


def test_our_own_networks_leave_in_our_names_or_as_onnx(tmp_path):
    config = TrainConfig(generator=OURS)
    lines = write_export(Export(tmp_path / "net.safetensors"), network(OURS), config, tmp_path)
    assert "no public tool knows the architecture" in lines[0]
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"])["generator.channels"] == 4
    with pytest.raises(UserError, match=r"no public tool knows srresnet .* export \.onnx"):
        write_export(Export(tmp_path / "net.pth"), network(OURS), config, tmp_path)


def test_the_gate_judges_the_file_itself(tmp_path, monkeypatch):
    seen = []

    class Gate:
        metrics, device = ("psnr_y",), torch.device("cpu")

        def __init__(self, *_):
            pass

        def measure(self, net):
            seen.append(net)
            value = float(net(torch.full((1, 3, 4, 4), 0.5)).mean().detach())
            return type("M", (), {"evaluation": type("E", (), {"summary": {"psnr_y": 30 + value}})})

    monkeypatch.setattr(export_file, "GateImages", Gate)
    net = network(COMPACT)
    lines = write_export(
        Export(tmp_path / "net.safetensors", half=True, judge=True),
        net,
        TrainConfig(generator=COMPACT),
        tmp_path,
    )
    assert lines[1].startswith("on the gate images: psnr_y 30.") and "(network 30." in lines[1]
    assert seen[0] is net and seen[1] is not net


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (OURS, r"\.onnx \(any size\); its weights open here only"),
        (COMPACT, r"\.onnx \(any size\), and \.safetensors or \.pth in the names of compact"),
        (GeneratorConfig(kind="swinir"), r"\.onnx \(inputs of 64x64 only\), and \.safetensors"),
        (GeneratorConfig(kind="rrdb", norm="none", upsampler="nearest_conv"), "in the names of rrdb"),
        (GeneratorConfig(kind="rrdb", norm="none"), "open here only"),
    ],
)
def test_promotion_says_which_files_a_network_can_become(config, sentence):
    assert re.search(sentence, possible_exports(config))


@pytest.mark.parametrize(
    ("path", "sentence"), [("x.pt", r"must end in \.onnx"), ("none/x.onnx", "there is no none")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_loaded(path, sentence):
    with pytest.raises(UserError, match=sentence):
        Export(Path(path)).check()
