"""Feature extractors: constant random features, and clear errors for what is missing."""

import builtins

import pytest
import torch

from datasets.errors import UserError
from trainers.metrics import extractors
from trainers.weights import VARIABLE, WEIGHTS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_cached_network():
    extractors.load_extractor.cache_clear()
    yield
    extractors.load_extractor.cache_clear()


def test_random_features_do_not_depend_on_the_seed_of_the_process():
    images = torch.randint(0, 256, (2, 3, 32, 24), dtype=torch.uint8)
    torch.manual_seed(1)
    first = extractors.RandomConv()(images)
    torch.manual_seed(2)
    assert torch.equal(extractors.RandomConv()(images), first) and first.shape == (2, 64)
    assert (first >= 0).all() and first.std() > 0


def test_an_extractor_is_frozen_in_eval_mode_and_loaded_once():
    network = extractors.load_extractor("random", CPU)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert extractors.load_extractor("random", CPU) is network


def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **more):
        if name.startswith("torch_fidelity"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UserError, match=r"torch-fidelity: pip install 'upsweep\[metrics\]', or choose fd_rand"
    ):
        extractors.load_extractor("inception", CPU)


def test_a_file_with_another_hash_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity", reason="needs the metrics extra")
    (tmp_path / WEIGHTS["inception"].file).write_bytes(b"other weights")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=r"is damaged: .*upsweep weights inception"):
        extractors.Inception()
