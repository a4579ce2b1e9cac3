"""Chromium as a person uses it: clicks, keys, reloads. A small client of the W3C WebDriver protocol."""

import base64
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
KEYS = {"Backspace": "\ue003", "Enter": "\ue007", "ArrowLeft": "\ue012", "ArrowRight": "\ue014"}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own name


class Drivers:
    """One chromedriver process; ends with its windows."""

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen([DRIVER, f"--port={self.port}"], stdout=subprocess.DEVNULL)
        self.windows = []
        self._wait()
        return self

    def _wait(self):
        for _ in range(300):
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
        raise AssertionError("chromedriver does not answer")

    def window(self, profile: Path):
        """A browser of its own, as another person would have."""
        self.windows.append(Window(f"http://127.0.0.1:{self.port}", profile))
        return self.windows[-1]

    def __exit__(self, *error):
        for window in self.windows:
            window.ask("DELETE", "")
        self.process.terminate()
        self.process.wait(20)


class Window:
    """One browser window."""

    def __init__(self, base: str, profile: Path) -> None:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        options = {"binary": CHROMIUM, "args": arguments}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self.base = f"{base}/session"
        made = self.ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/{made['sessionId']}"

    def ask(self, method: str, path: str, body: dict | None = None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"})
        request.method = method
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        self.ask("POST", "/url", {"url": address})

    def reload(self) -> None:
        self.ask("POST", "/refresh")

    @property
    def address(self) -> str:
        return self.ask("GET", "/url")

    @property
    def source(self) -> str:
        return self.ask("GET", "/source")

    @property
    def title(self) -> str:
        return self.ask("GET", "/title")

    def run(self, script: str):
        """The value of a script's `return`."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def click(self, selector: str) -> None:
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        self.ask("POST", f"/element/{found[ELEMENT]}/click")

    def type(self, selector: str, text: str) -> None:
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        self.ask("POST", f"/element/{found[ELEMENT]}/value", {"text": text})

    def press(self, key: str) -> None:
        """One key, down and up, wherever the page has its focus."""
        value = KEYS.get(key, key)
        strokes = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def until_title(self, pattern: str, seconds: float = 20) -> str:
        """Wait until the title is like `pattern` and the page is whole; the title."""
        end = time.monotonic() + seconds
        while not (
            re.fullmatch(pattern, self.title) and self.run("return document.readyState") == "complete"
        ):
            assert time.monotonic() < end, f"{self.title!r} at {self.address} did not become {pattern!r}"
            time.sleep(0.02)
        return self.title

    def screen(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Size, colour scheme and kind of the screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.tell("Emulation.setDeviceMetricsOverride", size)
        self.tell("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", {"features": [scheme]})

    def tell(self, command: str, values: dict) -> None:
        self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": values})

    def picture(self, path: Path) -> None:
        """A PNG of the window."""
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def console(self) -> list[str]:
        """What the page complained about since the last call."""
        return [line["message"] for line in self.ask("POST", "/se/log", {"type": "browser"})]

    def traffic(self) -> list[dict]:
        """Every request with its answer's headers since the last call, as Chromium's network log tells it."""
        lines = self.ask("POST", "/se/log", {"type": "performance"})
        events = (json.loads(line["message"])["message"] for line in lines)
        return [event for event in events if event["method"].startswith("Network.")]
