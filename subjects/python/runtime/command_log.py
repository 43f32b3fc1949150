"""The log of commands: what was accepted, how far it came, and what came of it.

Contract (r[control.lifecycle]): a command is journalled as accepted before anything runs, its
outcome is recorded before it is told, and a known id runs nothing again: it gets the recorded
outcome. A Status of an unknown id tombstones its sends up to an ordinal
(r[control.lifecycle.send-ordinal]); a higher one may still be accepted. Only finished commands
are evicted, in id order; the watermark is the highest evicted id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from counterpart.control.v1 import control_pb2 as pb

from runtime.clock import Timers
from runtime.journal import Journal, Recorder
from runtime.machines import COMMAND, Machine

KEPT = 1024  # at least this many of the newest commands
TOMBSTONES = 1 << 16

Work = Callable[[], Awaitable[pb.Outcome]]  # what a command does; `failed` if it could not


class NotAccepted(Exception):
    """A refusal: nothing was run. `reason` is TOMBSTONED, CONFLICT, EVICTED, INVALID, …"""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def failed(reason: str, text: str, rule: str = "") -> pb.Outcome:
    """The outcome of a command that could not do its work."""
    code = pb.FailureReason.Value(f"FAILURE_REASON_{reason}")
    return pb.Outcome(failed=pb.Failed(reason=code, text=text, sorry_or_rule=rule))


class Command:
    """One accepted command. `hold` is the point it stops at, if any."""

    def __init__(self, request: pb.ExecuteRequest, said: bytes, machine: Machine) -> None:
        loop = asyncio.get_running_loop()
        self.scope = request.scope
        self.said = said
        self.machine = machine
        self.recorded: asyncio.Future[pb.Outcome] = loop.create_future()
        self.replied: asyncio.Future[pb.Outcome] = loop.create_future()  # to the first send
        self._hold = request.hold_at
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Work) -> None:
        """Run it, as a task of its own: who asked may go away."""
        self._task = asyncio.get_running_loop().create_task(self._live(work))

    async def _live(self, work: Work) -> None:
        await self._stop_at(pb.HOLD_AT_ACCEPTED)
        self.machine.step("start")
        await self._stop_at(pb.HOLD_AT_STARTED)
        outcome = await work()
        await self._stop_at(pb.HOLD_AT_EFFECT)
        self._record(outcome)
        await self._stop_at(pb.HOLD_AT_RECORDED)
        self._reply()

    async def _stop_at(self, point: pb.HoldAt) -> None:
        if self._hold == point:
            await asyncio.get_running_loop().create_future()  # until dropped, or death

    def _record(self, outcome: pb.Outcome) -> None:
        self.machine.step("fail" if outcome.HasField("failed") else "complete")
        self.recorded.set_result(outcome)

    def _reply(self) -> None:
        if not self.replied.done():
            self.replied.set_result(self.recorded.result())

    def drop(self) -> None:
        """Its scope is over: whatever it waits for, it waits no longer."""
        if self._task is not None:
            self._task.cancel()
        if not self.recorded.done():
            if self.machine.state == "Accepted":
                self.machine.step("start")
            self._record(failed("DROPPED", "its scope was reset"))
        self._reply()


class CommandLog:
    """Every command of one process that is not evicted."""

    def __init__(self, journal: Journal, timers: Timers) -> None:
        self.watermark = 0
        self._journal = journal
        self._timers = timers
        self._commands: dict[int, Command] = {}
        self._tombstones: dict[int, int] = {}  # id → highest refused send
        self._accepted = self._answered = 0

    async def execute(
        self, request: pb.ExecuteRequest, prepare: Callable[[], Work]
    ) -> pb.ExecuteResponse:
        """Accept and run, or attach to, one command.

        `prepare` checks it, may raise NotAccepted, and returns what runs it.
        """
        self._accepted += 1
        try:
            return pb.ExecuteResponse(outcome=await asyncio.shield(self._enter(request, prepare)))
        except NotAccepted as refusal:
            reason = pb.RefusalReason.Value(f"REFUSAL_REASON_{refusal.reason}")
            return pb.ExecuteResponse(refusal=pb.Refusal(reason=reason, text=str(refusal)))
        finally:
            self._answered += 1

    def _enter(
        self, request: pb.ExecuteRequest, prepare: Callable[[], Work]
    ) -> asyncio.Future[pb.Outcome]:
        command_id, send, said = request.command_id, request.send, _said(request)
        known = self._commands.get(command_id)
        if known is not None:
            if known.said != said:
                raise NotAccepted("CONFLICT", f"command {command_id} is known as another one")
            return known.recorded
        if command_id == 0 or send == 0:
            raise NotAccepted("INVALID", "command_id and send start at 1")
        if command_id <= self.watermark:
            raise NotAccepted("EVICTED", f"not above {self.watermark}")
        refused = self._tombstones.get(command_id, 0)
        if send <= refused:
            raise NotAccepted("TOMBSTONED", f"sends up to {refused} were proven unknown")
        work = prepare()
        self._journal.revive(request.scope)
        machine = Machine(COMMAND, command_id, Recorder(self._journal, request.scope))
        if self._tombstones.pop(command_id, 0):
            machine.state = "Tombstoned"  # journalled when the Status asked
        machine.step("accept")
        command = Command(request, said, machine)
        self._commands[command_id] = command
        self._evict()
        command.start(work)
        return command.replied

    def status(self, request: pb.StatusRequest) -> pb.StatusResponse:
        """How far a command came; tombstones an unknown one's sends."""
        command, outcome = self._commands.get(request.command_id), None
        if command is not None:
            state = command.machine.state
            outcome = command.recorded.result() if command.recorded.done() else None
        elif request.command_id <= self.watermark:
            state = "Evicted"
        else:
            state = "Not_Accepted"
            self._tombstone(request.command_id, request.highest_send)
        return pb.StatusResponse(
            epoch=self._journal.epoch,
            watermark=self.watermark,
            state=pb.CommandState.Value(f"COMMAND_STATE_{state.upper()}"),
            outcome=outcome,
        )

    async def settle(self) -> pb.SettleResponse:
        """What is still going on, told from the back of the loop's queue.  r[control.settle]"""
        await asyncio.sleep(0)
        return pb.SettleResponse(
            accepted=self._accepted,
            answered=self._answered,
            journal_seq=self._journal.seq,
            runnable=len(asyncio.get_running_loop()._ready),  # there is no public count
            timers=[pb.PendingTimer(name=n, due_ms=due) for n, due in self._timers.pending()],
        )

    def drop(self, scope: str) -> None:
        """A scope is over.  r[control.reset]"""
        for command in self._commands.values():
            if command.scope == scope:
                command.drop()

    def _tombstone(self, command_id: int, highest_send: int) -> None:
        refused = self._tombstones.get(command_id, 0)
        if highest_send <= refused:
            return
        if not refused:
            Machine(COMMAND, command_id, Recorder(self._journal, "")).step("tombstone")
        self._tombstones[command_id] = highest_send
        if len(self._tombstones) > TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    def _evict(self) -> None:
        for command_id in sorted(self._commands)[: max(0, len(self._commands) - KEPT)]:
            if not self._commands[command_id].replied.done():
                return
            del self._commands[command_id]
            self.watermark = command_id


def _said(request: pb.ExecuteRequest) -> bytes:
    """What tells one command from another; the send is no part of it."""
    said = pb.ExecuteRequest.FromString(request.SerializeToString())
    said.ClearField("send")
    return said.SerializeToString(deterministic=True)
