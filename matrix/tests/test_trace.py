"""trace and replay at the command line, over kept traces and live subjects."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/harness/counterpart"
SUBJECT = ROOT / "build/subjects/cpp/subject_cpp"
PYTHON_SUBJECT = ROOT / "subjects/python/subject"
CORPUS = ROOT / "matrix/corpus"
GREEN = CORPUS / "traces/green_cpp_echo_called.jsonl"
RED = CORPUS / "traces/red_cpp_double_response.jsonl"
PAIR = CORPUS / "traces/pair_cpp_python_echo.jsonl"
# So that a hang of the program is a failure here; nothing waits for it otherwise.
BACKSTOP_SECONDS = 200

OK, RED_RUN, USAGE, NOT_THE_SAME = 0, 1, 2, 4


def counterpart(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BACKSTOP_SECONDS,
        check=False,
    )


def cpp(mutant: str = "") -> list[str]:
    """Name the C++ subject, or one of its mutants."""
    return ["--subject", f"cpp={SUBJECT}" + (f" --mutant {mutant}" if mutant else "")]


def rows(trace: Path) -> list[dict[str, Any]]:
    """Lines of a trace."""
    return [json.loads(line) for line in trace.read_text().splitlines()]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Lines into a trace."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def digest(data: bytes) -> str:
    """FNV-1a, 64 bit."""
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return f"{value:016x}"


# ---------------------------------------------------------------- trace


def test_show_is_aligned_and_whole() -> None:
    """Every entry in its line, header and verdict around them."""
    ended = counterpart("trace", "show", GREEN)
    assert ended.returncode == OK, ended.stderr
    head, *_ = rows(GREEN)
    assert head["header"]["cell"] in ended.stdout
    table = [line for line in ended.stdout.splitlines() if line[2:8].strip().isdigit()]
    assert [int(line[2:8]) for line in table] == list(range(len(rows(GREEN)) - 2))
    assert len({line.index(arrow) for line in table for arrow in ("->", "<-", "--")
                if arrow in line[:46]}) == 1  # fmt: skip
    assert "verdict: pass" in ended.stdout
    assert "Request #1 Echo" in ended.stdout


def test_show_filters_decodes_and_marks(tmp_path: Path) -> None:
    """Filters take entries away, --decode shows the fields of frames, ! marks what was cut."""
    faulted = CORPUS / "traces/faulted_cpp_echo_rst_behind_request.jsonl"
    marked = counterpart("trace", "show", faulted, "--faults").stdout.splitlines()
    assert any(line.startswith("! ") and " rst " in line for line in marked)
    assert not any(" Hello" in line for line in marked)
    one = counterpart("trace", "show", GREEN, "--grep", "Request #1", "--decode").stdout
    assert 'message.request.method = "counterpart.testbed.v1.Testbed/Echo"' in one
    sides = counterpart("trace", "show", GREEN, "--side", "subject", "--edge", "link*").stdout
    assert "TransportAccept" in sides
    assert "TransportHello" not in sides
    lines = counterpart("trace", "show", GREEN, "--format", "json", "--entries", "3-4").stdout
    shown = [json.loads(line) for line in lines.splitlines()]
    assert [row["entry"]["index"] for row in shown if "entry" in row] == ["3", "4"]
    assert "header" in shown[0] and "footer" in shown[-1]


def test_show_reads_a_pipe_line_by_line() -> None:
    """What was said so far is shown before the rest is there."""
    text = GREEN.read_text().splitlines(keepends=True)
    with subprocess.Popen(
        [PROGRAM, "trace", "show", "-", "--format", "json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in text[:3]:
            process.stdin.write(line)
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == json.loads(line)
        process.stdin.close()
        assert "cut short: it ends after 2 entries" in process.stderr.read()
        assert process.wait() == USAGE


def test_perfetto_has_a_track_for_each_way() -> None:
    """Harness, wire and subject are processes; the journal is a track of the subject."""
    drawn = json.loads(counterpart("trace", "perfetto", GREEN).stdout)
    names = {
        (event["name"], event["args"]["name"])
        for event in drawn["traceEvents"]
        if event["ph"] == "M"
    }
    assert {name for what, name in names if what == "process_name"} == {
        "harness",
        "wire",
        "subject",
    }
    tracks = {name for what, name in names if what == "thread_name"}
    assert {"link1: harness → subject", "link1: subject → harness", "journal"} <= tracks
    begun = [event["id"] for event in drawn["traceEvents"] if event["ph"] == "b"]
    assert sorted(begun) == sorted(e["id"] for e in drawn["traceEvents"] if e["ph"] == "e")


def test_diff_names_entry_and_field(tmp_path: Path) -> None:
    """Two runs of one seed have one normal form; of another seed, another text."""
    seeds = {"a": "3", "b": "3", "c": "4"}
    for name, seed in seeds.items():
        cell = "lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip"
        words = ["--run-seed", seed, "--keep-traces", "--out", tmp_path / name]
        assert counterpart("run", cell, *cpp(), *words).returncode == OK
    a, b, c = (next((tmp_path / name / "traces").iterdir()) for name in seeds)
    same = counterpart("trace", "diff", a, b)
    assert same.returncode == OK, same.stdout
    assert "the same normal form" in same.stdout
    exact = json.loads(counterpart("trace", "diff", a, b, "--exact", "--format", "json").stdout)
    assert not exact["same"]  # keys and ids are chosen anew
    other = counterpart("trace", "diff", a, c, "--format", "json")
    assert other.returncode == RED_RUN
    first = json.loads(other.stdout)["first_difference"]
    assert first["field"] == "message.request.arguments"
    assert first["a_label"].startswith("write Request #1 Echo")
    assert first["a"] != first["b"]


def cut_short(path: Path) -> Path:
    """Without its footer."""
    return write(path, rows(GREEN)[:-1])


def newer(path: Path) -> Path:
    """Of a format that this program does not know."""
    lines = rows(GREEN)
    lines[0]["header"]["format"] = 2
    return write(path, lines)


def gap(path: Path) -> Path:
    """With an entry missing."""
    lines = rows(GREEN)
    return write(path, lines[:5] + lines[6:])


def report(path: Path) -> Path:
    """A run.jsonl is none."""
    path.write_text('{"header":{"format":1,"counterpart_version":"0.1.0"}}\n')
    return path


def text(path: Path) -> Path:
    """Nor is any other text."""
    path.write_text("once upon a time\n")
    return path


def missing(path: Path) -> Path:
    """Not there."""
    return path


def nothing(path: Path) -> Path:
    """Empty."""
    path.write_text("")
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, "cannot read"),
        (cut_short, "cut short"),
        (newer, ":1: a trace of format 2; this program reads up to 1"),
        (gap, ":6: entry 5 where entry 4 belongs"),
        (report, ":1: the header names no cell"),
        (text, ":1"),
        (nothing, "the trace is empty"),
    ],
)
@pytest.mark.parametrize("verb", ["trace show", "trace diff", "trace perfetto", "replay"])
def test_wrong_files_are_named(make: Any, said: str, verb: str, tmp_path: Path) -> None:
    """One sentence, exit 2."""
    file = make(tmp_path / "t.jsonl")
    ended = counterpart(*verb.split(), file, *([GREEN] if verb == "trace diff" else []))
    assert ended.returncode == USAGE, ended.stdout
    assert said in ended.stderr
    assert "t.jsonl" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


# ---------------------------------------------------------------- replay: judged again


@pytest.mark.parametrize("trace", [GREEN, RED, PAIR])
def test_judged_again_is_the_same(trace: Path) -> None:
    """Verdict, findings and hash."""
    ended = counterpart("replay", trace, "--format", "json")
    assert ended.returncode == OK, ended.stdout
    assert json.loads(ended.stdout)["same"]


@pytest.mark.parametrize("trace", [GREEN, RED, PAIR])
def test_a_changed_byte_is_named_at_its_entry(trace: Path, tmp_path: Path) -> None:
    """Whichever entry it is in, and whichever byte of it."""
    for at, line in enumerate(rows(trace)):
        if "entry" not in line:
            continue
        data = bytearray(base64.b64decode(line["entry"]["data"]))
        data[at % len(data)] ^= 1 << at % 8
        lines = rows(trace)
        lines[at]["entry"]["data"] = base64.b64encode(bytes(data)).decode()
        ended = counterpart("replay", write(tmp_path / "t.jsonl", lines))
        assert ended.returncode == USAGE, ended.stdout
        assert f": line {at + 1}: entry {at - 1} " in ended.stderr, ended.stderr


def test_a_changed_request_is_named_though_its_digest_fits(tmp_path: Path) -> None:
    """Requests are compared whole; the entry, the field and both values are named."""
    lines = rows(GREEN)
    at = next(i for i, row in enumerate(lines) if row.get("entry", {}).get("label") == "LetsGo")
    at = next(i for i in range(at, len(lines)) if "Request #1" in lines[i]["entry"]["label"])
    data = bytearray(base64.b64decode(lines[at]["entry"]["data"]))
    data[data.index(b"Testbed/Echo")] ^= 1
    lines[at]["entry"]["data"] = base64.b64encode(bytes(data)).decode()
    lines[at]["entry"]["digest"] = digest(bytes(data))
    ended = counterpart("replay", write(tmp_path / "t.jsonl", lines), "--format", "json")
    assert ended.returncode == NOT_THE_SAME
    divergence = json.loads(ended.stdout)["divergence"]
    assert divergence["entry"] == at - 1
    assert divergence["field"] == "message.request.method"
    assert divergence["recorded"] == '"counterpart.testbed.v1.Uestbed/Echo"'
    assert divergence["replayed"] == '"counterpart.testbed.v1.Testbed/Echo"'


@pytest.mark.parametrize("field", ["label", "text", "edge"])
def test_another_wording_is_named(field: str, tmp_path: Path) -> None:
    """How an entry reads is compared, too."""
    lines = rows(GREEN)
    lines[7]["entry"][field] = "another"
    ended = counterpart("replay", write(tmp_path / "t.jsonl", lines), "--format", "json")
    assert ended.returncode == NOT_THE_SAME
    divergence = json.loads(ended.stdout)["divergence"]
    assert (divergence["entry"], divergence["field"]) == (6, field)


def test_another_ending_is_named(tmp_path: Path) -> None:
    """Verdict, reason, findings and rules judged are compared with the footer."""
    for field, other in [("verdict", "VERDICT_FAIL"), ("rules_judged", ["rpc.fallible"])]:
        lines = rows(GREEN)
        lines[-1]["footer"][field] = other
        ended = counterpart("replay", write(tmp_path / "t.jsonl", lines), "--format", "json")
        assert ended.returncode == NOT_THE_SAME
        assert json.loads(ended.stdout)["outcome"]["field"].startswith(field)


# ---------------------------------------------------------------- replay: driven again


def test_driven_again_takes_the_same_course() -> None:
    """Of the subject it was recorded of."""
    ended = counterpart("replay", GREEN, "--redrive", "--runs", "3", *cpp(), "--format", "json")
    assert ended.returncode == OK, ended.stdout + ended.stderr
    said = json.loads(ended.stdout)
    assert said["runs"] == said["reproduced"] == said["same_course"] == 3


def test_driven_again_names_where_another_subject_leaves_it() -> None:
    """A mutant in place of the subject: how often, what instead, and the first divergence."""
    ended = counterpart("replay", RED, "--redrive", "--runs", "2", *cpp(), "--format", "json")
    assert ended.returncode == RED_RUN, ended.stderr
    said = json.loads(ended.stdout)
    assert said["reproduced"] == 0
    assert said["endings"] == {"pass": 2}
    assert said["divergence"]["recorded_label"].startswith("payload Response #1")
    assert said["divergence"]["replayed_label"] == "payload Goodbye"
    again = counterpart(
        "replay", RED, "--redrive", "--runs", "2", *cpp("double_response"), "--format", "json"
    )
    assert again.returncode == OK, again.stdout


# ---------------------------------------------------------------- replay: impersonated


@pytest.mark.parametrize("trace", ["green_cpp_echo_called", "red_cpp_double_response",
                                   "resumed_cpp_sealed_outcome", "red_cpp_crashes_at_close",
                                   "faulted_cpp_echo_rst_behind_request"])  # fmt: skip
def test_a_recording_plays_before_the_live_harness(trace: str) -> None:
    """Same verdict, all of it played, no request another."""
    ended = counterpart(
        "replay", CORPUS / f"traces/{trace}.jsonl", "--impersonate", "cpp", "--format", "json"
    )
    assert ended.returncode == OK, ended.stdout + ended.stderr
    said = json.loads(ended.stdout)
    assert said["now"] == said["recorded"]
    assert "divergence" not in said


@pytest.mark.parametrize(
    ("recorded", "live"), [("cpp", f"python={PYTHON_SUBJECT}"), ("python", f"cpp={SUBJECT}")]
)
def test_a_recording_is_the_peer_of_a_live_subject(recorded: str, live: str) -> None:
    """As server and as client; what the live side chooses anew is translated."""
    words = ["--impersonate", recorded, "--subject", live, "--format", "json"]
    ended = counterpart("replay", PAIR, *words)
    assert ended.returncode == OK, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["now"] == "pass"


@pytest.mark.parametrize(
    ("trace", "shape"),
    [
        ("green_cpp_echo_called", "1:4"),  # prologue, handshake, call, Goodbye
        ("resumed_cpp_sealed_outcome", "2:7"),
        ("green_cpp_prologue_rejects", "4:8"),
    ],
)
def test_the_floor_of_a_benchmark_does_what_a_run_does(trace: str, shape: str) -> None:
    """The connects and round trips of a bare loop are those of the trace."""
    counted = subprocess.run(
        [sys.executable, ROOT / "harness/bench/shape.py", CORPUS / f"traces/{trace}.jsonl"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert counted.stdout == f"{shape}\n"


def test_what_a_live_subject_does_otherwise_is_named() -> None:
    """A client of wrong parity beside the recorded server: the entry and field it leaves it at."""
    words = ["--impersonate", "cpp", "--with", "cpp", *cpp("wrong_parity"), "--format", "json"]
    ended = counterpart("replay", PAIR, *words)
    assert ended.returncode == RED_RUN, ended.stdout + ended.stderr
    said = json.loads(ended.stdout)
    assert said["now"].startswith("fail")
    assert said["divergence"]["edge"].endswith(".out")
    assert "entry" in said["divergence"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--impersonate", "rust"], "is of cpp and python"),
        (["--impersonate", "cpp", "--with", "nobody"], "there is no such subject"),
        (["--impersonate", "cpp", "--redrive"], "choose one"),
        (["--redrive", "--subject", f"other={SUBJECT}"], "there is no cell"),
    ],
)
def test_wrong_words_are_named(words: list[str], said: str) -> None:
    """One sentence, exit 2."""
    ended = counterpart("replay", PAIR, *words)
    assert ended.returncode == USAGE, ended.stdout
    assert said in ended.stderr


# ---------------------------------------------------------------- the corpus


def test_the_corpus_has_one_of_each_kind() -> None:
    """Every verdict a subject can come to, each subject, two of them, resumed, faulted."""
    recipes = yaml.safe_load((CORPUS / "recipes.yaml").read_text())["traces"]
    assert 45 <= len(recipes) <= 60
    assert {f"{row['name']}.jsonl" for row in recipes} == {
        path.name for path in (CORPUS / "traces").iterdir()
    }
    footers = {row["name"]: rows(CORPUS / f"traces/{row['name']}.jsonl")[-1] for row in recipes}
    for row in recipes:
        footer = footers[row["name"]]["footer"]
        assert footer["verdict"] == f"VERDICT_{row.get('verdict', 'pass').upper()}"
        assert footer.get("rule", "") == row.get("rule", "")
    groups = {row["rule"].split(".")[0] for row in recipes if row.get("rule")}
    assert {"rpc", "retry", "session", "transport", "link", "schema", "control"} <= groups
    for subject in ("cpp", "python", "rust", "swift"):
        assert any(row["cell"].startswith(f"lang_{subject}_transport") for row in recipes)
    size = sum(path.stat().st_size for path in (CORPUS / "traces").iterdir())
    assert size < 3 << 20


# ---------------------------------------------------------------- shrink


def test_shrink_finds_smaller_numbers(tmp_path: Path) -> None:
    """Without any planned fault: the seed by which the scenario draws least and still fails."""
    cell = "lang_cpp_*::direction_subject_to_harness::session_resume_gives_up_at_the_limit"
    wrong = cpp("one_dial_too_many")
    words = ["--seed", "5", "--out", tmp_path]
    assert counterpart("run", cell, *wrong, *words).returncode == RED_RUN
    trace = next((tmp_path / "traces").iterdir())
    plan = tmp_path / "plan.yaml"
    ended = counterpart(
        "shrink", trace, *wrong, "--tries", "1", "--proof", "3", "--out", plan, "--format", "json"
    )
    assert ended.returncode == OK, ended.stderr
    said = json.loads(ended.stdout)
    assert said["faults"] == []
    assert "dials: 0 of 4" in said["choices"]
    assert said["reproduced"] == said["of"] == 3
    assert yaml.safe_load(plan.read_text())["faults"] == []
