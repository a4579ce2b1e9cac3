"""UserError, a user's mistake (the command line prints its sentence and exits with 2), and Rejected."""


class UserError(ValueError):
    """A user's mistake in one sentence: what is wrong, what was given, what to do; options by dotted name."""


class DiskError(UserError):
    """A disk has too little room: the request is sound, and the same command works once there is more."""


class Rejected(Exception):
    """The reason for leaving one image out of a dataset; the import continues without it."""


DISK = (
    ("No space left on device", "the disk is full"),
    ("database or disk is full", "the disk is full"),
    ("Disk quota exceeded", "the disk quota is used up"),
    ("Read-only file system", "the disk is read-only"),
    ("readonly database", "the disk is read-only"),
    ("Permission denied", "this user may not write there"),
)
"""Words of the system's and of libraries' messages, and what they mean."""


def disk_trouble(error: BaseException | str | None) -> str:
    """Return a sentence if `error`, or its cause, is a disk that is full or cannot be written; else "".

    Libraries wrap the system's error: database errors, safetensors and Ray keep its words only.
    """
    while error is not None:
        for words, meaning in DISK:
            if words in str(error) or meaning in str(error):
                place = getattr(error, "filename", None)
                where = f"{place} cannot be written: " if place else ""
                return f"{where}{meaning}; change that and run the command again"
        error = None if isinstance(error, str) else error.__cause__ or error.__context__
    return ""


def unknown(kind: str, name: str, known: object, option: str = "") -> UserError:
    """Return the error for a name that is not in a table: "no upsampler 'pixelshufle'; known: ..."."""
    import difflib

    names = sorted(str(k) for k in known)  # type: ignore[attr-defined]
    close = difflib.get_close_matches(name, names, n=2)
    alike = [difflib.SequenceMatcher(None, candidate, name).ratio() for candidate in close]
    close = [candidate for candidate, ratio in zip(close, alike, strict=True) if ratio > alike[0] - 0.1]
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    where = f" (set {option})" if option else ""
    return UserError(f"no {kind} '{name}'; known: {', '.join(names)}{hint}{where}")
