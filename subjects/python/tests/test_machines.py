"""The tables equal those of spec/machines, and a machine journals before it moves."""

from pathlib import Path

import pytest
import yaml

from runtime.machines import CHANNEL_RECEIVER, TABLES, Machine, Table

SPEC = Path(__file__).resolve().parents[3] / "spec" / "machines"


def test_every_machine_of_the_spec_has_a_table() -> None:
    assert {table.machine for table in TABLES} == {path.stem for path in SPEC.glob("*.yaml")}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.machine)
def test_table_equals_the_spec(table: Table) -> None:
    spec = yaml.safe_load((SPEC / f"{table.machine}.yaml").read_text())
    assert spec["machine"] == table.machine
    assert spec["initial"] == table.initial
    assert set(spec["final"]) == table.final
    assert {(row["from"], row["event"]): row["to"] for row in spec["transitions"]} == table.rows


def test_a_step_is_journalled_before_it_is_made() -> None:
    seen = []
    machine = Machine(CHANNEL_RECEIVER, 7, lambda step: seen.append((step, machine.state)))
    assert machine.step("bind")
    step, state_then = seen[0]
    assert (step.key, step.from_state, step.to_state, step.invalid) == (
        7,
        "Reserved",
        "Open",
        False,
    )
    assert state_then == "Reserved"
    assert machine.state == "Open"


def test_an_event_without_a_row_is_journalled_and_moves_nothing() -> None:
    seen = []
    machine = Machine(CHANNEL_RECEIVER, 7, seen.append)
    assert not machine.step("delivered_all")
    assert machine.state == "Reserved"
    assert seen[0].invalid and seen[0].to_state == "Reserved"
