"""Headless Chromium for the browser tests, cut off from everything but this machine."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage "
    "--disable-features=OptimizationHints,MediaRouter,Translate --no-proxy-server --force-device-scale-factor=1"
).split()


def programs() -> tuple[str, str]:
    """(chromium, chromedriver); without them the test skips, or fails where RADIOLUCENT_REQUIRE_BROWSER is set."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("RADIOLUCENT_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Browser:
    """A browser with a profile of its own; remembers every request it made."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 720) -> None:
        chromium, driver = programs()
        options = Options()
        options.binary_location = chromium
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.requests: list[str] = []
        self.console: list[str] = []

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def until(self, script: str, seconds: float = 300) -> Any:
        """Wait until a JavaScript expression is true; one that fails (the page is being drawn anew) is not true yet."""
        asked = f"try {{ return {script} }} catch {{ return false }}"
        return WebDriverWait(self.driver, seconds, 0.05).until(lambda d: d.execute_script(asked), script)

    def saved(self) -> None:
        self.until("document.getElementById('saved').dataset.state === 'saved'")

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier: str, key: str) -> None:
        ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def on_film(self) -> tuple[float, float, float]:
        """(left, top, scale): where source pixel (0, 0) lies in the window, and window pixels a source pixel.

        The app's word; that the film is drawn there, `test_reduction` compares pixel by pixel.
        """
        left, top, x, y, scale = self.run(
            "const s = document.getElementById('stage'), r = s.getBoundingClientRect();"
            "return [r.left, r.top, ...s.dataset.view.split(' ').map(Number)]"
        )
        return left - x * scale, top - y * scale, scale

    def drag(self, start: tuple[float, float], end: tuple[float, float], button: str = "left") -> None:
        """Press, move in steps, let go; window pixels."""
        (x0, y0), (x1, y1) = start, end
        self.mouse("mousePressed", x0, y0, button)
        for part in (0.3, 0.7, 1.0):
            self.mouse("mouseMoved", x0 + (x1 - x0) * part, y0 + (y1 - y0) * part, button)
        self.mouse("mouseReleased", x1, y1, button)

    def mouse(self, kind: str, x: float, y: float, button: str = "left", pointer: str = "mouse") -> None:
        pressed = {"none": 0, "left": 1, "right": 2, "middle": 4}[button] if kind != "mouseReleased" else 0
        event = {"type": kind, "x": x, "y": y, "button": button, "buttons": pressed, "clickCount": 1}
        event["pointerType"] = pointer
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """Fingers on the screen: "touchStart", "touchMove" or "touchEnd"."""
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    def size(self, width: int, height: int, dense: float = 1) -> None:
        """Set the window's size in CSS pixels, and screen pixels a CSS pixel."""
        screen = {"width": width, "height": height, "deviceScaleFactor": dense, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def tap(self, x: float, y: float) -> None:
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def wheel(self, x: float, y: float, delta: float) -> None:
        event = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": delta}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def collect(self) -> None:
        """Take over what the browser logged since."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        self.console += [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def picture(self, path: Path) -> None:
        self.driver.save_screenshot(str(path))


@contextmanager
def browsing(profile: Path, **size: int) -> Iterator[Browser]:
    made = Browser(profile, **size)
    try:
        yield made
    finally:
        made.driver.quit()


__all__ = ["ActionChains", "Browser", "browsing", "programs"]
