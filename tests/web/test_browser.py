"""A reader at work in headless Chromium: what they draw is what is stored, and nobody sees what they should not."""

import re
import time
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from radiolucent.web.study_context import StudyContext
from support.browser import Browser
from support.pages import answer, enter, lock, open_case, place, zoom_to
from support.study_server import Client

pytestmark = pytest.mark.timeout(1800)  # two busy cores draw a page slowly; every wait ends by its condition
DREW = {
    "box": [(120.0, 150.0), (260.5, 300.5)],
    "polygon": [(200.0, 200.0), (300.0, 210.0), (310.0, 330.0), (215.0, 300.0)],
}


@pytest.fixture
def context(read_study: StudyContext) -> StudyContext:
    return read_study


def stored(context: StudyContext, case: str, reader: int) -> list[Any]:
    return [m.points for m in context.store.reading(case, reader).marks]


def draw_box(browser: Browser) -> None:
    browser.press("b")
    browser.drag(place(browser, DREW["box"][0]), place(browser, DREW["box"][1]))


SLOWLY = """
const real = window.fetch;
let there = false;
window.early = 0;
window.fetch = async (path, options) => {
  if (String(path).includes("/maps/lime/agreement")) window.early += there ? 0 : 1;
  if (!String(path).endsWith("/maps/lime")) return real(path, options);
  await new Promise((after) => setTimeout(after, 500));
  const answer = await real(path, options);
  there = answer.status === 200;
  return answer;
};
"""


def test_a_reader_reads_three_cases(context: StudyContext, browser: Browser) -> None:
    other = Client(context)
    me = enter(browser, context, "Dr Three")
    other.enter("Dr Other")
    box_case, polygon_case, clear_case = context.store.order(me)

    open_case(browser, box_case)  # a box, at zoom 1
    zoom_to(browser, (190, 225), 1.0)
    draw_box(browser)
    browser.saved()
    assert stored(context, box_case, me)[0] == pytest.approx([pytest.approx(p, abs=0.5) for p in DREW["box"]])
    browser.driver.refresh()  # in the middle of the work
    browser.until("document.querySelectorAll('.marks .mark').length === 1")
    answer(browser, "PNEUMONIA")
    browser.saved()
    assert not any("/prediction" in r or "/maps/" in r for r in urls(browser))
    lock(browser)
    browser.until("document.querySelectorAll('#live dd').length > 0")
    browser.run(SLOWLY)  # the other map takes its time while the threshold has just been moved
    browser.press(".", "l")
    browser.until(
        "document.querySelector('input[name=map]:checked').value === 'lime' && document.querySelector('#live dd')"
    )
    assert browser.run("return window.early") == 0  # nothing is measured against a map that is not there
    browser.until("!document.querySelector('canvas.overlay').hidden")
    shown = browser.run(
        "const c = document.querySelector('canvas.overlay');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (d.length / 4)"
    )
    assert 0 < shown < 1
    browser.run("for (const id of ['agree-disagree', 'final-NORMAL', 'sure-2']) document.getElementById(id).click()")
    browser.press("t")
    browser.press("<img src=x onerror=alert(1)>")
    browser.saved()
    browser.chord(Keys.CONTROL, Keys.ENTER)  # finish
    browser.until("document.querySelector('dialog[open]')")
    assert browser.run("return document.activeElement.textContent") == "Not yet"
    browser.click("#dialog button.primary")
    browser.until(f"location.hash && !location.hash.endsWith('{box_case}')")
    final = context.store.final(box_case, me)
    assert (context.store.reading(box_case, me).label, final.label, final.agree) == ("PNEUMONIA", "NORMAL", "disagree")
    assert final.finished and final.why == "<img src=x onerror=alert(1)>" and final.seconds > 0

    open_case(browser, polygon_case)  # a polygon, at zoom 4, moved and bent
    zoom_to(browser, (255, 265), 4.0)
    browser.press("p")
    for corner in DREW["polygon"]:
        browser.tap(*place(browser, corner))
    browser.press(Keys.ENTER)
    browser.saved()
    assert stored(context, polygon_case, me)[0] == pytest.approx([pytest.approx(p, abs=0.5) for p in DREW["polygon"]])
    browser.press("v")
    browser.drag(place(browser, DREW["polygon"][1]), place(browser, (305.0, 220.0)))  # a corner
    bent = [DREW["polygon"][0], (305.0, 220.0), *DREW["polygon"][2:]]
    browser.until("document.getElementById('saved').dataset.state === 'saved'")
    assert stored(context, polygon_case, me)[0] == pytest.approx([pytest.approx(p, abs=0.5) for p in bent])
    browser.chord(Keys.CONTROL, "z")
    browser.saved()
    assert stored(context, polygon_case, me)[0] == pytest.approx([pytest.approx(p, abs=0.5) for p in DREW["polygon"]])
    browser.chord(Keys.CONTROL, "y")
    browser.saved()
    assert stored(context, polygon_case, me)[0][1] == pytest.approx((305.0, 220.0), abs=0.5)
    answer(browser, "PNEUMONIA")
    browser.saved()
    lock(browser)

    open_case(browser, clear_case)  # nothing
    draw_box(browser)
    browser.press("n")
    answer(browser, "NORMAL")
    browser.saved()
    assert stored(context, clear_case, me) == []
    lock(browser)

    assert {row["state"] for row in other.json("GET", "/api/worklist")} == {"new"}
    assert all(other.json("GET", f"/api/cases/{c}")["reading"]["revision"] == 0 for c in other.cases())
    browser.collect()
    home = f"http://127.0.0.1:{context.port}/"
    assert browser.requests and all(u.startswith((home, "data:", "blob:", "chrome:")) for u in browser.requests)
    assert browser.console == []


