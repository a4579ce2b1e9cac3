"""deploy/slurm/sweep.sbatch with doubles of Slurm, Ray and the sweep: nodes, a token, signals, the queue."""

import re
import signal
import sys
import time

import pytest
from helpers.paths import ROOT
from helpers.slurm import Slurm

RAY = """
echo "token ${#RAY_AUTH_TOKEN} $RAY_AUTH_MODE $SRUN_CPUS_PER_TASK" >> "$CALLS"
port=$(tr ' ' '\\n' <<< "$*" | sed -n 's/^--port=//p')
trap 'kill %1; exit 0' TERM
if test -n "$port"; then
    "$PYTHON" -c "import socket, time; s = socket.create_server(('127.0.0.1', $port)); time.sleep(100)" &
else
    sleep 100 &
fi
wait
"""
SWEEP = """
echo "python $* at ${RAY_ADDRESS:-none}" >> "$CALLS"
case "$*" in
*--status*) test -e "$STATE/known" ;;
*--stop*) touch "$STATE/stop" ;;
*) touch "$STATE/known" "$STATE/runs"
   while test ! -e "$STATE/stop" -a ! -e "$STATE/done"; do sleep 0.05; done
   test ! -e "$STATE/stop" || exit 130
   exit "${CODE:-0}" ;;
esac
"""


@pytest.fixture
def slurm(tmp_path):
    slurm = Slurm(tmp_path, STATE=str(tmp_path), PYTHON=sys.executable)
    slurm.command("ray", RAY)
    slurm.command("python", SWEEP)
    slurm.env["PATH"] = f"{tmp_path}/bin:/usr/bin:/bin"
    return slurm


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_sweep_runs_on_all_nodes_of_a_job_with_a_token_that_no_command_line_shows(slurm, tmp_path):
    job = slurm.start("faces", "/store", "--trials", "3")
    until(lambda: slurm.said().count("token 64 token 1") == 2 and (tmp_path / "runs").exists())
    (tmp_path / "done").touch()
    assert job.wait(60) == 0
    head, worker = [line for line in slurm.said() if line.startswith("ray start")]
    address = f"127.0.0.1:{slurm.port}"
    assert f"--head --node-ip-address=127.0.0.1 --port={slurm.port}" in head
    assert f"--address={address} --num-cpus=1 --num-gpus=0 --block" in worker
    assert (
        f"python experiments/sweep.py --name faces --trials 3 --storage /store at {address}" in slurm.said()
    )
    assert not any("requeue" in line for line in slurm.said())


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_signal_saves_the_sweep_and_the_one_before_the_limit_queues_it_again(
    slurm, tmp_path, number, requeued
):
    job = slurm.start("faces", "/store", "--trials", "3")
    until((tmp_path / "runs").exists)
    job.send_signal(number)
    assert job.wait(60) == 0, "stopped on request is no loss"
    assert "python experiments/sweep.py --stop faces --storage /store --local at none" in slurm.said()
    assert (f"scontrol requeue {slurm.env['SLURM_JOB_ID']}" in slurm.said()) is requeued
    (tmp_path / "stop").unlink()
    (tmp_path / "done").touch()
    assert slurm.start("faces", "/store", "--trials", "3").wait(60) == 0
    resumed = f"python experiments/sweep.py --resume faces --storage /store at 127.0.0.1:{slurm.port}"
    assert resumed in slurm.said()


def test_the_exit_code_is_the_sweep_s(slurm, tmp_path):
    (tmp_path / "done").touch()
    slurm.env["CODE"] = "3"
    assert slurm.start("faces", "/store").wait(60) == 3


def test_the_batch_file_asks_for_a_signal_to_itself_and_for_the_queue():
    text = (ROOT / "deploy" / "slurm" / "sweep.sbatch").read_text()
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)", text, re.MULTILINE))
    assert re.fullmatch(r"B:USR1@\d+", asked["signal"]) and int(asked["signal"].partition("@")[2]) >= 150
    assert "requeue" in asked and asked["open-mode"] == "append" and asked["ntasks-per-node"] == "1"
