"""Files of other projects are read without running code from them."""

import pickle

import numpy as np
import pytest
import torch
from helpers.weights import Foreign, flax

from trainers.weights import readers


def test_flax_kernels_become_torchs_convolutions():
    content = flax("VGG16_0", readers.VGG16_CONVOLUTIONS)
    tensors = readers.CONVERTERS["flax_vgg16"](pickle.dumps(content))
    assert list(tensors)[:3] == ["features.0.weight", "features.0.bias", "features.2.weight"]
    image = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    kernel = content["VGG16_0"]["Conv_12"]["kernel"]
    made = torch.nn.functional.conv2d(image, tensors["features.28.weight"])[0, :, 1, 2]
    by_hand = np.einsum("chw,hwco->o", image[0, :, 1:4, 2:5].numpy(), kernel)
    assert np.allclose(made.numpy(), by_hand, atol=1e-5)


def test_a_pickle_with_a_foreign_class_is_refused_before_anything_runs(capsys):
    with pytest.raises(pickle.UnpicklingError, match=r"refers to \S*print, but only NumPy arrays"):
        readers.unpickle_arrays(pickle.dumps({"a": np.zeros(2), "b": Foreign()}))
    assert "executed" not in capsys.readouterr().out


def test_arrays_of_numpy_1_and_2_are_read():
    data = pickle.dumps({"a": np.arange(3)}, protocol=3)
    assert readers.unpickle_arrays(data)["a"].tolist() == [0, 1, 2]
    older = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert older != data and readers.unpickle_arrays(older)["a"].tolist() == [0, 1, 2]
