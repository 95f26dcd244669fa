"""The few pages of a portal that a browser is shown: plain files, and the packages that they import."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

BROWSER = Path(__file__).parents[2] / "browser"


def page_routes() -> list[BaseRoute]:
    """`/pages` and `/npm`; the start page is at the top."""
    # npm's packages are there only where a browser is used.
    return [
        Route("/", _start),
        Route("/favicon.ico", _icon),
        Mount("/pages", StaticFiles(directory=BROWSER / "pages", html=True)),
        Mount("/npm", StaticFiles(directory=BROWSER / "node_modules", check_dir=False)),
    ]


async def _start(_: Request) -> Response:
    return RedirectResponse("/pages/")


async def _icon(_: Request) -> Response:
    return FileResponse(BROWSER / "pages/icon.svg")
