"""What one owner has in a runtime: listeners, sessions, links; counted and dropped together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.descriptor import ServiceDescriptor

from runtime import wire
from runtime.callee import Operation
from runtime.clock import Timers
from runtime.executions import Executions
from runtime.handshake import AcceptorHandshake
from runtime.initiator import Dialling, Initiator
from runtime.journal import Journal, Recorder
from runtime.link import Link
from runtime.operation_store import Key, OperationStore
from runtime.service import Catalogue, Handler, Method, forbidden_among, methods_of
from runtime.session import Session, Settings
from runtime.stable_conduit import StableConduit

AWAITED_SESSIONS = 1024  # accepted, LetsGo not seen; the oldest goes first


class Runtime:
    """What all domains of a process share: types, methods, journal, timers, resume keys."""

    def __init__(
        self,
        services: Iterable[ServiceDescriptor],
        executions: str | None = None,  # the path of a file
        state: str | None = None,  # that of a folder; None: the working one
    ) -> None:
        self.journal = Journal()
        self.executions = Executions(executions)
        self.store = OperationStore(state or ".")
        # Persist operations that a session of this process has the record of.
        self.persist: dict[Key, Operation] = {}
        self.timers = Timers()
        self.catalogue = Catalogue()
        self.methods: dict[str, Method] = {}
        for service in services:
            self.register(service)
        self.protocol_schema = self.catalogue.add(pb.Message.DESCRIPTOR)
        self.sessions_by_key: dict[bytes, Session] = {}
        self.conduits_by_key: dict[bytes, StableConduit] = {}

    def register(self, service: ServiceDescriptor) -> str:
        """Offer and call its methods; or none, because of the one whose name is returned."""
        methods = methods_of(service)
        forbidden = forbidden_among(methods)
        if not forbidden:
            self.methods.update(methods)
        return forbidden


@dataclass(frozen=True)
class Counts:
    """What a domain holds."""

    listeners: int
    links: int
    sessions: int
    calls: int
    handlers: int
    channels: int


class Domain:
    """One owner. `scope` names it in the journal; `handler` serves the calls it receives."""

    def __init__(self, runtime: Runtime, scope: str, handler: Handler) -> None:
        self.runtime = runtime
        self.links: set[Link] = set()
        self._scope = scope
        self._handler = handler
        self._listeners: list[asyncio.Server] = []
        self._sessions: list[Session] = []
        self._awaited: deque[Session] = deque()
        self._initiators: list[Initiator] = []
        self.conduits: set[StableConduit] = set()

    async def listen(self, host: str, port: int, settings: Settings, resumable: bool) -> int:
        """Accept sessions there; returns the port."""

        def accept() -> Link:
            handshake = AcceptorHandshake(self, settings, resumable)
            return Link(handshake, self.runtime.timers, self.links, wire.HANDSHAKE_MAX_PAYLOAD)

        server = await asyncio.get_running_loop().create_server(accept, host, port)
        self._listeners.append(server)
        return server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Accept no more; sessions live on."""
        for server in self._listeners:
            server.close()
        self._listeners.clear()

    async def connect(self, settings: Settings, dialling: Dialling) -> Session:
        """Establish a session as initiator. Raises Refused or GaveUp."""
        initiator = Initiator(self, settings, dialling)
        self._initiators.append(initiator)
        return await initiator.connect()

    def new_session(self, settings: Settings) -> Session:
        """A session of this domain, not bound to any link yet."""
        record = Recorder(self.runtime.journal, self._scope)
        session = Session(self.runtime, record, settings, self._handler)
        self._sessions.append(session)
        self._awaited.append(session)
        if len(self._awaited) > AWAITED_SESSIONS:
            oldest = self._awaited.popleft()
            if not oldest.established:
                oldest.end("too many sessions are awaited")
        return session

    def session(self, session_id: bytes) -> Session | None:
        """A session that was bound once, also after its end."""
        for session in reversed(self._sessions):
            if session.established and session.session_id == session_id:
                return session
        return None

    def counts(self) -> Counts:
        """What is open right now."""
        alive = [s for s in self._sessions if s.established and not s.over]
        return Counts(
            listeners=len(self._listeners),
            links=len(self.links),
            sessions=len(alive),
            calls=sum(s.unresolved for s in self._sessions),
            handlers=sum(s.callee.running for s in self._sessions),
            channels=sum(s.open_ends for s in self._sessions),
        )

    def drop(self) -> None:
        """End everything without a word."""
        self.stop_listening()
        for initiator in self._initiators:
            initiator.stop()
        for session in self._sessions:
            session.end("dropped")
            session.callee.dropped()
        for conduit in self.conduits:
            conduit.close()
        for link in list(self.links):
            link.close()
        self.conduits.clear()
        self._sessions.clear()
        self._awaited.clear()
        self._initiators.clear()
