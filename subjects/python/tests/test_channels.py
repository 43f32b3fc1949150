"""Channel ends without a network: credit, races, ends."""

import asyncio
from collections.abc import Coroutine

import pytest

from runtime.channels import EndFailed, ReceivingEnd, SendingEnd
from runtime.journal import Discard, Transition
from runtime.wire import U32_MAX, Violation


class Link:
    """Never congested."""

    congested = False


class Out:
    """What would have been written."""

    def __init__(self) -> None:
        self.link = Link()
        self.sent: list[tuple[str, object]] = []

    def fits(self, **payload: object) -> bool:
        return True

    def commit(self, **payload: object) -> None:
        self.sent.extend(payload.items())

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.sent]


class Bench:
    """One end, its output and its journal."""

    def __init__(self, end_type: type, credit: int) -> None:
        self.out = Out()
        self.journal: list = []
        self.end = end_type(9, credit, self.out, self.journal.append)

    @property
    def invalid(self) -> list[str]:
        return [e.event for e in self.journal if isinstance(e, Transition) and e.invalid]

    @property
    def discarded(self) -> int:
        return sum(event.count for event in self.journal if isinstance(event, Discard))


def run(scenario: Coroutine) -> object:
    return asyncio.run(scenario)


def violation(act, *arguments: object) -> Violation:
    with pytest.raises(Violation) as caught:
        act(*arguments)
    return caught.value


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_items_before_bind_are_kept_in_order() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 2)
        bench.end.on_item(b"1")
        bench.end.on_item(b"2")
        bench.end.on_close(False)
        assert bench.end.state == "ReservedClosing"
        bench.end.bind()
        assert [await bench.end.take(), await bench.end.take()] == [b"1", b"2"]
        with pytest.raises(EndFailed) as end:
            await bench.end.take()
        assert end.value.status == "closed"
        assert bench.end.state == "Closed" and not bench.out.sent

    run(scenario())


def test_credit_comes_back_at_half() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 4)
        bench.end.bind()
        for value in (b"1", b"2", b"3", b"4"):
            bench.end.on_item(value)
        assert violation(bench.end.on_item, b"5").rule == "rpc.flow-control.credit"
        await bench.end.take()
        assert [body.credit for _, body in bench.out.sent] == [1]

    run(scenario())


def test_an_empty_channel_without_credit_is_granted_one() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 0)
        bench.end.bind()
        taking = asyncio.ensure_future(bench.end.take())
        await turn()
        assert [body.credit for _, body in bench.out.sent] == [1]
        bench.end.on_item(b"1")
        assert await taking == b"1"

    run(scenario())


def test_after_reset_only_a_race_is_ignored() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 2)
        bench.end.bind()
        bench.end.reset()
        assert bench.out.kinds == ["reset_channel"]
        bench.end.on_item(b"1")
        bench.end.on_item(b"2")
        assert bench.discarded == 2
        assert violation(bench.end.on_item, b"3").rule == "rpc.flow-control.credit"
        bench.end.on_close(False)
        assert violation(bench.end.on_close, False).rule == "rpc.channel.data-after-close"
        assert bench.end.state == "Reset"

    run(scenario())


def test_reset_after_close_says_nothing() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 2)
        bench.end.bind()
        bench.end.on_item(b"1")
        bench.end.on_close(False)
        bench.end.reset()
        assert (bench.end.state, bench.out.sent, bench.discarded) == ("Reset", [], 1)

    run(scenario())


def test_an_item_after_close_is_reported_and_refused() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 2)
        bench.end.bind()
        bench.end.on_close(False)
        assert bench.end.state == "Closed"
        assert violation(bench.end.on_item, b"1").rule == "rpc.channel.data-after-close"
        assert bench.invalid == ["item"]

    run(scenario())


def test_detach_leaves_what_was_received() -> None:
    async def scenario() -> None:
        for closed, status in ((True, "closed"), (False, "defunct")):
            bench = Bench(ReceivingEnd, 2)
            bench.end.bind()
            bench.end.on_item(b"1")
            if closed:
                bench.end.on_close(False)
            bench.end.detach()
            assert await bench.end.take() == b"1"
            with pytest.raises(EndFailed) as end:
                await bench.end.take()
            assert end.value.status == status

    run(scenario())


def test_an_aborted_stream_is_no_end_of_stream() -> None:
    async def scenario() -> None:
        bench = Bench(ReceivingEnd, 2)
        bench.end.bind()
        bench.end.on_close(True)
        with pytest.raises(EndFailed) as end:
            await bench.end.take()
        assert end.value.status == "aborted"

    run(scenario())


def test_a_sender_waits_for_credit_and_stops_at_reset() -> None:
    async def scenario() -> None:
        bench = Bench(SendingEnd, 1)
        bench.end.bind()
        await bench.end.send(b"1")
        sending = asyncio.ensure_future(bench.end.send(b"2"))
        await turn()
        assert bench.out.kinds == ["channel_item"]
        bench.end.on_credit(1)
        await sending
        sending = asyncio.ensure_future(bench.end.send(b"3"))
        await turn()
        bench.end.on_reset()
        with pytest.raises(EndFailed):
            await sending
        bench.end.close()
        assert bench.out.kinds == ["channel_item"] * 2
        assert violation(bench.end.on_credit, 1).rule == "rpc.channel.ends"

    run(scenario())


def test_credit_overflow_and_zero() -> None:
    async def scenario() -> None:
        bench = Bench(SendingEnd, 1)
        bench.end.on_credit(0)
        bench.end.on_credit(U32_MAX - 1)
        overflow = violation(bench.end.on_credit, 1)
        assert overflow.rule == "rpc.flow-control.credit.replenish"

    run(scenario())


def test_late_credit_and_reset_are_counted_after_close() -> None:
    async def scenario() -> None:
        bench = Bench(SendingEnd, 1)
        bench.end.bind()
        bench.end.close()
        bench.end.on_credit(1)
        bench.end.on_reset()
        assert (bench.end.state, bench.discarded) == ("Closed", 2)

    run(scenario())


def test_messages_from_the_wrong_side() -> None:
    async def scenario() -> None:
        sending, receiving = Bench(SendingEnd, 1).end, Bench(ReceivingEnd, 1).end
        wrong = [
            violation(sending.on_item, b""),
            violation(sending.on_close, False),
            violation(receiving.on_credit, 1),
            violation(receiving.on_reset),
        ]
        assert {each.rule for each in wrong} == {"rpc.channel.ends"}

    run(scenario())
