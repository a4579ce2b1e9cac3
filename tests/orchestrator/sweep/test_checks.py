"""Checks before anything is spent: even batches, opposed objectives, no shared photograph, a clean disk."""

from types import SimpleNamespace

import pytest
from helpers.tiny import noise
from PIL import Image

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.loader import eval_pairs, smallest_pairs
from experiments import recipes
from orchestrator.search.space import Choice, Space
from orchestrator.sweep import checks
from orchestrator.sweep.request import Request
from orchestrator.trial.inputs import open_role
from trainers.config import override

SPACE = Space("s", {})


def test_a_batch_is_shared_evenly_or_refused():
    checks._check_ranks(Request(config=recipes.demo(), ranks_per_trial=2), SPACE)
    with pytest.raises(UserError, match=r"data.batch_size=4 must be a multiple of 3, a trial's ranks \(3\)"):
        checks._check_ranks(Request(config=recipes.demo(), ranks_per_trial=3), SPACE)
    parts = override(recipes.demo(), {"optim.micro_batches": 4})
    with pytest.raises(UserError, match=r"must be a multiple of 8, .* optim.micro_batches \(4\)"):
        checks._check_ranks(Request(config=parts, ranks_per_trial=2), SPACE)
    varied = Space("mine", {"data.batch_size": Choice((4, 6))})
    with pytest.raises(UserError, match="data.batch_size=6 must be a multiple of 4"):
        checks._check_ranks(Request(config=recipes.demo(), ranks_per_trial=4), varied)


def test_objectives_must_oppose_each_other():
    checks.check_objective(recipes.demo())
    for change in ({"objective.perceptual": "ssim_y"}, {"objective.distortion": "rmse_y"}):
        with pytest.raises(UserError, match="a distortion metric of which more is better"):
            checks.check_objective(override(recipes.demo(), change))


def test_without_a_gan_phase_the_second_objective_is_any_other_metric():
    config = override(recipes.demo(), {"run.gan_steps": 0})
    for second in ("ssim_y", "rmse_y", "swd"):
        checks.check_objective(override(config, {"objective.perceptual": second}))
    with pytest.raises(UserError, match="objective.distortion and objective.perceptual are both psnr_y"):
        checks.check_objective(override(config, {"objective.perceptual": "psnr_y"}))
    with pytest.raises(UserError, match="a distortion metric of which more"):
        checks.check_objective(override(config, {"objective.distortion": "rmse_y"}))
    with pytest.raises(UserError, match="both 0, so there is nothing to train"):
        checks.check_objective(override(config, {"run.psnr_steps": 0}))


def test_a_population_needs_two_segments_that_can_be_ranked():
    short = override(recipes.demo(), {"run.gan_steps": 100, "run.eval_every_steps": 8})
    checks.check_generations(Request(config=short))
    with pytest.raises(UserError, match=r"--stopping pbt needs run.gan_steps of \d+ or more"):
        checks.check_generations(Request(config=short, stopping="pbt"))


def test_roles_may_not_share_a_photograph(tmp_path):
    photos = noise(tmp_path / "photos")
    data = DataConfig(train=str(photos), val=str(photos), test=str(photos), crop_px=32)
    config = override(recipes.demo(), {f"data.{k}": v for k, v in vars(data).items()})
    request = Request(config=config, storage=str(tmp_path / "runs"))
    with pytest.raises(UserError, match="share|both|same"):
        checks.open_every_role(request)


@pytest.mark.parametrize("existed", [True, False])
def test_a_failed_check_leaves_the_disk_as_it_was(tmp_path, existed):
    root = tmp_path / "runs"
    if existed:
        (root / "datasets" / "mine").mkdir(parents=True)
    request = SimpleNamespace(work_dir=root)
    with pytest.raises(UserError), checks.undo_on_error(request):
        (root / "datasets" / "new").mkdir(parents=True)
        (root / "mlflow.db").write_text("half")
        raise UserError("no")
    assert root.exists() == existed
    assert sorted(p.name for p in root.rglob("*")) == (["datasets", "mine"] if existed else [])


def test_the_smallest_image_is_tried_and_not_the_first(tmp_path):
    """One image smaller than the evaluation's crop would end the sweep in its last stage."""
    photos = noise(tmp_path / "photos", side=96, count=4)
    Image.open(photos / "03.png").resize((48, 48)).save(photos / "03.png")
    data = DataConfig(test=str(photos), crop_px=32, eval_crop_px=64)
    images = open_role(data, "test", tmp_path)
    assert len(eval_pairs(images, data, 4, limit=2)) == 2
    with pytest.raises(UserError, match="data.eval_crop_px=64 is larger than image .*48x48"):
        smallest_pairs(images, data, 4)
    assert len(smallest_pairs(images, data, 4, limit=3)) == 2, "val may leave that image out"
