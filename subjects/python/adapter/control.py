"""The service `Subject`, whichever transport brings its requests."""

from dataclasses import asdict

from counterpart.control.v1 import control_pb2 as pb
from google.protobuf.message import Message

from adapter.commands import CAPABILITIES, Scope
from runtime import journal_encoding
from runtime.command_log import CommandLog
from runtime.domain import Runtime


class Control:
    """What all scopes of the process are asked."""

    def __init__(self, runtime: Runtime, mutant: str) -> None:
        self._runtime, self._mutant = runtime, mutant
        self._log = CommandLog(runtime.journal, runtime.timers)
        self._scopes: dict[str, Scope] = {}

    async def answer(self, method: str, request: Message) -> Message:
        """The reply to a request of that method, by its name in lower case."""
        match method:
            case "describe":
                return self._describe()
            case "execute":
                return await self._log.execute(
                    request, lambda: self._scope(request.scope).prepare(request)
                )
            case "status":
                return self._log.status(request)
            case "journal":
                return journal_encoding.read(self._runtime.journal, request)
            case "settle":
                return await self._log.settle()
            case "reset":
                return self._reset(request.scope)
        raise ValueError(method)

    def _describe(self) -> pb.DescribeResponse:
        who = {"name": "python", "version": "1", "language": "python", "mutant": self._mutant}
        epoch = self._runtime.journal.epoch
        return pb.DescribeResponse(**who, capabilities=CAPABILITIES, epoch=epoch)

    def _reset(self, name: str) -> pb.ResetResponse:
        scope = self._scope(name)
        counts = asdict(scope.domain.counts())
        self._log.drop(name)
        scope.domain.drop()
        del self._scopes[name]
        self._runtime.journal.retire(name)
        return pb.ResetResponse(**counts)

    def _scope(self, name: str) -> Scope:
        if name not in self._scopes:
            self._scopes[name] = Scope(self._runtime, name)
        return self._scopes[name]
