"""Wrong input on the command line, as a user would type it: one sentence that says what to do.

Over the built program. Also what ends `serve`: Ctrl-C, and a client that goes away in a run.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

ROOT = Path(__file__).resolve().parents[2]
# The environment names another, for example one built with a sanitizer.
PROGRAM = Path(os.environ.get("COUNTERPART_PROGRAM", ROOT / "build/harness/counterpart"))
SUBJECTS = ROOT / "matrix/subjects.yaml"
STDIO_SUBJECT = f"python={ROOT}/subjects/python/subject --control stdio"
CELL = "**::direction_harness_to_subject::rpc_echo_roundtrip"
# So that a hang of the program is a failure here; nothing waits for it otherwise.
BACKSTOP_SECONDS = 200

OK, USAGE, NO_SUBJECT, HARNESS = 0, 2, 3, 4


def counterpart(
    *words: str, cwd: Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end. `before`: done in its process first."""
    return subprocess.run(
        [PROGRAM, *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BACKSTOP_SECONDS,
        check=False,
        preexec_fn=before,
    )


def only_sentence(ended: subprocess.CompletedProcess[str]) -> str:
    """Give the one line on stderr, beside what is said of subjects that are not built."""
    lines = [
        line
        for line in ended.stderr.strip().splitlines()
        if not re.match(r"subject \S+ is left out: ", line)
    ]
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("counterpart: ")
    return lines[0].removeprefix("counterpart: ")


def test_serve_on_an_occupied_port(tmp_path: Path) -> None:
    """The port is named, and what to do instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = counterpart("serve", "--port", str(port), "--subjects", str(SUBJECTS), cwd=tmp_path)
    assert f"port {port} of 127.0.0.1 cannot be bound" in ended.stderr
    assert "leave --port out to have a free one" in ended.stderr
    assert ended.returncode == USAGE


def test_an_out_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The folder is named."""
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file/out"
    ended = counterpart("run", CELL, "--subject", STDIO_SUBJECT, "--out", str(out), cwd=tmp_path)
    assert str(out) in only_sentence(ended)
    assert ended.returncode in (USAGE, HARNESS)


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("subjects:\n  - id: [\n", "3:1", "end of sequence flow not found"),
        ("subjects: 3\n", "1:11", "expected a list of subjects"),
        ("subjects:\n  - command: [x]\n", "2:5", "a subject needs `id: NAME`"),
        ("subjects:\n  - id: A b\n    command: [x]\n", "2:9", "may have only a-z"),
        (
            "subjects:\n  - id: a\n    command: [x]\n  - id: a\n    command: [x]\n",
            "4:9",
            "is listed twice",
        ),
    ],
)
def test_a_broken_subjects_file(tmp_path: Path, text: str, place: str, sentence: str) -> None:
    """File, line and column, as editors understand them."""
    path = tmp_path / "subjects.yaml"
    path.write_text(text)
    ended = counterpart("run", "--subjects", str(path), cwd=tmp_path)
    said = only_sentence(ended)
    assert said.startswith(f"{path}:{place}: "), said
    assert sentence in said
    assert ended.returncode == USAGE


def test_rules_tells_what_a_run_has_tested(tmp_path: Path) -> None:
    """By subject and direction, of the rules asked for; a rule that there is not is named."""
    ended = counterpart("run", CELL, "--subject", STDIO_SUBJECT, "--out", "out", cwd=tmp_path)
    assert ended.returncode == OK, ended.stderr
    asked = ("rules", "--run", "out/run.jsonl")
    told = json.loads(
        counterpart(*asked, "rpc.*", "link.message", "--format", "json", cwd=tmp_path).stdout
    )
    [subject] = told["totals"]
    rules = {rule["id"]: rule["subjects"][subject] for rule in told["rules"]}
    assert rules["rpc.response.one-per-request"]["status"] == "tested"
    assert rules["rpc.response.one-per-request"]["harness_to_subject"]
    assert not rules["rpc.response.one-per-request"]["subject_to_harness"]
    assert rules["rpc.metadata.sensitive"]["status"] == "untested"
    assert "schema.type-id" not in rules
    count = [rule["status"] for rule in rules.values()].count("tested")
    assert told["totals"][subject]["tested"] == count
    wrong = counterpart(*asked, "rpc.no-such-rule", cwd=tmp_path)
    assert "no rule of spec/rules matches 'rpc.no-such-rule'" in only_sentence(wrong)
    assert wrong.returncode == USAGE


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--subjects", "nowhere.yaml"), "cannot read the subjects file nowhere.yaml"),
        (("run", "--subject", "nonsense"), "expected ID=COMMAND"),
        (("run", "--subject", "a='x"), "a quote is not closed"),
        (("run", "no::such::cell", "--subjects", str(SUBJECTS)), "no::such::cell"),
        (("run", "@nowhere.txt", "--subjects", str(SUBJECTS)), "nowhere.txt"),
        (("run", CELL, "--shard", "3/2", "--subjects", str(SUBJECTS)), "expected i/n"),
        (("run", CELL, "--for", "soon", "--subjects", str(SUBJECTS)), "expected a time such as"),
        (("check",), "name your subject's command after `--`"),
        (("mutants", "no_such_mutant", "--subjects", str(SUBJECTS)), "no mutant"),
        (("rules", "--run", "nowhere.jsonl"), "nowhere.jsonl: cannot read"),
    ],
)
def test_wrong_words(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    """Each is a usage error, said in one sentence."""
    ended = counterpart(*words, cwd=tmp_path)
    assert sentence in only_sentence(ended)
    assert ended.returncode == USAGE


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """The program is named."""
    ended = counterpart("run", CELL, "--subject", "mine=/nowhere/subject", cwd=tmp_path)
    assert "cannot start /nowhere/subject" in ended.stderr
    assert "see --subject and matrix/subjects.yaml" in ended.stderr
    assert ended.returncode == NO_SUBJECT


def test_few_files_of_a_shell_are_no_limit(tmp_path: Path) -> None:
    """What a shell allows at first suffices for no campaign; its subjects have that, though."""

    def few_files() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))

    mine = "mine=/bin/sh -c 'ulimit -Sn'"
    said = counterpart("run", CELL, "--subject", mine, cwd=tmp_path, before=few_files)
    assert 'it said "128"' in said.stderr
    # Four subjects with 16 runs each: some 300 files at once.
    python = f"python={ROOT}/subjects/python/subject"
    words = ("run", CELL, "--subject", python, "--runs", "64", "--jobs", "4")
    ended = counterpart(*words, cwd=tmp_path, before=few_files)
    assert ended.returncode == OK, ended.stderr


