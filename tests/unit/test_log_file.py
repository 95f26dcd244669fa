"""A log file is read whole and in order, whatever happens to it."""

import os
import tty
from pathlib import Path

import pytest

from slurm_provider.sidecar.log_file import CHUNK_BYTES, LogFile


def everything(file: LogFile) -> bytes:
    """What the next looks find, until one finds nothing."""
    found = b""
    while piece := file.look():
        found += piece.data
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stdout-0.log"


@pytest.fixture(params=[True, False], ids=["held", "opened anew"])
def file(path: Path, request: pytest.FixtureRequest) -> LogFile:
    return LogFile(path, held=request.param)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as log:
        log.write(data)


def test_what_is_appended_is_found_once(file: LogFile, path: Path) -> None:
    append(path, b"one\n")
    assert file.look() == (0, b"one\n")
    assert file.look() is None
    append(path, b"two\n")
    assert file.look() == (4, b"two\n")


def test_a_file_may_come_late(file: LogFile, path: Path) -> None:
    assert file.look() is None
    append(path, b"late")
    assert everything(file) == b"late"


def test_a_look_reads_a_bounded_piece(file: LogFile, path: Path) -> None:
    append(path, os.urandom(3 * CHUNK_BYTES + 1))
    pieces = []
    while piece := file.look():
        pieces.append(piece)
    assert [len(piece.data) for piece in pieces] == [CHUNK_BYTES] * 3 + [1]
    assert b"".join(piece.data for piece in pieces) == path.read_bytes()


def test_reading_begins_at_a_position(path: Path) -> None:
    append(path, b"known new")
    assert LogFile(path, 6, b"known ").look() == (6, b"new")


def test_a_renamed_file_is_read_to_its_end_before_the_one_in_its_place(path: Path) -> None:
    file = LogFile(path)
    append(path, b"begun ")
    assert everything(file) == b"begun "
    path.rename(path.with_suffix(".1"))
    append(path.with_suffix(".1"), b"ended")
    append(path, b"new")
    assert file.look() == (6, b"ended")
    assert file.look() == (0, b"new")


def test_a_removed_file_is_read_to_its_end(path: Path) -> None:
    file = LogFile(path)
    append(path, b"begun ")
    with path.open("ab") as log:
        assert everything(file) == b"begun "
        path.unlink()
        log.write(b"ended")
        log.flush()
        assert everything(file) == b"ended"
    append(path, b"another")
    assert file.look() == (0, b"another")


def test_a_truncated_file_is_read_from_its_beginning(file: LogFile, path: Path) -> None:
    append(path, b"a long first text")
    assert everything(file)
    path.write_bytes(b"short")
    assert file.look() == (0, b"short")


def test_a_file_that_began_anew_and_has_grown_beyond_what_was_read_is_noticed(
    file: LogFile, path: Path
) -> None:
    append(path, b"first text\n")
    assert everything(file)
    path.write_bytes(b"other text, and longer than the first\n")
    assert file.look() == (0, path.read_bytes())


def test_what_was_read_last_tells_a_later_reading_that_the_file_began_anew(path: Path) -> None:
    append(path, b"other text, and longer")
    assert LogFile(path, 11, b"first text\n").look() == (0, path.read_bytes())


def test_a_replaced_file_is_read_from_its_beginning(file: LogFile, path: Path) -> None:
    append(path, b"first\n")
    assert everything(file)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(b"second, renamed over it\n")
    fresh.replace(path)
    assert everything(file) == b"second, renamed over it\n"


def test_a_named_pipe_is_left_alone(file: LogFile, path: Path) -> None:
    append(path, b"first")
    assert everything(file) == b"first"
    path.unlink()
    os.mkfifo(path)
    assert file.look() is None
    path.unlink()
    append(path, b"again")
    assert file.look() == (0, b"again")


def test_a_device_is_left_alone(file: LogFile, path: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    os.write(master, b"typed")
    path.symlink_to(os.ttyname(slave))
    assert file.look() is None
    assert os.read(slave, 100) == b"typed"
    os.close(master)
    os.close(slave)


def test_a_loop_of_links_and_a_folder_have_nothing_to_read(file: LogFile, path: Path) -> None:
    path.symlink_to(path)
    assert file.look() is None
    path.unlink()
    path.mkdir()
    assert file.look() is None


def test_an_unreadable_file_has_nothing_new_until_it_can_be_read(path: Path) -> None:
    """Root, who runs the tests, may read anything; so another user looks."""
    append(path, b"secret")
    path.chmod(0o600)
    os.chown(path, 0, 0)
    for folder in path.parents[:3]:
        folder.chmod(0o755)
    looked = []
    os.seteuid(65534)
    try:
        file = LogFile(path)
        looked.append(file.look())
    finally:
        os.seteuid(0)
    path.chmod(0o644)
    looked.append(file.look())
    assert looked == [None, (0, b"secret")]


def test_a_file_without_a_size_does_not_keep_a_reader_busy() -> None:
    assert LogFile(Path("/proc/self/status")).look() is None


def test_no_descriptor_is_left_open(file: LogFile, path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    append(path, b"text")
    for _ in range(3):
        everything(file)
        path.rename(path.with_suffix(".old"))
        append(path, b"text")
    path.unlink()
    file.look()
    file.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
