"""explore, shrink and plans, over the built program and a subject that is wrong on purpose.

Nothing here depends on how long anything takes: a campaign is killed after a number of lines.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/harness/counterpart"
SUBJECT = ROOT / "build/subjects/cpp/subject_cpp"
ECHO = "lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip"
PAIR = "lang_cpp_server_python_client_tcp::**::rpc_echo_roundtrip"
STABLE_PAIR = "lang_cpp_server_python_client_tcp_conduit_stable::**::rpc_echo_roundtrip"
PYTHON = ["--subject", f"python={ROOT}/subjects/python/subject"]
STABLE = "lang_cpp_transport_tcp_conduit_stable::**::rpc_echo_roundtrip"
# So that a hang of the program is a failure here; nothing waits for it otherwise.
BACKSTOP_SECONDS = 200

OK, RED, USAGE = 0, 1, 2


def counterpart(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [PROGRAM, *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BACKSTOP_SECONDS,
        check=False,
    )


def cpp(mutant: str = "") -> list[str]:
    """Name the C++ subject, or one of its mutants."""
    return ["--subject", f"cpp={SUBJECT}" + (f" --mutant {mutant}" if mutant else "")]


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Read the lines of one kind from a report."""
    text = (folder / "run.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return [row[kind] for row in rows if kind in row]


def plans(folder: Path) -> list[tuple[str, int, tuple[str, ...]]]:
    """Every run of a report: cell, ordinal, plan."""
    return sorted(
        (row["cell"], int(row.get("ordinal", 0)), tuple(row.get("plan", [])))
        for row in lines(folder, "exec")
    )


def test_every_frame_of_both_sides_is_cut_both_ways(tmp_path: Path) -> None:
    """The plans are those of the frames that the undisturbed run has; a right subject is green."""
    ended = counterpart("explore", ECHO, *cpp(), "--out", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == OK, ended.stdout
    survey, *cuts = sorted(lines(tmp_path, "exec"), key=lambda row: int(row.get("ordinal", 0)))
    wanted = {
        f"{how} after frame {moment['ordinal']} of the {side} on link {moment['link']}"
        for moment in survey["moments"]
        for side in ["harness" if moment.get("from_harness") else "subject"]
        for how in ("rst", "fin")
    }
    assert {row["plan"][0] for row in cuts} == wanted
    assert len(wanted) > 12
    for row in cuts:
        assert row["verdict"] == "VERDICT_PASS", row
        assert [fault["fired"] for fault in row["faults"]] == [True]
    assert re.search(r"^ +11 +22 +0 +0 {2}lang_cpp", ended.stdout, re.MULTILINE), ended.stdout


def test_every_frame_between_two_subjects_is_cut_and_swallowed(tmp_path: Path) -> None:
    """After it was passed on, and instead; both ends are shown to have noticed."""
    ended = counterpart("explore", PAIR, *cpp(), *PYTHON, "--out", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == OK, ended.stdout
    survey, *cuts = sorted(lines(tmp_path, "exec"), key=lambda row: int(row.get("ordinal", 0)))
    wanted = {
        f"{how} {where} frame {moment['ordinal']} of the {moment['seat']} on link {moment['link']}"
        for moment in survey["moments"]
        for where in ("after", "instead of")
        for how in ("rst", "fin")
    }
    assert {row["plan"][0] for row in cuts} == wanted
    assert len(wanted) > 40
    for row in cuts:
        assert row["verdict"] == "VERDICT_PASS", row
        [fault] = row["faults"]
        assert fault["fired"]
        assert re.fullmatch(r"server: [^;]+; client: [^;]+", fault["proof"]), fault


@pytest.mark.parametrize(
    ("mutant", "cell", "rule", "said"),
    [
        (
            "runs_live_duplicate",
            "lang_python_server_cpp_client_tcp::**::rpc_blocked_call_delays_nobody",
            "retry.resume.reattempt",
            "is executed at most 1 times, not 2",
        ),
        (
            "attempts_any_stream_again",
            "lang_cpp_server_python_client_tcp::**::channeling_sum_client_to_server",
            "retry.channel.recovery.non-idem",
            "the application is told Indeterminate of sum of the server",
        ),
        (
            "hangs_in_resume",
            "lang_cpp_server_python_client_tcp::**::rpc_echo_roundtrip",
            "session.outlives-conduit",
            "the session to be bound to link 2, which is for cpp to bring about",
        ),
    ],
)
def test_one_of_two_subjects_is_to_blame_for_what_follows_a_cut(
    mutant: str, cell: str, rule: str, said: str, tmp_path: Path
) -> None:
    """Green without a cut; the sound one is never blamed."""
    subjects = [*cpp(mutant), *PYTHON]
    undisturbed = counterpart("run", cell, *subjects, cwd=tmp_path)
    assert undisturbed.returncode == OK, undisturbed.stdout
    out = str(tmp_path / "out")
    ended = counterpart("explore", cell, *subjects, "--faults", "rst", "--out", out, cwd=tmp_path)
    assert ended.returncode == RED, ended.stdout
    # How many grants there are may differ from run to run: some cuts are not reached.
    red = [row for row in lines(Path(out), "exec") if row.get("verdict") == "VERDICT_FAIL"]
    assert any(row["rule"] == rule and said in row["reason"] for row in red), red[0]["reason"]
    assert {finding["blame"] for row in red for finding in row["findings"]} == {"cpp"}

    trace = str(tmp_path / "out" / red[0]["trace"])
    shrunk = counterpart("shrink", trace, *subjects, "--format", "json", cwd=tmp_path)
    assert shrunk.returncode == OK, shrunk.stderr
    least = json.loads(shrunk.stdout)
    assert least["signature"] == red[0]["signature"]
    assert len(least["faults"]) == 1
    assert re.fullmatch(
        r"rst (after|instead of) frame \d+ of the \w+ on link 1", least["faults"][0]
    )
    assert least["reproduced"] > 0
    plan = str(tmp_path / "plan.yaml")
    again = counterpart("run", "--plan", plan, *subjects, "--out", out, cwd=tmp_path)
    assert again.returncode == RED, again.stdout


def test_two_subjects_see_nothing_of_the_links_of_their_conduit(tmp_path: Path) -> None:
    """Cut everywhere, before the conduit has begun as well: the scenario is played to its end."""
    ended = counterpart(
        "explore", STABLE_PAIR, *cpp(), *PYTHON, "--out", str(tmp_path), cwd=tmp_path
    )
    assert ended.returncode == OK, ended.stdout
    survey, *cuts = sorted(lines(tmp_path, "exec"), key=lambda row: int(row.get("ordinal", 0)))
    kinds = {moment["kind"] for moment in survey["moments"]}
    assert {"transport_hello", "client_hello", "server_hello", "data"} <= kinds
    assert "ack" not in kinds, "when an ack comes is for its sender to say"
    assert len(cuts) > 60
    for row in cuts:
        assert row["verdict"] == "VERDICT_PASS", row
        assert row["faults"][0]["fired"], row
        for judged in row["judged_of"]:
            assert "stable.seq.monotonic" in judged["rules"], row


@pytest.mark.parametrize(
    ("mutant", "said"),
    [
        ("stable_server_replays_nothing", "which is for cpp to bring about"),
        ("stable_gives_up_a_conduit_nothing_came_over", "cpp (server) sent StableReject"),
    ],
)
def test_what_is_lost_with_a_link_of_a_conduit_is_for_its_sender(
    mutant: str, said: str, tmp_path: Path
) -> None:
    """Only a cut shows it, and the sound one of the two is never blamed."""
    subjects = [*cpp(mutant), *PYTHON]
    undisturbed = counterpart("run", STABLE_PAIR, *subjects, cwd=tmp_path)
    assert undisturbed.returncode == OK, undisturbed.stdout
    out = tmp_path / "out"
    ended = counterpart(
        "explore", STABLE_PAIR, *subjects, "--faults", "rst", "--out", str(out), cwd=tmp_path
    )
    assert ended.returncode == RED, ended.stdout
    red = [row for row in lines(out, "exec") if row.get("verdict") == "VERDICT_FAIL"]
    assert any(said in row["reason"] for row in red), [row["reason"] for row in red]
    assert {finding["blame"] for row in red for finding in row["findings"]} == {"cpp"}


def test_a_session_sees_nothing_of_the_links_of_its_conduit(tmp_path: Path) -> None:
    """Each of them is cut, and the scenario is played to its end: nothing but its own rules."""
    ended = counterpart("explore", STABLE, "--pairs", *cpp(), "--out", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == OK, ended.stdout
    execs = lines(tmp_path, "exec")
    kinds = {moment["kind"] for row in execs for moment in row.get("moments", [])}
    assert {"data", "server_hello"} <= kinds
    played = [row for row in execs if row.get("verdict") == "VERDICT_PASS" and "plan" in row]
    assert len(played) > 100
    for row in played:
        assert all(fault["fired"] for fault in row["faults"]), row
    # Two cuts make three links, one of them cut while the conduit was to go on over it.
    assert any("after frame 2 of the subject on link 2" in row["plan"][1] for row in played)


def test_a_cut_takes_the_faults_of_the_scenario_with_it(tmp_path: Path) -> None:
    """A scenario cut short owes no fault of its own: only the planned one may be missed."""
    cell = "lang_cpp_*::direction_harness_to_subject::channel_retry_idem_reruns_*"
    ended = counterpart("explore", cell, *cpp(), "--out", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == OK, ended.stdout
    cut = [row for row in lines(tmp_path, "exec") if "plan" in row]
    early = [row for row in cut if "after frame 3 of the harness on link 1" in row["plan"][0]]
    assert len(early) == 2
    for row in early:
        assert row.get("verdict") == "VERDICT_PASS", row


def coverage(folder: Path) -> dict[str, Any]:
    """Read what an exploration has covered."""
    ended = counterpart("coverage", str(folder), "--format", "json", cwd=folder)
    assert ended.returncode == OK, ended.stderr
    return json.loads(ended.stdout)


def test_the_coverage_map_has_every_frame_and_what_was_reached(tmp_path: Path) -> None:
    """By frame and fault what came of it; of either side, the steps taken and those never taken."""
    ended = counterpart("explore", ECHO, *cpp(), "--out", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == OK, ended.stdout
    covered = coverage(tmp_path)
    [cell] = covered["cells"]
    assert len(cell["frames"]) == 11
    for frame in cell["frames"]:
        assert frame["kind"]
        assert frame["faults"] == {
            how: {"green": 1, "red": 0, "not_reached": 0} for how in ("fin", "rst")
        }
    steps = covered["transitions"]
    for side in ("subject", "harness"):
        assert f"{side} driver: Resuming --resumed--> Connected" in steps["reached"]
        assert f"{side} channel_sender: Open --item--> Open" in steps["never"]
    assert "subject operation: Sealed --replay--> Sealed" in steps["reached"]
    assert "harness operation: Absent --admit--> Live" in steps["never"]
    assert "subject operation: Sealed" in covered["states"]["reached"]
    assert not set(steps["reached"]) & set(steps["never"])
    text = counterpart("coverage", str(tmp_path), cwd=tmp_path).stdout
    assert re.search(r"frame 1 of the harness on link 1 +transport_hello +fin 1 green", text), text


def test_every_state_of_a_call_at_a_cut_comes_up(tmp_path: Path) -> None:
    """Two scenarios, cut everywhere, meet every row of the table of outcomes; all are green."""
    ended = counterpart(
        "explore",
        "lang_cpp_transport_tcp::**::rpc_every_kind_of_call_at_once",
        "lang_cpp_*::**::session_loss_ends_every_kind_of_call",
        *cpp(),
        "--out",
        str(tmp_path),
        cwd=tmp_path,
    )
    assert ended.returncode == OK, ended.stdout
    cases = coverage(tmp_path)["cut_cases"]
    assert cases["never"] == []
    assert len(cases["reached"]) == 48


def test_a_mutant_of_a_cut_is_found_reduced_and_shown(tmp_path: Path) -> None:
    """Runs to the kill, rule and smallest plan; what needs no cut is no such mutant."""
    catalogue = tmp_path / "catalog.yaml"
    row = """mutants:
  - id: {id}
    wrong: x
    rules: [{rule}]
    cells: ["**::direction_subject_to_harness::rpc_echo_roundtrip"]
    explore: {{}}
"""
    words = ["mutants", *cpp(), "--catalogue", str(catalogue)]
    key = "stores_the_first_key_with_the_first_message"
    catalogue.write_text(row.format(id=key, rule="session.outlives-conduit"))
    ended = counterpart(*words, cwd=tmp_path)
    assert ended.returncode == OK, ended.stdout
    assert re.search(rf"✓ {key}: killed · session.outlives-conduit ×\d+", ended.stdout)
    assert "      - rst after frame 2 of the harness on link 1\n" in ended.stdout

    catalogue.write_text(row.format(id=key, rule="rpc.pipelining"))
    ended = counterpart(*words, cwd=tmp_path)
    assert ended.returncode == RED
    assert "killed by another rule" in ended.stdout

    catalogue.write_text(row.format(id="wrong_parity", rule="rpc.request.id-allocation"))
    ended = counterpart(*words, cwd=tmp_path)
    assert ended.returncode == RED
    assert "RED WITHOUT A CUT" in ended.stdout


def test_a_cut_reveals_what_the_scenario_alone_does_not(tmp_path: Path) -> None:
    """The scenario is green, its exploration red; plan, replay and shrink all say the same."""
    wrong = cpp("rerun_sealed")
    alone = counterpart("run", ECHO, *wrong, "--out", str(tmp_path / "alone"), cwd=tmp_path)
    assert alone.returncode == OK, alone.stdout

    out = tmp_path / "out"
    ended = counterpart("explore", ECHO, *wrong, "--out", str(out), cwd=tmp_path)
    assert ended.returncode == RED
    red = [row for row in lines(out, "exec") if row.get("verdict") == "VERDICT_FAIL"]
    signature = red[-1]["signature"]
    assert signature.startswith("retry.resume.reattempt @ ")
    assert signature in ended.stdout

    again = counterpart("replay", str(out / red[-1]["trace"]), "--format", "json", cwd=tmp_path)
    assert json.loads(again.stdout)["same"], again.stdout

    plan = out / red[-1]["plan_file"]
    driven = counterpart(
        "run", "--plan", str(plan), *wrong, "--out", str(tmp_path / "again"), cwd=tmp_path
    )
    assert driven.returncode == RED
    assert [row["signature"] for row in lines(tmp_path / "again", "exec")] == [signature]
    healthy = counterpart(
        "run", "--plan", str(plan), *cpp(), "--out", str(tmp_path / "healthy"), cwd=tmp_path
    )
    assert healthy.returncode == OK, healthy.stdout

    shrunk = counterpart(
        "shrink",
        str(out / red[-1]["trace"]),
        *wrong,
        "--out",
        str(tmp_path / "plan.yaml"),
        "--format",
        "json",
        cwd=tmp_path,
    )
    assert shrunk.returncode == OK, shrunk.stderr
    said = json.loads(shrunk.stdout)
    assert said["signature"] == signature
    # A Request that is written whole, and nobody hears of: the first cut that can show it.
    assert said["faults"] == ["rst after frame 5 of the harness on link 1"]
    assert said["reproduced"] == said["of"] == 20
    assert "rst after frame 5" in (tmp_path / "plan.yaml").read_text()


def test_a_killed_exploration_goes_on_where_it_was(tmp_path: Path) -> None:
    """No finished run is lost, none is run twice, and the whole is that of one sitting."""
    command = ["explore", ECHO, *cpp(), "--seed", "7", "--jobs", "1", "--lanes", "2"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert counterpart(*command, "--out", str(whole), cwd=tmp_path).returncode == OK

    killed = 0
    for wanted in (4, 9, 15):
        resumed = ["--resume", str(cut)] if killed else ["--out", str(cut)]
        with subprocess.Popen(
            [PROGRAM, *command, *resumed],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while process.poll() is None:
                path = cut / "run.jsonl"
                if path.exists() and path.read_text().count('\n{"exec":') >= wanted:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            killed += process.wait() == -signal.SIGKILL
        assert killed, "it was killed at least once in the middle"
    kept = (cut / "run.jsonl").read_text()
    ended = counterpart(*command, "--resume", str(cut), cwd=tmp_path)
    assert ended.returncode == OK, ended.stderr
    assert plans(cut) == plans(whole)
    finished = kept[: kept.rindex("\n") + 1]
    assert (cut / "run.jsonl").read_text().startswith(finished.split('{"cell":')[0])
    assert len(lines(cut, "footer")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explore", ECHO, "--faults", "rst,flood"], "'flood' is none of rst, fin, half_close"),
        (
            ["explore", "*_conduit_stable::**::stable_frames_are_*"],
            "nothing to explore in any cell that matches; of the first: it changes the links",
        ),
        (["explore", ECHO, "--resume", "nowhere"], "nowhere/run.jsonl: cannot read"),
        (["run", "--plan", "nowhere.yaml"], "cannot read the plan nowhere.yaml"),
        (["run", ECHO, "--plan", "nowhere.yaml"], "--plan names its own cell"),
        (["shrink", "nowhere.jsonl"], "nowhere.jsonl: cannot read"),
        (["coverage", "nowhere"], "nowhere: cannot read"),
    ],
)
def test_wrong_input_is_named(words: list[str], said: str, tmp_path: Path) -> None:
    """One sentence, exit 2."""
    subject = [] if words[0] == "coverage" else cpp()
    ended = counterpart(*words, *subject, cwd=tmp_path)
    assert ended.returncode == USAGE, ended.stderr
    assert said in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cell: x\nseed: 1\n", ":1:1: the plan needs `faults`"),
        ("cell: x\nseed: 1\nfaults: []\nwhy: 2\n", ":4:1: a plan has no `why`"),
        ("cell: x\nseed: 1\nfaults:\n  - rst now\n", ":4:5: 'rst now' is no fault; expected"),
        ("cell: x\nseed: one\nfaults: []\n", ":2:7: bad conversion"),
        ("cell: [x\n", ":2:1: "),
        ("cell: x\nseed: 1\nfaults: []\n", ": there is no cell x"),
        (
            f"cell: '{STABLE}'\nseed: 1\n"
            "faults:\n  - sigkill after frame 5 of the harness on link 1\n",
            ": sigkill is not for the links of a stable conduit",
        ),
        (
            "cell: '*_stable::direction_harness_to_subject::stable_frames_*'\nseed: 1\n"
            "faults:\n  - rst after frame 5 of the harness on link 1\n",
            ": lang_cpp_transport_tcp_conduit_stable::direction_harness_to_subject::"
            "stable_frames_are_numbered_and_acknowledged takes no plan: it changes the links",
        ),
        (
            "cell: lang_cpp_*::**::persist_outlives_its_session\nseed: 1\n"
            "faults:\n  - rst after frame 5 of the harness on link 1\n",
            ": lang_cpp_transport_tcp::direction_harness_to_subject::persist_outlives_its_session "
            "takes no plan: it asks in one session for what another has run",
        ),
        (
            f"cell: {ECHO.replace('direction_harness_to_subject', '**')}\nseed: 1\n"
            "faults:\n  - rst after frame 5 of the server on link 1\n",
            ": 'rst after frame 5 of the server on link 1' is for two subjects, and lang_cpp_",
        ),
    ],
)
def test_a_broken_plan_is_named_by_line_and_column(text: str, said: str, tmp_path: Path) -> None:
    """As a text editor counts them."""
    (tmp_path / "plan.yaml").write_text(text)
    ended = counterpart("run", "--plan", "plan.yaml", *cpp(), cwd=tmp_path)
    assert ended.returncode == USAGE
    assert f"plan.yaml{said}" in ended.stderr, ended.stderr


def test_another_command_cannot_go_on_with_a_campaign(tmp_path: Path) -> None:
    """It says what that campaign was."""
    out = str(tmp_path / "out")
    counterpart("run", ECHO, *cpp(), "--seed", "3", "--out", out, cwd=tmp_path)
    ended = counterpart("run", ECHO, *cpp(), "--seed", "4", "--resume", out, cwd=tmp_path)
    assert ended.returncode == USAGE
    assert "--seed 3" in ended.stderr
    assert "give the same command" in ended.stderr
