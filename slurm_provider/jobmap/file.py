"""The SQLite file: opened, brought up to date, and written to by one transaction at a time."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from slurm_provider.jobmap.schema import migrations

BUSY_TIMEOUT_MS = 10_000


class JobMapUnusable(Exception):
    """Why the job map cannot be opened, in words; nothing of it has been changed."""


class SqliteFile:
    """The file at `path`, made and migrated when it is opened. `clock` gives the epoch second.

    Raises JobMapUnusable.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        try:
            self.db = Database(sqlite3.connect(str(path), isolation_level=None))
            self.db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA foreign_keys = ON")
            with _alone_in(Path(path).absolute().parent):
                self._refuse_newer(path)
                self.db.enable_wal()
                migrations.apply(self.db)
        except (OSError, sqlite3.Error) as error:
            raise JobMapUnusable(f"the job map {path} cannot be opened: {error}") from error

    def _refuse_newer(self, path: str | Path) -> None:
        known = {migration.name for migration in migrations.pending(Database(memory=True))}
        newer = [applied.name for applied in migrations.applied(self.db) if applied.name not in known]
        if newer:
            raise JobMapUnusable(
                f"the job map {path} belongs to a newer release of slurm-provider ({', '.join(newer)});"
                " start that release, or put back a backup from before it"
            )

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def now(self) -> int:
        """Return the epoch second."""
        return int(self._clock())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the write lock from the first statement on, so that a transaction never fails half-way."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.rollback()
            raise
        self.db.commit()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other programs from making or migrating a file in the same folder at the same time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
