"""What is said at the end of a run."""

import time

import pytest

from tests.support.processes import ROOT

ARTEFACTS = ROOT / "test-artefacts"
_BEGAN_AT = time.time()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where tests in a browser have left their screenshots, if there were any in this run."""
    if any(path.stat().st_mtime >= _BEGAN_AT for path in ARTEFACTS.glob("*.png")):
        terminalreporter.write_line(f"screenshots: {ARTEFACTS}")
