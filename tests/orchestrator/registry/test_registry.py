"""Aliases move only after a look at who is champion; every move is written down; the way back exists."""

import shutil

import mlflow
import numpy as np
import pytest
import torch

from datasets.errors import UserError
from orchestrator.registry.export import log_generator
from orchestrator.registry.load_model import load_generator
from orchestrator.registry.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from orchestrator.tracking.mlflow_client import using_tracking_uri
from orchestrator.tracking.server import default_uri
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator


@pytest.fixture
def uri(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    return default_uri(tmp_path)


def registered(uri, versions):
    """A registry whose versions point at nothing: only names and aliases are at stake."""
    registry = Registry(uri, "upsweep-demo")
    run = registry.client.create_run(registry.client.create_experiment("e", artifact_location="file:///tmp"))
    for number in range(1, versions + 1):
        tags = {"upsweep.design": f"b{number}"}
        assert registry.register("file:///nowhere", run.info.run_id, tags, f"card {number}").number == number
    return registry


def aliases(registry):
    return {alias: version.number for version in registry.versions() for alias in version.aliases}


def test_champion_challenger_previous_and_two_steps_back(uri):
    registry = registered(uri, 3)
    assert aliases(registry) == {CHALLENGER: 3}
    registry.promote(1, None)
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: 3}
    registry.promote(2, 1)
    registry.promote(3, 2)
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 2}
    assert registry.rollback() == (3, 2)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert registry.rollback() == (2, 1)
    assert aliases(registry) == {CHAMPION: 1}
    with pytest.raises(UserError, match="upsweep-demo has no previous champion"):
        registry.rollback()
    told = " / ".join(event for version in registry.versions() for event in version.events)
    for event in ("registered as challenger", "over v1", "replaced by v3", "rolled back to v2"):
        assert event in told


def test_a_champion_that_changed_meanwhile_is_not_overwritten(uri):
    registry = registered(uri, 3)
    registry.promote(1, None)
    registry.promote(2, 1)
    with pytest.raises(UserError, match="changed from v1 to v2 while v3 was measured"):
        registry.promote(3, 1)
    assert aliases(registry)[CHAMPION] == 2


def test_a_name_that_was_never_registered_has_no_versions(uri):
    registry = Registry(uri, "it's <new>")
    assert registry.versions() == [] and registry.by_alias(CHAMPION) is None


def test_the_uses_of_a_gate_set_are_counted(uri):
    registry = registered(uri, 1)
    assert [registry.count_gate_use("abcd") for _ in range(3)] == [1, 2, 3]
    assert registry.count_gate_use("ef01") == 1


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


def test_a_model_that_does_not_exist_is_named(uri):
    Registry(uri, "x")
    with pytest.raises(UserError, match="no model at models:/upsweep-none@champion"):
        load_generator("models:/upsweep-none@champion", uri)


def test_a_store_that_does_not_exist_is_said_and_not_made(tmp_path, capfd):
    with pytest.raises(UserError, match="no store at .*none.db; name another one with --tracking-uri"):
        load_generator("models:/upsweep-demo@champion", f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")
