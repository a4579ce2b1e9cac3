"""`ray up` and sweeps from a laptop on three hosts, and what happens when they die: the story in order.

The tests build on each other: one laboratory, one cluster, warm starts that earlier sweeps trained, commands
that one test begins for a later one. The cluster keeps what it has in a bucket; sweeps to which something
happens keep themselves in a shared folder, to which a host that is cut off goes on writing.
"""

import json
import re
import subprocess
import time

import pytest
from cluster import bucket, lab, laboratory
from cluster.laboratory import RUNS, SHARED, SPACE, SWEEP, WORKERS, alive, ended, laptop, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

SIZE = (
    "--space ../elsewhere/mine.py:Mine --data.crop-px 32 --data.batch-size 2 --data.eval-images 2 "
    "--generator.channels 8 --discriminator.base-channels 8 --discriminator.num-layers 4 "
    "--run.psnr-steps 200 --run.psnr-eval-every-steps 100 --optim.lr-psnr 2e-3 --optim.lr-g 1e-6 "
    "--run.log-every-steps 10 --confirm-top 1 --confirm-seeds 1"
)
OWN = (
    "--generator.kind ../elsewhere/own.py:Net --objective.perceptual ../elsewhere/own.py:score "
    "--loss.extra ../elsewhere/own.py:edge_loss --loss.extra-weight 0.1"
)
SHORT = f"{SIZE} {OWN} --run.gan-steps 6 --run.eval-every-steps 2 --run.checkpoint-every-steps 100"
EVERY = 40
CADENCE = f"--run.eval-every-steps {EVERY} --run.checkpoint-every-steps {EVERY}"
FOLDER = "--storage /shared/runs"
LONG = f"{SIZE} {FOLDER} {CADENCE} --trials 1 --repeat-top 0 --run.gan-steps"

COMMANDS = {
    "first": f"{SWEEP} --name first {SHORT} --trials 2",
    "promotion": "python experiments/promote.py first --force 'the laboratory has no better one'",
    "weather": f"{SWEEP} --name weather {LONG} 400",
    "spot": f"{SWEEP} --name spot {LONG} 4000",  # it is stopped before
    "headless": f"{SWEEP} --name headless {LONG} 400",
    "pair": f"{SWEEP} --name pair --detach --ranks-per-trial 2 {SHORT} --trials 2",
    "following": f"{SWEEP} --resume pair",
}
RUNNING: dict[str, subprocess.Popen] = {}
"""Those that a test began for a later one: their start takes longer than what happens to them."""


def begin(name):
    """Start a command in the laptop's checkout and do not wait for it."""
    RUNNING[name] = laboratory.start(COMMANDS[name])


def taken_over(name):
    """The process of a command that an earlier test may have begun."""
    if name not in RUNNING:
        begin(name)
    return RUNNING.pop(name)


def trial_hosts():
    """Hosts on which a trial runs at this moment, by what Ray calls its process."""
    return {h for h in WORKERS if any("ImplicitFunc" in line for line in lab.processes(h))}


def rank_hosts():
    """Hosts on which a rank of a trial of several runs at this moment."""
    return {h for h in ("h1", *WORKERS) if any("RayTrainWorker" in line for line in lab.processes(h))}


def attempts(name, stage="screen"):
    """(trial, attempt) -> steps of its whole checkpoints."""
    found = {}
    for manifest in RUNS.glob(f"{name}/trials/{stage}-*/attempt-*/gan-*/manifest.json"):
        trial, attempt, step = manifest.parts[-4:-1]
        found.setdefault((trial, attempt), []).append(int(step.removeprefix("gan-")))
    return {key: sorted(steps) for key, steps in found.items()}


def begun(name, stage="screen"):
    """The one attempt of a stage's one trial, with two checkpoints: the first has been reported by then."""
    found = attempts(name, stage)
    return [key for key, steps in found.items() if steps[-1] >= 2 * EVERY]


