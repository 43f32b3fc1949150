"""The callee: operation records, and the executions of handlers.

The record alone decides what an attempt gets (r[retry.resume.reattempt]): the table is
`machines.OPERATION`. That of a persist operation is in the operation store as well, and whoever
names the session that minted its id finds it (r[retry.policy.persist.write-ahead]). An execution
that is fenced (cancelled, or its generation ended) changes nothing more: its ends are dead and its
outcome is discarded (r[strict.rebind.generation]).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf

from runtime import journal, mutants
from runtime.caller import Call
from runtime.channels import ReceivingEnd, SendingEnd
from runtime.lane import Lane
from runtime.machines import OPERATION, Machine
from runtime.operation_store import Key, Stored, digest_of
from runtime.service import ChannelArgument, Invocation, Method, UserError
from runtime.wire import Violation

if TYPE_CHECKING:
    from runtime.session import Session

HANDLERS_PER_SESSION = 1024  # those of lost attachments included
SESSION_ID_BYTES = 16
NO_PROPAGATE = 1 << 1  # a flag of metadata

Ends = dict[int, SendingEnd | ReceivingEnd]


@dataclass(eq=False)
class Execution:
    """One run of a handler. `number` counts the operation's runs from 1."""

    number: int
    request_id: int
    generation: int
    ends: Ends
    task: asyncio.Task[None] | None = None
    started: bool = False
    over: bool = False  # returned, panicked or fenced


@dataclass(eq=False)
class Operation:
    """The record of one operation, minted on one connection. `callee` runs it.

    `origin` is the session that minted the id. `method` is None in what is left of another process
    and does not fit what is asked. `attempts` wait for the outcome, on lanes of now: those of a
    persist operation need not be of the session that runs it.
    """

    operation_id: int
    origin: bytes
    connection_id: int
    method: Method | None
    arguments: bytes
    machine: Machine
    callee: Callee
    # Once sealed: {kind: value}, and the Response's metadata.
    outcome: dict[str, bytes | list[pb.MetadataEntry]] = field(default_factory=dict)
    attempts: set[tuple[Callee, int, int]] = field(default_factory=set)  # connection, request
    executions: int = 0
    execution: Execution | None = None

    @property
    def key(self) -> Key:
        """What names it in every session."""
        return self.origin, self.operation_id


