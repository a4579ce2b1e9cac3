"""The champion as a file: public names where they exist, read back, and judged beside the network."""

import json
import re
import subprocess
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import PUBLIC
from packaging.requirements import Requirement
from safetensors import safe_open

from datasets.errors import UserError
from experiments.recipes.demo import demo
from orchestrator.registry import export_file
from orchestrator.registry.export_file import Export, possible_exports, write_export
from orchestrator.registry.load_model import load_model
from trainers.config import GeneratorConfig, TrainConfig
from trainers.inference.onnx_files import FIXED_SIZE
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


OPENED = {
    ".onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(path)
(result,) = session.run(None, {session.get_inputs()[0].name: image})
""",
    ".safetensors": """
import spandrel, torch
described = spandrel.ModelLoader().load_from_file(path)
assert described.scale == 2 and described.architecture.name == "RealESRGAN Compact"
result = described(torch.from_numpy(image)).detach().numpy()
""",
}
"""What a user of another tool writes; spandrel clamps its result to [0, 1], as the ONNX file does."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "ending", "package"),
    [(demo().generator, ".onnx", "onnxruntime"), (COMPACT, ".safetensors", "spandrel")],
)
def test_a_champion_opens_in_an_environment_that_has_never_seen_this_project(
    tmp_path, config, ending, package
):
    """A new virtual environment holds the package that opens the file, and what that package requires."""
    pytest.importorskip(package)
    net, image = network(config), torch.rand(1, 3, 17, 23)
    path = tmp_path / f"champion{ending}"
    write_export(Export(path), net, TrainConfig(generator=config), tmp_path)
    np.save(tmp_path / "image.npy", image.numpy())
    python = environment_with(package, tmp_path / "env")
    program = (
        "import importlib.util, sys, numpy\nimage, path = numpy.load(sys.argv[1]), sys.argv[2]\n"
        "assert not any(map(importlib.util.find_spec, ('upsweep', 'trainers', 'orchestrator')))\n"
        f"{OPENED[ending]}\nnumpy.save(sys.argv[3], result)"
    )
    words = [python, "-I", "-c", program, tmp_path / "image.npy", path, tmp_path / "result.npy"]
    subprocess.run(words, cwd=tmp_path, check=True)
    difference = np.load(tmp_path / "result.npy") - net(image).clamp(0, 1).detach().numpy()
    assert np.abs(difference).max() < 1e-4


def environment_with(package: str, folder: Path) -> Path:
    """Make a virtual environment of links to `package` and all it requires; return its interpreter.

    What an installation from an index would fetch is taken from this environment, so no network is needed.
    """
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    wanted, seen = [package], set[str]()
    while wanted:
        requirement = Requirement(wanted.pop())
        marker = requirement.marker
        if requirement.name in seen or (marker and not marker.evaluate({"extra": ""})):
            continue
        seen.add(requirement.name)
        found = metadata.distribution(requirement.name)
        wanted += found.requires or ()
        for part in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (site / part).exists() and part != "__pycache__":
                (site / part).symlink_to(found.locate_file(part))
    return folder / "bin" / "python"


@pytest.mark.slow
@pytest.mark.parametrize("kind", PUBLIC)
def test_every_public_kind_leaves_as_weights_and_as_onnx_and_is_read_back(tmp_path, kind):
    config = TrainConfig(generator=GeneratorConfig(kind=kind, size=json.dumps(PUBLIC[kind]), scale=2))
    net, image = network(config.generator), torch.rand(1, 3, *FIXED_SIZE[2:])
    for ending, said in ((".safetensors", f"spandrel as {kind} x2"), (".onnx", "onnxruntime: the largest")):
        path = tmp_path / f"net{ending}"
        (line,) = write_export(Export(path), net, config, tmp_path)
        assert line.startswith(f"read back by {said}")
        again, _ = load_model(str(path), "")
        with torch.inference_mode():
            assert (again(image).clamp(0, 1) - net(image).clamp(0, 1)).abs().max() < 1e-4


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
