"""Published warm starts: whole or not there, and never mixed from two sweeps."""

import json

import pytest
from pyarrow import fs

from experiments import spaces
from experiments.recipes import build
from orchestrator.storage import Storage
from orchestrator.sweep.request import Request
from orchestrator.trial import warm_starts
from trainers.config import GeneratorConfig, RunConfig, TrainConfig, flatten, override
from trainers.warm_start_key import warm_start_key


def test_a_warm_start_is_ready_only_when_its_marker_is_there(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    made = tmp_path / "made"
    made.mkdir()
    (made / "generator_ema.safetensors").write_bytes(b"weights")
    (made / "manifest.json").write_text("{}")
    storage.publish(made, "warm/k1/checkpoint-1")
    assert not warm_starts.ready(storage, "k1"), "a copy that was cut short is no warm start"
    warm_starts.publish(storage, "k1", made, {"psnr_y": 30.0})
    assert warm_starts.ready(storage, "k1")
    name = warm_starts.published(storage, "k1")
    assert storage.read_text(f"{name}/generator_ema.safetensors") == "weights"
    assert json.loads(storage.read_text("warm/k1/done.json"))["metrics"] == {"psnr_y": 30.0}


def test_two_sweeps_that_publish_one_warm_start_at_once_never_mix_their_files(tmp_path, monkeypatch):
    """The faster one publishes and is read after the slower one has copied its first file."""
    storage = Storage(str(tmp_path / "runs"))
    made = {who: tmp_path / who for who in ("fast", "slow")}
    for who, folder in made.items():
        folder.mkdir()
        for name in ("extra.json", "generator_ema.safetensors", "manifest.json"):
            (folder / name).write_text(who)
    copy, seen = fs.copy_files, []

    def interleaved(*words, **options):
        copy(*words, **options)
        monkeypatch.setattr(fs, "copy_files", copy)
        warm_starts.publish(storage, "k1", made["fast"], {})
        seen.append(whose())

    def whose():
        name = warm_starts.published(storage, "k1")
        return {storage.read_text(f"{name}/{f}") for f in storage.listing(name)}

    monkeypatch.setattr(fs, "copy_files", interleaved)
    warm_starts.publish(storage, "k1", made["slow"], {})
    assert seen == [{"fast"}]
    assert whose() in ({"fast"}, {"slow"})
    before = sorted(storage.listing("warm/k1"))
    warm_starts.publish(storage, "k1", tmp_path / "a third that is not even looked at", {})
    assert sorted(storage.listing("warm/k1")) == before


def test_a_warm_start_of_an_earlier_version_is_found(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write_text("warm/k1/done.json", json.dumps({"metrics": {}}))
    assert warm_starts.published(storage, "k1") == "warm/k1/checkpoint"


def test_a_warm_start_that_is_not_ready_has_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError):
        warm_starts.published(Storage(str(tmp_path)), "k1")


BASE = TrainConfig(
    generator=GeneratorConfig(num_blocks=2, channels=8, norm="none"), run=RunConfig(psnr_steps=2_000)
)
BLOCKS, NORM, UPSAMPLER = "generator.num_blocks", "generator.norm", "generator.upsampler"
FULL = [
    {BLOCKS: blocks, NORM: norm, UPSAMPLER: upsampler}
    for blocks in (4, 2)
    for norm in ("batch", "none")
    for upsampler in ("pixel_shuffle", "transposed_conv")
]


def test_the_ancestor_is_the_small_network_from_which_all_others_can_be_derived():
    ancestor = warm_starts.ancestor_of(FULL, BASE, 0.15)
    assert ancestor.values == {BLOCKS: 2, NORM: "none", UPSAMPLER: "pixel_shuffle"}


@pytest.mark.parametrize(
    "architectures, change, share",
    [
        (FULL[:1], {}, 0.15),
        ([], {}, 0.15),
        (FULL, {}, 0.0),
        (FULL, {"run.gan_steps": 0}, 0.15),
        (FULL, {"run.psnr_steps": 1_999}, 0.15),
        (FULL, {"run.start_from": "given"}, 0.15),
        ([{"generator.channels": c} for c in (8, 16)], {}, 0.15),
    ],
)
def test_without_another_network_to_begin_with_there_is_no_ancestor(architectures, change, share):
    assert warm_starts.ancestor_of(architectures, override(BASE, change), share) is None


def test_screening_starts_from_derived_networks_and_the_confirmation_from_its_own():
    ancestor = warm_starts.ancestor_of(FULL, BASE, 0.15)
    own, base = override(BASE, {BLOCKS: 4, "run.seed": 7}), flatten(BASE)
    first = override(BASE, ancestor.values)
    derived = warm_starts.source(own, "screen", base, "images", ancestor)
    assert (derived.run.psnr_steps, derived.run.seed, derived.generator) == (300, 0, own.generator)
    assert derived.run.derived_from == warm_start_key(first, "images")
    assert warm_starts.source(own, "repeat", base, "images", ancestor) == derived
    assert warm_starts.source(own, "confirm", base, "images", ancestor) == own
    assert warm_starts.source(first, "screen", base, "images", ancestor) == first, "the ancestor itself"


def test_a_derived_warm_start_has_a_key_of_its_own():
    keys = {
        warm_start_key(warm_starts.source(override(BASE, {BLOCKS: 4}), "screen", flatten(BASE), "x", a), "x")
        for a in (None, *(warm_starts.ancestor_of(FULL, BASE, share) for share in (0.1, 0.2)))
    }
    assert len(keys) == 3


def test_derived_warm_starts_save_three_quarters_of_the_steps_of_space_full():
    config, architectures = build("srgan_8"), spaces.FULL.architectures()
    ancestor = warm_starts.ancestor_of(architectures, config, Request(config=config).derive)
    designs = [override(config, values) for values in architectures]
    phases = [warm_starts.source(d, "screen", flatten(config), "d", ancestor) for d in designs]
    assert sum(phase.run.psnr_steps for phase in phases) == 265_000
    assert sum(d.run.psnr_steps for d in designs) == 1_200_000
