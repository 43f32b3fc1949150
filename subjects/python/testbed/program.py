"""The testbed's one handler: it runs the `Program` inside its request."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from counterpart.testbed.v1 import testbed_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from runtime.channels import EndFailed, ReceivingEnd, SendingEnd
from runtime.domain import Runtime
from runtime.ending import Ending
from runtime.service import Invocation, UserError

_DECLARED = pb.DESCRIPTOR.services_by_name
SERVICES = (_DECLARED["Testbed"], _DECLARED["Durable"])  # offered from the start
U64 = (1 << 64) - 1

# What a method does whose request has no steps. The output is closed at the end of every run.
_NATURAL = {
    "output": lambda request: [pb.Step(emit=pb.Emit(first=request.first, count=request.count))],
    "input": lambda request: [pb.Step(consume=pb.Consume())],
    "input output": lambda request: [pb.Step(forward=pb.Forward())],
    "": lambda request: [],
}


def registration(runtime: Runtime, name: str) -> Callable[[], None] | None:
    """What offers a service of the testbed, by its full name; None if there is no such service.

    It raises Ending where a method is not to be registered (r[retry.channel.persist-forbidden]).
    """
    service = next((known for known in _DECLARED.values() if known.full_name == name), None)

    def register() -> None:
        forbidden = runtime.register(service)
        if forbidden:
            raise Ending("method_forbidden", forbidden)

    return service and register


class Testbed:
    """The handler of one scope. Gates stay open once released."""

    def __init__(self) -> None:
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, invocation: Invocation) -> Message:
        """Run one request; the ends of a crashed run are the runtime's to end."""
        request, run = invocation.request, _Run(self.gates, invocation)
        steps = request.program.steps or _NATURAL[run.shape](request)
        if isinstance(request, pb.EchoMetadataRequest):
            if request.pass_on:
                await invocation.call(invocation.method.name, b"")
            invocation.reply_metadata.extend(invocation.metadata)
        try:
            for step in steps:
                await run.step(step)
        except UserError:
            run.end()
            raise
        run.end()
        known = {"emitted": run.emitted, "sum": run.sum, "count": run.taken}
        known["entries"] = len(invocation.metadata)
        names = [field.name for field in invocation.method.response.fields]
        values = {name: known[name] if name in known else getattr(request, name) for name in names}
        return GetMessageClass(invocation.method.response)(**values)


class _Run:
    """One run of a program: its ends and what it counted."""

    def __init__(self, gates: defaultdict[str, asyncio.Event], invocation: Invocation) -> None:
        ends = invocation.ends.values()
        self._gates = gates
        self._input = next((end for end in ends if isinstance(end, ReceivingEnd)), None)
        self._output = next((end for end in ends if isinstance(end, SendingEnd)), None)
        self.shape = " ".join(["input"] * bool(self._input) + ["output"] * bool(self._output))
        self.emitted = self.taken = self.sum = 0

    async def step(self, step: pb.Step) -> None:
        """Run one step; raises UserError where the program returns one."""
        kind = step.WhichOneof("kind")
        if kind == "emit":
            await self._emit(range(step.emit.first, step.emit.first + step.emit.count))
        elif kind in ("consume", "forward"):
            await self._take(getattr(step, kind).count, forward=kind == "forward")
        elif kind == "wait":
            await self._gates[step.wait.gate].wait()
        elif kind == "fail":
            raise UserError(pb.TestbedError(code=step.fail.code, text=step.fail.text))
        elif kind == "close_output":
            self._output.close()
        elif kind == "reset_input":
            self._input.reset()
        else:
            raise RuntimeError(f"the program says {kind}")

    async def _emit(self, values: range) -> bool:
        try:
            for value in values:
                await self._output.send(pb.Number(value=value & U64).SerializeToString())
                self.emitted += 1
        except EndFailed:
            return False  # the receiver reset: this step is over
        return True

    async def _take(self, count: int, forward: bool) -> None:
        wanted = self.taken + count if count else None
        while self.taken != wanted:
            try:
                value = pb.Number.FromString(await self._input.take()).value
            except EndFailed as failed:
                if failed.status == "closed":
                    return
                raise UserError(pb.TestbedError(code=1001, text="input failed")) from None
            self.taken += 1
            self.sum = (self.sum + value) & U64
            if forward and not await self._emit(range(2 * value, 2 * value + 1)):
                return

    def end(self) -> None:
        """Leave no end open."""
        if self._output is not None:
            self._output.close()
        if self._input is not None:
            self._input.reset()
