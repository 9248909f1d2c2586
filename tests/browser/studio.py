"""The Studio as its user handles it."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Locator

from tests.browser.watching import WatchedPage
from tests.clients.waiting import eventually

AT_A_STEP = re.compile(r"^(Step )?\d+( of |/)\d+$")

MEASURE = """() => {
  window.measured = new Promise((resolve) => {
    document.querySelector(".generate").addEventListener("click", () => {
      const clicked = performance.now();
      const known = new Set(document.querySelectorAll(".card"));
      const look = () => {
        const isThere = [...document.querySelectorAll(".card")].some((card) => !known.has(card));
        if (isThere) resolve(performance.now() - clicked);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, { capture: true, once: true });
  });
}"""


FIRST_IN_SIGHT = """() => [...document.querySelectorAll(".card")]
  .filter((card) => card.getBoundingClientRect().bottom > 0)
  .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)[0]
  .querySelector(".caption").innerText"""


class StudioPage(WatchedPage):
    """The page at /."""

    async def settle(self) -> None:
        """Wait until one can generate."""
        await self.page.locator(".generate:enabled").wait_for()

    @property
    def prompt(self) -> Locator:
        """Where one says what the image shows."""
        return self.page.get_by_label("Prompt", exact=True)

    async def generate(self, prompt: str) -> None:
        """Write a prompt, and ask for it."""
        await self.prompt.fill(prompt)
        await self.page.get_by_role("button", name="Generate").click()

    async def milliseconds_to_card(self, prompt: str) -> float:
        """As `generate`; from the click to the frame in which the card is there."""
        await self.page.evaluate(MEASURE)
        await self.generate(prompt)
        measured: float = await self.page.evaluate("window.measured")
        return measured

    def card(self, prompt: str) -> Locator:
        """The card of a job."""
        return self.page.locator(".card", has=self.page.locator(".caption", has_text=prompt))

    async def pictured(self, prompt: str, *, count: int = 1) -> None:
        """Wait until all pictures of a job are drawn."""
        drawn = self.card(prompt).locator('.picture[data-there="true"]')
        await eventually(lambda: self._is(drawn, count))

    async def drawing(self, prompt: str) -> None:
        """Wait until a job says which step it is at."""
        await self.card(prompt).get_by_text(AT_A_STEP).wait_for()

    async def first_in_sight(self) -> str:
        """The prompt of the first card of which something is seen."""
        prompt: str = await self.page.evaluate(FIRST_IN_SIGHT)
        return prompt

    async def top_of(self, prompt: str) -> float:
        """How far the top of a card is from that of the window, in pixels."""
        top: float = await self.card(prompt).evaluate("(card) => card.getBoundingClientRect().top")
        return top

    async def is_in_sight(self, prompt: str) -> bool:
        """Whether the top of a card is in the window."""
        box = await self.card(prompt).bounding_box()
        size = self.page.viewport_size
        return box is not None and size is not None and 0 <= box["y"] < size["height"]

    async def look_at(self, prompt: str) -> None:
        """Open the full view."""
        await self.card(prompt).locator(".card-open").click()
        await self.page.get_by_role("dialog").wait_for()

    async def sign_in(self, key: str) -> None:
        """Hand in an API key."""
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()

    async def copied(self, name: str) -> str:
        """What a button of the full view puts into the clipboard."""
        await self.page.get_by_role("button", name=name, exact=True).click()
        await self.page.get_by_text(f"Copied as {name}.").wait_for()
        text: str = await self.page.evaluate("navigator.clipboard.readText()")
        return text

    async def serious_faults(self, axe: str) -> list[dict[str, Any]]:
        """What axe-core finds that keeps people out."""
        await self.page.evaluate(axe)
        found = await self.page.evaluate("axe.run().then(({ violations }) => violations)")
        return [
            {"id": fault["id"], "where": [(node["target"], node["failureSummary"]) for node in fault["nodes"]]}
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]

    @staticmethod
    async def _is(locator: Locator, count: int) -> bool:
        return await locator.count() == count
