"""Durations, numbers and foreign names as text."""

import pytest

from datasets.text import count, format_duration, printable, short_number


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7384, "2:03:04")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e-05"), (0.12345, "0.123"), (99.96, "100"), (1234.5, "1,234")],
)
def test_a_large_number_has_no_exponent(value, text):
    assert short_number(value) == text
    assert short_number(-value, sign="+") == f"-{text}" and short_number(value, sign="+") == f"+{text}"
    assert (short_number(15.2, 2), short_number(125.0, 2), short_number(0.125, 2)) == ("15", "125", "0.12")


def test_one_is_singular():
    assert (count(1, "seed"), count(2, "seed"), count(0, "trial")) == ("1 seed", "2 seeds", "0 trials")


def test_characters_that_control_a_terminal_appear_as_escapes():
    assert printable("a [red]é\n") == "a [red]é\n"
    assert printable("\x1b[2J\u202ea\udce9") == "\\x1b[2J\\u202ea\\udce9"
