"""A mistake in the configuration is shown with its file, line and key."""

from pathlib import Path

import pytest

from slurm_provider.config import ConfigError, Era, load_facade, load_sidecar
from tests.unit.builders import CONFIG, config_file

MORE = """
[tracker]
interval_seconds = 2
accounting_interval_seconds = 5  # quick

[sidecar]
listen = "unix:/run/sidecar.sock"

[[products]]
category = "example-compute"
id = "second"
cluster = "hpc"
partition = "main"

[products.support]
docker = { enabled = true }

[products.support.native]
enabled = true

[[products]]
category = "example-compute"
id = "third"
cluster = "hpc"
partition = "main"

[products.support]
native.enabled = true

[[drives]]
id = "second"
path = "/gpfs/second"

[clusters.remote]
sidecar = "tcp:login.example:8890"

[clusters.remote.tls]
certificate_file = "{folder}/provider.pub"
key_file = "{folder}/provider.pub"
ca_file = "{folder}/provider.pub"
"""
WHOLE = CONFIG + MORE


def mistakes(folder: Path, text: str) -> list[str]:
    """What is wrong, one mistake a line, without the file's folder."""
    path = config_file(folder, text)
    with pytest.raises(ConfigError) as error:
        load_facade(path)
    return str(error.value).replace(f"{folder}/", "").splitlines()


def line_of(snippet: str, text: str) -> int:
    """The line (from 1) on which a snippet, which must be the only one, stands."""
    assert text.count(snippet) == 1, snippet
    return text[: text.index(snippet)].count("\n") + 1


def after(header: str, old: str, new: str) -> str:
    """The whole file with `old` replaced in what follows `header`."""
    before, found, rest = WHOLE.partition(header)
    assert found
    assert old in rest
    return before + found + rest.replace(old, new, 1)


def test_a_right_file_is_taken_as_it_is(tmp_path: Path) -> None:
    config = load_facade(config_file(tmp_path, WHOLE))
    assert (config.provider.id, config.core.era, config.tracker.interval_seconds) == ("example", Era.SEEDS, 2)
    assert config.clusters["hpc"].job_folder == "~/ucloud-jobs/{job}"
    product = config.product("example-compute", "second")
    assert product is not None
    assert product.support is not None
    assert (product.support.docker, product.support.native) == ({"enabled": True}, {"enabled": True})
    assert config.product("other", "second") is None