def kept(name, part):
    """A file of the sweep, wherever it keeps itself."""
    path = RUNS / name / part
    return path.read_text() if path.exists() else bucket.read(f"upsweep/{name}/{part}")


def rows(name):
    """The sweep's leaderboard, which holds every trial once."""
    listed = json.loads(kept(name, "leaderboard.json"))
    listed = listed["rows"] if isinstance(listed, dict) else listed
    ids = [r["trial_id"] for r in listed]
    assert len(ids) == len(set(ids)), ids
    return listed


def facts(name):
    """The sweep's sweep.json."""
    return json.loads(kept(name, "sweep.json"))


@pytest.fixture(scope="module", autouse=True)
def machines():
    with laboratory.machines():
        yield


def test_up_starts_three_nodes_with_a_token_made_on_the_head():
    home = lab.execute("laptop", "ls -A | sort").split()
    assert home == [".bashrc", ".profile", ".ssh", "elsewhere", "upsweep"]
    laboratory.up()
    tokens = {lab.execute(h, "cat ~/.ray/auth_token") for h in ("h1", *WORKERS)}
    assert len(tokens) == 1 and len(tokens.pop()) >= 32
    assert lab.execute("laptop", "ls ~/.ray/auth_token 2>&1", check=False).startswith("ls: cannot access")


def test_a_sweep_from_the_laptop_runs_on_several_hosts_and_brings_its_report_back():
    process, seen = taken_over("first"), set()
    until(lambda: seen.update(trial_hosts()) or seen == set(WORKERS), "trials on both workers")
    text = ended(process)
    assert process.returncode == 0, text
    assert re.search(r"cluster 'upsweep', head 10.77.0.11, at most 3 nodes", text), text
    assert "3 nodes, 0 GPUs, 2 CPU cores now; at most 3 nodes" in text
    assert not any("ImplicitFunc" in line for line in lab.processes("h1"))
    assert "copied here: runs/first/report.html" in text
    assert "<html" in lab.execute("laptop", "cat upsweep/runs/first/report.html")
    assert re.fullmatch(r"[0-9a-f]{12}\+", kept("first", "submission/commit.txt").strip())
    assert "-cluster_name" not in kept("first", "submission/changes.diff")
    found = bucket.objects()
    for part in ("sweep.json", "leaderboard.json", "report.html", "stages/test.json"):
        assert f"upsweep/first/{part}" in found
    assert any(key.startswith("upsweep/warm/") for key in found)
    assert any(key.startswith("upsweep/mlartifacts/") for key in found)
    assert {r["stage"] for r in rows("first")} == {"warm", "screen", "repeat", "confirm", "test"}
    for setting in ("generator.kind", "loss.extra"):
        assert all(r["config"][setting].startswith("own.py:") for r in rows("first"))
    assert all(r["finished"] and any("own.py:score-" in m for m in r["metrics"]) for r in rows("first"))


def test_mlflow_on_the_head_is_reached_through_the_tunnel():
    begin("promotion")
    begin("weather")
    # a shell in the background ignores Ctrl-C, and so would all that it starts
    page = "env --default-signal=INT python -u experiments/cluster.py ui"
    command = f"cd upsweep && echo $$ > ~/page && exec {page}"
    page = lab.start("laptop", command, stdout=subprocess.PIPE)
    try:
        line = page.stdout.readline()
        port = re.search(r"MLflow at http://127.0.0.1:(\d+)", line).group(1)
        question = '{"max_results": 10, "filter": "name = \'upsweep/first\'"}'
        asked = f"curl -sf http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search -H 'Content-Type: "
        found = lab.execute("laptop", asked + f"application/json' -d {json.dumps(question)}")
        assert "upsweep/first" in found
    finally:
        lab.execute("laptop", "kill -INT $(cat ~/page)", check=False)  # Ctrl-C
        page.communicate(timeout=60)
    assert page.returncode == 0


