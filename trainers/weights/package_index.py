"""The user's own package index: where one archive is found, by the settings of pip (and uv).

Only addresses are resolved here. pip itself is not used for downloads, because `pip download` of a source
archive runs its setup.py.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import requests

from datasets.files import user_path

PYPI = "https://pypi.org/simple"
PATIENCE_S = 10
_SECTIONS = ("global", "download", "install", ":env:")  # a later one overrides an earlier one
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


def pip_options() -> dict[str, str]:
    """Return the options that pip would use, from its files and environment: index-url, cert and others."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.stdout.splitlines():
        key, equals, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if equals and section in found:
            found[section][option] = str(ast.literal_eval(value))
    if listing.returncode:  # an environment without pip, as uv makes them
        found[":env:"] = {
            name.removeprefix("PIP_").lower().replace("_", "-"): value
            for name, value in os.environ.items()
            if name.startswith("PIP_")
        }
    options = {name: value for section in _SECTIONS for name, value in found[section].items()}
    if index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        options.setdefault("index-url", index)
    return options


def session_for(options: dict[str, str]) -> requests.Session:
    """Return a session with pip's certificate and proxy; credentials come from addresses and ~/.netrc."""
    session = requests.Session()
    if "cert" in options:
        session.verify = options["cert"]
    if "proxy" in options:
        session.proxies = {"http": options["proxy"], "https": options["proxy"]}
    return session


def locate(project: str, archive: str, options: dict[str, str], session: requests.Session) -> str:
    """Return the address of `archive`, a file of `project`, in the first index that has it.

    Raises:
        LookupError: no index has it; the message says what each answered.
    """
    answers = []
    for place in _places(project, options):
        try:
            for name, url in _links(place, session):
                if name == archive:
                    return url
            answers.append(f"{_without_password(place)} does not list {archive}")
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            answers.append(f"{_without_password(place)} was not read ({_short(error)})")
    raise LookupError("; ".join(answers))


def _places(project: str, options: dict[str, str]) -> Iterator[str]:
    yield from options.get("find-links", "").split()
    if options.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        indexes = [options.get("index-url", PYPI), *options.get("extra-index-url", "").split()]
        yield from (f"{index.rstrip('/')}/{project}/" for index in indexes)


def _links(place: str, session: requests.Session) -> Iterator[tuple[str, str]]:
    """Yield (file name, address) of each link on a page of an index, or of each file in a local folder."""
    folder = local_path(place)
    if folder is not None:
        page = folder / "index.html" if folder.is_dir() else folder
        if page.is_file():
            yield from _anchors(page.read_text(), page.as_uri())
        elif folder.is_dir():
            yield from ((path.name, path.as_uri()) for path in folder.iterdir())
        return
    answer = session.get(place, headers={"Accept": _ACCEPT}, timeout=PATIENCE_S)
    if answer.status_code == 404:  # an index says by this that it has no such project
        return
    answer.raise_for_status()
    if answer.headers.get("Content-Type", "").startswith("application/vnd.pypi.simple.v1+json"):
        files: list[dict[str, Any]] = answer.json()["files"]
        yield from ((file["filename"], urljoin(answer.url, file["url"])) for file in files)
    else:
        yield from _anchors(answer.text, answer.url)


def local_path(place: str) -> Path | None:
    """Return the path of a file: address or of a plain path; None for an address on the network."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else user_path(place)


def _anchors(page: str, base: str) -> Iterator[tuple[str, str]]:
    parser = _Anchors()
    parser.feed(page)
    for link in parser.links:
        url, _ = urldefrag(urljoin(base, link))
        yield unquote(url.rsplit("/", 1)[-1]), url


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def _without_password(place: str) -> str:
    host = urlsplit(place).netloc
    return place.replace(host, host.rpartition("@")[2]) if "@" in host else place


def _short(error: Exception) -> str:
    return type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
