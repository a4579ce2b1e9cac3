"""What several rooms' tests share."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import faulty_core
from helpers.faulty_core import pytest_runtest_protocol, pytest_terminal_summary  # noqa: F401 (hooks)

os.environ["UPSWEEP_LOCAL"] = "1"  # commands under test never leave for a cluster that somebody has up
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # so does a shell in the background start what it runs, and commands under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup starts tests so


STATUS = pytest.StashKey[int]()
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The published key of the emulator's one account; it opens nothing else."""
GCS_SERVER = Path(__file__).parent / "helpers" / "gcs_server.py"


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several test processes its own temporary files: locks of local sweeps, Ray's sessions."""
    if hasattr(config, "workerinput"):
        own = tempfile.mkdtemp(prefix=f"{config.workerinput['workerid']}-")
        os.environ["TMPDIR"] = tempfile.tempdir = own
        atexit.register(shutil.rmtree, own, ignore_errors=True)
    elif faulty_core.SEEN not in os.environ:
        faulty_core.start_watcher()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remembered for the very end."""
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Where Ray was loaded, end without C++ destructors, once all of Python's own have been served.

    Ray 2.60's harvester of statistics (OpenCensus) outlives ray.shutdown(), and once, after a run whose tests
    had all passed, a thread of this process read what had been destroyed under it: exit status 139.
    """
    if "ray._raylet" not in sys.modules or STATUS not in config.stash:
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(config.stash[STATUS])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Whoever asks for all tests hears why those of a GPU do not run."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device, and this machine has none that torch can use")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, to be copied: making its tables takes seconds each time."""
    from orchestrator.tracking.mlflow_client import open_client
    from orchestrator.tracking.server import default_uri

    folder = tmp_path_factory.mktemp("store")
    open_client(default_uri(folder))
    return folder / "mlflow.db"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty bucket on an S3 server of its own; its address and keys are in the environment.

    A line for each request is written to s3.log.
    """
    if find_spec("moto") is None:
        pytest.skip("moto[server] is not installed; pip install 'upsweep[dev]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with open(tmp_path / "s3.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    try:
        _wait_for(port)
        import boto3

        boto3.client("s3").create_bucket(Bucket="photos")
        yield "s3://photos"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket on a stand-in for Google's store; its address is in the environment."""
    server = subprocess.Popen([sys.executable, str(GCS_SERVER)], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.stdout.readline().strip())
    yield "gs://photos"
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture
def az(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty container on Azurite, Microsoft's own double of Azure's store, if it is here."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on PATH; npm install -g azurite")
    pytest.importorskip("azure.storage.blob", reason='pip install -e ".[azure]"')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    command = [program, "--silent", "--skipApiVersionCheck"]
    command += ["--blobPort", str(port), "--location", str(folder)]
    with open(folder / "azurite.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "devstoreaccount1")
    monkeypatch.setenv("AZURE_STORAGE_KEY", AZURITE_KEY)
    monkeypatch.setenv("AZURE_STORAGE_BLOB_ENDPOINT", f"http://127.0.0.1:{port}")
    try:
        _wait_for(port)
        from datasets.object_store import file_system

        file_system("az://photos")[0].create_dir("photos")
        yield "az://photos"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def unreachable_gs(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a bucket on a Google store that refuses connections; requests are repeated for a second."""
    from datasets import object_store

    monkeypatch.setattr(object_store, "GCS_RETRY_S", 1.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{closed.getsockname()[1]}")
    return "gs://photos"


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no server on port {port}")
