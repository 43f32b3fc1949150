"""Each command of the control plane as what the runtime and the testbed do for it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from counterpart.control.v1 import control_pb2 as pb

from runtime.command_log import NotAccepted, Work, failed
from runtime.domain import Domain, Runtime
from runtime.ending import Ending
from runtime.initiator import Dialling
from runtime.journal_encoding import watch
from runtime.session import Session, Settings
from testbed.caller import CallerEnds
from testbed.program import Testbed, registration

Act = Callable[[], Awaitable[pb.Outcome | None] | None]  # None: over at once, nothing to tell

CAPABILITIES = (
    "bare resume root_calls channels cancel operations keepalive schemas control_lifecycle"
    " initiator acceptor virtual_connections stable persist"
).split()


class Scope:
    """One scope: a domain of the runtime, and the testbed on both of its sides."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self.testbed, self.calls = Testbed(), CallerEnds(runtime.methods)
        self.domain = Domain(runtime, name, self.testbed)
        self.watch = partial(watch, runtime.journal, name)

    def prepare(self, request: pb.ExecuteRequest) -> Work:
        """Check a command; what is returned runs it. Raises NotAccepted."""
        kind = request.WhichOneof("command")
        if kind is None or (kind == "probe" and request.probe.capability not in CAPABILITIES):
            raise NotAccepted("UNSUPPORTED", "no such command or capability")
        act = _COMMANDS[kind](self, getattr(request, kind))
        if act is None:
            raise NotAccepted("INVALID", f"{kind} names what is not there, or not new")

        async def run() -> pb.Outcome:
            try:
                doing = act()
                return (await doing if doing else None) or pb.Outcome(done=pb.Done())
            except Ending as ending:
                return failed(ending.reason.upper(), ending.text, ending.rule)

        return run

    def listen(self, c: pb.Listen) -> Act | None:
        """Accept sessions."""
        settings = Settings.asked(c)

        async def act() -> pb.Outcome:
            port = await self.domain.listen(c.host, c.port, settings, c.resumable)
            return pb.Outcome(listening=pb.Listening(port=port))

        return settings and act

    def connect(self, c: pb.Connect) -> Act | None:
        """Establish a session."""
        settings = Settings.asked(c)
        fresh = c.session_lost == pb.SESSION_LOST_POLICY_FRESH
        how = (c.max_attempts, c.backoff_initial_ms, c.backoff_max_ms, c.stable_conduit)
        dialling = Dialling(c.host, c.port, int(c.odd_parity), c.resume, fresh, *how)

        async def act() -> pb.Outcome:
            session = await self.domain.connect(settings, dialling)
            return pb.Outcome(connected=pb.Connected(session_id=session.session_id))

        return settings and act

    def session(self, c, act: Callable[[Session], Awaitable[None] | None]) -> Act | None:
        """Do something to the session that a command names."""
        session = self.domain.session(c.session_id)
        return session and partial(act, session)


# What carries a command out, or None if there is not what it names.
_COMMANDS: dict[str, Callable[[Scope, Any], Act | None]] = {
    "probe": lambda scope, c: lambda: None,
    "listen": Scope.listen,
    "register_service": lambda scope, c: registration(scope.domain.runtime, c.service),
    "stop_listening": lambda scope, c: scope.domain.stop_listening,
    "connect": Scope.connect,
    "ping": lambda scope, c: scope.session(c, Session.ping),
    "close_session": lambda scope, c: scope.session(c, Session.goodbye),
    "expire_session": lambda scope, c: scope.session(c, lambda session: session.end("expired")),
    "call": lambda scope, c: scope.calls.call(c, scope.domain.session(c.session_id)),
    "open_connection": lambda scope, c: scope.calls.open(c, scope.domain.session(c.session_id)),
    "close_connection": lambda scope, c: scope.calls.shut(c, scope.domain.session(c.session_id)),
    "cancel": lambda scope, c: scope.calls.cancel(c),
    "channel_send": lambda scope, c: scope.calls.send(c),
    "channel_receive": lambda scope, c: scope.calls.receive(c),
    "channel_close": lambda scope, c: scope.calls.close(c),
    "channel_reset": lambda scope, c: scope.calls.reset(c),
    "release": lambda scope, c: scope.testbed.gates[c.gate].set,
    "await_event": lambda scope, c: partial(scope.watch, c),
}
