"""The least a runtime can be: one call answered over one link, as its harness sees it.

    PYTHONPATH=build/python python spec/guide/first_cell.py

The end of the first hour of README.md: `rpc_echo_roundtrip`, called by the harness, is green. There
is nothing here for what no rule of that cell needs; each place where a runtime goes on from here
names the rule it has to look at.
"""

from __future__ import annotations

import os
import pathlib
import re
import secrets
import socket
import struct
import sys
import threading

from counterpart.control.v1 import control_pb2 as control
from counterpart.testbed.v1 import testbed_pb2 as testbed
from counterpart.wire.v1 import wire_pb2 as wire

METHOD = "counterpart.testbed.v1.Testbed/Echo"
CAPABILITIES = ("bare", "root_calls", "acceptor", "schemas")
VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "schema_ids.yaml"


def type_id(full_name: str) -> int:
    """Read from the vectors. The second exercise is to compute it: r[schema.type-id.canonical]."""
    text = VECTORS.read_text(encoding="utf-8")
    return int(re.search(rf"^- type: {re.escape(full_name)}\n  id: '(\w+)'", text, re.M)[1], 16)


def describe(message) -> wire.TypeSchema:
    """A flat message in the terms of the wire: r[schema.type-id.canonical]."""
    fields = [
        wire.FieldSchema(
            number=field.number,
            name=field.name,
            cardinality=wire.CARDINALITY_IMPLICIT,
            kind=field.type,
        )
        for field in sorted(message.fields, key=lambda field: field.number)
    ]
    name = message.full_name
    body = wire.MessageSchema(fields=fields)
    return wire.TypeSchema(type_id=type_id(name), full_name=name, message=body)


def response_schema() -> wire.Schema:
    """What answers to Echo look like, to be said before the first: r[schema.tracking.sender]."""
    ok, error = testbed.EchoResponse.DESCRIPTOR, testbed.TestbedError.DESCRIPTOR
    binding = wire.Binding(
        method=METHOD,
        role=wire.BINDING_ROLE_RESPONSE,
        type_id=type_id(ok.full_name),
        error_type_id=type_id(error.full_name),
    )
    return wire.Schema(types=[describe(ok), describe(error)], bindings=[binding])


