"""Text for people that every package needs: durations, numbers, and names that come from outside."""


def format_duration(seconds: float) -> str:
    """Return `seconds` as M:SS, from an hour on as H:MM:SS; a fraction of a second is dropped."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def count(number: int, word: str) -> str:
    """Return a number with its word: "1 seed", "2 seeds"."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def short_number(value: float, digits: int = 3, sign: str = "") -> str:
    """Return `value` with so many significant digits and every digit before the point: 0.123, 12.3, 1,235.

    `sign` "+" shows the sign of positive numbers, too.
    """
    whole = abs(value) >= 10 ** (digits - 1)
    return f"{value:{sign},.0f}" if whole else f"{value:{sign}.{digits}g}"


def printable(text: str) -> str:
    """Return `text` for a terminal: characters that control it, or cannot be encoded, appear as escapes.

    Names of files and answers of servers may hold any character, also those that move the cursor, reverse
    the direction of the text, or stand for bytes that are not UTF-8.
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
