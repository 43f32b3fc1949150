"""The testbed's application as one that has sessions: what makes them, pings, and ends them."""

from collections.abc import Awaitable, Callable
from functools import partial

from counterpart.control.v1 import control_pb2 as pb

from runtime.domain import Domain
from runtime.initiator import Dialling
from runtime.session import Session, Settings

# What carries a command out; None: what it asks for is not allowed, or its session is not there.
Act = Callable[[], Awaitable[pb.Outcome | None] | None] | None


def listen(domain: Domain, c: pb.Listen) -> Act:
    """Accept sessions."""
    settings = Settings.asked(c)

    async def act() -> pb.Outcome:
        port = await domain.listen(c.host, c.port, settings, c.resumable)
        return pb.Outcome(listening=pb.Listening(port=port))

    return settings and act


def connect(domain: Domain, c: pb.Connect) -> Act:
    """Establish a session."""
    settings = Settings.asked(c)
    fresh = c.session_lost == pb.SESSION_LOST_POLICY_FRESH
    how = (c.max_attempts, c.backoff_initial_ms, c.backoff_max_ms, c.stable_conduit)
    dialling = Dialling(c.host, c.port, int(c.odd_parity), c.resume, fresh, *how)

    async def act() -> pb.Outcome:
        session = await domain.connect(settings, dialling)
        return pb.Outcome(connected=pb.Connected(session_id=session.session_id))

    return settings and act


def ping(domain: Domain, c: pb.Ping) -> Act:
    """Ping the counterpart, and wait for its answer."""
    return _on_session(domain, c, Session.ping)


def close(domain: Domain, c: pb.CloseSession) -> Act:
    """Say goodbye."""
    return _on_session(domain, c, Session.goodbye)


def expire(domain: Domain, c: pb.ExpireSession) -> Act:
    """Drop a session without a word."""
    return _on_session(domain, c, lambda session: session.end("expired"))


def _on_session(domain: Domain, c, act: Callable[[Session], Awaitable[None] | None]) -> Act:
    session = domain.session(c.session_id)
    return session and partial(act, session)
