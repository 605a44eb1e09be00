"""What a radiologist needs of a film on screen, measured in Chromium: depth, reduction, tools, and no accidents."""

import time
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from radiolucent.readers.store_values import UNASSESSED, Mark, Reading
from radiolucent.web.study_context import StudyContext
from support.browser import Browser
from support.pages import answer, enter, lock, open_case, place, zoom_to
from support.study_server import case_of, room_films

pytestmark = pytest.mark.timeout(1800)  # two busy cores draw a page slowly; every wait ends by its condition
CANVAS = """
const c = document.querySelector('#stage canvas.film');
const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
const grey = []; for (let i = 0; i < d.length; i += 4) grey.push(d[i]);
return [c.width, c.height, document.getElementById('stage').dataset.view.split(' ').map(Number), grey];
"""
HOLD = """
const at = document.activeElement ?? document.body;
for (let i = 0; i < 5; i++) at.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], ctrlKey: arguments[1],
  repeat: i > 0, bubbles: true, cancelable: true }));
"""


@pytest.fixture
def context(room_study: StudyContext) -> StudyContext:
    return room_study


def whole(browser: Browser, case: str) -> None:
    open_case(browser, case)
    browser.until("document.querySelector('#stage[data-whole]:not([data-old])')")


def presets(browser: Browser) -> list[str]:
    return browser.run(
        "return [...document.querySelectorAll('.presets button')].map((b) => b.textContent.split(' ')[0])"
    )


def told(browser: Browser) -> str:
    time.sleep(0.1)
    return browser.find(".figures").text


def shown(browser: Browser) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(grey of the canvas, (x, y, scale) of the view)."""
    browser.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    browser.until("document.getElementById('stage').dataset.drawn === 'exact'")
    width, height, view, grey = browser.run(CANVAS)
    return np.array(grey).reshape(height, width), (view[0], view[1], view[2])


def area_average(values: np.ndarray, n: int, scale: float, offset: float) -> np.ndarray:
    """Rows of `values` averaged over each of n screen pixels' area: an integral, read at both of its edges."""
    summed = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    edges = np.clip(np.arange(n + 1) / scale + offset, 0, len(values))
    low = np.minimum(np.floor(edges).astype(int), len(values) - 1)
    whole = summed[low] + (edges - low)[:, None] * values[low]
    size = np.diff(edges)[:, None]
    return np.diff(whole, axis=0) / np.where(size > 0, size, 1)


@pytest.mark.parametrize("scale", [0.25, 0.4, 0.63])
def test_reduction_is_the_mean_over_the_area(context: StudyContext, browser: Browser, scale: float) -> None:
    enter(browser, context, "Dr Grid")
    whole(browser, case_of(context, "grid"))
    zoom_to(browser, (700, 900), scale)
    grey, (x, y, seen) = shown(browser)
    assert seen == pytest.approx(scale, rel=0.01)
    values = room_films()["grid"].astype(float)
    down = area_average(values, grey.shape[0], seen, y)
    expected = area_average(down.T, grey.shape[1], seen, x).T
    rows, columns = (np.arange(n) for n in grey.shape)
    inside = ((columns / seen + x >= 0) & ((columns + 1) / seen + x <= 1500))[None] & (
        (rows / seen + y >= 0) & ((rows + 1) / seen + y <= 1801)
    )[:, None]
    assert inside.sum() > 5000
    assert np.abs(grey - expected)[inside].max() <= 2  # levels are whole numbers, twice rounded
    assert grey[inside].std() == pytest.approx(expected[inside].std(), abs=0.6)


