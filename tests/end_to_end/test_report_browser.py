"""The report in a real browser: by mouse and keyboard, at three widths, in both themes."""

import os
import time
from pathlib import Path

import pytest
from helpers.fake_sweep import fake_strip, fake_sweep
from helpers.webdriver import CHROMIUM, DRIVER, Drivers

from orchestrator.report import build_report
from orchestrator.report.data import from_parts
from orchestrator.report.page import render_unfinished

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no Chromium or chromedriver is installed (apt-get install chromium chromium-driver)",
    ),
]
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
LOOKS = [(1280, False), (1280, True), (800, False), (390, True), (390, False)]
LEVEL = "return document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of a report with a sheet of pictures."""
    folder = tmp_path_factory.mktemp("sweep")
    fake_sweep(folder)
    fake_strip(folder / "trials" / "confirm-0-s1" / "strip.png")
    return build_report(folder).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser's window."""
    with Drivers() as drivers:
        yield drivers.window(tmp_path_factory.mktemp("profile"))


@pytest.fixture
def window(browser, page):
    """The report, opened and complete."""
    browser.screen(1280, 900)
    browser.open(page)
    browser.console()
    for _ in range(200):
        if browser.run("return document.querySelectorAll('.cells canvas').length"):
            break
    return browser


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_nothing_complains_and_nothing_is_wider_than_the_screen(window, width, dark):
    window.screen(width, 900, dark=dark, phone=width < 500)
    window.reload()
    assert window.console() == [] and window.run(LEVEL) <= 0


@pytest.mark.parametrize("width", [390, 700, 1280])
def test_comparisons_can_be_read_without_scrolling_sideways(window, width):
    window.screen(width, 900, phone=width < 500)
    cells = "[...document.querySelectorAll('.stacked td:last-child')]"
    edges = window.run(f"return {cells}.map((cell) => cell.getBoundingClientRect().right)")
    assert edges and max(edges) <= width
    assert window.run(f"return {cells}.every((cell) => cell.scrollWidth <= cell.clientWidth)")
    label = window.run(f"return getComputedStyle({cells}[0], '::before').content")
    assert label == ('"difference"' if width < 500 else "none")


def test_the_table_of_all_runs_is_as_wide_as_the_page_and_no_heading_is_broken_in_a_word(window):
    """It jutted out on both sides of the page, and ids at its right end were cut."""
    for width in (1280, 390):
        window.screen(width, 900, phone=width < 500)
        window.reload()
        edges = "(e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right])"
        box = window.run(f"return {edges}(document.querySelector('#trials .wide'))")
        assert box == window.run(f"return {edges}(document.querySelector('#trials h2'))")
        inner = (
            "const box = document.querySelector('#trials .wide'); return box.scrollWidth - box.clientWidth"
        )
        assert window.run(inner) <= 0 or width < 500, "it scrolls inside its box"
        stage = "document.querySelectorAll('.trials th button')[1]"
        assert window.run(f"return {stage}.getClientRects().length") == 1


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not here (npm install axe-core, or AXE_CORE=FILE)")
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_no_violation(window, width, dark):
    window.screen(width, 900, dark=dark, phone=width < 500)
    window.run(AXE.read_text())
    window.run(
        "axe.run().then((found) => {"
        "window.found = found.violations.map((v) => v.id + ': ' + v.nodes[0].html); })"
    )
    for _ in range(300):
        if (found := window.run("return window.found")) is not None:
            break
    assert found == []


@pytest.fixture
def running(tmp_path):
    """The address of the page of a sweep that runs, which is read again every second."""
    facts, rows = fake_sweep(tmp_path)
    facts = {**facts, "status": "running", "pick": None, "front": []}
    rows = [row for row in rows if row["stage"] != "test"]
    page = tmp_path / "report.html"
    page.write_text(render_unfinished(from_parts(tmp_path, facts, rows), "Running: screen 3 of 14 done", 1))
    return page.as_uri()


