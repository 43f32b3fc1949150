"""The caller: calls, their attempts, and what a cut makes of them.

One `Call` is one operation; it has at most one attempt in flight. Calls wait in operation order
for an attachment and for a slot under the counterpart's limit
(r[rpc.flow-control.max-concurrent-requests.outbound]). After each bind every unresolved call is
attempted once more, with the same bytes (r[retry.resume.reattempt]), except those with channels
and without idem, which a cut ends (r[retry.channel.detach]).
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb

from runtime import mutants
from runtime.channels import ReceivingEnd, SendingEnd
from runtime.journal import Discard
from runtime.lane import Lane
from runtime.operation_store import Key
from runtime.service import ChannelArgument, Method
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.connections import Connection

_STATUS_OF_CODE = {
    pb.RUNTIME_ERROR_CODE_UNKNOWN_METHOD: "UNKNOWN_METHOD",
    pb.RUNTIME_ERROR_CODE_INVALID_PAYLOAD: "INVALID_PAYLOAD",
    pb.RUNTIME_ERROR_CODE_CANCELLED: "CANCELLED",
    pb.RUNTIME_ERROR_CODE_INDETERMINATE: "INDETERMINATE",
    pb.RUNTIME_ERROR_CODE_OPERATION_CONFLICT: "OPERATION_CONFLICT",
    pb.RUNTIME_ERROR_CODE_OPERATION_EXPIRED: "OPERATION_EXPIRED",
    pb.RUNTIME_ERROR_CODE_RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    pb.RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    pb.RUNTIME_ERROR_CODE_SCHEMA_MISMATCH: "SCHEMA_MISMATCH",
}


@dataclass(frozen=True)
class CallResult:
    """How a call ended. `value` is the received bytes with OK and USER_ERROR."""

    status: str
    value: bytes = b""
    text: str = ""
    metadata: Sequence[pb.MetadataEntry] = ()


class Call:
    """What the application made. `channel_sets[n]` are the ends of attempt n + 1, by field."""

    def __init__(
        self, method: str, arguments: bytes, metadata: Sequence[pb.MetadataEntry] = ()
    ) -> None:
        self.method_name = method
        self.method: Method | None = None
        self.arguments = arguments
        self.metadata = metadata
        self.operation_id = 0
        self.origin = b""  # the session that minted it, if that is lost
        self.attempts = 0  # handed to a link
        self.channel_sets: list[dict[int, SendingEnd | ReceivingEnd]] = []
        self.result: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
        self.owner: Caller | None = None
        self._progress = asyncio.Event()

    @property
    def idem(self) -> bool:
        """May it run more than once?"""
        return self.method is not None and self.method.idem

    @property
    def persist(self) -> bool:
        """Does its outcome survive the session?"""
        return self.method is not None and self.method.persist

    @property
    def key(self) -> Key:
        """What names its operation, in every session that it is attempted in."""
        return self.origin, self.operation_id

    def __lt__(self, other: Call) -> bool:
        return self.operation_id < other.operation_id

    async def channels(self, attempt: int) -> dict[int, SendingEnd | ReceivingEnd] | None:
        """The ends of an attempt (0: the newest, or the first to come); None if it never comes."""
        wanted = attempt or max(1, len(self.channel_sets))
        while len(self.channel_sets) < wanted:
            if self.result.done():
                return None
            self._progress.clear()
            await self._progress.wait()
        return self.channel_sets[wanted - 1]

    def progressed(self) -> None:
        """Wake whoever waits for an attempt."""
        self._progress.set()

    def resolve(self, result: CallResult) -> None:
        """Tell the application, once."""
        if not self.result.done():
            self.result.set_result(result)
            self.progressed()

    def cancel(self) -> None:
        """The application wants no answer any more.  r[rpc.cancel]"""
        if self.owner is not None:
            self.owner.cancel(self)
        else:
            self.resolve(CallResult("CANCELLED"))


class Caller:
    """All calls of one connection that are not resolved."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._session = connection.session
        self._unresolved: dict[Key, Call] = {}
        self._waiting: list[Call] = []  # by operation id
        self._ended: CallResult | None = None

    @property
    def unresolved(self) -> int:
        """How many calls the application still waits for."""
        return len(self._unresolved)

    @property
    def oldest(self) -> int | None:
        """The least operation id among them that is of this session."""
        return min((known for origin, known in self._unresolved if not origin), default=None)

    # ------------------------------------------------------------ the application

    def start(self, call: Call) -> None:
        """Make a call; it waits while the session is detached."""
        call.method = self._session.runtime.methods.get(call.method_name)
        if call.result.done():
            return
        if call.method is None:
            call.resolve(CallResult("UNKNOWN_METHOD", text="this program has no such method"))
        elif self._ended is not None:
            call.resolve(self._ended)
        else:
            call.owner = self
            if not call.origin:  # a persist call of a lost session keeps its own
                call.operation_id = self._session.next_operation_id()
            self._unresolved[call.key] = call
            insort(self._waiting, call)
            self._pump()

    def cancel(self, call: Call) -> None:
        """r[rpc.cancel.response]: the caller reports Cancelled at once, whatever comes later."""
        if call.result.done():
            return
        self._settle(call, CallResult("CANCELLED"))
        lane = self._connection.lane
        if lane is None:
            return
        for request_id, attempted in lane.outgoing.items():
            if attempted is call:
                lane.out.commit(cancel_request=pb.CancelRequest(request_id=request_id))

    # ------------------------------------------------------------ the session

    def bound(self) -> None:
        """A new attachment is there."""
        self._pump()

    def detached(self, lane: Lane) -> None:
        """A generation ended: decide for each of its attempts."""
        for call in lane.outgoing.values():
            if call.result.done():
                continue
            assert call.method is not None
            again = call.idem or mutants.active("attempts_any_stream_again")
            if call.method.channels and not again:  # r[retry.channel.recovery.non-idem]
                self._settle(call, CallResult("INDETERMINATE", text="link lost"))
            else:
                insort(self._waiting, call)
        lane.outgoing.clear()

    def closed(self, text: str) -> None:
        """The connection is closed for every call.  r[rpc.error.ambiguous]"""
        self._ended = CallResult("CONNECTION_CLOSED", b"", text)
        self._end_all(text)

    def ended(self, text: str, protocol_error: bool) -> None:
        """The session is over for every call.  r[rpc.error.ambiguous]"""
        self._ended = CallResult(
            "PROTOCOL_ERROR" if protocol_error else "SESSION_SHUTDOWN", b"", text
        )
        self._end_all(text, protocol_error)

    def _end_all(self, text: str, protocol_error: bool = False) -> None:
        assert self._ended is not None
        for call in list(self._unresolved.values()):
            if protocol_error or call.idem or not call.attempts:
                self._settle(call, self._ended)
            else:
                self._settle(call, CallResult("INDETERMINATE", text=text))

    def emigrate(self) -> list[Call]:
        """Give up what is to go on elsewhere.  r[retry.session-lost.policy]

        Idem calls are made again; persist ones, idem or not, keep their operation, and name the
        session it is of: what has run once is not run again where its outcome can be had.
        """
        leaving = [call for call in self._unresolved.values() if call.idem or call.persist]
        for call in leaving:
            del self._unresolved[call.key]
            if call.persist and not mutants.active("names_no_origin_in_a_new_session"):
                call.origin = call.origin or self._session.session_id
        self._waiting = [call for call in self._waiting if call not in leaving]
        return leaving

    def response(self, lane: Lane, response: pb.Response) -> None:
        """The one response of an attempt.  r[rpc.response.one-per-request]"""
        call = lane.outgoing.get(response.request_id)
        if call is None:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_REQUEST_ID,
                "rpc.response.one-per-request",
                f"a Response to {response.request_id}, which is not in flight",
            )
        result = self._judge(lane, call, response)
        del lane.outgoing[response.request_id]
        if call.result.done():
            lane.record(Discard("response", "rpc.cancel", response.request_id))
        else:
            self._settle(call, result)
        self._pump()

    # ------------------------------------------------------------ inside

    def _settle(self, call: Call, result: CallResult) -> None:
        self._unresolved.pop(call.key, None)
        if call in self._waiting:
            self._waiting.remove(call)
        call.resolve(result)

    def _judge(self, lane: Lane, call: Call, response: pb.Response) -> CallResult:
        kind = response.WhichOneof("outcome")
        if kind is None:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_MALFORMED, "rpc.response.shape", "a Response without outcome"
            )
        metadata = tuple(response.metadata)
        if kind == "runtime_error":
            error = response.runtime_error
            unknown = "OTHER_RUNTIME_ERROR"
            if mutants.active("takes_unknown_errors_for_retryable"):
                unknown = "SEND_FAILED"
            status = _STATUS_OF_CODE.get(error.code, unknown)
            if status == "OPERATION_EXPIRED" and not call.idem:  # r[retry.gc.settled-below]
                status = "INDETERMINATE"
            return CallResult(status, b"", error.text, metadata)
        bound = lane.tracker.bound(call.method_name, pb.BINDING_ROLE_RESPONSE)
        if kind == "user_error" and not bound.has_error:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_SCHEMA_MISSING,
                "schema.exchange.required",
                f"{call.method_name}: a user error whose type was not announced",
            )
        assert call.method is not None
        mismatch = bound.mismatch
        for channel in call.method.channels:
            if mismatch is None and not channel.to_callee:
                mismatch = lane.tracker.mismatch(
                    call.method_name, pb.BINDING_ROLE_CHANNEL, channel.field_number
                )
        if mismatch is not None:  # r[schema.errors]
            return CallResult("SCHEMA_MISMATCH", b"", mismatch, metadata)
        if kind == "ok":
            return CallResult("OK", response.ok, "", metadata)
        return CallResult("USER_ERROR", response.user_error, "", metadata)

    def _pump(self) -> None:
        lane = self._connection.lane
        limit = self._connection.peer_limit
        while lane is not None and self._waiting:
            if limit == 0 and mutants.active("waits_for_a_limit_of_zero"):
                return
            if limit == 0:
                self._settle(
                    self._waiting[0],
                    CallResult("RESOURCE_EXHAUSTED", text="the counterpart takes no requests"),
                )
            elif len(lane.outgoing) < limit:
                self._attempt(lane, self._waiting.pop(0))
            else:
                return

    def _attempt(self, lane: Lane, call: Call) -> None:
        """Commit one attempt: schemas, channel ends, Request, in this order."""
        connection, method = self._connection, call.method
        assert method is not None
        request = pb.Request(
            request_id=connection.requests.peek() + mutants.active("wrong_parity"),
            operation_id=call.operation_id,
            method=call.method_name,
            arguments=call.arguments,
            metadata=call.metadata,
            settled_below=self._session.oldest_operation,
            origin_session=call.origin,
        )
        channel_id = connection.channels.peek()
        for channel in method.channels:  # r[rpc.channel.allocation]
            request.channels.add(field_number=channel.field_number, channel_id=channel_id)
            channel_id += 2
        if not lane.out.fits(request=request):
            self._settle(call, CallResult("PAYLOAD_TOO_LARGE", text="the request is too large"))
            return
        schema = lane.announcer.arguments(method)
        if schema is not None:
            lane.out.commit(schema=schema)
        connection.requests.burn(request.request_id)
        ends: dict[int, SendingEnd | ReceivingEnd] = {}
        for channel, reference in zip(method.channels, request.channels, strict=True):
            connection.channels.burn(reference.channel_id)
            ends[channel.field_number] = self._make_end(lane, method, channel, reference.channel_id)
        call.attempts += 1
        lane.outgoing[request.request_id] = call
        lane.out.commit(request=request)
        if method.channels:
            call.channel_sets.append(ends)
        call.progressed()

    @staticmethod
    def _make_end(
        lane: Lane, method: Method, channel: ChannelArgument, channel_id: int
    ) -> SendingEnd | ReceivingEnd:
        def check() -> None:
            lane.tracker.bound(method.name, pb.BINDING_ROLE_CHANNEL, channel.field_number)

        credit, out, record = channel.initial_credit, lane.out, lane.record
        end: SendingEnd | ReceivingEnd
        if channel.to_callee:
            end = SendingEnd(channel_id, credit, out, record)
        else:
            end = ReceivingEnd(channel_id, credit, out, record, check)
        lane.add_end(end)
        end.bind()
        return end
