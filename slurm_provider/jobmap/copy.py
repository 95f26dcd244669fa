"""A copy of the job map, made while it is in use."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path


class CopyFailed(Exception):
    """Why there is no copy, in words; nothing is left of it."""


def copy_to(source: Path, target: Path) -> None:
    """Copy the job map as it is at one moment to a new file that only its owner can read.

    It gets its name when it is complete and has passed SQLite's own check. Raises CopyFailed.
    """
    if target.exists():
        raise CopyFailed(f"{target} is there already; name a new file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(source, unfinished)
        os.link(unfinished, target)  # which, unlike a renaming, replaces nothing
    except FileExistsError as error:
        raise CopyFailed(f"{error.filename2 or error.filename} is there already; name a new file") from error
    except OSError as error:
        raise CopyFailed(f"{error.filename or target}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise CopyFailed(f"the job map {source} could not be copied: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as jobmap,
        closing(sqlite3.connect(target)) as copy,
    ):
        jobmap.backup(copy)
        # One file: nobody should have to carry a -wal file along.
        copy.execute("PRAGMA journal_mode = DELETE")
        (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
        if answer != "ok":
            raise CopyFailed(f"the copy of {source} is damaged: {answer}")
