"""A page of a real browser, and what it does that it should not."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request, WebSocket

from tests.clients.waiting import PATIENCE_SECONDS

TELL_OF_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`);
});
"""


class WatchedPage:
    """A page that was opened from `origin`. `troubles` are requests to elsewhere, errors, and violations of its policy;
    the fixture that has opened it wants none of them."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.troubles: list[str] = []
        self.sockets: list[str] = []
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("request", self._on_request)
        page.on("websocket", self._on_socket)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.troubles.append(f"uncaught: {error}"))

    async def open(self, path: str) -> None:
        """Load a page of the origin."""
        await self.page.add_init_script(TELL_OF_VIOLATIONS)
        await self.page.goto(f"{self.origin}{path}")

    def take_troubles(self, *, about: str) -> list[str]:
        """Those that name something, which are expected: they count no longer."""
        taken = [trouble for trouble in self.troubles if about in trouble]
        self.troubles = [trouble for trouble in self.troubles if about not in trouble]
        return taken

    def _on_request(self, request: Request) -> None:
        self._note(request.url)

    def _on_socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket.url)
        self._note(socket.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")

    def _note(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("data", "blob") and address.netloc != urlsplit(self.origin).netloc:
            self.troubles.append(f"elsewhere: {url}")
