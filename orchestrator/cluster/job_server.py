"""Ray's job API at a URL: a cluster that others run, reached over HTTPS with a token or headers.

Token and headers come from the variables that Ray's own command reads, never from the command line. Images,
storage and MLflow must be addresses that this machine and the cluster both reach.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.address import http_request, masked, split
from datasets.errors import UserError
from datasets.files import user_path
from orchestrator.storage import Storage

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_S = 5.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN_FILE = "~/.ray/auth_token"
CREDENTIALS = (
    "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with the token; RAY_JOB_HEADERS (JSON) for a proxy"
)


class JobServer:
    """Ray's job API at `url`; every method raises UserError within seconds if Ray does not answer."""

    ui_hint = ""

    def __init__(self, url: str, env: Mapping[str, str] = os.environ) -> None:
        """Read token, headers and certificate authorities from `env`; nothing is contacted."""
        self.url, basic = http_request(url)
        parts = split(self.url, "--jobs")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"--jobs must be https://HOST:PORT of Ray's dashboard, but got '{masked(url)}'")
        self.url = self.url.rstrip("/")
        self.label = f"Ray at {self.url}"
        self.storage, self.tracking_uri = env.get("UPSWEEP_STORAGE", ""), ""
        token = _token(env)
        self.headers = basic | ({"Authorization": f"Bearer {token}"} if token else {}) | _headers(env)
        self.in_clear = bool(self.headers) and parts.scheme == "http" and parts.hostname not in LOOPBACK
        # `requests` itself reads the other two
        known = env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE")
        self.verify: bool | str = True if known else env.get("SSL_CERT_FILE") or True

    def describe(self) -> str:
        """Return one line on the cluster, after it has answered."""
        version = self.version()
        clear = "; its token or headers travel unencrypted: use https" * self.in_clear
        return f"{self.label} (Ray {version}){clear}; --local runs here"

    def version(self) -> str:
        """Return Ray's version there.

        Raises:
            UserError: within seconds, if nothing answers, the certificate is not valid, the token is refused,
                or something else than Ray's dashboard answers.
        """
        import requests

        try:
            answer = requests.get(
                f"{self.url}/api/version", headers=self.headers, verify=self.verify, timeout=CONNECT_S
            )
        except (OSError, ValueError) as error:
            raise self.refused(error) from None
        if answer.status_code != 200:
            raise self._status(answer.status_code)
        try:
            return str(answer.json()["ray_version"])
        except (ValueError, LookupError, TypeError):
            raise UserError(
                f"{self.label} answers with something else than Ray's version, perhaps a login page: give "
                f"the address of Ray's dashboard (port 8265), and {CREDENTIALS}"
            ) from None

    @contextmanager
    def client(self) -> Iterator["JobSubmissionClient"]:
        """Yield Ray's own client. UserError if Ray does not answer or refuses the token."""
        from ray.exceptions import AuthenticationError

        from orchestrator.cluster import ray_private

        self.version()  # its sentences are clearer, and it gives up sooner
        try:
            yield ray_private.job_client(self.url, self.headers, self.verify)
        except (OSError, RuntimeError, ValueError, AuthenticationError) as error:
            raise self.refused(error) from error

    def refused(self, error: Exception) -> UserError:
        """Return the error for a request that failed, as one sentence."""
        text = " ".join(str(error).split())
        if code := re.search(r"status code (\d{3})", text):
            return self._status(int(code[1]), text)
        if "authentication" in text.lower():
            return self._status(401)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            found = re.search(r"certificate verify failed: ([^(]+)", text)
            why = found[1].strip() if found else "refused"
            return UserError(
                f"{self.label} has no valid certificate ({why}): renew it there, or name the file of your "
                f"own authority in REQUESTS_CA_BUNDLE"
            )
        if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
            return UserError(f"{self.label} does not speak TLS: use http:// if the network is your own")
        reason = "no answer" if "timed out" in text.lower() else masked(_last_cause(error))
        return UserError(
            f"{self.label} cannot be reached ({reason[:160]}): check the address and that the head runs, or "
            f"use --local to run here"
        )

    def _status(self, code: int, text: str = "") -> UserError:
        if code == 401 and not self.headers:
            return UserError(f"{self.label} asks for a token: {CREDENTIALS}")
        if code in (401, 403):
            return UserError(f"{self.label} refuses the token or headers of this machine: {CREDENTIALS}")
        if code in (502, 503, 504):
            return UserError(
                f"{self.label} is behind a proxy that finds no head yet (HTTP {code}): wait for it"
            )
        detail = f": {text[:200]}" if text else ", so it is not Ray's dashboard: give its address (port 8265)"
        return UserError(f"{self.label} answered with HTTP {code}{detail}")

    def exists(self, path: str, storage: str) -> bool:
        """Return True if the cluster may have the folder `path`, which cannot be looked up from here.

        With a storage by URL, a folder of this machine is taken to be this machine's alone.
        """
        return "://" not in storage or not Path(path).exists()

    def read(self, folder: str, name: str, storage: str) -> bytes | None:
        """Return a file of a sweep from the storage; None if it is not there or not reachable from here."""
        try:
            return Storage(storage).read_bytes(f"{Path(folder).name}/{name}")
        except (OSError, UserError):
            return None


def _token(env: Mapping[str, str]) -> str:
    """Return the token, of RAY_AUTH_TOKEN, the file in RAY_AUTH_TOKEN_PATH or Ray's own file; "" without one.

    Ray's own file counts only with RAY_AUTH_MODE=token: it may be the token of another cluster.
    """
    if token := env.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = env.get("RAY_AUTH_TOKEN_PATH")
    file = user_path(named or TOKEN_FILE)
    if not named and (env.get("RAY_AUTH_MODE") != "token" or not file.exists()):
        return ""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"RAY_AUTH_TOKEN_PATH names {file}, which cannot be read: {error}") from None


def _headers(env: Mapping[str, str]) -> dict[str, str]:
    text = env.get("RAY_JOB_HEADERS", "")
    try:
        headers = json.loads(text or "{}")
        if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
            raise ValueError
    except ValueError:  # without the text, which holds a secret
        raise UserError('RAY_JOB_HEADERS must be JSON such as {"Authorization": "Bearer ..."}') from None
    return headers


def _last_cause(error: BaseException) -> str:
    """Return what the innermost cause of an error says."""
    text = " ".join(str(error).split())
    return text.rpartition("] ")[2].rstrip(")\"'") if "] " in text else text
