"""What a sweep prints when it ends."""

import shlex

import pytest

from orchestrator.storage import Storage
from orchestrator.sweep.summary import FEW, format_summary, results, resume_command, storage_option
from orchestrator.tracking.run_key import VIEW_PAGE

FACTS = {
    "name": "faces",
    "objective": {"distortion": "psnr_y", "perceptual": "swd"},
    "data": {"test": {"n": 27}},
    "bicubic": {"test": {"psnr_y": 31.25, "swd": 158.1}},
    "designs": [
        {
            "design": "b4 bn",
            "trial_ids": ["confirm-0-s0"],
            "val": {"gradient_share/adversarial": 0.16},
            "test": {"psnr_y": 31.72, "swd": 104.0, "warm/swd": 119.2},
        },
        {
            "design": "b8",
            "trial_ids": ["confirm-1-s0"],
            "val": {},
            "test": {"psnr_y": 32.0, "swd": 110.0, "warm/swd": 117.3},
        },
    ],
    "front": ["confirm-0-s0", "confirm-1-s0"],
    "pick": "confirm-0-s0",
    "pick_design": "b4 bn",
    "pick_reason": "the reason",
    "started": 0.0,
    "ended": 221.0,
    "cpu_hours": 0.1,
    "gpu_hours": 0.0,
    "cost": 0.0,
    "counts": {"screened_out": 3, "screen": 8, "diverged": 0},
    "budget_reached": "",
    "failures": [],
    "tracking_uri": "sqlite:////x/mlflow.db",
}


def test_the_front_the_pick_and_the_next_commands(tmp_path):
    lines = format_summary(FACTS, Storage(str(tmp_path)))
    assert lines[1] == "confirmed designs, mean over seeds on test (27 images; lower swd is better):"
    assert lines[2] == f"  {'bicubic':<44}   31.25 dB  swd    158.1"
    warm = "(its warm start 119.2, adversarial gradient share 16%)"
    assert lines[3] == f"* {'b4 bn':<44}   31.72 dB  swd    104.0 {warm}"
    assert lines[4] == f"- {'b8':<44}   32.00 dB  swd    110.0 (its warm start 117.3)"
    assert "pick: b4 bn (the reason)" in lines
    assert "took 3:41, 0.10 CPU-hours; 3 of 8 trials stopped early" in lines
    hours = {"asked": 0.5, "seconds": 1710.0, "one": "longer training gains more", "one_command": "train"}
    timed = format_summary(FACTS | {"hours": hours}, Storage(str(tmp_path)))
    took = next(line for line in timed if line.startswith("took "))
    assert took.startswith("took 28:30 of the 30 minutes of --hours, 0.10 CPU-hours")
    place = timed.index("one      longer training gains more:")
    assert timed[place + 1] == "    train", "a line to be copied"
    late = format_summary(FACTS | {"hours": hours | {"seconds": 2088.0}}, Storage(str(tmp_path)))
    assert any("took 34:48 of the 30 minutes of --hours (16% more than asked), " in line for line in late)
    sizes = {"warm": {"trials": 9, "gan_steps": 189}, "screen": {"trials": 8, "gan_steps": 73}}
    timed = format_summary(FACTS | {"hours": hours | {"sizes": sizes}}, Storage(str(tmp_path)))
    assert any(
        line.startswith("planned: 9 designs of 189 GAN steps at the start; screened: 8 of 73, fitted to")
        for line in timed
    )
    sizes["warm"] = sizes["screen"]
    assert not any(
        line.startswith("planned")
        for line in format_summary(FACTS | {"hours": hours | {"sizes": sizes}}, Storage(str(tmp_path)))
    )
    assert lines[-3:] == [
        f"report:  {tmp_path}/faces/report.html",
        "MLflow:  make ui   (or: mlflow ui --backend-store-uri sqlite:////x/mlflow.db)",
        f"promote: upsweep promote faces --storage {tmp_path}",
    ]


def test_a_promotion_that_the_plan_called_impossible_is_not_advised(tmp_path):
    storage = Storage(str(tmp_path))
    for last in (
        format_summary(FACTS | {"gate_images": 2}, storage),
        results(FACTS | {"gate_images": 2}, storage),
    ):
        assert [line.strip() for line in last[-2:]] == [
            f"promote: upsweep promote faces --storage {tmp_path} --gate FOLDER   "
            "(of 30 or more other images: this sweep has 2 gate images)",
            f"upscale: upsweep upscale PICTURE --model {tmp_path}/faces   (without a promotion)",
        ]
    for enough in (30, None):
        last = format_summary(FACTS | {"gate_images": enough}, storage)[-1]
        assert last == f"promote: upsweep promote faces --storage {tmp_path}"


