"""A network as an ONNX file: equal on other sizes, in both precisions, and usable as a network."""

import pytest
import torch

from datasets.errors import UserError
from trainers.config import GeneratorConfig
from trainers.inference import onnx_files
from trainers.inference.onnx_files import OnnxNetwork, write_onnx
from trainers.models import build_generator
from trainers.weight_import import import_generator
from trainers.weights import store

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

OURS = GeneratorConfig(num_blocks=1, channels=4, global_skip="bicubic", scale=2)
COMPACT = GeneratorConfig(kind="compact", size='{"num_conv": 1, "num_feat": 4}', scale=2)
SPAN = GeneratorConfig(kind="span", size='{"feature_channels": 4}', scale=2)


def network(config: GeneratorConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(config).eval()


@pytest.mark.parametrize(
    ("config", "half"), [pytest.param(OURS, False, marks=pytest.mark.slow), (COMPACT, True)]
)
def test_a_file_computes_what_the_network_computes_on_any_size(tmp_path, config, half):
    net = network(config)
    difference = write_onnx(net, config, tmp_path / "net.onnx", half=half)
    assert difference <= (0.01 if half else 1e-4)
    written = OnnxNetwork(tmp_path / "net.onnx")
    assert (written.scale, written.half) == (2, half)
    image = torch.rand(2, 3, 9, 21)
    assert written(image).shape == (2, 3, 18, 42) and written(image).dtype == torch.float32
    assert (written(image) - net(image).clamp(0, 1)).abs().max() <= (0.01 if half else 1e-4)


@pytest.mark.slow
def test_branches_for_training_do_not_reach_the_file(tmp_path):
    write_onnx(network(SPAN), SPAN, tmp_path / "span.onnx")
    nodes = onnx.load(tmp_path / "span.onnx").graph.node
    assert sum(node.op_type == "Conv" for node in nodes) == 22  # SPAN's 20 merged, conv_cat and the upsampler


@pytest.mark.slow
def test_the_published_span_is_read_back_within_rounding(tmp_path):
    if store.present("span_x4") is None:
        pytest.skip("no weights span_x4: run upsweep weights span_x4")
    config, weights = import_generator(store.find("span_x4"))
    net = build_generator(config).eval()
    net.load_state_dict(weights)
    assert write_onnx(net, config, tmp_path / "span.onnx") < 1e-4, "of white noise it is 0.0075"


def test_a_file_that_differs_is_removed_and_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files.OnnxNetwork, "forward", lambda self, x: torch.zeros(()))
    with pytest.raises(UserError, match="the ONNX file differs from the network by"):
        write_onnx(network(COMPACT), COMPACT, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as an ONNX file"):
        OnnxNetwork(tmp_path / "text.onnx")
