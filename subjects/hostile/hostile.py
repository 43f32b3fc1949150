"""Subjects that misbehave, one per mode: what the harness must survive and name.

    python subjects/hostile/hostile.py MODE

Speaks as much of the control plane over stdin and stdout as it takes to be run: Describe, Settle,
Listen. Everything is done on purpose; nothing here is an example. Needs the generated protos
(build/python) on the path.

Before it serves:
    exits           says why on stderr, exit 3
    hangs           says nothing and waits
    garbage         says something else than where it serves
    half_a_line     begins to say it
    spins_at_start  computes for ever
    floods_stderr   writes to stderr for ever
    floods_stdout   writes to stdout for ever, without an end of line

Instead of a control plane:
    deaf            never answers
    control_huge    announces a control message of 4 GiB
    control_garbage answers with something else
    control_flood   answers questions that nobody asked, for ever

Once the harness has connected to it:
    never_reads     does nothing
    wire_huge       announces a payload of 4 GiB
    wire_no_text    sends a refusal whose text is no UTF-8
    wire_flood      sends payloads of a MiB for ever
    spins           computes for ever
    stops           stops itself by SIGSTOP
    killed          kills itself with SIGKILL
    forks           starts a child, and one outside its session; then does nothing
    settles_never   answers Describe and Listen, and nothing any more

All the time:
    listens_anywhere listens at 127.0.0.1, wherever it was told to
    settles_falsely says that work of it is runnable, and rests
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import threading

from counterpart.control.v1 import control_pb2
from counterpart.wire.v1 import wire_pb2

HUGE = struct.pack("<I", 0xFFFFFFFF)
START_LINE = b"counterpart-subject 1 stdio\n"


def say(data: bytes) -> None:
    """Write all of it to stdout."""
    while data:
        data = data[os.write(1, data) :]


def wait_for_ever() -> None:
    """Do nothing."""
    while True:
        signal.pause()


def spin() -> None:
    """Compute."""
    while True:
        pass


def flood(fd: int, data: bytes) -> None:
    """Write the same for ever."""
    while True:
        os.write(fd, data)


def fork_twice() -> None:
    """Leave a child in our group, and one of nobody's."""
    if os.fork() == 0:
        wait_for_ever()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            wait_for_ever()
        os._exit(0)
    os.wait()


def on_link(mode: str, link: socket.socket) -> None:
    """What a mode does to a link of the harness's."""
    if mode == "wire_huge":
        link.sendall(HUGE)
    elif mode == "wire_no_text":
        # Prologue{reject{text}}: the harness reads it as any other, and it is none.
        refusal = wire_pb2.Prologue(reject=wire_pb2.TransportReject(text="text"))
        payload = refusal.SerializeToString().replace(b"text", b"\xff\xfe\xfd\xfc")
        link.sendall(struct.pack("<I", len(payload)) + payload)
    elif mode == "wire_flood":
        frame = struct.pack("<I", 1 << 20) + bytes(1 << 20)
        try:
            while True:
                link.sendall(frame)
        except OSError:
            return
    elif mode == "stops":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif mode == "spins":
        spin()
    elif mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "forks":
        fork_twice()


def listen(mode: str, host: str, port: int) -> int:
    """Accept links there, for ever."""
    if mode == "listens_anywhere":
        host, port = "127.0.0.1", 0
    listener = socket.create_server((host, port))
    links = []

    def accept() -> None:
        while True:
            link, _ = listener.accept()
            links.append(link)
            on_link(mode, link)

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def serve(mode: str) -> None:
    """Answer what is asked on stdin."""
    accepted = 0
    while header := sys.stdin.buffer.read(4):
        (size,) = struct.unpack("<I", header)
        request = control_pb2.ControlRequest.FromString(sys.stdin.buffer.read(size))
        reply = control_pb2.ControlReply(id=request.id)
        kind = request.WhichOneof("kind")
        if kind == "describe":
            reply.describe.name = "hostile"
            reply.describe.language = "Python"
            reply.describe.capabilities.extend(["bare", "root_calls"])
            reply.describe.epoch = os.urandom(16)
        elif mode == "settles_never" and kind != "execute":
            continue
        elif kind == "execute":
            accepted += 1
            if request.execute.HasField("listen"):
                there = request.execute.listen
                reply.execute.outcome.listening.port = listen(mode, there.host, there.port)
            else:
                reply.execute.outcome.done.SetInParent()
        elif kind == "settle":
            reply.settle.accepted = reply.settle.answered = accepted
            reply.settle.runnable = 1 if mode == "settles_falsely" else 0
        else:
            getattr(reply, kind).SetInParent()
        body = reply.SerializeToString()
        say(struct.pack("<I", len(body)) + body)


def main(mode: str) -> None:
    """Misbehave as `mode` says."""
    if mode == "exits":
        print("no configuration file", file=sys.stderr)
        sys.exit(3)
    before = {
        "hangs": wait_for_ever,
        "garbage": lambda: (say(b"\x00\xff listening on port 80\n"), wait_for_ever()),
        "half_a_line": lambda: (say(START_LINE[:10]), wait_for_ever()),
        "spins_at_start": spin,
        "floods_stderr": lambda: flood(2, b"x" * 4096),
        "floods_stdout": lambda: flood(1, b"x" * 4096),
    }
    instead = {
        "deaf": wait_for_ever,
        "control_huge": lambda: (say(HUGE), wait_for_ever()),
        "control_garbage": lambda: (say(b"\x04\x00\x00\x00\xff\xff\xff\xff"), wait_for_ever()),
        "control_flood": lambda: flood(1, b"\x02\x00\x00\x00\x08\x7f" * 512),
    }
    if mode in before:
        before[mode]()
    say(START_LINE)
    if mode in instead:
        instead[mode]()
    serve(mode)


if __name__ == "__main__":
    main(sys.argv[1])
