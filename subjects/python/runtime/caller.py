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

from runtime.attachment import Attachment
from runtime.channels import ReceivingEnd, SendingEnd
from runtime.journal import Discard
from runtime.service import ChannelArgument, Method
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.session import Session

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
        self.attempts = 0  # handed to a link
        self.channel_sets: list[dict[int, SendingEnd | ReceivingEnd]] = []
        self.result: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
        self.owner: Caller | None = None
        self._progress = asyncio.Event()

    @property
    def idem(self) -> bool:
        """May it run more than once?"""
        return self.method is not None and self.method.idem

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
    """All calls of one session that are not resolved."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._next_operation = 1
        self._unresolved: dict[int, Call] = {}
        self._waiting: list[Call] = []  # by operation id
        self._ended: CallResult | None = None

    @property
    def unresolved(self) -> int:
        """How many calls the application still waits for."""
        return len(self._unresolved)

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
            call.operation_id = self._next_operation
            self._next_operation += 1
            self._unresolved[call.operation_id] = call
            insort(self._waiting, call)
            self._pump()

    def cancel(self, call: Call) -> None:
        """r[rpc.cancel.response]: the caller reports Cancelled at once, whatever comes later."""
        if call.result.done():
            return
        self._settle(call, CallResult("CANCELLED"))
        attachment = self._session.attachment
        if attachment is None:
            return
        for request_id, attempted in attachment.outgoing.items():
            if attempted is call:
                attachment.out.commit(cancel_request=pb.CancelRequest(request_id=request_id))

    # ------------------------------------------------------------ the session

    def bound(self) -> None:
        """A new attachment is there."""
        self._pump()

    def detached(self, attachment: Attachment) -> None:
        """A generation ended: decide for each of its attempts."""
        for call in attachment.outgoing.values():
            if call.result.done():
                continue
            assert call.method is not None
            if call.method.channels and not call.idem:  # r[retry.channel.recovery.non-idem]
                self._settle(call, CallResult("INDETERMINATE", text="link lost"))
            else:
                insort(self._waiting, call)
        attachment.outgoing.clear()

    def ended(self, text: str, protocol_error: bool) -> None:
        """The session is over for every call.  r[rpc.error.ambiguous]"""
        self._ended = CallResult(
            "PROTOCOL_ERROR" if protocol_error else "SESSION_SHUTDOWN", b"", text
        )
        for call in list(self._unresolved.values()):
            if protocol_error or call.idem or not call.attempts:
                self._settle(call, self._ended)
            else:
                self._settle(call, CallResult("INDETERMINATE", text=text))

    def emigrate(self) -> list[Call]:
        """Give up the idem calls, to be made again elsewhere.  r[retry.session-lost.policy]"""
        leaving = [call for call in self._unresolved.values() if call.idem]
        for call in leaving:
            del self._unresolved[call.operation_id]
        self._waiting = [call for call in self._waiting if not call.idem]
        return leaving

    def response(self, attachment: Attachment, response: pb.Response) -> None:
        """The one response of an attempt.  r[rpc.response.one-per-request]"""
        call = attachment.outgoing.get(response.request_id)
        if call is None:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_REQUEST_ID,
                "rpc.response.one-per-request",
                f"a Response to {response.request_id}, which is not in flight",
            )
        result = self._judge(attachment, call, response)
        del attachment.outgoing[response.request_id]
        if call.result.done():
            attachment.record(Discard("response", "rpc.cancel", response.request_id))
        else:
            self._settle(call, result)
        self._pump()

    # ------------------------------------------------------------ inside

    def _settle(self, call: Call, result: CallResult) -> None:
        self._unresolved.pop(call.operation_id, None)
        if call in self._waiting:
            self._waiting.remove(call)
        call.resolve(result)

    def _judge(self, attachment: Attachment, call: Call, response: pb.Response) -> CallResult:
        kind = response.WhichOneof("outcome")
        if kind is None:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_MALFORMED, "rpc.response.shape", "a Response without outcome"
            )
        metadata = tuple(response.metadata)
        if kind == "runtime_error":
            error = response.runtime_error
            status = _STATUS_OF_CODE.get(error.code, "OTHER_RUNTIME_ERROR")
            if status == "OPERATION_EXPIRED" and not call.idem:  # r[retry.gc.settled-below]
                status = "INDETERMINATE"
            return CallResult(status, b"", error.text, metadata)
        bound = attachment.tracker.bound(call.method_name, pb.BINDING_ROLE_RESPONSE)
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
                mismatch = attachment.tracker.mismatch(
                    call.method_name, pb.BINDING_ROLE_CHANNEL, channel.field_number
                )
        if mismatch is not None:  # r[schema.errors]
            return CallResult("SCHEMA_MISMATCH", b"", mismatch, metadata)
        if kind == "ok":
            return CallResult("OK", response.ok, "", metadata)
        return CallResult("USER_ERROR", response.user_error, "", metadata)

    def _pump(self) -> None:
        attachment = self._session.attachment
        limit = self._session.peer_limit
        while attachment is not None and self._waiting:
            if limit == 0:
                self._settle(
                    self._waiting[0],
                    CallResult("RESOURCE_EXHAUSTED", text="the counterpart takes no requests"),
                )
            elif len(attachment.outgoing) < limit:
                self._attempt(attachment, self._waiting.pop(0))
            else:
                return

    def _attempt(self, attachment: Attachment, call: Call) -> None:
        """Commit one attempt: schemas, channel ends, Request, in this order."""
        session, method = self._session, call.method
        assert method is not None
        request = pb.Request(
            request_id=session.peek_request_id(),
            operation_id=call.operation_id,
            method=call.method_name,
            arguments=call.arguments,
            metadata=call.metadata,
            settled_below=min(self._unresolved),
        )
        channel_id = session.peek_channel_id()
        for channel in method.channels:  # r[rpc.channel.allocation]
            request.channels.add(field_number=channel.field_number, channel_id=channel_id)
            channel_id += 2
        if not attachment.out.fits(request=request):
            self._settle(call, CallResult("PAYLOAD_TOO_LARGE", text="the request is too large"))
            return
        schema = attachment.announcer.arguments(method)
        if schema is not None:
            attachment.out.commit(schema=schema)
        session.burn_request_id(request.request_id)
        ends: dict[int, SendingEnd | ReceivingEnd] = {}
        for channel, reference in zip(method.channels, request.channels, strict=True):
            session.burn_channel_id(reference.channel_id)
            ends[channel.field_number] = self._make_end(
                attachment, method, channel, reference.channel_id
            )
        call.attempts += 1
        attachment.outgoing[request.request_id] = call
        attachment.out.commit(request=request)
        if method.channels:
            call.channel_sets.append(ends)
        call.progressed()

    @staticmethod
    def _make_end(
        attachment: Attachment, method: Method, channel: ChannelArgument, channel_id: int
    ) -> SendingEnd | ReceivingEnd:
        def check() -> None:
            attachment.tracker.bound(method.name, pb.BINDING_ROLE_CHANNEL, channel.field_number)

        credit, out, record = channel.initial_credit, attachment.out, attachment.record
        end: SendingEnd | ReceivingEnd
        if channel.to_callee:
            end = SendingEnd(channel_id, credit, out, record)
        else:
            end = ReceivingEnd(channel_id, credit, out, record, check)
        attachment.add_end(end)
        end.bind()
        return end
