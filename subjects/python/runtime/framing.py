"""Payload boundaries: a u32 little-endian length, then that many bytes. Pure.

r[link.message]: boundaries survive any split or merge of the bytes fed. r[link.limit]: a length
over the maximum is refused on its four bytes alone; so at most one incomplete payload, and what
one read returned, is ever buffered.
"""

from __future__ import annotations

import struct

_LENGTH = struct.Struct("<I")


class Oversize(Exception):
    """A payload announced more bytes than this side accepts."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"a payload of {length} bytes, at most {limit} are accepted")


def encode(payload: bytes) -> bytes:
    """One payload as it crosses the link."""
    return _LENGTH.pack(len(payload)) + payload


class Decoder:
    """Bytes in, payloads out. `limit` may change between two payloads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet returned."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next complete payload, or None until more is fed. Raises Oversize."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self.limit:
            raise Oversize(length, self.limit)
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return payload
