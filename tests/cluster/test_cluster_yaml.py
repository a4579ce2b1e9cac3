"""cluster.yaml through Ray's own launcher against moto, with loopback only; and what it promises."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import tomllib

import pytest
import yaml
from cluster import fence

from trainers.config import TrainConfig
from trainers.weights import WEIGHTS
from trainers.weights.store import weights_of

ROOT = fence.ROOT
TEXT = (ROOT / "cluster.yaml").read_text()
CONFIG = yaml.safe_load(TEXT)
START = ("head_start_ray_commands", "worker_start_ray_commands")


def broken(change):
    """cluster.yaml with one mistake."""
    config = yaml.safe_load(TEXT)
    change(config, config["available_node_types"]["gpu_worker"]["node_config"])
    return yaml.safe_dump(config)


BROKEN = {
    "misspelt": lambda c, n: c.update(max_worker=c.pop("max_workers")),
    "unknown_type": lambda c, n: n.update(InstanceType="g5.2xlrge"),
    "bad_parameter": lambda c, n: n.update(InstanceMarketOptions={"MarketTyp": "spot"}),
    "no_profile": lambda c, n: n.pop("IamInstanceProfile"),
    "unmade_profile": lambda c, n: n.update(IamInstanceProfile={"Name": "upsweep-wroker"}),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What launcher and moto say to cluster.yaml and to each broken copy."""
    fence.need_namespaces()
    home = tmp_path_factory.mktemp("aws")
    (home / "whole.yaml").write_text(TEXT)
    for name, change in BROKEN.items():
        (home / f"{name}.yaml").write_text(broken(change))
    return fence.check(home, sorted(home.glob("*.yaml")))


def test_every_node_type_launches_with_the_profile_that_the_template_makes(answers):
    assert answers["account"] == ["upsweep-head:upsweep-head", "upsweep-worker:upsweep-worker"]
    head, worker = answers["whole"]["head"], answers["whole"]["gpu_worker"]
    assert (head["profile"], head["spot"]) == ("upsweep-head", False)
    assert (worker["profile"], worker["spot"]) == ("upsweep-worker", True)
    assert head["resources"] == {"CPU": 0, "head": 1}  # no trials there
    assert worker["resources"]["GPU"] == 1 and worker["resources"]["CPU"] == 8


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("misspelt", "max_worker.* was unexpected"),
        # what Ray fills in for an instance type that exists
        ("unknown_type", "'resources' is a required property"),
        ("bad_parameter", "MarketTyp"),
        ("no_profile", "node type gpu_worker has no instance profile"),
        ("unmade_profile", "upsweep-wroker"),
    ],
)
def test_a_mistake_is_caught_before_anything_is_billed(answers, name, sentence):
    assert isinstance(answers[name], str), answers[name]
    assert re.search(sentence, answers[name]), answers[name]


def test_only_tracked_small_files_travel_by_file_mounts():
    code = {"./datasets/errors.py", "./datasets/files.py", "./trainers/weights"}
    assert set(CONFIG["file_mounts"].values()) == {"./constraints.txt", "./pyproject.toml"} | code
    for source in CONFIG["file_mounts"].values():
        assert (ROOT / source).exists()


def test_every_start_line_asks_for_the_token():
    for key in START:
        lines = [line for line in CONFIG[key] if "ray start" in line]
        assert len(lines) == 1 and "RAY_AUTH_MODE=token ray start" in lines[0]
    assert "nightly" not in TEXT and "0.0.0.0" not in TEXT and ".dev0" not in TEXT
    assert (
        CONFIG["head_setup_commands"] and CONFIG["worker_setup_commands"] == []
    )  # else Ray's own, a nightly


