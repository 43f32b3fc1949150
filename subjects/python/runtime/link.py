"""A link: one TCP connection, as payloads in order.

Contract: whoever currently uses the link (`user`) gets each complete payload synchronously, in the
read callback. A link is lost at EOF, at an error and at a failed write, reported once through
`user.lost`; payloads read before that have been handed over, none is afterwards
(r[session.detach]). `close` is silent and discards what was not read or written. `finish` is the
graceful end: everything committed is delivered, then the write side closes, input is discarded up
to EOF, a byte bound or a time bound, then the link closes (r[link.tx.close],
r[session.protocol-error.delivery]). Reading pauses while the counterpart does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from runtime import framing
from runtime.clock import Timers

WRITABLE_BYTES = 1 << 20  # above this, applications wait before they send more
PAUSE_READING_BYTES = 32 << 20  # above this, nothing more is read either
LINGER_BYTES = 64 << 20
LINGER_SECONDS = 5.0


class LinkUser(Protocol):
    """What a link reports to."""

    def payload(self, payload: bytes) -> None:
        """One complete payload."""

    def oversize(self, error: framing.Oversize) -> None:
        """A length over the limit; the user must finish or close the link."""

    def lost(self, reason: str) -> None:
        """The link is gone; called once, and not for what the user closed."""


class Link(asyncio.Protocol):
    """One TCP connection. `links` is the owner's set of all that are open."""

    overhead = 0  # bytes that it adds to a payload

    def __init__(self, user: LinkUser, timers: Timers, links: set[Link], limit: int) -> None:
        self.user = user
        self.discarded: Callable[[int], None] = lambda count: None
        self._timers = timers
        self._links = links
        self._decoder = framing.Decoder(limit)
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._closed = False
        self._lingering = False
        self._dropped = 0
        self._cancel_linger: Callable[[], None] = lambda: None
        self._writable = asyncio.Event()
        self._writable.set()

    # ------------------------------------------------------------ what a user does

    @property
    def open(self) -> bool:
        """Can payloads still be sent?"""
        return self._open

    def limit(self, maximum: int) -> None:
        """Accept payloads up to `maximum` bytes from now on."""
        self._decoder.limit = maximum

    def send(self, payload: bytes) -> None:
        """Hand one payload to the link, after all earlier ones.

        Once a write has failed the loss is on its way: nothing more is handed over.
        """
        if self._open and self._transport is not None and not self._transport.is_closing():
            self._transport.write(framing.encode(payload))

    async def writable(self) -> None:
        """Wait until the counterpart has read most of what was sent, or the link is gone."""
        await self._writable.wait()

    @property
    def congested(self) -> bool:
        """Should an application wait for `writable` before it sends?"""
        return not self._writable.is_set()

    def finish(self) -> None:
        """Deliver what was sent, half-close, discard input, close."""
        if not self._open or self._transport is None:
            return
        self._open = False
        self._lingering = True
        self._writable.set()
        self._dropped = self._decoder.buffered
        self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:
            self.close()
            return
        self._cancel_linger = self._timers.after("linger", LINGER_SECONDS, self.close)

    def conclude(self) -> None:
        """Its session is over; so is the link, once it is lost."""

    def close(self) -> None:
        """Drop the link: nothing more is read from it or written to it."""
        was_lingering, self._lingering, self._open = self._lingering, False, False
        self._closed = True
        self._cancel_linger()
        self._writable.set()
        self._links.discard(self)
        if was_lingering and self._dropped:
            self.discarded(self._dropped)
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._closed:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITABLE_BYTES)
        self._open = True
        self._links.add(self)
        opened = getattr(self.user, "opened", None)
        if opened is not None:
            opened(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self.close()
            return
        self._decoder.feed(data)
        self._hand_over()

    def _hand_over(self) -> None:
        while self._open:
            if self._congest():
                return
            try:
                payload = self._decoder.next()
            except framing.Oversize as error:
                self.user.oversize(error)
                return
            if payload is None:
                return
            self.user.payload(payload)

    def _congest(self) -> bool:
        assert self._transport is not None
        if self._transport.get_write_buffer_size() <= PAUSE_READING_BYTES:
            return False
        self._transport.pause_reading()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        if self._open and self._transport is not None:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._hand_over)

    def eof_received(self) -> bool:
        self._lose("end of file")  # r[link.rx.eof]: FIN ends both directions
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(str(exc) if exc else "closed")

    def _lose(self, reason: str) -> None:
        was_open = self._open
        self.close()
        if was_open:
            self.user.lost(reason)
