"""One end of a stable conduit: numbers, acks and what may have to be sent again. No link in it.

Contract: `send` numbers an item and keeps it until it is acknowledged. `receive` returns what a
frame brings that is new, or None, and raises Violation for what no correct counterpart sends.
Numbers are compared by serial-number arithmetic (r[stable.seq]); whatever is kept is sent again in
order and with its number (r[stable.replay-buffer.order]).
"""

from __future__ import annotations

from collections import deque

from counterpart.wire.v1 import wire_pb2 as pb

from runtime import mutants
from runtime.wire import Violation

FRAMES_PER_ACK = 128  # at least every 256
_MODULUS = 1 << 32


def ahead(number: int, of: int) -> int:
    """How far `number` is ahead of `of`; negative if it is behind."""
    distance = (number - of) % _MODULUS
    return distance - _MODULUS if distance >= _MODULUS // 2 else distance


class StableEnd:
    """`first` and `their_first` are the numbers that the two hellos announced."""

    def __init__(self, first: int, their_first: int) -> None:
        self.first = first
        self._next = first
        self._due = their_first
        self._kept: deque[pb.StableData] = deque()
        self._acknowledged = 0  # frames, in all
        self._received = 0
        self._untold = 0  # received since the last ack

    @property
    def last_received(self) -> int | None:
        """None as long as nothing was received."""
        return (self._due - 1) % _MODULUS if self._received else None

    def send(self, item: bytes) -> pb.StableFrame:
        """r[stable.seq.monotonic]"""
        self._kept.append(pb.StableData(seq=self._next, item=item))
        self._next = (self._next + 1) % _MODULUS
        return self._frame(self._kept[-1])

    def receive(self, frame: pb.StableFrame) -> bytes | None:
        """The item of a frame that is new. Raises Violation."""
        if frame.HasField("ack"):
            self._on_ack(frame.ack.ack)
        elif frame.data.HasField("ack"):
            self._on_ack(frame.data.ack)
        if not frame.HasField("data"):
            return None
        distance = ahead(frame.data.seq, self._due)
        if distance < 0 and -distance <= self._received:  # received already
            return frame.data.item if mutants.active("stable_delivers_duplicates") else None
        if distance:
            raise _broken(f"frame {frame.data.seq} where {self._due} was due")
        self._due = (self._due + 1) % _MODULUS
        self._received += 1
        self._untold += 1
        return frame.data.item

    def due_ack(self) -> pb.StableFrame | None:
        """An ack of its own, where none was sent for too long."""
        if self._untold < FRAMES_PER_ACK or mutants.active("stable_never_acknowledges"):
            return None
        self._untold = 0
        return pb.StableFrame(ack=pb.StableAck(ack=self.last_received))

    def resume(self, their_last_received: int | None) -> None:
        """What the other side's hello on a new link says. Raises Violation.  r[stable.ack.trim]"""
        if their_last_received is None:
            if self._acknowledged:
                raise _broken("no last_received, after an ack")
            return
        newest = (self._oldest - 1) % _MODULUS
        if self._acknowledged and ahead(their_last_received, newest) < 0:
            raise _broken(f"last_received {their_last_received}, below an earlier ack")
        self._on_ack(their_last_received)

    def unacknowledged(self) -> list[pb.StableFrame]:
        """What is to be sent first over a new link."""
        if mutants.active("stable_replays_nothing"):
            return []
        return [self._frame(data) for data in self._kept]

    @property
    def _oldest(self) -> int:
        return (self._next - len(self._kept)) % _MODULUS

    def _frame(self, data: pb.StableData) -> pb.StableFrame:
        frame = pb.StableFrame(data=data)
        if self._received and not mutants.active("stable_never_acknowledges"):
            frame.data.ack = (self._due - 1) % _MODULUS
            self._untold = 0
        return frame

    def _on_ack(self, number: int) -> None:
        covered = ahead(number, self._oldest) + 1
        if covered <= 0 and -covered < self._acknowledged:
            return  # told before
        if not 0 < covered <= len(self._kept):
            raise _broken(f"an ack of {number}, which was never sent")
        for _ in range(covered):
            self._kept.popleft()
            self._acknowledged += 1


def _broken(text: str) -> Violation:
    return Violation(pb.PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "stable.seq", text)
