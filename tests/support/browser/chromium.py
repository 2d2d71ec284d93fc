"""A headless Chromium for tests of pages, with a record of the page's errors."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

# The first takes half the CPU of the others.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# Nothing here leaves the machine; as root Chromium has no sandbox.
ARGUMENTS = [
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    *["--disable-background-networking", "--disable-component-update"],
]
# Generous, as another test may have the machine.
TIMEOUT_MS = 20_000
SERIOUS = ("serious", "critical")
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
# For a test of what no layout has a part in.
once = pytest.mark.parametrize("size", [DESKTOP], ids=["desktop"], indirect=True)


@dataclass
class Browsing:
    """Opens pages; `complaints` is what they wrote to the console as errors, CSP reports too."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)
    size: dict[str, int] = field(default_factory=lambda: DESKTOP)

    def __call__(self, *, size: dict[str, int] | None = None, **options: object) -> Page:
        context = self.browser.new_context(viewport=size or self.size, **options)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda line: (
                self.complaints.append(f"{page.url}: {line.text}") if line.type == "error" else None
            ),
        )
        return page


def chromium_path() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail("No Chromium: apt-get install chromium, or name one with CHROMIUM=")
    return found


def serious_barriers(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """The barriers that axe-core finds in a page; by `rules` alone, if there are any."""
    # Its preload would put style sheets that import others into the page, which the CSP forbids.
    # Results of other types than violations take as much time again.
    options = {
        "preload": False,
        "resultTypes": ["violations"],
        **({"runOnly": list(rules)} if rules else {}),
    }
    violations = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['id']}: {node['html']}"
        for each in violations
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
