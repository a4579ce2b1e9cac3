"""Passwords and keys of addresses are masked where text leaves the process, known where one connects."""

import pytest

from datasets import address
from datasets.errors import UserError

MASKED = {
    "postgresql://bob:PW@db/x": "postgresql://***@db/x",
    "postgresql+psycopg2://bob:p@ss/w:rd@db:5432/x": "postgresql+psycopg2://***@db:5432/x",
    "http://bob:PW@host:5000": "http://***@host:5000",
    "https://token@host/path@v1": "https://***@host/path@v1",
    "https://host/path@v1": "https://host/path@v1",
    "s3://KEY:SECRET@bucket/a": "s3://***@bucket/a",
    "https://host/a?X-Amz-Signature=abc&n=1": "https://host/a?X-Amz-Signature=***&n=1",
    "s3://bucket/a?secret_key=abc": "s3://bucket/a?secret_key=***",
    "http://h/#/experiments/1/runs?orderByKey=a&b=1": "http://h/#/experiments/1/runs?orderByKey=a&b=1",
    "http://h/#/experiments/1/runs?viewStateShareKey=a": "http://h/#/experiments/1/runs?viewStateShareKey=a",
    "sqlite:////data/mlflow.db": "sqlite:////data/mlflow.db",
}


@pytest.fixture(autouse=True)
def _nothing_hidden(monkeypatch):
    monkeypatch.setenv(address.VARIABLE, "{}")


@pytest.mark.parametrize("given", MASKED)
def test_user_info_and_keys_are_masked_in_any_text(given):
    assert address.masked(f"cannot open '{given}': no") == f"cannot open '{MASKED[given]}': no"
    assert address.masked(MASKED[given]) == MASKED[given]


@pytest.mark.parametrize("given", MASKED)
def test_a_hidden_address_is_revealed_to_who_connects(given):
    assert address.reveal(address.hide(given)) == given


def test_what_lies_below_a_hidden_address_is_revealed_too():
    shown = address.hide("s3://KEY:SECRET@bucket/a/")
    assert address.reveal(shown + "b.tar") == "s3://KEY:SECRET@bucket/a/b.tar"


def test_of_two_hidden_addresses_the_nearest_one_is_meant():
    """Both begin alike once their users are masked; another user's password must not be sent."""
    above, below = "http://a:first@host", "http://b:second@host/mlflow"
    shown = [address.hide(above), address.hide(below)]
    assert [address.reveal(s) for s in shown] == [above, below]
    assert address.reveal(shown[1] + "/x") == below + "/x"


def test_a_known_password_is_masked_even_without_its_address():
    address.hide("postgresql://bob:p%40ssword@db/x")
    assert address.masked("FATAL: p@ssword and p%40ssword are wrong") == "FATAL: *** and *** are wrong"


def test_a_masked_address_of_another_command_is_refused():
    with pytest.raises(UserError, match=r"of postgresql://\*\*\*@db/x is stored nowhere: give the whole"):
        address.reveal("postgresql://***@db/x")


def test_words_of_a_command_line():
    assert address.hide_word("--storage=s3://K:S@b/a") == "--storage=s3://***@b/a"
    assert address.hide_word("a b@c:d") == "a b@c:d"


def test_a_user_of_http_becomes_a_header():
    assert address.http_request("http://bob:p%40w@h:5/a") == (
        "http://h:5/a",
        {"Authorization": "Basic Ym9iOnBAdw=="},
    )
    assert address.http_request("https://h/a") == ("https://h/a", {})


def test_an_address_that_has_no_parts_is_one_sentence():
    with pytest.raises(UserError, match=r"--tracking-uri http://h:x is not an address"):
        address.split("http://h:x", "--tracking-uri")
