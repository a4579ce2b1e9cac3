"""The upsampler study's command: Ctrl-C and the command that resumes it."""

import json

from helpers.studies import TINY, exit_code, sets  # noqa: F401  (a fixture)

from experiments import recipes
from orchestrator.studies import run
from trainers.config import override


def test_ctrl_c_prints_the_command_that_resumes(tmp_path, sets, monkeypatch, capsys):
    def ctrl_c(*_):
        raise KeyboardInterrupt

    base = override(recipes.build("miniature_upsampler"), TINY | {"run.psnr_steps": 0})
    monkeypatch.setitem(recipes.RECIPES, "miniature_upsampler", lambda: base)
    monkeypatch.setattr(run, "_run", ctrl_c)
    common = ["--miniature", "--seeds", "1", "--no-ray", "--no-track", "--storage", str(tmp_path / "runs")]
    words = [*common, "--data", sets[0]]
    for more, added in (([], " --resume"), (["--resume"], "")):
        assert exit_code("upsampler_study", [*words, *more], monkeypatch) == 130
        command = f"python experiments/upsampler_study.py {' '.join([*words, *more])}{added}"
        assert capsys.readouterr().err == f"stopped; resume with: {command}\n"
        folder = tmp_path / "runs" / "studies" / "upsampler_study-miniature"
        assert json.loads((folder / "study.json").read_text())["status"] == "interrupted"
    words = ["srgan_upsampling_lab_report", *words]
    assert exit_code("reproduce", words, monkeypatch) == 130
    command = f"python experiments/reproduce.py {' '.join(words)}\n"
    assert capsys.readouterr().err.endswith(command), "it resumes by itself"
