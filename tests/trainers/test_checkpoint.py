"""Checkpoints: atomic, free of code, readable across versions, with a clear error for what does not fit."""

import hashlib
import json
import os
import pickle
import shutil

import pytest
import torch
from helpers.tiny import batch, moments, same, snapshot, tiny
from safetensors.torch import save_file

from datasets.errors import UserError
from trainers import checkpoint
from trainers.config import flatten
from trainers.state import History, new_state
from trainers.train_step import TrainStep
from trainers.weights.store import file_sha256

CPU = torch.device("cpu")


@pytest.fixture
def saved(tmp_path):
    """A state after two steps of the GAN phase, and its checkpoint."""
    state = new_state(tiny(), "gan", CPU)
    step = TrainStep(tiny(), state)
    for index in range(2):
        step(*batch(index))
        state.step += 1
    return state, checkpoint.save(tmp_path / "gan-2", tiny(), state, {"progress": {"seconds": 1.5}})


def test_what_is_loaded_is_what_was_saved(saved):
    state, folder = saved
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "generator.safetensors",
        "generator_ema.safetensors",
        "discriminator.safetensors",
        "state.pt",
        "config.json",
        "extra.json",
        "manifest.json",
    }
    again, extra = checkpoint.load(folder, tiny(), CPU)
    assert (again.phase, again.step, extra) == ("gan", 2, {"progress": {"seconds": 1.5}})
    networks = ("generator", "ema", "discriminator")
    assert same(*(snapshot(*(getattr(s, n) for n in networks)) for s in (state, again)))
    assert same(moments(state.opt_g), moments(again.opt_g)) and same(
        moments(state.opt_d), moments(again.opt_d)
    )
    generator, config = checkpoint.load_generator(folder)
    assert config == tiny() and not generator.training
    assert same(snapshot(generator), snapshot(state.ema))


def test_the_random_numbers_of_the_process_go_on_where_they_were(tmp_path):
    state = new_state(tiny(), "psnr", CPU)
    torch.manual_seed(5)
    folder = checkpoint.save(tmp_path / "a", tiny(), state)
    expected = torch.rand(3)
    torch.manual_seed(6)
    checkpoint.load(folder, tiny(), CPU)
    assert torch.equal(torch.rand(3), expected)


def test_building_a_state_draws_from_its_own_seed_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = new_state(tiny(), "gan", CPU)
    assert torch.equal(torch.rand(1), expected)
    assert same(snapshot(first.generator), snapshot(new_state(tiny(), "gan", CPU).generator))
    assert not same(snapshot(first.generator), snapshot(new_state(tiny(run__seed=1), "gan", CPU).generator))


def test_a_write_that_fails_leaves_the_old_checkpoint_and_no_rest(saved, monkeypatch):
    state, folder = saved
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(folder, tiny(), state)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["gan-2"]


def test_a_process_killed_while_it_wrote_leaves_nothing_that_counts(saved, monkeypatch):
    state, folder = saved

    def killed(*_):
        raise SystemExit  # everything is written and hashed, but the folder does not have its name yet

    monkeypatch.setattr(os, "rename", killed)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process removes nothing
    with pytest.raises(SystemExit):
        checkpoint.save(folder.parent / "gan-4", tiny(), state)
    assert len(list(folder.parent.iterdir())) == 2
    assert checkpoint.whole(folder.parent) == [folder]


@pytest.mark.parametrize("name", ["generator.safetensors", "state.pt", "config.json", "extra.json"])
def test_a_damaged_file_is_named(saved, name):
    _, folder = saved
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"gan-2 is damaged: {name} does not match its hash"):
        checkpoint.load(folder, tiny(), CPU)


def test_a_missing_or_unreadable_manifest_is_no_checkpoint(saved):
    _, folder = saved
    (folder / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="damaged: manifest.json is not readable"):
        checkpoint.load_generator(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="no checkpoint in .*: manifest.json is missing"):
        checkpoint.load_generator(folder)


def rehash(folder):
    """The manifest of someone who changed a file on purpose."""
    names = [p for p in folder.iterdir() if p.name != "manifest.json"]
    hashes = {p.name: file_sha256(p) for p in names}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "sha256": hashes}))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_checkpoint_that_would_run_code_is_refused(saved, tmp_path):
    _, folder = saved
    target = str(tmp_path / "exploded")
    for write in (torch.save, lambda o, f: f.write_bytes(pickle.dumps(o))):
        write({"phase": "gan", "step": 2, "opt_g": Bomb(target)}, folder / "state.pt")
        rehash(folder)
        with pytest.raises(UserError, match="state.pt holds more than tensors and plain values"):
            checkpoint.load(folder, tiny(), CPU)
    assert not os.path.exists(target)


def test_another_architecture_is_named_by_its_first_difference(saved):
    _, folder = saved
    with pytest.raises(UserError, match=r"trained as another architecture: blocks.1.\S+ is nothing there"):
        checkpoint.load(folder, tiny(generator__num_blocks=2), CPU)
    with pytest.raises(UserError, match=r"head.0.weight is \(8, 3, 9, 9\) there, \(16, 3, 9, 9\) here"):
        checkpoint.load(folder, tiny(generator__channels=16), CPU)


