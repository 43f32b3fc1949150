"""What is known of every virtual connection of a session, and what that allows. Pure.

r[connection.open], r[connection.close.echo], r[session.resume.connections]

Opening: asked for by us and not answered. Open: both may use it. Closing: closed by us, not by the
counterpart, so that what arrives is discarded. Closed: for good; its id is never used again.
"""

from __future__ import annotations

from collections.abc import Collection

from counterpart.wire.v1 import wire_pb2 as pb

from runtime.ids import Ids
from runtime.wire import Violation

_TABLE = {
    ("Opening", "accepted"): "Open",
    ("Opening", "rejected"): "Closed",
    ("Opening", "lost"): "Closed",
    ("Open", "close_sent"): "Closing",
    ("Open", "close_came"): "Closed",
    ("Open", "lost"): "Closed",
    ("Closing", "close_came"): "Closed",
    ("Closing", "lost"): "Closed",
}


class ConnectionTable:
    """One state per id. `ids.own_parity` is that of the connections opened here."""

    def __init__(self) -> None:
        self.ids = Ids()
        self._states: dict[int, str] = {}
        self._theirs: set[int] = set()  # opened by the counterpart

    def open(self) -> int:
        """A new id of ours, Opening."""
        opened = self.ids.peek()
        self.ids.burn(opened)
        self._states[opened] = "Opening"
        return opened

    def announced(self, connection_id: int) -> None:
        """The counterpart asks for this one; its id is burnt. Raises Violation."""
        code = pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION
        self.ids.see(connection_id, code, "connection.open", "connection")

    def accept(self, connection_id: int) -> None:
        """What was announced is open."""
        self._states[connection_id] = "Open"
        self._theirs.add(connection_id)

    def state(self, connection_id: int) -> str:
        """Empty if there is no such connection."""
        return self._states.get(connection_id, "")

    def step(self, connection_id: int, event: str) -> bool:
        """Take the step; False if the state does not have it."""
        state = _TABLE.get((self.state(connection_id), event))
        if state is not None:
            self._states[connection_id] = state
        return state is not None

    def those(self, state: str) -> list[int]:
        """The ids in this state, ascending."""
        return sorted(i for i, known in self._states.items() if known == state)

    def lost(self, in_both: Collection[int]) -> list[int]:
        """Those that a resume ends, given the ids that both sides list."""
        held = {*self.those("Open"), *self.those("Closing")}
        return [*self.those("Opening"), *sorted(held.difference(in_both))]

    @property
    def accepted(self) -> int:
        """How many of the counterpart's are not closed by both."""
        return sum(self.state(theirs) != "Closed" for theirs in self._theirs)

    def refuse(self, connection_id: int, kind: str) -> Violation:
        """What a message is that the connection's state does not allow."""
        rule = {"": "connection.unknown", "Closed": "connection.close.echo"}.get(
            self.state(connection_id), "connection.open"
        )
        text = f"{kind} on connection {connection_id}: {self.state(connection_id) or 'unknown'}"
        return Violation(pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION, rule, text)
