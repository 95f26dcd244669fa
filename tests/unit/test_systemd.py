"""The systemd units are what systemd takes."""

import subprocess
from pathlib import Path

import pytest

from tests.support.processes import COMMAND, ROOT

UNITS = sorted(path.name for path in (ROOT / "systemd").glob("*.service"))


def test_there_is_a_unit_for_each_program() -> None:
    assert UNITS == ["slurm-provider-sidecar.service", "slurm-provider.service"]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: str, tmp_path: Path) -> None:
    # The command is installed elsewhere here; systemd looks whether it is there.
    text = (ROOT / "systemd" / unit).read_text().replace("/usr/bin/slurm-provider", str(COMMAND))
    (tmp_path / unit).write_text(text)
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (verify.returncode, verify.stderr) == (0, "")
    assert "Type=notify" in text
