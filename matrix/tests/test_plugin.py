"""The pytest plugin, over a program that answers from a table (fake_counterpart.py)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

MATRIX = Path(__file__).resolve().parents[1]
ROOT = MATRIX.parent
FAKE = Path(__file__).resolve().with_name("fake_counterpart.py")
A = "subjects.yaml::lang_a_transport_tcp::direction_harness_to_subject"
CELLS = [
    f"{A}::fails",
    f"{A}::passes",
    "subjects.yaml::lang_a_transport_tcp::direction_subject_to_harness::not_judged",
    "subjects.yaml::lang_a_transport_tcp::direction_subject_to_harness::unsupported",
    "subjects.yaml::lang_a_transport_tcp_conduit_stable::direction_harness_to_subject::passes",
    "subjects.yaml::lang_b_transport_tcp::direction_harness_to_subject::flaky",
]
# So that a hang of the plugin is a failure here; nothing waits for it otherwise.
BACKSTOP_SECONDS = 120

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Give an executable that starts the fake with this interpreter."""
    path = tmp_path / "counterpart"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def run(tmp_path: Path, program: Path) -> Run:
    """Give a function that runs pytest in a folder with a subjects.yaml."""
    folder = tmp_path / "matrix"
    folder.mkdir()
    (folder / "conftest.py").write_text((MATRIX / "conftest.py").read_text())
    (folder / "subjects.yaml").write_text("subjects: []\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    outer = {name for name in os.environ if name.startswith(("PYTEST_", "FAKE_"))}
    clean = {name: value for name, value in os.environ.items() if name not in outer}

    def run_pytest(
        *arguments: str, mode: str = "", named: Path | None = program
    ) -> subprocess.CompletedProcess[str]:
        option = [f"--counterpart={named}"] if named else []
        environment = clean | {
            "PYTHONPATH": str(MATRIX),
            "FAKE_MODE": mode,
            "FAKE_LOG": str(tmp_path / "log"),
            "NO_COLOR": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *option, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BACKSTOP_SECONDS,
            check=False,
        )

    return run_pytest


@pytest.fixture
def batches(tmp_path: Path) -> Callable[[], list[tuple[str, list[str]]]]:
    """Give a function that tells which runs the fake was asked for: (process, cells)."""

    def read() -> list[tuple[str, list[str]]]:
        log = tmp_path / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(line.split()[0], line.split()[1:]) for line in lines]

    return read


def test_cells_are_collected_under_their_own_names_in_order_and_nothing_runs(run, batches):
    result = run("--collect-only", "-q")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line for line in result.stdout.splitlines() if "::" in line] == CELLS
    assert batches() == []


def test_outcomes(run, batches):
    result = run("-v", "-rs")
    assert result.returncode == 1
    seen = dict(re.findall(r"^(\S+::\S+) (\w+)", result.stdout, re.MULTILINE))
    assert [seen[cell] for cell in CELLS] == [
        "FAILED",
        "PASSED",
        "FAILED",
        "SKIPPED",
        "PASSED",
        "PASSED",
    ]
    assert "it does not declare 'resume'" in result.stdout
    assert "INCONCLUSIVE: the fixpoint could not be read" in result.stdout
    assert [cells for _, cells in batches()] == [[c.partition("::")[2] for c in CELLS]]


def test_a_failure_tells_its_whole_story(run):
    result = run("-k", "fails")
    order = [
        "FAIL r[rpc.channel.lifecycle]: the subject closed channel 4 a second time",
        "A channel MUST be closed at most once.",
        "1.500 ms <- s1.g1.link1  Close #2",
        "last words \\x1b[31m",
        "replay: counterpart replay traces/0.jsonl",
        "again:  counterpart run --run-seed 7",
    ]
    places = [result.stdout.find(text) for text in order]
    assert -1 not in places, result.stdout
    assert places == sorted(places)
    assert "Traceback" not in result.stdout


def test_some_red_runs_are_a_flaky_cell(run):
    result = run("-k", "flaky", "--runs", "6")
    assert result.returncode == 1
    assert "in 2 of 6 runs (flaky)" in result.stdout
    assert "2 x rpc.channel.lifecycle at Close #2" in result.stdout


def test_only_what_is_selected_runs(run, batches):
    assert run("-k", "passes and conduit_stable").returncode == 0
    assert run(f"{A}::passes").returncode == 0
    assert [cells for _, cells in batches()] == [
        [CELLS[4].partition("::")[2]],
        [CELLS[1].partition("::")[2]],
    ]


def test_a_worker_of_xdist_runs_only_its_own_items(run, batches):
    result = run("-n", "2")
    assert "3 passed, 1 skipped" in result.stdout, result.stdout + result.stderr
    assert "2 failed" in result.stdout
    asked = [cell for _, cells in batches() for cell in cells]
    assert sorted(asked) == [cell.partition("::")[2] for cell in CELLS]
    assert all(len({cell.rpartition("::")[0] for cell in cells}) == 1 for _, cells in batches())


@pytest.mark.parametrize("dist", ["loadscope", "worksteal", "loadfile"])
def test_however_xdist_deals_each_cell_runs_once(run, batches, dist):
    result = run("-n", "2", "--dist", dist)
    assert "3 passed, 1 skipped" in result.stdout, result.stdout + result.stderr
    asked = [cell for _, cells in batches() for cell in cells]
    assert sorted(asked) == [cell.partition("::")[2] for cell in CELLS]


def test_junit_has_rule_seed_and_counts(run, tmp_path):
    xml = tmp_path / "junit.xml"
    run("-k", "fails or flaky", "--runs", "3", f"--junitxml={xml}")
    cases = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.parse(xml).iter("testcase")
    }
    assert cases == {
        "fails": {"rule": "rpc.channel.lifecycle", "seed": "7", "k": "3", "n": "3"},
        "flaky": {"rule": "rpc.channel.lifecycle", "seed": "7", "k": "1", "n": "3"},
    }


def test_a_program_that_dies_fails_what_it_did_not_finish(run):
    result = run(mode="dies")
    assert result.returncode == 1
    assert "6 failed" in result.stdout or "5 failed" in result.stdout, result.stdout
    assert "`counterpart serve` died (exit 70)" in result.stdout
    assert "assertion failed: the fake is tired" in result.stdout


def test_a_run_without_footer_is_incomplete(run):
    result = run("-k", "passes", mode="cut")
    assert result.returncode == 1
    assert "1 failed, 1 passed" in result.stdout
    assert "the run ended without its footer: it is incomplete" in result.stdout


def test_a_missing_program_is_a_usage_error(run, tmp_path):
    result = run(named=tmp_path / "nowhere")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--counterpart {tmp_path / 'nowhere'}: there is no such program" in result.stderr


def test_a_program_that_cannot_start_says_why(run):
    result = run(mode="no-start")
    assert result.returncode == pytest.ExitCode.INTERRUPTED
    assert "`counterpart serve` ended before it served (exit 2)" in result.stdout
    assert "subjects.yaml:3:5: a subject needs an id" in result.stdout
    assert "Traceback" not in result.stdout


def test_another_first_line_is_not_taken_for_an_address(run):
    result = run(mode="odd-line")
    assert result.returncode == pytest.ExitCode.INTERRUPTED
    assert r"started with an unexpected line: b'hello\n'" in result.stdout
