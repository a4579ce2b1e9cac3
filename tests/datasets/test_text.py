"""Durations and foreign names as text."""

import pytest

from datasets.text import format_duration, printable


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7384, "2:03:04")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_characters_that_control_a_terminal_appear_as_escapes():
    assert printable("a [red]é\n") == "a [red]é\n"
    assert printable("\x1b[2J\u202ea\udce9") == "\\x1b[2J\\u202ea\\udce9"
