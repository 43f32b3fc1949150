"""Channel ends: one-way, ordered, credit-controlled streams of items.

An end belongs to one attachment and dies with it; nothing can revive it
(r[strict.rebind.generation]).
`SendingEnd` and `ReceivingEnd` each walk a table of their own; what the wire brings enters through
`on_…` methods, which raise Violation, and what an application does through the others, which
raise EndFailed. A reset, closed or defunct end is told by `status`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from counterpart.wire.v1 import wire_pb2 as pb

from runtime import mutants
from runtime.journal import Discard, Recorder
from runtime.machines import CHANNEL_RECEIVER, CHANNEL_SENDER, Machine
from runtime.sequencer import Sequencer
from runtime.wire import U32_MAX, Violation


class EndFailed(Exception):
    """The end can do no more; `status` is its `status` at that moment."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class PayloadTooLarge(Exception):
    """The item is larger than the counterpart accepts; the channel is unharmed."""


class _End:
    """What both ends share: an id, a machine, and a place to wait for changes."""

    def __init__(self, channel_id: int, machine: Machine, out: Sequencer, record: Recorder) -> None:
        self.channel_id = channel_id
        self._machine = machine
        self._out = out
        self._record = record
        self._aborted = False
        self._turn = asyncio.Lock()  # one application operation at a time, in order
        self._changed = asyncio.Event()

    @property
    def state(self) -> str:
        """The state in its machine's table."""
        return self._machine.state

    @property
    def ended(self) -> bool:
        """Is nothing open here any more?"""
        return self._machine.final

    @property
    def status(self) -> str:
        """open, closed, aborted, reset or defunct, as an application sees it."""
        state = self._machine.state
        if state == "Closed":
            return "aborted" if self._aborted else "closed"
        return {"Reset": "reset", "Defunct": "defunct"}.get(state, "open")

    def bind(self) -> None:
        """Somebody took the end."""
        self._step("bind")

    def _step(self, event: str) -> bool:
        moved = self._machine.step(event)
        self._changed.set()
        return moved

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _refuse(self, event: str, rule: str) -> Violation:
        """Journal an event the table does not allow; what the counterpart did was wrong."""
        state = self._machine.state
        self._step(event)
        return Violation(
            pb.PROTOCOL_ERROR_CODE_CHANNEL_STATE,
            rule,
            f"channel {self.channel_id}: {event} while {state}",
        )

    def _wrong_way(self, what: str) -> Violation:
        return Violation(
            pb.PROTOCOL_ERROR_CODE_CHANNEL_STATE,
            "rpc.channel.ends",
            f"channel {self.channel_id}: {what} from the wrong side",
        )


class SendingEnd(_End):
    """The end that sends. `announce` runs before the first item is written."""

    def __init__(
        self,
        channel_id: int,
        credit: int,
        out: Sequencer,
        record: Recorder,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(channel_id, Machine(CHANNEL_SENDER, channel_id, record), out, record)
        self._credit = credit
        self._announce = announce

    async def send(self, item: bytes) -> None:
        """Send one item once there is credit. Raises EndFailed or PayloadTooLarge."""
        async with self._turn:
            await asyncio.sleep(0)  # a large credit must not keep the loop from reading
            while self.state == "Open" and (self._without_credit or self._out.link.congested):
                if self._credit:
                    await self._out.link.writable()
                else:
                    await self._change()
            if self.state != "Open":
                raise EndFailed(self.status)
            message = pb.ChannelItem(channel_id=self.channel_id, item=item)
            if not self._out.fits(channel_item=message):
                raise PayloadTooLarge(f"channel {self.channel_id}: item of {len(item)} bytes")
            self._announce()
            self._step("item")
            self._credit -= self._credit > 0
            self._out.commit(channel_item=message)

    @property
    def _without_credit(self) -> bool:
        return self._credit == 0 and not mutants.active("over_credit")

    def close(self, aborted: bool = False) -> None:
        """End the stream; aborted tells the receiver that it failed. Nothing if it has ended."""
        event = "abort" if aborted else "close"
        if self._machine.allows(event):  # r[rpc.channel.close], r[rpc.channel.ends]
            self._aborted = aborted
            self._step(event)
            self._out.commit(
                close_channel=pb.CloseChannel(channel_id=self.channel_id, aborted=aborted)
            )

    def abandon(self) -> None:
        """Nobody will send here: say so.  r[rpc.channel.abandon]"""
        self.close(aborted=True)

    def detach(self) -> None:
        """The generation is over."""
        if self._machine.allows("detach"):
            self._step("detach")

    def on_credit(self, credit: int) -> None:
        """The receiver granted more."""
        if self._machine.allows("late_credit"):
            self._step("late_credit")
            self._record(Discard("grant_credit", "rpc.channel.ends", self.channel_id))
            return
        if not self._machine.allows("credit"):
            raise self._refuse("credit", "rpc.channel.ends")
        if self._credit + credit > U32_MAX:  # r[rpc.flow-control.credit]
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_CREDIT_OVERFLOW,
                "rpc.flow-control.credit.replenish",
                f"channel {self.channel_id}: {self._credit} and {credit} overflow",
            )
        self._credit += credit
        self._step("credit")

    def on_reset(self) -> None:
        """The receiver wants no more: stop at once.  r[rpc.channel.reset]"""
        if mutants.active("ignores_reset"):
            return
        if self._machine.allows("late_reset"):
            self._step("late_reset")
            self._record(Discard("reset_channel", "rpc.channel.ends", self.channel_id))
        elif self._machine.allows("reset"):
            self._step("reset")
        else:
            raise self._refuse("reset", "rpc.channel.ends")

    def on_item(self, item: bytes) -> None:
        """Never legal here."""
        raise self._wrong_way("item")

    def on_close(self, aborted: bool) -> None:
        """Never legal here."""
        raise self._wrong_way("close")


