"""Durations as text."""

import pytest

from datasets.text import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7384, "2:03:04")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
