"""Prologue and session handshake, both sides, each payload in its only place.

r[transport.prologue.first-payload], r[session.handshake]: hello → accept | reject, then Hello →
HelloYourself | Sorry → LetsGo | Sorry. Anything else is answered with TransportReject or
Sorry(MALFORMED) and ends the link (r[transport.prologue.reject-close]). Every payload here is
at most 64 KiB. The link's user changes hands at LetsGo, in the same read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb

from runtime import framing, mutants, wire
from runtime.link import Link
from runtime.resume import ResumeKeys
from runtime.session import Peer, Session, Settings
from runtime.stable import StableEnd
from runtime.stable_conduit import StableConduit
from runtime.wire import Refused, Violation

if TYPE_CHECKING:
    from runtime.domain import Domain

_PARITY_BIT = {pb.PARITY_ODD: 1, pb.PARITY_EVEN: 0}
LEAST_KEY_BYTES = 16
SESSION_ID_BYTES = 16


class _Sorry(Exception):
    """Refuse the session, with a machine-readable reason.  r[session.handshake.sorry]"""

    def __init__(self, reason: int, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Reject(Exception):
    """Refuse the transport."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class _StableReject(Exception):
    """Refuse the conduit."""


class _Handshake:
    """What both sides share: the link, and one step per payload."""

    def __init__(self) -> None:
        self._link: Link | StableConduit | None = None
        self._step: Callable[[bytes], None] = self._prologue

    @property
    def link(self) -> Link | StableConduit:
        """The link, once it is open; then the stable conduit over it, if there is one."""
        assert self._link is not None
        return self._link

    def opened(self, link: Link) -> None:
        """The TCP connection stands."""
        self._link = link

    def payload(self, payload: bytes) -> None:
        """The next payload, which must be what the current step waits for."""
        try:
            try:
                self._step(payload)
            except wire.Malformed as error:
                raise self._malformed(str(error)) from error
        except (_Sorry, _Reject, _StableReject) as refusal:
            self._refuse(refusal)

    def violated(self, violation: Violation) -> None:
        """What carries this was used against its rules.  r[stable.seq]"""
        self._refuse(self._malformed(violation.text))

    def oversize(self, error: framing.Oversize) -> None:
        """r[link.limit.announce]"""
        self._refuse(self._malformed(str(error)))

    def _malformed(self, text: str) -> _Sorry | _Reject | _StableReject:
        if self._step == self._prologue:
            return _Reject(pb.TRANSPORT_REJECT_REASON_MALFORMED, text)
        if self._step == self._stable_hello:
            return _StableReject(text)
        return _Sorry(pb.SORRY_REASON_MALFORMED, text)

    def _refuse(self, refusal: _Sorry | _Reject | _StableReject) -> None:
        if isinstance(refusal, _StableReject):
            text = str(refusal)[:1024]
            stable = pb.StableHandshake(reject=pb.StableReject(text=text))
            self.link.send(stable.SerializeToString())
        elif isinstance(refusal, _Reject):
            reject = pb.TransportReject(reason=refusal.reason, text=refusal.text[:1024])
            self.link.send(pb.Prologue(reject=reject).SerializeToString())
        else:
            sorry = pb.Sorry(reason=refusal.reason, detail=refusal.detail[:1024])
            self.link.send(pb.Handshake(sorry=sorry).SerializeToString())
        self.link.finish()
        self.failed(str(refusal))

    def _prologue(self, payload: bytes) -> None:
        raise NotImplementedError

    def _stable_hello(self, payload: bytes) -> None:
        raise NotImplementedError

    def failed(self, text: str) -> None:
        """We refused."""
        raise NotImplementedError

    @staticmethod
    def _check_schema(announced: int, ours: int) -> None:
        if announced != ours:
            raise _Sorry(
                pb.SORRY_REASON_INCOMPATIBLE_SCHEMA,
                f"protocol schema {announced:016x}, {ours:016x} expected",
            )