class ReceivingEnd(_End):
    """The end that receives. `check` runs on the first item (its schema must be known)."""

    def __init__(
        self,
        channel_id: int,
        credit: int,
        out: Sequencer,
        record: Recorder,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(channel_id, Machine(CHANNEL_RECEIVER, channel_id, record), out, record)
        self._initial = credit
        self._outstanding = credit  # granted, not yet used by the sender
        self._taken = 0  # taken by the application, not yet granted again
        self._items: deque[bytes] = deque()
        self._close_seen = False
        self._check: Callable[[], None] | None = check

    async def take(self) -> bytes:
        """The next item. Raises EndFailed at the end of the stream and after."""
        async with self._turn:
            while True:
                if self._items:
                    item = self._items.popleft()
                    self._taken += 1
                    self._replenish()
                    self._settle_closing()
                    return item
                if self.ended:
                    raise EndFailed(self.status)
                if self.state == "Open" and self._outstanding == 0:
                    self._grant(1)  # waiting on an empty channel that nobody may send on
                await self._change()

    def bind(self) -> None:
        """Somebody took the end; what came before is kept for it.  r[rpc.channel.binding]"""
        super().bind()
        self._settle_closing()

    def reset(self, rule: str = "rpc.channel.reset") -> None:
        """Want no more. Tells the sender unless it has closed already; nothing if ended."""
        if not self._machine.allows("reset"):
            return
        owed = self.state in ("Reserved", "Open")
        self._drop_items(rule)
        self._step("reset")
        if owed:
            self._out.commit(reset_channel=pb.ResetChannel(channel_id=self.channel_id))

    def abandon(self) -> None:
        """Nobody will receive here: say so.  r[rpc.channel.abandon]"""
        self.reset("rpc.channel.abandon")

    def detach(self) -> None:
        """The generation is over; what was received stays deliverable.

        r[rpc.channel.detach.buffered]
        """
        if self._machine.allows("detach"):
            if self.state.startswith("Reserved"):
                self._drop_items("rpc.channel.detach.buffered")
            self._step("detach")

    def forsake(self) -> None:
        """After detach: nobody is left to deliver to."""
        self._drop_items("retry.channel.detach")
        if self._machine.allows("reset"):
            self._step("reset")

    def on_item(self, item: bytes) -> None:
        """An item arrived."""
        late = self._machine.allows("late_item") and not self._close_seen
        if self._close_seen and mutants.active("accepts_item_after_close"):
            return
        if self.state == "Reserved" and mutants.active("drops_items_before_binding"):
            return
        if not late and not self._machine.allows("item"):
            raise self._refuse("item", "rpc.channel.data-after-close")
        if self._check is not None:
            self._check()
            self._check = None
        if self._outstanding == 0 and not mutants.active("accepts_over_credit"):
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED,
                "rpc.flow-control.credit",
                f"channel {self.channel_id}: an item without credit",
            )
        self._outstanding -= self._outstanding > 0
        if late:
            self._step("late_item")
            self._record(Discard("channel_item", "rpc.channel.reset", self.channel_id))
        else:
            self._items.append(item)
            self._step("item")
            self._replenish()

    def on_close(self, aborted: bool) -> None:
        """The sender ended the stream."""
        if self._machine.allows("late_close") and not self._close_seen:
            self._close_seen = True
            self._step("late_close")
            self._record(Discard("close_channel", "rpc.channel.reset", self.channel_id))
            return
        if not self._machine.allows("close"):
            raise self._refuse("close", "rpc.channel.data-after-close")
        self._close_seen = True
        self._aborted = aborted and not mutants.active("takes_aborted_for_the_end")
        self._step("close")
        self._settle_closing()

    def on_credit(self, credit: int) -> None:
        """Never legal here."""
        raise self._wrong_way("credit")

    def on_reset(self) -> None:
        """Never legal here."""
        raise self._wrong_way("reset")

    def _settle_closing(self) -> None:
        if self.state == "Closing" and not self._items:
            self._step("delivered_all")

    def _replenish(self) -> None:
        """Grant again what was taken, once half of the credit is used.

        r[rpc.flow-control.credit.replenish]
        """
        if self.state == "Open" and self._taken and self._outstanding * 2 <= self._initial:
            self._grant(self._taken)

    def _grant(self, credit: int) -> None:
        self._taken = max(0, self._taken - credit)
        self._outstanding += credit
        self._step("credit")
        self._out.commit(grant_credit=pb.GrantCredit(channel_id=self.channel_id, credit=credit))

    def _drop_items(self, rule: str) -> None:
        if self._items:
            self._record(Discard("channel_item", rule, self.channel_id, len(self._items)))
            self._items.clear()
