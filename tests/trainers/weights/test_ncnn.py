"""Generators in ncnn's format: storage in half and single precision, and SPAN's merged convolutions."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trainers.models import build_generator
from trainers.weight_import import import_generator
from trainers.weights import ncnn


def stored(layers, half=True, seed=0):
    """A .bin file of random convolutions, as ncnn's converter writes it, and the weights by name."""
    rng, data, weights = np.random.default_rng(seed), b"", {}
    for name, out, inside, side in layers:
        weight = rng.normal(0, 0.1, (out, inside, side, side)).astype("<f2" if half else "<f4")
        bias = rng.normal(0, 0.1, out).astype("<f4")
        raw = weight.tobytes()
        tag = np.array(ncnn.HALF if half else 0, "<u4").tobytes()
        data += tag + raw + b"\0" * (-len(raw) % 4) + bias.tobytes()
        weights[name] = weight.astype("f4"), bias
    return data, weights


@pytest.mark.parametrize("half", [True, False])
def test_an_rrdb_is_read_to_the_last_byte_and_loads_as_a_generator(half, tmp_path):
    sizes = {"blocks": 2, "channels": 5, "growth": 32}  # 3 * 5 * 9 halves need padding
    data, weights = stored(ncnn._rrdb_layers(**sizes), half)
    tensors = ncnn.read_rrdb(data, **sizes)
    assert all(np.array_equal(tensors[f"{n}.weight"], w) for n, (w, _) in weights.items())
    assert all(np.array_equal(tensors[f"{n}.bias"], b) for n, (_, b) in weights.items())
    torch.save(tensors, tmp_path / "rrdb.pth")
    config, state = import_generator(tmp_path / "rrdb.pth")
    assert (config.kind, config.num_blocks, config.channels, config.scale) == ("rrdb", 2, 5, 4)
    build_generator(config).load_state_dict(state)


def test_other_data_is_refused_in_a_sentence():
    sizes = {"blocks": 1, "channels": 4, "growth": 2}
    data, _ = stored(ncnn._rrdb_layers(**sizes))
    with pytest.raises(ValueError, match="4 bytes are left after the last layer"):
        ncnn.read_rrdb(data + b"more", **sizes)
    with pytest.raises(ValueError, match="buffer is smaller|buffer size"):
        ncnn.read_rrdb(data[:-8], **sizes)
    with pytest.raises(ValueError, match="conv_first has the unknown storage tag 0xd4b38"):
        ncnn.read_rrdb((0xD4B38).to_bytes(4, "little") + data[4:], **sizes)


def test_span_s_merged_kernel_comes_back_exactly_from_its_conv3xc():
    data, weights = stored(ncnn._span_layers(6))
    tensors = ncnn.read_span(np.zeros(3, "<f4").tobytes() + data, channels=6)
    weight, bias = (torch.from_numpy(t) for t in weights["block_3.c2_r"])
    x = torch.rand(1, 6, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    part = {k.removeprefix("block_3.c2_r."): t.double() for k, t in tensors.items()}
    y = F.pad(x, (1, 1, 1, 1))
    for i in range(3):
        y = F.conv2d(y, part[f"conv.{i}.weight"], part[f"conv.{i}.bias"])
    y = y + F.conv2d(x, part["sk.weight"], part["sk.bias"])
    assert torch.allclose(y, F.conv2d(x, weight.double(), bias.double(), padding=1), atol=1e-12)
    assert torch.equal(tensors["block_3.c2_r.eval_conv.weight"], weight)
    assert tensors["upsampler.0.weight"].shape == (48, 6, 3, 3) and "conv_cat.sk.weight" not in tensors
