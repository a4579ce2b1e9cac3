"""The command line of every script: our packages on the path, flags by dotted name, exit codes."""

import contextlib
import dataclasses
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import tyro  # noqa: E402

from datasets import stopping  # noqa: E402
from datasets.address import hide_word, masked  # noqa: E402
from datasets.config import ROLES  # noqa: E402
from datasets.errors import UserError, disk_trouble  # noqa: E402
from datasets.text import printable  # noqa: E402
from experiments.common import help  # noqa: E402
from trainers import plugins  # noqa: E402
from trainers.config import TrainConfig, flatten, override  # noqa: E402

T = TypeVar("T")

Settings = Annotated[TrainConfig, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]
"""A whole config, each field a flag of its dotted name: `--data.flip False`."""

NoFlag = Annotated[str, tyro.conf.Fixed, tyro.conf.Suppress]
"""A text that a command sets itself, in options that inherit it from a request."""

ALIASES = {f"data.{role}": f"--{role}" for role in ROLES} | {"run.start_from": "--start"}
"""Setting -> the short flag of it that some commands have."""

program = ""
"""The command's name in its help, if it is not the file's."""

FAILED = 1
USER_MISTAKE = 2
INTERRUPTED = 130


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit with its code, or with one sentence.

    2: a user's mistake. 1: a disk that is full or cannot be written. 130, 143 or 129: stopped by Ctrl-C,
    SIGTERM or SIGHUP.
    """
    hide_passwords()
    os.umask(os.umask(0o022) | 0o002)  # whoever can write our state can make a resumed sweep run code
    stopping.stop_as_ctrl_c()
    try:
        code = main() or 0
        sys.exit(stopping.exit_code() if code == INTERRUPTED else code)
    except UserError as error:
        sentence = with_typed_flags(str(error), sys.argv[1:])
        print(f"error: {printable(masked(sentence))}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(stopping.exit_code())
    except Exception as error:
        sentence = disk_trouble(error)
        text = f"error: {printable(sentence)}\n" if sentence else traceback.format_exc()
        sys.stderr.write(masked(text))
        sys.exit(FAILED)


def with_typed_flags(sentence: str, words: list[str]) -> str:
    """Return an error's sentence with the flags that the command line has in place of their settings.

    Errors name settings ("data.train"), because they are raised below the command line. A person who typed
    --train has never seen that name.
    """
    typed = set(_options_of(words))
    for setting, flag in ALIASES.items():
        if flag in typed:
            sentence = re.sub(rf"(?<![\w.-]){re.escape(setting)}(?![\w-]|\.\w)", flag, sentence)
    return sentence


def say(text: str) -> None:
    """Print text with names of files or answers of servers, without control characters and secrets."""
    print(printable(masked(text)), flush=True)


def hide_passwords() -> None:
    """Start this process again without the passwords in its command line, which every user can list.

    The addresses stay in masked form; datasets.address keeps the originals in the environment.
    """
    words = [hide_word(word) for word in sys.orig_argv]
    if words != sys.orig_argv:
        sys.stdout.flush()
        os.execve(sys.executable, words, os.environ)


def parse(options: type[T], base: Callable[[str], Any] | None = None, argv: list[str] | None = None) -> T:
    """Return the options of a command line; with `base`, `--recipe R` decides the defaults of config flags.

    `--generator.kind K` also resets the recipe's settings that generator K does not read. Then --help leaves
    the settings of a run out, which --help-all shows, and --list prints the names of a table.

    Raises:
        UserError: for a recipe or a value that the config refuses.
        SystemExit: for --help, --list and for what the parser refuses, after printing.
    """
    words = [hide_word(word) for word in (sys.argv[1:] if argv is None else argv)]
    default: dict[str, Any] = {}
    if base is not None:
        if (what := _value_of("--list", [*words, ""])) is not None:
            print(help.listing(what))
            raise SystemExit(0)
        if words and not words[0].startswith("-"):
            option = "--train" if hasattr(options, "train") else "--data.train"
            raise UserError(
                f"'{words[0]}' has no option before it; images to train on are {option} {words[0]}"
            )
        config = base(_value_of("--recipe", words) or "demo")
        if kind := _value_of("--generator.kind", words):
            config = override(config, {"generator.kind": kind})
        default = {"default": options(config=config)}  # type: ignore[call-arg]
        if "--help-all" in words:
            words = ["--help"]
        elif "--help" in words or "-h" in words:
            short, values = help.shortened(options, default["default"])
            default = {"default": values, "description": help.description(sys.modules["__main__"])}
            options = short
    elif "--help" in words or "-h" in words:
        options = help.for_help(options)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parsed = tyro.cli(
                options, prog=program or None, args=words, config=(tyro.conf.FlagCreatePairsOff,), **default
            )
        if base is None:
            return parsed
        if hasattr(parsed, "given"):
            parsed = dataclasses.replace(parsed, given=" ".join(_options_of(words)))  # type: ignore[type-var]
        return _with_own_code(parsed)
    except SystemExit as end:
        mistake = _cause(end)
        if mistake is None:
            sys.stderr.write(errors.getvalue())
            raise
        raise mistake from None  # our own message, without tyro's frame around it


def _with_own_code(options: T) -> T:
    """Return options whose settings are pinned to the user's files that they name, once these have run."""
    config: TrainConfig = options.config  # type: ignore[attr-defined]
    flat = flatten(config)
    pinned = {name: plugins.pin(name, flat[name]) for name in plugins.SETTINGS}
    if all(pinned[name] == flat[name] for name in pinned):
        return options
    config = override(config, pinned)
    from trainers.preflight import check_plugins  # torch: seconds

    check_plugins(config)
    return dataclasses.replace(options, config=config)  # type: ignore[type-var]


def parse_here(script: str, options: type[T], base: Callable[[str], Any] | None = None) -> T:
    """Return the options of a command for this process; if a cluster runs it, exit when it has ended there.

    The field `address` becomes the address of the chosen Ray, empty for this machine. With `base`, a command
    without recipe or data means the published recipe if there are data and a GPU, and otherwise the demo,
    which is printed first; `options` then has a method `check`.
    """
    words = [hide_word(word) for word in sys.argv[1:]]
    parsed: Any = parse(options, base)
    from orchestrator.cluster import target

    chosen = target.choose_target(parsed, os.environ)
    if isinstance(chosen, target.Remote | target.Jobs):
        from orchestrator.cluster.head import Head
        from orchestrator.cluster.job_server import JobServer
        from orchestrator.cluster.submit import submit_and_follow

        site = JobServer(chosen.url) if isinstance(chosen, target.Jobs) else Head(chosen.cluster)
        sys.exit(submit_and_follow(site, script, parsed, words, print))
    address = chosen.address if isinstance(chosen, target.Address) else ""
    if base:
        parsed.check()  # before torch is imported to look for a GPU
        more, sentence = target.defaults(words, os.environ, lambda: target.cluster_may_have_gpus(address))
        if sentence:
            print(sentence)
        if more:
            parsed = parse(options, base, [*words, *more])
    return dataclasses.replace(parsed, address=address)


def _cause(error: BaseException | None) -> UserError | None:
    """Return the UserError that led to `error`, if there is one."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _options_of(words: list[str]) -> list[str]:
    """Return the options among the words of a command line, without their values."""
    return [word.split("=")[0] for word in words if word.startswith("--")]


def _value_of(option: str, words: list[str]) -> str | None:
    for index, word in enumerate(words):
        if word == option and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(option + "="):
            return word.split("=", 1)[1]
    return None
