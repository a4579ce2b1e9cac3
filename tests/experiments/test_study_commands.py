"""The scripts of the studies: options, plans at full scale, and a document reproduced in miniature."""

import json
import re

import pytest
from helpers.studies import TINY, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from experiments import recipes, reproduce, upsampler_study
from experiments.common import study_command
from experiments.recipes import review
from orchestrator.analysis.significance import Verdict
from orchestrator.studies import claims as seeds
from orchestrator.studies import estimate
from orchestrator.studies import reproduce as reproduction
from orchestrator.studies import run as session
from orchestrator.studies.kinds import STUDIES, edges_to_photo
from orchestrator.studies.request import storage_of
from orchestrator.studies.spec import Training
from trainers.config import override

FULL = {
    "dataset_matrix": (15, 200_000),
    "colorize": (15, 200_000),
    "edges_to_photo": (60, 200_000),
    "upsampler_study": (105, 1_875),
    "perception_distortion": (10, 1_000_000),
    "srgan_review": (30, 1_000_000),
    "srcnn_vs_esrgan": (10, 1_400_000),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_a_dry_run_at_full_scale_prints_trainings_images_and_hours(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "seconds_per_step", lambda training: {"psnr": 0.1, "gan": 0.36})
    options = study_command.parse(kind, argv=["--dry-run", "--storage", str(tmp_path)])
    is_table = kind in review.STUDIES
    more = {"arms": review.of(kind, options.config, False)} if is_table else {}
    assert study_command.run(kind, options, **more) == 0
    said = capsys.readouterr().out
    trainings, steps = FULL[kind]
    assert f"{trainings} trainings" in said and f"{steps:>9,} steps" in said
    assert re.search(r"in all about [\d,.]+ \S*hours of training on", said) and "once it is at hand" in said
    assert not (tmp_path / "studies").exists()


def test_a_plan_counts_both_phases_and_the_published_images(tmp_path, monkeypatch, capsys):
    def timed(training):
        run = training.config.run
        steps = {"psnr": run.psnr_steps, "gan": run.gan_steps}
        return {phase: 3600 / n for phase, n in steps.items() if n}  # an hour each

    monkeypatch.setattr(estimate, "seconds_per_step", timed)
    options = study_command.parse("perception_distortion", argv=["--dry-run", "--storage", str(tmp_path)])
    study_command.run("perception_distortion", options)
    said = capsys.readouterr().out
    assert re.search(r"PSNR phase +5 x 1,000,000 steps +5.00 h", said)
    assert re.search(r"GAN phase +5 x +400,000 steps +5.00 h", said)  # it differs in its phases alone
    assert "images div2k: 900 in all once it is at hand" in said and "images bsd100: 100 in all" in said


def test_the_comparison_is_planned_on_its_own_test_sets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "seconds_per_step", lambda training: {"psnr": 0.1, "gan": 0.36})
    options = study_command.parse("srcnn_vs_esrgan", argv=["--dry-run", "--storage", str(tmp_path)])
    study_command.run("srcnn_vs_esrgan", options, arms=review.of("srcnn_vs_esrgan", options.config, False))
    said = capsys.readouterr().out
    assert "tested on div2k, ffhq, selfie2anime; verdicts on div2k" in said
    assert "of which the first 1,000 by key" in said


def test_photographs_that_a_study_will_cut_are_counted_without_an_import(tmp_path, sets):  # noqa: F811
    options = study_command.parse(
        "edges_to_photo", argv=["--dry-run", "--miniature", "--storage", str(tmp_path / "s")]
    )
    options.data = tuple(sets)
    asked = study_command.request_of("edges_to_photo", options)
    said = estimate.images(edges_to_photo.plan(asked, dry=True), asked)
    assert [line.partition(": ")[2] for line in said] == ["train 6, test 32"] * 2
    assert not (tmp_path / "s").exists()


def test_the_estimate_times_real_updates(monkeypatch):
    config = override(recipes.build("miniature_matrix"), TINY)
    found = estimate.seconds_per_step(Training("a", 0, config, (), ()))
    assert set(found) == {"psnr", "gan"} and 0 < found["psnr"] < 10


def test_what_else_the_machine_does_is_not_counted(monkeypatch):
    ticks = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: float(next(ticks)))  # as if it slept for long
    config = override(recipes.build("miniature_matrix"), TINY)
    found = estimate.seconds_per_step(Training("a", 0, config, (), ()))
    assert all(seconds < 100 for seconds in found.values())


def test_every_setting_is_a_flag_and_the_recipe_follows_the_scale():
    small = study_command.parse("dataset_matrix", argv=["--miniature", "--run.gan-steps", "7"])
    assert (small.config.recipe, small.config.run.gan_steps) == ("miniature_matrix", 7)
    assert study_command.parse("dataset_matrix", argv=[]).config.recipe == "srgan_8"
    other = study_command.parse("dataset_matrix", argv=["--recipe", "srgan_leftthomas"])
    assert other.config.recipe == "srgan_leftthomas"


