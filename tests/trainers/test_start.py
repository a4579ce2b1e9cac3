"""`--start FILE`: found or downloaded, recognised, keyed by its tensors, written as a checkpoint."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from datasets.errors import UserError
from trainers import checkpoint, start
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator
from trainers.start import read_start, start_in, started_config, write_start
from trainers.weight_formats import public_weights
from trainers.weights.download import Failed
from trainers.weights.store import identity

COMPACT = GeneratorConfig(kind="compact", size='{"num_conv": 1, "num_feat": 4}')


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    network = build_generator(COMPACT)
    save_file(public_weights(network, COMPACT), tmp_path / "a.safetensors", {"license": "BSD-3-Clause"})
    torch.save({"params": public_weights(network, COMPACT)}, tmp_path / "b.pth")
    return tmp_path / "a.safetensors"


def test_the_key_is_that_of_the_tensors_and_the_licence_is_read(file, tmp_path):
    one = read_start(str(file), tmp_path)
    other = read_start(str(file.with_name("b.pth")), tmp_path, licence="CC-BY")
    assert one.generator == COMPACT and one.key == other.key == identity(one.weights)
    assert (one.licence, other.licence) == ("BSD-3-Clause", "CC-BY")
    assert read_start(str(file.with_name("b.pth")), tmp_path).licence == "not stated"
    changed = {k: v + 1e-6 for k, v in one.weights.items()}
    assert identity(changed) != one.key
    assert one.record == {"key": one.key, "source": str(file), "licence": "BSD-3-Clause"}


def test_the_checkpoint_holds_the_network_and_is_written_once(file, tmp_path):
    begun = read_start(str(file), tmp_path)
    folder = write_start(begun, TrainConfig(), tmp_path / "start")
    network, config = checkpoint.load_generator(folder)
    assert config.generator == COMPACT
    assert all(torch.equal(t, begun.weights[k]) for k, t in network.state_dict().items())
    written = (folder / "manifest.json").stat().st_mtime_ns
    assert write_start(begun, TrainConfig(), folder) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    assert checkpoint.read_extra(folder)["start"] == begun.record


def test_the_file_replaces_the_psnr_phase_unless_it_is_asked_for(file, tmp_path):
    config, begun = start_in(tmp_path / "run", str(file), TrainConfig(), ["--recipe", "srgan_8"], tmp_path)
    assert config.generator == COMPACT and config.run.psnr_steps == 0
    assert config.run.start_from == str(tmp_path / "run/start")
    assert begun.sentence.startswith('compact {"num_conv": 1, "num_feat": 4} x4 of ')
    kept, _ = start_in(tmp_path / "run", str(file), TrainConfig(), ["--run.psnr-steps", "9"], tmp_path)
    assert kept.run.psnr_steps == TrainConfig().run.psnr_steps
    with pytest.raises(UserError, match=r"--start decides the generator: leave out --generator\.kind"):
        start_in(tmp_path / "run", str(file), TrainConfig(), ["--generator.kind=span"], tmp_path)


def test_a_file_of_another_scale_is_refused(file, tmp_path):
    with pytest.raises(UserError, match=r"upscales x4, these settings x2: set --generator\.scale 4"):
        started_config(TrainConfig(generator=GeneratorConfig(scale=2)), read_start(str(file), tmp_path))


def test_an_address_is_downloaded_once_and_checked(file, tmp_path, monkeypatch):
    calls = []

    def answer(url, target, sha256, session, progress):
        calls.append((url, sha256))
        if sha256 != digest:
            raise Failed(f"it has another SHA-256 than {sha256}")
        target.write_bytes(file.read_bytes())

    monkeypatch.setattr(start, "download", answer)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    address = f"https://example.org/4x.safetensors#sha256={digest.upper()}"
    keys = {read_start(spec, tmp_path).key for spec in (address, address, str(file))}
    assert len(keys) == 1 and calls == [("https://example.org/4x.safetensors", digest)]
    with pytest.raises(UserError, match="could not be downloaded: it has another SHA-256"):
        read_start(f"https://example.org/4x.safetensors#sha256={'0' * 64}", tmp_path)
    with pytest.raises(UserError, match="takes an https address with the SHA-256 of its file"):
        read_start("https://example.org/4x.pth", tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.pth", "there is no file"), ("net.onnx", r"ends in \.pth or \.safetensors, but got")],
)
def test_what_is_no_weight_file_is_refused(tmp_path, name, sentence):
    with pytest.raises(UserError, match=sentence):
        read_start(str(tmp_path / name), tmp_path)
