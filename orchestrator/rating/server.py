"""The rating page over HTTP, for this machine alone: who may ask for what.

A rater is known by an address that nobody can guess (/r/SITTING/); a picture by a word made for one rater
and one position, so that even a repeated picture has another address each time. Requests whose Host is not
this machine are refused, since a foreign page could otherwise reach us by rebinding its own name (DNS
rebinding); forms that another page sent are refused by Origin and by a token of our own.
"""

import hmac
import re
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.rating import pages
from orchestrator.rating.presentation import opaque_name
from orchestrator.rating.scores import RatingSession, ScoreStore, clean_name
from orchestrator.rating.study import Study

HOST = "127.0.0.1"
OUR_NAMES = {"127.0.0.1", "localhost"}
BODY_LIMIT = 4096  # bytes; our largest form is a tenth of it
SOCKET_TIMEOUT_S = 30
HTML, PNG = "text/html; charset=utf-8", "image/png"
ASSETS = {"/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Request:
    """What a browser asked."""

    method: str
    path: str
    headers: Mapping[str, str] | Message
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int
    body: bytes = b""
    kind: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)


def _html(text: str, status: int = HTTPStatus.OK) -> Answer:
    return Answer(status, text.encode())


def _go(address: str) -> Answer:
    """Another page, fetched anew: a reload never sends a form twice."""
    return Answer(HTTPStatus.SEE_OTHER, headers={"Location": address})


class App:
    """Requests to answers; sockets are Handler's business."""

    def __init__(self, study: Study, session: int = 1) -> None:
        self.study, self.session = study, session
        self.ledger = ScoreStore(study)
        self.total = len(study.images) * len(study.models)
        self.total += min(study.repeats, self.total // 3)

    def respond(self, request: Request) -> Answer:
        """The answer to any request; never an exception for what a browser may send."""
        refused = self._refused(request)
        if refused:
            return Answer(HTTPStatus.FORBIDDEN, refused.encode(), "text/plain; charset=utf-8")
        path = urllib.parse.urlsplit(request.path).path
        if request.method == "POST":
            return self._post(path, _form(request.body))
        if path == "/":
            return _html(pages.start(self.total, self._token("begin")))
        if path in ASSETS:
            return Answer(HTTPStatus.OK, (Path(__file__).parent / path[1:]).read_bytes(), ASSETS[path])
        if found := re.fullmatch(r"/r/([0-9a-f]+)/(.*)", path):
            if sitting := self.ledger.find(found[1]):
                return self._of_sitting(sitting, found[2])
        return self._missing()

    def _refused(self, request: Request) -> str:
        host = request.headers.get("Host", "")
        if host.rpartition(":")[0] not in OUR_NAMES and host not in OUR_NAMES:
            return f"this page answers only as {' or '.join(sorted(OUR_NAMES))}"
        if request.method == "POST":
            origin = request.headers.get("Origin")
            if origin not in (None, f"http://{host}"):
                return "a form of another page is not accepted"
        return ""

    def _token(self, *parts: object) -> str:
        return opaque_name(self.study.secret, "form", *parts)

    def _missing(self) -> Answer:
        return _html(pages.trouble("There is no such page."), HTTPStatus.NOT_FOUND)

    def _post(self, path: str, form: Mapping[str, str]) -> Answer:
        if path == "/begin":
            return self._begin(form)
        found = re.fullmatch(r"/r/([0-9a-f]+)/(\d{1,6})", path)
        sitting = self.ledger.find(found[1]) if found else None
        return self._rate(sitting, int(found[2]) - 1, form) if found and sitting else self._missing()

    def _begin(self, form: Mapping[str, str]) -> Answer:
        if not _same(form.get("token"), self._token("begin")):
            return _html(
                pages.trouble("This page is too old; go back and begin again."), HTTPStatus.FORBIDDEN
            )
        try:
            name = clean_name(form.get("name", ""))
        except UserError as error:
            page = pages.start(self.total, self._token("begin"), f"That will not do: {error}.")
            return _html(page, HTTPStatus.UNPROCESSABLE_ENTITY)
        try:
            sitting = self.ledger.seat(name, self.session)
        except OSError as error:
            return _unsaved(f"Nothing can be saved here ({error.strerror or error}).", "/")
        if sitting.ratings and form.get("again") != "yes":
            done = len(sitting.ratings)
            return _html(pages.known(sitting.rater, done, self.total, self._token("begin")))
        return _go(f"/r/{sitting.key}/")

    def _rate(self, sitting: RatingSession, position: int, form: Mapping[str, str]) -> Answer:
        here = f"/r/{sitting.key}/{position + 1}"
        if not _same(form.get("token"), self._token(sitting.key, position)):
            return _html(pages.trouble("This page is too old.", f"/r/{sitting.key}/"), HTTPStatus.FORBIDDEN)
        try:
            sitting.rate(self.study, position, _score(form.get("score", "")), _shown(form.get("shown", "")))
        except ValueError:
            return _html(pages.trouble("A score is 1, 2, 3, 4 or 5.", here), HTTPStatus.UNPROCESSABLE_ENTITY)
        except OSError as error:
            return _unsaved(f"Your score was not saved ({error.strerror or error}): give it again.", here)
        return _go(f"/r/{sitting.key}/{position + 2}")

    def _of_sitting(self, sitting: RatingSession, place: str) -> Answer:
        if place == "":
            at = sitting.current
            return _go(f"/r/{sitting.key}/{at + 1 if at else 'example/1'}")
        if found := re.fullmatch(r"example/(\d{1,6})", place):
            return self._example(sitting, int(found[1]))
        if found := re.fullmatch(r"picture/([0-9a-f]+)", place):
            return self._picture(sitting, found[1])
        if re.fullmatch(r"\d{1,6}", place):
            return self._trial(sitting, int(place) - 1)
        return self._missing()

    def _example(self, sitting: RatingSession, number: int) -> Answer:
        count, root = len(self.study.calibration), f"/r/{sitting.key}"
        if not 1 <= number <= count:
            return self._missing()
        low, high = (f"{root}/picture/{self._named(sitting, 'example', number, s)}" for s in (1, 5))
        back = f"{root}/example/{number - 1}" if number > 1 else ""
        forward = f"{root}/example/{number + 1}" if number < count else f"{root}/{sitting.current + 1}"
        return _html(pages.example(number, count, low, high, back, forward))

    def _trial(self, sitting: RatingSession, position: int) -> Answer:
        root, total = f"/r/{sitting.key}", len(sitting.order)
        if position < 0 or position > sitting.current:  # no looking ahead
            return _go(f"{root}/")
        back = f"{root}/{position}" if position else f"{root}/example/{len(self.study.calibration)}"
        if position == total:
            return _html(pages.done(total, back))
        picture = f"{root}/picture/{self._named(sitting, 'trial', position)}"
        given = sitting.ratings.get(position, {}).get("score")
        form_token = self._token(sitting.key, position)
        here = f"{root}/{position + 1}"
        return _html(pages.trial(position + 1, total, picture, here, form_token, back, given))

    def _named(self, sitting: RatingSession, *parts: object) -> str:
        return opaque_name(self.study.secret, "picture", sitting.key, *parts)

    def _picture(self, sitting: RatingSession, name: str) -> Answer:
        """The bytes that `name` stands for, among those that this rater may see by now."""
        for position in range(min(sitting.current + 1, len(sitting.order))):
            if _same(name, self._named(sitting, "trial", position)):
                trial = sitting.order[position]
                return Answer(HTTPStatus.OK, self.study.picture(trial.image, trial.model).read_bytes(), PNG)
        for image in range(len(self.study.calibration)):
            for score in (1, 5):
                if _same(name, self._named(sitting, "example", image + 1, score)):
                    return Answer(HTTPStatus.OK, self.study.example(image, score).read_bytes(), PNG)
        return self._missing()


def _same(given: str | None, right: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), right.encode())


