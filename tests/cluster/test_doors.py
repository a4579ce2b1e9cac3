"""A small sweep at every door on three hosts: Slurm's batch file, ssh, a job API over TLS, KubeRay's entry.

At each door the sweep is killed while it trains and resumed, stopped once it trains again and resumed, and
its rows equal, to the bit, those of a sweep on one machine: its trials depend neither on one another nor on
their order.
"""

import json
import shlex
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import yaml
from cluster import lab, laboratory, slurm
from cluster.laboratory import RUNS, SHARED, SWEEP, ended, laptop, until
from helpers.job_api import certificate

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

HEAD = lab.address("h1")
URL = f"https://{HEAD}:8443"
STORAGE = "/shared/runs"
SMALL = shlex.split(
    "--recipe demo --space balance --sampler random --stopping none --trials 2 --repeat-top 0 "
    "--confirm-top 1 --confirm-seeds 1 --run.psnr-steps 40 --run.psnr-eval-every-steps 20 "
    "--run.gan-steps 1200 --run.eval-every-steps 600 --run.checkpoint-every-steps 20 "
    "--run.log-every-steps 10 --data.crop-px 32 --data.batch-size 2 --data.eval-images 2 "
    "--generator.channels 8 --generator.num-blocks 1 --discriminator.base-channels 8 "
    "--discriminator.num-layers 4 --optim.lr-psnr 3e-3 --optim.lr-g 1e-5"
)


@pytest.fixture(scope="module", autouse=True)
def machines():
    with laboratory.machines():
        yield


@pytest.fixture(scope="module")
def local():
    """What the same sweep measures on the laptop alone."""
    if not (RUNS / "local" / "report.html").exists():  # a laboratory that was kept has it
        laptop(f"{SWEEP} --name local {shlex.join(SMALL)} --storage {STORAGE} --local")
    return measured("local")


@pytest.fixture(scope="module")
def cluster():
    """Ray on the three hosts, started from the laptop."""
    laboratory.up()


def measured(name):
    """Return settings, seed and metrics of each row, without those of the clock, by stage and design.

    Warm starts are left out as rows: the first sweep of the storage trained them for all.
    """
    rows = json.loads((RUNS / name / "leaderboard.json").read_text())
    rows = [row for row in rows if row["stage"] != "warm"]
    rows.sort(key=lambda r: (r["stage"], r["seed"], r["design"], r["trial_id"]))
    for row in rows:
        row["metrics"].pop("data_wait_share", None)
    return [{"stage": r["stage"], "seed": r["seed"]} | r["config"] | r["metrics"] for r in rows]


def differences(ours, theirs):
    """Return the names and both values of what differs between two lists of rows."""
    assert [r["stage"] for r in ours] == [r["stage"] for r in theirs]
    pairs = list(zip(ours, theirs, strict=True))
    return [(a["stage"], n, a.get(n), b.get(n)) for a, b in pairs for n in a | b if a.get(n) != b.get(n)]


def status(name):
    """Return the status that the sweep's folder has."""
    return json.loads((RUNS / name / "sweep.json").read_text())["status"]


def saved(name):
    """Return the attempts at trials that have stored a checkpoint."""
    return {path.parents[1] for path in RUNS.glob(f"{name}/trials/*/attempt-*/gan-*/manifest.json")}


def kill_driver(name):
    """Kill the sweep's driver on the head; nothing of it can save or tell anything."""
    lab.execute("h1", f"pkill -9 -f '^[^ ]*python[^ ]* experiments/sweep.py.*{name}'")


def trains(process, found, what):
    """Return what `found` returns once the sweep trains; fail with its output if the process ends before."""
    until(lambda: found() or process.poll() is not None, what)
    return found() or pytest.fail(ended(process))


def assert_survives(name, begin, again, stop, local, kill=kill_driver, stops_with_0=False):
    """Kill a sweep, resume it, stop it, resume it to its end; compare its rows with those of `local`."""
    process = begin()
    trains(process, lambda: saved(name), f"the first checkpoint of {name}")
    kill(name)
    text = ended(process)
    assert process.returncode, text
    before = saved(name)  # another trial may have stored its first one before its driver died
    process = again()
    trains(process, lambda: saved(name) - before, f"the first checkpoint of {name} after the loss")
    stop()
    text = ended(process)
    assert (process.returncode == 0) is stops_with_0 and status(name) == "interrupted", text
    process = again()
    text = ended(process)
    assert process.returncode == 0 and status(name) == "finished", text
    assert differences(measured(name), local) == []
    return text


