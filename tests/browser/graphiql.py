"""GraphiQL as its user handles it."""

from __future__ import annotations

import json
from typing import Any, Literal

from playwright.async_api import Locator, Page

from tests.browser.watching import WatchedPage
from tests.clients.waiting import eventually

RUN = ".graphiql-execute-button"
WORKERS = 3
"""For JSON, for GraphQL, and for every text."""


class GraphiQLPage(WatchedPage):
    """The page at /graphiql."""

    async def load(self) -> None:
        """Open it, and wait until one can type."""
        await self.open("/graphiql")
        await self.page.locator(".graphiql-query-editor .view-line").first.wait_for()

    async def settle(self) -> None:
        """Wait until all of it is loaded: what helps its editors comes after one can type."""
        await eventually(lambda: len(self.page.workers) >= WORKERS)
        await self.page.wait_for_load_state("networkidle")

    async def choose(self, tab: str) -> None:
        """Change to a tab."""
        await self.page.get_by_role("tab", name=tab).click()

    async def write(self, editor: Literal["Variables", "Headers"], value: object) -> None:
        """Write JSON into one of the two editors below the operation, over what is there."""
        await self.page.get_by_role("button", name=editor, exact=True).click()
        visible = self.page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden)")
        await visible.locator(".view-lines").click()
        await self.page.keyboard.press("Control+A")
        # Before, since Monaco puts brackets around what is selected.
        await self.page.keyboard.press("Delete")
        await self.page.keyboard.insert_text(json.dumps(value))

    async def run(self) -> None:
        """Run the operation of the tab; or stop it, when it runs."""
        await self.page.locator(RUN).click()

    async def generate(self) -> dict[str, Any]:
        """Run the operation of the first tab; the job."""
        await self.run()
        answer = await self.answer('"status"')
        assert answer["data"]["generateImage"]["errors"] == []
        job: dict[str, Any] = answer["data"]["generateImage"]["job"]
        return job

    async def answer(self, text: str) -> dict[str, Any]:
        """What the page shows as soon as it holds a text."""

        async def shown() -> dict[str, Any] | None:
            shown = await text_of(self.page, "response")
            return json.loads(shown) if text in shown else None

        answer: dict[str, Any] = await eventually(shown)
        return answer

    async def operation(self) -> str:
        """What the tab would run."""
        return await text_of(self.page, "operation")

    def notice(self, text: str) -> Locator:
        """The line below the answer that holds a text."""
        return self.page.get_by_role("status").get_by_text(text)


async def text_of(page: Page, editor: str) -> str:
    """All that an editor holds: Monaco puts only the lines into the page that can be seen."""
    text = await page.evaluate(
        "(name) => __MONACO.editor.getModels().find((model) => model.uri.path.includes(name)).getValue()", editor
    )
    assert isinstance(text, str)
    return text
