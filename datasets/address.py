"""Addresses (URLs) of stores and servers: passwords and keys are hidden everywhere but where one connects.

A command replaces each address that holds a secret by its masked form, `postgresql://***@host/db`, as soon as
it reads it, and keeps the original in the environment of its own processes alone. So files, tags, command
lines and messages can only hold the masked form; `reveal` returns the original to code that connects.
"""

import base64
import json
import os
import re
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from datasets.errors import UserError

VARIABLE = "UPSWEEP_HIDDEN"
"""Environment variable of our own processes: JSON {masked address: original}."""
MASK = "***"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*")
_DATABASES = ("postgresql", "mysql", "mssql", "oracle")
_SECRET_KEY = re.compile(  # not the order or the view of rows in an address of MLflow's pages
    r"(?i)([?&;](?!(?:orderByKey|viewStateShareKey)=)(?:[\w.-]*(?:passw|pwd|secret|token|signature|credential|key)[\w.-]*|sig|pass|pw)=)[^&;#\s]*"
)


def masked(text: str) -> str:
    """Return `text` with *** for the user and password, and for the keys, of every address in it."""
    for shown, real in _hidden().items():
        text = text.replace(real, shown)
        for secret in _secrets(real):
            text = text.replace(secret, MASK)
    return _ADDRESS.sub(lambda match: _mask(match[0]), text)


def hide(address: str) -> str:
    """Return the masked form of an address; `reveal` returns the original, here and in child processes."""
    shown = _mask(address) if _ADDRESS.fullmatch(address) else address
    if shown != address:
        os.environ[VARIABLE] = json.dumps(_hidden() | {shown: address})
    return shown


def hide_word(word: str) -> str:
    """Return a word of a command line (`s3://...` or `--storage=s3://...`) with its address hidden."""
    return _ADDRESS.sub(lambda match: hide(match[0]), word)


def reveal(address: str) -> str:
    """Return the original of a masked address, or of one below it; other addresses as they are.

    Raises:
        UserError: the original was given to another command, and is stored nowhere.
    """
    if MASK not in address:
        return address
    hidden = _hidden()
    if address in hidden:
        return hidden[address]
    for shown in sorted(hidden, key=len, reverse=True):  # the nearest one above it
        above = shown.rstrip("/")
        if address.startswith(above + "/"):
            return hidden[shown].rstrip("/") + address[len(above) :]
    raise UserError(
        f"the password or key of {address} is stored nowhere: give the whole address again, or leave them "
        f"out and use ~/.pgpass, ~/.aws/credentials or MLFLOW_TRACKING_USERNAME"
    )


def split(address: str, option: str) -> SplitResult:
    """Return the parts of an address; UserError naming `option` if its host or port cannot be one."""
    try:
        parts = urlsplit(address)
        _ = parts.port, (parts.hostname or "").encode("idna")
        if re.search(r"\s", parts.netloc):
            raise ValueError("a space in its host")
    except ValueError as error:
        raise UserError(f"{option} {masked(address)} is not an address: {error}") from None
    return parts


def http_request(url: str) -> tuple[str, dict[str, str]]:
    """Return (URL without user and password, header that carries them) of an http(s) address."""
    parts = urlsplit(reveal(url))
    user_info, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit(parts._replace(netloc=host))
    if not at:
        return bare, {}
    return bare, {"Authorization": "Basic " + base64.b64encode(unquote(user_info).encode()).decode()}


def _mask(address: str) -> str:
    scheme, _, rest = address.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # SQLAlchemy takes everything up to the last @ as user and password, also a password with a slash
    whole = rest if scheme.partition("+")[0].lower() in _DATABASES else authority
    if "@" in whole:
        rest = f"{MASK}@{rest[whole.rindex('@') + 1 :]}"
    return _SECRET_KEY.sub(rf"\1{MASK}", f"{scheme}://{rest}")


def _secrets(real: str) -> list[str]:
    """Return the password of an address as it is written and as it is meant; short ones could be any word."""
    whole = real.partition("://")[2]
    password = whole[: whole.rindex("@")].partition(":")[2] if "@" in whole else ""
    return sorted({s for s in (password, unquote(password)) if len(s) > 3}, key=len, reverse=True)


def _hidden() -> dict[str, str]:
    return json.loads(os.environ.get(VARIABLE, "{}"))
