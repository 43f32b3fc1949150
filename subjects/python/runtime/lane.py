"""A lane: one connection on one attachment.

It owns what ends with either of the two: what was announced, both request tables, the channel ends
(r[schema.tracking.connection], r[schema.tracking.attachment]).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.message import Message as Protobuf

from runtime.channels import ReceivingEnd, SendingEnd
from runtime.journal import Discard
from runtime.schemas import Announcer, Tracker
from runtime.sequencer import Outlet
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.attachment import Attachment
    from runtime.callee import Operation
    from runtime.caller import Call
    from runtime.connections import Connection

ENDED_ENDS_KEPT = 4096  # ended channel ends whose state is still known exactly


class Lane:
    """`outgoing` and `incoming` are attempts in flight by id."""

    def __init__(self, attachment: Attachment, connection: Connection) -> None:
        session = connection.session
        self.connection = connection
        self.record = attachment.record.on(connection.connection_id)
        self.out = Outlet(attachment.out, connection.connection_id)
        self.announcer = Announcer(session.runtime.catalogue)
        self.tracker = Tracker(session.runtime.catalogue, session.runtime.methods)
        self.outgoing: dict[int, Call] = {}
        self.incoming: dict[int, Operation | None] = {}
        self.ends: dict[int, SendingEnd | ReceivingEnd] = {}
        self._first_ids = dict(connection.channels.newest)
        self.last_older_request = connection.requests.newest[1 - connection.requests.own_parity]
        self._forgot_ends = False

    # ------------------------------------------------------------ messages

    def apply(self, kind: str, body: Protobuf) -> None:
        """A message about a call, a channel or a type. Raises Violation."""
        _APPLY[kind](self, body)

    def _schema(self, body: pb.Schema) -> None:
        self.tracker.learn(body)

    def _request(self, body: pb.Request) -> None:
        self.connection.session.callee.request(self, body)

    def _response(self, body: pb.Response) -> None:
        self.connection.caller.response(self, body)

    def _cancel_request(self, body: pb.CancelRequest) -> None:
        self.connection.session.callee.cancel(self, body.request_id)

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
        newest = self.connection.channels.newest[parity]
        return self._forgot_ends and self._first_ids[parity] < channel_id <= newest

    def detach(self) -> None:
        """It is over: nothing more is written, and its channel ends fail."""
        self.out.seal()
        for end in self.ends.values():
            end.detach()


_APPLY: dict[str, Callable[[Lane, Protobuf], None]] = {
    "schema": Lane._schema,
    "request": Lane._request,
    "response": Lane._response,
    "cancel_request": Lane._cancel_request,
    "channel_item": Lane._channel_item,
    "close_channel": Lane._close_channel,
    "reset_channel": Lane._reset_channel,
    "grant_credit": Lane._grant_credit,
}
