"""The rating page over HTTP on this machine alone, and its access rules.

The URL of a rater cannot be guessed (/r/SESSION/). The URL of a picture is made for one rater and one
position, so that a repeated picture has another URL each time. Requests for another host are refused,
because a foreign page could otherwise reach this server by DNS rebinding; forms sent by another page are
refused by their Origin and by a token in the form.
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
from orchestrator.rating.study import RatingStudy

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
class HttpRequest:
    """A request of a browser."""

    method: str
    path: str
    headers: Mapping[str, str] | Message
    body: bytes = b""


@dataclass(frozen=True)
class HttpResponse:
    """The response to a request."""

    status: int
    body: bytes = b""
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)


def _html(text: str, status: int = HTTPStatus.OK) -> HttpResponse:
    return HttpResponse(status, text.encode())


def _error(sentence: str, status: int, back: str = "/") -> HttpResponse:
    return _html(pages.trouble(sentence, back), status)


def _redirect(url: str) -> HttpResponse:
    """Return a redirect by GET, so that a reload never sends a form twice."""
    return HttpResponse(HTTPStatus.SEE_OTHER, headers={"Location": url})


class App:
    """The responses to requests; Handler does the input and output."""

    def __init__(self, study: RatingStudy, session_number: int = 1) -> None:
        self.study, self.session_number = study, session_number
        self.store = ScoreStore(study)
        self.total = len(study.images) * len(study.models)
        self.total += min(study.repeats, self.total // 3)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Return the response to any request; nothing that a browser may send raises."""
        refused = self._refused(request)
        if refused:
            return HttpResponse(HTTPStatus.FORBIDDEN, refused.encode(), "text/plain; charset=utf-8")
        path = urllib.parse.urlsplit(request.path).path
        if request.method == "POST":
            return self._post(path, _form(request.body))
        if path == "/":
            return _html(pages.start(self.total, self._token("begin")))
        if path in ASSETS:
            return HttpResponse(HTTPStatus.OK, (Path(__file__).parent / path[1:]).read_bytes(), ASSETS[path])
        if found := re.fullmatch(r"/r/([0-9a-f]+)/(.*)", path):
            if session := self.store.find(found[1]):
                return self._in_session(session, found[2])
        return self._missing()

    def _refused(self, request: HttpRequest) -> str:
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

    def _missing(self) -> HttpResponse:
        return _error("There is no such page.", HTTPStatus.NOT_FOUND)

    def _post(self, path: str, form: Mapping[str, str]) -> HttpResponse:
        if path == "/begin":
            return self._begin(form)
        found = re.fullmatch(r"/r/([0-9a-f]+)/(\d{1,6})", path)
        session = self.store.find(found[1]) if found else None
        return self._rate(session, int(found[2]) - 1, form) if found and session else self._missing()

    def _begin(self, form: Mapping[str, str]) -> HttpResponse:
        if not _same(form.get("token"), self._token("begin")):
            return _error("This page is too old; go back and begin again.", HTTPStatus.FORBIDDEN)
        try:
            name = clean_name(form.get("name", ""))
        except UserError as error:
            page = pages.start(self.total, self._token("begin"), f"This name cannot be used: {error}.")
            return _html(page, HTTPStatus.UNPROCESSABLE_ENTITY)
        try:
            session = self.store.join(name, self.session_number)
        except OSError as error:
            return _error(
                f"Nothing can be saved here ({error.strerror or error}).", HTTPStatus.INSUFFICIENT_STORAGE
            )
        if session.ratings and form.get("again") != "yes":
            done = len(session.ratings)
            return _html(pages.welcome_back(session.rater, done, self.total, self._token("begin")))
        return _redirect(f"/r/{session.key}/")

    def _rate(self, session: RatingSession, position: int, form: Mapping[str, str]) -> HttpResponse:
        here = f"/r/{session.key}/{position + 1}"
        if not _same(form.get("token"), self._token(session.key, position)):
            return _error("This page is too old.", HTTPStatus.FORBIDDEN, f"/r/{session.key}/")
        try:
            session.rate(self.study, position, _score(form.get("score", "")), _shown(form.get("shown", "")))
        except ValueError:
            return _error("A score is 1, 2, 3, 4 or 5.", HTTPStatus.UNPROCESSABLE_ENTITY, here)
        except OSError as error:
            reason = f"Your score was not saved ({error.strerror or error}): give it again."
            return _error(reason, HTTPStatus.INSUFFICIENT_STORAGE, here)
        return _redirect(f"/r/{session.key}/{position + 2}")

    def _in_session(self, session: RatingSession, place: str) -> HttpResponse:
        if place == "":
            at = session.current
            return _redirect(f"/r/{session.key}/{at + 1 if at else 'example/1'}")
        if found := re.fullmatch(r"example/(\d{1,6})", place):
            return self._example(session, int(found[1]))
        if found := re.fullmatch(r"picture/([0-9a-f]+)", place):
            return self._picture(session, found[1])
        if re.fullmatch(r"\d{1,6}", place):
            return self._rating(session, int(place) - 1)
        return self._missing()

    def _example(self, session: RatingSession, number: int) -> HttpResponse:
        count, root = len(self.study.calibration), f"/r/{session.key}"
        if not 1 <= number <= count:
            return self._missing()
        low, high = (f"{root}/picture/{self._url_name(session, 'example', number, s)}" for s in (1, 5))
        back = f"{root}/example/{number - 1}" if number > 1 else ""
        forward = f"{root}/example/{number + 1}" if number < count else f"{root}/{session.current + 1}"
        return _html(pages.example(number, count, low, high, back, forward))

    def _rating(self, session: RatingSession, position: int) -> HttpResponse:
        root, total = f"/r/{session.key}", len(session.order)
        if position < 0 or position > session.current:  # no looking ahead
            return _redirect(f"{root}/")
        back = f"{root}/{position}" if position else f"{root}/example/{len(self.study.calibration)}"
        if position == total:
            return _html(pages.done(total, back))
        picture = f"{root}/picture/{self._url_name(session, 'trial', position)}"
        given = session.ratings.get(position, {}).get("score")
        form_token = self._token(session.key, position)
        here = f"{root}/{position + 1}"
        return _html(pages.rating(position + 1, total, picture, here, form_token, back, given))

    def _url_name(self, session: RatingSession, *parts: object) -> str:
        return opaque_name(self.study.secret, "picture", session.key, *parts)

    def _picture(self, session: RatingSession, name: str) -> HttpResponse:
        """Return the picture with this name, if this rater may see it by now."""
        for position in range(min(session.current + 1, len(session.order))):
            if _same(name, self._url_name(session, "trial", position)):
                presented = session.order[position]
                path = self.study.picture(presented.image, presented.model)
                return HttpResponse(HTTPStatus.OK, path.read_bytes(), PNG)
        for image in range(len(self.study.calibration)):
            for score in (1, 5):
                if _same(name, self._url_name(session, "example", image + 1, score)):
                    return HttpResponse(HTTPStatus.OK, self.study.example(image, score).read_bytes(), PNG)
        return self._missing()


