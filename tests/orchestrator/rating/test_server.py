"""The page serves this machine alone, reveals no model, and keeps every score."""

import json
import re
import urllib.parse

import pytest
from helpers.rating_panel import addresses, make, told_in

from orchestrator.rating.scores import ScoreStore
from orchestrator.rating.server import HEADERS, App, HttpRequest

HOST = {"Host": "127.0.0.1:8765"}


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


@pytest.fixture
def app(study):
    return App(study)


def get(app, path, **headers):
    return app.respond(HttpRequest("GET", path, HOST | headers))


def post(app, path, form, **headers):
    return app.respond(HttpRequest("POST", path, HOST | headers, urllib.parse.urlencode(form).encode()))


def form_token(page):
    return re.search(r'name="token" value="([0-9a-f]+)"', page.body.decode())[1]


def begin(app, name="Ada", **more):
    return post(app, "/begin", {"token": form_token(get(app, "/")), "name": name, **more})


def score(app, address, value, **more):
    return post(app, address, {"token": form_token(get(app, address)), "score": value, **more})


def test_a_rater_gets_from_the_name_to_the_end(app):
    first = begin(app).headers["Location"]
    assert get(app, first).headers["Location"] == first + "example/1"
    example = get(app, first + "example/1").body.decode()
    assert "<b>1</b> bad" in example and "<b>5</b> excellent" in example and f'href="{first}1"' in example
    address = first + "1"
    for number in range(1, app.total + 1):
        assert f"Picture {number} of {app.total}" in get(app, address).body.decode()
        answer = score(app, address, 1 + number % 5, shown="0.500")
        address = answer.headers["Location"]
    assert f"all {app.total} pictures are scored" in get(app, address).body.decode()
    kept = ScoreStore(app.study).join("Ada", 1)
    assert kept.finished and {line["shown"] for line in kept.ratings.values()} == {0.5}


def test_a_reload_and_a_new_server_continue_the_session(app):
    root = begin(app).headers["Location"]
    for number in (1, 2, 3):
        score(app, f"{root}{number}", 4)
    assert get(app, f"{root}3").status == 200  # back
    assert get(App(app.study), root).headers["Location"] == f"{root}4"
    assert get(app, f"{root}5").headers["Location"] == root  # no looking ahead


def test_going_back_shows_and_replaces_the_score(app):
    root = begin(app).headers["Location"]
    score(app, f"{root}1", 4)
    assert 'value="4" aria-label="4, good" class=given' in get(app, f"{root}1").body.decode()
    assert score(app, f"{root}1", 2).headers["Location"] == f"{root}2"
    lines = app.store.find(root.split("/")[2]).path.read_text().splitlines()
    assert [json.loads(line)["score"] for line in lines[1:]] == [4, 2]
    assert app.store.join("Ada", 1).ratings[0]["score"] == 2


def test_a_known_name_must_confirm_before_it_continues(app):
    root = begin(app).headers["Location"]
    score(app, f"{root}1", 4)
    page = begin(app, " ADA ")
    assert page.status == 200 and f"Ada has scored 1 of {app.total} pictures." in page.body.decode()
    assert begin(app, "Ada", again="yes").headers["Location"] == root
    assert begin(app, "Bo").headers["Location"] != root


def test_no_response_names_a_model_or_a_picture(app):
    pages = [get(app, "/"), begin(app)]
    root = pages[-1].headers["Location"]
    pages += [get(app, root), get(app, root + "example/1")]
    for number in range(1, app.total + 1):
        pages += [get(app, f"{root}{number}"), score(app, f"{root}{number}", 3)]
    pages.append(get(app, f"{root}{app.total + 1}"))
    seen = set()
    for page in list(pages):
        for address in addresses(page.body.decode()):
            if "/picture/" in address or address.startswith("/page"):
                seen.add(address)
                pages.append(get(app, address))
                assert pages[-1].status == 200
    assert len(seen) == 2 + app.total + 2  # a repeat has an address of its own
    for page in pages:
        assert told_in(f"{page.content_type} {page.headers} ".encode() + page.body) == []


def test_pictures_of_later_positions_and_of_other_raters_stay_closed(app):
    ada, bo = (begin(app, name).headers["Location"] for name in ("Ada", "Bo"))
    picture = next(a for a in addresses(get(app, ada + "1").body.decode()) if "/picture/" in a)
    assert get(app, picture).content_type == "image/png"
    assert get(app, picture.replace(ada, bo)).status == 404
    session = app.store.find(ada.split("/")[2])
    assert get(app, f"{ada}picture/{app._url_name(session, 'trial', 1)}").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:8765"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost:9000"}, 200),
        ({"Host": "127.0.0.1"}, 200),
    ],
)
def test_only_names_of_this_machine_are_answered(app, headers, status):
    assert get(app, "/", **headers).status == status


def test_forms_of_other_pages_are_refused(app):
    root = begin(app).headers["Location"]
    right = form_token(get(app, root + "1"))
    form = {"token": right, "score": 5}
    assert post(app, root + "1", form, Origin="http://evil.example").status == 403
    assert post(app, root + "1", form, Origin="null").status == 403
    assert post(app, root + "1", {"score": 5}).status == 403
    assert post(app, root + "1", form | {"token": "é"}).status == 403
    assert post(app, "/begin", {"name": "Mallory"}).status == 403
    assert app.store.join("Ada", 1).current == 0 and len(app.store._sessions) == 1
    assert post(app, root + "1", form, Origin="http://127.0.0.1:8765").status == 303


@pytest.mark.parametrize("value", ["0", "6", "4.5", "", "five", "٣"])
def test_scores_are_integers_from_1_to_5(app, value):
    root = begin(app).headers["Location"]
    assert score(app, root + "1", value).status == 422
    assert app.store.join("Ada", 1).current == 0


def test_strange_requests_find_nothing(app):
    root = begin(app).headers["Location"]
    for path in (
        "/study.json",
        "/r/../study.json",
        root + "picture/..%2f",
        "/r/ffff/1",
        root + "example/9",
        "//x",
        "/r//",
    ):
        assert get(app, path).status == 404, path
    assert get(app, root + "999999").headers["Location"] == root
    page = begin(app, '<script>alert("x")</script>')
    score(app, page.headers["Location"] + "1", 3)
    again = begin(app, '<script>alert("x")</script>').body
    assert b"<script>alert" not in again and b"&lt;script&gt;" in again


def test_an_unsaved_score_is_an_error_page(app, monkeypatch):
    root = begin(app).headers["Location"]
    monkeypatch.setattr("orchestrator.rating.scores.os.write", lambda handle, data: 3)
    answer = score(app, root + "1", 3)
    assert answer.status == 507 and b"not saved" in answer.body and b"disk is full" in answer.body


def test_no_page_may_load_anything_from_elsewhere(app):
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    for path in ("/", "/page.css", "/page.js"):
        assert not re.search(rb"https?:|[\"'(]//|url\(|@import", get(app, path).body), path
