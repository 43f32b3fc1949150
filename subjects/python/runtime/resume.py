"""Resume keys of one acceptor session.  r[session.resume.key-rotation]

At most two keys are valid: the current one and its successor, minted once, at the first
presentation. A new session starts with the empty key as current: what its first HelloYourself
hands out is the successor of that.
"""

from __future__ import annotations

import secrets
from typing import Generic, TypeVar

KEY_BYTES = 32

Session = TypeVar("Session")


class ResumeKeys(Generic[Session]):
    """`registry` maps every valid key of every session to its session."""

    def __init__(self, registry: dict[bytes, Session], session: Session) -> None:
        self._registry = registry
        self._session = session
        self._current = b""
        self._successor = b""

    def present(self, key: bytes) -> bytes:
        """A Hello brought a registered key (empty: a new session); returns what to hand out."""
        if key and key == self._successor:
            self._advance()
        if not self._successor:
            self._successor = secrets.token_bytes(KEY_BYTES)
            self._registry[self._successor] = self._session
        return self._successor

    def bind(self, key: bytes) -> bool:
        """LetsGo came on a link opened with `key`; False if that key was retired meanwhile."""
        if key != self._current:
            return False
        self._advance()
        return True

    def drop(self) -> None:
        """The session is over."""
        for key in (self._current, self._successor):
            self._registry.pop(key, None)

    def _advance(self) -> None:
        self._registry.pop(self._current, None)
        self._current, self._successor = self._successor, b""