def test_a_psnr_network_that_ships_has_its_own_line(tmp_path):
    shipped = {"pick": "psnr-1", "pick_design": "PSNR b4", "pick_test": {"psnr_y": 33.0, "swd": 115.0}}
    lines = format_summary(FACTS | shipped, Storage(str(tmp_path)))
    assert lines[5] == f"* {'PSNR b4':<44}   33.00 dB  swd    115.0"
    assert [line[0] for line in lines[2:5]] == [" ", "-", "-"], "no design is starred"


def test_the_sentinels_of_the_picked_gan_stand_below_it(tmp_path):
    test = FACTS["designs"][0]["test"] | {"sharpened/psnr_y": 31.0, "sharpened/swd": 111.0}
    test |= {"longer/psnr_y": 33.0, "longer/swd": 115.0, "noisy/psnr_y": 29.0}
    designs = [FACTS["designs"][0] | {"test": test}, FACTS["designs"][1]]
    facts = FACTS | {"designs": designs, "gan_pick": "confirm-0-s0"}
    lines = format_summary(facts, Storage(str(tmp_path)))
    assert lines[3].startswith("* b4 bn")
    assert lines[4] == f"  {'  its warm start, sharpened':<44}   31.00 dB  swd    111.0"
    assert lines[5] == f"  {'  the PSNR network of equal cost':<44}   33.00 dB  swd    115.0"
    assert lines[6].startswith("- b8"), "what was not measured has no line"
    shipped = {"pick": "psnr-1", "pick_design": "PSNR b4"}
    shipped["pick_test"] = {"psnr_y": 33.0, "swd": 115.0 + 1e-13}  # a mean of three seeds is rounded
    again = format_summary(facts | shipped, Storage(str(tmp_path)))
    assert "of equal cost" not in "\n".join(again), "it ships, and has its own line"
    shipped["pick_test"] = {"psnr_y": 33.5, "swd": 116.0}
    again = format_summary(facts | shipped, Storage(str(tmp_path)))
    assert "of equal cost" in "\n".join(again), "another one ships"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:////x/mlflow.db", "mlflow.db), then http://127.0.0.1:5000/#/experiments/7/runs?"),
        ("http://host:5001", "MLflow:  http://host:5001/#/experiments/7/runs?"),
    ],
)
def test_mlflow_opens_on_the_runs(tmp_path, uri, said):
    lines = format_summary(FACTS | {"experiment_id": "7", "tracking_uri": uri}, Storage(str(tmp_path)))
    assert any(f"{said}workflowType=machine_learning&orderByKey=" in line for line in lines)


def test_the_page_that_shows_the_objectives_is_linked_if_the_experiment_has_it(tmp_path):
    facts = FACTS | {"experiment_id": "7", "tracking_uri": "http://host", "experiment_page": VIEW_PAGE}
    lines = format_summary(facts, Storage(str(tmp_path)))
    assert f"MLflow:  http://host/#/experiments/7/{VIEW_PAGE}" in lines


def test_costs_limits_failures_and_divergences_are_lines_of_their_own(tmp_path):
    failures = [f"failed: reason {k}" for k in range(FEW + 2)]
    more = {"cost": 3.5, "budget_reached": "the 2 GPU-hours of --max-gpu-hours", "failures": failures}
    facts = FACTS | more | {"counts": FACTS["counts"] | {"diverged": 4}, "pick_design": None}
    lines = format_summary(facts, Storage(str(tmp_path)))
    assert any("0.00 GPU-hours (cost 3.50); 3 of 8" in line for line in lines)
    assert "the 2 GPU-hours of --max-gpu-hours were reached after 8 designs; no more were drawn" in lines
    assert "trials failed: reason 0" in lines and "trials failed: reason 3" not in lines
    assert "and 2 other reasons why trials failed; report.html names each" in lines
    assert "4 trials diverged; report.html names step and term" in lines
    assert "pick: none (the reason)" in lines


def test_a_storage_that_is_not_the_usual_one_is_part_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage_option(Storage("./runs")) == ""
    assert resume_command(Storage("./runs"), "x") == "upsweep sweep --resume x"
    assert resume_command(Storage("other"), "x").endswith(f"--resume x --storage {tmp_path}/other")


def test_printed_commands_can_be_pasted_whatever_the_storage_is_called(tmp_path):
    storage = Storage(str(tmp_path / "my runs; $(x)"))
    words = shlex.split(resume_command(storage, "faces"))
    assert words == ["upsweep", "sweep", "--resume", "faces", "--storage", storage.root]
    last = format_summary(FACTS | {"tracking_uri": ""}, storage)[-2:]
    assert shlex.split(last[1])[-1] == storage.root and f"'sqlite:///{storage.root}/mlflow.db'" in last[0]
