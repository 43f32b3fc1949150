"""The state machines are well formed: spec/machines/README.md says what that means."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec"
FILES = sorted((SPEC / "machines").glob("*.yaml"))


def load(path: pathlib.Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(params=FILES, ids=lambda p: p.stem)
def machine(request) -> dict:
    return load(request.param) | {"file": request.param}


def states(machine: dict) -> set[str]:
    rows = machine["transitions"]
    return {row["from"] for row in rows} | {row["to"] for row in rows} | {machine["initial"]}


def test_there_is_one_file_per_machine_of_the_journal():
    proto = (SPEC / "proto/counterpart/control/v1/control.proto").read_text(encoding="utf-8")
    enum = re.search(r"enum Machine \{(.*?)\n\}", proto, re.DOTALL)
    assert enum is not None
    names = {n.lower() for n in re.findall(r"MACHINE_(\w+) =", enum[1])} - {"unspecified"}
    assert {path.stem for path in FILES} == names


def test_keys(machine: dict):
    assert set(machine) - {"file"} == {"machine", "rule", "initial", "final", "transitions"}
    assert machine["machine"] == machine["file"].stem
    for row in machine["transitions"]:
        assert {"from", "event", "to"} <= set(row) <= {"from", "event", "to", "note"}, row


def test_names(machine: dict):
    for state in states(machine):
        assert re.fullmatch(r"[A-Z][A-Za-z]+", state), state
    for row in machine["transitions"]:
        assert re.fullmatch(r"[a-z][a-z_]+", row["event"]), row


def test_transitions_are_deterministic(machine: dict):
    pairs = [(row["from"], row["event"]) for row in machine["transitions"]]
    assert [p for p in pairs if pairs.count(p) > 1] == []


def test_every_state_is_reachable(machine: dict):
    reached, todo = {machine["initial"]}, [machine["initial"]]
    while todo:
        state = todo.pop()
        for row in machine["transitions"]:
            if row["from"] == state and row["to"] not in reached:
                reached.add(row["to"])
                todo.append(row["to"])
    assert states(machine) - reached == set()


def test_a_final_state_can_be_reached_from_everywhere(machine: dict):
    final = set(machine["final"])
    assert final <= states(machine)
    ending, grown = set(final), True
    while grown and final:
        grown = False
        for row in machine["transitions"]:
            if row["to"] in ending and row["from"] not in ending:
                ending.add(row["from"])
                grown = True
    assert not final or states(machine) - ending == set()


def test_rule_exists(machine: dict):
    rules = "\n".join(p.read_text(encoding="utf-8") for p in (SPEC / "rules").glob("*.md"))
    assert f"\nr[{machine['rule']}]\n" in rules
