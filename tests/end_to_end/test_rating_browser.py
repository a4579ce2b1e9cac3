"""Two people rate in real browsers, one reloads midway; neither can find out whose pictures they see."""

import json
import os
from functools import cache
from pathlib import Path

import pytest
from helpers.rating_command import start, stop
from helpers.rating_panel import make, told_in
from helpers.webdriver import CHROMIUM, DRIVER, Drivers
from PIL import Image

from experiments.rate import open_or_create
from orchestrator.rating.publish import compute_results
from orchestrator.rating.scores import read_sessions
from orchestrator.rating.study import RatingRequest, open_study

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no Chromium with its driver (apt-get install chromium-driver)"
    ),
]
TASTE = {"sharpnet": 4, "softnet": 2, "nearest": 1, "bicubic": 3, "HR": 5}


@pytest.fixture
def page(tmp_path):
    """A study and the address of its page."""
    study = make(tmp_path)
    process, port = start(tmp_path)
    try:
        yield study, f"http://127.0.0.1:{port}/"
    finally:
        stop(process)


def begin(window, address, name):
    window.open(address)
    window.type("input[name=name]", name)
    window.press("Enter")
    window.until_title("Example 1 of 1")
    window.press("Enter")
    window.until_title("Picture 1 of .*")


def seen(window, study):
    """(model, image) of the picture on the screen, found by its pixels: the page itself does not tell."""
    script = "const p = document.querySelector('#picture'), c = document.createElement('canvas');"
    script += "c.width = p.naturalWidth; c.height = p.naturalHeight; const d = c.getContext('2d');"
    script += "d.drawImage(p, 0, 0); return [...d.getImageData(0, 0, c.width, c.height).data];"
    pixels = bytes(window.run(script))
    return pictures_of(study.folder)[pixels]


@cache
def pictures_of(folder):
    """(model, image) by the pixels of the picture, of the study in `folder`."""
    study, known = open_study(folder, RatingRequest()), {}
    for image, name in enumerate(study.images):
        for model, title in enumerate(study.models):
            with Image.open(study.picture(image, model)) as picture:
                known[picture.convert("RGBA").tobytes()] = (title, name)
    return known


def rate(window, study, numbers, total, by_key=True):
    for number in numbers:
        window.until_title(f"Picture {number} of {total}")
        score = TASTE[seen(window, study)[0]]
        if by_key:
            window.press(str(score))
        else:
            window.click(f".scores button[value='{score}']")
    window.until_title(f"Picture {numbers[-1] + 1} of {total}" if numbers[-1] < total else "Done")


def test_two_people_rate_at_once_and_one_reloads_midway(page, tmp_path):
    study, address = page
    total = len(study.images) * len(study.models) + 4
    with Drivers() as drivers:
        ada, bo = (drivers.window(tmp_path / name) for name in ("ada", "bo"))
        begin(ada, address, "Ada")
        begin(bo, address, "Bo")
        rate(ada, study, range(1, 9), total)
        rate(bo, study, range(1, 5), total, by_key=False)
        place = ada.address
        ada.reload()
        assert ada.until_title(f"Picture 9 of {total}") and ada.address == place
        ada.open(address)  # the window was closed: the name goes on
        ada.type("input[name=name]", "ada")
        ada.press("Enter")
        ada.until_title("Rate pictures")
        assert f"Ada has scored 8 of {total} pictures." in ada.source
        ada.click("button.go")
        rate(ada, study, range(9, total + 1), total)
        rate(bo, study, range(5, total + 1), total)
        for window in (ada, bo):
            assert window.console() == []
    first, second = read_sessions(study.folder)
    assert first.finished and second.finished and first.order != second.order
    for session in (first, second):
        assert all(line["score"] == TASTE[line["model"]] for line in session.ratings.values())
    (panel,) = compute_results(study, "", 0.75).panels
    assert {score.model: score.mean for score in panel.scores} == TASTE


