"""What a report costs the training thread: our journal against MLflow's fluent API and Ray's callback.

    python tests/bench/tracking.py [--processes 8] [--reports 30]

All three tell the same server the same 12 metrics, in one run of this script, so the ratios mean something
whatever the machine's load. Prints a table; asserts nothing.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"

METRICS = {f"metric_{i}": 0.5 + i for i in range(12)}
PAUSE_S = 0.02  # a short training step between reports


def journal(number: int, reports: int, folder: str, uri: str) -> list[float]:
    """Our trial's side: append to the journal and drain it for the report."""
    from orchestrator.tracking.journal import Journal

    told = Journal(Path(folder) / f"{number}.jsonl", f"bench/{number}")
    told.start(f"bench {number}", {"trial": number}, {})
    return _timed(reports, lambda step: (told.metrics(step, METRICS), told.drain()))


def fluent(number: int, reports: int, folder: str, uri: str) -> list[float]:
    """MLflow's own way: mlflow.log_metrics from the training thread."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("fluent")
    with mlflow.start_run(run_name=f"bench {number}"):
        return _timed(reports, lambda step: mlflow.log_metrics(METRICS, step=step))


def callback(number: int, reports: int, folder: str, uri: str) -> list[float]:
    """Ray's MLflowLoggerCallback: what the driver's event loop waits for at each result."""
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    class Trial:
        config = {"trial": number}
        trial_id = f"bench_{number}"
        local_path = folder

        def __str__(self) -> str:
            return self.trial_id

        def __hash__(self) -> int:
            return number

    told, trial = MLflowLoggerCallback(tracking_uri=uri, experiment_name="callback"), Trial()
    told.setup()
    told.log_trial_start(trial)
    return _timed(
        reports, lambda step: told.log_trial_result(step, trial, {**METRICS, "training_iteration": step})
    )


def _timed(reports: int, report: object) -> list[float]:
    taken = []
    for step in range(1, reports + 1):
        began = time.perf_counter()
        report(step)  # type: ignore[operator]
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_S)
    return taken


WAYS = {"journal": journal, "mlflow fluent": fluent, "ray callback": callback}


def _worker(job: tuple) -> list[float]:
    way, *arguments = job
    return WAYS[way](*arguments)


def deliver(folder: Path, uri: str) -> float:
    """Seconds until one writer process has told the server everything the journals hold."""
    from orchestrator.tracking.journal import Journal
    from orchestrator.tracking.writer import Writer

    writer = Writer(folder / "spool", uri, "journal")
    began = time.perf_counter()
    writer.start()
    for path in sorted(folder.glob("*.jsonl")):
        writer.append(Journal(path, f"bench/{path.stem}").drain())
    assert writer.close(300), writer.progress()
    return time.perf_counter() - began


def append_while_away(folder: Path, server: Any, reports: int) -> list[float]:
    """What the driver waits for at each report while the server is dead; nothing is lost by that."""
    from orchestrator.tracking.journal import Journal
    from orchestrator.tracking.writer import Writer

    writer, told = Writer(folder / "away", server.uri, "away"), Journal(folder / "away.jsonl", "bench/away")
    told.start("bench away", {}, {})
    writer.start()
    server.kill()
    taken = []
    for step in range(1, reports + 1):
        told.metrics(step, METRICS)
        entries, began = told.drain(), time.perf_counter()
        writer.append(entries)
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_S)
    server.start()
    assert writer.close(300), writer.progress()
    return sorted(taken)


def main() -> None:
    """Measure all ways and print milliseconds per report."""
    from helpers.mlflow_server import Server
    from mlflow import MlflowClient

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--reports", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder)
        server.start()
        for way in ("fluent", "callback"):  # eight processes that make one experiment at once crash
            MlflowClient(server.uri).create_experiment(way)
        try:
            medians = {}
            print(f"{options.processes} processes x {options.reports} reports of {len(METRICS)} metrics, ms")
            print(f"{'':16}{'median':>9}{'p95':>9}{'max':>9}")
            for way in WAYS:
                jobs = [(way, i, options.reports, name, server.uri) for i in range(options.processes)]
                with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
                    taken = sorted(t for times in pool.map(_worker, jobs) for t in times)
                medians[way] = statistics.median(taken)
                p95 = taken[int(0.95 * len(taken))]
                print(f"{way:16}{medians[way]:9.3f}{p95:9.3f}{taken[-1]:9.3f}", flush=True)
            for way in ("mlflow fluent", "ray callback"):
                print(f"{way} / journal: {medians[way] / medians['journal']:.0f} times")
            seconds = deliver(folder, server.uri)
            print(f"one process delivers all journals in {seconds:.1f} s, its start included")
            away = append_while_away(folder, server, options.reports)
            print(
                f"append while the server is dead: median {statistics.median(away):.3f}, max {away[-1]:.3f}"
            )
        finally:
            server.kill()


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
