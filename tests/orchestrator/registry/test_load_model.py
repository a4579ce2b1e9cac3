"""A network is loaded by its registered name, its sweep, its run or its public weight file."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from helpers.champion import register_champion
from helpers.paths import ROOT
from helpers.promotion import storage, sweep  # noqa: F401
from helpers.weights import write_public
from PIL import Image
from safetensors.torch import save_file

from datasets.errors import UserError
from experiments import benchmark_table, upscale
from orchestrator.registry.candidate import candidate_of_folder
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.load_model import load_generator, load_model
from orchestrator.registry.promote import promote
from orchestrator.tracking.server import default_uri
from trainers import checkpoint
from trainers.config import GeneratorConfig, ObjectiveConfig, TrainConfig, flatten
from trainers.evaluate import to_pixels, to_tensor
from trainers.models import build_generator
from trainers.state import new_state

CHAMPION = "models:/upsweep-demo@champion"
RRDB = GeneratorConfig(kind="rrdb", norm="none", upsampler="nearest_conv", num_blocks=1, channels=8)
CONFIG = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4, scale=2, global_skip="bicubic"))


@pytest.fixture(scope="module")
def store(tmp_path_factory, migrated_database):
    """A registry whose champion is a small network, and that network."""
    network, uri = register_champion(tmp_path_factory.mktemp("registry"), migrated_database, CONFIG)
    return uri, network


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(30, 42, 3), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos/a.png")
    return pixels


def test_a_picture_is_upscaled_by_the_champion(store, photo, tmp_path):
    uri, network = store
    names = (str(tmp_path / "photos"),)
    args = upscale.Args(names, out=tmp_path / "out", model=CHAMPION, tracking_uri=uri, device="cpu")
    assert upscale.main(args) == 0
    with torch.inference_mode():
        expected = to_pixels(network(to_tensor([photo], "cpu")))[0]
    found = np.asarray(Image.open(tmp_path / "out/a_x2.png"))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_champion_is_a_row_of_the_table_beside_a_version_of_itself(store, photo, tmp_path):
    uri, _ = store
    args = benchmark_table.BenchmarkOptions(
        (CHAMPION, "first=models:/upsweep-demo/1"),
        sets=(f"mine={tmp_path / 'photos'}",),
        out=tmp_path / "out",
        tracking_uri=uri,
        track=False,
        device="cpu",
    )
    assert benchmark_table.main(args) == 0
    rows = pq.read_table(tmp_path / "out/per_image.parquet").to_pylist()
    values = {row["model"]: row["value"] for row in rows if row["metric"] == "psnr_y"}
    assert values[CHAMPION] == values["first"] and "scale=2" in rows[0]["protocol"]


def test_a_sweep_stands_for_its_pick_and_a_run_for_its_best_candidate(tmp_path):
    config = replace(CONFIG, objective=ObjectiveConfig(perceptual="swd"))
    for step, psnr, swd in ((10, 30.0, 90.0), (20, 29.5, 50.0), (30, 20.0, 10.0)):
        network = build_generator(config.generator)
        torch.nn.init.constant_(network.tail.bias, step)
        found = {"val": {"psnr_y": psnr, "swd": swd}}
        checkpoint.save_generator(tmp_path / f"run/candidates/{step}", config, network, found)
    curve = {"progress": {"curve": [{"step": 0, "psnr_y": 30.0, "swd": 90.0}]}}
    state = new_state(config, "gan", torch.device("cpu"))
    checkpoint.save(tmp_path / "run/checkpoints/gan-00000030", config, state, curve)
    (tmp_path / "run/config.json").write_text(json.dumps(flatten(config)))
    assert load_model(str(tmp_path / "run"), "")[0].tail.bias[0] == 20
    promoted = candidate_of_folder(tmp_path / "run")
    assert promoted.generator.tail.bias[0] == 20 and promoted.row["design"] == "run"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/sweep.json").write_text(
        json.dumps({"name": "mine", "status": "finished", "pick": "confirm-0"})
    )
    row = {"trial_id": "confirm-0", "stage": "confirm", "checkpoint": str(tmp_path / "run/candidates/30")}
    (tmp_path / "mine/leaderboard.json").write_text(json.dumps([row]))
    assert load_model(str(tmp_path / "mine"), "")[0].tail.bias[0] == 30


def test_a_misspelt_sweep_is_one_sentence_with_the_name_that_was_meant(tmp_path, monkeypatch):
    (tmp_path / "runs/faces").mkdir(parents=True)
    (tmp_path / "runs/faces/sweep.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no model 'face'; known: .*faces.*did you mean 'faces'\?"):
        load_model("face", "")


def test_an_alias_that_nothing_carries_is_one_sentence(store, tmp_path):
    args = upscale.Args(("a.png",), model="models:/upsweep-demo@best", tracking_uri=store[0])
    with pytest.raises(
        UserError, match=r"no model at models:/upsweep-demo@best in sqlite[^(]*; register one"
    ):
        upscale.main(args)


def test_a_model_that_does_not_exist_is_named(store):
    with pytest.raises(
        UserError, match=r"no model at models:/upsweep-none@champion [^(]*; .* --model runs/mine"
    ):
        load_generator("models:/upsweep-none@champion", store[0])


def test_a_store_that_does_not_exist_is_named_and_not_created(tmp_path, capfd):
    with pytest.raises(
        UserError,
        match="no store at .*none.db; register one by upsweep promote .*, name .*--tracking-uri",
    ):
        load_generator("models:/upsweep-demo@champion", f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("layout", "config"),
    [
        ("basicsr", RRDB),
        ("leftthomas", GeneratorConfig(kind="leftthomas", num_blocks=2, channels=8)),
    ],
)
def test_a_public_weight_file_upscales_as_the_network_it_was_exported_from(tmp_path, photo, layout, config):
    torch.manual_seed(0)
    network = build_generator(config).eval()
    write_public(network, config, tmp_path / "net.pth", layout=layout)
    loaded, settings = load_model(str(tmp_path / "net.pth"), "")
    assert settings.generator == config and not loaded.training
    small = to_tensor([photo], "cpu")
    with torch.inference_mode():
        assert torch.equal(loaded(small), network(small))
    args = upscale.Args((str(tmp_path / "photos"),), out=tmp_path / "out", model=str(tmp_path / "net.pth"))
    assert upscale.main(args) == 0 and Image.open(tmp_path / "out/a_x4.png").size == (168, 120)


def test_a_weight_file_of_an_unknown_architecture_is_refused(tmp_path):
    save_file({"a.weight": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(UserError, match="no architecture that is known here; its first tensor is 'a.weight'"):
        load_model(str(tmp_path / "net.safetensors"), "")
    with pytest.raises(UserError, match=r"no weight file at .*/gone\.pth; name one that exists with --model"):
        load_model(str(tmp_path / "gone.pth"), "")


class Bomb:
    """An object that leaves a file when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def test_code_in_a_weight_file_is_not_run(tmp_path):
    torch.save({"conv_first.weight": Bomb(tmp_path / "ran")}, tmp_path / "net.pth")
    with pytest.raises(UserError, match="cannot be read as a weight file"):
        load_model(str(tmp_path / "net.pth"), "")
    assert not (tmp_path / "ran").exists()


def test_loading_a_folder_does_not_import_mlflow():
    code = "import sys, orchestrator.registry.load_model; assert 'mlflow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_registered_file_that_changed_on_the_disk_is_not_used(storage, tmp_path):
    """Forty flipped bits in the weights: MLflow's own reader would take them."""
    sweep(storage, "demo", 1.0)
    promote(CandidateSource(str(storage), "demo"))
    name, uri = "models:/upsweep-demo@champion", default_uri(storage)
    load_generator(name, uri)
    (weights,) = storage.glob("mlartifacts/**/extra_files/generator.safetensors")
    content = bytearray(weights.read_bytes())
    for k in range(1, 41):
        content[-k] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        UserError, match="is damaged: generator.safetensors is gone or does not match its hash"
    ):
        load_generator(name, uri)
