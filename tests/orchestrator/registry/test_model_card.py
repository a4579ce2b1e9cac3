"""The card of a version: decision, metrics, origin; no line for an unknown fact, no markup from outside."""

from dataclasses import replace
from types import SimpleNamespace

import mlflow.pyfunc
import numpy as np
import torch
from PIL import Image

from datasets.config import DataConfig
from orchestrator.analysis.intervals import Interval
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.evaluate import GateResult
from orchestrator.registry.gate import Check, Decision
from orchestrator.registry.model_card import model_card, plain
from trainers.config import GeneratorConfig, ObjectiveConfig, TrainConfig, override
from trainers.evaluate import Evaluation

CONFIG = TrainConfig(objective=ObjectiveConfig(perceptual="swd"))
SWEEP = {"name": "demo", "recipe": "demo", "command": "upsweep sweep", "commit": "abc"}
SWEEP |= {"gpu_hours": 0.5, "data": {"train": {"spec": "demo", "n": 100, "digest": "0123"}}}
ROW = {"design": "b1 bn", "trial_id": "confirm-1", "seed": 3, "steps": 10, "max_steps": 20}
ROW |= {"values": {"generator.num_blocks": 1}}
FACTS = {
    "upsweep.decision": "refused",
    "upsweep.gate.images": "40",
    "upsweep.gate.digest": "4567",
    "upsweep.gate.uses": "2",
    "gate/psnr_y": "25",
    "gate/swd": "9",
    "gate/bicubic/psnr_y": "24",
    "gate/bicubic/swd": "10",
    "gate/protocol/psnr_y": "Y; scale=4",
}
KEYS, PROTOCOL = [str(i) for i in range(40)], {"psnr_y": "Y; degradation=matlab", "swd": "patches"}


def measured(psnr, swd):
    return Evaluation(KEYS, {}, {"psnr_y": psnr, "swd": swd}, PROTOCOL)


def result(train="demo"):
    decision = Decision((Check("evidence", True, "40 gate images"), Check("x", False, "a <b> | c")))
    gains = {"psnr_y": Interval(1.0, 0.9, 1.1, 40), "swd": Interval(-1.0, -1.2, -0.8, 40)}
    pictures = {"png": b"", "captions": ["median gain of 40: 7|"]}
    sets = {"train": train, "gate": "demo"}
    references = {"bicubic": measured(24.0, 10.0)}
    return GateResult(
        decision, measured(25.0, 9.0), references, "4567", "0123", gains, pictures, sets, (96, 128)
    )


def card(sweep=SWEEP, row=ROW, config=CONFIG, run_id="", train="demo"):
    candidate = Candidate(sweep, row, config, torch.nn.Identity(), None)
    return model_card("upsweep-demo", candidate, result(train), FACTS, run_id).splitlines()


def test_a_card_has_the_decision_the_metrics_and_the_origin():
    lines = card()
    for line in (
        "**Refused** by the gate.",
        "- passed: 40 gate images",
        "- FAILED: a ‹b› / c",
        "|  | psnr_y | swd |",
        "| this model | 25 | 9 |",
        "| bicubic | 24 | 10 |",
        "- Y; scale=4",
        "- Sweep: demo (recipe demo, trial confirm-1, seed 3)",
        "- Data: train: demo (100 images, 0123)",
        "- Gate set: 40 images, 4567; decision number 2 on them in this registry",
        "- Steps: 10 of 20",
        "- GPU-hours of the sweep: 0.5",
    ):
        assert line in lines


def test_its_first_sentences_say_for_whom_it_is_and_how_much_better_than_bicubic():
    said = card()[4]
    assert said.startswith(
        "Enlarges 8-bit RGB images 4 times (1 residual block), for images like those of demo (100 images), "
        "on which it was trained. On 40 gate images, used by neither training nor the sweep's choice: "
        "swd in x1e-3 9.0 against 10.0 of bicubic, 10% better, difference -1 [-1.2, -0.8]; "
        "psnr_y in dB 25.00 against 24.00 of bicubic, better, difference +1 [+0.9, +1.1] "
        "(intervals at 99.75%)."
    )
    assert "SWD compares the patches" in said


