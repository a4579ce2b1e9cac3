"""The warm-start key: changed by what decides the PSNR phase, and by nothing else."""

import pytest
import torch
from helpers.tiny import tiny

from datasets.errors import UserError
from trainers import checkpoint, warm_start_key
from trainers.config import flatten, override
from trainers.state import new_state

KEY = warm_start_key.warm_start_key


def test_the_key_of_default_settings_is_the_one_of_earlier_versions():
    """A warm start that is stored in a folder of a sweep must be found again."""
    assert KEY(tiny(), "images") == "457814a183ec4e65"


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("generator.num_blocks", 2, True),
        ("optim.lr_psnr", 2e-3, True),
        ("loss.pixel", "l1", True),
        ("loss.adversarial_weight", 0.5, False),
        ("discriminator.norm", "layer", False),
        ("optim.lr_g", 2e-3, False),
        ("run.gan_steps", 7, False),
        ("run.threads", 2, False),
    ],
)
def test_only_settings_of_the_psnr_phase_change_the_key(name, value, changes):
    assert warm_start_key.in_key(name) is changes
    assert (KEY(override(tiny(), {name: value}), "images") != KEY(tiny(), "images")) is changes


def test_every_name_that_is_left_out_exists():
    names = flatten(tiny())
    for entry in (*warm_start_key.NOT_IN_KEY, *warm_start_key.EXCEPTIONS_IN_KEY):
        assert any(n.startswith(entry) if entry.endswith(".") else n == entry for n in names), entry


def test_a_start_from_a_checkpoint_counts_by_its_weights_and_not_by_its_path(tmp_path):
    state = new_state(tiny(), "psnr", torch.device("cpu"))
    folders = [checkpoint.save(tmp_path / name, tiny(), state) for name in "ab"]
    keys = {KEY(override(tiny(), {"run.start_from": str(f)}), "images") for f in folders}
    assert len(keys) == 1 and keys != {KEY(tiny(), "images")}
    with pytest.raises(UserError, match="run.start_from: there is no checkpoint in .*gone"):
        warm_start_key.weights_digest(tmp_path / "gone")
