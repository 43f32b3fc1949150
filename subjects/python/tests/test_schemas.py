"""Type ids against the golden vectors; strict announcements; compatibility."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from counterpart.testbed.v1 import testbed_pb2
from counterpart.wire.v1 import wire_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from runtime.canonical import Type, describe, incompatibility, type_ids
from runtime.schemas import Announcer, Tracker
from runtime.service import Catalogue, methods_of
from runtime.wire import Violation

SPEC = Path(__file__).resolve().parents[3] / "spec" / "vectors" / "schema_ids.yaml"
VECTORS = yaml.safe_load(SPEC.read_text())
METHODS = methods_of(testbed_pb2.DESCRIPTOR.services_by_name["Testbed"])
TRANSFORM = METHODS["counterpart.testbed.v1.Testbed/Transform"]
ECHO = METHODS["counterpart.testbed.v1.Testbed/Echo"]


@pytest.fixture(scope="module")
def all_ids() -> dict[str, int]:
    recursive = text_format.Parse(VECTORS["recursive_file"], descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    files = [pool.AddSerializedFile(recursive.SerializeToString())]
    files += [wire_pb2.DESCRIPTOR, testbed_pb2.DESCRIPTOR]
    types: dict[str, Type] = {}
    for file in files:
        for message in file.message_types_by_name.values():
            types.update(describe(message))
    return type_ids(types, {})


@pytest.mark.parametrize("entry", VECTORS["types"], ids=lambda entry: entry["type"])
def test_type_id(entry: dict, all_ids: dict[str, int]) -> None:
    if entry["type"] in all_ids:  # enums that no message uses are no schema types here
        assert all_ids[entry["type"]] == int(entry["id"], 16)


def test_most_vectors_are_covered(all_ids: dict[str, int]) -> None:
    missing = {entry["type"] for entry in VECTORS["types"]} - set(all_ids)
    assert all("Role" in name or "Direction" in name or "Parity" in name for name in missing)


def announced(method=TRANSFORM) -> wire_pb2.Schema:
    schema = Announcer(Catalogue()).arguments(method)
    assert schema is not None
    return schema


def refusal(*schemas: wire_pb2.Schema) -> str:
    tracker = Tracker(Catalogue(), METHODS)
    with pytest.raises(Violation) as caught:
        for schema in schemas:
            tracker.learn(schema)
    return wire_pb2.ProtocolErrorCode.Name(caught.value.code)


def test_what_is_announced_is_understood_once() -> None:
    tracker = Tracker(Catalogue(), METHODS)
    tracker.learn(announced())
    assert tracker.bound(TRANSFORM.name, wire_pb2.BINDING_ROLE_ARGUMENTS).mismatch is None
    assert tracker.bound(TRANSFORM.name, wire_pb2.BINDING_ROLE_CHANNEL, 3).mismatch is None
    with pytest.raises(Violation):  # the other direction is announced by the other side
        tracker.bound(TRANSFORM.name, wire_pb2.BINDING_ROLE_CHANNEL, 4)


def test_types_and_bindings_are_announced_once() -> None:
    announcer = Announcer(Catalogue())
    first, second = announcer.arguments(ECHO), announcer.arguments(TRANSFORM)
    assert announcer.arguments(ECHO) is None
    assert not {t.type_id for t in first.types} & {t.type_id for t in second.types}


def test_a_type_follows_the_types_it_refers_to() -> None:
    known = set()
    for one in announced().types:
        assert {field.type_id for field in one.message.fields} <= known | {0}
        known.add(one.type_id)


def test_twice_is_a_duplicate() -> None:
    assert refusal(announced(), announced()).endswith("SCHEMA_DUPLICATE")
    rebound = announced()
    del rebound.types[:]
    assert refusal(announced(), rebound).endswith("SCHEMA_DUPLICATE")


def test_a_wrong_description_is_invalid() -> None:
    schema = announced()
    schema.types[-1].full_name += "x"
    assert refusal(schema).endswith("SCHEMA_INVALID")


def test_an_unannounced_type_is_missing() -> None:
    schema = announced()
    del schema.types[0]
    assert refusal(schema).endswith("SCHEMA_MISSING")
    schema = announced()
    del schema.types[:]
    assert refusal(schema).endswith("SCHEMA_MISSING")


def test_another_initial_credit_is_a_mismatch() -> None:
    schema = announced()
    schema.bindings[1].initial_credit += 1
    tracker = Tracker(Catalogue(), METHODS)
    tracker.learn(schema)
    mismatch = tracker.mismatch(TRANSFORM.name, wire_pb2.BINDING_ROLE_CHANNEL, 3)
    assert mismatch is not None and "initial credit" in mismatch


def compare(change) -> str | None:
    """Number as another program could describe it, read as ours."""
    ours = describe(testbed_pb2.Number.DESCRIPTOR)
    (number,) = ours.values()
    return incompatibility({1: change(number)}, 1, ours, number.full_name)


def test_compatibility_is_by_number_kind_and_cardinality() -> None:
    field = testbed_pb2.Number.DESCRIPTOR.fields[0]
    assert field.name == "value"
    one = lambda number, **change: replace(  # noqa: E731
        number, fields=tuple(replace(f, **change) for f in number.fields)
    )
    assert compare(lambda number: number) is None
    assert compare(lambda number: one(number, name="renamed")) is None
    assert compare(lambda number: replace(number, fields=())) is None
    assert "value" in (compare(lambda number: one(number, kind=3)) or "")
    assert "value" in (compare(lambda number: one(number, cardinality=3)) or "")


def test_a_required_field_must_be_announced() -> None:
    ours = describe(testbed_pb2.Number.DESCRIPTOR)
    (name, number), *_ = ours.items()
    strict = replace(number, fields=tuple(replace(f, required=True) for f in number.fields))
    lacking = replace(number, fields=())
    assert "required" in (incompatibility({1: lacking}, 1, {name: strict}, name) or "")
