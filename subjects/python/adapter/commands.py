"""Each command of the control plane as what the runtime does for it."""

from counterpart.control.v1 import control_pb2 as pb
from counterpart.testbed.v1 import testbed_pb2
from counterpart.wire.v1 import wire_pb2

from runtime import wire
from runtime.caller import Call
from runtime.channels import EndFailed
from runtime.command_log import NotAccepted, Run
from runtime.domain import Domain, Runtime
from runtime.initiator import Dialling, GaveUp
from runtime.journal import Pattern
from runtime.session import SessionEnded, Settings
from testbed.program import Testbed

CAPABILITIES = (
    "bare resume root_calls channels cancel operations keepalive schemas control_lifecycle"
    " initiator acceptor"
).split()


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
        about = self._about(kind, command)
        if about is None:
            raise NotAccepted("INVALID", f"{kind} names what is not there, or not new")

        async def run() -> tuple[bool, pb.Outcome]:
            try:
                outcome = _COMMANDS[kind](self, command, about)
                outcome = (await outcome if outcome else None) or pb.Outcome(done=pb.Done())
            except SessionEnded as ended:
                reason = "PROTOCOL_ERROR" if ended.rule else "SESSION_ENDED"
                outcome = failed(reason, str(ended), ended.rule)
            return outcome.WhichOneof("kind") != "failed", outcome

        return run

    def _about(self, kind: str, c):
        """The settings, session or call a command is about; None if there is no such thing."""
        if kind in ("listen", "connect"):
            maximum = wire.accepted_maximum(c.max_payload)
            return maximum and Settings(c.max_concurrent_requests, maximum)
        if kind in ("ping", "close_session", "expire_session"):
            return self.session(c.session_id)
        if kind == "call":
            session = self.session(c.session_id)
            if session is None or c.connection_id or not c.handle or c.handle in self.calls:
                return None
            self.calls[c.handle] = Call(c.method, c.arguments, _copy(wire_pb2.MetadataEntry, c))
            return session
        if kind == "cancel":
            return self.calls.get(c.handle)
        if kind.startswith("channel_"):
            call = self.calls.get(c.end.handle)
            method = call and self.runtime.methods.get(call.method_name)
            sends = {a.field_number: a.to_callee for a in method.channels} if method else {}
            sending = kind in ("channel_send", "channel_close")
            return call if sends.get(c.end.field_number) is sending else None
        if kind == "probe" and c.capability not in CAPABILITIES:
            raise NotAccepted("UNSUPPORTED", f"no capability {c.capability}")
        return self


def _copy(entry: type, source) -> list:
    return [entry(key=m.key, value=m.value, flags=m.flags) for m in source.metadata]


async def _listen(scope: Scope, c, settings):
    port = await scope.listen(settings, c.resumable)
    return pb.Outcome(listening=pb.Listening(port=port))


async def _connect(scope: Scope, c, settings):
    fresh = c.session_lost == pb.SESSION_LOST_POLICY_FRESH
    times = (c.max_attempts, c.backoff_initial_ms, c.backoff_max_ms)
    dialling = Dialling(c.host, c.port, int(c.odd_parity), c.resume, fresh, *times)
    try:
        session = await scope.connect(settings, dialling)
    except GaveUp as error:
        return failed("CONNECT_GAVE_UP", str(error))
    except wire.Refused as refused:
        reason = {"reject": "REJECTED"}.get(refused.by, refused.by.upper())
        return failed(reason, refused.text, refused.name)
    return pb.Outcome(connected=pb.Connected(session_id=session.session_id))


async def _call(scope: Scope, c, session):
    call = scope.calls[c.handle]
    session.caller.start(call)
    result = await call.result
    status = pb.CallStatus.Value(f"CALL_STATUS_{result.status}")
    told = {"status": status, "value": result.value, "text": result.text}
    told |= {"attempts": call.attempts, "operation_id": call.operation_id}
    return pb.Outcome(call=pb.CallOutcome(**told, metadata=_copy(pb.Metadata, result)))


async def _end(c, call):
    ends = await call.channels(c.end.attempt)
    if ends is None:
        raise SessionEnded("the call was resolved without this attempt")
    return ends[c.end.field_number]


async def _send(scope: Scope, c, call):
    end, sent = await _end(c, call), pb.SendOutcome(status=pb.END_STATUS_OPEN)
    try:
        for value in range(c.first, c.first + c.count):
            await end.send(testbed_pb2.Number(value=value).SerializeToString())
            sent.accepted += 1
    except EndFailed as ended:
        sent.status = pb.EndStatus.Value(f"END_STATUS_{ended.status.upper()}")
    return pb.Outcome(sent=sent)


async def _receive(scope: Scope, c, call):
    end, taken = await _end(c, call), pb.ReceiveOutcome(status=pb.END_STATUS_OPEN)
    try:
        while not c.count or len(taken.values) < c.count:
            taken.values.append(testbed_pb2.Number.FromString(await end.take()).value)
    except EndFailed as ended:
        taken.status = pb.EndStatus.Value(f"END_STATUS_{ended.status.upper()}")
    return pb.Outcome(received=taken)


async def _close(scope: Scope, c, call):
    (await _end(c, call)).close()


async def _reset(scope: Scope, c, call):
    (await _end(c, call)).reset()


def _await(scope: Scope, c, _):
    values = {field.name: value for field, value in c.ListFields()}
    count = values.pop("count", 1)
    if "machine" in values:
        values["machine"] = pb.Machine.Name(c.machine).removeprefix("MACHINE_").lower()
    return scope.runtime.journal.watch(scope.name, count, Pattern(**values))


_COMMANDS = {
    "listen": _listen,
    "connect": _connect,
    "call": _call,
    "channel_send": _send,
    "channel_receive": _receive,
    "channel_close": _close,
    "channel_reset": _reset,
    "cancel": lambda scope, c, call: call.cancel(),
    "release": lambda scope, c, _: scope.testbed.gates[c.gate].set(),
    "await_event": _await,
    "ping": lambda scope, c, session: session.ping(),
    "close_session": lambda scope, c, session: session.goodbye(),
    "expire_session": lambda scope, c, session: session.end("expired"),
    "stop_listening": lambda scope, c, _: scope.stop_listening(),
    "probe": lambda scope, c, _: None,
}