def test_a_wrong_token_is_refused_in_one_sentence():
    wrong = "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=" + "0123456789abcdef" * 4
    began = time.monotonic()
    said = laptop(f"{wrong} python experiments/sweep.py --name x --address 10.77.0.11:6379", check=False)
    assert "refuses this machine's token" in said and time.monotonic() - began < 60
    tunnel = "ssh -i ~/.ssh/lab_key -o StrictHostKeyChecking=no root@10.77.0.11"
    asked = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8265/api/jobs/"
    assert lab.execute("laptop", f"{tunnel} '{asked}' 2>/dev/null") in ("401", "403")


def test_a_worker_killed_in_a_trial_is_replaced_by_another_host_that_goes_on():
    process = taken_over("weather")
    (first,) = until(lambda: begun("weather"), "two checkpoints")
    (victim,) = until(trial_hosts, "the host of the trial")
    lab.kill(victim)
    reached = attempts("weather")[first][-1]
    others = until(lambda: [k for k in attempts("weather") if k != first], "a second attempt")
    assert reached >= 2 * EVERY
    assert attempts("weather")[others[0]][0] > EVERY, "it began again instead of going on"
    assert trial_hosts() <= set(WORKERS) - {victim}
    lab.boot(victim)
    RUNNING["weather"] = process


def test_a_host_cut_off_for_40_seconds_corrupts_nothing():
    """The same sweep, in its next stage."""
    (first,) = until(lambda: begun("weather", "confirm"), "two checkpoints")
    (victim,) = until(trial_hosts, "the host of the trial")
    lab.cut(victim)
    since = time.monotonic()
    until(lambda: len(attempts("weather", "confirm")) > 1, "a second attempt")
    assert {trial for trial, _ in attempts("weather", "confirm")} == {first[0]}
    until(lambda: time.monotonic() - since > 40, "the end of the cut")
    lab.heal(victim)
    begin("spot")
    process = RUNNING.pop("weather")
    text = ended(process)
    assert process.returncode == 0, text
    assert {r["stage"] for r in rows("weather")} == {"warm", "screen", "confirm", "test"}
    assert facts("weather")["status"] == "finished"
    alive(3)


def test_the_pick_was_promoted_from_the_laptop():
    process = taken_over("promotion")
    said = ended(process)
    assert process.returncode == 0 and "champion" in said, said


