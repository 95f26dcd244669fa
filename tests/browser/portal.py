"""The portal as its users have it: pages in a browser, and jobs that they submit."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.async_api import BrowserContext, Page

from tests.support.stack import Stack


class Portal:
    """Pages for one user's eyes. `errors` are what scripts of the portal's own pages have not caught."""

    def __init__(self, context: BrowserContext, stack: Stack, folder: Path, name: str) -> None:
        self.context = context
        self.stack = stack
        self.errors: list[str] = []
        self._submitted: list[tuple[str, str]] = []
        self._folder = folder
        self._name = name
        for old in folder.glob(f"{name}-*.png"):
            old.unlink()
        context.on("weberror", lambda error: self._note(error.page, str(error.error)))

    def _note(self, page: Page | None, error: str) -> None:
        if page is not None and page.url.startswith(self.stack.core.url):
            self.errors.append(f"{page.url}: {error}")

    async def submit(
        self,
        application: str = "shell-script",
        *,
        replicas: int = 1,
        user: str = "user",
        resources: list[dict[str, Any]] | None = None,
        **parameters: str,
    ) -> str:
        """Submit a job as a user; return its id."""
        specification = {
            "application": {"name": application, "version": "1.0.0"},
            "product": {"id": "example-compute-1", "category": "example-compute", "provider": "example"},
            "replicas": replicas,
            "resources": resources,
            "parameters": {name: {"type": "text", "value": value} for name, value in parameters.items()},
            "timeAllocation": {"hours": 0, "minutes": 10, "seconds": 0},
        }
        [job_id] = await self.stack.core.create_as_user(user, specification)
        self._submitted.append((user, job_id))
        return job_id

    async def running(self, *arguments: Any, **parameters: Any) -> str:
        """Submit a job as `submit` does, and wait until it runs."""
        job_id = await self.submit(*arguments, **parameters)
        await self.stack.core.wait_update(job_id, state="RUNNING", timeout=60)
        return job_id

    async def end_jobs(self) -> None:
        """Terminate what still runs of what was submitted."""
        for user, job_id in self._submitted:
            if (await self.stack.core.job(job_id))["status"]["state"] in ("IN_QUEUE", "RUNNING"):
                await self.stack.core.terminate_as_user(user, job_id)

    async def open(self, name: str = "", **query: object) -> Page:
        """Open one of the portal's pages."""
        page = await self.context.new_page()
        await page.goto(f"{self.stack.core.url}/pages/{name}?{urlencode(query)}")
        return page

    async def shot(self, page: Page, what: str) -> Path:
        """Take a screenshot."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{self._name}-{what}.png"
        await page.screenshot(path=path)
        return path