def test_weights_that_are_no_safetensors_are_refused(saved):
    _, folder = saved
    (folder / "generator_ema.safetensors").write_bytes(b"not weights")
    rehash(folder)
    with pytest.raises(UserError, match="generator_ema.safetensors is not a safetensors file"):
        checkpoint.load_generator(folder)


def test_a_candidate_holds_the_averaged_generator_alone(tmp_path):
    state = new_state(tiny(), "gan", CPU)
    folder = checkpoint.save_generator(
        tmp_path / "c", tiny(), state.ema, {"step": 0, "val": {"psnr_y": 20.0}}
    )
    assert checkpoint.read_extra(folder)["val"] == {"psnr_y": 20.0}
    assert same(checkpoint.generator_weights(folder), {k[2:]: v for k, v in snapshot(state.ema).items()})


def write_as_before_the_rebuild(folder, config, state, extra):
    """Write a checkpoint with the names, keys and JSON layout of commit fba4cc1, without today's writer."""
    folder.mkdir()

    def write_json(name, value):
        (folder / name).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")

    for name, module in (
        ("generator", state.generator),
        ("generator_ema", state.ema),
        ("discriminator", state.discriminator),
    ):
        weights = {k: v.contiguous() for k, v in module.state_dict().items()}
        save_file(weights, folder / f"{name}.safetensors")
    optimizers = {"opt_g": state.opt_g.state_dict(), "opt_d": state.opt_d.state_dict()}
    rest = {"phase": state.phase, "step": state.step, "rng": torch.get_rng_state(), **optimizers}
    torch.save(rest, folder / "state.pt")
    write_json("config.json", flatten(config))
    write_json("extra.json", extra)
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    write_json("manifest.json", {"format": 1, "sha256": hashes})
    return folder


def test_a_checkpoint_of_the_old_code_resumes_and_its_champion_and_warm_start_load(saved, tmp_path):
    state, _ = saved
    progress = {"curve": [{"step": 0, "swd": 3.0}], "candidates": [0], "seconds": 1.5, "wait_seconds": 0.1}
    folder = write_as_before_the_rebuild(tmp_path / "old", tiny(), state, {"progress": progress})
    again, extra = checkpoint.load(folder, tiny(), CPU)
    assert (again.phase, again.step) == ("gan", 2) and History(**extra["progress"]).latest() == {"swd": 3.0}
    assert same(moments(state.opt_g), moments(again.opt_g))
    generator, config = checkpoint.load_generator(folder)
    assert config == tiny() and same(snapshot(generator), snapshot(state.ema))
    warm = new_state(tiny(), "gan", CPU, checkpoint.generator_weights(folder))
    assert same(snapshot(warm.generator), snapshot(state.ema))
    checkpoint.take_over(folder, warm, CPU)
    assert same(snapshot(warm.discriminator), snapshot(state.discriminator))
    assert same(moments(warm.opt_d), moments(state.opt_d))


def test_files_and_keys_of_a_checkpoint_are_those_of_the_old_code(saved, tmp_path):
    state, new = saved
    old = write_as_before_the_rebuild(tmp_path / "old", tiny(), state, {"progress": {"seconds": 1.5}})
    assert {p.name for p in new.iterdir()} == {p.name for p in old.iterdir()}
    for name in ("config.json", "extra.json"):
        assert (new / name).read_bytes() == (old / name).read_bytes()
    manifests = [json.loads((f / "manifest.json").read_text()) for f in (old, new)]
    assert manifests[0].keys() == manifests[1].keys() == {"format", "sha256"}
    assert manifests[0]["format"] == manifests[1]["format"]
    assert manifests[0]["sha256"].keys() == manifests[1]["sha256"].keys()
    states = [torch.load(f / "state.pt", weights_only=True) for f in (old, new)]
    assert states[0].keys() == states[1].keys() == {"phase", "step", "rng", "opt_g", "opt_d"}


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_the_moments_of_either_optimizer_are_taken_over_if_they_fit(kind, tmp_path):
    small, large = tiny(optim__kind=kind), tiny(optim__kind=kind, generator__channels=16)
    state = new_state(small, "gan", CPU)
    step = TrainStep(small, state)
    step(*batch())
    folder = checkpoint.save(tmp_path / "saved", small, state)
    again, other = new_state(small, "gan", CPU), new_state(large, "gan", CPU)
    checkpoint.take_over(folder, again, CPU)
    assert moments(again.opt_g) and same(moments(again.opt_g), moments(state.opt_g))
    checkpoint.take_over(folder, other, CPU)
    assert same(moments(other.opt_d), moments(state.opt_d)), "the discriminator is as large as it was"
    assert len(moments(other.opt_g)) < len(moments(state.opt_g)), "of wider layers nothing fits"
