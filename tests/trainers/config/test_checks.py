"""Checks of settings: nothing for what is allowed, else one sentence with the dotted name."""

from dataclasses import dataclass

import pytest

from datasets.errors import UserError
from trainers.config import checks


@dataclass
class Some:
    size: int = 3
    share: float = 0.5
    kind: str = "a"


def test_allowed_values_pass():
    checks.at_least("some", Some(), 3, "size", "size")
    checks.below_one("some", Some(share=0.0), "share")
    checks.known("some", Some(), ("letter", "kind", ("a", "b")))
    checks.must_be("some", Some(), "kind", "a", "because")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: checks.at_least("some", Some(), 4, "size"), "some.size must be at least 4, but got 3"),
        (
            lambda: checks.below_one("some", Some(share=1.0), "share"),
            r"some.share must be in \[0, 1\), but got 1",
        ),
        (
            lambda: checks.known("some", Some(), ("letter", "kind", ("b", "c"))),
            r"no letter 'a'; known: b, c \(set some.kind\)",
        ),
        (
            lambda: checks.must_be("some", Some(), "kind", "b", "c is d"),
            r"some.kind must be b \(c is d\), but got a",
        ),
    ],
)
def test_a_refused_value_is_named_with_its_setting(check, message):
    with pytest.raises(UserError, match=message):
        check()
