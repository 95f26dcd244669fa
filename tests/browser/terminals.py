"""A terminal in a browser: what is typed into it, and what stands on its screen."""

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.portal import Portal

_LINES = """() => {
  const {active} = terminal.buffer;
  return Array.from({length: terminal.rows}, (_, row) =>
    active.getLine(active.viewportY + row)?.translateToString(true) ?? "");
}"""


class Terminal:
    """The portal's terminal page; xterm.js draws it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def of(
        cls, portal: Portal, job_id: str, rank: int = 0, *, prompt: str = "$ ", **query: str
    ) -> "Terminal":
        """Open a terminal in a rank of a job by the portal's buttons, and wait for its prompt."""
        start = await portal.open(**query)
        row = start.locator(f"tr[data-job='{job_id}']")
        await row.get_by_title("Rank").select_option(str(rank))
        async with portal.context.expect_page() as opened:
            await row.get_by_role("button", name="Terminal").click()
        terminal = cls(await opened.value)
        await expect(terminal.page.locator("#message")).to_be_empty()
        await terminal.shows(prompt)
        return terminal

    async def type(self, text: str) -> None:
        """Type text, `\\n` being the Enter key."""
        await self.page.keyboard.type(text)

    async def press(self, key: str) -> None:
        """Press a key by its name, such as `Control+C`."""
        await self.page.keyboard.press(key)

    async def lines(self) -> list[str]:
        """What stands on the screen, a line each, without the blanks at their ends."""
        lines: list[str] = await self.page.evaluate(_LINES)
        return lines

    async def shows(self, text: str) -> None:
        """Wait until a text stands on the screen."""
        await self._until(f"({_LINES})().join('\\n').includes(text)", text=text)

    async def shows_line(self, line: str) -> None:
        """Wait until a line of the screen is exactly this."""
        await self._until(f"({_LINES})().includes(text)", text=line)

    async def _until(self, condition: str, **values: Any) -> None:
        names = ", ".join(values)
        try:
            await self.page.wait_for_function(f"({{{names}}}) => {condition}", arg=values)
        except Exception as error:
            screen = "\n".join(await self.lines())
            raise AssertionError(f"not seen: {values}; on the screen:\n{screen}") from error
