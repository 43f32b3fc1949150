"""A session: what survives its links.  r[session.outlives-conduit]

It walks the driver table, owns the ids, the caller and the callee, and binds one attachment at a
time. Binding is atomic: the older link is closed and its generation detached, then the generation
rises, then the first message of the new link is handled (r[session.resume.bind]). Whatever ends a
session ends it once; calls and channels fail before the last message is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterpart.control.v1.control_pb2 import Connect, Listen
from counterpart.wire.v1 import wire_pb2 as pb

from runtime import wire
from runtime.attachment import Attachment, Parting
from runtime.callee import Callee
from runtime.channels import ReceivingEnd, SendingEnd
from runtime.connections import Connections
from runtime.ending import Ending
from runtime.journal import Recorder
from runtime.lane import Lane
from runtime.link import Link
from runtime.machines import DRIVER, Machine
from runtime.resume import ResumeKeys
from runtime.service import Handler
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.caller import Caller
    from runtime.domain import Runtime


@dataclass(frozen=True)
class Settings:
    """What this side announces. Sizes in bytes, resolved."""

    max_concurrent_requests: int
    max_payload: int = wire.DEFAULT_MAX_PAYLOAD
    max_virtual_connections: int = 0  # to accept at a time; not announced
    first_seq: int = 0  # of a stable conduit

    @classmethod
    def asked(cls, command: Listen | Connect) -> Settings | None:
        """What a command asks for; None if its maximum is out of range."""
        maximum = wire.accepted_maximum(command.max_payload)
        limits = command.max_concurrent_requests, maximum, command.max_virtual_connections
        return cls(*limits, command.first_seq) if maximum else None


@dataclass(frozen=True)
class Peer:
    """What the counterpart announced. `parity` is that of the ids it mints (1 odd, 0 even)."""

    parity: int
    max_concurrent_requests: int
    max_payload: int
    in_both: frozenset[int] = frozenset()  # connections that both list in a resume


class SessionEnded(Ending):
    """The session is over; `rule` names what the ProtocolError it died of named, if any."""

    def __init__(self, text: str, rule: str = "") -> None:
        super().__init__("protocol_error" if rule else "session_ended", text, rule)


class Session:
    """One session, on either side of it. `resume_key` is the initiator's."""

    def __init__(
        self, runtime: Runtime, record: Recorder, settings: Settings, handler: Handler
    ) -> None:
        self.runtime = runtime
        self.record = record
        self.settings = settings
        self.handler = handler
        self.generation = 0
        self.attachment: Attachment | None = None
        self.peer: Peer | None = None
        self.resume_key = b""
        self.keys: ResumeKeys[Session] | None = None
        self.handshakes: set[Link] = set()  # links that would resume this session
        self.when_lost: Callable[[], None] | None = None  # resumes; None: link loss is the end
        self.when_ended: Callable[[], None] = lambda: None
        self.ending = SessionEnded("")
        self._newest_operation = 0
        self._driver = Machine(DRIVER, 0, record)
        self._nonce = 0
        self._old_ends: list[SendingEnd | ReceivingEnd] = []  # of lost links, not ended
        self._moved = asyncio.Event()  # set when it is bound or over
        self.connections = Connections(self)
        self.callee = Callee(self)

    # ------------------------------------------------------------ what it is

    @property
    def session_id(self) -> bytes:
        """16 random bytes, empty until the acceptor said them."""
        return self.record.session_id

    @property
    def over(self) -> bool:
        """Is it Disconnected?"""
        return self._driver.final

    @property
    def established(self) -> bool:
        """Was it ever bound?"""
        return self.generation > 0

    @property
    def peer_parity(self) -> int:
        """Of the ids the counterpart mints."""
        assert self.peer is not None
        return self.peer.parity

    @property
    def caller(self) -> Caller:
        """That of the root connection."""
        return self.connections.root.caller

    @property
    def unresolved(self) -> int:
        """How many calls the application still waits for."""
        return sum(connection.caller.unresolved for connection in self.connections)

    @property
    def oldest_operation(self) -> int:
        """No attempt of an older one will follow.  r[retry.gc.settled-below]"""
        oldest = (connection.caller.oldest for connection in self.connections)
        unresolved = (operation for operation in oldest if operation is not None)
        return min(unresolved, default=self._newest_operation + 1)

    def next_operation_id(self) -> int:
        """r[retry.op-id.scope]: of the session, over all its connections."""
        self._newest_operation += 1
        return self._newest_operation

    @property
    def open_ends(self) -> int:
        """Channel ends that are not Closed, Reset or Defunct."""
        lanes = self.attachment.lanes.values() if self.attachment else ()
        current = (end for lane in lanes for end in lane.ends.values())
        return sum(not end.ended for end in (*current, *self._old_ends))

    # ------------------------------------------------------------ links

    def bind(self, link: Link, peer: Peer, greet: Callable[[], None] = lambda: None) -> None:
        """LetsGo is about to be sent (`greet` sends it) or was just read."""
        self.handshakes.discard(link)
        if self.attachment is not None:  # r[session.resume.supersede]
            self._driver.step("link_lost")
            self._detach()
        self.peer = peer
        self.generation += 1
        self.record.generation = self.generation
        self._driver.step("established" if self.generation == 1 else "resumed")
        greet()
        own_parity, own_limit = 1 - peer.parity, self.settings.max_concurrent_requests
        self.connections.root.settle(own_parity, own_limit, peer.max_concurrent_requests)
        self.attachment = Attachment(self, link, peer.max_payload)
        self.connections.bound(own_parity, peer.in_both)
        self._moved.set()
        for connection in self.connections:
            connection.caller.bound()

    def link_lost(self, attachment: Attachment) -> None:
        """r[session.detach]; only the initiator dials again (r[session.keepalive.loss])."""
        if attachment is not self.attachment:
            return
        if self.when_lost is None:
            self.end("link lost, and the session cannot be resumed")
            return
        self._driver.step("link_lost")
        self._detach()
        self.when_lost()

    def _detach(self) -> None:
        attachment, self.attachment = self.attachment, None
        assert attachment is not None
        attachment.link.close()
        attachment.out.seal()
        attachment.detach()
        for lane in attachment.lanes.values():
            self.callee.detached(lane)
            lane.connection.caller.detached(lane)
            self._keep_open_ends(lane)

    def lane_closed(self, lane: Lane) -> None:
        """A connection is closed, and the session goes on."""
        lane.detach()
        self.callee.detached(lane)
        self._keep_open_ends(lane)

    def _keep_open_ends(self, lane: Lane) -> None:
        """Ends whose received items can still be taken."""
        ends = (*self._old_ends, *lane.ends.values())
        self._old_ends = [end for end in ends if not end.ended]

    # ------------------------------------------------------------ ends

    def violated(self, violation: Violation) -> None:
        """The counterpart broke a rule.  r[session.protocol-error.delivery]"""
        error = pb.ProtocolError(
            code=violation.code, rule=violation.rule, text=violation.text[:1024]
        )
        attachment = self._end("ended", SessionEnded(violation.text, violation.rule), True)
        if attachment is not None:
            attachment.out.commit(protocol_error=error)
            attachment.out.seal()
            attachment.link.finish()

    def told_of_violation(self, error: pb.ProtocolError) -> None:
        """The counterpart says that we broke a rule; no answer."""
        ending = SessionEnded(f"protocol error: {error.text}"[:1024], error.rule or "unnamed")
        attachment = self._end("ended", ending, True)
        if attachment is not None:
            attachment.out.seal()
            attachment.link.finish()

    def told_goodbye(self) -> None:
        """r[session.goodbye]: answer it, and be gone."""
        attachment = self._end("ended", SessionEnded("the counterpart said Goodbye"), False)
        if attachment is not None:
            attachment.out.commit(goodbye=pb.Goodbye())
            attachment.out.seal()
            attachment.link.finish()

    def goodbye(self) -> None:
        """End the session in good order."""
        attachment = self._end("ended", SessionEnded("we said Goodbye"), False)
        if attachment is not None:
            attachment.out.commit(goodbye=pb.Goodbye())
            attachment.out.seal()
            attachment.link.user = Parting(attachment)

    def end(self, text: str, protocol_error: bool = False, rule: str = "") -> None:
        """Drop it without a word."""
        event = "ended" if self.established else "failed"
        attachment = self._end(event, SessionEnded(text, rule), protocol_error)
        if attachment is not None:
            attachment.out.seal()
            attachment.link.close()

    def _end(self, event: str, ending: SessionEnded, protocol_error: bool) -> Attachment | None:
        """Everything but the last message, which the attachment returned can still carry."""
        if self.over:
            return None
        self._driver.step(event)
        self.ending = ending
        if self.keys is not None:
            self.keys.drop()
        for link in list(self.handshakes):
            link.close()
        attachment, self.attachment = self.attachment, None
        if attachment is not None:
            attachment.link.conclude()
            attachment.detach()
            for lane in attachment.lanes.values():
                self.callee.detached(lane)
                lane.outgoing.clear()
                self._keep_open_ends(lane)
        self.callee.ended()
        self.connections.ended(ending)
        for connection in self.connections:
            connection.caller.ended(str(ending), protocol_error)
        self._moved.set()
        self.when_ended()
        return attachment

    # ------------------------------------------------------------ pings

    async def ping(self) -> None:
        """Return at a Pong, on whatever attachment. Raises SessionEnded."""
        while not self.over:
            attachment = self.attachment
            if attachment is None:
                await self._bound_or_over()
                continue
            self._nonce += 1
            try:
                await attachment.ping(self._nonce)
            except ConnectionError:
                continue
            return
        raise self.ending

    async def _bound_or_over(self) -> None:
        self._moved.clear()
        await self._moved.wait()
