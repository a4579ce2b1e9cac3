"""The upsampler study's command: Ctrl-C and the command that resumes it."""

import json

from helpers.studies import TINY, sets  # noqa: F401  (a fixture)

from experiments import recipes, reproduce, upsampler_study
from orchestrator.studies import run
from trainers.config import override


def test_ctrl_c_prints_the_command_that_resumes(tmp_path, sets, monkeypatch, capsys):
    def ctrl_c(*_):
        raise KeyboardInterrupt

    base = override(recipes.build("miniature_upsampler"), TINY | {"run.psnr_steps": 0})
    monkeypatch.setitem(recipes.RECIPES, "miniature_upsampler", lambda: base)
    monkeypatch.setattr(run, "_run", ctrl_c)
    common = ["--miniature", "--seeds", "1", "--no-ray", "--no-track", "--storage", str(tmp_path / "runs")]
    words = ["upsampler_study.py", *common, "--data", sets[0]]
    for argv, more in ((words, " --resume"), ([*words, "--resume"], "")):
        monkeypatch.setattr("sys.argv", argv)
        assert upsampler_study.main() == 130
        command = f"python experiments/{' '.join(argv)}{more}"
        assert capsys.readouterr().err == f"stopped; resume with: {command}\n"
        folder = tmp_path / "runs" / "studies" / "upsampler_study-miniature"
        assert json.loads((folder / "study.json").read_text())["status"] == "interrupted"
    words = ["reproduce.py", "srgan_upsampling_lab_report", *common, "--data", sets[0]]
    monkeypatch.setattr("sys.argv", words)
    assert reproduce.main() == 130
    assert capsys.readouterr().err.endswith(f"python experiments/{' '.join(words)}\n"), "it resumes by itself"
