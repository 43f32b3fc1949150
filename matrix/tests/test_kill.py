"""The program is killed at random moments of a campaign, and the campaign gone on with.

    pytest matrix/tests/test_kill.py --kills 50 --kill-seed 3

No finished result is lost, none is counted twice, no process is left behind, and the campaign ends
with exactly the runs it was to have. Nothing is concluded from how long anything takes: pauses
here only choose the moment of a kill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("COUNTERPART_PROGRAM", ROOT / "build/harness/counterpart"))
SUBJECT = ROOT / "build/subjects/cpp/subject_cpp"
MARK = "COUNTERPART_KILL_TEST"
# So that a hang of the program, or a process that stays, is a failure here.
BACKSTOP_SECONDS = 200
MOST_RUNS_PER_CELL = 60
MOST_RUNS_BETWEEN_KILLS = 25
LONGEST_PAUSE_SECONDS = 0.3


class Campaign:
    """One campaign: its folder, its command, and the results it has brought so far."""

    def __init__(self, folder: Path, seed: int, runs: int) -> None:
        self.folder = folder
        self.runs = runs  # of each cell
        self.mark = uuid.uuid4().hex
        self.finished: list[str] = []  # lines of execs, as they were first seen
        self.command = [
            *(str(PROGRAM), "run", "lang_cpp_*::**::rpc_*"),
            *("--subject", f"cpp={SUBJECT}", "--seed", str(seed), "--runs", str(runs)),
            *("--jobs", "2", "--load", "1", "--keep-traces"),
        ]

    @property
    def file(self) -> Path:
        """Its report."""
        return self.folder / "run.jsonl"

    def whole_lines(self) -> list[str]:
        """Lines of the report; one that the kill has cut is none."""
        text = self.file.read_text() if self.file.exists() else ""
        return text.split("\n")[:-1]

    def execs(self) -> list[str]:
        """Lines of finished runs."""
        return [line for line in self.whole_lines() if line.startswith('{"exec":')]

    def start(self, *, new_session: bool = False) -> subprocess.Popen[bytes]:
        """Begin, or go on with what there is; `new_session`: as the foreground of a terminal."""
        begun = bool(self.whole_lines())
        return subprocess.Popen(
            [*self.command, "--resume" if begun else "--out", str(self.folder)],
            env={**os.environ, MARK: self.mark},
            cwd=self.folder.parent,
            start_new_session=new_session,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def processes(self) -> list[int]:
        """Everything that was started by it and lives: all of it inherits the mark."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes()
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # ended meanwhile, or not ours
            if f"{MARK}={self.mark}".encode() in environment.split(b"\0") and state not in "ZX":
                found.append(int(process.name))
        return found

    def nobody_stays(self) -> None:
        """All processes end; the kernel takes a moment for it."""
        deadline = time.monotonic() + BACKSTOP_SECONDS
        while left := self.processes():
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.01)

    def nothing_is_lost(self) -> None:
        """What was finished before is there, unchanged and in its place; nothing is there twice."""
        now = self.execs()
        assert now[: len(self.finished)] == self.finished
        runs = Counter((row["cell"], row.get("ordinal", 0)) for row in map(exec_of, now))
        assert [run for run, times in runs.items() if times > 1] == []
        for row in map(exec_of, now[len(self.finished) :]):
            last = (self.folder / row["trace"]).read_text().splitlines()[-1]
            assert "footer" in json.loads(last), f"the trace of {row['id']} is not whole"
        self.finished = now


def exec_of(line: str) -> dict[str, Any]:
    """The result that a line tells."""
    return json.loads(line)["exec"]


def lines_of(campaign: Campaign, kind: str) -> list[dict[str, Any]]:
    """Every line of one kind."""
    rows = [json.loads(line) for line in campaign.whole_lines()]
    return [row[kind] for row in rows if kind in row]


def kill_once(campaign: Campaign, chance: random.Random) -> tuple[bool, int]:
    """Whether it was killed before it ended, and how many processes it had just before."""
    wanted = len(campaign.execs()) + chance.randint(0, MOST_RUNS_BETWEEN_KILLS)
    pause = chance.uniform(0, LONGEST_PAUSE_SECONDS) if chance.random() < 0.5 else 0
    with campaign.start() as process:
        while process.poll() is None and len(campaign.execs()) < wanted:
            time.sleep(0.002)
        time.sleep(pause)
        alive = len(campaign.processes())
        process.kill()  # unless it has come to its end by itself
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL), process.stderr.read()
    campaign.nobody_stays()
    campaign.nothing_is_lost()
    return process.returncode == -signal.SIGKILL, alive


def finish(campaign: Campaign) -> None:
    """Let it run to its end, and count."""
    with campaign.start() as process:
        said = process.communicate(timeout=BACKSTOP_SECONDS)[1].decode()
    assert process.returncode == 0, said
    campaign.nobody_stays()
    campaign.nothing_is_lost()
    cells = lines_of(campaign, "cell")
    wanted = {(cell["id"], ordinal) for cell in cells for ordinal in range(campaign.runs)}
    execs = lines_of(campaign, "exec")
    assert {(row["cell"], row.get("ordinal", 0)) for row in execs} == wanted
    assert [cell["runs"] for cell in cells] == [campaign.runs] * len(cells)
    (footer,) = lines_of(campaign, "footer")
    assert footer["planned"] == footer["accounted"] == len(wanted)


def test_kills_lose_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As many kills as were asked for, each of a campaign in progress."""
    wanted, seed = request.config.getoption("--kills"), request.config.getoption("--kill-seed")
    chance = random.Random(seed)
    kills = campaigns = most = early = 0
    while kills < wanted:
        campaigns += 1
        runs = min(MOST_RUNS_PER_CELL, wanted - kills + 2)
        campaign = Campaign(tmp_path / str(campaigns), seed=campaigns, runs=runs)
        planned = None
        while kills < wanted and (planned is None or len(campaign.finished) < planned):
            before = len(campaign.finished)
            killed, alive = kill_once(campaign, chance)
            kills += killed
            early += killed and len(campaign.finished) == before
            most = max(most, alive)
            headers = lines_of(campaign, "header")
            planned = headers[0]["planned"] if headers else None
            if lines_of(campaign, "footer"):
                break
        finish(campaign)
    assert most >= 4, "the harness, two subjects and a busy process were seen alive"
    print(f"{kills} kills of {campaigns} campaigns, {early} of them before a run had finished")


def test_ctrl_c_at_a_terminal_ends_all_of_it(tmp_path: Path) -> None:
    """Everybody in the foreground gets it, busy processes too; the campaign can be gone on with."""
    campaign = Campaign(tmp_path / "cut", seed=1, runs=MOST_RUNS_PER_CELL)
    with campaign.start(new_session=True) as process:
        while process.poll() is None and len(campaign.execs()) < MOST_RUNS_BETWEEN_KILLS:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=BACKSTOP_SECONDS)[1].decode()
    (footer,) = lines_of(campaign, "footer")
    assert footer["interrupted"], said
    assert process.returncode == footer["exit_code"]
    campaign.nobody_stays()
    campaign.nothing_is_lost()
    finish(campaign)
