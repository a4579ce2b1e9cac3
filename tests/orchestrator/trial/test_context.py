"""What the parts of a trial share: names in storage, folders of a rank, the warm start."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from helpers.trials import NO_LINEAGE, new_context, photographs, run  # noqa: F401

from datasets.errors import UserError
from orchestrator.trial.context import RankContext, TrialContext
from orchestrator.trial.reporter import TuneReporter
from orchestrator.trial.warm_starts import publish
from trainers import checkpoint
from trainers.distributed import Ranks
from trainers.state import new_state

CPU = torch.device("cpu")


def test_a_trial_of_one_process_reports_to_tune_by_itself(new_context, tmp_path):
    context = new_context("screen")
    assert context.rank.leads and isinstance(context.rank.reporter, TuneReporter)
    assert context.lineage == NO_LINEAGE
    assert context.scratch == tmp_path / "scratch" / "s" / "screen-1"
    with pytest.raises(FrozenInstanceError):
        context.config = None


def test_a_rank_has_its_own_folder_and_its_part_of_each_batch(new_context):
    own = new_context("screen")
    rank = RankContext(Ranks(1, 2), CPU, own.rank.reporter)
    context = TrialContext.open("screen-1", own.config, own.spec, rank=rank)
    assert not context.rank.leads
    assert context.scratch == own.scratch / "rank-1"
    assert len(next(iter(context.inputs.loader.batches())).hr) == own.config.data.batch_size // 2


def test_images_that_differ_from_the_driver_s_are_refused(new_context):
    own = new_context("screen")
    spec = replace(own.spec, digests=own.spec.digests | {"val": "other"})
    with pytest.raises(RuntimeError, match="data.val holds other images on this node"):
        TrialContext.open("screen-1", own.config, spec)


def test_names_in_storage(new_context):
    context = new_context("confirm")
    assert context.name("strip.png") == "s/trials/confirm-1/strip.png"


def test_repeats_share_the_warm_start_of_the_screen_and_confirmation_has_that_of_its_seeds(new_context):
    seeds = {"run.seed": 5, "data.order_seed": 5}
    screened, base = new_context("screen"), {"run.seed": 0, "data.order_seed": 0}
    keys = {}
    for stage in ("repeat", "confirm"):
        own = new_context(stage, **seeds)
        spec = replace(own.spec, base=own.spec.base | base)
        keys[stage] = TrialContext.open("x", own.config, spec).warm_key
    assert keys["repeat"] == screened.warm_key != keys["confirm"]
    other = new_context("confirm", **seeds, **{"loss.adversarial_weight": 3.0})
    assert other.warm_key == keys["confirm"], "designs of one architecture and seed share it"


def test_a_network_that_is_given_is_the_warm_start_of_every_seed(new_context, tmp_path):
    context = new_context("screen")
    ema = new_state(context.config, "psnr", CPU).ema
    given = checkpoint.save_generator(tmp_path / "given", context.config, ema, {})
    settings = {"run.psnr_steps": 0, "run.start_from": str(given)}
    first = new_context("screen", **settings)
    seeds = {"run.seed": 5, "data.order_seed": 5}
    own = new_context("confirm", **settings, **seeds)
    base = own.spec.base | dict.fromkeys(seeds, 0)
    later = TrialContext.open("x", own.config, replace(own.spec, base=base))
    assert later.warm_key == first.warm_key


def test_without_a_psnr_phase_there_is_no_warm_start(new_context):
    context = new_context("screen", **{"run.psnr_steps": 0})
    assert context.warm_key == "" and context.warm_generator is None


def test_screened_trials_share_the_warm_start_that_was_published(new_context):
    context = new_context("screen")
    with pytest.raises(UserError, match="did not finish"):
        context.fetch_warm_start(context.warm_key)
    ema = new_state(context.config, "psnr", CPU).ema
    saved = checkpoint.save_generator(context.scratch / "made", context.config, ema, {})
    publish(context.storage, context.warm_key, saved, {})
    assert checkpoint.load_generator(context.fetch_warm_start(context.warm_key))[1] == context.config
    lr_image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(context.warm_generator(lr_image), ema(lr_image))
    other = new_context("screen", **{"loss.adversarial_weight": 3.0})
    assert other.warm_key == context.warm_key, "the GAN loss is not part of a PSNR phase"
    assert new_context("screen", **{"run.seed": 3}).warm_key != context.warm_key


def test_a_checkpoint_without_its_manifest_is_refused(new_context):
    context = new_context("screen")
    ema = new_state(context.config, "psnr", CPU).ema
    name = context.name("attempt-1/psnr-00000003")
    saved = checkpoint.save_generator(
        context.storage.staging_dir(name, context.scratch), context.config, ema, {}
    )
    assert context.fetch(name) == saved
    (saved / "manifest.json").unlink()
    with pytest.raises(Exception, match="no checkpoint in .*: manifest.json is missing"):
        context.fetch(name)
