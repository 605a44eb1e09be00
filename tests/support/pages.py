"""What a reader does on the page, for the browser tests."""

import math

import pytest
from selenium.webdriver.common.keys import Keys

from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_values import Role
from radiolucent.web.study_context import StudyContext
from support.browser import Browser


def enter(browser: Browser, context: StudyContext, name: str, role: Role = "reader") -> int:
    """Sign in; the reader's number."""
    number = context.store.reader(name, role)
    token = new_token(context.store, number)
    browser.driver.get(f"http://127.0.0.1:{context.port}/#{token}")
    browser.until("document.getElementById('next')")
    assert token not in browser.driver.current_url
    return number


def open_case(browser: Browser, case: str) -> None:
    browser.run(
        "if (location.hash !== arguments[0]) document.getElementById('stage')?.setAttribute('data-old', '');"
        "location.hash = arguments[0]",
        f"#/case/{case}",
    )
    browser.until(f"location.hash.endsWith('{case}') && document.querySelector('#stage[data-ready]:not([data-old])')")


def place(browser: Browser, point: tuple[float, float]) -> tuple[float, float]:
    left, top, scale = browser.on_film()
    return left + point[0] * scale, top + point[1] * scale


def zoom_to(browser: Browser, at: tuple[float, float], scale: float) -> None:
    """Turn the wheel over a film point until the film stands at `scale`; the point must stay where it is."""
    left, top, was = browser.on_film()
    before = (round(left + at[0] * was), round(top + at[1] * was))  # a mouse points at whole pixels
    at = ((before[0] - left) / was, (before[1] - top) / was)
    for _ in range(40):
        now = browser.on_film()[2]
        if abs(now / scale - 1) < 0.01:
            break
        browser.wheel(*before, max(-400.0, min(400.0, -math.log(scale / now) / 0.0015)))
        browser.until(f"Math.abs(Number(document.getElementById('stage').dataset.view.split(' ')[2]) - {now}) > 1e-9")
    assert abs(browser.on_film()[2] / scale - 1) < 0.01
    assert place(browser, at) == pytest.approx(before, abs=1.5)


def answer(browser: Browser, label: str) -> None:
    browser.run(f"document.getElementById('label-{label}').click(); document.getElementById('confidence-4').click()")


def lock(browser: Browser) -> None:
    browser.chord(Keys.CONTROL, Keys.ENTER)
    browser.until("document.querySelector('dialog[open]')")
    browser.click("#dialog button.primary")
    browser.until("document.getElementById('headline')")
