"""The state machines of spec/machines as tables, and an object that walks one of them.

Contract: `Machine.step(event)` journals the transition first and moves second, so whatever
reveals the new state is later than its journal event (r[control.journal.write-ahead]). A pair
(state, event) without a row moves nothing and is journalled as invalid (r[strict.channel.fsm]).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.journal import Transition


@dataclass(frozen=True)
class Table:
    """One machine: `rows[(state, event)]` is the next state."""

    machine: str
    initial: str
    final: frozenset[str]
    rows: Mapping[tuple[str, str], str]


# r[strict.driver.single-phase]
DRIVER = Table(
    machine="driver",
    initial="Connecting",
    final=frozenset({"Disconnected"}),
    rows={
        ("Connecting", "established"): "Connected",
        ("Connecting", "failed"): "Disconnected",
        ("Connected", "link_lost"): "Resuming",
        ("Connected", "ended"): "Disconnected",
        ("Resuming", "resumed"): "Connected",
        ("Resuming", "ended"): "Disconnected",
    },
)

# r[rpc.channel.lifecycle]
CHANNEL_RECEIVER = Table(
    machine="channel_receiver",
    initial="Reserved",
    final=frozenset({"Closed", "Reset", "Defunct"}),
    rows={
        ("Reserved", "bind"): "Open",
        ("Reserved", "item"): "Reserved",
        ("Reserved", "close"): "ReservedClosing",
        ("Reserved", "reset"): "Reset",
        ("Reserved", "detach"): "Defunct",
        ("ReservedClosing", "bind"): "Closing",
        ("ReservedClosing", "reset"): "Reset",
        ("ReservedClosing", "detach"): "Defunct",
        ("Open", "item"): "Open",
        ("Open", "credit"): "Open",
        ("Open", "close"): "Closing",
        ("Open", "reset"): "Reset",
        ("Open", "detach"): "Defunct",
        ("Closing", "delivered_all"): "Closed",
        ("Closing", "reset"): "Reset",
        ("Closing", "detach"): "Closing",
        ("Reset", "late_item"): "Reset",
        ("Reset", "late_close"): "Reset",
        ("Defunct", "stale"): "Defunct",
    },
)

# r[rpc.channel.ends]
CHANNEL_SENDER = Table(
    machine="channel_sender",
    initial="Reserved",
    final=frozenset({"Closed", "Reset", "Defunct"}),
    rows={
        ("Reserved", "bind"): "Open",
        ("Reserved", "credit"): "Reserved",
        ("Reserved", "reset"): "Reset",
        ("Reserved", "abort"): "Closed",
        ("Reserved", "detach"): "Defunct",
        ("Open", "item"): "Open",
        ("Open", "credit"): "Open",
        ("Open", "close"): "Closed",
        ("Open", "abort"): "Closed",
        ("Open", "reset"): "Reset",
        ("Open", "detach"): "Defunct",
        ("Closed", "late_credit"): "Closed",
        ("Closed", "late_reset"): "Closed",
        ("Defunct", "stale"): "Defunct",
    },
)

# r[retry.duplicate.live.attach] and its neighbours: the callee's record of one operation
OPERATION = Table(
    machine="operation",
    initial="Absent",
    final=frozenset(),
    rows={
        ("Absent", "admit"): "Live",
        ("Live", "attach"): "Live",
        ("Live", "seal"): "Sealed",
        ("Live", "release"): "Released",
        ("Live", "lose"): "Indeterminate",
        ("Sealed", "replay"): "Sealed",
        ("Released", "rerun"): "Live",
        ("Released", "refuse"): "Released",
        ("Indeterminate", "rerun"): "Live",
        ("Indeterminate", "refuse"): "Indeterminate",
    },
)

# r[control.lifecycle]: states only move forward
COMMAND = Table(
    machine="command",
    initial="NotAccepted",
    final=frozenset({"Completed", "Failed", "Tombstoned"}),
    rows={
        ("NotAccepted", "accept"): "Accepted",
        ("NotAccepted", "tombstone"): "Tombstoned",
        ("Tombstoned", "accept"): "Accepted",
        ("Accepted", "start"): "Started",
        ("Started", "complete"): "Completed",
        ("Started", "fail"): "Failed",
    },
)

TABLES = (DRIVER, CHANNEL_RECEIVER, CHANNEL_SENDER, OPERATION, COMMAND)


class Machine:
    """One object walking a table. `record` journals; `key` names the object in the journal."""

    __slots__ = ("_key", "_record", "_table", "state")

    def __init__(self, table: Table, key: int, record: Callable[[Transition], None]) -> None:
        self._table = table
        self._key = key
        self._record = record
        self.state = table.initial

    @property
    def final(self) -> bool:
        """Is nothing of the object open any more?"""
        return self.state in self._table.final

    def allows(self, event: str) -> bool:
        """Would `step(event)` be a transition of the table?"""
        return (self.state, event) in self._table.rows

    def step(self, event: str) -> bool:
        """Journal the transition, then make it; False if the table has no row for it."""
        source = self.state
        target = self._table.rows.get((source, event))
        self._record(
            Transition(
                machine=self._table.machine,
                key=self._key,
                from_state=source,
                event=event,
                to_state=source if target is None else target,
                invalid=target is None,
            )
        )
        if target is None:
            return False
        self.state = target
        return True