def test_the_installation_takes_the_project_s_dependencies_with_its_constraints(tmp_path):
    (line,) = [c for c in CONFIG["setup_commands"] if "tomllib" in c]
    home = tmp_path / "upsweep"
    home.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (home / name).write_text((ROOT / name).read_text())
    tools = tmp_path / "venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").symlink_to(sys.executable)
    (tools / "pip").write_text('#!/bin/sh\necho "$@" >> ~/pip.log\n')
    (tools / "pip").chmod(0o755)
    run = ["bash", "-ec", line]
    for _ in range(2):  # the second time there is nothing to do
        subprocess.run(run, env=os.environ | {"HOME": str(tmp_path)}, check=True)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert (home / "requirements.txt").read_text().split("\n")[:-1] == wanted
    assert (tmp_path / "pip.log").read_text().count("-c constraints.txt -r requirements.txt") == 1


def test_weights_of_the_default_losses_and_measures_are_fetched_by_the_command(tmp_path):
    (line,) = [c for c in CONFIG["setup_commands"] if "trainers.weights" in c]
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PWD $*" >> ~/asked; exit 2\n')  # a failure does not stop the node
    python.chmod(0o755)
    (tmp_path / "upsweep").mkdir()
    here = os.environ | {"HOME": str(tmp_path)}
    (tmp_path / "upsweep" / "env").write_text("export UPSWEEP_DATA=\n")
    subprocess.run(["bash", "-ec", line], env=here, check=True)
    assert not (tmp_path / "asked").exists(), "the demo needs none"
    (tmp_path / "upsweep" / "env").write_text("export UPSWEEP_DATA=s3://b/data\n")
    subprocess.run(["bash", "-ec", line], env=here, check=True)
    folder, _, _, module, *names = (tmp_path / "asked").read_text().split()
    assert (folder, module) == (str(tmp_path / "upsweep"), "trainers.weights")
    default = TrainConfig()
    assert {default.objective.perceptual, default.loss.content_network, "dists"} <= set(names)
    assert set(weights_of(names)) <= WEIGHTS.keys()
    assert f"trainers.weights {' '.join(names)}" in (ROOT / "Dockerfile").read_text()


def test_the_token_is_added_to_what_the_head_copies_to_workers(tmp_path):
    (line,) = [c for c in CONFIG["head_start_ray_commands"] if "ray_bootstrap_config" in c and "python" in c]
    config = tmp_path / "ray_bootstrap_config.yaml"
    config.write_text(json.dumps({"file_mounts": {"~/a": "~/a"}}))
    line = line.replace("python -c", f"{sys.executable} -c")
    subprocess.run(["bash", "-ec", line], env=os.environ | {"HOME": str(tmp_path)}, check=True)
    mounts = json.loads(config.read_text())["file_mounts"]
    assert mounts == {"~/a": "~/a", "~/.ray/auth_token": "~/.ray/auth_token"}


def test_the_image_is_installed_by_the_same_command_and_so_never_again(tmp_path):
    (line,) = [c for c in CONFIG["setup_commands"] if "tomllib" in c]
    image = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    assert f"RUN {' '.join(line.split())}" in " ".join(image.split())
    assert {"pyproject.toml", "constraints.txt"} <= set(re.search("COPY (.*)", image).group(1).split())