def urls(browser: Browser) -> list[str]:
    browser.collect()
    return browser.requests


def test_the_keyboard_alone_is_enough(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Keys")
    browser.press(Keys.ENTER)  # the focus stands on "Begin"
    browser.until("document.querySelector('#stage[data-ready]')")
    case = browser.run("return location.hash.split('/').pop()")
    browser.press("b", Keys.ENTER)
    browser.saved()
    (left, top), (right, bottom) = stored(context, case, me)[0]
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    browser.chord(Keys.SHIFT, Keys.ARROW_DOWN)
    browser.chord(Keys.ALT, Keys.ARROW_RIGHT)
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    assert stored(context, case, me)[0] == ((left + 1, top + 11), (right + 6, bottom + 11))
    browser.press(Keys.DELETE, "n", "t")
    browser.press("clear lungs: b p 0 1 stay letters", Keys.ESCAPE)
    browser.run("document.getElementById('label-NORMAL').focus()")
    browser.press(Keys.SPACE, Keys.TAB, Keys.TAB, Keys.SPACE)  # past "cannot be assessed"
    browser.saved()
    reading = context.store.reading(case, me)
    assert (reading.finding, reading.statement, reading.label) == (False, "clear lungs: b p 0 1 stay letters", "NORMAL")
    assert reading.confidence == 1
    browser.press("?")
    browser.until("document.querySelector('dialog[open] kbd')")
    browser.press(Keys.ESCAPE)
    unnamed = browser.run(
        "return [...document.querySelectorAll('button, a, input, textarea, [role=application]')].filter((e) => "
        "!(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    regions = browser.run(
        "return ['saved', 'announce'].map((id) => document.getElementById(id).getAttribute('aria-live'))"
    )
    assert regions == ["polite", "polite"]


def test_polygons_are_drawn_and_bent_by_keys_alone(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Arrows")
    case = context.store.order(me)[0]
    open_case(browser, case)
    zoom_to(browser, (250, 300), 1.0)
    height = browser.run("return document.getElementById('stage').clientHeight")
    browser.press("p", Keys.ENTER)  # a cursor in the middle of the view
    seen = re.search(r"x (\d+) y (\d+)", browser.find(".figures").text)
    assert seen
    x, y = int(seen[1]), int(seen[2])
    stage = browser.run("return document.getElementById('stage').getBoundingClientRect().top")
    assert abs(place(browser, (x, y))[1] - (stage + height / 2)) <= 1
    browser.press(Keys.ENTER)
    browser.chord(Keys.ALT, Keys.ARROW_RIGHT)
    browser.press(Keys.ENTER)
    browser.press(Keys.ENTER)  # again, but two corners are no polygon
    browser.chord(Keys.ALT, Keys.ARROW_DOWN)
    browser.chord(Keys.SHIFT, Keys.ARROW_DOWN)
    browser.press(Keys.ARROW_LEFT, Keys.ENTER)
    browser.chord(Keys.SHIFT, Keys.ARROW_LEFT)
    browser.press(Keys.ENTER, Keys.DELETE)  # a corner too many, taken back
    assert stored(context, case, me) == []
    browser.chord(Keys.SHIFT, Keys.ARROW_RIGHT)
    browser.press(Keys.ENTER)  # the third corner's place again: closed
    browser.saved()
    drawn = ((x, y), (x + 50, y), (x + 49, y + 60))
    assert stored(context, case, me) == [drawn]
    browser.press("c", "c", Keys.ARROW_UP)  # the second corner
    browser.chord(Keys.SHIFT, Keys.ARROW_UP)
    browser.press("a", Keys.ARROW_RIGHT)  # one more behind it
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    assert stored(context, case, me) == [((x, y), (x + 50, y - 11), (x + 50.5, y + 24.5), (x + 49, y + 60))]
    browser.press(Keys.DELETE, Keys.ESCAPE)
    browser.chord(Keys.SHIFT, Keys.ARROW_LEFT)  # no corner chosen: the whole mark
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    assert stored(context, case, me) == [((x - 10, y), (x + 40, y - 11), (x + 39, y + 60))]
    browser.press("b", Keys.ENTER, "s", Keys.ARROW_DOWN)  # a second mark, then the first again
    browser.until("document.querySelectorAll('.marks .mark').length === 2")
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    assert stored(context, case, me)[0][0] == (x - 10, y + 1)
    browser.press("?")
    browser.until("document.querySelector('dialog[open]')")
    assert "Keyboard alone" in browser.find("#dialog").text
    browser.press(Keys.ESCAPE)


def test_keys_of_other_keyboards_and_of_sliders(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr AltGr")
    case = context.store.order(me)[0]
    open_case(browser, case)
    browser.press("n")
    answer(browser, "NORMAL")
    browser.saved()
    lock(browser)
    browser.until("document.getElementById('opacity')")
    press = (
        "const [key, more] = arguments, at = document.getElementById('stage');"
        "at.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }));"
        "return document.getElementById('opacity').value"
    )
    assert browser.run(press, "]", {}) == "50"
    assert browser.run(press, "]", {"ctrlKey": True, "altKey": True, "modifierAltGraph": True}) == "55"  # Windows
    assert browser.run(press, "[", {"modifierAltGraph": True}) == "50"  # Linux
    assert browser.run(press, "[", {"altKey": True}) == "45"  # a Mac's Option
    assert browser.run(press, "[", {"ctrlKey": True}) == "45"  # a shortcut of the browser's
    browser.run("document.getElementById('opacity').focus()")
    browser.press(Keys.PAGE_UP)
    browser.until("Number(document.getElementById('opacity').value) > 45")
    browser.press(Keys.PAGE_DOWN, Keys.PAGE_DOWN)
    browser.until("Number(document.getElementById('opacity').value) < 45")
    assert browser.driver.current_url.endswith(case)  # sliders keep their own keys
    browser.run("document.getElementById('stage').focus()")
    browser.press(Keys.PAGE_DOWN)
    browser.until(f"!location.hash.endsWith('{case}')")


def test_leaving_a_case_saves_the_time_spent_on_it(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Time")
    first, second = context.store.order(me)[:2]
    open_case(browser, first)
    browser.saved()
    before = context.store.reading(first, me)
    browser.drag(place(browser, (100, 100)), place(browser, (120, 110)))  # looks, and changes nothing
    time.sleep(1.5)
    open_case(browser, second)
    end = time.monotonic() + 60
    while (after := context.store.reading(first, me)).revision == before.revision and time.monotonic() < end:
        time.sleep(0.1)  # sent on leaving, without waiting for the answer
    assert after.revision == before.revision + 1 and after.seconds > before.seconds + 1
    assert after.marks == () and after.label is None


def test_window_and_level_change_what_is_shown_and_nothing_flips(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Window")
    case = context.store.order(me)[0]
    open_case(browser, case)
    film = context.films.radiograph(context.store.case(case)).pixels
    spots = [(50, 60), (400, 100), (250, 500)]
    zoom_to(browser, (250, 300), 1.0)
    read = (
        "const c = document.querySelector('canvas.film').getContext('2d');"
        "const v = document.getElementById('stage').dataset.view.split(' ').map(Number);"
        "return arguments[0].map(([x, y]) => c.getImageData(x - v[0], y - v[1], 1, 1).data[0])"
    )
    grey = [round(float(film[y, x]) * 255) for x, y in spots]
    assert browser.run(read, spots) == pytest.approx(grey, abs=1)
    browser.press("i")
    inverted = pytest.approx([255 - g for g in grey], abs=1)
    WebDriverWait(browser.driver, 20, 0.05).until(lambda _: browser.run(read, spots) == inverted)
    before = browser.find(".figures").text
    browser.press("i", "5")
    browser.until(f"document.querySelector('.figures').textContent !== {before!r}")
    before = browser.find(".figures").text
    browser.drag(place(browser, (250, 300)), place(browser, (300, 350)), "right")
    assert browser.find(".figures").text.split("window")[1] != before.split("window")[1]
    assert context.store.reading(case, me).marks == ()


def test_a_stale_tab_is_told_and_saves_no_more(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Tabs")
    case = context.store.order(me)[0]
    open_case(browser, case)
    browser.saved()
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.driver.get(f"http://127.0.0.1:{context.port}/#/case/{case}")
    browser.until("document.querySelector('#stage[data-ready]')")
    answer(browser, "NORMAL")
    browser.saved()
    browser.driver.switch_to.window(first)
    answer(browser, "PNEUMONIA")
    browser.until("document.getElementById('saved').dataset.state === 'stale'")
    assert "NOT SAVED" in browser.find("#saved").text and "another tab" in browser.find("#dialog").text
    assert context.store.reading(case, me).label == "NORMAL"
    browser.press(Keys.ENTER)  # load the newer version
    browser.until("document.getElementById('label-NORMAL').checked")
    browser.driver.close()
    browser.driver.switch_to.window(browser.driver.window_handles[0])


def test_not_saved_is_said_until_it_is(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Offline")
    case = context.store.order(me)[0]
    open_case(browser, case)
    browser.saved()
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/reading"]})
    answer(browser, "NORMAL")
    browser.until("document.getElementById('saved').textContent.includes('NOT SAVED')")
    assert context.store.reading(case, me).label is None
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    browser.saved()
    assert context.store.reading(case, me).label == "NORMAL"
