"""Type descriptions and their canonical ids.  r[schema.type-id.canonical]. Pure.

A description lists a message's fields or an enum's values. References to other types are opaque
keys: full names for types of this program, announced ids for those of a counterpart; the same
functions serve both. Ids of types that refer to each other in a cycle are found per strongly
connected component.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from counterpart.testbed.v1 import testbed_pb2
from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor

Key = TypeVar("Key", bound=Hashable)

_MEMBER_REFERENCE = 1 << 63  # marks an index inside the component instead of a type id


@dataclass(frozen=True)
class Field:
    """One field. `oneof_index` is 1-based, 0 in none; `reference` is None for scalars.

    `required` is this program's own wish and no part of the id.
    """

    number: int
    name: str
    cardinality: int
    kind: int
    oneof_index: int
    reference: Hashable | None
    required: bool = False


@dataclass(frozen=True)
class Type:
    """A message (`fields` by ascending number) or an enum (`values` by number, then name)."""

    full_name: str
    fields: tuple[Field, ...] = ()
    values: tuple[tuple[int, str], ...] | None = None

    @property
    def references(self) -> list[Hashable]:
        """Keys of the types this one mentions."""
        return [field.reference for field in self.fields if field.reference is not None]


# ---------------------------------------------------------------- from descriptors


def describe(root: Descriptor) -> dict[str, Type]:
    """`root` and every type it reaches, by full name, dependencies first (cycles aside)."""
    found: dict[str, Type] = {}
    entered: set[str] = set()

    def visit(descriptor: Descriptor | EnumDescriptor) -> None:
        if descriptor.full_name in entered:
            return
        entered.add(descriptor.full_name)
        if isinstance(descriptor, EnumDescriptor):
            values = sorted((value.number, value.name) for value in descriptor.values)
            found[descriptor.full_name] = Type(descriptor.full_name, values=tuple(values))
            return
        for field in sorted(descriptor.fields, key=lambda field: field.number):
            if field.message_type or field.enum_type:
                visit(field.message_type or field.enum_type)
        found[descriptor.full_name] = Type(descriptor.full_name, _fields(descriptor))

    visit(root)
    return found


def _fields(descriptor: Descriptor) -> tuple[Field, ...]:
    proto = descriptor_pb2.DescriptorProto()
    descriptor.CopyToProto(proto)
    required = {
        field.number
        for field in descriptor.fields
        if field.GetOptions().Extensions[testbed_pb2.required]
    }
    return tuple(
        Field(
            number=field.number,
            name=field.name,
            cardinality=_cardinality(field),
            kind=field.type,
            oneof_index=field.oneof_index + 1 if _in_real_oneof(field) else 0,
            reference=field.type_name.lstrip(".") or None,
            required=field.number in required,
        )
        for field in sorted(proto.field, key=lambda field: field.number)
    )


def _in_real_oneof(field: descriptor_pb2.FieldDescriptorProto) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def _cardinality(field: descriptor_pb2.FieldDescriptorProto) -> int:
    if field.label == descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED:
        return pb.CARDINALITY_REPEATED
    has_presence = (
        field.HasField("oneof_index")
        or field.type == descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    )
    return pb.CARDINALITY_OPTIONAL if has_presence else pb.CARDINALITY_IMPLICIT


# ---------------------------------------------------------------- ids


def type_ids(types: Mapping[Key, Type], known: Mapping[Key, int]) -> dict[Key, int]:
    """The canonical id of each of `types`; `known` holds those of types they may refer to.

    Raises KeyError for a reference to a type that is in neither.
    """
    ids: dict[Key, int] = dict(known)
    for component in _components(types):
        first = component[0]
        if len(component) == 1 and first not in types[first].references:
            ids[first] = _first_eight(sha256(_encode(types[first], ids)).digest())
            continue
        members = sorted(component, key=lambda key: types[key].full_name)
        inside = {key: _MEMBER_REFERENCE | index for index, key in enumerate(members)}
        group = b"G" + struct.pack("<I", len(members))
        group += b"".join(_encode(types[key], {**ids, **inside}) for key in members)
        group_hash = sha256(group).digest()
        for index, key in enumerate(members):
            ids[key] = _first_eight(sha256(group_hash + struct.pack("<I", index)).digest())
    return {key: ids[key] for key in types}


def _first_eight(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<I", len(encoded)) + encoded


def _encode(described: Type, ids: Mapping[Hashable, int]) -> bytes:
    if described.values is not None:
        head = b"E" + _text(described.full_name) + struct.pack("<I", len(described.values))
        return head + b"".join(
            struct.pack("<i", number) + _text(name) for number, name in described.values
        )
    head = b"M" + _text(described.full_name) + struct.pack("<I", len(described.fields))
    return head + b"".join(
        struct.pack("<I", field.number)
        + _text(field.name)
        + struct.pack("<BB", field.cardinality & 0xFF, field.kind & 0xFF)
        + struct.pack("<I", field.oneof_index)
        + struct.pack("<Q", 0 if field.reference is None else ids[field.reference])
        for field in described.fields
    )


def _components(types: Mapping[Key, Type]) -> Iterator[list[Key]]:
    """Strongly connected components, dependencies first (Tarjan, without recursion: the graph
    may be a counterpart's)."""
    order: dict[Key, int] = {}
    low: dict[Key, int] = {}
    stack: list[Key] = []
    on_stack: set[Key] = set()
    for root in types:
        if root in order:
            continue
        work = [(root, iter(types[root].references))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, references = work[-1]
            for target in references:
                if target not in types:
                    continue
                if target not in order:
                    order[target] = low[target] = len(order)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(types[target].references)))
                    break
                if target in on_stack:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    yield component


# ---------------------------------------------------------------- compatibility


def incompatibility(
    theirs: Mapping[int, Type], their_id: int, ours: Mapping[str, Type], our_name: str
) -> str | None:
    """Why values of their type cannot be read as ours; None if they can.  r[schema.compat]

    Fields match by number; kind and cardinality must be equal; a required field of ours must
    exist in theirs.
    """
    seen: set[tuple[int, str]] = set()
    work = [(their_id, our_name)]
    while work:
        pair = work.pop()
        if pair in seen:
            continue
        seen.add(pair)
        sent, read = theirs[pair[0]], ours[pair[1]]
        if (sent.values is None) != (read.values is None):
            return f"{read.full_name}: one side has a message, the other an enum"
        sent_fields = {field.number: field for field in sent.fields}
        for field in read.fields:
            other = sent_fields.get(field.number)
            if other is None:
                if field.required:
                    return f"{read.full_name}.{field.name}: required, and {sent.full_name} lacks it"
                continue
            if (other.kind, other.cardinality) != (field.kind, field.cardinality):
                return (
                    f"{read.full_name}.{field.name}: kind {field.kind}/{field.cardinality} here, "
                    f"{other.kind}/{other.cardinality} in {sent.full_name}"
                )
            if isinstance(field.reference, str) and isinstance(other.reference, int):
                work.append((other.reference, field.reference))
    return None
