"""The sections on modules, software, licences and options of sbatch."""

import re
from pathlib import Path

import pytest

from slurm_provider.config import ConfigError, FacadeConfig, load_facade
from tests.unit.builders import CONFIG, config_file

DOCS = Path(__file__).parents[2] / "docs/applications.md"


def loaded(folder: Path, sections: str) -> FacadeConfig:
    return load_facade(config_file(folder, CONFIG + sections))


def test_the_documented_sections_are_read(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert example
    config = loaded(tmp_path, example[1])
    assert config.modules.init == "/opt/modules/init/bash"
    assert config.system.srun == "srun --mpi=pmix"
    assert config.applications["gromacs@2024.1"].load == "module load gromacs/2024.1"
    assert config.licenses["acme"].text == "licences.example.org:27000/0123"
    assert config.sbatch.allow == ("constraint", "signal")


def test_all_of_them_may_be_left_out(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert (config.modules.init, config.system.srun, config.licenses) == (None, "srun", {})
    assert "signal" in config.sbatch.allow


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ('[sbatch]\nallow = ["account"]', "the option 'account' of sbatch is the provider's own"),
        ('[modules]\ninit = "modules.sh"', "modules.init"),
        ('[licenses.a]\naddress = "x"\nport = 70000', "licenses.a.port"),
        ('[licenses.a]\naddress = "x"\nprot = 1', "there is no such key"),
        ('[applications.gromacs]\nload = "x"', "applications"),
        ('[applications."gromacs@1"]\nunload = "x"', "this key is missing"),
    ],
)
def test_a_mistake_in_them_is_named(tmp_path: Path, sections: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        loaded(tmp_path, sections)
