"""The program against subjects that misbehave (subjects/hostile), as a user would start them.

Each must end in the right exit code and a sentence that says what is wrong, in bounded memory, with
no process left behind. Nothing here is judged by a clock.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The environment names another, for example one built with a sanitizer.
PROGRAM = Path(os.environ.get("COUNTERPART_PROGRAM", ROOT / "build/harness/counterpart"))
HOSTILE = ROOT / "subjects/hostile/hostile.py"
CELL = "*_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip"
# So that a hang of the program is a failure here; nothing waits for it otherwise.
BACKSTOP_SECONDS = 200
MOST_MEMORY_KIB = 400 << 10

RED, NO_SUBJECT = 1, 3


@dataclass
class Ended:
    """How the program ended."""

    code: int
    output: str
    peak_kib: int


def processes_marked(mark: str) -> list[int]:
    """Give the living processes that carry the mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def play(tmp_path: Path, mode: str, *words: str) -> Ended:
    """Run the program against a mode; whatever carries the mark is gone afterwards."""
    mark = f"HOSTILE_TEST={uuid.uuid4().hex}"
    name, value = mark.split("=")
    paths = [str(ROOT / "build/python"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, name: value, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    output = tmp_path / "output"
    with output.open("wb") as out:
        program = subprocess.Popen(
            [PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=tmp_path,
        )
        backstop = threading.Timer(BACKSTOP_SECONDS, program.kill)
        backstop.start()
        _, status, used = os.wait4(program.pid, 0)
        backstop.cancel()
    program.returncode = os.waitstatus_to_exitcode(status)
    left = processes_marked(mark)
    assert left == [], f"left running: {left}"
    text = output.read_text(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), text, used.ru_maxrss)


def subject(mode: str) -> str:
    """Give the --subject option of a mode."""
    return f"hostile={sys.executable} {HOSTILE} {mode}"


HOPELESS = [
    ("exits", "ended with exit 3 before it said where it serves"),
    ("hangs", "is waiting and has not said where it serves"),
    ("garbage", 'it said "\\x00\\xff listening on port 80"'),
    ("half_a_line", "is waiting and has not said where it serves"),
    ("spins_at_start", "never at rest while it used"),
    ("floods_stderr", "floods its stderr (64 MiB)"),
    ("floods_stdout", "the first line on stdout is longer than 4096 bytes"),
    ("deaf", "is waiting and has not answered Describe"),
    ("control_huge", "announced a control message of 4294967295 bytes"),
    ("control_garbage", "wrote something else than a ControlReply to its stdout"),
    ("control_flood", "answered question 127, which is not open"),
]


@pytest.mark.parametrize(("mode", "sentence"), HOPELESS)
def test_a_subject_that_cannot_be_started(tmp_path: Path, mode: str, sentence: str) -> None:
    """`run` says why, once, and exits with 3."""
    ended = play(tmp_path, mode, "run", CELL, "--subject", subject(mode))
    assert sentence in ended.output
    assert ended.code == NO_SUBJECT, ended.output
    assert ended.peak_kib < MOST_MEMORY_KIB


def test_check_says_why_a_subject_cannot_be_started(tmp_path: Path) -> None:
    """`check -- CMD` too, with what the subject printed."""
    ended = play(tmp_path, "exits", "check", "--", sys.executable, str(HOSTILE), "exits")
    assert "ended with exit 3 before it said where it serves" in ended.output
    assert "no configuration file" in ended.output
    assert ended.code == NO_SUBJECT, ended.output


MISBEHAVING = [
    ("never_reads", RED, "can no longer happen"),
    ("wire_huge", RED, "announced too large a payload"),
    ("wire_flood", RED, "not a payload of this phase"),
    ("wire_no_text", RED, "not a payload of this phase"),
    ("killed", RED, "signal 9"),
    ("forks", RED, "can no longer happen"),
    ("spins", RED, "never at rest while it used"),
    ("settles_never", RED, "stalled: the subject is idle"),
    ("settles_falsely", RED, "the witnesses of calm disagree"),
    ("listens_anywhere", RED, "accepts connections at the host and port that Listen named"),
]

# Of what could not be judged: the class, and how the evidence begins.
UNJUDGED = [
    ("spins", "runaway", "runaway: never at rest while it used"),
    ("stops", "stalled", "stalled: stopped, never at rest"),
    ("settles_never", "stalled", "stalled: the subject is idle"),
]


@pytest.mark.parametrize(("mode", "code", "sentence"), MISBEHAVING)
def test_a_subject_that_misbehaves(tmp_path: Path, mode: str, code: int, sentence: str) -> None:
    """It is red, and says whether a rule was broken or nobody can tell."""
    ended = play(tmp_path, mode, "run", CELL, "--subject", subject(mode))
    assert sentence in ended.output
    assert ended.code == code, ended.output
    assert ended.peak_kib < MOST_MEMORY_KIB


def test_what_the_library_says_of_a_subject_is_said_once(tmp_path: Path) -> None:
    """Not once per message, and not in between in a voice of its own."""
    words = ("run", CELL, "--subject", subject("wire_no_text"), "--runs", "5")
    ended = play(tmp_path, "wire_no_text", *words)
    assert ended.code == RED, ended.output
    said = [line for line in ended.output.splitlines() if "invalid UTF-8" in line]
    assert len(said) == 1, ended.output
    assert said[0].startswith("counterpart: ")


def only_exec(tmp_path: Path) -> dict[str, Any]:
    """Give the one exec of the report."""
    lines = (tmp_path / "reports/out/latest/run.jsonl").read_text().splitlines()
    execs = [json.loads(line)["exec"] for line in lines if '"exec":{' in line]
    assert len(execs) == 1
    return execs[0]


@pytest.mark.parametrize(("mode", "name", "evidence"), UNJUDGED)
def test_what_cannot_be_judged_has_a_class_and_a_dump(
    tmp_path: Path, mode: str, name: str, evidence: str
) -> None:
    """Not a failure, not a pass; with every thread of the subject."""
    words = ("run", CELL, "--subject", subject(mode), "--watchdog", "2")
    ended = play(tmp_path, mode, *words)
    assert ended.code == RED, ended.output
    run = only_exec(tmp_path)
    assert run["verdict"] == "VERDICT_INCONCLUSIVE"
    assert run["unjudged"] == name
    assert run["evidence"].startswith(evidence)
    (seen,) = run["fixpoints"]
    assert seen["subject"] == "hostile"
    assert any(thread["name"].startswith("python") for thread in seen["threads"])


def test_a_subject_whose_word_is_not_the_kernels_breaks_a_rule(tmp_path: Path) -> None:
    """It says that work is runnable, at rest, again and again."""
    mode = "settles_falsely"
    ended = play(tmp_path, mode, "run", CELL, "--subject", subject(mode))
    assert ended.code == RED, ended.output
    run = only_exec(tmp_path)
    assert run["verdict"] == "VERDICT_FAIL"
    assert run["rule"] == "control.settle"
    assert "1 unit of work is runnable" in run["reason"]
    assert run["fixpoints"][0]["settle"] == "the subject says that 1 unit of work is runnable"


def test_where_the_kernel_is_not_to_be_trusted_the_program_says_so(tmp_path: Path) -> None:
    """On stderr, in the header, and in what fails; settle and silence decide."""
    words = ("run", CELL, "--subject", subject("never_reads"), "--waits", "settle")
    ended = play(tmp_path, "never_reads", *words)
    assert (
        "counterpart: waits are judged in tier T3, by the subject's own word and by silence, "
        "because --waits settle was asked for" in ended.output
    )
    assert ended.code == RED, ended.output
    lines = (tmp_path / "reports/out/latest/run.jsonl").read_text().splitlines()
    header = json.loads(lines[0])["header"]
    assert (header["wait_tier"], header["wait_tier_reason"]) == (
        "T3",
        "--waits settle was asked for",
    )
    run = only_exec(tmp_path)
    assert run["wait_tier"] == "T3"
    assert "silent for 2000 ms" in run["evidence"]
    assert "settled twice" in run["evidence"]


@pytest.mark.parametrize("load", ["0", "8"])
def test_what_can_never_happen_is_red_with_its_evidence(tmp_path: Path, load: str) -> None:
    """Idle or under load: what was awaited, and what the failure rests on."""
    words = ("run", CELL, "--subject", subject("never_reads"), "--load", load, "--jobs", "1")
    ended = play(tmp_path, "never_reads", *words)
    assert ended.code == RED, ended.output
    lines = (tmp_path / "reports/out/latest/run.jsonl").read_text().splitlines()
    header = json.loads(lines[0])["header"]
    assert header["wait_tier"] == "T1"
    execs = [json.loads(line)["exec"] for line in lines if '"exec":{' in line]
    assert len(execs) == 1
    assert re.match(r"awaited .*, which can no longer happen: ", execs[0]["reason"])
    assert execs[0]["wait_tier"] == "T1"
    assert re.search(r"\d+ threads asleep at one instant \(.*\)", execs[0]["evidence"])
    assert "bytes that the subject has not read" in execs[0]["evidence"]
    assert "no timer due within" in execs[0]["evidence"]
    (seen,) = execs[0]["fixpoints"]
    assert seen["tier"] == 1
    assert all(thread["state"] == "S" and thread["blocked_in"] for thread in seen["threads"])
    assert any(int(link.get("unread", 0)) > 0 for link in seen["links"])