class Link:
    """Payloads over a byte stream: u32 little-endian length, then the bytes: r[link.message]."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def read(self) -> bytes | None:
        """The next payload; None at the end of the stream."""
        head = self._exactly(4)
        return None if head is None else self._exactly(struct.unpack("<I", head)[0])

    def _exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            more = self._stream.recv(count - len(data))
            if not more:
                return None
            data += more
        return data

    def write(self, message) -> None:
        """One message, whole."""
        payload = message.SerializeToString()
        self._stream.sendall(struct.pack("<I", len(payload)) + payload)


class Session:
    """One session over one link. A runtime goes on here with r[session.outlives-conduit]."""

    def __init__(self, subject: Subject, scope: str, link: Link, limit: int) -> None:
        self._subject, self._scope, self._link, self._limit = subject, scope, link, limit
        self._id = secrets.token_bytes(16)
        self._announced = False

    def run(self) -> None:
        """Prologue, handshake, messages, until the end: r[session.handshake]."""
        if not wire.Prologue.FromString(self._link.read()).HasField("hello"):
            return  # and here with r[transport.prologue.no-fallback]
        self._link.write(wire.Prologue(accept=wire.TransportAccept()))
        hello = wire.Handshake.FromString(self._link.read()).hello
        answer = wire.HelloYourself(
            settings=wire.Settings(max_concurrent_requests=self._limit),
            protocol_schema=hello.protocol_schema,  # and here with r[session.handshake.sorry]
            session_id=self._id,
        )
        self._link.write(wire.Handshake(hello_yourself=answer))
        if not wire.Handshake.FromString(self._link.read()).HasField("lets_go"):
            return
        while payload := self._link.read():
            message = wire.Message.FromString(payload)
            kind = message.WhichOneof("payload")
            self._journal(False, kind, message)
            if kind == "request":
                self._answer(message.request)
            elif kind == "ping":  # r[session.keepalive]
                self._send(wire.Message(pong=wire.Pong(nonce=message.ping.nonce)))
            elif kind == "goodbye":  # r[session.goodbye]
                self._send(wire.Message(goodbye=wire.Goodbye()))
                return

    def _answer(self, request: wire.Request) -> None:
        if request.method != METHOD:  # r[rpc.unknown-method]
            error = wire.RuntimeError(code=wire.RUNTIME_ERROR_CODE_UNKNOWN_METHOD)
            return self._respond(request, runtime_error=error)
        if not self._announced:
            self._announced = True
            self._send(wire.Message(schema=response_schema()))
        asked = testbed.EchoRequest.FromString(request.arguments)
        self._subject.count_execution(self._id, request.operation_id)
        given = testbed.EchoResponse(text=asked.text, padding=asked.padding)
        return self._respond(request, ok=given.SerializeToString())

    def _respond(self, request: wire.Request, **outcome) -> None:
        response = wire.Response(request_id=request.request_id, **outcome)
        self._send(wire.Message(response=response))

    def _send(self, message: wire.Message) -> None:
        self._journal(True, message.WhichOneof("payload"), message)
        self._link.write(message)

    def _journal(self, sent: bool, kind: str, message: wire.Message) -> None:
        """Before the frame that shows it: r[control.journal.write-ahead]."""
        payload = getattr(message, kind)
        key = getattr(payload, "request_id", 0) or getattr(payload, "nonce", 0)
        frame = control.Frame(sent=sent, kind=kind, id=key)
        self._subject.journal(self._scope, self._id, frame)


class Subject:
    """The control plane over standard input and output: r[control.stdio]."""

    def __init__(self) -> None:
        self._epoch = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._events: dict[str, list[control.JournalEvent]] = {}
        self._listeners: dict[str, list[socket.socket]] = {}
        self._seq = self._accepted = 0

    def journal(self, scope: str, session: bytes, frame: control.Frame) -> None:
        """One more event, in one order over all scopes."""
        with self._lock:
            self._seq += 1
            event = control.JournalEvent(
                seq=self._seq, session_id=session, generation=1, frame=frame
            )
            self._events.setdefault(scope, []).append(event)

    def count_execution(self, session: bytes, operation: int) -> None:
        """One line by one write, before the effect: r[control.journal.executions]."""
        line = f"{session.hex()} {operation} 1 1\n".encode()
        log = os.open(os.environ["COUNTERPART_EXECUTIONS"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(log, line)
        os.close(log)

    def serve(self) -> None:
        """Until standard input ends: r[control.start]."""
        sys.stdout.buffer.write(b"counterpart-subject 1 stdio\n")
        sys.stdout.buffer.flush()
        while len(head := sys.stdin.buffer.read(4)) == 4:
            request = control.ControlRequest.FromString(
                sys.stdin.buffer.read(struct.unpack("<I", head)[0])
            )
            reply = control.ControlReply(id=request.id)
            kind = request.WhichOneof("kind")
            getattr(reply, kind).CopyFrom(getattr(self, "_" + kind)(getattr(request, kind)))
            data = reply.SerializeToString()
            sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
            sys.stdout.buffer.flush()

    def _describe(self, _) -> control.DescribeResponse:
        return control.DescribeResponse(
            name="first-cell",
            version="1",
            language="Python",
            capabilities=CAPABILITIES,
            epoch=self._epoch,
        )

    def _execute(self, request: control.ExecuteRequest) -> control.ExecuteResponse:
        self._accepted += 1
        if not request.HasField("listen"):  # and here with r[control.lifecycle]
            refusal = control.Refusal(reason=control.REFUSAL_REASON_UNSUPPORTED)
            return control.ExecuteResponse(refusal=refusal)
        listener = socket.create_server((request.listen.host, request.listen.port))
        self._listeners.setdefault(request.scope, []).append(listener)
        limit = request.listen.max_concurrent_requests
        arguments = (request.scope, listener, limit)
        threading.Thread(target=self._accept, args=arguments, daemon=True).start()
        listening = control.Listening(port=listener.getsockname()[1])
        return control.ExecuteResponse(outcome=control.Outcome(listening=listening))

    def _accept(self, scope: str, listener: socket.socket, limit: int) -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return  # its scope was reset
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with stream:
                Session(self, scope, Link(stream), limit).run()

    def _status(self, _) -> control.StatusResponse:
        state = control.COMMAND_STATE_NOT_ACCEPTED
        return control.StatusResponse(epoch=self._epoch, state=state)

    def _journal(self, request: control.JournalRequest) -> control.JournalResponse:
        with self._lock:
            events = [e for e in self._events.get(request.scope, []) if e.seq > request.after_seq]
        return control.JournalResponse(epoch=self._epoch, events=events)

    def _settle(self, _) -> control.SettleResponse:
        return control.SettleResponse(
            accepted=self._accepted, answered=self._accepted, journal_seq=self._seq
        )

    def _reset(self, request: control.ResetRequest) -> control.ResetResponse:
        listeners = self._listeners.pop(request.scope, [])
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        self._events.pop(request.scope, None)
        return control.ResetResponse(listeners=len(listeners))


if __name__ == "__main__":
    Subject().serve()
