"""What is said at the end of a run."""

import pytest

from tests.support.processes import ROOT

ARTEFACTS = ROOT / "test-artefacts"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where tests in a browser have left their screenshots."""
    if ARTEFACTS.exists():
        terminalreporter.write_line(f"screenshots: {ARTEFACTS}")
