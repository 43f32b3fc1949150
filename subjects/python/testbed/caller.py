"""The testbed's calling side: connections, calls by handle, numbers at the ends of their channels.

Each method gives what carries its command out, or None if that names no session, call or end that
there is, or a handle that is taken. An end of an attempt still to come is waited for; SessionEnded
is raised if it never comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from counterpart.control.v1 import control_pb2 as pb
from counterpart.testbed.v1 import testbed_pb2
from counterpart.wire.v1 import wire_pb2

from runtime.caller import Call
from runtime.channels import EndFailed, ReceivingEnd, SendingEnd
from runtime.service import Method
from runtime.session import Session, SessionEnded

Act = Callable[[], Awaitable[pb.Outcome | None]]  # None: there is nothing to tell


class CallerEnds:
    """The calls of one scope."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._calls: dict[str, Call] = {}

    def call(self, command: pb.Call, session: Session | None) -> Act | None:
        """Make a call; over when it is resolved."""
        handle = command.handle
        connection = session and session.connections.find(command.connection_id)
        if connection is None or not handle or handle in self._calls:
            return None
        metadata = _copied(wire_pb2.MetadataEntry, command.metadata)
        call = self._calls[handle] = Call(command.method, command.arguments, metadata)

        async def act() -> pb.Outcome:
            connection.caller.start(call)
            result = await call.result
            status = pb.CallStatus.Value(f"CALL_STATUS_{result.status}")
            told = {"status": status, "value": result.value, "text": result.text}
            told |= {"attempts": call.attempts, "operation_id": call.operation_id}
            metadata = _copied(pb.Metadata, result.metadata)
            return pb.Outcome(call=pb.CallOutcome(**told, metadata=metadata))

        return act

    def open(self, command: pb.OpenConnection, session: Session | None) -> Act | None:
        """Open a virtual connection."""
        if session is None or session.over:
            return None

        async def act() -> pb.Outcome:
            parity, limit = int(command.odd_parity), command.max_concurrent_requests
            opened = await session.connections.open(parity, limit)
            return pb.Outcome(connection_opened=pb.ConnectionOpened(connection_id=opened))

        return act

    def shut(self, command: pb.CloseConnection, session: Session | None) -> Act | None:
        """Close a virtual connection; the root is none.  r[connection.root]"""
        known = session and session.connections.find(command.connection_id)
        if not known or known is session.connections.root:
            return None
        return partial(session.connections.close, command.connection_id)

    def cancel(self, command: pb.Cancel) -> Act | None:
        """Want no answer any more."""
        call = self._calls.get(command.handle)

        async def act() -> None:
            call.cancel()

        return call and act

    def send(self, command: pb.ChannelSend) -> Act | None:
        """Send numbers, each as credit comes."""

        async def act(end: SendingEnd) -> pb.Outcome:
            sent = pb.SendOutcome(status=pb.END_STATUS_OPEN)
            try:
                for value in range(command.first, command.first + command.count):
                    await end.send(testbed_pb2.Number(value=value).SerializeToString())
                    sent.accepted += 1
            except EndFailed as ended:
                sent.status = _status(ended)
            return pb.Outcome(sent=sent)

        return self._at(command.end, act, sends=True)

    def receive(self, command: pb.ChannelReceive) -> Act | None:
        """Take numbers, as they come."""

        async def act(end: ReceivingEnd) -> pb.Outcome:
            taken = pb.ReceiveOutcome(status=pb.END_STATUS_OPEN)
            try:
                while not command.count or len(taken.values) < command.count:
                    taken.values.append(testbed_pb2.Number.FromString(await end.take()).value)
            except EndFailed as ended:
                taken.status = _status(ended)
            return pb.Outcome(received=taken)

        return self._at(command.end, act, sends=False)

    def close(self, command: pb.ChannelClose) -> Act | None:
        """Say that all is sent."""

        async def act(end: SendingEnd) -> None:
            end.close()

        return self._at(command.end, act, sends=True)

    def reset(self, command: pb.ChannelReset) -> Act | None:
        """Say that no more is wanted."""

        async def act(end: ReceivingEnd) -> None:
            end.reset()

        return self._at(command.end, act, sends=False)

    def _at(self, name: pb.ChannelEnd, use: Callable, sends: bool) -> Act | None:
        call = self._calls.get(name.handle)
        method = call and self._methods.get(call.method_name)
        declared = {a.field_number: a.to_callee for a in method.channels} if method else {}
        if declared.get(name.field_number) is not sends:
            return None

        async def act() -> pb.Outcome | None:
            ends = await call.channels(name.attempt)
            if ends is None:
                raise SessionEnded("the call was resolved without this attempt")
            return await use(ends[name.field_number])

        return act


def _copied(entry: type, metadata) -> list:
    return [entry(key=m.key, value=m.value, flags=m.flags) for m in metadata]


def _status(ended: EndFailed) -> pb.EndStatus:
    return pb.EndStatus.Value(f"END_STATUS_{ended.status.upper()}")
