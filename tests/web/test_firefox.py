"""The reading room in Firefox too, where geckodriver is there: a film is shown, marked, saved, locked and revealed."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.firefox.options import Options
from selenium.webdriver.firefox.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from radiolucent.readers.store_access import new_token
from radiolucent.web.study_context import StudyContext

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def firefox() -> Iterator[Any]:
    """Firefox without a window."""
    browser = shutil.which("firefox-esr") or shutil.which("firefox")
    driver = shutil.which("geckodriver")
    if not browser or not driver:
        pytest.skip("firefox and geckodriver are not installed (Debian 12 has no geckodriver)")
    options = Options()
    options.binary_location = browser
    options.add_argument("-headless")
    made = webdriver.Firefox(options=options, service=Service(driver))
    made.set_window_size(1400, 900)
    try:
        yield made
    finally:
        made.quit()


def test_a_reader_reads_in_firefox(read_study: StudyContext, firefox: Any) -> None:
    def until(script: str) -> Any:
        asked = f"try {{ return {script} }} catch {{ return false }}"
        return WebDriverWait(firefox, 120, 0.1).until(lambda d: d.execute_script(asked), script)

    reader = read_study.store.reader("Dr Fox")
    firefox.get(f"http://127.0.0.1:{read_study.port}/#{new_token(read_study.store, reader)}")
    until("document.getElementById('next')")
    case = read_study.store.order(reader)[0]
    firefox.execute_script("location.hash = arguments[0]", f"#/case/{case}")
    until("document.querySelector('#stage[data-ready]')")
    shown = firefox.execute_script(
        "const c = document.querySelector('#stage canvas'), x = c.getContext('2d');"
        "return [...x.getImageData(c.width / 2, c.height / 2, 40, 40).data].filter((v, i) => i % 4 === 0)"
    )
    assert max(shown) > 0 and len(set(shown)) > 1  # a film, and no blank
    stage = firefox.find_element("css selector", "#stage")
    firefox.execute_script("document.getElementById('label-PNEUMONIA').click()")
    firefox.execute_script("document.getElementById('confidence-4').click()")
    ActionChains(firefox).send_keys("b").perform()
    chain = ActionChains(firefox).move_to_element_with_offset(stage, -60, -60).click_and_hold()
    chain.move_by_offset(50, 40).move_by_offset(50, 40).release().perform()
    until("document.getElementById('saved').dataset.state === 'saved'")
    marks = read_study.store.reading(case, reader).marks
    assert len(marks) == 1 and marks[0].kind == "box"
    (x0, y0), (x1, y1) = marks[0].points
    scale = float(stage.get_attribute("data-view").split()[2])
    assert (x1 - x0) * scale == pytest.approx(100, abs=2) and (y1 - y0) * scale == pytest.approx(80, abs=2)
    ActionChains(firefox).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    until("document.querySelector('dialog[open]')")
    firefox.execute_script("document.querySelector('#dialog button.primary').click()")
    until("document.getElementById('headline')")
    assert read_study.store.reading(case, reader).locked
