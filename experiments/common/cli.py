"""What every script shares: our packages on the path, one sentence per user mistake, flags by dotted name."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import tyro  # noqa: E402

from datasets.errors import UserError  # noqa: E402
from trainers.config import TrainConfig  # noqa: E402

T = TypeVar("T")

Settings = Annotated[TrainConfig, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]
"""A whole config whose fields are flags of their own dotted names, `--data.flip False` included."""

USER_MISTAKE = 2
INTERRUPTED = 130


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit: its code, 2 with one sentence for a user's mistake, 130 for Ctrl-C."""
    try:
        sys.exit(main() or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def parse(options: type[T], base: Callable[[str], Any] | None = None, argv: list[str] | None = None) -> T:
    """Options from the command line. With `base`, `--recipe R` decides the defaults of the config flags.

    Every field of the config is a flag of its own dotted name. UserError for a name or a value that does
    not exist; `--help` prints all of them.
    """
    words = sys.argv[1:] if argv is None else argv
    default = {}
    if base is not None:
        default = {"default": options(config=base(_value_of("--recipe", words) or "demo"))}  # type: ignore[call-arg]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, args=words, config=(tyro.conf.FlagCreatePairsOff,), **default)
    except SystemExit as end:
        mistake = _cause(end)
        if mistake is None:
            sys.stderr.write(said.getvalue())
            raise
        raise mistake from None  # our own sentence, without tyro's frame around it


def parse_here(script: str, options: type[T], base: Callable[[str], Any] | None = None) -> T:
    """Options of a command that runs in this process; where a cluster runs it, this process ends with it.

    With `base` a command without recipe or data means the published recipe where there are data and a GPU,
    and else says first that it is the demo.
    """
    words = sys.argv[1:]
    parsed: Any = parse(options, base)
    from orchestrator.cluster import target

    if (ended := target.elsewhere(script, parsed, words)) is not None:
        sys.exit(ended)
    more, sentence = target.defaults(words, os.environ, target.has_gpu) if base else ([], "")
    if sentence:
        print(sentence)
    return parse(options, base, [*words, *more]) if more else parsed


def _cause(error: BaseException | None) -> UserError | None:
    """The user's mistake that `error` came from."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _value_of(option: str, words: list[str]) -> str | None:
    for index, word in enumerate(words):
        if word == option and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(option + "="):
            return word.split("=", 1)[1]
    return None