def _unsaved(sentence: str, back: str) -> Answer:
    return _html(pages.trouble(sentence, back), HTTPStatus.INSUFFICIENT_STORAGE)


def _form(body: bytes) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _score(text: str) -> int:
    return int(text) if re.fullmatch("[1-5]", text) else 0


def _shown(text: str) -> float | None:
    """How large the picture stood, told by the page's script; None where it told nothing usable."""
    return float(text) if re.fullmatch(r"\d{1,2}\.\d{3}", text) else None


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT_S
    server: "Server"

    def do_GET(self) -> None:  # noqa: N802
        """A page or a picture."""
        self._send(self.server.app.respond(Request("GET", self.path, self.headers)))

    do_HEAD = do_GET

    def do_POST(self) -> None:  # noqa: N802
        """A form."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or int(length) > BODY_LIMIT:
            self.close_connection = True  # the body stays unread
            status = HTTPStatus(413 if length.isdigit() else 411)
            return self._send(Answer(status, b"a form is small", "text/plain; charset=utf-8"))
        body = self.rfile.read(int(length))
        return self._send(self.server.app.respond(Request("POST", self.path, self.headers, body)))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in (HEADERS | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        """The name of the server, without versions."""
        return "Upsweep"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: addresses of raters belong into no log."""


class Server(ThreadingHTTPServer):
    """Bound to this machine's own address; one thread a connection."""

    daemon_threads = True

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port} cannot be used ({error}); name another with --port") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that left early is no error; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Where raters begin."""
        return f"http://{HOST}:{self.server_port}/"