class AcceptorHandshake(_Handshake):
    """The side that was dialled."""

    def __init__(self, domain: Domain, settings: Settings, resumable: bool) -> None:
        super().__init__()
        self._domain = domain
        self._settings = settings
        self._resumable = resumable
        self._max_payload = 0
        self._peer: Peer | None = None
        self._session: Session | None = None
        self._opened_with = b""
        self._stable = False

    def lost(self, reason: str) -> None:
        """The link went away before LetsGo."""
        self.failed(reason)

    def failed(self, text: str) -> None:
        """A session that can be resumed is still awaited; any other is over."""
        session = self._session
        if session is not None:
            session.handshakes.discard(self.link)
            if not session.established and session.keys is None:
                session.end(text)

    def _prologue(self, payload: bytes) -> None:
        prologue, kind = wire.decode(pb.Prologue, payload)
        if kind != "hello":
            raise wire.Malformed(f"{kind} where a TransportHello belongs")
        hello = prologue.hello
        # r[transport.prologue.no-fallback]
        if hello.magic != wire.MAGIC:
            raise _Reject(pb.TRANSPORT_REJECT_REASON_BAD_MAGIC, f"magic {hello.magic:08x}")
        if hello.version != wire.VERSION and not mutants.active("accepts_any_version"):
            raise _Reject(
                pb.TRANSPORT_REJECT_REASON_UNSUPPORTED_VERSION, f"version {hello.version}"
            )
        self._stable = hello.conduit == pb.CONDUIT_STABLE
        if hello.conduit != pb.CONDUIT_BARE and not self._stable:
            raise _Reject(
                pb.TRANSPORT_REJECT_REASON_UNSUPPORTED_CONDUIT, f"conduit {hello.conduit}"
            )
        maximum = wire.accepted_maximum(hello.max_payload)
        if maximum is None:
            raise wire.Malformed(f"max_payload {hello.max_payload}")
        self._max_payload = maximum
        accept = pb.TransportAccept(max_payload=self._settings.max_payload)
        self.link.send(pb.Prologue(accept=accept).SerializeToString())
        self._step = self._stable_hello if self._stable else self._hello

    def _stable_hello(self, payload: bytes) -> None:
        """A new conduit, or one that goes on over this link.  r[stable.resume-key]"""
        handshake, kind = wire.decode(pb.StableHandshake, payload)
        if kind != "client_hello":
            raise wire.Malformed(f"{kind} where a ClientHello belongs")
        hello, link = handshake.client_hello, self.link
        assert isinstance(link, Link)
        registry = self._domain.runtime.conduits_by_key
        if not hello.resume_key:
            end = StableEnd(self._settings.first_seq, hello.first_seq)
            conduit = StableConduit(end, self, self._max_payload)
            self._domain.conduits.add(conduit)
            if self._resumable:
                conduit.keys = ResumeKeys(registry, conduit)
                conduit.when_lost = lambda: None  # the client dials; here it is awaited
            self._link = conduit
            self._step = self._hello
            self._serve_conduit(link, conduit, b"")
            return
        known = registry.get(hello.resume_key)
        if known is None:
            raise _StableReject("unknown resume key")
        if self._max_payload < known.max_payload:  # r[link.limit.announce]
            raise _StableReject("takes smaller payloads than before")
        known.drop()  # what was received is settled from now on
        try:
            known.end.resume(_last_received(hello))
        except Violation as violation:
            self._refuse(_StableReject(violation.text))
            known.fail(violation)
            return
        self._serve_conduit(link, known, hello.resume_key)

    def _serve_conduit(self, link: Link, conduit: StableConduit, presented: bytes) -> None:
        reply = pb.ServerHello(
            resume_key=conduit.keys.present(presented) if conduit.keys else b"",
            first_seq=conduit.end.first,
            last_received=conduit.end.last_received,
        )
        link.send(pb.StableHandshake(server_hello=reply).SerializeToString())
        conduit.carry(link, presented)

    def _hello(self, payload: bytes) -> None:
        handshake, kind = wire.decode(pb.Handshake, payload)
        if kind != "hello":
            raise wire.Malformed(f"{kind} where a Hello belongs")
        hello = handshake.hello
        runtime = self._domain.runtime
        if hello.parity not in _PARITY_BIT:
            raise wire.Malformed("a Hello without parity")
        self._check_schema(hello.protocol_schema, runtime.protocol_schema)
        self._peer = Peer(
            parity=_PARITY_BIT[hello.parity],
            max_concurrent_requests=hello.settings.max_concurrent_requests,
            max_payload=self._max_payload,
        )
        session = self._find(hello.resume_key) if hello.resume_key else self._new()
        listed = session.connections.listed()
        self._peer = replace(
            self._peer, in_both=frozenset(listed).intersection(hello.open_connections)
        )
        self._session = session
        self._opened_with = hello.resume_key
        session.handshakes.add(self.link)
        reply = pb.HelloYourself(
            settings=pb.Settings(max_concurrent_requests=session.settings.max_concurrent_requests),
            protocol_schema=runtime.protocol_schema,
            resume_key=session.keys.present(hello.resume_key) if session.keys else b"",
            session_id=session.session_id,
            open_connections=listed,  # r[session.resume.connections]
        )
        self.link.send(pb.Handshake(hello_yourself=reply).SerializeToString())
        self._step = self._lets_go

    def _find(self, key: bytes) -> Session:
        session = self._domain.runtime.sessions_by_key.get(key)
        if session is None and mutants.active("accepts_unknown_resume_key"):
            return self._new()
        if session is None:  # r[session.resume.unknown]
            raise _Sorry(pb.SORRY_REASON_UNKNOWN_SESSION, "unknown resume key")
        assert self._peer is not None
        if session.peer is not None and not _same(session.peer, self._peer):
            raise _Sorry(pb.SORRY_REASON_SETTINGS_CHANGED, "parity or settings differ")
        return session

    def _new(self) -> Session:
        session = self._domain.new_session(self._settings)
        session.record.session_id = secrets.token_bytes(SESSION_ID_BYTES)
        session.peer = self._peer
        if self._resumable and not self._stable:  # else it is the conduit that goes on
            session.keys = ResumeKeys(self._domain.runtime.sessions_by_key, session)
            session.when_lost = lambda: None  # the initiator dials; here it is awaited
        return session

    def _lets_go(self, payload: bytes) -> None:
        _, kind = wire.decode(pb.Handshake, payload)
        session, peer = self._session, self._peer
        assert session is not None and peer is not None
        if kind == "sorry":
            self.link.close()
            self.failed("the initiator declined")
        elif kind != "lets_go":
            raise wire.Malformed(f"{kind} where a LetsGo belongs")
        elif session.over or (session.keys and not session.keys.bind(self._opened_with)):
            session.handshakes.discard(self.link)
            self.link.close()  # r[session.resume.bind]: its key is retired
        else:
            session.bind(self.link, peer)


