"""What several tests are given."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.running_facade import Facade, running_facade


@pytest.fixture
async def facade(tmp_path: Path) -> AsyncIterator[Facade]:
    async with running_facade(tmp_path) as facade:
        yield facade
