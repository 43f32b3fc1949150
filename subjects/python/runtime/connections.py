"""The connections of a session: the root, and those that either side opens and closes.

A connection is a namespace of requests and channels. It survives links; what does not is its lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.message import Message as Protobuf

from runtime.caller import Caller
from runtime.connection_table import ConnectionTable
from runtime.ending import Ending
from runtime.ids import Ids
from runtime.journal import Discard
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.attachment import Attachment
    from runtime.lane import Lane
    from runtime.session import Session

_ROOT_ONLY = frozenset({"protocol_error", "ping", "pong", "goodbye"})
_PARITY = {pb.PARITY_ODD: 1, pb.PARITY_EVEN: 0}


class NotOpened(Ending):
    """The connection was rejected, or its opening was lost with the link."""

    def __init__(self, how: str, text: str) -> None:
        super().__init__(f"connection_{how}", text)


class Connection:
    """One of them. The limits count attempts in flight on it, towards us and towards them."""

    def __init__(self, session: Session, connection_id: int) -> None:
        self.session = session
        self.connection_id = connection_id
        self.requests, self.channels = Ids(), Ids()
        self.own_limit = self.peer_limit = 0
        self.caller = Caller(self)

    def settle(self, own_parity: int, own_limit: int, peer_limit: int) -> None:
        """As the opening and its answer, or the handshake, say.  r[connection.parity]"""
        self.requests.own_parity = self.channels.own_parity = own_parity
        self.own_limit, self.peer_limit = own_limit, peer_limit

    @property
    def lane(self) -> Lane | None:
        """What it has on the current attachment, if there is one, and it is open."""
        attachment = self.session.attachment
        return attachment.lanes.get(self.connection_id) if attachment else None


class Connections:
    """All of one session, closed ones included."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.root = Connection(session, 0)
        self._all = {0: self.root}
        self._table = ConnectionTable()
        self._openings: dict[int, asyncio.Future[None]] = {}
        self._closings: dict[int, asyncio.Future[None]] = {}

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._all.values()))

    def find(self, connection_id: int) -> Connection | None:
        """One that is, or was, open."""
        return self._all.get(connection_id)

    # ------------------------------------------------------------ the application

    async def open(self, own_parity: int, own_limit: int) -> int:
        """Open one and return its id. Raises NotOpened or SessionEnded."""
        attachment = self._session.attachment
        if attachment is None:
            raise NotOpened("closed", "there is no link")
        connection_id = self._table.open()
        answered = self._openings[connection_id] = asyncio.get_running_loop().create_future()
        connection = Connection(self._session, connection_id)
        connection.settle(own_parity, own_limit, 0)
        self._all[connection_id] = connection
        said = pb.OpenConnection(
            parity=pb.PARITY_ODD if own_parity else pb.PARITY_EVEN,
            settings=pb.Settings(max_concurrent_requests=own_limit),
        )
        attachment.out.commit(connection_id, open_connection=said)
        await answered
        return connection_id

    async def close(self, connection_id: int) -> None:
        """Close one; over when the counterpart has closed it too, or can no more."""
        if self._table.step(connection_id, "close_sent"):
            closing = asyncio.get_running_loop().create_future()
            self._closings[connection_id] = closing
            self._end(connection_id, "we have closed the connection", say=True)
        waiting = self._closings.get(connection_id)
        if waiting is not None:
            await asyncio.shield(waiting)

    # ------------------------------------------------------------ messages

    def apply(self, attachment: Attachment, connection_id: int, kind: str, body: Protobuf) -> None:
        """A message on any connection but the root. Raises Violation."""
        if kind in _ROOT_ONLY:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION,
                "session.message.connection-id",
                f"{kind} on connection {connection_id}",
            )
        match kind:
            case "open_connection":
                self._opened(attachment, connection_id, body)
            case "accept_connection":
                self._answered(connection_id, "accepted")
                connection = self._all[connection_id]
                connection.peer_limit = body.settings.max_concurrent_requests
                attachment.add_lane(connection)
                self._openings.pop(connection_id).set_result(None)
            case "reject_connection":
                self._answered(connection_id, "rejected")
                del self._all[connection_id]
                rejected = NotOpened("rejected", body.reason)
                _fail(self._openings.pop(connection_id), rejected)
            case "close_connection":
                self._closed(connection_id)
            case _:
                self._traffic(attachment, connection_id, kind, body)

    def _opened(self, attachment: Attachment, connection_id: int, body: pb.OpenConnection) -> None:
        self._table.announced(connection_id)
        settings = self._session.settings
        most, own_limit = settings.max_virtual_connections, settings.max_concurrent_requests
        if self._table.accepted >= most:  # r[connection.open.rejection]
            reason = f"no more than {most} at once" if most else "no acceptor registered"
            rejection = pb.RejectConnection(reason=reason)
            attachment.out.commit(connection_id, reject_connection=rejection)
            return
        if body.parity not in _PARITY:
            text = f"connection {connection_id} without a parity"
            raise Violation(pb.PROTOCOL_ERROR_CODE_MALFORMED, "connection.parity", text)
        self._table.accept(connection_id)
        connection = self._all[connection_id] = Connection(self._session, connection_id)
        peer_limit = body.settings.max_concurrent_requests
        connection.settle(1 - _PARITY[body.parity], own_limit, peer_limit)
        acceptance = pb.AcceptConnection(settings=pb.Settings(max_concurrent_requests=own_limit))
        attachment.out.commit(connection_id, accept_connection=acceptance)
        attachment.add_lane(connection)

    def _answered(self, connection_id: int, event: str) -> None:
        if not self._table.step(connection_id, event):
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_CONNECTION,
                "connection.open",
                f"connection {connection_id} was not to be {event}",
            )

    def _traffic(
        self, attachment: Attachment, connection_id: int, kind: str, body: Protobuf
    ) -> None:
        match self._table.state(connection_id):
            case "Open":
                attachment.lanes[connection_id].apply(kind, body)
            case "Closing":  # r[connection.close.echo]: it has crossed our close
                self._session.record(Discard(kind, "connection.close.echo", connection_id))
            case _:
                raise self._table.refuse(connection_id, kind)

    def _closed(self, connection_id: int) -> None:
        first = self._table.state(connection_id) == "Open"
        if not self._table.step(connection_id, "close_came"):
            raise self._table.refuse(connection_id, "close_connection")
        if first:  # r[connection.close.echo]: our last word there
            self._end(connection_id, "the counterpart has closed the connection", say=True)
        self._closed_by_both(connection_id)

    # ------------------------------------------------------------ links and session

    def listed(self) -> list[int]:
        """Those that a resume lists.  r[session.resume.connections]"""
        return self._table.those("Open")

    def bound(self, own_parity: int, in_both: Collection[int]) -> None:
        """A new attachment is there; what is not in both lists ends before all else."""
        self._table.ids.own_parity = own_parity
        for connection_id in self._table.lost(in_both):
            opening = self._openings.pop(connection_id, None)
            self._table.step(connection_id, "lost")
            if opening is not None:
                del self._all[connection_id]
                _fail(opening, NotOpened("closed", "lost with its link"))
                continue
            self._end(connection_id, "the counterpart does not hold it open", say=False)
            self._closed_by_both(connection_id)
        attachment = self._session.attachment
        assert attachment is not None
        for connection_id in self._table.those("Open"):
            attachment.add_lane(self._all[connection_id])
        for connection_id in self._table.those("Closing"):  # closed while there was no link
            _say_closed(attachment, connection_id)

    def ended(self, ending: Ending) -> None:
        """The session is over, and every connection with it."""
        for opening in self._openings.values():
            _fail(opening, ending)
        self._openings.clear()
        for connection_id in list(self._closings):
            self._closed_by_both(connection_id)

    def _end(self, connection_id: int, why: str, say: bool) -> None:
        """Its calls, handlers and channels end, and no other's.  r[connection.close]"""
        attachment = self._session.attachment
        if attachment is not None:
            if say:
                _say_closed(attachment, connection_id)
            lane = attachment.lanes.pop(connection_id, None)
            if lane is not None:
                self._session.lane_closed(lane)
        self._session.callee.closed(connection_id)
        self._all[connection_id].caller.closed(why)

    def _closed_by_both(self, connection_id: int) -> None:
        closing = self._closings.pop(connection_id, None)
        if closing is not None and not closing.done():
            closing.set_result(None)


def _say_closed(attachment: Attachment, connection_id: int) -> None:
    attachment.out.commit(connection_id, close_connection=pb.CloseConnection())


def _fail(waiting: asyncio.Future[None], why: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(why)
        waiting.exception()  # whoever asked may be gone