def test_too_few_files_are_said(tmp_path: Path) -> None:
    """Where no more may be had, nothing begins."""

    def too_few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))

    mine = f"mine={ROOT}/build/subjects/cpp/subject_cpp"
    ended = counterpart("run", CELL, "--subject", mine, cwd=tmp_path, before=too_few_files)
    assert "no more than 60 files may be open at a time" in ended.stderr
    assert "ulimit -Hn" in ended.stderr
    assert ended.returncode == NO_SUBJECT, ended.stderr


# ---------------------------------------------------------------- serve


class Server:
    """One `counterpart serve`, until its stdin is closed."""

    def __init__(self, out: Path, subject: str) -> None:
        """Start it and wait until it says where it serves."""
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--subject", subject, "--out", str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT / "build/python")},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(r"counterpart serve (127\.0\.0\.1:\d+)\n", line)
        assert match, line
        self.address = match[1]

    def close(self) -> None:
        """End it the ordinary way."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait(BACKSTOP_SECONDS)


@pytest.fixture
def hanging_server(tmp_path: Path) -> Iterator[Server]:
    """Serve a subject whose runs never end by themselves for seconds."""
    hostile = ROOT / "subjects/hostile/hostile.py"
    server = Server(tmp_path / "out", f"hostile={sys.executable} {hostile} spins")
    yield server
    server.close()


def first_lines(server: Server) -> tuple[grpc.Channel, object]:
    """Ask for a run of many, and take what comes before the first run has ended."""
    sys.path.insert(0, str(ROOT / "build/python"))
    from counterpart.runner.v1 import runner_pb2, runner_pb2_grpc

    channel = grpc.insecure_channel(server.address)
    stub = runner_pb2_grpc.RunnerStub(channel)
    stream = stub.Run(runner_pb2.RunRequest(patterns=[CELL], runs=10_000))
    assert next(stream).line.HasField("header")
    assert next(stream).line.HasField("scenario")
    return channel, stream


def test_a_client_that_goes_away_ends_its_run(hanging_server: Server, tmp_path: Path) -> None:
    """Nothing is written to a run that hangs, and yet it ends: its file gets a footer."""
    channel, stream = first_lines(hanging_server)
    stream.cancel()
    channel.close()
    # The server ends its runs before it ends; a run that was not cancelled would say how it ended.
    hanging_server.close()
    (path,) = (tmp_path / "out").glob("serve-*/run.jsonl")
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["footer"]["interrupted"] is True


def test_ctrl_c_ends_serve_and_its_runs(hanging_server: Server, tmp_path: Path) -> None:
    """With its stdin open."""
    channel, stream = first_lines(hanging_server)
    hanging_server.process.send_signal(signal.SIGINT)
    assert hanging_server.process.wait(BACKSTOP_SECONDS) == 0
    with pytest.raises(grpc.RpcError):
        list(stream)
    channel.close()
    (path,) = (tmp_path / "out").glob("serve-*/run.jsonl")
    assert json.loads(path.read_text().splitlines()[-1])["footer"]["interrupted"] is True


# ---------------------------------------------------------------- the other binding


def test_the_python_subject_over_stdio(tmp_path: Path) -> None:
    """Every cell that passes over gRPC passes with the control plane on stdin and stdout."""
    ended = counterpart("run", "--subject", STDIO_SUBJECT, "--lanes", "4", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    totals = ended.stdout.strip().splitlines()[-1]
    match = re.fullmatch(r"(\d+) passed, 0 failed, \d+ skipped", totals)
    assert match, totals
    assert int(match[1]) > 0
