"""A rating study: blind pictures, an order of one's own, scores that survive, a page for this machine."""

import json
import re
import struct
import urllib.parse

import pytest
from helpers.rating_panel import IMAGES, SECRETS, addresses, make, request_of, sit, told_in, write_pictures

from datasets.errors import UserError
from orchestrator.rating.commands import open_or_create
from orchestrator.rating.presentation import choose, opaque_name, trials
from orchestrator.rating.scores import RatingSession, ScoreStore, clean_name
from orchestrator.rating.server import HEADERS, App, Request
from orchestrator.rating.study import Request as Wish
from orchestrator.rating.study import held, open_study

HOST = {"Host": "127.0.0.1:8765"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


@pytest.fixture
def app(study):
    return App(study)


def get(app, path, **headers):
    return app.respond(Request("GET", path, HOST | headers))


def post(app, path, form, **headers):
    return app.respond(Request("POST", path, HOST | headers, urllib.parse.urlencode(form).encode()))


def form_token(page):
    return re.search(r'name="token" value="([0-9a-f]+)"', page.body.decode())[1]


def begin(app, name="Ada", **more):
    return post(app, "/begin", {"token": form_token(get(app, "/")), "name": name, **more})


def score(app, address, value, **more):
    return post(app, address, {"token": form_token(get(app, address)), "score": value, **more})


def test_every_picture_comes_once_and_repeats_come_late():
    order = trials(10, 5, 7, "Ada/1")
    first = [(t.image, t.model) for t in order if not t.repeat]
    assert sorted(first) == [(i, m) for i in range(10) for m in range(5)]
    again = {(t.image, t.model): place for place, t in enumerate(order) if t.repeat}
    assert len(again) == 7
    gaps = [
        place - next(p for p, t in enumerate(order) if (t.image, t.model) == k) for k, place in again.items()
    ]
    assert min(gaps) >= 50 // 6


def test_the_order_belongs_to_the_rater_and_the_session():
    assert trials(6, 4, 3, "Ada/1") == trials(6, 4, 3, "Ada/1")
    assert len({tuple(trials(6, 4, 3, seed)) for seed in ("Ada/1", "Ada/2", "Bo/1")}) == 3


def test_at_most_a_third_repeats():
    assert sum(t.repeat for t in trials(2, 3, 50, "x")) == 2


def test_calibration_images_are_never_rated():
    calibration, rated = choose("abcdefgh", 2, 3, "seed")
    assert len(calibration) == 2 and len(rated) == 3 and not set(calibration) & set(rated)


def test_tokens_differ_with_the_secret_and_do_not_run_together():
    assert opaque_name("s", "a", "bc") != opaque_name("s", "ab", "c") and opaque_name(
        "s", "a"
    ) != opaque_name("t", "a")
    assert re.fullmatch("[0-9a-f]{24}", opaque_name("s", "a"))


def test_pictures_hold_pixels_and_nothing_else(made):
    files = sorted((made.folder / "pictures").iterdir())
    assert len(files) == 3 * 5 + 2
    for file in files:
        assert not any(secret.lower() in file.name.lower() for secret in SECRETS)
        assert set(chunks(file.read_bytes())) == {b"IHDR", b"IDAT", b"IEND"}


def chunks(data):
    place = 8
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        yield kind
        place += 12 + length


def test_a_study_is_continued_and_another_one_is_refused(study):
    assert open_study(study.folder, Wish()) == study
    assert open_study(study.folder, Wish(calibration=1, repeats=4)) == study
    with pytest.raises(UserError, match="made with another --repeats; leave that out to go on"):
        open_study(study.folder, Wish(repeats=5))


def test_a_start_that_was_killed_leaves_no_study(tmp_path):
    request = request_of(tmp_path)
    (tmp_path / ".study.part/pictures").mkdir(parents=True)
    (tmp_path / "study/pictures").mkdir(parents=True)
    (tmp_path / "study/pictures/0009-09.png").write_bytes(b"old")
    assert open_study(tmp_path / "study", request) is None
    study = open_or_create(tmp_path / "study", request, "", "cpu", lambda _: None)
    assert not (study.folder / "pictures/0009-09.png").exists() and not (tmp_path / ".study.part").exists()


def test_one_process_serves_a_study(study):
    with held(study.folder), pytest.raises(UserError, match="another process serves"):
        with held(study.folder):
            pass


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "softnet/meadow.png").unlink(), "--images softnet lacks meadow; every folder needs"),
        (lambda f: (f / "HR/meadow.png").unlink(), "--images sharpnet has meadow, which the HR set lacks"),
        (
            lambda f: (f / "softnet/meadow.png").with_suffix(".bmp").write_bytes(b""),
            "--images softnet has two pictures for meadow",
        ),
        (
            lambda f: (
                write_pictures(f / "other", 0, side=60)
                .joinpath("quarry.png")
                .replace(f / "softnet/quarry.png")
            ),
            "sizes differ: quarry.png of softnet is 60 x 60 px, HR is 48 x 48 px",
        ),
        (lambda f: (f / "softnet/quarry.png").write_bytes(b"no picture"), "quarry.png: not a picture"),
    ],
)
def test_pictures_that_do_not_fit_are_refused_in_one_sentence(tmp_path, change, sentence):
    request = request_of(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError, match=re.escape(sentence)):
        open_or_create(tmp_path / "study", request, "", "cpu", lambda _: None)
    assert not (tmp_path / "study/study.json").exists()


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({}, "there is no study in .*; name models by --images"),
        ({"images": ("a=x",)}, "by --hr FOLDER or by --test SET, one of the two"),
        ({"images": ("a=x",), "hr": "y", "test": "z"}, "one of the two"),
        (
            {"images": ("a=x",), "hr": "nowhere"},
            "--hr must be a folder of pictures, but there is none at nowhere",
        ),
        ({"images": ("folder",), "hr": "y"}, "--images must be NAME=PLACE, but got 'folder'"),
        ({"images": ("a=x", "a=y"), "hr": "y"}, "--images names a twice"),
        ({"images": ("HR=x",), "hr": "y"}, "other than HR"),
        ({"images": ("a=x",), "model": ("a=x",), "hr": "y"}, "both name a"),
    ],
)
def test_requests_that_cannot_be_are_refused(tmp_path, wish, sentence):
    with pytest.raises(UserError, match=sentence):
        open_or_create(tmp_path / "study", Wish(**wish), "", "cpu", lambda _: None)


