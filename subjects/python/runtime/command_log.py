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
from typing import Any

from runtime.journal import Journal, Recorder
from runtime.machines import COMMAND, Machine

KEPT = 1024  # at least this many of the newest commands
TOMBSTONES = 1 << 16

Outcome = Any  # opaque here
Run = Callable[[], Awaitable[tuple[bool, Outcome]]]  # (succeeded, outcome)


class NotAccepted(Exception):
    """A refusal: nothing was run. `reason` is TOMBSTONED, CONFLICT, EVICTED, INVALID, …"""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Command:
    """One accepted command. `hold` names the point it stops at, if any."""

    def __init__(self, command_id: int, scope: str, payload: bytes, machine: Machine) -> None:
        loop = asyncio.get_running_loop()
        self.command_id = command_id
        self.scope = scope
        self.payload = payload
        self.machine = machine
        self.recorded: asyncio.Future[Outcome] = loop.create_future()
        self.replied: asyncio.Future[Outcome] = loop.create_future()  # the first send's answer
        self._task: asyncio.Task[None] | None = None

    def start(self, run: Run, hold: str) -> None:
        """Run it, as a task of its own: who asked may go away."""
        self._task = asyncio.get_running_loop().create_task(self._live(run, hold))

    async def _live(self, run: Run, hold: str) -> None:
        await self._hold(hold, "accepted")
        self.machine.step("start")
        await self._hold(hold, "started")
        succeeded, outcome = await run()
        await self._hold(hold, "effect")
        self._record(succeeded, outcome)
        await self._hold(hold, "recorded")
        self._reply()

    @staticmethod
    async def _hold(hold: str, point: str) -> None:
        if hold == point:
            await asyncio.get_running_loop().create_future()  # until dropped, or death

    def _record(self, succeeded: bool, outcome: Outcome) -> None:
        self.machine.step("complete" if succeeded else "fail")
        self.recorded.set_result(outcome)

    def _reply(self) -> None:
        if not self.replied.done():
            self.replied.set_result(self.recorded.result())

    def drop(self, outcome: Outcome) -> None:
        """Its scope is over: whatever it waits for, it waits no longer."""
        if self._task is not None:
            self._task.cancel()
        if not self.recorded.done():
            if self.machine.state == "Accepted":
                self.machine.step("start")
            self._record(False, outcome)
        self._reply()


class CommandLog:
    """Every command of one process that is not evicted."""

    def __init__(self, journal: Journal) -> None:
        self.watermark = 0
        self._journal = journal
        self._commands: dict[int, Command] = {}
        self._tombstones: dict[int, int] = {}  # id → highest refused send

    async def execute(
        self, command_id: int, send: int, scope: str, payload: bytes, hold: str,
        prepare: Callable[[], Run],
    ) -> Outcome:  # fmt: skip
        """Accept and run, or attach to, one command. Raises NotAccepted.

        `payload` identifies what the command says; `prepare` checks it, may raise NotAccepted
        itself, and returns what runs it.
        """
        known = self._commands.get(command_id)
        if known is not None:
            if known.payload != payload:
                raise NotAccepted("CONFLICT", f"command {command_id} is known as another one")
            return await asyncio.shield(known.recorded)
        command = self._accept(command_id, send, scope, payload, hold, prepare)
        return await asyncio.shield(command.replied)

    def _accept(
        self, command_id: int, send: int, scope: str, payload: bytes, hold: str,
        prepare: Callable[[], Run],
    ) -> Command:  # fmt: skip
        if command_id == 0 or send == 0:
            raise NotAccepted("INVALID", "command_id and send start at 1")
        if command_id <= self.watermark:
            raise NotAccepted("EVICTED", f"not above {self.watermark}")
        refused = self._tombstones.get(command_id, 0)
        if send <= refused:
            raise NotAccepted("TOMBSTONED", f"sends up to {refused} were proven unknown")
        run = prepare()
        self._journal.revive(scope)
        machine = Machine(COMMAND, command_id, Recorder(self._journal, scope))
        if self._tombstones.pop(command_id, 0):
            machine.state = "Tombstoned"  # journalled when the Status asked
        machine.step("accept")
        command = Command(command_id, scope, payload, machine)
        self._commands[command_id] = command
        self._evict()
        command.start(run, hold)
        return command

    def status(self, command_id: int, highest_send: int) -> tuple[str, Outcome | None]:
        """The state's name in the command machine, or Evicted; and the recorded outcome."""
        command = self._commands.get(command_id)
        if command is not None:
            return command.machine.state, (
                command.recorded.result() if command.recorded.done() else None
            )
        if command_id <= self.watermark:
            return "Evicted", None
        refused = self._tombstones.get(command_id, 0)
        if highest_send > refused:
            if not refused:
                Machine(COMMAND, command_id, Recorder(self._journal, "")).step("tombstone")
            self._tombstones[command_id] = highest_send
            if len(self._tombstones) > TOMBSTONES:
                del self._tombstones[next(iter(self._tombstones))]
        return "NotAccepted", None

    def drop(self, scope: str, outcome: Outcome) -> None:
        """A scope is over."""
        for command in self._commands.values():
            if command.scope == scope:
                command.drop(outcome)

    def _evict(self) -> None:
        for command_id in sorted(self._commands)[: max(0, len(self._commands) - KEPT)]:
            if not self._commands[command_id].replied.done():
                return
            del self._commands[command_id]
            self.watermark = command_id
