"""The card of a version: decision, metrics, origin; no line for an unknown fact, no markup from outside."""

from types import SimpleNamespace

import mlflow.pyfunc
import numpy as np
from PIL import Image

from orchestrator.registry.gate import Check, Decision
from orchestrator.registry.model_card import model_card, plain

SWEEP = {"name": "demo", "recipe": "demo", "command": "python experiments/sweep.py", "commit": "abc"}
SWEEP |= {"gpu_hours": 0.5, "data": {"train": {"spec": "demo", "n": 100, "digest": "0123"}}}
ROW = {"design": "b1 bn", "trial_id": "confirm-1", "seed": 3, "steps": 10, "max_steps": 20}
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


def card(sweep, row):
    decision = Decision((Check("evidence", True, "40 gate images"), Check("x", False, "a <b> | c")))
    return model_card("upsweep-demo", sweep, row, decision, FACTS).splitlines()


def test_a_card_has_the_decision_the_metrics_and_the_origin():
    lines = card(SWEEP, ROW)
    for line in (
        "**Refused** by the gate.",
        "- passed: 40 gate images",
        "- FAILED: a ‹b› / c",
        "| | psnr_y | swd |",
        "| this model | 25 | 9 |",
        "| bicubic | 24 | 10 |",
        "- Y; scale=4",
        "- Sweep: demo (recipe demo, trial confirm-1, seed 3)",
        "- Data: train: demo (100 images, 0123)",
        "- Gate set: 40 images, 4567; decision number 2 on them for this model",
        "- Steps: 10 of 20",
        "- GPU-hours of the sweep: 0.5",
    ):
        assert line in lines


def test_a_sweep_without_a_gpu_has_used_zero_hours():
    assert "- GPU-hours of the sweep: 0.0" in card(SWEEP | {"gpu_hours": 0.0}, ROW)


def test_unknown_facts_of_a_checkpoint_folder_have_no_line():
    sweep = {"name": "best", "recipe": "demo", "command": "", "commit": "", "data": {}}
    row = {"design": "best", "trial_id": "/x/best", "seed": 3}
    names = [line.split(":")[0] for line in card(sweep, row)]
    for absent in ("- Steps", "- GPU-hours of the sweep", "- Commit", "- Command", "- Data"):
        assert absent not in names
    assert "- Design" in names and "- Steps: 20" in card(sweep, row | {"steps": 20})


def test_own_code_is_named_with_its_hash():
    config = {"generator.kind": "mine.py:Net-0123456789ab", "generator.scale": 4}
    lines = card(SWEEP, ROW | {"config": config})
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
