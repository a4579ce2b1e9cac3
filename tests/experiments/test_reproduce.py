"""A document reproduced from its studies: finished ones are read, others run or resumed."""

import json
from dataclasses import replace

import pytest
from helpers.studies import TINY, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from experiments import recipes, reproduce
from experiments.common import study_command
from trainers.config import override


def test_without_a_document_the_command_lists_every_claim_with_its_recorded_answer(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["reproduce.py"])
    assert reproduce.main() == 0
    said = capsys.readouterr().out
    assert "esrgan_implementation_report\n" in said and "untested" in said and "DOCUMENT --miniature" in said


def test_some_arms_of_a_table_are_trained_beside_those_they_are_compared_with():
    options = reproduce.ReproduceOptions("srcnn_vs_esrgan_analysis", miniature=True, only=("SRCNN",))
    own = study_command.StudyOptions(config=recipes.build("miniature_review"), miniature=True)
    chosen = reproduce._choice("srcnn_vs_esrgan", own, options)["arms"]
    assert list(chosen) == ["SRCNN", "SRCNN, sharpened"]
    with pytest.raises(UserError, match="no arm 'SRCNX'"):
        reproduce._choice("srcnn_vs_esrgan", own, replace(options, only=("SRCNX",)))


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


def test_unfinished_studies_are_run_or_resumed(tmp_path, sets, monkeypatch, capsys):
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
