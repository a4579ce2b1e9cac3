"""Arms of the two comparison tables: their order, their scale, and the arms they start from."""

import pytest

from experiments import recipes
from experiments.common.study_command import RECIPES
from experiments.recipes import review


@pytest.mark.parametrize("miniature", [False, True])
@pytest.mark.parametrize(("kind", "scale"), [("srgan_review", 4), ("srcnn_vs_esrgan", 2)])
def test_all_arms_of_a_table_have_its_scale(kind, scale, miniature):
    arms = review.arms(kind, recipes.build(RECIPES[kind][miniature]), miniature)
    assert {arm.config.generator.scale for arm in arms.values()} == {scale}
    assert next(iter(arms)) == "SRCNN"


def test_gans_of_the_review_start_from_srresnet_without_a_phase_of_their_own():
    arms = review.arms("srgan_review", recipes.build("srresnet"), False)
    assert list(arms) == [
        "SRCNN",
        "SRResNet-MSE",
        "SRResNet-VGG22",
        "SRGAN-MSE",
        "SRGAN-VGG22",
        "SRGAN-VGG54",
    ]
    for name in list(arms)[2:]:
        assert arms[name].after == "SRResNet-MSE" and arms[name].config.run.psnr_steps == 0