def test_numbers_out_of_range_and_unknown_resizers_are_refused(tmp_path):
    with pytest.raises(UserError, match="--calibration must be at least 1, but got 0"):
        Wish(calibration=0)
    with pytest.raises(UserError, match="no resizer 'bicubc'.*did you mean 'bicubic'"):
        make(tmp_path, resizers=("bicubc",))
    with pytest.raises(UserError, match="4 images leave none to rate beside --calibration 4"):
        make(tmp_path / "b", calibration=4)


def test_names_of_upscaled_files_and_sizes_before_the_cut_fit(tmp_path):
    request = request_of(tmp_path)
    for name in IMAGES:
        (tmp_path / f"softnet/{name}.png").rename(tmp_path / f"softnet/{name}_x4.png")
    larger = write_pictures(tmp_path / "larger", 5, side=50)  # HR of 50 px is cut to 48
    wish = Wish(images=(request.images[1], f"larger={larger}"), hr=request.hr, calibration=1)
    study = open_or_create(tmp_path / "study", wish, "", "cpu", lambda _: None)
    assert study.models == ("softnet", "larger", "nearest", "bicubic", "HR")


def test_a_score_is_on_the_disk_before_it_is_answered(study, monkeypatch):
    synced = []
    monkeypatch.setattr("orchestrator.rating.scores.os.fsync", lambda handle: synced.append(handle))
    sitting = ScoreStore(study).seat("Ada", 1)
    synced.clear()
    sitting.rate(study, 0, 4, None)
    assert len(synced) == 1
    kept = json.loads(sitting.path.read_text().splitlines()[-1])
    trial = sitting.order[0]
    assert (kept["score"], kept["model"]) == (4, study.models[trial.model])


