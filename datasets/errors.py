"""UserError, the exception for a user's mistake; the command line prints its sentence and exits with 2."""


class UserError(ValueError):
    """A user's mistake in one sentence: what is wrong, what was given, what to do; options by dotted name."""


def unknown(kind: str, name: str, known: object, option: str = "") -> UserError:
    """Return the error for a name that is not in a table: "no upsampler 'pixelshufle'; known: ..."."""
    import difflib

    names = sorted(str(k) for k in known)  # type: ignore[attr-defined]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    where = f" (set {option})" if option else ""
    return UserError(f"no {kind} '{name}'; known: {', '.join(names)}{hint}{where}")
