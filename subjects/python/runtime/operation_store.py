"""What persist operations leave to the process that comes after this one: a table in a file.

Every change is durable once its call returns: r[retry.policy.persist.write-ahead],
r[retry.policy.persist.durable-seal]. A file that cannot keep that promise raises sqlite3.Error.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sqlite3
from dataclasses import dataclass

Key = tuple[bytes, int]  # the session that minted the id, and the id


@dataclass(frozen=True)
class Stored:
    """One record. `outcome` is None until it is sealed, then a Response without request id."""

    method: str
    digest: bytes  # see `digest_of`
    executions: int  # that began, or may have
    outcome: bytes | None = None


def digest_of(arguments: bytes) -> bytes:
    """Tells one call's arguments from any other's.  r[retry.op-id.payload-binding]"""
    return hashlib.sha256(arguments).digest()


class OperationStore:
    """`folder`/operations.db, made when it is first needed."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "operations.db")

    @functools.cached_property
    def _database(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, isolation_level=None)  # each statement commits
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # a commit is on the disk
        database.execute(
            "CREATE TABLE IF NOT EXISTS operation (session BLOB, id BLOB, method TEXT, digest BLOB,"
            " executions INTEGER, outcome BLOB, PRIMARY KEY (session, id)) WITHOUT ROWID"
        )
        return database

    def admit(self, key: Key, operation: Stored) -> None:
        """Before a handler starts, for the first time or again."""
        self._database.execute(
            "INSERT OR REPLACE INTO operation VALUES (?, ?, ?, ?, ?, NULL)",
            (*_columns(key), operation.method, operation.digest, operation.executions),
        )

    def seal(self, key: Key, outcome: bytes) -> None:
        """The outcome of an admitted one."""
        self._database.execute(
            "UPDATE operation SET outcome = ? WHERE session = ? AND id = ?",
            (outcome, *_columns(key)),
        )

    def find(self, key: Key) -> Stored | None:
        """What is known of an operation."""
        row = self._database.execute(
            "SELECT method, digest, executions, outcome FROM operation"
            " WHERE session = ? AND id = ?",
            _columns(key),
        ).fetchone()
        return row and Stored(*row)


def _columns(key: Key) -> tuple[bytes, bytes]:
    return key[0], key[1].to_bytes(8, "big")  # an INTEGER has one bit less than an id
