"""The result of a sweep: means over seeds, the front, the pick and the network that ships."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.recipes import build
from orchestrator.registry.gate import Thresholds, decide
from orchestrator.results.leaderboard import use_best_checkpoint
from orchestrator.sweep import result
from orchestrator.sweep.context import BudgetWatch
from trainers.evaluate import Evaluation
from trainers.objectives import Objectives

OBJECTIVES = Objectives("psnr_y", "swd", 1.5)
BICUBIC = {"psnr_y": 28.0, "swd": 170.0}


def rows(design, blocks, *values, warm=30.5):
    """Confirmed rows of one design, and their test rows."""
    made, warm = [], {"warm/psnr_y": warm, "warm/swd": 150.0}
    for seed, (psnr, swd) in enumerate(values, start=1):
        own = {"design": design, "values": {"generator.num_blocks": blocks, "run.seed": seed}, "seed": seed}
        own |= {"rung": None, "diverged": False, "verdict": "confirmed", "finished": True}
        own |= {"gpu_hours": 1.0, "cpu_hours": 2.0, "cost": 3.0}
        confirmed = own | {"stage": "confirm", "trial_id": f"{design}-s{seed}"}
        made.append(confirmed | {"metrics": {"psnr_y": psnr, "swd": swd, **warm}})
        metrics = {"psnr_y": psnr + 1, "swd": swd + 1} | {f"bicubic/{m}": v for m, v in BICUBIC.items()}
        made.append(own | {"stage": "test", "trial_id": f"t-{design}-s{seed}", "of": f"{design}-s{seed}"})
        made[-1]["metrics"] = metrics
    return made


def answer(given, reached="", least=-math.inf, objectives=OBJECTIVES):
    """Return what sweep.json gains."""
    context = SimpleNamespace(
        objectives=replace(objectives, least=least),
        request=SimpleNamespace(metrics=("psnr_y", "swd"), opponent="its warm start"),
        bicubic=BICUBIC,
        budget=BudgetWatch(reached=reached),
    )
    return result.sweep_result(given, context)


def test_the_pick_is_the_best_perception_above_the_floor_and_ships_its_best_seed():
    given = rows("a", 4, (30.0, 100.0), (30.0, 90.0)) + rows("b", 8, (31.0, 120.0), (31.0, 118.0))
    given += rows("c", 16, (27.0, 10.0))
    found = answer(given)
    assert (found["pick_design"], found["pick"]) == ("a", "a-s2")
    assert found["pick_reason"] == "best swd among 2 feasible designs: at most 1.5 dB below its warm start"
    assert found["front_designs"] == ["a", "b", "c"]
    assert found["front"] == ["a-s1", "a-s2", "b-s1", "b-s2", "c-s1"]
    assert found["designs"][0]["val"] == {"psnr_y": 30.0, "swd": 95.0, "warm/psnr_y": 30.5, "warm/swd": 150.0}
    assert found["designs"][0]["test"]["psnr_y"] == 31.0
    assert found["bicubic"] == {"val": BICUBIC, "test": BICUBIC}
    assert found["counts"]["confirm"] == found["counts"]["test"] == 5
    assert (found["gpu_hours"], found["cpu_hours"], found["cost"]) == (10.0, 20.0, 30.0)


def test_bicubics_distortion_is_no_floor():
    found = answer(rows("a", 4, (27.9, 100.0), warm=29.0))
    assert found["pick"] == "a-s1", "below bicubic's 28.0 dB, as published SRGANs are on BSD100"


SRGAN = {  # PSNR-Y of SRResNet and of SRGAN-VGG54 (Ledig et al., 2017, table 2)
    "Set5": (32.05, 29.40),
    "Set14": (28.49, 26.02),
    "BSD100": (27.58, 25.16),
}
ESRGAN = {"Set5": (30.64, 28.27), "Set14": (27.05, 24.63)}  # of mmagic's PSNR network and ESRGAN, in RGB
PUBLISHED = [("srgan_vgg54", SRGAN), ("srgan_8", SRGAN), ("esrgan", ESRGAN)]
BESIDE = {
    "bicubic": {"lpips_alex": 0.470, "lr_consistency": 36.5, "grid_detail": 0.008},
    "warm": {"lpips_alex": 0.3, "lr_consistency": 45.0, "grid_detail": 0.012},
    "gan": {"lpips_alex": 0.251, "lr_consistency": 37.5, "grid_detail": 0.025},
}
"""Other metrics, which the papers lack: those of a published GAN (RealSR-DF2K's consistency and grid,
Real-ESRGAN's LPIPS), of bicubic, and about those of a PSNR network."""


@pytest.mark.parametrize(
    "recipe, warm, gan", [(name, *pair) for name, sets in PUBLISHED for pair in sets.values()]
)
def test_published_gans_are_feasible_as_checkpoints_picked_and_promoted(recipe, warm, gan):
    objective = build(recipe).objective
    objectives = Objectives.of(objective)
    own, start = {"psnr_y": gan} | BESIDE["gan"], {"psnr_y": warm} | BESIDE["warm"]
    metrics = own | {f"warm/{name}": value for name, value in start.items()}
    row = {"design": "g", "values": {}, "trial_id": "g", "metrics": metrics, "stage": "confirm"}
    candidates = [{"step": 0, "checkpoint": "warm"} | start, {"step": 9, "checkpoint": "gan"} | own]
    row |= {"candidates": candidates, "finished": True, "verdict": "confirmed"}
    chosen = use_best_checkpoint(row, objectives)
    assert chosen["checkpoint"] == "gan"
    best, _ = result.pick(result.confirmed_designs([chosen]), objectives)
    assert best["design"] == "g"
    references = {"bicubic": {"psnr_y": gan + 0.8} | BESIDE["bicubic"], "warm start": start}
    measured = {name: evaluation(values) for name, values in references.items()}
    decision = decide(evaluation(own), measured, objective, Thresholds(), {}, {})
    assert decision.passed, decision.reason


def evaluation(values, n=40):
    """Measured values of images that differ a little."""
    per_image = {m: list(v + np.linspace(-0.05, 0.05, n)) for m, v in values.items()}
    return Evaluation([str(k) for k in range(n)], per_image, values, {})


def test_a_network_that_contradicts_its_input_is_never_picked():
    given = rows("a", 4, (30.0, 100.0)) + rows("b", 8, (30.0, 10.0))
    for row in given:
        row["metrics"]["lr_consistency"] = 20.0 if row["design"] == "b" else 40.0
    found = answer(given)
    assert found["pick_design"] == "a" and "LR consistency of 32 dB or more" in found["pick_reason"]


def test_a_network_that_draws_the_upsampling_grid_is_not_picked_before_one_that_does_not():
    given = rows("a", 4, (30.0, 100.0)) + rows("b", 8, (30.0, 10.0))
    for row in given:
        row["metrics"] |= {"warm/grid_detail": 0.02, "grid_detail": 0.3 if row["design"] == "b" else 0.05}
    found = answer(given)
    assert found["pick_design"] == "a" and "no pattern of the upsampling grid" in found["pick_reason"]


def test_what_champions_demand_is_named_in_the_reason():
    found = answer(rows("a", 4, (30.0, 100.0)), least=29.5)
    assert found["pick_reason"].endswith("psnr_y no worse than 29.50, the floor of champions")
    assert answer(rows("a", 4, (30.0, 100.0)), least=30.1)["pick"] is None


def test_no_feasible_design_and_none_at_all_are_two_reasons():
    below = answer(rows("a", 4, (27.0, 100.0)))
    assert below["pick"] is None
    assert below["pick_reason"] == "no confirmed design is feasible: at most 1.5 dB below its warm start"
    none = answer([], reached="the 2 GPU-hours of --max-gpu-hours")
    assert (none["pick"], none["pick_design"]) == (None, None)
    assert none["pick_reason"] == "no design was confirmed" and none["bicubic"]["test"] == {}
    assert none["budget_reached"] == "the 2 GPU-hours of --max-gpu-hours"


def test_a_confirmed_trial_that_diverged_is_no_seed_of_its_design():
    given = rows("a", 4, (30.0, 100.0), (30.0, 90.0))
    given[2] |= {"finished": False, "diverged": True, "verdict": "failed: out of memory"}
    found = answer(given)
    assert found["designs"][0]["trial_ids"] == ["a-s1"]
    assert found["failures"] == ["failed: out of memory"] and found["counts"]["diverged"] == 1


def with_sentinels(given, **beaten):
    """The rows, their test rows compared with sentinels, and a PSNR network of each quality."""
    for row in given:
        if row["stage"] == "test":
            ends = {True: [-2.0, -3.0, -1.0], False: [0.5, -1.0, 2.0], None: [2.0, 1.0, 3.0]}  # None: worse
            row["sentinels"] = {n: {"beaten": bool(v), "interval": ends[v]} for n, v in beaten.items()}
    networks = []
    for key, psnr in (("a", 31.0), ("b", 31.5)):
        network = given[1] | {"trial_id": f"psnr-{key}", "of": f"warm-{key}", "design": f"PSNR {key}"}
        networks.append(network | {"val": {"psnr_y": psnr, "swd": 150.0}, "sentinels": {}})
    return given + networks


def test_a_gan_that_betters_every_sentinel_ships():
    found = answer(with_sentinels(rows("a", 4, (30.0, 100.0)), sharpened=True, noisy=True, longer=True))
    assert (found["pick"], found["gan_pick"], found["unbeaten"]) == ("a-s1", "a-s1", [])


def test_a_gan_that_ships_although_a_second_opinion_contradicts_is_said_to_be_so():
    ends = {"warm": [-0.01, -0.02, -0.005], "longer": [0.02, 0.01, 0.03]}
    opinions = {name: {"metric": "dists", "interval": interval} for name, interval in ends.items()}

    def found(**beaten):
        given = with_sentinels(rows("a", 4, (30.0, 100.0)), **beaten)
        return answer([row | {"second_opinion": opinions} for row in given])

    ships = found(sharpened=True, longer=True)
    assert ships["pick"] == "a-s1" and ships["pick_reason"].endswith(
        "; but dists, the second opinion, contradicts: it is worse than the PSNR network of equal cost"
    )
    assert "second opinion" not in found(longer=False)["pick_reason"], "it does not ship"
    opinions["longer"]["interval"] = [0.02, -0.01, 0.03]
    assert "second opinion" not in found(longer=True)["pick_reason"], "it is not clearly worse"


def test_where_no_gan_betters_an_unsharp_mask_the_best_psnr_network_ships():
    found = answer(with_sentinels(rows("a", 4, (30.0, 100.0)), sharpened=False, noisy=True, longer=False))
    assert (found["pick"], found["gan_pick"]) == ("psnr-b", "a-s1")
    assert found["unbeaten"] == ["sharpened", "longer"] and found["pick_design"] == "PSNR b"
    assert found["pick_reason"] == (
        "a fails 2 comparisons on test: not clearly better than its warm start, sharpened, nor "
        "than the PSNR network of equal cost; so the PSNR network that is best on val ships"
    )
    shown = result.pick_metrics(found)
    assert shown == {"psnr_y": 31.0, "swd": 101.0}, "those of the network, which ships, not of the GAN"


def test_a_gan_that_is_worse_than_a_sentinel_is_said_to_be_so():
    found = answer(with_sentinels(rows("a", 4, (30.0, 100.0)), sharpened=False, longer=None))
    assert found["pick_reason"].startswith(
        "a fails 2 comparisons on test: worse than the PSNR network of equal cost; not clearly better than "
    )


def test_a_sweep_without_psnr_networks_ships_nothing_that_an_unsharp_mask_equals():
    given = with_sentinels(rows("a", 4, (30.0, 100.0)), sharpened=False)
    found = answer([row for row in given if not row["trial_id"].startswith("psnr-")])
    assert (found["pick"], found["pick_design"], found["gan_pick"]) == (None, None, "a-s1")
    assert found["pick_reason"] == (
        "a fails 1 comparison on test: not clearly better than its warm start, sharpened; so "
        "nothing ships, as the sweep trained no PSNR network"
    )


def test_where_no_gan_is_feasible_the_best_psnr_network_ships():
    found = answer(with_sentinels(rows("a", 4, (27.0, 100.0)), sharpened=True))
    assert found["pick"] == "psnr-b" and found["gan_pick"] is None
    assert found["pick_reason"].startswith("no confirmed design is feasible")
