"""The side that dials: establishing a session, resuming it, replacing a lost one.

Refused, timed-out and broken dials are repeated up to `max_attempts` per establishment, with
capped exponential backoff; Sorry, reject and protocol errors never are
(r[session.initial-connect-waiting]).
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime import wire
from runtime.ending import Ending
from runtime.handshake import InitiatorHandshake
from runtime.journal import PlannedDelay
from runtime.link import Link
from runtime.session import Session, Settings
from runtime.stable_conduit import StableConduit
from runtime.wire import Refused

if TYPE_CHECKING:
    from runtime.domain import Domain


@dataclass(frozen=True)
class Dialling:
    """Where to, how often, and what to do when the session cannot be resumed."""

    host: str
    port: int
    parity: int  # 1 odd, 0 even
    resume: bool = False  # dial again after link loss
    fresh: bool = False  # replace a session that cannot be resumed  r[retry.session-lost.policy]
    max_attempts: int = 1  # dials per establishment
    backoff_initial_ms: int = 0
    backoff_max_ms: int = 0
    stable: bool = False  # over a stable conduit

    def delay_ms(self, attempt: int) -> int:
        """How long to wait before this dial (they count from 1)."""
        if attempt <= 1:
            return 0
        delay = self.backoff_initial_ms << min(attempt - 2, 32)
        return min(delay, self.backoff_max_ms) if self.backoff_max_ms else delay


class GaveUp(Ending):
    """The dials ran out."""

    def __init__(self, text: str) -> None:
        super().__init__("connect_gave_up", text)


class Initiator:
    """Keeps one session connected, and its replacement after it."""

    def __init__(self, domain: Domain, settings: Settings, dialling: Dialling) -> None:
        self._domain = domain
        self._settings = settings
        self._dialling = dialling
        self._redial: asyncio.Task[None] | None = None

    async def connect(self) -> Session:
        """Establish a session. Raises Refused or GaveUp."""
        session = self._new_session()
        try:
            await self._establish(session)
        except (Refused, GaveUp) as error:
            session.end(str(error))
            raise
        return session

    def stop(self) -> None:
        """Dial no more."""
        if self._redial is not None:
            self._redial.cancel()
            self._redial = None

    def _new_session(self) -> Session:
        session = self._domain.new_session(self._settings)
        if self._dialling.resume and not self._dialling.stable:
            session.when_lost = lambda: self._resume_later(session)
        session.when_ended = lambda: self._ended(session)
        return session

    def _ended(self, session: Session) -> None:
        if not session.over or self._redial is None:
            return
        if asyncio.current_task() is not self._redial:
            self.stop()

    def _resume_later(self, session: Session) -> None:
        self._redial = asyncio.get_running_loop().create_task(self._resume(session))

    async def _resume(self, session: Session) -> None:
        try:
            if not session.resume_key:
                raise Refused("sorry", "SORRY_REASON_UNKNOWN_SESSION", "no resume key")
            await self._establish(session)
        except GaveUp as error:
            session.end(str(error))
        except Refused as refusal:
            if refusal.name != "SORRY_REASON_UNKNOWN_SESSION":
                rule = refusal.name if refusal.by == "protocol_error" else ""
                session.end(refusal.text, refusal.by == "protocol_error", rule)
            elif self._dialling.fresh:
                await self._replace(session, refusal)
            else:
                session.end("the session was lost")

    # ------------------------------------------------------------ stable conduits

    def _keep(self, session: Session, conduit: StableConduit) -> None:
        """Get it a new link whenever it has lost one."""
        self._domain.conduits.add(conduit)
        if self._dialling.resume:
            conduit.when_lost = lambda: self._carry_on_later(session, conduit)

    def _carry_on_later(self, session: Session, conduit: StableConduit) -> None:
        carrying = asyncio.get_running_loop().create_task(self._carry_on(session, conduit))
        self._redial = carrying

    async def _carry_on(self, session: Session, conduit: StableConduit) -> None:
        try:
            await self._establish(session, conduit)
            return
        except GaveUp as error:
            lost: Refused | GaveUp = error
        except Refused as refusal:
            lost = refusal
        if not session.established:
            if conduit.user is not None:
                conduit.user.lost(str(lost))
        elif isinstance(lost, Refused) and lost.by == "reject" and self._dialling.fresh:
            await self._replace(session, lost)  # r[stable.reconnect.failure]
        else:
            session.end(f"the session was lost: {lost}")
        conduit.close()

    async def _replace(self, lost: Session, reason: Refused) -> None:
        """r[retry.session-lost.policy]: idem and persist calls move there."""
        session = self._new_session()
        leaving = lost.caller.emigrate()
        lost.end(f"the session was lost: {reason.text}")
        for call in leaving:
            session.caller.start(call)
        try:
            await self._establish(session)
        except (Refused, GaveUp) as error:
            session.end(str(error))

    async def _establish(self, session: Session, conduit: StableConduit | None = None) -> None:
        """Dial until the session is bound, or `conduit` goes on. Raises Refused or GaveUp."""
        dialling = self._dialling
        for attempt in range(1, max(1, dialling.max_attempts) + 1):
            if attempt > 1:
                delay = dialling.delay_ms(attempt)
                session.record(PlannedDelay("redial", delay))
                await self._domain.runtime.timers.sleep("redial", delay)
            try:
                await self._dial(session, conduit)
            except OSError:
                continue
            return
        raise GaveUp(f"{max(1, dialling.max_attempts)} dials, none led to a session")

    async def _dial(self, session: Session, conduit: StableConduit | None) -> None:
        keep = functools.partial(self._keep, session) if self._dialling.stable else None
        handshake = InitiatorHandshake(session, self._dialling.parity, keep, conduit)
        link = Link(
            handshake, self._domain.runtime.timers, self._domain.links, wire.HANDSHAKE_MAX_PAYLOAD
        )
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: link, self._dialling.host, self._dialling.port
            )
            await handshake.done
        except asyncio.CancelledError:
            if session.over or session.attachment is None or not handshake.done.done():
                link.close()
            raise
