"""What the README shows is true."""

import re
from pathlib import Path

from slurm_provider.config import load_facade, load_sidecar
from tests.support.processes import ROOT

README = (ROOT / "README.md").read_text()


def test_the_configuration_in_the_readme_is_right(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    for name in ("core.pub", "refresh-token"):
        (tmp_path / name).touch()
        block = block.replace(f"/etc/slurm-provider/{name}", str(tmp_path / name))
    path = tmp_path / "config.toml"
    path.write_text(block)
    assert load_facade(path).provider.id == "example"
    assert load_sidecar(path).sidecar.listen == load_facade(path).clusters["hpc"].sidecar


def test_every_room_in_the_readme_is_there() -> None:
    rooms = re.findall(r"^\| `(slurm_provider/\w+|proto/)`", README, re.MULTILINE)
    assert len(rooms) > 8
    assert all((ROOT / room).is_dir() for room in rooms)