# What stands in the right file, what stands there instead, and what is said of the line marked "# here".
MISTAKES = {
    "a suspension that its product forbids": (
        'id = "4012"\npath = "/gpfs/home/bob"\n',
        'id = "4012"\npath = "/gpfs/home/bob"\n\n[[products]]  # here\ncategory = "c"\nid = "i"\n'
        'cluster = "hpc"\npartition = "main"\nrequeue = false\nsuspend = "requeue-hold"\n',
        'products.0: suspend = "requeue-hold" needs jobs that can be requeued: leave out requeue = false',
    ),
    "a misspelt key": (
        "interval_seconds = 2",
        "intervall = 2  # here",
        "tracker.intervall: there is no such key",
    ),
    "a wrong type": ("interval_seconds = 2", 'interval_seconds = "x"  # here', "tracker.interval_seconds: "),
    "a number out of range": (
        "interval_seconds = 2",
        "interval_seconds = 0  # here",
        "tracker.interval_seconds: ",
    ),
    "a word that is none": ("[jobmap]", 'era = "old"  # here\n\n[jobmap]', "core.era: "),
    "a bad URL": ('url = "http://core.example"', 'url = "core.example"  # here', "core.url: "),
    "a file that is not there": (
        'public_key_file = "{folder}/provider.pub"',
        'public_key_file = "{folder}/nowhere"  # here',
        "core.public_key_file: there is no such file",
    ),
    "a key in a nested table": (
        "[clusters.remote.tls]",
        "[clusters.remote.tls]\nca = 1  # here",
        "clusters.remote.tls.ca: there is no such key",
    ),
    "a file in a nested table": (
        'ca_file = "{folder}/provider.pub"',
        'ca_file = "{folder}/nowhere"  # here',
        "clusters.remote.tls.ca_file: there is no such file",
    ),
    "a relative path in the second of an array": (
        'path = "/gpfs/second"',
        'path = "gpfs/second"  # here',
        "drives.1.path: must be an absolute path",
    ),
    "an address of no known kind": (
        'sidecar = "tcp:login.example:8890"',
        'sidecar = "login.example:8890"  # here',
        "clusters.remote.sidecar: must be unix:",
    ),
    "a container runtime that is none": (
        "[jobmap]",
        '[clusters.hpc.containers]\nruntime = "docker"  # here\n\n[jobmap]',
        "clusters.hpc.containers.runtime: ",
    ),
    "a container runtime that pulls nothing": (
        "[jobmap]",
        '[clusters.hpc.containers]  # here\nruntime = "charliecloud"\npull = true\n\n[jobmap]',
        "clusters.hpc.containers: charliecloud runs image folders",
    ),
    "an image cache without place": (
        "[jobmap]",
        '[clusters.hpc.containers]\nruntime = "podman"\ncache = "images"  # here\n\n[jobmap]',
        "clusters.hpc.containers.cache: must begin with / or ~/",
    ),
    "an image that is neither software nor a file": (
        "[jobmap]",
        '[[images]]  # here\nname = "a"\n\n[jobmap]',
        "images.0: needs either software or file",
    ),
    "a job folder without the job": (
        'job_folder = "~/ucloud-jobs/{{job}}"',
        'job_folder = "~/ucloud-jobs"  # here',
        "clusters.hpc.job_folder: ",
    ),
    "a job folder that is relative": (
        'job_folder = "~/ucloud-jobs/{{job}}"',
        'job_folder = "jobs/{{job}}"  # here',
        "clusters.hpc.job_folder: must begin with",
    ),
    "a job folder with a placeholder that nobody fills in": (
        'job_folder = "~/ucloud-jobs/{{job}}"',
        'job_folder = "/gpfs/{{account}}/{{job}}"  # here',
        "clusters.hpc.job_folder: only {job} and {user} are filled in, not {account}",
    ),
    "a job folder with a part of a placeholder": (
        'job_folder = "~/ucloud-jobs/{{job}}"',
        'job_folder = "/gpfs/{{job.x}}/{{job}}"  # here',
        "clusters.hpc.job_folder: only {job} and {user} are filled in, not {job.x}",
    ),
    "a job folder with a placeholder that does not end": (
        'job_folder = "~/ucloud-jobs/{{job}}"',
        'job_folder = "/gpfs/{{job}}/{user"  # here',
        "clusters.hpc.job_folder: expected '}'",
    ),
    "a misspelt key of the sidecar's": (
        'listen = "unix:/run/sidecar.sock"',
        'listen = "unix:/run/sidecar.sock"\ndeny_user = ["bob"]  # here',
        "sidecar.deny_user: there is no such key",
    ),
    "a misspelt section": ("[tracker]", "[sidecr]  # here\n\n[tracker]", "sidecr: there is no such key"),
    "a partition that could be two words": (
        'partition = "main"\nqos',
        'partition = "main short"  # here\nqos',
        "products.0.partition: ",
    ),
    "a wrong type in an inline table": (
        "docker = { enabled = true }",
        'docker = {{ enabled = "perhaps" }} # here',
        "products.1.support.docker.enabled: ",
    ),
    "a wrong type below an array": (
        "[products.support.native]\nenabled = true",
        '[products.support.native]\nenabled = "perhaps"  # here',
        "products.1.support.native.enabled: ",
    ),
    "a wrong type under a dotted key": (
        "native.enabled = true",
        'native.enabled = "perhaps"  # here',
        "products.2.support.native.enabled: ",
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_by_file_line_and_key(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert WHOLE.count(old) == 1
    text = WHOLE.replace(old, new)
    [mistake] = mistakes(tmp_path, text)
    assert mistake.startswith(f"config.toml:{line_of('# here', text)}: {expected}")


MISSING = {
    "in a table": ('refresh_token_file = "{folder}/refresh-token"\n', "[core]", "core.refresh_token_file"),
    "in the third of an array": (
        'id = "third"\n',
        '[[products]]\ncategory = "example-compute"\ncluster = "hpc"',
        "products.2.id",
    ),
    "in a nested table": (
        'certificate_file = "{folder}/provider.pub"\n',
        "[clusters.remote.tls]",
        "clusters.remote.tls.certificate_file",
    ),
    "a whole table": ('[jobmap]\npath = "{folder}/jobs.db"\n', "[provider]", "jobmap"),
}


@pytest.mark.parametrize(("removed", "table", "key"), MISSING.values(), ids=MISSING.keys())
def test_a_missing_key_is_named_with_the_line_of_its_table(
    tmp_path: Path, removed: str, table: str, key: str
) -> None:
    assert WHOLE.count(removed) == 1
    text = WHOLE.replace(removed, "")
    assert mistakes(tmp_path, text) == [f"config.toml:{line_of(table, text)}: {key}: this key is missing"]


def test_tcp_without_keys_is_named_with_the_line_of_its_cluster(tmp_path: Path) -> None:
    text = WHOLE[: WHOLE.index("[clusters.remote.tls]")]
    [mistake] = mistakes(tmp_path, text)
    assert mistake.startswith(f"config.toml:{line_of('[clusters.remote]', text)}: clusters.remote: ")
    assert "plain TCP is not spoken" in mistake


def test_a_product_of_an_unknown_cluster_is_named_with_the_line_of_its_cluster(tmp_path: Path) -> None:
    text = after('id = "second"', 'cluster = "hpc"', 'cluster = "elsewhere"')
    [mistake] = mistakes(tmp_path, text)
    assert "there is no [clusters.elsewhere]" in mistake
    assert mistake.startswith(f"config.toml:{line_of('elsewhere', text)}: products.1.cluster: ")


def test_all_mistakes_are_shown_at_once(tmp_path: Path) -> None:
    text = WHOLE.replace("[jobmap]", "[jobmapp]").replace("cpu = 4", "cpu = 0")
    found = [mistake.split(": ")[1] for mistake in mistakes(tmp_path, text)]
    assert sorted(found) == ["jobmap", "jobmapp", "products.0.cpu"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for load in (load_facade, load_sidecar):
        with pytest.raises(ConfigError, match=f"{tmp_path}/nowhere.toml: .*No such file"):
            load(tmp_path / "nowhere.toml")
        with pytest.raises(ConfigError, match="cannot be read"):
            load(tmp_path)


def test_what_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    [mistake] = mistakes(tmp_path, "[provider]\nid = \n")
    assert mistake.startswith("config.toml: ")
    assert "line 2" in mistake


def test_what_is_no_text_is_a_mistake_too(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'[provider]\nid = "\xff"\n')
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load_facade(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[sidecar]\n\nlisten = "tcp:0.0.0.0:8890"\n', "1: sidecar: .*plain TCP"),
        ("[sidecar]\nmin_uid = 0\n", "2: sidecar.min_uid: "),
        ("[sidecr]\ndeny_users = ['bob']\n", "1: sidecr: there is no such key"),
        ("[sidecar]\nsocket_group = 'x'\n", "2: sidecar.socket_group: there is no such key"),
        ("[sidecar]\ncommand_timeout_seconds = 61\n", "2: sidecar.command_timeout_seconds: .*60"),
        ('[other]\nx = 1\n[sidecar]\nlissen = "unix:/x"\n', "4: sidecar.lissen: there is no such key"),
    ],
)
def test_the_sidecars_mistakes_are_named_in_the_same_way(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"config.toml:{expected}"):
        load_sidecar(config_file(tmp_path, text))


def test_both_programs_can_read_one_file(tmp_path: Path) -> None:
    assert load_sidecar(config_file(tmp_path, WHOLE)).sidecar.listen == "unix:/run/sidecar.sock"


def test_a_file_of_the_other_programs_that_cannot_be_seen_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = "".join(f'{key}_file = "/closed/{key}"\n' for key in ("certificate", "key", "ca"))
    path = config_file(tmp_path, f"{CONFIG}\n[sidecar.tls]\n{files}")
    is_file = Path.is_file

    def closed(self: Path) -> bool:
        if self.parent == Path("/closed"):
            raise PermissionError
        return is_file(self)

    monkeypatch.setattr(Path, "is_file", closed)
    assert load_facade(path).sidecar is not None