def test_the_image_asks_for_gpus_and_can_compile():
    """Without the variables a container of plain Ubuntu sees no GPU, though Ray counts it."""
    image = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    asked = dict(pair.split("=") for pair in re.search("ENV (.*)", image).group(1).split())
    assert asked["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert {"compute", "utility"} <= set(asked["NVIDIA_DRIVER_CAPABILITIES"].split(","))
    packages = set(re.search("apt-get install (.*?)&&", image).group(1).split())
    assert {"gcc", "libc6-dev", "python3-dev"} <= packages, "Triton compiles its launchers with Python.h"


@pytest.mark.parametrize("has_headers", [True, False])
def test_a_compiler_is_installed_where_headers_are_missing_and_a_failure_stops_nothing(tmp_path, has_headers):
    (line,) = [c for c in CONFIG["setup_commands"] if "Python.h" in c]
    (tmp_path / "Python.h").touch() if has_headers else None
    for name, text in {
        "python3": f"echo {tmp_path}",
        "sudo": f'echo "$@" > {tmp_path}/asked; exit 1',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", line], env=os.environ | {"PATH": path}, check=True)
    asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    assert ("install -y -qq gcc python3-dev" in asked) is not has_headers


def test_machines_of_one_s_own_are_set_up_and_started_as_those_of_the_cloud():
    local = yaml.safe_load((ROOT / "cluster.local.yaml").read_text())
    for key in ("file_mounts", "head_setup_commands", "worker_setup_commands", "worker_start_ray_commands"):
        assert local[key] == CONFIG[key]
    assert local["setup_commands"][1:] == CONFIG["setup_commands"][1:]
    first = [c["setup_commands"][0].partition("UPSWEEP_STORAGE=")[2].split()[1:] for c in (local, CONFIG)]
    assert first[0] == first[1]
    lines = [c.replace("export RAY_enable_autoscaler_v2=0; ", "") for c in local["head_start_ray_commands"]]
    assert lines == CONFIG["head_start_ray_commands"]
    assert lines != local["head_start_ray_commands"]  # autoscaler 2 never starts the last of such machines


SERVER = """
import json, os, pathlib, sqlite3, sys, time
if not pathlib.Path("mlflow.db").exists():
    made = "create table champion(name); insert into champion values ('b4')"
    sqlite3.connect("mlflow.db").executescript(made)
pathlib.Path("store").write_text(os.environ["MLFLOW_BACKEND_STORE_URI"])
pathlib.Path("asked.json").write_text(json.dumps(sys.argv[1:]))
time.sleep(600)
"""


def record(home, **variables):
    """The head's record service, in `home`, over a server that only makes a database."""
    (script,) = CONFIG["head_setup_commands"]
    (home / "upsweep").mkdir(parents=True)
    subprocess.run(["bash", "-ec", script], env=os.environ | {"HOME": str(home)}, check=True)
    (home / "fake" / "mlflow").mkdir(parents=True)
    (home / "fake" / "mlflow" / "__init__.py").touch()
    (home / "fake" / "mlflow" / "__main__.py").write_text(SERVER)
    own = {"HOME": str(home), "PYTHONPATH": str(home / "fake")}
    own |= {"UPSWEEP_STORAGE": str(home.parent / "storage"), **variables}
    words = [sys.executable, str(home / "upsweep" / "record.py")]
    return subprocess.Popen(words, env=os.environ | own, cwd=home / "upsweep", start_new_session=True)


def wait_for_words(home, service):
    """Return the words that the server was started with."""
    asked, deadline = home / "upsweep" / "asked.json", time.monotonic() + 100
    while not (asked.exists() and asked.read_text()):
        assert service.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads(asked.read_text())


def test_the_address_of_another_database_is_in_no_command_line(tmp_path):
    address = "postgresql://bob:planted-password@db/mlflow"
    service = record(tmp_path / "home", UPSWEEP_TRACKING_DB=address)
    try:
        words = wait_for_words(tmp_path / "home", service)
        assert "planted-password" not in " ".join([*words, *service.args])
        assert (tmp_path / "home" / "upsweep" / "store").read_text() == address
        assert "planted-password" not in (tmp_path / "home" / "upsweep" / "record.json").read_text()
    finally:
        service.terminate()
        assert service.wait(60) == 0


def test_the_registry_outlives_the_head_that_held_it(tmp_path):
    for name in ("first", "second"):
        home = tmp_path / name
        service = record(home)
        try:
            words = wait_for_words(home, service)
            told = json.loads((home / "upsweep" / "record.json").read_text())
            again = subprocess.run(service.args, env=os.environ | {"HOME": str(home)})
            assert again.returncode == 0, "a second one leaves the first alone"
        finally:
            service.terminate()
            assert service.wait(60) == 0
        with sqlite3.connect(home / "upsweep" / "mlflow.db") as database:
            assert database.execute("select name from champion").fetchall() == [("b4",)]
        database.close()
        host = words[words.index("--host") + 1]
        assert told["uri"] == f"http://{host}:5000" and host != "0.0.0.0"
        assert words[words.index("--allowed-hosts") + 1] == f"{host}:*,localhost:*,127.0.0.1:*"
    assert (tmp_path / "storage" / "registry" / "mlflow.db").exists()