def test_a_storage_that_not_every_machine_sees_is_refused():
    with pytest.raises(UserError, match="must be a folder that every machine sees, but got s3://bucket/runs"):
        storage_of("s3://bucket/runs")


def test_every_claim_of_every_document_has_a_place_and_an_answerer_or_a_reason():
    ids = [c.id for claims in seeds.DOCUMENTS.values() for c in claims]
    assert len(seeds.DOCUMENTS) == 5 and len(ids) == len(set(ids))
    for claims in seeds.DOCUMENTS.values():
        for c in claims:
            assert c.where and c.says and (c.study or c.why), c


def test_a_document_is_reproduced_from_finished_studies_and_says_what_stays_untested(
    tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "studies" / "perception_distortion-miniature"
    (folder / "answer").mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps({"status": "finished"}))
    claims = [{"id": "plane", "status": "reproduced", "why": "rho -0.9"}]
    (folder / "answer" / "claims.json").write_text(json.dumps(claims))
    words = ["reproduce.py", "esrgan_implementation_report", "--miniature", "--storage", str(tmp_path)]
    monkeypatch.setattr("sys.argv", words)
    assert reproduce.main() == 0
    said = capsys.readouterr().out
    assert "| Figure 3 | " in said and "| reproduced | rho -0.9 |" in said
    assert (
        "| untested | needs published VGG19 weights" in said and "5 in all: 1 reproduced, 4 untested" in said
    )


def test_unfinished_studies_are_run_or_gone_on_with(tmp_path, sets, monkeypatch, capsys):  # noqa: F811
    base = override(recipes.build("miniature_upsampler"), TINY | {"run.psnr_steps": 0})
    monkeypatch.setitem(recipes.RECIPES, "miniature_upsampler", lambda: base)
    asked = []
    monkeypatch.setattr(study_command, "run", lambda kind, options, again: asked.append((kind, options)) or 0)
    words = ["reproduce.py", "srgan_upsampling_lab_report", "--miniature", "--seeds", "1", "--no-ray"]
    monkeypatch.setattr("sys.argv", [*words, "--storage", str(tmp_path / "runs"), "--data", sets[0]])
    reproduce.main()
    ((kind, options),) = asked
    assert (kind, options.seeds, options.ray, options.resume) == ("upsampler_study", 1, False, False)
    assert options.config.recipe == "miniature_upsampler" and options.data == (sets[0],)
    assert "7 in all: 7 untested" in capsys.readouterr().out
    folder = tmp_path / "runs" / "studies" / "upsampler_study-miniature"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps({"status": "running"}))
    reproduce.main()
    assert asked[1][1].resume


def test_ctrl_c_says_how_to_go_on(tmp_path, sets, monkeypatch, capsys):  # noqa: F811
    def ctrl_c(*_):
        raise KeyboardInterrupt

    base = override(recipes.build("miniature_upsampler"), TINY | {"run.psnr_steps": 0})
    monkeypatch.setitem(recipes.RECIPES, "miniature_upsampler", lambda: base)
    monkeypatch.setattr(session, "_run", ctrl_c)
    common = ["--miniature", "--seeds", "1", "--no-ray", "--no-track", "--storage", str(tmp_path / "runs")]
    words = ["upsampler_study.py", *common, "--data", sets[0]]
    for argv, more in ((words, " --resume"), ([*words, "--resume"], "")):
        monkeypatch.setattr("sys.argv", argv)
        assert upsampler_study.main() == 130
        command = f"python experiments/{' '.join(argv)}{more}"
        assert capsys.readouterr().err == f"stopped; go on with: {command}\n"
        folder = tmp_path / "runs" / "studies" / "upsampler_study-miniature"
        assert json.loads((folder / "study.json").read_text())["status"] == "interrupted"
    words = ["reproduce.py", "srgan_upsampling_lab_report", *common, "--data", sets[0]]
    monkeypatch.setattr("sys.argv", words)
    assert reproduce.main() == 130
    assert capsys.readouterr().err.endswith(f"python experiments/{' '.join(words)}\n"), "it resumes by itself"


def test_an_unknown_document_gives_the_nearest():
    with pytest.raises(UserError, match="no seed 'esrgan_report'; did you mean|known"):
        reproduction.claims_of("esrgan_report")


def test_reproduced_needs_five_seeds_and_an_interval():
    from orchestrator.analysis.intervals import Interval

    def verdict(word, n):
        return Verdict(word, 1.0, Interval(1.0, 0.5, 1.5, n), 0.01)

    assert seeds.status_of(verdict("beats", 5)) == "reproduced"
    assert seeds.status_of(verdict("not separable", 3)) == "not enough evidence"
    assert seeds.status_of(verdict("not separable", 5)) == "not reproduced"
    assert seeds.status_of(verdict("loses to", 5)) == "not reproduced"
    assert seeds.status_of(Verdict("not enough evidence", 1.0, None, None)) == "not enough evidence"
