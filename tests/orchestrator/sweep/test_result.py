"""The result of a sweep: means over seeds, the front, the pick and the network that ships."""

from types import SimpleNamespace

import pytest

from orchestrator.sweep import result
from orchestrator.sweep.context import BudgetWatch
from trainers.objectives import Objectives

OBJECTIVES = Objectives("psnr_y", "swd", 1.5)
BICUBIC = {"psnr_y": 28.0, "swd": 170.0}


def rows(design, blocks, *values):
    """Confirmed rows of one design, and their test rows."""
    made = []
    for seed, (psnr, swd) in enumerate(values, start=1):
        own = {"design": design, "values": {"generator.num_blocks": blocks, "run.seed": seed}, "seed": seed}
        own |= {"rung": None, "diverged": False, "verdict": "confirmed", "finished": True}
        own |= {"gpu_hours": 1.0, "cpu_hours": 2.0, "cost": 3.0}
        confirmed = own | {"stage": "confirm", "trial_id": f"{design}-s{seed}"}
        made.append(confirmed | {"metrics": {"psnr_y": psnr, "swd": swd}})
        metrics = {"psnr_y": psnr + 1, "swd": swd + 1} | {f"bicubic/{m}": v for m, v in BICUBIC.items()}
        made.append(own | {"stage": "test", "trial_id": f"t-{design}-s{seed}", "of": f"{design}-s{seed}"})
        made[-1]["metrics"] = metrics
    return made


@pytest.fixture
def answer(monkeypatch):
    """answer(rows, floor) -> what sweep.json gains"""

    def go(given, floor=28.0, set_by="bicubic", reached=""):
        monkeypatch.setattr(result, "distortion_floor", lambda *_: (floor, set_by))
        request = SimpleNamespace(metrics=("psnr_y", "swd"))
        context = SimpleNamespace(
            objectives=OBJECTIVES,
            request=request,
            plan=SimpleNamespace(val_evaluator=None),
            bicubic=BICUBIC,
            budget=BudgetWatch(reached=reached),
        )
        return result.sweep_result(given, context)

    return go


def test_the_pick_is_the_best_perception_above_the_floor_and_ships_its_best_seed(answer):
    given = rows("a", 4, (30.0, 100.0), (30.0, 90.0)) + rows("b", 8, (31.0, 120.0), (31.0, 118.0))
    given += rows("c", 16, (27.0, 10.0))
    found = answer(given)
    assert (found["pick_design"], found["pick"]) == ("a", "a-s2")
    assert found["front_designs"] == ["a", "b", "c"]
    assert found["front"] == ["a-s1", "a-s2", "b-s1", "b-s2", "c-s1"]
    assert found["designs"][0]["val"] == {"psnr_y": 30.0, "swd": 95.0}
    assert found["designs"][0]["test"]["psnr_y"] == 31.0
    assert found["bicubic"] == {"val": BICUBIC, "test": BICUBIC}
    assert found["counts"]["confirm"] == found["counts"]["test"] == 5
    assert (found["gpu_hours"], found["cpu_hours"], found["cost"]) == (10.0, 20.0, 30.0)


def test_a_champion_that_sets_the_floor_is_named_in_the_reason(answer):
    found = answer(rows("a", 4, (30.0, 100.0)), 29.5, "the champion's 30.00 less 0.5")
    assert found["pick_reason"].endswith("at or above 29.50 dB, the champion's 30.00 less 0.5")
    assert found["pick_floor"] == {"value": 29.5, "set_by": "the champion's 30.00 less 0.5"}


def test_no_design_above_the_floor_and_none_at_all_are_two_reasons(answer):
    below = answer(rows("a", 4, (27.0, 100.0)))
    assert (
        below["pick"] is None and "no confirmed design reaches the floor of 28.00 dB" in below["pick_reason"]
    )
    none = answer([], reached="the 2 hours of --max-hours")
    assert (none["pick"], none["pick_design"]) == (None, None)
    assert none["pick_reason"] == "no design was confirmed" and none["bicubic"]["test"] == {}
    assert none["budget_reached"] == "the 2 hours of --max-hours"


def test_a_confirmed_trial_that_diverged_is_no_seed_of_its_design(answer):
    given = rows("a", 4, (30.0, 100.0), (30.0, 90.0))
    given[2] |= {"finished": False, "diverged": True, "verdict": "failed: out of memory"}
    found = answer(given)
    assert found["designs"][0]["trial_ids"] == ["a-s1"]
    assert found["failures"] == ["failed: out of memory"] and found["counts"]["diverged"] == 1
