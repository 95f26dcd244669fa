"""Who may use, or has used, what runs in which job: the secret itself is never kept, only its hash."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from slurm_provider.jobmap.file import SqliteFile
from slurm_provider.jobmap.rows import FINAL_STATES

SECRET_BYTES = 32

# A terminal in a folder belongs to no job: it lives as long as its user is mapped to the same local user.
_VALID = f"""
    closed_at IS NULL AND expires_at > :now AND CASE WHEN sessions.job_id IS NULL
        THEN EXISTS (SELECT 1 FROM users WHERE users.ucloud_user = sessions.ucloud_user
                     AND users.local_user = sessions.local_user)
        ELSE EXISTS (SELECT 1 FROM jobs WHERE jobs.job_id = sessions.job_id
                     AND state NOT IN ({FINAL_STATES}) AND wished_state IS NULL)
    END
"""  # noqa: S608 - only our own words


class SessionKind(StrEnum):
    """What a session is for."""

    SHELL = "SHELL"
    FOLDER = "FOLDER"
    """A terminal in a folder, without a job."""
    WEB = "WEB"
    """A link to a web application, good for being let in."""
    COOKIE = "COOKIE"
    """A browser that was let in."""
    VNC = "VNC"


TERMINALS = (SessionKind.SHELL, SessionKind.FOLDER)


@dataclass(frozen=True)
class Session:
    """One session. Times are epoch seconds."""

    kind: SessionKind
    ucloud_user: str
    cluster: str
    local_user: str
    job_id: str | None
    rank: int
    expires_at: int
    target: str | None = None
    port: int | None = None
    """None: the port that the replica has chosen."""
    folder: str | None = None
    number: int = 0
    """What people call it; given when it is opened."""


class TooManySessions(Exception):
    """A user has as many sessions as the site allows."""


def new_secret() -> str:
    """Return what lets its holder in, and nobody else: 256 random bits as text."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_of(secret: str) -> str:
    """Return what is kept of a secret. It is looked up by its hash, so no comparison tells anything of it."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


class Sessions:
    """The table sessions."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._db = file.db

    def open(self, secret: str, session: Session, most: int) -> Session:
        """Note a session and return it with its number; raise TooManySessions above `most` of a user's."""
        return self.open_all([(secret, session)], most)[0]

    def open_all(self, sessions: Iterable[tuple[str, Session]], most: int) -> list[Session]:
        """Note sessions by their secrets, all of them or none."""
        with self._file.writing():
            return [self._open(secret, session, most) for secret, session in sessions]

    def let_in(
        self, token: str, secret: str, expires_at: int, most: int, client: str
    ) -> Session | None:  # fmt: skip
        """Note the browser that opens a link; return its session, None when the link has ended meanwhile."""
        with self._file.writing():
            link = self.valid(token, [SessionKind.WEB])
            if link is None:
                return None
            cookie = replace(link, kind=SessionKind.COOKIE, expires_at=expires_at)
            opened = self._open(secret, cookie, most)
            self._used(link.number, client)
            self._used(opened.number, client)
        return opened

    def _open(self, secret: str, session: Session, most: int) -> Session:
        arguments = {"now": self._file.now(), "user": session.ucloud_user}
        count = f"SELECT count(*) AS n FROM sessions WHERE ucloud_user = :user AND {_VALID}"  # noqa: S608
        if next(self._db.query(count, arguments))["n"] >= most:
            raise TooManySessions
        row = {**asdict(session), "secret_hash": hash_of(secret), "created_at": self._file.now()}
        del row["number"]
        return replace(session, number=self._db.table("sessions").insert(row).last_rowid or 0)

    def valid(self, secret: str, kinds: Iterable[SessionKind]) -> Session | None:
        """Return the session that a secret lets in to now, or None."""
        rows = self._db.query(
            f"SELECT * FROM sessions WHERE secret_hash = :hash AND {_VALID}",  # noqa: S608
            {"hash": hash_of(secret), "now": self._file.now()},
        )
        session = next((_session(row) for row in rows), None)
        return session if session and session.kind in set(kinds) else None

    def look_up(self, secrets: Iterable[str]) -> list[Session | str]:
        """Return of each secret that is known the session, or why it lets nobody in any more."""
        found = (self.valid(secret, SessionKind) or self.ended(secret) for secret in secrets)
        return [session for session in found if session is not None]

    def ended(self, secret: str) -> str | None:
        """Return why a secret lets nobody in any more, or None where it never did."""
        rows = list(
            self._db.query("SELECT * FROM sessions WHERE secret_hash = :hash", {"hash": hash_of(secret)})
        )
        if not rows:
            return None
        row = rows[0]
        if row["close_reason"]:
            return str(row["close_reason"])
        if row["expires_at"] <= self._file.now():
            return "the session has expired"
        return "the job has ended" if row["job_id"] else "the user is no longer mapped"

    def used(self, number: int, client: str, expires_at: int | None = None) -> None:
        """Note from where a session is used, and until when it may be from now on."""
        with self._file.writing():
            self._used(number, client, expires_at)

    def _used(self, number: int, client: str, expires_at: int | None = None) -> None:
        self._db.execute(
            "UPDATE sessions SET last_used_at = ?, client = ?, expires_at = coalesce(?, expires_at)"
            " WHERE number = ?",
            [self._file.now(), client, expires_at, number],
        )

    def begun(self, number: int, client: str, expires_at: int) -> int:
        """Note from where a terminal is used; return until when it may be: as was said at its first use."""
        with self._file.writing():
            self._db.execute(
                "UPDATE sessions SET client = ?, last_used_at = ?,"
                " expires_at = CASE WHEN last_used_at IS NULL THEN ? ELSE expires_at END WHERE number = ?",
                [client, self._file.now(), expires_at, number],
            )
        rows = self._db.query("SELECT expires_at FROM sessions WHERE number = ?", [number])
        return int(next(rows)["expires_at"])

    def terminals(self, since: int) -> list[tuple[Session, str]]:
        """Return the terminals that may be there, with their keys: those in use, or ended after `since`."""
        rows = self._db.query(
            "SELECT * FROM sessions WHERE kind IN ('SHELL', 'FOLDER') AND last_used_at IS NOT NULL"
            " AND coalesce(closed_at, expires_at) > ?",
            [since],
        )
        return [(_session(row), row["secret_hash"]) for row in rows]

    def invalid(self, numbers: Iterable[int]) -> set[int]:
        """Return which of these sessions let nobody in any more."""
        numbers = set(numbers)
        places = ", ".join(str(int(number)) for number in numbers)
        rows = self._db.query(
            f"SELECT number FROM sessions WHERE number IN ({places}) AND {_VALID}",  # noqa: S608
            {"now": self._file.now()},
        )
        return numbers - {row["number"] for row in rows}

    def close(
        self, reason: str, *, job_id: str | None = None, user: str | None = None, number: int | None = None,
        except_user: str | None = None,
    ) -> int:  # fmt: skip
        """Close all sessions of which everything is true that is named; return how many."""
        named = {"job_id = ?": job_id, "ucloud_user = ?": user, "number = ?": number,
                 "ucloud_user <> ?": except_user}  # fmt: skip
        where = {clause: value for clause, value in named.items() if value is not None}
        if not where:
            raise ValueError("say which sessions are to be closed")
        with self._file.writing():
            return self._close(reason, where)

    def close_unmapped(self, user: str) -> int:
        """Close a user's sessions within the transaction that unmaps the user; return how many."""
        return self._close("the user is no longer mapped", {"ucloud_user = ?": user})

    def _close(self, reason: str, where: dict[str, Any]) -> int:
        cursor = self._db.execute(
            "UPDATE sessions SET closed_at = ?, close_reason = ? WHERE closed_at IS NULL AND "  # noqa: S608
            + " AND ".join(where),
            [self._file.now(), reason, *where.values()],
        )
        return int(cursor.rowcount)

    def overview(self, *, also_ended: bool = False) -> list[dict[str, Any]]:
        """Return the sessions in force, or all that ever were, newest first and without their hashes."""
        where = "1" if also_ended else _VALID
        rows = self._db.query(
            f"SELECT * FROM sessions WHERE {where} ORDER BY number DESC",  # noqa: S608
            {"now": self._file.now()} if not also_ended else {},
        )
        return [{name: value for name, value in row.items() if name != "secret_hash"} for row in rows]


def _session(row: dict[str, Any]) -> Session:
    fields = {name: row[name] for name in Session.__dataclass_fields__}
    return Session(**{**fields, "kind": SessionKind(row["kind"])})