def test_keys_go_back_and_ignore_what_is_no_score(page, tmp_path):
    study, address = page
    with Drivers() as drivers:
        window = drivers.window(tmp_path / "profile")
        begin(window, address, "Ada")
        for key in ("0", "6", "a", "Enter"):
            window.press(key)
        assert window.title.startswith("Picture 1 of")
        window.press("3")
        window.until_title("Picture 2 of .*")
        window.press("Backspace")
        window.until_title("Picture 1 of .*")
        assert window.run("return document.querySelector('.given').value") == "3"
        window.press("5")
        window.until_title("Picture 2 of .*")
    (session,) = read_sessions(study.folder)
    assert [line["score"] for line in session.ratings.values()] == [5]


def test_nothing_the_browser_receives_names_a_model_or_a_picture(page, tmp_path):
    study, address = page
    total = len(study.images) * len(study.models) + 4
    sources = []
    with Drivers() as drivers:
        window = drivers.window(tmp_path / "profile")
        window.open(address)
        sources.append(window.source)
        begin(window, address, "Ada")
        for number in range(1, total + 1):
            window.until_title(f"Picture {number} of {total}")
            sources.append(window.source)
            window.press(str(1 + number % 5))
        window.until_title("Done")
        sources.append(window.source)
        events = window.traffic()
    for source in sources:
        assert told_in(source.encode()) == []
    asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    requests = [a["request"]["url"] for a in asked if a["documentURL"].startswith(address)]
    answers = [e["params"]["response"] for e in events if e["method"] == "Network.responseReceived"]
    pictures = [url for url in requests if "/picture/" in url]
    assert len(pictures) == len(set(pictures)) == total + 2
    assert all(url.startswith((address, "data:")) for url in requests)
    assert told_in("\n".join(requests).encode()) == []
    assert told_in(json.dumps([answer.get("headers") for answer in answers]).encode()) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("width", "height", "phone"), [(1280, 800, False), (360, 640, True)], ids=["desk", "phone"]
)
def test_a_page_fits_the_screen(tmp_path, width, height, phone, dark):
    data = Path(os.environ.get("UPSWEEP_TEST_DATA", "/nowhere"))
    study = real_study(data, tmp_path) if (data / "Set5").is_dir() else make(tmp_path)
    process, port = start(study.folder.parent)
    try:
        with Drivers() as drivers:
            window = drivers.window(tmp_path / "profile")
            window.screen(width, height, dark=dark, phone=phone)
            window.open(f"http://127.0.0.1:{port}/")
            window.picture(tmp_path / "start.png")
            fits(window)
            begin(window, f"http://127.0.0.1:{port}/", "Ada")
            window.press("Backspace")
            window.until_title("Example 1 of .*")
            window.picture(tmp_path / "example.png")
            fits(window)
            window.press("Enter")
            window.until_title("Picture 1 of .*")
            window.picture(tmp_path / "trial.png")
            fits(window)
            assert window.run("return document.documentElement.scrollHeight - innerHeight") <= 0
            below = "return document.querySelector('.scores').getBoundingClientRect().bottom - innerHeight"
            assert window.run(below) <= 0
            ground = window.run("return getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, ground[4:-1].split(","))) < 150) == dark
    finally:
        stop(process)


def test_a_large_picture_is_seen_whole_and_pixel_by_pixel_on_request(tmp_path):
    study = make(tmp_path, side=1200, max_images=1, resizers=())
    process, port = start(tmp_path)
    try:
        with Drivers() as drivers:
            window = drivers.window(tmp_path / "profile")
            window.screen(1000, 700)
            begin(window, f"http://127.0.0.1:{port}/", "Ada")
            width = "return document.querySelector('#picture').getBoundingClientRect().width"
            small = window.run(width)
            assert small < 700 and "z or a tap for full size" in window.source
            window.press("z")
            assert window.run(width) == 1200 and "full size" in window.source
            window.press("z")
            window.press("4")
            window.until_title("Picture 2 of .*")
    finally:
        stop(process)
    (session,) = read_sessions(study.folder)
    assert session.ratings[0]["shown"] == pytest.approx(small / 1200, abs=0.001)


def fits(window):
    assert window.run("return document.documentElement.scrollWidth - innerWidth") <= 0


def real_study(data, folder):
    """Set5 with itself as the model."""
    request = RatingRequest(images=(f"other={data / 'Set5/HR'}",), hr=str(data / "Set5/HR"), calibration=1)
    return open_or_create(folder / "study", request, "", "cpu", lambda _: None)
