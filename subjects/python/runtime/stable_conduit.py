"""A stable conduit: to whoever uses it, one link; in truth one after the other.

Contract: it does for its user what a Link does, and its user is told nothing of a change of link
(r[stable.untouched]). `when_lost` gets it a new link, which `carry` takes over; without it the loss
of its link is its end, reported through `user.lost`. What the counterpart does to it against the
rules is reported through `user.violated`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from counterpart.wire.v1 import wire_pb2 as pb

from runtime import framing, wire
from runtime.link import Link, LinkUser
from runtime.resume import ResumeKeys
from runtime.stable import StableEnd
from runtime.wire import Violation


class ConduitUser(LinkUser, Protocol):
    """What a conduit reports to."""

    def violated(self, violation: Violation) -> None:
        """The counterpart broke a rule of the conduit; the user must finish or close it."""


class StableConduit:
    """`end` has the numbers, `max_payload` is what the counterpart accepts on every link."""

    overhead = 32  # bytes of a StableData around its item, at most

    def __init__(self, end: StableEnd, user: ConduitUser, max_payload: int) -> None:
        self.end = end
        self.user: ConduitUser | None = user
        self.max_payload = max_payload
        self.discarded: Callable[[int], None] = lambda count: None
        self.when_lost: Callable[[], None] | None = None
        self.resume_key = b""  # the client's
        self.keys: ResumeKeys[StableConduit] | None = None  # the server's
        self._opened_with: bytes | None = None  # the key of this link, until its first frame
        self._link: Link | None = None
        self._limit = wire.HANDSHAKE_MAX_PAYLOAD + self.overhead
        self._over = False
        self._carried = asyncio.Event()

    # ------------------------------------------------------------ links

    def carry(self, link: Link, opened_with: bytes | None = None) -> None:
        """Go on over this link: what may have been lost comes first."""
        self.drop()
        self._link = link
        self._opened_with = opened_with
        link.user = self
        link.limit(self._limit)
        link.discarded = lambda count: self.discarded(count)
        for frame in self.end.unacknowledged():  # r[stable.replay-buffer.order]
            link.send(frame.SerializeToString())
        self._carried.set()

    def drop(self) -> None:
        """Read nothing more of the link of now."""
        link, self._link = self._link, None
        self._carried.clear()
        if link is not None:
            link.close()

    # ------------------------------------------------------------ as a link

    @property
    def open(self) -> bool:
        """Can payloads still be sent?"""
        return not self._over

    def limit(self, maximum: int) -> None:
        """Accept payloads up to `maximum` bytes from now on."""
        self._limit = maximum
        if self._link is not None:
            self._link.limit(maximum)

    def send(self, payload: bytes) -> None:
        """Hand one payload to whatever link carries it in the end."""
        if self._over:
            return
        frame = self.end.send(payload)
        if self._link is not None:
            self._link.send(frame.SerializeToString())

    async def writable(self) -> None:
        """Wait until a link has room, or the conduit is over."""
        while not self._over:
            link = self._link
            if link is None:
                await self._carried.wait()
                continue
            await link.writable()
            if link is self._link:
                return

    @property
    def congested(self) -> bool:
        """Should an application wait for `writable` before it sends?"""
        return not self._over and (self._link is None or self._link.congested)

    def conclude(self) -> None:
        """Its session is over: once its link is lost it is not carried on."""
        self.when_lost = None

    def finish(self) -> None:
        """Deliver what was sent, half-close, discard input, close."""
        link, self._link = self._link, None
        self._end()
        if link is not None:
            link.finish()

    def close(self) -> None:
        """Drop it: nothing more is read or written."""
        self.drop()
        self._end()

    def _end(self) -> None:
        self._over = True
        self.when_lost = None
        self.user = None
        if self.keys is not None:
            self.keys.drop()
        self._carried.set()

    # ------------------------------------------------------------ the link's reports

    def payload(self, payload: bytes) -> None:
        """One frame."""
        if self.user is None:
            return
        if self._opened_with is not None and self.keys is not None:
            self.keys.bind(self._opened_with)  # r[stable.resume-key]
            self._opened_with = None
        try:
            frame, _ = wire.decode(pb.StableFrame, payload)
            item = self.end.receive(frame)
        except wire.Malformed as error:
            text = str(error)
            self.user.violated(Violation(pb.PROTOCOL_ERROR_CODE_MALFORMED, "wire.envelope", text))
            return
        except Violation as violation:
            self.user.violated(violation)
            return
        due = self.end.due_ack()
        if due is not None and self._link is not None:
            self._link.send(due.SerializeToString())
        if item is not None:
            self.user.payload(item)

    def oversize(self, error: framing.Oversize) -> None:
        """r[link.limit]"""
        if self.user is not None:
            self.user.oversize(error)

    def lost(self, reason: str) -> None:
        """The link is gone; the conduit need not be."""
        self._link = None
        self._carried.clear()
        if self.when_lost is not None:
            self.when_lost()
            return
        user = self.user
        self._end()
        if user is not None:
            user.lost(reason)

    def fail(self, violation: Violation) -> None:
        """A hello on a new link broke a rule: there is nothing left to say it on."""
        if self.user is not None:
            self.user.violated(violation)
        self.close()
