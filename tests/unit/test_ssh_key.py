"""No key that a user uploads can say more in authorized_keys than that its owner may log in."""

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_provider.sidecar.authorized_keys import KeysRefused, set_keys, with_block
from slurm_provider.ssh_key import KEY_TYPES, KeyRefused, checked_key

LABEL = "ucloud:example/0123456789ab"


def field(*texts: bytes) -> bytes:
    return b"".join(len(text).to_bytes(4, "big") + text for text in texts)


def key(kind: str = "ssh-ed25519", body: bytes = b"k" * 32) -> str:
    return f"{kind} {base64.b64encode(field(kind.encode(), body)).decode()}"


GOOD = key()


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_key_keeps_its_type_and_its_base64_alone(kind: str) -> None:
    assert checked_key(f"  {key(kind)} alice@laptop command=x \r\n") == key(kind)


BAD = {
    "nothing": "",
    "no key": "hello",
    "options in front": f'command="id" {GOOD}',
    "a second line": f"{GOOD}\n{GOOD}",
    "a second line after a carriage return": f"{GOOD}\r{GOOD}",
    "a tab after the type": GOOD.replace(" ", "\t"),
    "a NUL": f"{GOOD}\0",
    "an odd comment": f"{GOOD} ü",
    "an unknown type": key("ssh-dss"),
    "another type inside": "ssh-rsa " + GOOD.split()[1],
    "no body": f"ssh-ed25519 {base64.b64encode(field(b'ssh-ed25519')).decode()}",
    "cut off": GOOD[:-8],
    "no base64": "ssh-ed25519 !!!!",
    "too long": key(body=b"k" * 9000),
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_is_no_key_is_refused_in_words(text: str) -> None:
    with pytest.raises(KeyRefused, match=r".{10}"):
        checked_key(text)


@given(st.text(), st.text())
def test_whatever_stands_around_a_key_never_reaches_the_file(before: str, after: str) -> None:
    try:
        kept = checked_key(before + GOOD + after)
    except KeyRefused:
        return
    assert kept.split()[0] in KEY_TYPES
    assert len(kept.split()) == 2
    assert kept.isascii() and kept.isprintable()


def test_openssh_reads_the_file_that_is_written(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    set_keys(tmp_path, LABEL, [checked_key((tmp_path / "id.pub").read_text())])
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / ".ssh/authorized_keys"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(listed.stdout.splitlines()) == 1
    assert LABEL in listed.stdout


# the file

OTHERS = b'# mine\nssh-ed25519 AAAA me@home\n\ncommand="x" ssh-rsa BBBB no end'


def file_in(home: Path) -> Path:
    return home / ".ssh/authorized_keys"


def test_keys_come_and_go_and_others_stay(tmp_path: Path) -> None:
    file_in(tmp_path).parent.mkdir(mode=0o700)
    file_in(tmp_path).write_bytes(OTHERS)
    file_in(tmp_path).chmod(0o640)
    set_keys(tmp_path, LABEL, [GOOD, key(body=b"2")])
    content = file_in(tmp_path).read_bytes()
    assert content.startswith(OTHERS + b"\n")
    assert content.count(LABEL.encode()) == 4
    assert stat.S_IMODE(file_in(tmp_path).stat().st_mode) == 0o640
    set_keys(tmp_path, LABEL, [GOOD])
    assert key(body=b"2") not in file_in(tmp_path).read_text()
    set_keys(tmp_path, LABEL, [])
    assert file_in(tmp_path).read_bytes() == OTHERS + b"\n"


def test_the_same_keys_again_change_nothing(tmp_path: Path) -> None:
    set_keys(tmp_path, LABEL, [GOOD])
    before = file_in(tmp_path).stat()
    set_keys(tmp_path, LABEL, [GOOD, GOOD])
    after = file_in(tmp_path).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_first_key_makes_the_folder_and_the_file_for_their_owner_alone(tmp_path: Path) -> None:
    set_keys(tmp_path, LABEL, [])
    assert not (tmp_path / ".ssh").exists()
    set_keys(tmp_path, LABEL, [GOOD])
    assert stat.S_IMODE((tmp_path / ".ssh").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_in(tmp_path).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / ".ssh").iterdir()] == ["authorized_keys"]


def test_a_folder_and_file_that_others_may_write_to_are_closed_to_them(tmp_path: Path) -> None:
    file_in(tmp_path).parent.mkdir()
    file_in(tmp_path).write_bytes(b"")
    for path in (file_in(tmp_path), file_in(tmp_path).parent):
        path.chmod(0o777)
    set_keys(tmp_path, LABEL, [GOOD])
    assert stat.S_IMODE(file_in(tmp_path).stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / ".ssh").stat().st_mode) == 0o755


def test_what_a_killed_agent_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh/.authorized_keys.slurm-provider").write_text("half a file")
    set_keys(tmp_path, LABEL, [GOOD])
    assert [path.name for path in (tmp_path / ".ssh").iterdir()] == ["authorized_keys"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / ".ssh").mkdir(mode=0o700)
    file_in(tmp_path).symlink_to(target)
    with pytest.raises(KeysRefused, match="symbolic link"):
        set_keys(tmp_path, LABEL, [GOOD])
    assert target.read_text() == "untouched"
    other_home = tmp_path / "home"
    other_home.mkdir()
    (other_home / ".ssh").symlink_to(tmp_path / ".ssh")
    with pytest.raises(KeysRefused, match="symbolic link"):
        set_keys(other_home, LABEL, [GOOD])


def test_a_pipe_in_the_files_place_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    os.mkfifo(file_in(tmp_path))
    with pytest.raises(KeysRefused, match="no file of the user's own"):
        set_keys(tmp_path, LABEL, [GOOD])


@pytest.mark.parametrize("keys", [["command=x " + GOOD], [f"{GOOD}\n{GOOD}"]])
def test_the_agent_checks_keys_by_itself(tmp_path: Path, keys: list[str]) -> None:
    with pytest.raises(KeysRefused):
        set_keys(tmp_path, LABEL, keys)
    assert not (tmp_path / ".ssh").exists()


@pytest.mark.parametrize("label", ["", "a b", "a\nb", "#", "ü"])
def test_a_block_needs_a_proper_label(tmp_path: Path, label: str) -> None:
    with pytest.raises(KeysRefused, match="label"):
        set_keys(tmp_path, label, [GOOD])


def test_a_damaged_block_takes_no_other_key_with_it() -> None:
    content = with_block(b"", LABEL, [GOOD]).replace(b"# END", b"# was END") + b"ssh-rsa AAAA mine\n"
    assert b"ssh-rsa AAAA mine\n" in with_block(content, LABEL, [])
    assert GOOD.encode() not in with_block(content, LABEL, [])


def test_two_blocks_live_side_by_side() -> None:
    content = with_block(with_block(b"", LABEL, [GOOD]), "ucloud:example/other", [key(body=b"2")])
    assert with_block(content, LABEL, []) == with_block(b"", "ucloud:example/other", [key(body=b"2")])
