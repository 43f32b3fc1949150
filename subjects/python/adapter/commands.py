"""Each command of the control plane as what the runtime does for it."""

from counterpart.control.v1 import control_pb2 as pb
from counterpart.testbed.v1 import testbed_pb2
from counterpart.wire.v1 import wire_pb2

from adapter.testbed import Testbed
from runtime import wire
from runtime.caller import Call
from runtime.channels import EndFailed
from runtime.command_log import NotAccepted, Run
from runtime.domain import Domain, Runtime
from runtime.initiator import Dialling, GaveUp
from runtime.journal import Event, Handler, Transition
from runtime.session import SessionEnded, Settings

CAPABILITIES = (
    "bare resume root_calls channels cancel operations keepalive schemas control_lifecycle"
    " initiator acceptor"
).split()
DONE = pb.Outcome(done=pb.Done())


def failed(reason: str, text: str, rule: str = "") -> pb.Outcome:
    """The outcome of a command that could not do its work."""
    code = pb.FailureReason.Value(f"FAILURE_REASON_{reason}")
    return pb.Outcome(failed=pb.Failed(reason=code, text=text, sorry_or_rule=rule))


class Scope(Domain):
    """One scope: a domain of the runtime, with its calls by handle and its gates."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self.testbed, self.calls, self.name = Testbed(), {}, name
        super().__init__(runtime, name, self.testbed)

    def prepare(self, request: pb.ExecuteRequest) -> Run:
        """Check a command; what is returned runs it. Raises NotAccepted."""
        kind = request.WhichOneof("command")
        if kind is None:
            raise NotAccepted("UNSUPPORTED", "no command this subject knows")
        command = getattr(request, kind)
        subject = self._subject(kind, command)

        async def run() -> tuple[bool, pb.Outcome]:
            try:
                outcome = await getattr(self, f"_{kind}")(command, subject) or DONE
            except SessionEnded as ended:
                reason = "PROTOCOL_ERROR" if ended.rule else "SESSION_ENDED"
                outcome = failed(reason, str(ended), ended.rule)
            return outcome.WhichOneof("kind") != "failed", outcome

        return run

    def _subject(self, kind: str, c):
        """What the command is about: settings, a session, a call. Raises NotAccepted."""
        found = None
        if kind in ("listen", "connect"):
            maximum = wire.accepted_maximum(c.max_payload)
            found = maximum and Settings(c.max_concurrent_requests, maximum)
        elif kind in ("ping", "close_session", "expire_session", "call"):
            found = self.session(c.session_id)
            if kind == "call" and (not c.handle or c.handle in self.calls or c.connection_id):
                found = None
            elif kind == "call" and found:
                entries = [
                    wire_pb2.MetadataEntry.FromString(m.SerializeToString()) for m in c.metadata
                ]
                self.calls[c.handle] = Call(c.method, c.arguments, entries)
        elif kind.startswith("channel_"):
            found = self.calls.get(c.end.handle)
            method = found and self.runtime.methods.get(found.method_name)
            sends = {a.field_number: a.to_callee for a in method.channels} if method else {}
            if sends.get(c.end.field_number) is not (kind in ("channel_send", "channel_close")):
                found = None
        elif kind == "cancel":
            found = self.calls.get(c.handle)
        elif kind == "probe" and c.capability not in CAPABILITIES:
            raise NotAccepted("UNSUPPORTED", f"no capability {c.capability}")
        else:
            return None
        if found is None:
            raise NotAccepted("INVALID", f"{kind} names something that is not there, or not new")
        return found

    async def _listen(self, c, settings):
        port = await self.listen(settings, c.resumable)
        return pb.Outcome(listening=pb.Listening(port=port))

    async def _connect(self, c, settings):
        fresh = c.session_lost == pb.SESSION_LOST_POLICY_FRESH
        times = (c.max_attempts, c.backoff_initial_ms, c.backoff_max_ms)
        dialling = Dialling(c.host, c.port, int(c.odd_parity), c.resume, fresh, *times)
        try:
            session = await self.connect(settings, dialling)
        except GaveUp as error:
            return failed("CONNECT_GAVE_UP", str(error))
        except wire.Refused as refused:
            reason = {"reject": "REJECTED"}.get(refused.by, refused.by.upper())
            return failed(reason, refused.text, refused.name)
        return pb.Outcome(connected=pb.Connected(session_id=session.session_id))

    async def _call(self, c, session):
        call = self.calls[c.handle]
        session.caller.start(call)
        result = await call.result
        outcome = pb.CallOutcome(value=result.value, text=result.text, attempts=call.attempts)
        outcome.operation_id = call.operation_id
        outcome.status = pb.CallStatus.Value(f"CALL_STATUS_{result.status}")
        outcome.metadata.extend(
            pb.Metadata.FromString(m.SerializeToString()) for m in result.metadata
        )
        return pb.Outcome(call=outcome)

    async def _cancel(self, c, call):
        call.cancel()

    async def _end(self, c, call):
        ends = await call.channels(c.end.attempt)
        if ends is None:
            raise SessionEnded("the call was resolved without this attempt")
        return ends[c.end.field_number]

    async def _channel_send(self, c, call):
        end, sent = await self._end(c, call), pb.SendOutcome(status=pb.END_STATUS_OPEN)
        try:
            for value in range(c.first, c.first + c.count):
                await end.send(testbed_pb2.Number(value=value).SerializeToString())
                sent.accepted += 1
        except EndFailed as ended:
            sent.status = pb.EndStatus.Value(f"END_STATUS_{ended.status.upper()}")
        return pb.Outcome(sent=sent)

    async def _channel_receive(self, c, call):
        end, taken = await self._end(c, call), pb.ReceiveOutcome(status=pb.END_STATUS_OPEN)
        try:
            while not c.count or len(taken.values) < c.count:
                taken.values.append(testbed_pb2.Number.FromString(await end.take()).value)
        except EndFailed as ended:
            taken.status = pb.EndStatus.Value(f"END_STATUS_{ended.status.upper()}")
        return pb.Outcome(received=taken)

    async def _channel_close(self, c, call):
        (await self._end(c, call)).close()

    async def _channel_reset(self, c, call):
        (await self._end(c, call)).reset()

    async def _release(self, c, _):
        self.testbed.gates[c.gate].set()

    async def _await_event(self, c, _):
        await self.runtime.journal.watch(self.name, c.count or 1, lambda event: matches(c, event))

    async def _ping(self, c, session):
        await session.ping()

    async def _close_session(self, c, session):
        session.goodbye()

    async def _expire_session(self, c, session):
        session.end("expired")

    async def _stop_listening(self, c, _):
        self.stop_listening()

    async def _probe(self, c, _):
        """Declared: done."""


def matches(wanted: pb.Await, event: Event) -> bool:
    """Does a journal event match every field that is set?"""
    body = event.body
    if wanted.session_id and event.session_id != wanted.session_id:
        return False
    if isinstance(body, Handler):
        ended = body.event != "started"
        return not (
            wanted.machine or wanted.key or wanted.to_state
            or wanted.handler_started and ended or wanted.handler_ended and not ended
            or wanted.operation_id not in (0, body.operation_id)
        )  # fmt: skip
    if wanted.handler_started or wanted.handler_ended or wanted.operation_id:
        return False
    if not isinstance(body, Transition):
        return not (wanted.machine or wanted.key or wanted.to_state)
    return (
        not body.invalid
        and wanted.machine in (0, pb.Machine.Value(f"MACHINE_{body.machine.upper()}"))
        and wanted.key in (0, body.key)
        and wanted.to_state in ("", body.to_state)
    )
