"""Names of designs for people, and settings without a space's switches."""

from orchestrator.results.labels import design_of, label, settings_of, spelled_out

ADV, NORM, UP = "loss.adversarial_weight", "generator.norm", "generator.upsampler"
BLOCKS, PIXEL = "generator.num_blocks", "loss.pixel_weight"


def test_a_label_names_the_design():
    values = {ADV: 0.1, NORM: "batch", UP: "pixel_shuffle", BLOCKS: 4, PIXEL + "?": True, PIXEL: 0.0}
    assert label(values) == "bn shuffle b4 adv=0.1 pix=0"
    assert label({"optim.lr_g": 1e-4, "loss.adversarial": "hinge"}) == "lr_g=0.0001 adversarial=hinge"
    assert label({NORM: "none", UP: "nearest_conv"}) == "no-bn nearest"
    assert label({UP: "bicubic_input", "loss.content_weight": 0.006}) == "bicubic_input vgg=0.006"
    assert label({ADV: 1e-2, "generator.kind": "plksr", "generator.size": "tiny"}) == "plksr tiny adv=0.01"
    assert label({}) == "as the recipe"
    derived = {BLOCKS: 4, "run.psnr_steps": 60, "run.derived_from": "0123456789abcdef"}
    assert label(derived) == "PSNR network b4 derived, 60 steps"
    assert label(derived | {ADV: 0.1}) == "b4 60 PSNR steps derived adv=0.1", "a GAN has PSNR steps, too"
    measured = {"run.psnr_steps": 1560, "run.psnr_eval_every_steps": 12}
    assert label(measured) == "PSNR network of the recipe, 1,560 steps"
    assert spelled_out(derived) == "4 residual blocks, psnr steps 60, derived from another's network"


def test_a_switch_is_not_a_setting_and_a_seed_is_not_part_of_a_design():
    values = {BLOCKS: 4, PIXEL + "?": True, "run.seed": 7, "data.order_seed": 8, "lineage": {}, "index": 1}
    assert settings_of(values) == {BLOCKS: 4, "run.seed": 7, "data.order_seed": 8}
    assert design_of(values) == {BLOCKS: 4}
