"""A finished sweep that nobody trained: its rows, facts and pictures, for tests of what reads them."""

import json
import math
import random

import numpy as np
from PIL import Image

BICUBIC = {"bicubic/psnr_y": 24.9, "bicubic/ssim_y": 0.71, "bicubic/swd": 50.0}


def row(stage, trial_id, design, psnr, swd, **more):
    steps = [0, 60, 120, 180, 240]
    rung = more.get("rung")
    curve = [
        [s, 26.0 - (26.0 - psnr) * s / 240, 46.0 - (46.0 - swd) * s / 240]
        for s in steps
        if s <= (rung or 240)
    ]
    return {
        "trial_id": trial_id,
        "stage": stage,
        "design": design,
        "values": more.get("values", {"loss.adversarial_weight": 0.1}),
        "config": {"generator.num_blocks": 4, "loss.adversarial_weight": 0.1},
        "metrics": {
            "psnr_y": curve[-1][1],
            "ssim_y": 0.74,
            "swd": curve[-1][2],
            "warm/psnr_y": 26.0,
            "warm/swd": 46.0,
            **BICUBIC,
        },
        "protocol": {"psnr_y": "BT.601 Y, border of scale px", "swd": "sliced Wasserstein"},
        "verdict": "screened to the end",
        "seed": 0,
        "gpu_hours": 0.0,
        "cpu_hours": 0.02,
        "mlflow_run_id": "0123456789abcdef",
        "steps": curve[-1][0],
        "max_steps": 240,
        "rung": rung,
        "curve": curve if stage != "test" else [],
        "checkpoint": f"trials/{trial_id}/best" if stage == "confirm" else None,
        "strip": None,
        "diverged": False,
        **more,
    }


def fake_sweep(folder, *, seeds=2, name="demo", trials=14):
    """A finished sweep's files, drawn from one constant seed."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    rows = [row("warm", "warm-1", "b4 bn shuffle", 26.0, 46.0, verdict="PSNR phase trained")]
    for i in range(trials):
        rung = draw.choice([None, None, 60, 120])
        words = f"screened out at step {rung} of 240" if rung else "screened to the end"
        weight = 10 ** draw.uniform(-3, -0.5)
        values = {
            "loss.adversarial_weight": weight,
            "generator.num_blocks": draw.choice([4, 8, 16]),
            "generator.norm": draw.choice(["batch", "none"]),
            "generator.icnr": draw.choice([True, False]),
        }
        swd = 24 - 7 * math.log10(weight) + draw.uniform(-1, 1)  # the weight decides, the rest is noise
        design = f"b{values['generator.num_blocks']} {values['generator.norm']} adv={weight:.2g}"
        more = {"rung": rung, "verdict": words, "values": values}
        rows.append(row("screen", f"screen-{i}", design, draw.uniform(24.3, 25.9), swd, **more))
    broken = {"diverged": True, "verdict": "diverged: adversarial at step 33"}
    rows.append(row("screen", "screen-x", "b8 no-bn adv=0.9", 12.0, 300.0, **broken))
    for place, (design, psnr, swd) in enumerate(
        [
            ("b4 bn shuffle adv=0.1", 25.3, 30.0),
            ("b8 bn transposed adv=0.01", 25.9, 38.0),
            ("b4 no-bn", 24.95, 33.0),
        ]
    ):
        for seed in range(seeds):
            noise = draw.uniform(-0.4, 0.4)
            identity = f"confirm-{place}-s{seed}"
            values = {"loss.adversarial_weight": 0.1 * (place + 1), "run.seed": seed}
            numbers = {"seed": seed, "verdict": "confirmed", "values": values}
            rows.append(row("confirm", identity, design, psnr + noise / 4, swd + noise, **numbers))
            images = [psnr + noise / 8 + 2 * math.sin(k) for k in range(31)]
            bases = {
                "bicubic": [24.0 + 2 * math.sin(k) for k in range(31)],
                "warm": [v + 0.01 for v in images],
            }
            tested = {
                **numbers,
                "of": identity,
                "verdict": "measured on test",
                "keys": [str(k) for k in range(31)],
                "per_image": {"psnr_y": images} | {f"{k}/psnr_y": base for k, base in bases.items()},
            }
            rows.append(row("test", f"test-{place}-s{seed}", design, psnr - 0.1, swd + 1 + noise, **tested))
    sweep = {
        "name": name,
        "recipe": "demo",
        "status": "finished",
        "started": 1_763_700_000.0,
        "ended": 1_763_700_720.0,
        "objective": {"distortion": "psnr_y", "perceptual": "swd", "delta_db": 1.5},
        "seed": 0,
        "command": "upsweep sweep",
        "commit": "0123456789ab+",
        "hardware": "2 CPU cores",
        "versions": {"torch": "2.15.0", "python": "3.11"},
        "data": {role: {"spec": "demo", "digest": "ab" * 8, "n": 31} for role in ("train", "val", "test")},
        "warm_starts": {"trained": 1, "reused": 0},
        "front": [f"confirm-{k}-s{s}" for k in (0, 1) for s in range(seeds)],
        "pick": "confirm-0-s1",
        "pick_reason": "best perceptual metric",
        "gpu_hours": 0.0,
        "cpu_hours": 0.4,
        "tracking_uri": "sqlite:////runs/mlflow.db",
        "experiment": "upsweep/demo",
    }
    (folder / "sweep.json").write_text(json.dumps(sweep))
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    return sweep, rows


def ship_psnr_network(folder, sweep, rows):
    """Let a PSNR network ship in place of the picked GAN; changes `sweep` and `rows`, and writes them."""
    for tested in (r for r in rows if r["stage"] == "test"):
        tested["sentinels"] = {"sharpened": {"strength": 0.5, "interval": [1.0, -1.0, 3.0], "beaten": False}}
    network = next(r for r in rows if r["stage"] == "test")
    network = network | {"trial_id": "psnr-1", "of": "warm-1", "design": "PSNR network b4 shuffle, 240 steps"}
    network |= {"val": {"psnr_y": 27.0, "swd": 42.0}}
    network["metrics"] = network["metrics"] | {"psnr_y": 27.5, "swd": 44.0, "warm/swd": 50.0}
    rows.append(network)
    sweep |= {"gan_pick": sweep["pick"], "pick": "psnr-1", "unbeaten": ["sharpened"], "pick_reason": "r"}
    (folder / "sweep.json").write_text(json.dumps(sweep))
    (folder / "leaderboard.json").write_text(json.dumps(rows))


def fake_strip(path, columns=5, rows=2):
    """A sheet laid out as orchestrator.results.image_strips does, one colour per column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = np.full((18 + rows * 194, columns * 192, 3), 255, np.uint8)
    for k in range(columns):
        sheet[18:, k * 192 : k * 192 + 192] = (50 * k, 200 - 30 * k, 90)
    Image.fromarray(sheet).save(path)