def assert_survives_from_the_laptop(name, sweep, stop, local):
    """Do so by commands of the laptop, which bring the report back: `sweep` begins and resumes."""
    text = assert_survives(
        name,
        begin=lambda: laboratory.start(f"{sweep} --name {name} {shlex.join(SMALL)}"),
        again=lambda: laboratory.start(f"{sweep} --resume {name}"),
        stop=lambda: laptop(f"{stop} --stop {name}"),
        local=local,
    )
    assert f"copied here: runs/{name}/report.html" in text


def test_slurm_runs_the_batch_file_again_after_a_lost_node_and_before_the_limit(local):
    def lose_the_first_node(_):
        for host in slurm.NODES:  # Slurm ends the steps of the others
            lab.kill(host)
        for host in slurm.NODES:
            lab.boot(host)

    slurm.install()
    text = assert_survives(
        "slurm",
        begin=lambda: slurm.start("slurm", STORAGE, *SMALL),
        again=lambda: slurm.start("slurm", STORAGE, *SMALL),
        stop=lambda: slurm.signal("USR1"),
        local=local,
        kill=lose_the_first_node,
        stops_with_0=True,
    )
    assert f"running on the Ray cluster at {HEAD}:{20000 + slurm.JOB}" in text and slurm.requeued() == 1
    until(
        lambda: not any("raylet" in line for host in slurm.NODES for line in lab.processes(host)),
        "Ray's end",
        60,
    )


def test_ssh(local, cluster):
    assert_survives_from_the_laptop("ssh", f"{SWEEP} --storage {STORAGE}", SWEEP, local)


def test_a_job_api_by_url_with_a_token_over_tls(local, cluster):
    files = [str(path) for path in certificate(SHARED, host=HEAD)]
    proxy = Path(__file__).with_name("tls_proxy.py")
    words = [sys.executable, proxy, "http://127.0.0.1:8265", HEAD, "8443", *files]
    server = subprocess.Popen(["ip", "netns", "exec", f"{lab.PREFIX}-h1", *words])
    until(lambda: ":8443 " in lab.out(f"ip netns exec {lab.PREFIX}-h1 ss -Hltn"), "the proxy", 60)
    token = lab.execute("h1", "cat ~/.ray/auth_token").strip()
    sweep = (
        f"REQUESTS_CA_BUNDLE=/shared/cert.pem RAY_AUTH_TOKEN={token} {SWEEP} --jobs {URL} --storage {STORAGE}"
    )
    try:
        said = laptop(sweep.replace(token, "of-another-cluster") + " --status url", check=False)
        assert "refuses the token or headers of this machine" in said
        assert_survives_from_the_laptop("url", sweep, sweep, local)
        assert "finished" in laptop(f"{sweep} --status url")
    finally:
        server.kill()
        server.wait(30)


def test_the_entry_of_the_rayjob_as_kuberay_submits_it(local, cluster):
    job = next(yaml.safe_load_all((lab.ROOT / "deploy" / "kuberay" / "job.yaml").read_text()))["spec"]
    laptop("python -m orchestrator.cluster.bundle /shared/upsweep.zip")
    environment = yaml.safe_load(job["runtimeEnvYAML"]) | {"working_dir": "file:///shared/upsweep.zip"}
    program, script, *_ = job["entrypoint"].split()
    entry = shlex.join([program, script, "rayjob", STORAGE, *SMALL])

    def submit():
        number = f"rayjob-{uuid.uuid4().hex[:8]}"
        words = ["--submission-id", number, "--runtime-env-json", json.dumps(environment)]
        line = f". ~/.bashrc; ray job submit --address http://127.0.0.1:8265 {shlex.join(words)} -- {entry}"
        return laboratory.start(line, "h1", "/")

    text = assert_survives(
        "rayjob",
        begin=submit,
        again=submit,
        stop=lambda: laptop(f"{SWEEP} --stop rayjob --storage {STORAGE} --local"),
        local=local,
        stops_with_0=True,
    )
    assert f"sweep rayjob has its files in {STORAGE}/rayjob" in text
