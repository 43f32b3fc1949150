#!/usr/bin/env python3
"""A `counterpart serve` that runs nothing: it answers from the tables below.

FAKE_LOG names a file that gets one line per Run: the process id and the patterns. FAKE_MODE is
empty, or what goes wrong: `no-start`, `odd-line`, `dies` (while it runs), `cut` (no footer).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "build" / "python"))

import grpc
from counterpart.report.v1 import report_pb2 as report
from counterpart.runner.v1 import runner_pb2 as runner
from counterpart.runner.v1 import runner_pb2_grpc

MODE = os.environ.get("FAKE_MODE", "")

# Not sorted, and its ids share prefixes.
CELLS = {
    "lang_b_transport_tcp::direction_harness_to_subject::flaky": "flaky",
    "lang_a_transport_tcp::direction_harness_to_subject::passes": "pass",
    "lang_a_transport_tcp::direction_harness_to_subject::fails": "fail",
    "lang_a_transport_tcp_conduit_stable::direction_harness_to_subject::passes": "pass",
    "lang_a_transport_tcp::direction_subject_to_harness::unsupported": "unsupported",
    "lang_a_transport_tcp::direction_subject_to_harness::not_judged": "inconclusive",
}


def red(one: report.Exec) -> report.Exec:
    """Make it a failure with all that comes with one."""
    one.verdict = report.VERDICT_FAIL
    one.rule = "rpc.channel.lifecycle"
    one.reason = "the subject closed channel 4 a second time"
    one.signature = "rpc.channel.lifecycle at Close #2"
    one.subject_stderr = "first line\nlast words \x1b[31m"
    one.replay = f"counterpart replay traces/{one.ordinal}.jsonl"
    one.redrive = "counterpart run --run-seed 7"
    one.timeline.add(
        index=1, time_us=1500, side=report.TRACE_SIDE_SUBJECT, edge="s1.g1.link1", text="Close #2"
    )
    return one


def execs_of(cell: str, runs: int) -> Iterator[report.Exec]:
    """Give the runs of one cell."""
    kind = CELLS[cell]
    for ordinal in range(runs):
        one = report.Exec(id=f"{cell}#{ordinal}", cell=cell, seed=7, ordinal=ordinal)
        one.verdict = report.VERDICT_PASS
        if kind == "unsupported":
            one.verdict = report.VERDICT_NONE
            one.ending = report.ENDING_UNSUPPORTED
            one.reason = "it does not declare 'resume'"
            yield one
            return
        if kind == "inconclusive":
            one.verdict = report.VERDICT_INCONCLUSIVE
            one.reason = "the fixpoint could not be read"
        if kind == "fail" or (kind == "flaky" and ordinal % 3 == 1):
            red(one)
        yield one


class Runner(runner_pb2_grpc.RunnerServicer):
    """Answers from the tables."""

    def List(self, request, context):  # noqa: N802
        """List all cells."""
        cells = [runner.ListedCell(id=cell) for cell in CELLS]
        return runner.ListResponse(cells=cells)

    def Run(self, request, context):  # noqa: N802
        """Stream the lines of a run."""
        with Path(os.environ["FAKE_LOG"]).open("a") as log:
            log.write(f"{os.getpid()} {' '.join(request.patterns)}\n")
        header = report.Header(format=1, seed=request.seed)
        header.rules.add(id="rpc.channel.lifecycle", text="A channel MUST be closed at most once.")
        yield runner.RunResponse(line=report.Line(header=header))
        for number, cell in enumerate(request.patterns):
            if MODE == "dies" and number == 1:
                print("assertion failed: the fake is tired", file=sys.stderr, flush=True)
                os._exit(70)
            if MODE == "cut" and number == 1:
                return
            for one in execs_of(cell, request.runs or 1):
                yield runner.RunResponse(line=report.Line(exec=one))
        footer = report.Footer(planned=len(request.patterns), accounted=len(request.patterns))
        yield runner.RunResponse(line=report.Line(footer=footer))


def main() -> int:
    """Serve until stdin closes."""
    if MODE == "no-start":
        print("subjects.yaml:3:5: a subject needs an id", file=sys.stderr)
        return 2
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    runner_pb2_grpc.add_RunnerServicer_to_server(Runner(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("hello" if MODE == "odd-line" else f"counterpart serve 127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
