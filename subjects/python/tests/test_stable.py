"""One end of a stable conduit, without a link."""

from __future__ import annotations

import pytest
from counterpart.wire.v1 import wire_pb2 as pb

from runtime.stable import FRAMES_PER_ACK, StableEnd, ahead
from runtime.wire import Violation

NEAR_THE_WRAP = 0xFFFFFFFE


def data(seq: int, item: bytes = b"x", ack: int | None = None) -> pb.StableFrame:
    return pb.StableFrame(data=pb.StableData(seq=seq, item=item, ack=ack))


def ack(number: int) -> pb.StableFrame:
    return pb.StableFrame(ack=pb.StableAck(ack=number))


def numbers(end: StableEnd) -> list[int]:
    return [frame.data.seq for frame in end.unacknowledged()]


def test_numbers_are_compared_as_serial_numbers() -> None:
    assert ahead(0, 0xFFFFFFFF) == 1
    assert ahead(0xFFFFFFFF, 0) == -1
    assert ahead(5, 2) == 3


def test_frames_are_numbered_over_the_wrap_and_kept() -> None:
    end = StableEnd(NEAR_THE_WRAP, 0)
    sent = [end.send(bytes([i])).data for i in range(4)]
    assert [frame.seq for frame in sent] == [NEAR_THE_WRAP, 0xFFFFFFFF, 0, 1]
    end.receive(ack(0xFFFFFFFF))
    assert numbers(end) == [0, 1]
    end.receive(ack(NEAR_THE_WRAP))  # told before
    end.receive(ack(1))
    assert numbers(end) == []


def test_what_was_received_already_counts_once() -> None:
    end = StableEnd(0, NEAR_THE_WRAP)
    assert end.last_received is None
    assert end.receive(data(NEAR_THE_WRAP, b"a")) == b"a"
    assert end.receive(data(NEAR_THE_WRAP, b"a")) is None
    assert end.receive(data(0xFFFFFFFF, b"b")) == b"b"
    assert end.receive(data(0, b"c")) == b"c"
    assert end.last_received == 0


@pytest.mark.parametrize("seq", [1, 0xFFFFFFFF, 1 << 31])
def test_a_gap_is_a_violation(seq: int) -> None:
    with pytest.raises(Violation):
        StableEnd(0, 0).receive(data(seq))


@pytest.mark.parametrize("number", [9, 12, 0xFFFFFFFF])
def test_an_ack_of_what_was_never_sent_is_a_violation(number: int) -> None:
    for frame in (ack(number), data(0, ack=number)):
        end = StableEnd(10, 0)
        end.send(b"10")
        end.send(b"11")
        with pytest.raises(Violation):
            end.receive(frame)


def test_an_ack_is_due_now_and_then() -> None:
    end = StableEnd(0, 0)
    for seq in range(FRAMES_PER_ACK - 1):
        end.receive(data(seq))
        assert end.due_ack() is None
    end.receive(data(FRAMES_PER_ACK - 1))
    due = end.due_ack()
    assert due is not None and due.ack.ack == FRAMES_PER_ACK - 1
    assert end.due_ack() is None
    assert FRAMES_PER_ACK <= 256


def test_a_frame_carries_the_newest_ack() -> None:
    end = StableEnd(0, 7)
    assert not end.send(b"").data.HasField("ack")
    end.receive(data(7))
    assert end.send(b"").data.ack == 7
    assert [frame.data.ack for frame in end.unacknowledged()] == [7, 7]


def test_a_new_link_leaves_out_what_was_received() -> None:
    end = StableEnd(0, 0)
    for item in (b"0", b"1", b"2"):
        end.send(item)
    end.resume(None)
    assert numbers(end) == [0, 1, 2]
    end.resume(0)
    assert numbers(end) == [1, 2]


@pytest.mark.parametrize("last", [None, 0, 3])
def test_an_impossible_last_received_is_a_violation(last: int | None) -> None:
    end = StableEnd(0, 0)
    for _ in range(3):
        end.send(b"")
    end.receive(ack(1))
    with pytest.raises(Violation):
        end.resume(last)