def test_the_page_of_a_running_sweep_is_read_again_unless_its_box_is_unchecked(browser, running):
    browser.screen(390, 900, phone=True)
    browser.open(running)
    assert browser.run(LEVEL) <= 0
    browser.run("window.seen = true")
    for _ in range(600):
        if again := browser.run("return window.seen") is None:
            break
        time.sleep(0.05)
    assert again
    browser.run("document.getElementById('live').checked = false; window.seen = true")
    time.sleep(1.5)
    assert browser.run("return window.seen") and browser.console() == []
    if AXE.is_file():
        browser.run(AXE.read_text())
        browser.run("axe.run().then((found) => { window.found = found.violations.map((v) => v.id); })")
        for _ in range(600):
            if (found := browser.run("return window.found")) is not None:
                break
            time.sleep(0.05)
        assert found == []


def test_a_mark_leads_to_its_row_and_a_button_back(window):
    window.run("document.querySelector('.mark.pick').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    lit = "return [...document.querySelectorAll('tr.lit')].map((row) => row.id)"
    assert window.run(lit) == ["confirm-0-s0"]
    assert "lit" in window.run("return document.querySelector('.mark.pick').getAttribute('class')")
    below = window.run("return scrollY")
    window.click("#back")
    assert window.run("return scrollY") < below and window.run(
        "return document.getElementById('back').hidden"
    )
    window.run("document.querySelector('.mark.warm').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert window.run(lit) == [] and window.run("return document.getElementById('back').hidden")
    assert window.run("return getComputedStyle(document.querySelector('.mark.warm')).cursor") == "default"


def test_plots_are_walked_by_arrows_and_left_by_enter(window):
    window.run("document.querySelector('#plane svg').focus()")
    window.press("ArrowRight")
    first = window.run("return document.getElementById('tip').textContent")
    window.press("ArrowRight")
    assert "swd" in first != window.run("return document.getElementById('tip').textContent")
    window.press("ArrowLeft")
    assert window.run("return document.getElementById('tip').textContent") == first
    window.press("Enter")
    assert len(window.run("return [...document.querySelectorAll('tr.lit')].map((row) => row.id)")) == 1
    assert window.run("return document.activeElement.className") == "lit", "the row has the focus"


def test_labels_of_plots_can_be_read_on_a_phone(window):
    """They were eight pixels high, and 390 px is no place to enlarge a plot."""
    window.screen(390, 900, phone=True)
    window.reload()
    heights = window.run(
        "return [...document.querySelectorAll('figure svg text')].map((text) => "
        "parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().d).filter((size) => size > 0)"
    )
    assert heights and min(heights) >= 11


def test_all_columns_of_a_sheet_zoom_together(window):
    corner = (
        "return [...document.querySelectorAll('.cells canvas')].map((c) => "
        "[...c.getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3).join())"
    )
    before = window.run(corner)
    window.run("document.querySelector('.cells').focus()")
    window.press("+")
    assert window.run("return document.querySelector('.cells + label input').value") == "1.5"
    assert window.run(corner) == before, "each column still shows its own picture"
    assert len(before) == 10 and len(set(before)) == 5


def test_the_slider_shows_bicubic_to_the_left_and_ours_to_the_right(window):
    window.run(
        "const s = document.querySelector('.compare input'); s.value = 20;s.dispatchEvent(new Event('input'))"
    )
    box = "document.querySelector('.compare div')"
    assert window.run(f"return {box}.style.getPropertyValue('--cut')") == "20%"
    colours = window.run(
        f"return [...{box}.querySelectorAll('canvas')].map((c) => "
        "[...c.getContext('2d').getImageData(100, 100, 1, 1).data].slice(0, 3))"
    )
    assert colours == [[50, 170, 90], [150, 110, 90]]


def test_the_table_sorts_and_filters(window):
    window.run(
        "window.head = [...document.querySelectorAll('.trials th')].find((th) => th.textContent === 'swd');"
        "window.column = () => [...document.querySelectorAll('.trials tbody tr')]"
        ".map((row) => row.cells[head.cellIndex].dataset.v)"
    )
    for sign in (1, -1):
        window.run("head.querySelector('button').click()")
        values = window.run("return column()")
        numbers = [sign * float(v) for v in values if v is not None]
        assert numbers == sorted(numbers) and values[-1] is None
    window.run(
        "const i = document.querySelector('.filter input'); i.value = 'diverged';"
        "i.dispatchEvent(new Event('input'))"
    )
    assert window.run("return document.querySelector('.count').textContent").startswith("1 of ")
