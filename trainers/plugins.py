"""The user's own networks, losses and metrics, each `path.py:Name`, read as text that travels with settings.

Settings hold such a value pinned, as `mine.py:Name-HASH` with a hash of the file's text, so keys, records and
cards tell versions of a file apart. Texts are held here, in the process, by their hashes: settings that are
written (`portable` in trainers/config/tree.py) take them along, and settings that are read hold them again. A
file is executed once per process and version, when it is first needed.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from datasets.errors import UserError, unknown
from datasets.files import user_path

V = TypeVar("V")

SETTINGS = ("generator.kind", "loss.extra", "objective.perceptual", "objective.distortion")
"""Settings that may name a user's file."""
CODE = "code."
"""Prefix of the texts among written settings: code.HASH."""
_PINNED = re.compile(r"(?P<file>[^/:]+\.py):(?P<name>\w+)-(?P<hash>[0-9a-f]{12})")
MODULE = "upsweep_own_"
"""Prefix of the names of modules made from held texts: upsweep_own_HASH."""
_TEXTS: dict[str, str] = {}


class Pinned(NamedTuple):
    """A version of a user's file, and the name of what is used in it."""

    file: str
    name: str
    hash: str


def is_own(value: object) -> bool:
    """Return True if a setting's value names something in a Python file of the user."""
    return isinstance(value, str) and (".py:" in value or value.endswith(".py"))


def pin(setting: str, value: str, read: Callable[[str], str] | None = None) -> str:
    """Return `path.py:Name` pinned to the text of the file now, which is held; other values unchanged.

    `read` returns the text of a path; by default the file is read.

    Raises:
        UserError: the file cannot be read, or no name in it is given.
    """
    if not is_own(value) or _PINNED.fullmatch(value):
        return value
    path, _, name = value.rpartition(":")
    if not name.isidentifier() or not path.endswith(".py"):
        raise UserError(f"{setting} {value} also needs the name in that file: {setting} FILE.py:Name")
    try:
        text = (read or (lambda p: user_path(p).read_text()))(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{setting} {value}: {path} cannot be read: {error}") from None
    return f"{Path(path).name}:{name}-{hold(text)}"


def hold(text: str) -> str:
    """Remember the text of a file in this process; return its hash, 12 hex digits of its SHA-256."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    _TEXTS[digest] = text
    return digest


def take_code(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` without the texts among them, which are held."""
    for name, text in settings.items():
        if name.startswith(CODE) and isinstance(text, str):
            hold(text)
    return {name: value for name, value in settings.items() if not name.startswith(CODE)}


def code_of(values: Iterable[object]) -> dict[str, str]:
    """Return the texts of the pinned names among `values`, as settings are written: code.HASH -> text."""
    hashes = [p.hash for p in map(parse, values) if p and p.hash in _TEXTS]
    return {CODE + digest: _TEXTS[digest] for digest in hashes}


def files_of(values: Iterable[object]) -> dict[str, str]:
    """Return the texts of the pinned names among `values` by the names of their files.

    Raises:
        UserError: two different files have one name.
    """
    files: dict[str, str] = {}
    for pinned in filter(None, map(parse, values)):
        text = _TEXTS[pinned.hash]
        if files.setdefault(pinned.file, text) != text:
            raise UserError(f"two different files are called {pinned.file}; rename one of them")
    return files


def parse(value: object) -> Pinned | None:
    """Return the parts of a pinned name; None for any other value."""
    match = _PINNED.fullmatch(value) if isinstance(value, str) else None
    return Pinned(match["file"], match["name"], match["hash"]) if match else None


def load(setting: str, value: str) -> Any:
    """Return the object that a pinned name names; its file is executed if this process has not done so.

    Raises:
        UserError: the text is not held, the file raises or cannot be compiled, or it has no such name.
    """
    pinned = parse(value)
    if pinned is None or pinned.hash not in _TEXTS:
        raise UserError(f"{setting} {value}: the text of this file is not stored with these settings")
    try:
        module = _module(pinned.file, pinned.hash)
        return named(module, pinned.name, setting)
    except UserError as error:
        raise UserError(f"{setting} {value}: {error}") from None


def call(setting: str, value: str, *arguments: Any) -> Any:
    """Return the result of calling what a pinned name names; UserError with the reason if it raises."""
    function = load(setting, value)
    try:
        return function(*arguments)
    except Exception as error:  # whatever a user's code may raise
        if isinstance(error, UserError) or "out of memory" in str(error):  # which has remedies of its own
            raise
        raise UserError(f"{setting} {value} raised {describe(error)}") from error


def describe(error: BaseException) -> str:
    """Return an exception as one line: its type and message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@cache
def _module(file: str, digest: str) -> ModuleType:
    return sys.modules.get(MODULE + digest) or execute(_TEXTS[digest], file, MODULE + digest)


class _HeldTexts(MetaPathFinder, Loader):
    """Imports the module of a held text by its name, as pickle does to read an object of a user's class."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        digest = name.removeprefix(MODULE)
        return ModuleSpec(name, self) if digest != name and digest in _TEXTS else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return execute(_TEXTS[spec.name.removeprefix(MODULE)], f"{spec.name}.py", spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module was executed when it was made."""


sys.meta_path.append(_HeldTexts())


def execute(text: str, path: str, module_name: str) -> ModuleType:
    """Return a new module called `module_name`, made by executing `text`, whose file is `path`.

    Raises:
        UserError: the text cannot be compiled, or raises.
    """
    module = ModuleType(module_name)
    module.__file__ = path
    sys.modules[module_name] = module
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except Exception as error:  # whatever a user's file may raise
        del sys.modules[module_name]
        if isinstance(error, UserError):
            raise
        raise UserError(describe(error)) from None
    return module


def named(module: ModuleType, name: str, kind: str) -> Any:
    """Return what `module` defines as `name`; UserError with the nearest names if there is none."""
    if not hasattr(module, name):
        raise unknown(kind, name, [n for n in vars(module) if not n.startswith("_")])
    return getattr(module, name)


class Table(dict[str, V], Generic[V]):
    """A table of built-ins by name, in which a name in a user's file finds the row that `own` makes of it."""

    def __init__(self, rows: Mapping[str, V], own: Callable[[str], V]) -> None:
        super().__init__(rows)
        self.own = cache(own)

    def __missing__(self, name: str) -> V:
        if not is_own(name):
            raise KeyError(name)
        return self.own(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or is_own(name)