class Callee:
    """All operations the counterpart minted in one session, and what it asked for of others."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._operations: dict[Key, Operation] = {}
        self._expired_below = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Handlers that have not ended."""
        return len(self._tasks)

    # ------------------------------------------------------------ messages

    def request(self, lane: Lane, request: pb.Request) -> None:
        """Admit, attach, replay or refuse one attempt. Raises Violation."""
        connection = lane.connection
        code, rule = pb.PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "rpc.id.monotone"
        connection.requests.see(request.request_id, code, rule, "request")
        if request.operation_id == 0:
            raise Violation(pb.PROTOCOL_ERROR_CODE_MALFORMED, "retry.op-id.scope", "operation_id 0")
        if len(lane.incoming) >= connection.own_limit:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_REQUEST_LIMIT_EXCEEDED,
                "rpc.flow-control.max-concurrent-requests.inbound",
                f"more than {connection.own_limit} requests in flight",
            )
        numbers = [reference.field_number for reference in request.channels]
        if numbers != sorted(set(numbers)):
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_MALFORMED,
                "retry.op-id.payload-binding",
                "channels are not ascending by field number",
            )
        for reference in request.channels:
            code = pb.PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID
            connection.channels.see(reference.channel_id, code, rule, "channel")
        method, origin = self._method(request), request.origin_session
        if origin and (len(origin) != SESSION_ID_BYTES or (method and not method.persist)):
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_MALFORMED,
                "retry.policy.persist.write-ahead",
                f"an origin session that no operation of {request.method} can have",
            )
        self._expire_below(lane, request.settled_below)
        lane.incoming[request.request_id] = None  # counted from here
        self._decide(lane, request)

    def cancel(self, lane: Lane, request_id: int) -> None:
        """r[rpc.cancel.response]"""
        operation = lane.incoming.get(request_id)
        if operation is None and 0 < request_id <= lane.last_older_request:
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_BAD_REQUEST_ID,
                "session.resume.discard",
                f"a cancel of request {request_id}, which is of an older generation",
            )
        if operation is None:
            lane.record(journal.Discard("cancel_request", "rpc.cancel", request_id))
            return
        operation.attempts.discard((self, lane.connection.connection_id, request_id))
        assert operation.method is not None
        if operation.method.persist:  # r[retry.cancel.persist]
            keep = not mutants.active("releases_persist_calls_at_a_cancel")
        else:
            keep = mutants.active("cancel_leaves_it_live")
        if not operation.attempts and operation.machine.allows("release") and not keep:
            operation.machine.step("release")
            self._fence(operation)
            self._abandon(operation.execution.ends if operation.execution else {})
        self._refuse(lane, request_id, pb.RUNTIME_ERROR_CODE_CANCELLED, "cancelled")

    # ------------------------------------------------------------ the session

    def detached(self, lane: Lane) -> None:
        """A generation ended.  r[retry.channel.detach], r[retry.detach.keep]"""
        here = lane.connection.connection_id
        for request_id, operation in lane.incoming.items():
            if operation is not None:
                operation.attempts.discard((self, here, request_id))
        lane.incoming.clear()
        for operation in self._live():
            if operation.method.channels and operation.connection_id == here:
                self._give_up(operation)
        for operation in self._operations.values():
            if operation.connection_id != here:
                continue
            for end in operation.execution.ends.values() if operation.execution else ():
                if isinstance(end, ReceivingEnd):
                    end.forsake()  # its handler is over: nobody takes what was received

    def closed(self, connection_id: int) -> None:
        """What runs for a closed connection stops: nobody can ask for it.  r[connection.close]"""
        for operation in self._live():
            if operation.connection_id == connection_id:
                self._let_go(operation)
                if not operation.method.persist:
                    self._give_up(operation)

    def _give_up(self, operation: Operation) -> None:
        operation.machine.step("release" if operation.method.idem else "lose")
        self._fence(operation)

    def ended(self) -> None:
        """The session is over: only what is persist runs on.

        r[retry.policy.persist.never-released]
        """
        for operation in list(self._operations.values()):
            self._let_go(operation)
            if operation.method.persist:
                continue
            if operation.machine.state == "Live":
                operation.machine.step("lose")
                self._fence(operation)
            del self._operations[operation.key]

    def dropped(self) -> None:
        """The scope is over, and with it what outlived the session."""
        for operation in self._live():
            operation.machine.step("lose")
            self._fence(operation)
        for key in self._operations:
            self._session.runtime.persist.pop(key, None)
        self._operations.clear()

    def _let_go(self, operation: Operation) -> None:
        operation.attempts = {attempt for attempt in operation.attempts if attempt[0] is not self}

    def _live(self) -> list[Operation]:
        return [op for op in self._operations.values() if op.machine.state == "Live"]

    # ------------------------------------------------------------ the decision

    def _decide(self, lane: Lane, request: pb.Request) -> None:
        # Before the method is looked for: r[schema.exchange.required] holds for any.
        bound = lane.tracker.bound(request.method, pb.BINDING_ROLE_ARGUMENTS)
        method = self._method(request)
        if method is None:  # r[rpc.unknown-method]
            for reference in request.channels:
                lane.forget_end(reference.channel_id)
            self._refuse(
                lane,
                request.request_id,
                pb.RUNTIME_ERROR_CODE_INVALID_PAYLOAD
                if mutants.active("unknown_method_as_invalid_payload")
                else pb.RUNTIME_ERROR_CODE_UNKNOWN_METHOD,
                f"no method {request.method}",
            )
            return
        fields = [reference.field_number for reference in request.channels]
        if fields != sorted(channel.field_number for channel in method.channels):
            raise Violation(
                pb.PROTOCOL_ERROR_CODE_MALFORMED,
                "rpc.channel.allocation",
                f"not one channel for each channel field of {method.name}",
            )
        ends = self._make_ends(lane, method, request)
        operation = self._known(method, request)
        refusal = (
            self._mismatch(lane, method, bound.mismatch)
            or self._expired(request)
            or self._conflict(lane, method, request, operation)
        )
        if refusal is not None:
            self._refuse_with_ends(lane, request.request_id, ends, *refusal)
            return
        if operation is None:
            self._admit(lane, method, request, ends)
        elif operation.machine.state == "Live":  # r[retry.duplicate.live.attach]
            operation.machine.step("attach")
            self._abandon(ends)
            self._attach(lane, operation, request.request_id)
            if mutants.active("runs_live_duplicate"):
                operation.executions += 1
                self._execute(operation, _decode(method, request.arguments), request, ends)
        elif operation.machine.state == "Sealed":  # r[retry.duplicate.sealed]
            operation.machine.step("replay")
            self._abandon(ends)  # r[retry.channel.sealed-result]
            self._respond(lane, request.request_id, operation)
        elif method.idem or (
            method.channels and mutants.active("reruns_streams_that_are_not_idem")
        ):  # r[retry.duplicate.released.idem], r[retry.duplicate.indeterminate]
            self._rerun(lane, operation, request, ends)
        else:
            operation.machine.step("refuse")
            self._refuse_with_ends(
                lane,
                request.request_id,
                ends,
                pb.RUNTIME_ERROR_CODE_INDETERMINATE,
                "the operation may have run",
            )

    def _mismatch(self, lane: Lane, method: Method, mismatch: str | None) -> tuple[int, str] | None:
        for channel in method.channels:
            if channel.to_callee and mismatch is None:
                mismatch = lane.tracker.mismatch(
                    method.name, pb.BINDING_ROLE_CHANNEL, channel.field_number
                )
        return None if mismatch is None else (pb.RUNTIME_ERROR_CODE_SCHEMA_MISMATCH, mismatch)

    def _expired(self, request: pb.Request) -> tuple[int, str] | None:
        if self._foreign(request) or request.operation_id >= self._expired_below:
            return None
        return pb.RUNTIME_ERROR_CODE_OPERATION_EXPIRED, f"settled below {self._expired_below}"

    def _conflict(
        self, lane: Lane, method: Method, request: pb.Request, known: Operation | None
    ) -> tuple[int, str] | None:
        """r[retry.op-id.scope]. Connections are of a session: another one's do not count."""
        if known is None:
            return None
        here = known.callee is self and not self._foreign(request)
        if (known.method, known.arguments) == (method, request.arguments) and (
            not here or known.connection_id == lane.connection.connection_id
        ):
            return None
        text = "known on another connection, with another method or other bytes"
        return pb.RUNTIME_ERROR_CODE_OPERATION_CONFLICT, text

    def _expire_below(self, lane: Lane, bound: int) -> None:
        """r[retry.gc.settled-below]"""
        if bound <= self._expired_below:
            return
        self._expired_below = bound
        own = self._session.session_id
        for key in [(origin, known) for origin, known in self._operations if origin == own]:
            operation = self._operations[key]
            if key[1] >= bound or operation.attempts:
                continue  # its attempt is still owed a response; dropped with the next bound
            if operation.machine.state == "Live" and operation.method.persist:
                continue
            if operation.machine.state == "Live":
                operation.machine.step("release")
                self._fence(operation)
                self._abandon(operation.execution.ends if operation.execution else {})
            del self._operations[key]

    # ------------------------------------------------------------ records

    def _method(self, request: pb.Request) -> Method | None:
        return self._session.runtime.methods.get(request.method)

    def _foreign(self, request: pb.Request) -> bool:
        """Was the operation id minted in another session?"""
        return request.origin_session not in (b"", self._session.session_id)

    def _known(self, method: Method, request: pb.Request) -> Operation | None:
        """The record of an operation, wherever it is; None if it is Absent."""
        key = (request.origin_session or self._session.session_id, request.operation_id)
        known = self._operations.get(key)
        if known is None and method.persist:
            known = self._session.runtime.persist.get(key)
        if known is None and self._foreign(request):
            known = self._load(key, method, request)
        return known

    def _load(self, key: Key, method: Method, request: pb.Request) -> Operation | None:
        """What a process before this one left.  r[retry.policy.persist.restart]"""
        stored = self._session.runtime.store.find(key)
        if stored is None or (
            stored.outcome is None and mutants.active("takes_an_open_record_for_none")
        ):
            return None
        same = (stored.method, stored.digest) == (method.name, digest_of(request.arguments))
        operation = self._new_operation(key, 0, method if same else None, request.arguments)
        operation.machine.state = "Indeterminate" if stored.outcome is None else "Sealed"
        operation.executions = stored.executions
        response = pb.Response.FromString(stored.outcome or b"")
        kind = response.WhichOneof("outcome")
        if kind is not None:
            operation.outcome = {kind: getattr(response, kind)}
            operation.outcome["metadata"] = list(response.metadata)
        if same:
            self._keep(operation)
        return operation

    def _new_operation(
        self, key: Key, connection_id: int, method: Method | None, arguments: bytes
    ) -> Operation:
        record = self._session.record
        if key[0] != self._session.session_id:
            record = record.of(key[0])
        machine = Machine(OPERATION, key[1], record)
        return Operation(key[1], key[0], connection_id, method, arguments, machine, self)

    def _keep(self, operation: Operation) -> None:
        """From now on this callee has the record, and runs it."""
        operation.callee._operations.pop(operation.key, None)
        operation.callee = self
        self._operations[operation.key] = operation
        if operation.method is not None and operation.method.persist:
            self._session.runtime.persist[operation.key] = operation

    def _store_admission(self, operation: Operation) -> None:
        """Before the handler starts.  r[retry.policy.persist.write-ahead]"""
        if operation.method.persist:
            digest = digest_of(operation.arguments)
            stored = Stored(operation.method.name, digest, operation.executions)
            self._session.runtime.store.admit(operation.key, stored)

    def _store_outcome(self, operation: Operation) -> None:
        """Before it counts as sealed.  r[retry.policy.persist.durable-seal]"""
        if operation.method.persist and not mutants.active("answers_before_the_outcome_is_stored"):
            outcome = pb.Response(**operation.outcome).SerializeToString()
            self._session.runtime.store.seal(operation.key, outcome)

    # ------------------------------------------------------------ executions

    def _admit(self, lane: Lane, method: Method, request: pb.Request, ends: Ends) -> None:
        refusal = self._unfit(request, ends, method)
        decoded = None if refusal else _decode(method, request.arguments)
        if refusal is None and decoded is None:  # r[rpc.invalid-payload]
            refusal = (pb.RUNTIME_ERROR_CODE_INVALID_PAYLOAD, "undecodable arguments")
        if refusal is not None or decoded is None:
            assert refusal is not None
            self._refuse_with_ends(lane, request.request_id, ends, *refusal)
            return
        key = (request.origin_session or self._session.session_id, request.operation_id)
        here = lane.connection.connection_id
        operation = self._new_operation(key, here, method, request.arguments)
        self._keep(operation)
        self._begin("admit", lane, operation, decoded, request, ends)

    def _begin(
        self,
        event: str,
        lane: Lane,
        operation: Operation,
        decoded: Protobuf,
        request: pb.Request,
        ends: Ends,
    ) -> None:
        operation.executions += 1
        if not mutants.active("starts_handlers_before_their_record"):
            self._store_admission(operation)
        operation.machine.step(event)
        self._attach(lane, operation, request.request_id)
        self._execute(operation, decoded, request, ends)

    def _rerun(self, lane: Lane, operation: Operation, request: pb.Request, ends: Ends) -> None:
        decoded = _decode(operation.method, operation.arguments)
        refusal = self._unfit(request, ends, operation.method)
        if refusal is not None or decoded is None:
            self._refuse_with_ends(
                lane,
                request.request_id,
                ends,
                *(refusal or (pb.RUNTIME_ERROR_CODE_INVALID_PAYLOAD, "undecodable arguments")),
            )
            return
        self._keep(operation)
        self._begin("rerun", lane, operation, decoded, request, ends)

    def _unfit(self, request: pb.Request, ends: Ends, method: Method) -> tuple[int, str] | None:
        if len(self._tasks) >= HANDLERS_PER_SESSION:
            return pb.RUNTIME_ERROR_CODE_RESOURCE_EXHAUSTED, "too many handlers are running"
        if len(ends) != len(method.channels) or len(ends) != len(request.channels):
            return pb.RUNTIME_ERROR_CODE_INVALID_PAYLOAD, "channels do not match the arguments"
        return None

    def _attach(self, lane: Lane, operation: Operation, request_id: int) -> None:
        lane.incoming[request_id] = operation
        operation.attempts.add((self, lane.connection.connection_id, request_id))

    def _execute(
        self, operation: Operation, decoded: Protobuf, request: pb.Request, ends: Ends
    ) -> None:
        execution = Execution(
            operation.executions, request.request_id, self._session.generation, ends
        )
        metadata = tuple(request.metadata)
        if mutants.active("keeps_one_entry_per_key"):
            metadata = tuple({entry.key: entry for entry in metadata}.values())
        operation.execution = execution
        invocation = Invocation(
            method=operation.method,
            request=decoded,
            session_id=operation.origin,
            generation=execution.generation,
            operation_id=operation.operation_id,
            execution=execution.number,
            ends=ends,
            metadata=metadata,
            call=lambda method, arguments: self._call_in_turn(method, arguments, metadata),
        )
        execution.task = asyncio.get_running_loop().create_task(
            self._run(operation, execution, invocation)
        )
        self._tasks.add(execution.task)
        execution.task.add_done_callback(self._tasks.discard)

    async def _call_in_turn(
        self, method: str, arguments: bytes, given: tuple[pb.MetadataEntry, ...]
    ) -> object:
        """What a handler calls, with the metadata it was given.  r[rpc.metadata.no-propagate]"""
        passed_on = [entry for entry in given if not entry.flags & NO_PROPAGATE]
        call = Call(method, arguments, passed_on)
        self._session.caller.start(call)
        return await call.result

    async def _run(
        self, operation: Operation, execution: Execution, invocation: Invocation
    ) -> None:
        if execution.over:
            return
        execution.started = True
        self._journal(operation, execution, "started")
        self._session.runtime.executions.append(
            invocation.session_id, operation.operation_id, execution.number, execution.generation
        )
        for end in execution.ends.values():
            if not end.ended:
                end.bind()
        try:
            value = await self._session.handler(invocation)
            outcome = {"ok": value.SerializeToString()}
            outcome["metadata"] = invocation.reply_metadata
        except UserError as error:  # r[rpc.fallible]
            outcome = {"user_error": error.value.SerializeToString()}
        except asyncio.CancelledError:
            outcome = None
        except Exception:  # whatever a handler raises is its crash, not ours
            outcome = {"user_error": b""} if mutants.active("seals_what_crashed") else None
        if execution.over:
            if outcome is not None:
                self._session.record(
                    journal.Discard("outcome", "strict.rebind.generation", operation.operation_id)
                )
            return
        execution.over = True
        if mutants.active("starts_handlers_before_their_record"):
            self._store_admission(operation)
        if outcome is None:
            self._panicked(operation, execution)
        else:
            self._journal(operation, execution, "returned")
            operation.outcome = outcome
            self._store_outcome(operation)
            operation.machine.step("seal")  # r[retry.seal.only-return]
            for callee, lane, request_id in self._release_attempts(operation):
                callee._respond(lane, request_id, operation)

    def _panicked(self, operation: Operation, execution: Execution) -> None:
        self._journal(operation, execution, "panicked")
        operation.machine.step("lose")
        self._abandon(execution.ends)
        for _, lane, request_id in self._release_attempts(operation):
            self._refuse(
                lane,
                request_id,
                pb.RUNTIME_ERROR_CODE_INDETERMINATE,
                "the handler ended without returning",
            )

    def _fence(self, operation: Operation) -> None:
        """From here on the running handler changes nothing."""
        execution = operation.execution
        if execution is None or execution.over:
            return
        execution.over = True
        if execution.started:
            self._journal(operation, execution, "cancelled")
        if execution.task is not None:
            execution.task.cancel()

    def _journal(self, operation: Operation, execution: Execution, event: str) -> None:
        record = self._session.record
        if operation.origin != self._session.session_id:
            record = record.of(operation.origin)
        record(
            journal.Handler(event, operation.operation_id, execution.request_id, execution.number)
        )

    # ------------------------------------------------------------ answers

    @staticmethod
    def _release_attempts(operation: Operation) -> list[tuple[Callee, Lane, int]]:
        """Who is to be answered, and where."""
        attempts = sorted(operation.attempts, key=lambda attempt: attempt[1:])
        operation.attempts.clear()
        found = []
        for callee, connection_id, request_id in attempts:
            attachment = callee._session.attachment
            assert attachment is not None
            found.append((callee, attachment.lanes[connection_id], request_id))
        return found

    def _respond(self, lane: Lane, request_id: int, operation: Operation) -> None:
        """Send a sealed outcome; the attempt stops counting just before."""
        schema = None
        response = pb.Response(request_id=request_id, **operation.outcome)
        if not lane.out.fits(response=response):  # r[link.limit.announce]
            self._refuse(
                lane,
                request_id,
                pb.RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE,
                "the outcome is larger than the caller accepts",
            )
            return
        schema = lane.announcer.response(operation.method)
        if schema is not None:
            lane.out.commit(schema=schema)
        lane.incoming.pop(request_id, None)
        lane.out.commit(response=response)
        if mutants.active("double_response"):
            lane.out.commit(response=response)

    def _refuse_with_ends(
        self, lane: Lane, request_id: int, ends: Ends, code: int, text: str
    ) -> None:
        self._abandon(ends)
        self._refuse(lane, request_id, code, text)

    @staticmethod
    def _refuse(lane: Lane, request_id: int, code: int, text: str) -> None:
        lane.incoming.pop(request_id, None)
        error = pb.RuntimeError(code=code, text=text[:1024])
        lane.out.commit(response=pb.Response(request_id=request_id, runtime_error=error))

    @staticmethod
    def _abandon(ends: Ends) -> None:
        """r[rpc.channel.abandon]: before the Response, and with a wire message each."""
        for end in ends.values():
            end.abandon()

    def _make_ends(self, lane: Lane, method: Method, request: pb.Request) -> Ends:
        """The callee's ends of the channels named, one for each channel field of the method."""
        declared = {channel.field_number: channel for channel in method.channels}
        ends: Ends = {}
        for reference in request.channels:
            channel = declared[reference.field_number]
            end = self._make_end(lane, method, channel, reference.channel_id)
            lane.add_end(end)
            ends[reference.field_number] = end
        return ends

    @staticmethod
    def _make_end(
        lane: Lane, method: Method, channel: ChannelArgument, channel_id: int
    ) -> SendingEnd | ReceivingEnd:
        def check() -> None:
            lane.tracker.bound(method.name, pb.BINDING_ROLE_CHANNEL, channel.field_number)

        def announce() -> None:
            schema = lane.announcer.items(method, channel.field_number)
            if schema is not None:
                lane.out.commit(schema=schema)

        credit, out, record = channel.initial_credit, lane.out, lane.record
        if channel.to_callee:
            return ReceivingEnd(channel_id, credit, out, record, check)
        return SendingEnd(channel_id, credit, out, record, announce)


def _decode(method: Method, arguments: bytes) -> Protobuf | None:
    request = method.request()
    try:
        request.ParseFromString(arguments)
    except DecodeError:
        return None
    return request