METADATA = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Notice(BaseHTTPRequestHandler):
    def do_PUT(self):
        self.answer("a-token")

    def do_GET(self):
        self.answer('{"action": "terminate", "time": "2026-11-21T12:00:00Z"}')

    def answer(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

HTTPServer(("127.0.0.1", %d), Notice).serve_forever()
"""


def test_a_trial_leaves_a_spot_machine_at_its_notice():
    process = taken_over("spot")
    (first,) = until(lambda: begun("spot"), "two checkpoints")
    (victim,) = until(trial_hosts, "the host of the trial")
    (SHARED / "metadata.py").write_text(METADATA % lab.METADATA_PORT)
    noticed = time.time()
    service = lab.start(victim, "exec python3 /shared/metadata.py", stderr=subprocess.DEVNULL)
    until(lambda: victim not in trial_hosts(), "the end of the trial there")
    # as the cloud does; before Ray sets the drained machine up again, since of machines of one's own it never
    # tries one a second time whose start was cut short
    lab.kill(victim)
    service.wait(30)
    others = until(lambda: [k for k in attempts("spot") if k != first], "a second attempt")
    last = attempts("spot")[first][-1]
    (manifest,) = RUNS.glob(f"spot/trials/{first[0]}/{first[1]}/gan-{last:08d}/manifest.json")
    assert manifest.stat().st_mtime - noticed < 120, "within the grace of a notice"
    assert attempts("spot")[others[0]][0] > last, "it goes on from what it saved last"
    assert trial_hosts() == set(WORKERS) - {victim}
    lab.boot(victim)
    RUNNING["spot"] = process


def test_a_sweep_over_a_space_from_elsewhere_is_stopped_from_the_laptop():
    """The same sweep, on its second machine."""
    said = laptop("python experiments/sweep.py --stop spot")
    assert "resume it with: upsweep sweep --resume spot" in said, said
    process = RUNNING.pop("spot")
    text = ended(process)
    assert process.returncode and "stopped; resume it with" in text, text
    assert facts("spot")["status"] == "interrupted" and facts("spot")["space"] == "mine"
    assert kept("spot", "submission/space.py") == SPACE
    until(lambda: not trial_hosts(), "the end of its trial", 30)
    begin("headless")
    said = laptop("python experiments/sweep.py --stop spot", check=False)
    assert "no sweep 'spot' runs on cluster 'upsweep'" in said


def test_the_head_killed_and_brought_back_finishes_with_resume():
    process = taken_over("headless")
    until(lambda: begun("headless"), "two checkpoints")
    lab.kill("h1")
    began = time.monotonic()
    said = laptop("python experiments/sweep.py --name other", check=False)
    assert "--local to run here" in said and time.monotonic() - began < 30, said
    text = ended(process)  # it hopes for half a minute
    assert process.returncode == 2 and re.search(r"its head 10.77.0.11 does not answer", text), text
    lab.boot("h1")
    laptop("python experiments/cluster.py up --nodes 1")  # the workers follow while it resumes
    text = laptop(f"python experiments/sweep.py --resume headless {FOLDER}")
    assert facts("headless")["status"] == "finished", text
    assert [r for r in rows("headless") if r["stage"] == "test"]


def test_down_leaves_no_process_and_up_brings_champion_and_history_back():
    alive(3)
    laptop("python experiments/cluster.py down")
    left = {h: lab.processes(h) for h in ("h1", *WORKERS)}
    left = {h: [p for p in ps if "ssh" not in p] for h, ps in left.items()}
    assert not any(left.values()), left
    said = laptop("python experiments/cluster.py status", check=False)
    assert "no cluster was started from here" in said
    assert "upsweep/registry/mlflow.db" in bucket.objects()
    lab.execute("h1", "rm ~/upsweep/mlflow.db*")  # a head that was terminated has lost its disk
    for host in WORKERS:  # they come back in the next test
        lab.kill(host)
    laptop("python experiments/cluster.py up --nodes 1")
    begin("pair")
    said = laptop("python experiments/promote.py first --list")
    assert "champion" in said, said


def test_a_detached_sweep_that_began_without_workers_is_followed_to_its_end():
    """All there will be holds one trial of two ranks: a driver with a core would keep its own waiting."""
    assert "1 node, " in laptop("python experiments/cluster.py status")
    assert "submitted as" in ended(taken_over("pair"))
    until(lambda: "runs     pair" in laptop("python experiments/cluster.py status"), "the job to begin")
    process, text = taken_over("following"), ""
    while "waiting for the first worker" not in text:
        text += process.stdout.readline() or pytest.fail(text)
    for host in WORKERS:
        lab.boot(host)
    until(lambda: rank_hosts() == set(WORKERS), "a rank on each worker")
    text += process.stdout.read()
    assert process.wait() == 0 and "runs already as" in text, text
    assert "crops, shared by 2 ranks" in text, text
    assert "finished" in laptop("python experiments/sweep.py --status pair")
    until(lambda: not rank_hosts(), "the end of every rank", 30)


def test_trials_of_two_ranks_end_as_those_of_one_process():
    pair, alone = rows("pair"), rows("first")
    assert {r["stage"] for r in pair} == {"screen", "repeat", "confirm", "test"}, "the warm start is shared"
    for stage, prefix in (("screen", ""), ("confirm", ""), ("confirm", "warm/")):  # and its own PSNR phase
        ours, theirs = ([r["metrics"] for r in found if r["stage"] == stage] for found in (pair, alone))
        for numbers, other in zip(ours, theirs, strict=True):  # in fp32 the same sums in another order
            assert numbers[prefix + "psnr_y"] == pytest.approx(other[prefix + "psnr_y"], abs=0.02)
            assert numbers[prefix + "ssim_y"] == pytest.approx(other[prefix + "ssim_y"], abs=0.001)
