"""The help of commands with hundreds of settings: --help, --help-all and --list."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, get_type_hints

import tyro
from docstring_parser import parse_from_object

from datasets.errors import unknown


def field_notes(options: type) -> dict[str, str]:
    """Return what is written below each field of a dataclass, its bases included, as one paragraph each."""
    classes = [c for c in reversed(options.__mro__) if dataclasses.is_dataclass(c)]
    docs = {p.arg_name: p.description or "" for c in classes for p in parse_from_object(c).params}
    return {name: " ".join(text.split()) for name, text in docs.items()}


def for_help(options: type, hidden: Sequence[str] = ()) -> type:
    """Return `options` as --help shows them: without the fields `hidden`, each text as one paragraph.

    tyro keeps the line breaks of docstrings that go on over indented lines.
    """
    hints, notes = get_type_hints(options, include_extras=True), field_notes(options)
    fields = []
    for field in dataclasses.fields(options):
        note = notes.get(field.name)
        shown = tyro.conf.Suppress if field.name in hidden else tyro.conf.arg(help=note or None)
        fields.append((field.name, Annotated[hints[field.name], shown], field))
    own = {"__module__": options.__module__, "__doc__": options.__doc__}
    frozen = options.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return dataclasses.make_dataclass(
        options.__name__, fields, bases=(options,), namespace=own, frozen=frozen, kw_only=True
    )


def shortened(options: type, default: Any) -> tuple[type, Any]:
    """Return `options` and its default for --help: without a run's settings and what `options.RARE` names."""
    short = for_help(options, ("config", *getattr(options, "RARE", ())))
    return short, short(config=default.config)


def description(script: Any) -> str:
    """Return the text above the options: what the script's module says, and how to see the rest."""
    rest = "Every setting of a run, such as --recipe or --run.gan-steps: --help-all"
    return f"{inspect.getdoc(script)}\n\n{rest}. Names: --list {'|'.join(LISTS)}."


def listing(what: str) -> str:
    """Return the names that `--list WHAT` asks for, each with a sentence; those of all lists for "".

    Raises:
        UserError: there is no such list.
    """
    if not what:
        return "\n\n".join(f"{name}:\n{listing(name)}" for name in LISTS)
    if what not in LISTS:
        raise unknown("list", what, LISTS)
    rows = list(LISTS[what]())
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {sentence}".rstrip() for name, sentence in rows)


def _recipes() -> Iterable[tuple[str, str]]:
    from experiments import recipes

    for name, build in recipes.RECIPES.items():
        sentence = (inspect.getdoc(build) or "").split("\n\n")[0].replace("\n", " ")
        yield name, sentence.removeprefix("Return a recipe that ")


def _spaces() -> Iterable[tuple[str, str]]:
    from experiments import spaces

    for name, space in spaces.SPACES.items():
        yield name, f"{space.trials} trials over {', '.join(space.axes)}"


def _metrics() -> Iterable[tuple[str, str]]:
    from trainers.metrics import METRICS

    for name, metric in METRICS.items():
        better = "higher" if metric.direction == "max" else "lower"
        missing = f"; first: upsweep weights {name}" if metric.unavailable() else ""
        yield name, f"{better} is better: {metric.protocol}{missing}"


def _architectures() -> Iterable[tuple[str, str]]:
    from trainers.config.generators import GENERATORS

    for name, kind in GENERATORS.items():
        sizes = f"sizes {', '.join(kind.sizes)}" if kind.sizes else f"sets {', '.join(kind.reads)}"
        yield name, f"x{', x'.join(map(str, kind.scales))}; {sizes}"


LISTS: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
    "recipes": _recipes,
    "spaces": _spaces,
    "metrics": _metrics,
    "architectures": _architectures,
}
"""Word after --list -> its rows."""
