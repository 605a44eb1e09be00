"""Every page at every size: nothing cut off, a heading, and no barrier that axe-core finds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from selenium.webdriver.common.keys import Keys

from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_values import Mark, Reading
from radiolucent.web.study_context import StudyContext
from support.browser import Browser
from support.pages import answer, enter, lock, open_case, place
from support.study_server import case_of

pytestmark = pytest.mark.timeout(1800)  # two busy cores draw a page slowly; every wait ends by its condition
SIZES = ((1024, 768, 1.0), (1366, 768, 1.0), (1920, 1080, 1.0), (1366, 768, 2.0))
CUT = """
const cut = [], wide = innerWidth, tall = innerHeight;
const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflow + getComputedStyle(e).overflowY);
const page = document.scrollingElement;
for (const e of document.querySelectorAll('button, a, input, select, textarea, label, summary, h1, output, .figures')) {
  const r = e.getBoundingClientRect();
  if (!e.checkVisibility() || !r.width || e.closest('.unseen, .skip')) continue;
  let up = e.parentElement, held = false;
  for (; up && up !== document.body; up = up.parentElement) held ||= scrolls(up);
  const below = !held && !document.body.classList.contains('paper') && r.bottom > tall + 1;
  const text = e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflow !== 'visible' && e.tagName !== 'INPUT';
  if (r.left < -1 || r.right > wide + 1 || below || text) cut.push(e.outerHTML.slice(0, 120));
}
if (page.scrollWidth > wide) cut.push(`page is ${page.scrollWidth} wide`);
return cut;
"""
WHY = """
const why = document.getElementById('why').getBoundingClientRect();
return why.bottom <= document.querySelector('.foot').getBoundingClientRect().top;
"""

# Text whose contrast with the nearest background behind it is below 4.5 : 1 (WCAG 2.2, 1.4.3).
LOW = """
const number = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
const bright = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { const s = v / 255;
  return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const low = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility({ opacityProperty: true }) || e.closest('svg, :disabled, .unseen, .skip')) continue;
  const style = getComputedStyle(e), fore = number(style.color);
  let up = e, back = null;
  for (; up && !back; up = up.parentElement) {
    const found = number(getComputedStyle(up).backgroundColor);
    if (found.length === 3 || found[3] === 1) back = found;
  }
  const [a, b] = [bright(fore), bright(back ?? [255, 255, 255])].sort((p, q) => q - p);
  if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${((a + 0.05) / (b + 0.05)).toFixed(2)} ${e.outerHTML.slice(0, 100)}`);
}
return low;
"""


def login(browser: Browser, context: StudyContext) -> None:
    browser.driver.get(f"http://127.0.0.1:{context.port}/")
    browser.until("document.getElementById('token')")


def worklist(browser: Browser, context: StudyContext) -> None:
    enter(browser, context, "Dr Pages")


def reading(browser: Browser, context: StudyContext) -> None:
    worklist(browser, context)
    open_case(browser, case_of(context, "frontal"))
    browser.press("b")
    browser.drag(place(browser, (90, 110)), place(browser, (150, 190)))
    browser.press("v", "n" if not browser.run("return document.querySelector('.marks .mark')") else Keys.SHIFT)
    answer(browser, "PNEUMONIA")
    browser.saved()


def locking(browser: Browser, context: StudyContext) -> None:
    reading(browser, context)
    browser.chord(Keys.CONTROL, Keys.ENTER)
    browser.until("document.querySelector('dialog[open]')")


def helping(browser: Browser, context: StudyContext) -> None:
    worklist(browser, context)
    open_case(browser, case_of(context, "grid"))
    browser.press("?")
    browser.until("document.querySelector('dialog[open]')")


def reveal(browser: Browser, context: StudyContext) -> None:
    number = enter(browser, context, "Dr Revealed")
    case = case_of(context, "twelve")
    open_case(browser, case)
    if context.store.reading(case, number).locked is None:
        browser.press("b", Keys.ENTER)
        answer(browser, "PNEUMONIA")
        browser.saved()
        lock(browser)
    browser.until("document.querySelector('#live dd') && document.getElementById('stamp').textContent")
    browser.until("!document.getElementById('stamp').textContent.includes('being tested')")


def settling(browser: Browser, context: StudyContext) -> None:
    for name in ("Dr One", "Dr Two"):
        number, case = context.store.reader(name), case_of(context, "grid")
        if context.store.reading(case, number).locked is None:
            marks = (Mark("box", ((10.0, 20.0), (300.0, 500.0)), "nodule"),)
            context.store.save(case, number, Reading(0, True, "PNEUMONIA", 2, "opacity", marks), "a" * 9)
            context.store.lock(case, number, 1)
    enter(browser, context, "Dr Chair", "adjudicator")
    open_case(browser, case_of(context, "grid"))
    browser.until("document.querySelectorAll('.opinion').length >= 2")


def organiser(browser: Browser, context: StudyContext) -> None:
    browser.driver.get("about:blank")
    browser.driver.get(f"http://127.0.0.1:{context.port}/#{new_token(context.store, None)}")
    browser.until("document.querySelector('.organiser')")


def statistics(browser: Browser, context: StudyContext) -> None:
    reveal(browser, context)
    organiser(browser, context)
    browser.click("a[href^='/statistics']")
    browser.until("document.querySelector('.paper table')")


PAGES: tuple[Callable[[Browser, StudyContext], None], ...] = (
    *(login, worklist, reading, locking, helping, reveal, settling, organiser, statistics),
)


AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"  # that package brings axe-core; no more of it is used

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.__name__)


@each_page
def test_pages_are_whole_at_every_size(
    room_study: StudyContext, browser: Browser, page: Callable[[Browser, StudyContext], None]
) -> None:
    page(browser, room_study)
    for width, height, dense in SIZES:
        browser.size(width, height, dense)
        browser.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert browser.run(CUT) == [], (width, height, dense)
        assert browser.run("return [...document.querySelectorAll('h1')].filter((h) => h.checkVisibility()).length") == 1
        if page is reveal:
            assert browser.run(WHY), "the answer's reason lies below the fold"
        if folder := os.environ.get("RADIOLUCENT_SHOTS"):
            browser.picture(Path(folder) / f"{page.__name__}-{width}x{height}@{dense:g}.png")
    assert browser.run(LOW) == []
    browser.collect()
    assert browser.console == []


@each_page
def test_axe_finds_no_barrier(
    room_study: StudyContext, browser: Browser, page: Callable[[Browser, StudyContext], None]
) -> None:
    page(browser, room_study)
    browser.run(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = browser.run("return axe.run(document, { resultTypes: ['violations'] })")
    told = [(v["id"], [n["html"][:90] for n in v["nodes"]][:4]) for v in found["violations"]]
    assert told == []