def test_a_model_of_another_task_is_not_said_to_enlarge():
    grey = replace(CONFIG, data=DataConfig(input="grey"), generator=GeneratorConfig(scale=1))
    assert card(config=grey)[4].startswith("Makes 8-bit RGB images from grey ones (")


def test_its_limits_and_the_licences_of_its_data_are_named():
    lines = card(
        train="mine", sweep=SWEEP | {"data": {"train": {"spec": "photos/", "n": 100, "digest": "0"}}}
    )
    for line in (
        "- Factor 4 and 8-bit RGB images only.",
        "- Its inputs were gate images made small by matlab: noisy or compressed images were not judged.",
        "- Judged on demo alone, sides of 96 to 128 px: not on other kinds of images, and not on video.",
        "- A GAN adds detail that may not be there: do not use it where a detail decides.",
        "- Licence of the train images, photos/: not known here; its owner has to say",
        "- Licence of the gate images, demo: public domain and CC, as scikit-image and scikit-learn state; "
        "the portrait: US Navy, public domain (comes with the installed packages)",
    ):
        assert line in lines
    blind = card(config=replace(CONFIG, run=replace(CONFIG.run, gan_steps=0)))
    assert not any("A GAN adds detail" in line for line in blind)


def test_the_picture_is_shown_from_the_artifacts_of_its_run():
    shown = "![input, bicubic, ours, target](get-artifact?path=gate_images.png&run_uuid=0f0f)"
    lines = card(run_id="0f0f")
    assert shown in lines
    assert "Input, bicubic, ours, target. Gate images: median gain of 40: 7/." in lines
    assert not any("get-artifact" in line for line in card())


def test_a_sweep_without_a_gpu_has_used_zero_hours():
    assert "- GPU-hours of the sweep: 0.0" in card(SWEEP | {"gpu_hours": 0.0})


def test_unknown_facts_of_a_checkpoint_folder_have_no_line():
    sweep = {"name": "best", "recipe": "demo", "command": "", "commit": "", "data": {}}
    row = {"design": "best", "trial_id": "/x/best", "seed": 3}
    names = [line.split(":")[0] for line in card(sweep, row)]
    for absent in ("- Steps", "- GPU-hours of the sweep", "- Commit", "- Command", "- Data"):
        assert absent not in names
    assert "- Design" in names and "- Steps: 20" in card(sweep, row | {"steps": 20})


def test_own_code_is_named_with_its_hash():
    lines = card(config=override(CONFIG, {"generator.kind": "mine.py:Net-0123456789ab"}))
    assert "- Own code: mine.py:Net-0123456789ab (each with its hash; the text is in config.json)" in lines


def test_plain_text_is_one_line():
    assert plain("a\n<i>`b`</i>") == "a ‹i›'b'‹/i›"


def test_the_snippet_upscales_a_picture_as_it_stands(tmp_path, monkeypatch):
    """The registered model is replaced by one that repeats pixels."""
    code = "\n".join(card(SWEEP, ROW)).split("```python\n")[1].split("```")[0]
    small = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)
    Image.fromarray(small).save(tmp_path / "small.png")
    monkeypatch.chdir(tmp_path)
    served = SimpleNamespace(predict=lambda x: x.repeat(2, 2).repeat(2, 3))
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda uri: served)
    exec(code, {})
    assert (np.asarray(Image.open("large.png")) == small.repeat(2, 0).repeat(2, 1)).all()


def test_the_cost_of_inference_is_named_with_size_and_device():
    cost = {"ms": 12.0, "memory_mb": 40.0, "px": 256, "device": "a card"}
    assert "- Inference: 12 ms and 40 MB at 256x256 on a card" in card(SWEEP, ROW | {"inference": cost})
