"""The executions file: one line per run of a handler, before its first effect.

r[control.journal.write-ahead]: one write to a file opened for appending, so that counts survive
the death of the process. A line is `SESSION_ID_HEX OPERATION_ID ATTEMPT GENERATION`.
"""

from __future__ import annotations

import os


class Executions:
    """Appends to `path`; without one it keeps no record."""

    def __init__(self, path: str | None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o644) if path else -1

    def append(self, session_id: bytes, operation_id: int, attempt: int, generation: int) -> None:
        """One execution begins; `attempt` counts the operation's executions from 1."""
        if self._file >= 0:
            line = f"{session_id.hex()} {operation_id} {attempt} {generation}\n"
            os.write(self._file, line.encode())
