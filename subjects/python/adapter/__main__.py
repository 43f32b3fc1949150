"""Serves the control plane over a gRPC stream, or with `--control stdio` over stdin and stdout."""

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import Callable, Coroutine

import grpc
from counterpart.control.v1 import control_pb2 as pb
from counterpart.control.v1 import control_pb2_grpc

from adapter.control import Control
from runtime import framing, mutants
from runtime.domain import Runtime
from testbed.program import SERVICES

Start = Callable[[Coroutine], asyncio.Task]
FULL_MESSAGE = 1 << 20  # that no further reply joins


async def main() -> None:
    parser = argparse.ArgumentParser(prog="subject", description=__doc__)
    parser.add_argument("--control", choices=("grpc", "stdio"), default="grpc")
    parser.add_argument("--mutant", choices=sorted(mutants.CATALOGUE), default="")
    options = parser.parse_args()
    mutants.activate(options.mutant)
    runtime = Runtime(SERVICES, *map(os.getenv, ("COUNTERPART_EXECUTIONS", "COUNTERPART_STATE")))
    control = Control(runtime, options.mutant)
    serve = serve_grpc if options.control == "grpc" else serve_stdio
    async with asyncio.TaskGroup() as tasks:
        await serve(control, await open_stdin(), tasks.create_task)
        os._exit(0)  # nobody is left to hear of any end


async def open_stdin() -> asyncio.StreamReader:
    """Standard input, as a stream; what is neither pipe, socket nor terminal has ended."""
    stream, mode = asyncio.StreamReader(limit=1 << 20), os.fstat(0).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0):
        connect = asyncio.get_running_loop().connect_read_pipe
        await connect(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin)
    else:
        stream.feed_eof()
    return stream


async def serve_grpc(control: Control, stdin: asyncio.StreamReader, start: Start) -> None:
    """Until stdin ends; what is answered while a message is on its way goes with the next.

    r[control.stream]
    """
    token = os.environ.get("COUNTERPART_TOKEN", "")

    async def converse(_, requests, context) -> None:
        if dict(context.invocation_metadata()).get("counterpart-token") != token:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "counterpart-token")
        replies = asyncio.Queue()

        async def write() -> None:
            while True:
                said = pb.ConverseResponse(replies=[await replies.get()])
                while not replies.empty() and said.ByteSize() < FULL_MESSAGE:
                    said.replies.append(replies.get_nowait())
                await context.write(said)

        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write())
            async for asked in requests:
                for request in asked.requests:
                    start(answer(control, request, replies.put_nowait))
            writing.cancel()

    servicer = type("Servicer", (), {"Converse": converse})()
    options = {"max_receive_message_length": -1, "so_reuseport": 0}
    options["server_max_unrequested_time_in_server"] = 1 << 20  # s; it may get no time for long
    server = grpc.aio.server(options=[(f"grpc.{name}", value) for name, value in options.items()])
    control_pb2_grpc.add_SubjectStreamServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"counterpart-subject 1 grpc-stream 127.0.0.1:{port}", flush=True)
    while await stdin.read(1 << 16):
        pass


async def serve_stdio(control: Control, stdin: asyncio.StreamReader, start: Start) -> None:
    """Until the request stream ends; replies in the order they come to be known."""
    print("counterpart-subject 1 stdio", flush=True)

    def say(reply: pb.ControlReply) -> None:
        sys.stdout.buffer.write(framing.encode(reply.SerializeToString()))
        sys.stdout.buffer.flush()

    decoder = framing.Decoder(64 << 20)
    while data := await stdin.read(1 << 16):
        decoder.feed(data)
        while (payload := decoder.next()) is not None:
            start(answer(control, pb.ControlRequest.FromString(payload), say))


async def answer(control: Control, request: pb.ControlRequest, say: Callable) -> None:
    """Say the reply to one request once it is known."""
    kind = request.WhichOneof("kind")
    reply = await control.answer(kind, getattr(request, kind))
    say(pb.ControlReply(id=mutants.id_of_reply(request), **{kind: reply}))


asyncio.run(main())
