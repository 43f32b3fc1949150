"""The service `Subject`, whichever transport brings its requests."""

import asyncio
from dataclasses import asdict

from counterpart.control.v1 import control_pb2 as pb

from adapter.commands import CAPABILITIES, Scope, failed
from runtime.command_log import CommandLog, NotAccepted
from runtime.domain import Runtime
from runtime.journal import Event

HOLDS = {pb.HoldAt.Value(f"HOLD_AT_{name}"): name.lower()
          for name in ("ACCEPTED", "STARTED", "EFFECT", "RECORDED")}  # fmt: skip


class Control:
    """Answers every method of the service; `scopes` by name."""

    def __init__(self, runtime: Runtime, mutant: str) -> None:
        self._runtime, self._journal, self._mutant = runtime, runtime.journal, mutant
        self._log, self._scopes = CommandLog(runtime.journal), {}
        self._accepted = self._answered = 0

    async def describe(self, request: pb.DescribeRequest) -> pb.DescribeResponse:
        who = {"name": "python", "version": "1", "language": "python", "mutant": self._mutant}
        epoch = self._journal.epoch
        return pb.DescribeResponse(**who, capabilities=CAPABILITIES, epoch=epoch)

    async def execute(self, request: pb.ExecuteRequest) -> pb.ExecuteResponse:
        self._accepted += 1
        try:
            said = pb.ExecuteRequest.FromString(request.SerializeToString())
            said.ClearField("send")
            outcome = await self._log.execute(
                request.command_id, request.send, request.scope,
                said.SerializeToString(deterministic=True), HOLDS.get(request.hold_at, ""),
                lambda: self._scope(request.scope).prepare(request),
            )  # fmt: skip
            return pb.ExecuteResponse(outcome=outcome)
        except NotAccepted as refusal:
            reason = pb.RefusalReason.Value(f"REFUSAL_REASON_{refusal.reason}")
            return pb.ExecuteResponse(refusal=pb.Refusal(reason=reason, text=str(refusal)))
        finally:
            self._answered += 1

    async def status(self, request: pb.StatusRequest) -> pb.StatusResponse:
        state, outcome = self._log.status(request.command_id, request.highest_send)
        name = "NOT_ACCEPTED" if state == "NotAccepted" else state.upper()
        return pb.StatusResponse(
            epoch=self._journal.epoch, watermark=self._log.watermark, outcome=outcome,
            state=pb.CommandState.Value(f"COMMAND_STATE_{name}"),
        )  # fmt: skip

    async def journal(self, request: pb.JournalRequest) -> pb.JournalResponse:
        events, gap = self._journal.read(request.scope, request.after_seq)
        return pb.JournalResponse(epoch=self._journal.epoch, events=map(_event, events), gap=gap)

    async def settle(self, request: pb.SettleRequest) -> pb.SettleResponse:
        await asyncio.sleep(0)  # to the back of the loop's queue
        runnable = len(asyncio.get_running_loop()._ready)  # there is no public count
        timers = [pb.PendingTimer(name=n, due_ms=due) for n, due in self._runtime.timers.pending()]
        return pb.SettleResponse(
            accepted=self._accepted, answered=self._answered, journal_seq=self._journal.seq,
            runnable=runnable, timers=timers,
        )  # fmt: skip

    async def reset(self, request: pb.ResetRequest) -> pb.ResetResponse:
        scope = self._scopes.pop(request.scope, None)
        counts = asdict(scope.counts()) if scope else {}
        self._log.drop(request.scope, failed("DROPPED", "its scope was reset"))
        if scope:
            scope.drop()
        self._journal.retire(request.scope)
        return pb.ResetResponse(**counts)

    def close(self) -> None:
        """End everything without a word, before the process ends."""
        for scope in self._scopes.values():
            scope.drop()

    def _scope(self, name: str) -> Scope:
        if name not in self._scopes:
            self._scopes[name] = Scope(self._runtime, name)
        return self._scopes[name]


def _event(event: Event) -> pb.JournalEvent:
    """A journal event as the control plane says it: same names, enums by name."""
    values, name = asdict(event.body), type(event.body).__name__
    if name == "Transition":
        values["machine"] = pb.Machine.Value(f"MACHINE_{values['machine'].upper()}")
    elif name == "Handler":
        values["event"] = pb.HandlerEvent.Value(f"HANDLER_EVENT_{values['event'].upper()}")
    kind = "planned_delay" if name == "PlannedDelay" else name.lower()
    said = pb.JournalEvent(**{kind: getattr(pb, name)(**values)})
    said.seq, said.session_id, said.generation = event.seq, event.session_id, event.generation
    return said