class InitiatorHandshake(_Handshake):
    """The side that dialled. `done` resolves once bound, or fails with Refused or OSError."""

    def __init__(
        self,
        session: Session,
        parity: int,
        keep: Callable[[StableConduit], None] | None = None,
        conduit: StableConduit | None = None,
    ) -> None:
        """`keep` gets a conduit new links, if it is to be a stable one: `conduit`, if there is."""
        super().__init__()
        self._session = session
        self._parity = parity
        self._keep = keep
        self._conduit = conduit
        self._max_payload = 0
        self._listed: list[int] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self, link: Link) -> None:
        """Speak first."""
        super().opened(link)
        if self._session.over:
            link.close()
            return
        self._session.handshakes.add(link)  # whatever ends the session closes it
        hello = pb.TransportHello(
            magic=wire.MAGIC,
            version=wire.VERSION,
            conduit=pb.CONDUIT_STABLE if self._keep else pb.CONDUIT_BARE,
            max_payload=self._session.settings.max_payload,
        )
        link.send(pb.Prologue(hello=hello).SerializeToString())

    def _refuse(self, refusal: _Sorry | _Reject | _StableReject) -> None:
        if not isinstance(refusal, _StableReject):
            super()._refuse(refusal)
            return
        self.link.close()  # a client has no word for it
        self.failed(str(refusal))

    def lost(self, reason: str) -> None:
        """The link went away before LetsGo: worth another dial."""
        self._fail(ConnectionError(reason))

    def failed(self, text: str) -> None:
        """We refused."""
        self._fail(Refused("protocol_error", "session.handshake", text))

    def _fail(self, error: Exception) -> None:
        self._session.handshakes.discard(self.link)
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # whoever dialled may be gone

    def _prologue(self, payload: bytes) -> None:
        prologue, kind = wire.decode(pb.Prologue, payload)
        if kind == "reject":
            self.link.finish()
            name = pb.TransportRejectReason.Name(prologue.reject.reason)
            self._fail(Refused("reject", name, prologue.reject.text))
            return
        maximum = wire.accepted_maximum(prologue.accept.max_payload)
        if kind != "accept" or maximum is None:
            raise wire.Malformed(f"{kind}, or max_payload out of range")
        self._max_payload = maximum
        if self._keep:
            self._say_client_hello()
        else:
            self._say_hello()

    def _say_client_hello(self) -> None:
        hello = pb.ClientHello(first_seq=self._session.settings.first_seq)
        if self._conduit is not None:
            hello.resume_key = self._conduit.resume_key
            if self._conduit.end.last_received is not None:
                hello.last_received = self._conduit.end.last_received
        self.link.send(pb.StableHandshake(client_hello=hello).SerializeToString())
        self._step = self._stable_hello

    def _stable_hello(self, payload: bytes) -> None:
        """r[stable.reconnect.client-replay], r[stable.reconnect.failure]"""
        handshake, kind = wire.decode(pb.StableHandshake, payload)
        link, session = self.link, self._session
        assert isinstance(link, Link) and self._keep is not None
        if kind == "reject":
            link.close()
            self._fail(Refused("reject", "STABLE_REJECT", handshake.reject.text))
            return
        if kind != "server_hello":
            raise wire.Malformed(f"{kind} where a ServerHello belongs")
        hello = handshake.server_hello
        if hello.resume_key and len(hello.resume_key) < LEAST_KEY_BYTES:
            raise wire.Malformed("resume_key is shorter than 16 bytes")
        session.handshakes.discard(link)
        conduit = self._conduit
        if conduit is None:
            end = StableEnd(session.settings.first_seq, hello.first_seq)
            conduit = StableConduit(end, self, self._max_payload)
            conduit.resume_key = hello.resume_key
            if hello.resume_key:
                self._keep(conduit)
            self._link = conduit
            session.handshakes.add(conduit)
            conduit.carry(link)
            self._say_hello()
            return
        if self._max_payload < conduit.max_payload:  # r[link.limit.announce]
            raise wire.Malformed("takes smaller payloads than before")
        try:
            conduit.end.resume(_last_received(hello))
        except Violation as violation:
            link.close()
            conduit.fail(violation)
            self._fail(Refused("protocol_error", violation.rule, violation.text))
            return
        conduit.resume_key = hello.resume_key  # r[stable.resume-key]: adopted on reading
        conduit.carry(link)
        if not self.done.done():
            self.done.set_result(None)

    def _say_hello(self) -> None:
        session = self._session
        self._listed = session.connections.listed()
        hello = pb.Hello(
            parity=pb.PARITY_ODD if self._parity else pb.PARITY_EVEN,
            settings=pb.Settings(max_concurrent_requests=session.settings.max_concurrent_requests),
            protocol_schema=session.runtime.protocol_schema,
            resume_key=session.resume_key,
            open_connections=self._listed,  # r[session.resume.connections]
        )
        self.link.send(pb.Handshake(hello=hello).SerializeToString())
        self._step = self._hello_yourself

    def _hello_yourself(self, payload: bytes) -> None:
        handshake, kind = wire.decode(pb.Handshake, payload)
        session = self._session
        if kind == "sorry":
            self.link.finish()
            name = pb.SorryReason.Name(handshake.sorry.reason)
            self._fail(Refused("sorry", name, handshake.sorry.detail))
            return
        if kind != "hello_yourself":
            raise wire.Malformed(f"{kind} where a HelloYourself belongs")
        reply = handshake.hello_yourself
        self._check_schema(reply.protocol_schema, session.runtime.protocol_schema)
        if len(reply.session_id) != SESSION_ID_BYTES:
            raise wire.Malformed("session_id is not 16 bytes")
        if reply.resume_key and len(reply.resume_key) < LEAST_KEY_BYTES:
            raise wire.Malformed("resume_key is shorter than 16 bytes")
        peer = Peer(
            parity=1 - self._parity,
            max_concurrent_requests=reply.settings.max_concurrent_requests,
            max_payload=self._max_payload,
            in_both=frozenset(self._listed).intersection(reply.open_connections),
        )
        if session.established:
            if reply.session_id != session.session_id:
                raise wire.Malformed("another session_id on resume")
            if session.peer is not None and not _same(session.peer, peer):
                raise _Sorry(pb.SORRY_REASON_SETTINGS_CHANGED, "settings differ")
        # r[session.resume.key-rotation]: adopted on reading
        if not (session.established and mutants.active("presents_the_old_resume_key")):
            session.resume_key = reply.resume_key
        session.record.session_id = reply.session_id
        session.bind(self.link, peer, self._lets_go)
        if not self.done.done():
            self.done.set_result(None)

    def _lets_go(self) -> None:
        self.link.send(pb.Handshake(lets_go=pb.LetsGo()).SerializeToString())


def _last_received(hello: pb.ClientHello | pb.ServerHello) -> int | None:
    return hello.last_received if hello.HasField("last_received") else None


def _same(before: Peer, now: Peer) -> bool:
    """r[session.resume.connections], r[link.limit.announce]"""
    return (before.parity, before.max_concurrent_requests) == (
        now.parity,
        now.max_concurrent_requests,
    ) and now.max_payload >= before.max_payload
