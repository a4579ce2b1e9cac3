"""The command line: dotted flags, fast help, the place where a command runs, exit codes."""

import dataclasses
import os
import subprocess
import sys

import pytest
from helpers.own_code import write
from helpers.paths import ROOT

from datasets.errors import UserError
from experiments import recipes, sweep
from experiments.common import cli
from orchestrator.cluster import target
from orchestrator.cluster.known_clusters import KnownCluster
from orchestrator.sweep.request import Request
from trainers.config import TrainConfig, flatten

PARSE = """
import contextlib, io, runpy, sys
sys.argv = [sys.argv[1], *sys.argv[2:]]
said = io.StringIO()
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
    runpy.run_path(sys.argv[0], run_name="__main__")
print(sorted({"torch", "ray", "mlflow", "optuna", "pyarrow"} & set(sys.modules)))
print(said.getvalue())
"""


def help_of(script):
    return loaded_by(script, "--help")


def loaded_by(script, *words):
    """Return the heavy packages that a command has imported when it ends, and its output."""
    command = [sys.executable, "-c", PARSE, str(ROOT / "experiments" / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded, _, said = done.stdout.partition("\n")
    return loaded, said


@pytest.mark.parametrize("script", ["sweep.py", "train.py", "promote.py", "upscale.py", "colorize.py"])
def test_help_loads_nothing_heavy(script):
    loaded, said = help_of(script)
    assert loaded == "[]", "each of these costs seconds before the first line of help"
    assert "usage:" in said


@pytest.mark.parametrize("asks", ["--status", "--stop"])
def test_a_question_about_a_sweep_loads_no_networks(asks, tmp_path):
    loaded, _ = loaded_by("sweep.py", "--local", asks, "none", "--storage", str(tmp_path))
    assert loaded == "['pyarrow']", "each of the others costs seconds before the answer"


@pytest.mark.parametrize(
    "words",
    [
        "sweep.py --local --hours=-1",
        "sweep.py --local --train photos --hours=-1",
        "sweep.py --local --train photos --name a/b",
        "sweep.py --local --train photos --sampler nope",
        "sweep.py --local --train photos --space nope",
        "sweep.py --local --train nowhere",
        "sweep.py --local --train photos --name taken",
        "sweep.py --local --resume nothing",
        "promote.py --local nothing",
        "upscale.py a.jpg --model gone.pth",
        "upscale.py a.jpg",
    ],
)
def test_a_simple_mistake_is_named_before_torch_and_ray_are_imported(words, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "sweep.json").write_text('{"space": "demo"}')
    script, *rest = words.split()
    command = [sys.executable, "-c", PARSE, str(ROOT / "experiments" / script), *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr.startswith("error: ")
    assert done.stdout.splitlines()[0] in ("[]", "['pyarrow']"), "each of the others costs seconds"


def test_a_driver_does_not_wait_for_mlflow():
    code = "import sys, orchestrator.sweep.run; assert 'mlflow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_every_setting_is_a_flag_of_its_dotted_name_with_a_line_of_help():
    _, said = loaded_by("sweep.py", "--help-all")
    words = " ".join(line.strip("│ ") for line in said.splitlines())
    inner = ("config", "planned", "given", "second_opinion")
    names = [f.name for f in dataclasses.fields(sweep.SweepOptions) if f.name not in inner]
    flags = ["--" + n.replace("_", "-") for n in (*names, *flatten(recipes.demo()))]
    pieces = words.split(" --")
    for flag in flags:
        own = [p for p in pieces if p.startswith(flag[2:] + " ")]
        assert own, f"{flag} is not in --help"
        assert len(own[0].split("(default")[0].split()) >= 4, f"{flag} says nothing: {own[0]}"


def test_flags_reach_the_config():
    words = "--recipe demo --generator.num-blocks 2 --data.flip False --trials 3".split()
    options = cli.parse(sweep.SweepOptions, recipes.build, words)
    assert (options.config.generator.num_blocks, options.config.data.flip, options.trials) == (2, False, 3)
    assert options.config.recipe == "demo"


@pytest.mark.parametrize("words", [["--recipe", "srgan_8"], ["--recipe=srgan_8"]])
def test_the_recipe_decides_every_default(words):
    options = cli.parse(sweep.SweepOptions, recipes.build, words)
    assert options.config == recipes.build("srgan_8")


def test_a_value_the_config_refuses_is_its_own_sentence(capsys):
    with pytest.raises(UserError, match="^no norm 'bach'; known: batch, none; did you mean 'batch'"):
        cli.parse(sweep.SweepOptions, recipes.build, ["--generator.norm", "bach"])
    assert capsys.readouterr().err == "", "no frame around it"


def test_own_code_is_pinned_and_tried_when_the_command_is_read(tmp_path):
    path = write(
        tmp_path,
        "def edge(sr, hr):\n    return (sr - hr).abs().mean()\n\n\nflat = lambda sr, hr: hr.mean()\n",
    )
    options = cli.parse(
        sweep.SweepOptions, recipes.build, ["--loss.extra", f"{path}:edge", "--loss.extra-weight", "0.1"]
    )
    assert options.config.loss.extra.startswith("mine.py:edge-")
    with pytest.raises(
        UserError, match=r"loss.extra mine.py:flat-\w+ has no gradient to the generated images"
    ):
        cli.parse(
            sweep.SweepOptions, recipes.build, ["--loss.extra", f"{path}:flat", "--loss.extra-weight", "0.1"]
        )


def test_a_mistake_that_only_the_parser_sees_keeps_its_message(capsys):
    with pytest.raises(SystemExit) as end:
        cli.parse(sweep.SweepOptions, recipes.build, ["--no-such-option", "1"])
    assert end.value.code == 2
    assert "--no-such-option" in capsys.readouterr().err


@pytest.fixture
def here(monkeypatch):
    """parse(*words) parses a sweep's command line; the fixture's `chosen` is where it runs."""

    class Here:
        chosen = target.Local()

        def parse(self, *words):
            monkeypatch.setattr(sys, "argv", ["sweep.py", *words])
            return cli.parse_here("experiments/sweep.py", sweep.SweepOptions, recipes.build)

    here = Here()
    monkeypatch.delenv("UPSWEEP_DATA", raising=False)
    monkeypatch.setattr(target, "choose_target", lambda options, env: here.chosen)
    return here


def test_the_address_of_the_chosen_ray_is_in_the_options(here, monkeypatch, capsys):
    monkeypatch.setenv("RAY_ADDRESS", "h:2")
    assert here.parse("--recipe", "demo", "--address", "h:1").address == "", "this machine was chosen"
    here.chosen = target.Address("h:3")
    options = here.parse("--recipe", "demo")
    assert options.address == "h:3" and options.config == recipes.demo()
    assert os.environ["RAY_ADDRESS"] == "h:2" and capsys.readouterr().out == ""


def test_a_bare_sweep_without_data_says_that_it_is_only_the_demo(here, capsys):
    assert here.parse("--trials", "3").config.recipe == "demo"
    assert capsys.readouterr().out.startswith(
        "this is only the demo, a check of the mechanics (UPSWEEP_DATA names no prepared data)"
    )


@pytest.mark.parametrize(
    ("gpus", "recipe", "train"), [(True, "srgan_8", "/data/celeba"), (False, "demo", "demo")]
)
def test_a_bare_sweep_with_data_takes_the_published_recipe_if_there_is_a_gpu(
    here, monkeypatch, gpus, recipe, train
):
    here.chosen, asked = target.Address("h:1"), []

    def cluster_may_have_gpus(address):
        asked.append(address)
        return gpus

    monkeypatch.setenv("UPSWEEP_DATA", "/data")
    monkeypatch.setattr(target, "cluster_may_have_gpus", cluster_may_have_gpus)
    options = here.parse("--trials", "3")
    assert (options.config.recipe, options.train or options.config.data.train, options.trials) == (
        recipe,
        train,
        3,
    )
    assert (options.address, asked) == ("h:1", ["h:1"])


def test_the_published_recipe_of_a_bare_sweep_is_named(here, monkeypatch, capsys):
    monkeypatch.setenv("UPSWEEP_DATA", "/data")
    here.chosen = target.Address("h:1")
    monkeypatch.setattr(target, "cluster_may_have_gpus", lambda address: True)
    here.parse("--trials", "3")
    assert capsys.readouterr().out == "recipe srgan_8 over space full on /data/celeba\n"


def test_a_command_for_a_cluster_ends_this_process_with_its_exit_code(here, monkeypatch):
    cluster = KnownCluster("mine", "/x/cluster.yaml", "local", "ana", "", "192.0.2.1")
    sent = []
    monkeypatch.setattr("orchestrator.cluster.submit.submit_and_follow", lambda *args: sent.append(args) or 3)
    here.chosen = target.Remote(cluster)
    with pytest.raises(SystemExit) as end:
        here.parse("--trials", "3")
    assert end.value.code == 3
    ((to, script, options, words, _),) = sent
    assert (to.cluster, script, words) == (cluster, "experiments/sweep.py", ["--trials", "3"])
    assert options.trials == 3
    here.chosen = target.Jobs("https://h:8265/")
    with pytest.raises(SystemExit):
        here.parse("--trials", "3")
    assert sent[1][0].url == "https://h:8265"


@pytest.mark.parametrize(
    ("main", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (lambda: (_ for _ in ()).throw(UserError("what to do")), 2, "error: what to do\n"),
        (lambda: (_ for _ in ()).throw(KeyboardInterrupt), 130, "stopped\n"),
    ],
)
def test_exit_codes(main, code, said, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: next(result) if hasattr(result := main(), "__next__") else result)
    assert end.value.code == code
    assert capsys.readouterr().err == said


def test_a_password_leaves_the_command_line_before_anything_else_happens(tmp_path):
    script = tmp_path / "show.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from datasets import address\n"
        "from experiments.common import cli\n"
        "def main():\n"
        "    words = Path('/proc/self/cmdline').read_text() if Path('/proc').exists() else ''\n"
        "    print(sys.argv[1], address.reveal(sys.argv[1]), words.count('secret'))\n"
        "    raise RuntimeError(address.reveal(sys.argv[1]))\n"
        "cli.run(main)\n"
    )
    command = [sys.executable, str(script), "postgresql://bob:secret@db/x"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["postgresql://***@db/x", "postgresql://bob:secret@db/x", "0"]
    assert done.returncode == 1 and "RuntimeError: postgresql://***@db/x" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--train", "/x"], "--train '/x' and data.gate=y: --data.train, data.train_degradation, --train."),
        (["--gate=y"], "data.train '/x' and --gate=y: --data.train, data.train_degradation, data.train."),
        (["--data.train", "/x"], None),
    ],
)
def test_an_error_names_the_flag_that_was_typed_in_place_of_its_setting(words, said, monkeypatch, capsys):
    sentence = "data.train '/x' and data.gate=y: --data.train, data.train_degradation, data.train."
    monkeypatch.setattr("sys.argv", ["sweep.py", *words])

    def main():
        raise UserError(sentence)

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == 2 and capsys.readouterr().err == f"error: {said or sentence}\n"


def test_every_short_flag_of_a_setting_is_one_of_a_sweep_and_its_setting_exists():
    assert {flag.removeprefix("--") for flag in cli.ALIASES.values()} <= set(vars(Request()))
    assert set(cli.ALIASES) <= set(flatten(TrainConfig()))
