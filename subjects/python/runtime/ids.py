"""Ids of one kind on one connection.  r[rpc.id.monotone], r[connection.parity]

Each side mints ids of its own parity, upwards, and none twice in the life of the session.
"""

from __future__ import annotations

from runtime.wire import Violation


class Ids:
    """`newest` by parity (1 odd, 0 even); ours are those of `own_parity`."""

    def __init__(self) -> None:
        self.own_parity = 0
        self.newest = {1: -1, 0: 0}

    def peek(self) -> int:
        """The next one of ours."""
        return self.newest[self.own_parity] + 2

    def burn(self, used: int) -> None:
        """Ours is used now, for good."""
        self.newest[self.own_parity] = used

    def see(self, used: int, code: int, rule: str, what: str) -> None:
        """The counterpart used one. Raises Violation of `rule` if it may not."""
        parity = 1 - self.own_parity
        if used == 0 or used % 2 != parity or used <= self.newest[parity]:
            text = f"{what} id {used} after {self.newest[parity]}, parity {parity}"
            raise Violation(code, rule, text)
        self.newest[parity] = used
