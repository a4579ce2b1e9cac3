"""The report in a real browser: nothing complains, the slider slides, the table sorts and filters."""

import json
import re
import subprocess

import pytest
from helpers.fake_sweep import fake_strip, fake_sweep
from helpers.webdriver import CHROMIUM

from orchestrator.report import build_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"),
]

ACTIONS = """
<script>
addEventListener("load", () => setTimeout(() => {
  const get = (s) => document.querySelector(s), all = (s) => [...document.querySelectorAll(s)];
  const told = {sliders: all(".compare input").length, marks: all(".mark").length};
  const slider = get(".compare input");
  slider.value = 20;
  slider.dispatchEvent(new Event("input"));
  told.cut = slider.parentElement.style.getPropertyValue("--cut");
  const [left, right] = [...slider.parentElement.querySelectorAll("canvas")].map(
    (canvas) => [...canvas.getContext("2d").getImageData(100, 100, 1, 1).data].slice(0, 3));
  told.left = left; told.right = right;
  const head = all(".trials th").find((th) => th.textContent === "swd"), column = head.cellIndex;
  const values = () => all(".trials tbody tr").map((row) => row.cells[column].dataset.v);
  head.querySelector("button").click();
  told.ascending = values();
  head.querySelector("button").click();
  told.descending = values();
  get(".filter input").value = "diverged";
  get(".filter input").dispatchEvent(new Event("input"));
  told.count = get(".count").textContent;
  get(".mark.pick").dispatchEvent(new PointerEvent("pointermove", {bubbles: true}));
  told.tip = get("#tip").textContent;
  get(".mark.pick").dispatchEvent(new MouseEvent("click", {bubbles: true}));
  told.lit = all("tr.lit").map((row) => row.id);
  told.overflow = document.documentElement.scrollWidth - innerWidth;
  const out = document.createElement("pre");
  out.id = "told";
  out.textContent = JSON.stringify(told);
  document.body.append(out);
}, 300));
</script>
"""


def browse(path, profile, width):
    """The page after its scripts ran: (what ACTIONS told, console lines)."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += [f"--window-size={width},900", "--virtual-time-budget=4000", "--enable-logging=stderr"]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=90)
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.S)
    assert told, done.stdout[-500:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(told[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), console


@pytest.mark.parametrize("width", [1100, 500])
def test_plots_slider_table_and_tooltips_work(tmp_path, width):
    fake_sweep(tmp_path)
    fake_strip(tmp_path / "trials" / "confirm-0-s1" / "strip.png")
    page = build_report(tmp_path)
    page.write_text(page.read_text().replace("</body>", ACTIONS + "</body>"))
    told, console = browse(page, tmp_path / "profile", width)
    assert console == []
    assert told["sliders"] == 2 and told["marks"] > 20
    assert told["cut"] == "20%"
    assert told["left"] == [50, 170, 90] and told["right"] == [150, 110, 90]  # bicubic, ours
    numbers = [float(v) for v in told["ascending"] if v is not None]
    assert numbers == sorted(numbers) and told["ascending"][-1] is None
    numbers = [float(v) for v in told["descending"] if v is not None]
    assert numbers == sorted(numbers, reverse=True) and told["descending"][-1] is None
    assert told["count"].startswith("1 of ")
    assert told["tip"].startswith("b4 bn shuffle adv=0.1, mean of 2 seeds")
    assert told["lit"] == ["confirm-0-s0"]
    assert told["overflow"] <= 0
