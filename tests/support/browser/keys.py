"""A keyboard on a page: moves the focus to a target, and checks each stop."""

import pytest
from playwright.sync_api import Locator, Page, expect

# More than any page has places at which Tab stops.
MOST = 120
# What is wrong with where the focus is, for somebody who looks for it; empty where nothing is.
# The field for messages shows it on the box around it.
WRONG = """() => {
  const place = document.activeElement;
  if (!place || place === document.body) return "The focus is lost.";
  const { left, top, right, bottom } = place.getBoundingClientRect();
  const [x, y] = [Math.max(left, 0) + Math.min(right, innerWidth),
    Math.max(top, 0) + Math.min(bottom, innerHeight)].map((sum) => sum / 2);
  const shown = document.elementFromPoint(x, y);
  const isMarked = place.id === "prompt"
    ? getComputedStyle(place.closest(".composer-box")).boxShadow !== "none"
    : getComputedStyle(place).outlineStyle !== "none";
  const wrong = !place.checkVisibility() || right <= left || bottom <= top ? "hidden"
    : !shown || !(place.contains(shown) || shown.contains(place)) ? "out of sight or covered"
    : !isMarked ? "not marked" : "";
  return wrong && `The focus is ${wrong}: ${place.outerHTML.slice(0, 200)}`;
}"""


class Keys:
    """`keys = Keys(page)`; keys.use(button) goes there by Tab, and presses Enter."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def write(self, text: str) -> None:
        self.page.keyboard.insert_text(text)

    def go(self, target: Locator, *, by: str = "Tab") -> None:
        """Tab to the target; the focus must be visible at every stop."""
        expect(target).to_be_visible()
        for _ in range(MOST):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.press(by)
            # Past the last place Tab leads out of the page, and in again.
            if not self.page.evaluate("document.activeElement === document.body"):
                self.sees_focus()
        pytest.fail(f"Tab does not lead to {target}")

    def use(self, target: Locator, key: str = "Enter", *, by: str = "Tab") -> None:
        self.go(target, by=by)
        self.press(key)

    def is_at(self, target: Locator) -> None:
        """What was done left the focus there."""
        expect(target).to_be_focused()
        self.sees_focus()

    def sees_focus(self) -> None:
        assert self.page.evaluate(WRONG) == ""
