"""Each command of the control plane as what the runtime and the testbed do for it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from counterpart.control.v1 import control_pb2 as pb

from runtime.command_log import NotAccepted, Work, failed
from runtime.domain import Domain, Runtime
from runtime.ending import Ending
from runtime.journal_encoding import watch
from testbed import sessions
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


# What carries a command out, or None if there is not what it names.
_COMMANDS: dict[str, Callable[[Scope, Any], Act | None]] = {
    "probe": lambda scope, c: lambda: None,
    "listen": lambda scope, c: sessions.listen(scope.domain, c),
    "register_service": lambda scope, c: registration(scope.domain.runtime, c.service),
    "stop_listening": lambda scope, c: scope.domain.stop_listening,
    "connect": lambda scope, c: sessions.connect(scope.domain, c),
    "ping": lambda scope, c: sessions.ping(scope.domain, c),
    "close_session": lambda scope, c: sessions.close(scope.domain, c),
    "expire_session": lambda scope, c: sessions.expire(scope.domain, c),
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
