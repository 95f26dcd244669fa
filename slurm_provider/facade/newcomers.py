"""WebSockets that have not shown yet who they are: anybody can open them, so their number is limited."""

from collections.abc import Iterator
from contextlib import contextmanager

MOST_NEWCOMERS = 500


class TooManyNewcomers(Exception):
    """As many WebSockets as may be have shown nothing yet."""


class Newcomers:
    """Counts the WebSockets of which it is not known yet whom they let in."""

    def __init__(self, most: int = MOST_NEWCOMERS) -> None:
        self._most = most
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one for as long as it has shown nothing; raise TooManyNewcomers where there is no room."""
        if self._count >= self._most:
            raise TooManyNewcomers("too many connections have not said yet what they are for; try again soon")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
