"""The journal: what this runtime did, in one total order, before anybody else could see it.

Contract (r[control.journal.write-ahead]): an event is appended synchronously before the frame,
callback or reply that reveals it. Events belong to a scope; a scope keeps at most
`EVENTS_PER_SCOPE` of them, drops the oldest beyond that and says how many (`read` → gap).
Field names equal those of the control plane's events: `journal_encoding` copies them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field, replace

EVENTS_PER_SCOPE = 1 << 18
RETIRED_SCOPES = 64  # dropped scopes whose journal can still be read


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a machine of spec/machines."""

    machine: str
    key: int
    from_state: str
    event: str
    to_state: str
    invalid: bool = False
    connection_id: int = 0  # of a channel


@dataclass(frozen=True, slots=True)
class Frame:
    """A message committed to, or taken from, a link; `id` is its request, channel or nonce."""

    sent: bool
    connection_id: int
    kind: str
    id: int


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler `started`, `returned`, `panicked` or was `cancelled`."""

    event: str
    operation_id: int
    request_id: int
    execution: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Something was dropped by rule.  r[strict.delivery.explicit]"""

    what: str
    rule: str
    key: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class PlannedDelay:
    """A wait this runtime decided on."""

    what: str
    delay_ms: int


Body = Transition | Frame | Handler | Discard | PlannedDelay


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal. `session_id` is empty and `generation` 0 where there is none."""

    seq: int
    session_id: bytes
    generation: int
    body: Body


@dataclass(frozen=True)
class Pattern:
    """What to watch for: an event matches if it has every property that is not empty."""

    session_id: bytes = b""
    machine: str = ""
    key: int = 0
    to_state: str = ""
    handler_started: bool = False
    handler_ended: bool = False
    operation_id: int = 0

    def matches(self, event: Event) -> bool:
        """Invalid transitions match nothing but an empty pattern."""
        body = event.body
        if self.session_id not in (b"", event.session_id):
            return False
        if self.machine or self.key or self.to_state:
            if not isinstance(body, Transition) or body.invalid:
                return False
            if self.machine not in ("", body.machine) or self.key not in (0, body.key):
                return False
            if self.to_state not in ("", body.to_state):
                return False
        if self.handler_started or self.handler_ended or self.operation_id:
            if not isinstance(body, Handler):
                return False
            if self.operation_id not in (0, body.operation_id):
                return False
            wanted = self.handler_started if body.event == "started" else self.handler_ended
            return wanted or not (self.handler_started or self.handler_ended)
        return True


@dataclass(eq=False)
class _Watch:
    pattern: Pattern
    remaining: int
    reached: asyncio.Future[None]


@dataclass(eq=False)
class _Scope:
    events: deque[Event] = field(default_factory=deque)
    watches: list[_Watch] = field(default_factory=list)
    lost: int = 0
    lost_seq: int = 0


class Journal:
    """All scopes of one process. The epoch is 16 random bytes per process start."""

    def __init__(self) -> None:
        self.epoch = secrets.token_bytes(16)
        self.seq = 0
        self._scopes: dict[str, _Scope] = {}
        self._retired: dict[str, None] = {}

    def record(self, scope: str, session_id: bytes, generation: int, body: Body) -> None:
        """Append one event and wake whoever watches for it."""
        self.seq += 1
        event = Event(self.seq, session_id, generation, body)
        kept = self._scopes.setdefault(scope, _Scope())
        if len(kept.events) >= EVENTS_PER_SCOPE:
            kept.lost_seq = kept.events.popleft().seq
            kept.lost += 1
        kept.events.append(event)
        for watch in list(kept.watches):
            self._offer(kept, watch, event)

    def read(self, scope: str, after_seq: int) -> tuple[list[Event], int]:
        """The events after `after_seq`, oldest first, and how many were lost before them."""
        kept = self._scopes.get(scope, _Scope())
        return (
            [event for event in kept.events if event.seq > after_seq],
            kept.lost if after_seq < kept.lost_seq else 0,
        )

    async def watch(self, scope: str, count: int, pattern: Pattern) -> None:
        """Return once `count` events of the scope, past ones included, match."""
        kept = self._scopes.setdefault(scope, _Scope())
        watch = _Watch(pattern, count, asyncio.get_running_loop().create_future())
        kept.watches.append(watch)
        try:
            for event in kept.events:
                self._offer(kept, watch, event)
            await watch.reached
        finally:
            if watch in kept.watches:
                kept.watches.remove(watch)

    def retire(self, scope: str) -> None:
        """The scope is over: keep its events only until its name is used again, or for a while."""
        self._retired[scope] = None
        while len(self._retired) > RETIRED_SCOPES:
            oldest = next(iter(self._retired))
            del self._retired[oldest]
            self._scopes.pop(oldest, None)

    def revive(self, scope: str) -> None:
        """The scope's name is used (again): it starts with an empty journal if it was over."""
        if scope in self._retired:
            del self._retired[scope]
            self._scopes.pop(scope, None)

    @staticmethod
    def _offer(kept: _Scope, watch: _Watch, event: Event) -> None:
        if watch.remaining and watch.pattern.matches(event):
            watch.remaining -= 1
            if not watch.remaining:
                kept.watches.remove(watch)
                if not watch.reached.done():
                    watch.reached.set_result(None)


class Recorder:
    """Stamps events with their scope, session and current generation."""

    def __init__(self, journal: Journal, scope: str) -> None:
        self._journal = journal
        self._scope = scope
        self.session_id = b""
        self.generation = 0
        self._connection_id = 0

    def __call__(self, body: Body) -> None:
        if self._connection_id and isinstance(body, Transition):
            body = replace(body, connection_id=self._connection_id)
        self._journal.record(self._scope, self.session_id, self.generation, body)

    def at(self, generation: int) -> Recorder:
        """The same session, stamped with a generation that never changes again."""
        stamped = Recorder(self._journal, self._scope)
        stamped.session_id = self.session_id
        stamped.generation = generation
        return stamped

    def of(self, session_id: bytes) -> Recorder:
        """The same generation, told as one of another session's operations."""
        stamped = self.at(self.generation)
        stamped.session_id = session_id
        return stamped

    def on(self, connection_id: int) -> Recorder:
        """The same, for the channels of one connection."""
        stamped = self.at(self.generation)
        stamped._connection_id = connection_id
        return stamped
