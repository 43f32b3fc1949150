"""An attachment: one link bound to a session, for one generation.

It owns everything that ends with the link: the sequencer, a lane for every open connection, and the
pings. Messages are applied in the read callback, in order, so a Pong is committed after everything
that arrived before its Ping was admitted, refused or applied (r[session.keepalive.fence]).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.message import Message as Protobuf

from runtime import framing, mutants, wire
from runtime.journal import Discard, Frame
from runtime.lane import Lane
from runtime.link import Link
from runtime.sequencer import Sequencer
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.connections import Connection
    from runtime.session import Session


class Attachment:
    """One generation of a session. `lanes` by connection id; that of the root is always there."""

    def __init__(self, session: Session, link: Link, max_payload: int) -> None:
        self.session = session
        self.link = link
        self.record = session.record.at(session.generation)
        self.out = Sequencer(link, self.record, max_payload)
        self.lanes: dict[int, Lane] = {}
        self.add_lane(session.connections.root)
        self._pings: dict[int, asyncio.Future[None]] = {}
        link.user = self
        link.limit(session.settings.max_payload)
        link.discarded = lambda count: self.record(
            Discard("input bytes", "session.protocol-error.delivery", 0, count)
        )

    # ------------------------------------------------------------ the link's reports

    def payload(self, payload: bytes) -> None:
        """One payload of the established session."""
        try:
            message, kind = wire.decode(pb.Message, payload)
            body = getattr(message, kind)
            self.record(Frame(False, message.connection_id, kind, wire.subject_id(body)))
            self._apply(message.connection_id, kind, body)
        except wire.Malformed as error:
            self.session.violated(
                Violation(pb.PROTOCOL_ERROR_CODE_MALFORMED, "wire.envelope", str(error))
            )
        except Violation as violation:
            self.session.violated(violation)

    def oversize(self, error: framing.Oversize) -> None:
        """r[link.limit]"""
        self.session.violated(
            Violation(pb.PROTOCOL_ERROR_CODE_PAYLOAD_TOO_LARGE, "link.limit", str(error))
        )

    def violated(self, violation: Violation) -> None:
        """What carries this was used against its rules.  r[stable.seq]"""
        self.session.violated(violation)

    def lost(self, reason: str) -> None:
        """r[session.detach]"""
        self.session.link_lost(self)

    # ------------------------------------------------------------ dispatch

    def _apply(self, connection_id: int, kind: str, body: Protobuf) -> None:
        if connection_id != 0:
            self.session.connections.apply(self, connection_id, kind, body)
        elif kind in _ON_ROOT:
            _ON_ROOT[kind](self, body)
        elif kind.endswith("_connection"):
            rule = "connection.root" if kind == "close_connection" else "connection.open"
            raise Violation(pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION, rule, f"{kind} on connection 0")
        else:
            self.lanes[0].apply(kind, body)

    def add_lane(self, connection: Connection) -> None:
        """The connection is open on this attachment."""
        self.lanes[connection.connection_id] = Lane(self, connection)

    def _protocol_error(self, body: pb.ProtocolError) -> None:
        self.session.told_of_violation(body)  # never answered

    def _ping(self, body: pb.Ping) -> None:
        self.out.commit(pong=pb.Pong(nonce=body.nonce + mutants.active("wrong_pong")))

    def _pong(self, body: pb.Pong) -> None:
        answered = self._pings.pop(body.nonce, None)
        if answered is None and mutants.active("ignores_unasked_pong"):
            return
        if answered is None:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.keepalive", "unasked Pong"
            )
        if not answered.done():
            answered.set_result(None)

    def _goodbye(self, body: pb.Goodbye) -> None:
        self.session.told_goodbye()

    # ------------------------------------------------------------ what the session does

    async def ping(self, nonce: int) -> None:
        """Return at the Pong. Raises ConnectionError if the link is lost first."""
        answered = asyncio.get_running_loop().create_future()
        self._pings[nonce] = answered
        self.out.commit(ping=pb.Ping(nonce=nonce))
        await answered

    def detach(self) -> None:
        """The generation is over: fail what belongs to it. Writes nothing."""
        for lane in self.lanes.values():
            lane.detach()
        for answered in self._pings.values():
            if not answered.done():
                answered.set_exception(ConnectionError("link lost"))
                answered.exception()  # whoever asked may be gone
        self._pings.clear()


_ON_ROOT: dict[str, Callable[[Attachment, Protobuf], None]] = {
    "protocol_error": Attachment._protocol_error,
    "ping": Attachment._ping,
    "pong": Attachment._pong,
    "goodbye": Attachment._goodbye,
}


class Parting:
    """Reads a link after our own Goodbye, until the counterpart's.  r[session.goodbye]"""

    def __init__(self, attachment: Attachment) -> None:
        self._link = attachment.link
        self._record = attachment.record

    def payload(self, payload: bytes) -> None:
        """The counterpart's Goodbye ends the link; what else was in flight is discarded."""
        try:
            message, kind = wire.decode(pb.Message, payload)
        except wire.Malformed:
            self._record(Discard("payload", "session.goodbye", 0))
            return
        subject = wire.subject_id(getattr(message, kind))
        self._record(Frame(False, message.connection_id, kind, subject))
        if kind in ("goodbye", "protocol_error"):
            self._link.finish()
        else:
            self._record(Discard(kind, "session.goodbye", subject))

    def oversize(self, error: framing.Oversize) -> None:
        """Nothing may be said any more."""
        self._link.close()

    def violated(self, violation: Violation) -> None:
        """Nothing may be said any more."""
        self._link.close()

    def lost(self, reason: str) -> None:
        """As good as a Goodbye."""
