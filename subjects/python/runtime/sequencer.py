"""The one place of an attachment that writes messages.  r[strict.outbound.sequencer]

Contract: committing is journalling, then handing the encoded message to the link, in one step; so
wire order is commit order. `seal` ends it for good: what is committed later, by an object that
outlived its generation, reaches no link and is journalled as a discard (r[session.resume.discard]).
"""

from __future__ import annotations

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.message import Message as Protobuf

from runtime import wire
from runtime.journal import Discard, Frame, Recorder
from runtime.link import Link


class Sequencer:
    """Writes to one link. `max_payload` is what the counterpart accepts, in bytes."""

    def __init__(self, link: Link, record: Recorder, max_payload: int) -> None:
        self.link = link
        self._record = record
        self._max_payload = max_payload
        self._sealed = False

    def fits(self, connection_id: int = 0, **payload: Protobuf) -> bool:
        """Would this message be small enough for the counterpart?  r[link.limit.announce]"""
        message = pb.Message(connection_id=connection_id, **payload)
        return message.ByteSize() + self.link.overhead <= self._max_payload

    def commit(self, connection_id: int = 0, **payload: Protobuf) -> None:
        """Write one message, given as `kind=body`."""
        ((kind, body),) = payload.items()
        if self._sealed:
            self._record(Discard(kind, "session.resume.discard", wire.subject_id(body)))
            return
        self._record(Frame(True, connection_id, kind, wire.subject_id(body)))
        self.link.send(pb.Message(connection_id=connection_id, **payload).SerializeToString())

    def seal(self) -> None:
        """Nothing is written any more."""
        self._sealed = True


class Outlet:
    """The sequencer, for what one connection has to say.  r[connection.close]"""

    def __init__(self, sequencer: Sequencer, connection_id: int) -> None:
        self.link = sequencer.link
        self._sequencer = sequencer
        self._connection_id = connection_id
        self._sealed = False

    def fits(self, **payload: Protobuf) -> bool:
        """Would this message be small enough for the counterpart?"""
        return self._sequencer.fits(self._connection_id, **payload)

    def commit(self, **payload: Protobuf) -> None:
        """Write one message, given as `kind=body`, unless the connection has said its last."""
        if not self._sealed:
            self._sequencer.commit(self._connection_id, **payload)

    def seal(self) -> None:
        """The connection says nothing more on this attachment."""
        self._sealed = True
