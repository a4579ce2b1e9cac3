"""Tracking addresses: defaults, and a check that the store can be reached and written.

This module does not import mlflow, which takes seconds: a sweep's driver checks the address at its start.
"""

import base64
import importlib.util
import json
import os
import re
import shlex
import socket
import sqlite3
import urllib.error
import urllib.request
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from datasets.address import http_request, split
from datasets.errors import UserError

PROBE_TIMEOUT_S = 5.0


def default_uri(storage: Path | str) -> str:
    """Return the address of the database in a storage folder: `sqlite:////<absolute storage>/mlflow.db`."""
    return database_uri(Path(storage).resolve() / "mlflow.db")


def database_uri(path: Path) -> str:
    """Return the sqlite address of a file, the inverse of `database_path`: SQLAlchemy decodes %xx in it."""
    return "sqlite:///" + re.sub("[%?#]", lambda match: f"%{ord(match[0]):02X}", str(path))


def database_path(tracking_uri: str) -> Path | None:
    """Return the absolute file of an sqlite address, or None for any other address."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(unquote(tracking_uri.removeprefix("sqlite:///").partition("?")[0])).absolute()


def missing_store(tracking_uri: str) -> Path | None:
    """Return the sqlite file of an address if it does not exist: opening the store would make it."""
    database = database_path(tracking_uri)
    return database if database is not None and not database.exists() else None


def artifact_root(tracking_uri: str, spool_dir: Path) -> str | None:
    """Return the folder for artifacts as an absolute URI, or None if an HTTP server decides.

    It is beside an sqlite file, and inside `spool_dir` for any other database. (MLflow's default is ./mlruns
    of the current directory.)
    """
    if tracking_uri.startswith(("http://", "https://")):
        return None
    database = database_path(tracking_uri)
    return ((database.parent if database else Path(spool_dir).resolve()) / "mlartifacts").as_uri()


def probe(tracking_uri: str, timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Check within `timeout_s` seconds that the tracking store can be reached and written.

    Raises:
        UserError: if it cannot; the message names the address, the reason and what to do.
    """
    split(tracking_uri, "--tracking-uri")
    scheme = tracking_uri.partition(":")[0] if "://" in tracking_uri else ""
    if scheme == "sqlite":
        _probe_sqlite(tracking_uri, timeout_s)
    elif scheme in ("http", "https"):
        _probe_http(tracking_uri, timeout_s)
    elif scheme.partition("+")[0] in ("postgresql", "mysql", "mssql"):
        _probe_port(tracking_uri, timeout_s)
    else:
        raise UserError(
            f"--tracking-uri must be sqlite:///<path>, http(s)://<host> or postgresql://<host>/<name>, "
            f"but got '{tracking_uri}' (MLflow no longer supports folder stores)"
        )


def _probe_sqlite(tracking_uri: str, timeout_s: float) -> None:
    path = database_path(tracking_uri)
    if path is None or not path.name:
        raise UserError(
            f"--tracking-uri must name a file, as in sqlite:////data/mlflow.db, but got '{tracking_uri}'"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        try:
            _check_schema(connection, path)
            connection.execute("BEGIN IMMEDIATE")  # takes the write lock, changes nothing
            connection.execute("CREATE TABLE upsweep_probe (answer INTEGER)")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
            if is_new and path.exists() and path.stat().st_size == 0:
                path.unlink()
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"the tracking database {path} cannot be written: {error}; set --tracking-uri to another one"
        ) from None


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UserError if the tables are not those of the installed MLflow, which would refuse them later."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return
    if "alembic_version" not in tables:
        raise UserError(f"{path} is not a database of MLflow; set --tracking-uri to another file")
    version = next((v for (v,) in connection.execute("SELECT version_num FROM alembic_version")), "")
    newest, known = _mlflow_schemas()
    if version == newest:
        return
    upgrade = f"mlflow db upgrade {shlex.quote(database_uri(path))}"
    remedy = upgrade if version in known else "the MLflow that made it"
    verb = "run" if version in known else "install"
    raise UserError(
        f"the tracking database {path} has the tables of another version of MLflow (schema {version}, not "
        f"{newest}); {verb} {remedy}, or set --tracking-uri to another file"
    )


@lru_cache
def _mlflow_schemas() -> tuple[str, frozenset[str]]:
    """Return the schema of the installed MLflow, and all that it knows, read from its files."""
    spec = importlib.util.find_spec("mlflow")  # found, not imported: that takes seconds
    assert spec is not None and spec.origin
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    texts = [path.read_text() for path in folder.glob("*.py")]
    revisions = {m[1] for text in texts if (m := re.search(r'^revision = "(\w+)"', text, re.M))}
    earlier = {m[1] for text in texts if (m := re.search(r'^down_revision = "(\w+)"', text, re.M))}
    (newest,) = revisions - earlier
    return newest, frozenset(revisions)


def _probe_http(tracking_uri: str, timeout_s: float) -> None:
    url = tracking_uri.rstrip("/") + "/api/2.0/mlflow/experiments/search?max_results=1"
    bare, headers = http_request(url)
    request = urllib.request.Request(bare, headers=headers or login_header())
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            is_mlflow = "experiments" in json.load(answer)
    except urllib.error.HTTPError as error:
        raise UserError(_refusal(tracking_uri, error.code)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"no MLflow server answers at {tracking_uri} within {timeout_s:g} s ({reason}); start one with "
            f"`mlflow server` or set --tracking-uri"
        ) from None
    if not is_mlflow:
        raise UserError(f"{tracking_uri} answers, but is not an MLflow server; set --tracking-uri")


def login_header() -> dict[str, str]:
    """Return the header that MLflow's client would send; credentials come from the environment only."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user:
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


def _refusal(tracking_uri: str, status: int) -> str:
    if status == 401:
        return f"{tracking_uri} requires a login; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if status == 403:
        return (
            f"{tracking_uri} refuses this host name or this user (403); use the server's IP address, or "
            f"start it with --allowed-hosts"
        )
    return f"{tracking_uri} answers with HTTP status {status}, unlike an MLflow server; set --tracking-uri"


def _probe_port(tracking_uri: str, timeout_s: float) -> None:
    parts = split(tracking_uri, "--tracking-uri")
    port = parts.port or {"postgresql": 5432, "mysql": 3306, "mssql": 1433}[parts.scheme.partition("+")[0]]
    try:
        socket.create_connection((parts.hostname or "localhost", port), timeout=timeout_s).close()
    except OSError as error:
        raise UserError(
            f"no database answers at {parts.hostname}:{port} within {timeout_s:g} s ({error}); "
            f"set --tracking-uri"
        ) from None
