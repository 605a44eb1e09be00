"""Going from page to page faster than pages arrive."""

from radiolucent.web.study_context import StudyContext
from support.browser import Browser
from support.pages import enter


def test_of_two_quick_navigations_the_last_counts(read_study: StudyContext, browser: Browser) -> None:
    reader = enter(browser, read_study, "Dr Quick")
    first, second = read_study.store.order(reader)[:2]
    go = "location.hash = '#/case/' + arguments[0]; setTimeout(() => { location.hash = '#/case/' + arguments[1]; })"
    browser.run(go, first, second)
    browser.until(f"location.hash.endsWith('{second}') && document.querySelector('#stage[data-ready]')")
    browser.saved()
    browser.press("n")
    browser.until("document.getElementById('saved').dataset.state !== 'saved'")
    browser.saved()
    assert read_study.store.reading(second, reader).finding is False
    assert read_study.store.reading(first, reader).revision == 0