def test_full_depth_with_the_headers_window_first(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Depth")
    case = case_of(context, "frontal")
    whole(browser, case)
    assert "window 500" in told(browser) and "level 1000" in told(browser)
    assert presets(browser)[:3] == ["Header", "Auto", "Full"]

    def greys() -> list[int]:
        grey, (x, y, scale) = shown(browser)
        spots = [(210, 250), (270, 250), (330, 250)]  # 3000, 3200, 3400
        return [int(grey[round((r - y) * scale), round((c - x) * scale)]) for c, r in spots]

    assert greys() == [255, 255, 255]  # outside the header's window
    browser.press("3")  # full is full
    browser.until("document.querySelector('.figures').textContent.includes('window 3400')")
    assert greys() == [225, 240, 255]
    browser.mouse("mouseMoved", *place(browser, (270.5, 250.5)), "none")
    browser.until("document.querySelector('.figures').textContent.includes('x 270 y 250')")
    assert "value 3200" in told(browser) and "PA" in told(browser)
    assert "0.100 × 0.200 mm a pixel, at the detector" in browser.find(".figures").get_attribute("title")
    whole(browser, case_of(context, "twelve"))  # readable at once, though its values fill a sixteenth of the range
    assert presets(browser)[0] == "Auto"
    grey, _ = shown(browser)
    assert np.ptp(grey) == 255 and grey.std() > 40
    assert context.store.reading(case, me).marks == ()


def test_lengths_angles_and_values_of_a_mark(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Ruler")
    case = case_of(context, "frontal")
    whole(browser, case)
    zoom_to(browser, (180, 150), 2.0)
    browser.press("r")
    browser.drag(place(browser, (100, 150)), place(browser, (200, 150)))  # 0.1 mm a column
    browser.drag(place(browser, (120, 100)), place(browser, (120, 200)))  # 0.2 mm a row
    assert [t.text for t in browser.driver.find_elements("css selector", ".figure")] == [
        "10.0 mm (detector)",
        "20.0 mm (detector)",
    ]
    browser.press("q")
    browser.drag(place(browser, (100, 100)), place(browser, (200, 100)))
    browser.drag(place(browser, (100, 100)), place(browser, (100, 180)))
    assert browser.driver.find_elements("css selector", ".figure")[2].text == "90.0°"
    browser.press("b")
    browser.drag(place(browser, (90, 110)), place(browser, (150, 190)))  # half 1400, half 1600
    browser.until("document.querySelector('.marks .chosen .hint')")
    said = browser.find(".marks .chosen .hint").text
    assert "mean 1500.0, SD 100.0, 1400 to 1600" in said and "1.0 cm² (detector)" in said
    browser.run(
        "const set = (id, v) => { const e = document.getElementById(id); e.value = v;"
        "e.dispatchEvent(new Event('change')) };"
        "set('type-0', 'nodule'); set('sure-0', '4'); set('terms', 'pleural effusion')"
    )
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    kept = context.store.reading(case, me)
    assert (kept.marks[0].type, kept.marks[0].confidence, kept.statement) == ("nodule", 4, "pleural effusion")
    browser.press("z")
    browser.mouse("mouseMoved", *place(browser, (100, 100)), "none")
    browser.until("!document.querySelector('.lens').hidden")


def test_freehand_ellipse_and_brush_become_outlines(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Draws")
    case = case_of(context, "twelve")
    whole(browser, case)
    zoom_to(browser, (200, 250), 1.0)

    def circle(pointer: str = "mouse") -> None:
        around = [place(browser, (100 + 40 * np.cos(a), 100 + 40 * np.sin(a))) for a in np.linspace(0, 6.2, 50)]
        browser.mouse("mousePressed", *around[0], pointer=pointer)
        for point in around:
            browser.mouse("mouseMoved", *point, pointer=pointer)
        browser.mouse("mouseReleased", *around[-1], pointer=pointer)

    browser.press("f")
    circle()
    browser.press("e")
    browser.drag(place(browser, (200, 200)), place(browser, (300, 260)))
    browser.press("v")
    browser.tap(*place(browser, (20, 480)))  # let go of the ellipse
    browser.press("d")
    browser.drag(place(browser, (100, 400)), place(browser, (200, 400)))
    browser.drag(place(browser, (150, 350)), place(browser, (150, 450)))  # joins the one before
    browser.press("v")
    browser.tap(*place(browser, (20, 480)))
    circle("pen")  # a pen draws by hand, whatever lies under it is not chosen
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    marks = context.store.reading(case, me).marks
    areas = [_area(m.points) for m in marks]
    cross = 100 * 36 + 100 * 36 - 36 * 36 + np.pi * 18**2 * 2
    assert areas[:3] == pytest.approx([np.pi * 40**2, np.pi * 50 * 30, cross], rel=0.05)
    assert all(m.kind == "polygon" and len(m.points) < 120 for m in marks) and len(marks) in (3, 4)


def _area(points: Any) -> float:
    x, y = np.array(points).T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def test_two_fingers_zoom_and_never_draw(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Fingers")
    case = case_of(context, "twelve")
    whole(browser, case)
    before = browser.on_film()[2]
    middle = place(browser, (200, 250))
    for tool in ("b", "p", "f", "d"):
        browser.press(tool)
        browser.touch("touchStart", (middle[0] - 30, middle[1]))
        browser.touch("touchMove", (middle[0] - 40, middle[1]))
        browser.touch("touchStart", (middle[0] - 40, middle[1]), (middle[0] + 40, middle[1]))
        for far in (50, 60, 70):
            browser.touch("touchMove", (middle[0] - far, middle[1]), (middle[0] + far, middle[1]))
        browser.touch("touchEnd", (middle[0] - 70, middle[1]))
        browser.touch("touchMove", (middle[0] - 10, middle[1] + 60))  # the finger that is left
        browser.touch("touchEnd")
    assert browser.on_film()[2] > 1.5 * before
    assert browser.run("return document.querySelectorAll('.marks .mark, .shapes polyline').length") == 0
    browser.press("b")
    browser.touch("touchStart", middle)
    browser.touch("touchMove", (middle[0] + 60, middle[1] + 50))
    browser.touch("touchEnd")  # one finger draws
    browser.until("document.querySelectorAll('.marks .mark').length === 1")
    now = browser.on_film()[2]
    browser.run("[...document.querySelectorAll('.tool')].find((b) => b.title.startsWith('Larger')).click()")
    assert browser.on_film()[2] == pytest.approx(1.25 * now)
    browser.saved()
    assert len(context.store.reading(case, me).marks) == 1


def test_nothing_is_locked_by_accident(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Slip")
    case = case_of(context, "grid")
    whole(browser, case)
    browser.press("b", Keys.ENTER)
    answer(browser, "NORMAL")
    browser.saved()
    browser.run("document.getElementById('stage').focus()")
    browser.run(HOLD, "Enter", True)
    assert "You marked a finding, and chose NORMAL" in browser.find("#odd").text
    assert browser.run("return document.activeElement.textContent") == "Not yet"
    browser.press(Keys.ENTER)
    browser.until("!document.querySelector('dialog[open]')")
    assert context.store.reading(case, me).locked is None
    browser.press("n")
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    open_case(browser, case_of(context, "twelve"))
    browser.driver.refresh()  # nothing is left of the page's own memory
    open_case(browser, case)
    browser.until("!document.getElementById('back').hidden")
    browser.click("#back")
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    assert len(context.store.reading(case, me).marks) == 1
    browser.click("#cannot")
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    zoom_to(browser, (700, 900), 1.7)
    browser.press("i")
    before = browser.run("return document.getElementById('stage').dataset.view")
    lock(browser)
    browser.until("document.querySelector('#stage[data-whole]:not([data-old])')")
    kept = context.store.reading(case, me)
    assert (kept.label, kept.finding, kept.confidence, kept.marks) == (UNASSESSED, None, None, ())
    assert browser.run("return document.getElementById('stage').dataset.view") == before and "inverted" in told(browser)
    browser.until("document.getElementById('live').textContent.includes('could not assess')")
    browser.until(
        "document.getElementById('stamp').textContent.startsWith('trust: ') && "
        "!document.getElementById('stamp').textContent.includes('being')"
    )
    assert "strongest on this film" in browser.find(".legend").text
    browser.run("document.getElementById('keep').click()")  # from now on the next film begins as this one is left
    open_case(browser, case_of(context, "twelve"))
    browser.until("document.querySelector('#stage[data-whole]:not([data-old])')")
    assert "inverted" in told(browser)
    browser.run("document.getElementById('keep').click()")


def test_silence_is_called_not_saved(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Silent")
    case = case_of(context, "twelve")
    whole(browser, case)
    browser.saved()
    browser.run(
        "const real = window.fetch; window.fetch = (p, o) => "
        "(window.mute && String(p).endsWith('/reading') ? new Promise(() => {}) : real(p, o)); window.mute = true"
    )
    start = time.monotonic()
    answer(browser, "NORMAL")
    browser.until("document.getElementById('saved').textContent.includes('NOT SAVED')", 20)
    assert 2.5 < time.monotonic() - start < 8
    assert context.store.reading(case, me).label is None


def test_a_reader_comes_back_tomorrow(context: StudyContext, browser: Browser) -> None:
    enter(browser, context, "Dr Tomorrow")
    cookie = browser.driver.get_cookie(context.cookie)
    assert cookie and cookie["expiry"] > time.time() + 29 * 86_400 and cookie["httpOnly"]
    browser.driver.get("about:blank")
    browser.driver.get(f"http://127.0.0.1:{context.port}/")  # by the bare address
    browser.until("document.getElementById('next')")
    browser.click("#sign-out")
    assert browser.run("return document.activeElement.textContent") == "Stay"
    browser.press(Keys.ENTER)
    browser.until("!document.querySelector('dialog[open]') && document.getElementById('next')")
    browser.click("#sign-out")
    browser.click("#dialog button.primary")
    browser.until("document.getElementById('token')")


def test_the_other_film_hangs_beside_with_zoom_and_window_linked(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Beside")
    case = case_of(context, "lateral")
    whole(browser, case)
    browser.press("y")
    browser.until("document.querySelector('.beside[data-whole]')")
    assert "Film of 12 months before · PA" in browser.find(".caption").text
    left = "return document.querySelector(arguments[0]).getBoundingClientRect().left"
    assert browser.run(left, ".beside") < browser.run(left, "#stage")  # the frontal film hangs to the left
    view = "return document.querySelector('.beside').dataset.view.split(' ').map(Number)"
    before = browser.run(view)[2]
    browser.press("+", "+")
    browser.until(f"Number(document.querySelector('.beside').dataset.view.split(' ')[2]) > 1.5 * {before}")
    browser.press("x", "u")  # flag, and pause
    browser.until("document.querySelector('.films[data-paused]')")
    browser.until("document.getElementById('clock').textContent.includes('paused')")
    browser.press("u")
    browser.until("document.getElementById('note-state').textContent === 'Saved'")
    browser.run("location.hash = '#/'")
    browser.until("document.getElementById('filter-flagged')")
    browser.click("#filter-flagged")
    assert [r.get_attribute("data-case") for r in browser.driver.find_elements("css selector", "tbody tr")] == [case]
    assert context.store.reading(case, me).marks == ()


def test_an_adjudicator_settles_what_two_readers_locked(context: StudyContext, browser: Browser) -> None:
    case = case_of(context, "frontal")
    for name, left in (("Dr First", 100.0), ("Dr Second", 140.0)):
        number = context.store.reader(name)
        marks = (Mark("box", ((left, 50.0), (left + 60, 120.0))),)
        saved = context.store.save(case, number, Reading(0, True, "PNEUMONIA", 3, "opacity", marks), "a" * 9)
        context.store.lock(case, number, saved.revision)
    me = enter(browser, context, "Dr Settles", "adjudicator")
    browser.press(Keys.ENTER)
    browser.until("document.querySelectorAll('.opinion').length >= 2")
    assert "Dr First" not in browser.run("return document.body.textContent")
    browser.run("[...document.querySelectorAll('.opinion button')].find((b) => b.textContent === 'Take all').click()")
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    browser.chord(Keys.CONTROL, Keys.ENTER)
    browser.click("#dialog button.primary")
    browser.until("document.querySelector('.phase').textContent.includes('Settled')")
    kept = context.store.reading(browser.run("return location.hash.split('/').pop()"), me)
    assert kept.locked and len(kept.marks) == 1 and kept.label == "PNEUMONIA"
    browser.collect()
    assert not any("/prediction" in url or "/maps/" in url for url in browser.requests)


def test_the_next_film_is_at_hand_before_it_is_opened(context: StudyContext, browser: Browser) -> None:
    me = enter(browser, context, "Dr Next")
    first, second = context.store.order(me)[:2]
    whole(browser, first)
    browser.until(f"performance.getEntriesByType('resource').some((e) => e.name.endsWith('/cases/{second}/film/0'))")
    browser.collect()
    browser.requests.clear()
    whole(browser, second)
    browser.collect()
    assert not any(f"{second}/film" in url for url in browser.requests)
