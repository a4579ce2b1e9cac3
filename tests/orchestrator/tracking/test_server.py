"""The check of a tracking address: a message that names the address and what to do."""

import http.server
import shutil
import sqlite3
import threading

import pytest
from sqlalchemy import create_engine

from datasets.errors import UserError
from orchestrator.tracking.server import artifact_root, database_path, default_uri, probe


def test_addresses_of_a_local_store(tmp_path):
    uri = default_uri(tmp_path)
    assert uri == f"sqlite:///{tmp_path}/mlflow.db" and database_path(uri) == tmp_path / "mlflow.db"
    assert database_path("http://127.0.0.1:5000") is None
    assert artifact_root(uri, tmp_path / "spool") == (tmp_path / "mlartifacts").as_uri()
    assert artifact_root("postgresql://host/db", tmp_path / "spool").endswith("/spool/mlartifacts")
    assert artifact_root("http://127.0.0.1:5000", tmp_path) is None


@pytest.mark.parametrize("name", ["c%20d", "a b", "a%", "a?b", "a#b", "ä", "100%25"])
def test_the_database_of_a_folder_of_any_name_is_in_that_folder(tmp_path, name):
    folder = tmp_path / name
    probe(default_uri(folder))
    assert database_path(default_uri(folder)) == folder / "mlflow.db"
    assert [p.name for p in tmp_path.iterdir()] == [name]
    engine = create_engine(default_uri(folder))
    engine.connect().close()
    engine.dispose()
    assert (folder / "mlflow.db").exists() and [p.name for p in tmp_path.iterdir()] == [name]


def test_the_probe_makes_a_folder_and_leaves_no_file(tmp_path):
    probe(default_uri(tmp_path / "new"))
    assert (tmp_path / "new").is_dir() and not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("http://127.0.0.1:9", "no MLflow server answers at http://127.0.0.1:9"),
        ("postgresql://127.0.0.1:9/mlflow", "no database answers at 127.0.0.1:9"),
        ("./mlruns", "must be sqlite:///"),
        ("file:///tmp/mlruns", "MLflow no longer supports folder stores"),
        ("sqlite:////proc/no/mlflow.db", "/proc/no/mlflow.db cannot be written"),
        ("sqlite://", "must name a file"),
    ],
)
def test_an_address_that_cannot_work_is_named_at_once(uri, sentence):
    with pytest.raises(UserError, match=sentence):
        probe(uri)


def test_a_database_of_another_mlflow_is_named_before_anything_is_trained(tmp_path, migrated_database):
    """Otherwise all stages train, and the end of the sweep fails."""
    shutil.copy(migrated_database, tmp_path)
    uri = default_uri(tmp_path)
    probe(uri)
    for version, remedy in (
        ("451aebb31d03", "run mlflow db upgrade sqlite:///"),
        ("f00d", "install the MLflow"),
    ):
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        with pytest.raises(UserError, match=f"another version of MLflow .schema {version}.*{remedy}"):
            probe(uri)
    with sqlite3.connect(tmp_path / "own.db") as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    with pytest.raises(UserError, match="own.db is not a database of MLflow"):
        probe(f"sqlite:///{tmp_path}/own.db")


class Stranger(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind = self.server.kind
        if kind == "silent":
            self.server.asked_to_stop.wait(3)
            self.close_connection = True
            return
        self.send_response(kind if isinstance(kind, int) else 200)
        self.end_headers()
        self.wfile.write(b"{}" if kind == "json" else b"<html>")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("json", "is not an MLflow server"),
        ("html", "no MLflow server answers"),
        ("silent", r"within 0\.5 s"),
        (401, "MLFLOW_TRACKING_USERNAME"),
        (403, "--allowed-hosts"),
        (500, "HTTP status 500"),
    ],
)
def test_a_server_other_than_mlflow_is_refused(kind, sentence):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    server.kind, server.daemon_threads, server.asked_to_stop = kind, True, threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with pytest.raises(UserError, match=sentence):
            probe(f"http://127.0.0.1:{server.server_port}", timeout_s=0.5)
    finally:
        server.asked_to_stop.set()
        server.shutdown()
        server.server_close()
