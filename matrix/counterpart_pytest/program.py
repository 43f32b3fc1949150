"""The program `counterpart serve` as a child process, and its Runner service.

It serves until its stdin closes, so it cannot outlive the process that holds this object.
"""

from __future__ import annotations

import re
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc
    from counterpart.report.v1 import report_pb2
    from counterpart.runner.v1 import runner_pb2

ROOT = Path(__file__).resolve().parents[2]
START_LINE = re.compile(rb"counterpart serve (127\.0\.0\.1:\d+)\n")
# Backstops against a program that hangs; nothing waits for them otherwise.
START_SECONDS = 60.0
STOP_SECONDS = 20.0
STDERR_TAIL = 4000


class ProgramError(Exception):
    """The program could not be started, refused, or died; the text says which."""


def add_generated_modules() -> None:
    """Make the modules generated from spec/proto importable."""
    generator = ROOT / "scripts" / "generate-python-protos"
    done = subprocess.run([generator], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramError(f"{generator.name} failed:\n{done.stderr.strip()}")
    folder = str(ROOT / "build" / "python")
    if folder not in sys.path:
        sys.path.append(folder)


class Program:
    """One `counterpart serve`: started by the constructor, ended by close()."""

    def __init__(self, program: Path, subjects: Path) -> None:
        """Start it and wait until it says where it serves. Raises ProgramError."""
        if not program.is_file():
            raise ProgramError(
                f"there is no program {program}; scripts/build builds it, --counterpart names "
                "another"
            )
        add_generated_modules()
        self._command = [str(program), "serve", "--port", "0", "--subjects", str(subjects)]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                cwd=ROOT,
            )
        except OSError as error:
            self._stderr.close()
            raise ProgramError(f"cannot start {program}: {error.strerror}") from error
        try:
            address = self._read_start_line()
        except ProgramError:
            self.close()
            raise
        # Later output must not fill the pipe and stop the program.
        threading.Thread(target=self._drain, daemon=True).start()

        import grpc
        from counterpart.runner.v1 import runner_pb2, runner_pb2_grpc

        self._grpc = grpc
        self._messages = runner_pb2
        self._channel = grpc.insecure_channel(
            address,
            # A red run brings its whole timeline.
            options=[("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)],
        )
        self._runner = runner_pb2_grpc.RunnerStub(self._channel)

    def list_cells(self) -> list[runner_pb2.ListedCell]:
        """All cells, sorted by id: xdist needs the same order in every worker."""
        try:
            response = self._runner.List(self._messages.ListRequest())
        except self._grpc.RpcError as error:
            raise self._failed("listing the cells", error) from error
        return sorted(response.cells, key=lambda cell: cell.id)

    def run(self, cells: list[str], runs: int, seed: int) -> RunStream:
        """Run these cells; the lines come as they are written."""
        request = self._messages.RunRequest(patterns=cells, runs=runs, seed=seed)
        return RunStream(self, self._runner.Run(request))

    def close(self) -> None:
        """End the program, running or not, and reap it."""
        if hasattr(self, "_channel"):
            self._channel.close()
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._stderr.closed:
            self._stderr.close()

    def _read_start_line(self) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        line = b""
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ProgramError(
                        f"{self._name()} did not say where it serves in {START_SECONDS:.0f} s"
                        + self._stderr_text()
                    )
                byte = stdout.read1(1)  # type: ignore[union-attr]
                if not byte:
                    raise ProgramError(
                        f"{self._name()} ended before it served ({self._exit_text()})"
                        + self._stderr_text()
                    )
                line += byte
        match = START_LINE.fullmatch(line)
        if not match:
            raise ProgramError(f"{self._name()} started with an unexpected line: {line!r}")
        return match[1].decode()

    def _drain(self) -> None:
        assert self._process.stdout is not None
        while self._process.stdout.read1(65536):  # type: ignore[union-attr]
            pass

    def _failed(self, doing: str, error: grpc.RpcError) -> ProgramError:
        """Word an RPC error, with what became of the program."""
        code = error.code()
        if code == self._grpc.StatusCode.INVALID_ARGUMENT:
            return ProgramError(f"{self._name()}: {error.details()}")
        text = f"{doing}: {self._name()} answered {code.name}: {error.details()}"
        if code == self._grpc.StatusCode.UNAVAILABLE:
            # The connection is gone, so the process is going: what it exits with says more.
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                text = f"{doing}: the connection to {self._name()} broke, which still runs"
            else:
                text = f"{doing}: {self._name()} died ({self._exit_text()})"
        return ProgramError(text + self._stderr_text())

    def _name(self) -> str:
        return f"`{Path(self._command[0]).name} serve`"

    def _exit_text(self) -> str:
        code = self._process.wait(STOP_SECONDS)
        return f"signal {-code}" if code < 0 else f"exit {code}"

    def _stderr_text(self) -> str:
        size = self._stderr.seek(0, 2)
        self._stderr.seek(max(0, size - STDERR_TAIL))
        text = self._stderr.read().decode(errors="replace").strip()
        return f"; it said:\n{text}" if text else ""


class RunStream:
    """The lines of one run; iterating raises ProgramError if the program fails."""

    def __init__(self, program: Program, call: grpc.Call) -> None:
        self._program = program
        self._call = call

    def __iter__(self) -> Iterator[report_pb2.Line]:
        try:
            for response in self._call:
                yield response.line
        except self._program._grpc.RpcError as error:
            raise self._program._failed("running the cells", error) from error

    def cancel(self) -> None:
        """Stop the run."""
        self._call.cancel()