def _same(given: str | None, right: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), right.encode())


def _form(body: bytes) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _score(text: str) -> int:
    return int(text) if re.fullmatch("[1-5]", text) else 0


def _shown(text: str) -> float | None:
    """Parse the size on the screen that page.js measured; None if it is unusable."""
    return float(text) if re.fullmatch(r"\d{1,2}\.\d{3}", text) else None


class Handler(BaseHTTPRequestHandler):
    """The input and output of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT_S
    server: "Server"

    def do_GET(self) -> None:  # noqa: N802
        """Answer a request for a page or a picture."""
        self._send(self.server.app.respond(HttpRequest("GET", self.path, self.headers)))

    do_HEAD = do_GET

    def do_POST(self) -> None:  # noqa: N802
        """Answer a form."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or int(length) > BODY_LIMIT:
            self.close_connection = True  # the body stays unread
            status = HTTPStatus(413 if length.isdigit() else 411)
            return self._send(HttpResponse(status, b"a form is small", "text/plain; charset=utf-8"))
        body = self.rfile.read(int(length))
        return self._send(self.server.app.respond(HttpRequest("POST", self.path, self.headers, body)))

    def _send(self, response: HttpResponse) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in (HEADERS | dict(response.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def version_string(self) -> str:
        """Return the name of the server without versions."""
        return "Upsweep"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: URLs of raters belong in no log."""


class Server(ThreadingHTTPServer):
    """An HTTP server bound to the loopback address, with one thread per connection."""

    daemon_threads = True

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port} cannot be used ({error}); name another with --port") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, except those of a browser that closed its connection early."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The URL of the first page."""
        return f"http://{HOST}:{self.server_port}/"
