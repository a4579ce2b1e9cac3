"""A stored model takes images of any size, equals the network, and can be trained further."""

import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
import torch

from orchestrator.registry.export import check_export, log_generator
from orchestrator.registry.load_model import load_generator
from orchestrator.registry.registry import Registry
from orchestrator.tracking.mlflow_client import using_tracking_uri
from orchestrator.tracking.server import default_uri
from trainers.config import GeneratorConfig, TrainConfig
from trainers.inference.onnx_files import checked_sizes
from trainers.models import build_generator


@pytest.fixture
def uri(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    return default_uri(tmp_path)


@pytest.mark.parametrize("upsampler", ["pixel_shuffle", "transposed_conv"])
def test_a_stored_model_takes_images_of_any_size_and_can_be_trained_further(uri, tmp_path, upsampler):
    generator_config = GeneratorConfig(num_blocks=1, channels=8, upsampler=upsampler, global_skip="bicubic")
    config = TrainConfig(recipe="demo", generator=generator_config)
    generator = build_generator(config.generator)
    generator(torch.rand(4, 3, 16, 16))  # moves the BN statistics, so that train mode would show
    registry = Registry(uri, "upsweep-demo")
    experiment = registry.client.create_experiment("e", artifact_location=(tmp_path / "art").as_uri())
    with using_tracking_uri(uri), mlflow.start_run(experiment_id=experiment) as run:
        model_uri = log_generator(generator, config)
    registry.register(model_uri, run.info.run_id, {}, "card")
    registry.promote(1, None)
    back, back_config = load_generator("models:/upsweep-demo@champion", uri)
    with using_tracking_uri(uri):
        served = mlflow.pyfunc.load_model("models:/upsweep-demo@champion")
    assert back_config == config
    generator.eval()
    for size in ((1, 3, 17, 33), (2, 3, 8, 8), (5, 3, 9, 21)):
        lr_image = np.random.default_rng(0).random(size, dtype=np.float32)
        with torch.inference_mode():
            expected = generator(torch.from_numpy(lr_image)).numpy()
            assert np.array_equal(back(torch.from_numpy(lr_image)).numpy(), expected)
        sr = served.predict(lr_image)
        assert sr.shape == (size[0], 3, 4 * size[2], 4 * size[3]) and sr.dtype == np.float32
        assert np.allclose(sr, expected.clip(0, 1), atol=1e-5)
    back.train()
    assert back(torch.rand(2, 3, 8, 8)).requires_grad


def test_a_machine_with_a_gpu_stores_and_loads_a_model_all_the_same(uri, tmp_path, monkeypatch):
    config = TrainConfig(recipe="demo", generator=GeneratorConfig(num_blocks=1, channels=8))
    generator = build_generator(config.generator).eval()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # mlflow then loads models on a GPU
    with using_tracking_uri(uri):
        experiment = mlflow.create_experiment("e", artifact_location=(tmp_path / "art").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            served = mlflow.pyfunc.load_model(log_generator(generator, config))
    lr_image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        expected = generator(lr_image).clamp(0, 1).numpy()
    assert np.allclose(served.predict(lr_image.numpy()), expected, atol=1e-5)


@pytest.mark.parametrize("error", [0.0, 2e-4])
def test_an_export_that_differs_from_the_network_is_an_error(monkeypatch, error):
    served = SimpleNamespace(predict=lambda image: image + np.float32(error))
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda _: served)
    expectation = pytest.raises(RuntimeError, match=r"shape \(1, 3, 17, 33\)") if error else nullcontext()
    with expectation:
        check_export("models:/m-0123", torch.nn.Identity(), checked_sizes(3))
