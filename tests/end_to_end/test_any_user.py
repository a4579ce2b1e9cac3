"""Commands work for any user without a home folder and with any umask, and say where they may not write."""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from helpers.kills import nursery
from helpers.paths import ROOT
from helpers.tiny import SMALL, noise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as another user"),
]
NOBODY = 65534
CODE = """
import os, runpy, sys
import mlflow, modulefinder, ray, torch, torch._dynamo, torchvision, tyro
import experiments.common.cli, experiments.rate, orchestrator.registry.promote
import orchestrator.studies.kinds, orchestrator.sweep.run, trainers.train

def act(log, uid, umask, folder, script, *words):
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    os.umask(int(umask, 8))
    os.environ |= {"HOME": "/nonexistent", "TMPDIR": folder, "UPSWEEP_LOCAL": "1"}
    if int(uid):
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    sys.argv = [script, *words]
    runpy.run_path(script, run_name="__main__")
"""
TRAIN = [w for k, v in SMALL.items() for w in (f"--{k.replace('_', '-')}", str(v))]
COMMANDS = {  # name -> words, exit status; {} is the folder of the user
    "import": ("prepare_data.py folder --source {}/photos --out {}/shards --min-px 1", 0),
    "train": (
        "train.py --storage {}/runs --out {}/runs/one --data.train {}/photos --metrics swd",
        0,
    ),
    "upscale": ("upscale.py {}/photos --model {}/runs/one --out {}/up", 0),
    "plan": ("sweep.py --dry-run --local --storage {}/runs --name a --train {}/photos", 0),
    "status": ("sweep.py --status nothing --storage {}/runs", 2),
    "list": ("promote.py --list --local --storage {}/runs", 2),
    "table": ("benchmark_table.py --sets mine={}/photos --no-quoted --no-track --out {}/table", 0),
    "study": ("colorize.py --miniature --dry-run --storage {}/runs", 0),
    "rating": ("rate.py --out {}/rating", 2),
    "weights": ("fetch_weights.py --list", 0),
    "cluster": ("cluster.py status", 2),
}


@pytest.fixture(scope="module")
def commands():
    with nursery(CODE) as processes:
        yield processes


@pytest.fixture
def place():
    """A folder in a place that every user reaches."""
    folder = Path(tempfile.mkdtemp(prefix="up"))
    folder.chmod(0o755)
    noise(folder / "photos", 64, 24)
    yield folder
    shutil.rmtree(folder)


def call(commands, place, name, uid, umask):
    """Return the exit status of a command, and what it printed."""
    script, *words = COMMANDS[name][0].replace("{}", str(place)).split()
    more = TRAIN if name == "train" else []
    log = Path(tempfile.gettempdir()) / f"{place.name}.log"
    commands.start(str(log), str(uid), umask, str(place), str(ROOT / "experiments" / script), *words, *more)
    status, said = commands.wait(), log.read_text()
    log.unlink()
    return status, said


@pytest.mark.parametrize(("uid", "umask"), [(NOBODY, "077"), (NOBODY, "000"), (0, "000")])
def test_every_command_works_without_a_home_folder_and_leaves_nothing_that_all_may_write(
    uid, umask, commands, place
):
    os.chown(place, uid, uid)
    wrong = {}
    for name, (_, expected) in COMMANDS.items():
        status, said = call(commands, place, name, uid, umask)
        if status != expected or "Traceback" in said or (expected == 2 and said.count("error: ") != 1):
            wrong[name] = status, said[-1500:]
    assert not wrong, wrong
    files = [p for p in place.rglob("*") if not p.is_symlink()]
    assert len(files) > 40 and not [p for p in files if p.stat().st_mode & stat.S_IWOTH]


def test_where_a_user_may_not_write_each_command_says_so(commands, place):
    """A folder of root, for a user without rights."""
    wrong = {}
    for name in COMMANDS:
        status, said = call(commands, place, name, NOBODY, "022")
        if (
            status not in (0, 1, 2)
            or "Traceback" in said
            or (status and not re.search("^error: ", said, re.M))
        ):
            wrong[name] = status, said[-1500:]
    assert not wrong, wrong
    assert sorted(p.name for p in place.iterdir()) == ["photos"]
