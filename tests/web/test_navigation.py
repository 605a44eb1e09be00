"""Going from page to page faster than pages arrive."""

from pathlib import Path

from radiolucent.readers.store_access import new_token
from web.browser_support import browsing, programs
from web.study_support import make_study, served


def test_of_two_quick_navigations_the_last_counts(tmp_path: Path) -> None:
    programs()
    with served(make_study(tmp_path, count=3)) as context, browsing(tmp_path / "profile") as browser:
        token = new_token(context.store, reader := context.store.reader("Dr A"))
        browser.driver.get(f"http://127.0.0.1:{context.port}/#{token}")
        browser.until("document.getElementById('next')")
        first, second = context.store.order(reader)[:2]
        go = "location.hash = '#/case/' + arguments[0]; setTimeout(() => { location.hash = '#/case/' + arguments[1]; })"
        browser.run(go, first, second)
        browser.until(f"location.hash.endsWith('{second}') && document.querySelector('#stage[data-ready]')")
        browser.saved()
        browser.press("n")
        browser.until("document.getElementById('saved').dataset.state !== 'saved'")
        browser.saved()
        assert context.store.reading(second, reader).finding is False
        assert context.store.reading(first, reader).revision == 0
