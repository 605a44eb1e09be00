"""One browser and one study for all browser tests: both start slowly."""

from collections.abc import Iterator

import pytest

from radiolucent.web.study_context import StudyContext
from support.browser import Browser, browsing, programs
from support.study_server import draw_room, make_study, served

FILM = (600, 500)


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    programs()
    with browsing(tmp_path_factory.mktemp("browser") / "profile") as made:
        yield made


@pytest.fixture
def browser(one_browser: Browser) -> Browser:
    """The browser on an empty page, signed out, with nothing remembered of the test before."""
    one_browser.size(1280, 720)
    one_browser.driver.get("about:blank")
    one_browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    one_browser.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "local_storage"})
    one_browser.collect()
    one_browser.requests.clear()
    one_browser.console.clear()
    return one_browser


@pytest.fixture(scope="session")
def read_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """Three smooth films of 600 × 500."""
    programs()
    with served(make_study(tmp_path_factory.mktemp("read"), count=3, shape=FILM)) as made:
        yield made


@pytest.fixture(scope="session")
def room_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """Films as a hospital has them: see `draw_room`."""
    programs()
    root = tmp_path_factory.mktemp("room")
    draw_room(root / "films")
    with served(make_study(root, stamps=True)) as made:
        yield made