def test_a_rater_goes_on_after_a_kill_even_in_the_middle_of_a_line(study):
    sitting = sit(ScoreStore(study), "Ada", lambda *_: 3, until=5)
    with open(sitting.path, "a") as file:
        file.write('{"position": 5, "sco')
    again = ScoreStore(study).seat("ada", 1)
    assert again.current == 5 and again.order == sitting.order
    again.rate(study, 5, 2, None)
    assert RatingSession(sitting.path).ratings[5]["score"] == 2


def test_a_full_disk_keeps_no_half_score(study, monkeypatch):
    sitting = ScoreStore(study).seat("Ada", 1)
    before = sitting.path.read_bytes()

    def refuse(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.rating.scores.os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        sitting.rate(study, 0, 4, None)
    assert sitting.path.read_bytes() == before and sitting.current == 0


def test_a_damaged_file_is_named(study):
    path = ScoreStore(study).seat("Ada", 1).path
    path.write_text(path.read_text() + "garbage\n")
    with pytest.raises(UserError, match="jsonl is damaged"):
        ScoreStore(study)


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\x00b"])
def test_names_that_will_not_do(name):
    with pytest.raises(UserError, match="1 to 40 characters"):
        clean_name(name)


def test_a_rater_is_led_from_the_name_to_the_end(app):
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
    kept = ScoreStore(app.study).seat("Ada", 1)
    assert kept.finished and {line["shown"] for line in kept.ratings.values()} == {0.5}


def test_a_reload_and_a_new_server_go_on_where_the_rater_stopped(app):
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
    lines = app.ledger.find(root.split("/")[2]).path.read_text().splitlines()
    assert [json.loads(line)["score"] for line in lines[1:]] == [4, 2]
    assert app.ledger.seat("Ada", 1).ratings[0]["score"] == 2


def test_a_known_name_is_asked_before_it_goes_on(app):
    root = begin(app).headers["Location"]
    score(app, f"{root}1", 4)
    page = begin(app, " ADA ")
    assert page.status == 200 and f"Ada has scored 1 of {app.total} pictures." in page.body.decode()
    assert begin(app, "Ada", again="yes").headers["Location"] == root
    assert begin(app, "Bo").headers["Location"] != root


def test_nothing_that_a_rater_gets_names_a_model_or_a_picture(app):
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
        assert told_in(f"{page.kind} {page.headers} ".encode() + page.body) == []


def test_pictures_of_later_positions_and_of_other_raters_stay_closed(app):
    ada, bo = (begin(app, name).headers["Location"] for name in ("Ada", "Bo"))
    picture = next(a for a in addresses(get(app, ada + "1").body.decode()) if "/picture/" in a)
    assert get(app, picture).kind == "image/png"
    assert get(app, picture.replace(ada, bo)).status == 404
    sitting = app.ledger.find(ada.split("/")[2])
    assert get(app, f"{ada}picture/{app._named(sitting, 'trial', 1)}").status == 404


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
    assert app.ledger.seat("Ada", 1).current == 0 and len(app.ledger._sittings) == 1
    assert post(app, root + "1", form, Origin="http://127.0.0.1:8765").status == 303


@pytest.mark.parametrize("value", ["0", "6", "4.5", "", "five", "٣"])
def test_scores_are_integers_from_1_to_5(app, value):
    root = begin(app).headers["Location"]
    assert score(app, root + "1", value).status == 422
    assert app.ledger.seat("Ada", 1).current == 0


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


def test_an_unsaved_score_says_so(app, monkeypatch):
    root = begin(app).headers["Location"]
    monkeypatch.setattr("orchestrator.rating.scores.os.write", lambda handle, data: 3)
    answer = score(app, root + "1", 3)
    assert answer.status == 507 and b"not saved" in answer.body and b"disk is full" in answer.body


def test_no_page_may_load_anything_from_elsewhere(app):
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    for path in ("/", "/page.css", "/page.js"):
        assert not re.search(rb"https?:|[\"'(]//|url\(|@import", get(app, path).body), path
