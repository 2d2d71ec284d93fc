"""A browser for each module of tests, and its pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.browser.chromium import (
    ARGUMENTS,
    DESKTOP,
    PHONE,
    TIMEOUT_MS,
    Browsing,
    chromium_path,
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For a module alone: while Playwright runs, Django refuses the ORM in this thread."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Browsing]:
    """`page = browse(size=PHONE)`; after the test no page may have complained."""
    browsing = Browsing(chromium)
    yield browsing
    for context in chromium.contexts:
        context.close()
    assert not browsing.complaints, "\n".join(browsing.complaints)


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def size(request: pytest.FixtureRequest, browse: Browsing) -> dict[str, int]:
    """Runs a test at each size, which is that of the pages it opens."""
    browse.size = request.param
    return browse.size
