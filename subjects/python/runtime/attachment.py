"""An attachment: one link bound to a session, for one generation.

It owns everything that ends with the link: the sequencer, the schema trackers, both request
tables, the channel ends and the pings. Messages are applied in the read callback, in order, so a
Pong is committed after everything that arrived before its Ping was admitted, refused or applied
(r[session.keepalive.fence]).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb

from runtime import framing, wire
from runtime.channels import ReceivingEnd, SendingEnd
from runtime.journal import Discard, Frame
from runtime.link import Link
from runtime.schemas import Announcer, Tracker
from runtime.sequencer import Sequencer
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.callee import Operation
    from runtime.caller import Call
    from runtime.session import Session

ENDED_ENDS_KEPT = 4096  # ended channel ends whose state is still known exactly
BURNT_CONNECTIONS = 1 << 16


class Attachment:
    """One generation of a session. `outgoing` and `incoming` are attempts in flight by id."""

    def __init__(self, session: Session, link: Link, max_payload: int) -> None:
        self.session = session
        self.link = link
        self.record = session.record.at(session.generation)
        self.out = Sequencer(link, self.record, max_payload)
        self.announcer = Announcer(session.runtime.catalogue)
        self.tracker = Tracker(session.runtime.catalogue, session.runtime.methods)
        self.outgoing: dict[int, Call] = {}
        self.incoming: dict[int, Operation | None] = {}
        self.ends: dict[int, SendingEnd | ReceivingEnd] = {}
        self._first_ids = dict(session.channel_ids)
        self._forgot_ends = False
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

    def lost(self, reason: str) -> None:
        """r[session.detach]"""
        self.session.link_lost(self)

    # ------------------------------------------------------------ dispatch

    def _apply(self, connection_id: int, kind: str, body: object) -> None:
        if connection_id != 0:
            self._apply_elsewhere(connection_id, kind, body)
            return
        apply = _ON_ROOT.get(kind)
        if apply is None:
            rule = "connection.root" if kind == "close_connection" else "connection.open"
            raise Violation(pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION, rule, f"{kind} on connection 0")
        apply(self, body)

    def _apply_elsewhere(self, connection_id: int, kind: str, body: object) -> None:
        """Virtual connections: none is ever accepted here.  r[connection.open.rejection]"""
        if kind in _ROOT_ONLY:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION,
                "session.message.connection-id",
                f"{kind} on connection {connection_id}",
            )
        burnt = self.session.burnt_connections
        theirs = connection_id % 2 == self.session.peer_parity
        if kind != "open_connection" or not theirs or connection_id in burnt:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION,
                "connection.open",
                f"{kind} on connection {connection_id}",
            )
        if len(burnt) >= BURNT_CONNECTIONS:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION, "connection.open", "too many connection ids"
            )
        burnt.add(connection_id)
        self.out.commit(
            connection_id, reject_connection=pb.RejectConnection(reason="no acceptor registered")
        )

    def _protocol_error(self, body: pb.ProtocolError) -> None:
        self.session.told_of_violation(body)  # never answered

    def _ping(self, body: pb.Ping) -> None:
        self.out.commit(pong=pb.Pong(nonce=body.nonce))

    def _pong(self, body: pb.Pong) -> None:
        answered = self._pings.pop(body.nonce, None)
        if answered is None:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.keepalive", "unasked Pong"
            )
        if not answered.done():
            answered.set_result(None)

    def _goodbye(self, body: pb.Goodbye) -> None:
        self.session.told_goodbye()

    def _schema(self, body: pb.Schema) -> None:
        self.tracker.learn(body)

    def _request(self, body: pb.Request) -> None:
        self.session.callee.request(self, body)

    def _response(self, body: pb.Response) -> None:
        self.session.caller.response(self, body)

    def _cancel_request(self, body: pb.CancelRequest) -> None:
        self.session.callee.cancel(self, body.request_id)

    def _channel_item(self, body: pb.ChannelItem) -> None:
        self._end(body.channel_id, "channel_item", lambda end: end.on_item(body.item))

    def _close_channel(self, body: pb.CloseChannel) -> None:
        self._end(body.channel_id, "close_channel", lambda end: end.on_close(body.aborted))

    def _reset_channel(self, body: pb.ResetChannel) -> None:
        self._end(body.channel_id, "reset_channel", lambda end: end.on_reset())

    def _grant_credit(self, body: pb.GrantCredit) -> None:
        self._end(body.channel_id, "grant_credit", lambda end: end.on_credit(body.credit))

    def _end(
        self, channel_id: int, kind: str, apply: Callable[[SendingEnd | ReceivingEnd], None]
    ) -> None:
        end = self.ends.get(channel_id)
        if end is not None:
            apply(end)
            return
        if not self._forgotten(channel_id):  # r[rpc.channel.unknown], r[session.resume.discard]
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID,
                "rpc.channel.unknown",
                f"{kind} on channel {channel_id}, which this attachment does not have",
            )
        self.record(Discard(kind, "rpc.channel.unknown", channel_id))

    # ------------------------------------------------------------ channel ends

    def add_end(self, end: SendingEnd | ReceivingEnd) -> None:
        """Route this channel's messages; old ended ends are forgotten beyond a bound."""
        self.ends[end.channel_id] = end
        if len(self.ends) > 2 * ENDED_ENDS_KEPT:
            ended = [channel_id for channel_id, end in self.ends.items() if end.ended]
            for channel_id in ended[:-ENDED_ENDS_KEPT]:
                del self.ends[channel_id]
                self._forgot_ends = True

    def forget_end(self, channel_id: int) -> None:
        """An id that was allocated, and whose direction nobody here can know."""
        self._forgot_ends = True

    def _forgotten(self, channel_id: int) -> bool:
        parity = channel_id % 2
        return (
            self._forgot_ends
            and self._first_ids[parity] < channel_id <= self.session.channel_ids[parity]
        )

    # ------------------------------------------------------------ what the session does

    async def ping(self, nonce: int) -> None:
        """Return at the Pong. Raises ConnectionError if the link is lost first."""
        answered = asyncio.get_running_loop().create_future()
        self._pings[nonce] = answered
        self.out.commit(ping=pb.Ping(nonce=nonce))
        await answered

    def detach(self) -> None:
        """The generation is over: fail what belongs to it. Writes nothing."""
        for end in self.ends.values():
            end.detach()
        for answered in self._pings.values():
            if not answered.done():
                answered.set_exception(ConnectionError("link lost"))
                answered.exception()  # whoever asked may be gone
        self._pings.clear()


_ROOT_ONLY = frozenset({"protocol_error", "ping", "pong", "goodbye"})

_ON_ROOT: dict[str, Callable[[Attachment, object], None]] = {
    "protocol_error": Attachment._protocol_error,
    "ping": Attachment._ping,
    "pong": Attachment._pong,
    "goodbye": Attachment._goodbye,
    "schema": Attachment._schema,
    "request": Attachment._request,
    "response": Attachment._response,
    "cancel_request": Attachment._cancel_request,
    "channel_item": Attachment._channel_item,
    "close_channel": Attachment._close_channel,
    "reset_channel": Attachment._reset_channel,
    "grant_credit": Attachment._grant_credit,
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

    def lost(self, reason: str) -> None:
        """As good as a Goodbye."""
