"""Strict schema exchange, per attachment and sender.  r[schema.tracking.sender]

`Announcer` says which types and bindings still have to be announced before a message may be sent;
`Tracker` holds what the counterpart announced, refuses what was announced twice, used before or
described wrongly, and finds incompatible types when they arrive. Both start from nothing on every
attachment (r[session.resume.schemas]).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.descriptor import Descriptor

from runtime.canonical import Field, Type, incompatibility, type_ids
from runtime.service import Catalogue, Method
from runtime.wire import Violation

TYPES_PER_ATTACHMENT = 1 << 14
BINDINGS_PER_ATTACHMENT = 1 << 14

BindingKey = tuple[str, int, int]  # method, role, channel field


# ---------------------------------------------------------------- what we announce


class Announcer:
    """What this side announced on one attachment."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._types: set[str] = set()
        self._bindings: set[BindingKey] = set()

    def arguments(self, method: Method) -> pb.Schema | None:
        """What a Request of `method` still needs: its arguments, and the items it will send."""
        schema = pb.Schema()
        self._bind(
            schema,
            pb.Binding(method=method.name, role=pb.BINDING_ROLE_ARGUMENTS),
            method.request.DESCRIPTOR,
        )
        for field_number in (channel.field_number for channel in method.channels):
            self._channel(schema, method, field_number, to_callee=True)
        return schema if schema.bindings else None

    def response(self, method: Method) -> pb.Schema | None:
        """What an ok or user error Response of `method` still needs."""
        schema = pb.Schema()
        binding = pb.Binding(method=method.name, role=pb.BINDING_ROLE_RESPONSE)
        if method.error is not None:
            binding.error_type_id = self._catalogue.add(method.error)
        self._bind(schema, binding, method.response, method.error)
        return schema if schema.bindings else None

    def items(self, method: Method, field_number: int) -> pb.Schema | None:
        """What the callee's first item on a channel argument still needs."""
        schema = pb.Schema()
        self._channel(schema, method, field_number, to_callee=False)
        return schema if schema.bindings else None

    def _channel(self, schema: pb.Schema, method: Method, number: int, to_callee: bool) -> None:
        for channel in method.channels:
            if channel.field_number == number and channel.to_callee == to_callee:
                binding = pb.Binding(
                    method=method.name,
                    role=pb.BINDING_ROLE_CHANNEL,
                    channel_field=number,
                    initial_credit=channel.initial_credit,
                )
                self._bind(schema, binding, channel.item)

    def _bind(self, schema: pb.Schema, binding: pb.Binding, *roots: Descriptor | None) -> None:
        # r[schema.principles.once-per-type]
        key = (binding.method, binding.role, binding.channel_field)
        if key in self._bindings or roots[0] is None:
            return
        self._bindings.add(key)
        for root in roots:
            if root is not None:
                schema.types.extend(self._new_types(root))
        binding.type_id = self._catalogue.add(roots[0])
        schema.bindings.append(binding)

    def _new_types(self, root: Descriptor) -> list[pb.TypeSchema]:
        names = [name for name in self._catalogue.closure(root) if name not in self._types]
        self._types.update(names)
        return [
            type_schema(self._catalogue.types[name], self._catalogue.ids[name], self._catalogue.ids)
            for name in names
        ]


def type_schema(described: Type, type_id: int, ids: Mapping[str, int]) -> pb.TypeSchema:
    """The announcement of one type of this program."""
    schema = pb.TypeSchema(type_id=type_id, full_name=described.full_name)
    if described.values is not None:
        schema.enum.SetInParent()
        for number, name in described.values:
            schema.enum.values.add(number=number, name=name)
        return schema
    schema.message.SetInParent()
    for field in described.fields:
        schema.message.fields.add(
            number=field.number,
            name=field.name,
            cardinality=field.cardinality,
            kind=field.kind,
            oneof_index=field.oneof_index,
            type_id=ids[field.reference] if isinstance(field.reference, str) else 0,
        )
    return schema


# ---------------------------------------------------------------- what the counterpart announces


@dataclass(frozen=True)
class Bound:
    """A binding of the counterpart; `mismatch` says why its values cannot be read here."""

    mismatch: str | None
    has_error: bool


class Tracker:
    """What the counterpart announced on one attachment."""

    def __init__(self, catalogue: Catalogue, methods: Mapping[str, Method]) -> None:
        self._catalogue = catalogue
        self._methods = methods
        self._types: dict[int, Type] = {}
        self._bindings: dict[BindingKey, Bound] = {}

    def learn(self, schema: pb.Schema) -> None:
        """Take in one announcement. Raises Violation."""
        announced = self._new_types(schema)
        known = {type_id: type_id for type_id in self._types}
        try:
            computed = type_ids(announced, known)
        except KeyError as error:
            raise _violation("MISSING", f"type {error} was not announced") from error
        for type_id, described in announced.items():
            if computed[type_id] != type_id:
                raise _violation(
                    "INVALID",
                    f"{described.full_name} was announced as {type_id:016x}, "
                    f"its description has {computed[type_id]:016x}",
                    "schema.type-id",
                )
        self._types.update(announced)
        for binding in schema.bindings:
            self._bind(binding)

    def bound(self, method: str, role: int, channel_field: int = 0) -> Bound:
        """The binding something that just arrived depends on. Raises Violation if missing."""
        found = self._bindings.get((method, role, channel_field))
        if found is None:  # r[schema.exchange.required]
            raise _violation(
                "MISSING",
                f"{method}: {pb.BindingRole.Name(role)} {channel_field} was not announced",
            )
        return found

    def mismatch(self, method: str, role: int, channel_field: int = 0) -> str | None:
        """The incompatibility found when the binding arrived, if both happened."""
        found = self._bindings.get((method, role, channel_field))
        return found.mismatch if found else None

    def _new_types(self, schema: pb.Schema) -> dict[int, Type]:
        announced: dict[int, Type] = {}
        for one in schema.types:
            if one.type_id in self._types or one.type_id in announced:
                raise _violation(
                    "DUPLICATE", f"{one.full_name} was announced twice",
                    "schema.principles.once-per-type",
                )  # fmt: skip
            announced[one.type_id] = _described(one)
        if len(self._types) + len(announced) > TYPES_PER_ATTACHMENT:
            raise _violation("INVALID", "too many types")
        return announced

    def _bind(self, binding: pb.Binding) -> None:
        key = (binding.method, binding.role, binding.channel_field)
        if key in self._bindings:
            raise _violation(
                "DUPLICATE", f"{binding.method}: bound twice", "schema.principles.once-per-type"
            )
        if binding.role not in (
            pb.BINDING_ROLE_ARGUMENTS,
            pb.BINDING_ROLE_RESPONSE,
            pb.BINDING_ROLE_CHANNEL,
        ):
            raise _violation("INVALID", f"{binding.method}: no such binding role")
        if len(self._bindings) >= BINDINGS_PER_ATTACHMENT:
            raise _violation("INVALID", "too many bindings")
        named = {binding.type_id} | ({binding.error_type_id} - {0})
        for type_id in named:
            if type_id not in self._types:
                raise _violation("MISSING", f"{binding.method}: {type_id:016x} was not announced")
        self._bindings[key] = Bound(self._judge(binding), binding.error_type_id != 0)

    def _judge(self, binding: pb.Binding) -> str | None:
        """Why the binding does not suit our method; methods we lack suit everything."""
        method = self._methods.get(binding.method)
        if method is None:
            return None
        if binding.role == pb.BINDING_ROLE_ARGUMENTS:
            return self._compare(binding.type_id, method.request.DESCRIPTOR)
        if binding.role == pb.BINDING_ROLE_RESPONSE:
            mismatch = self._compare(binding.type_id, method.response)
            if mismatch is None and binding.error_type_id and method.error is not None:
                mismatch = self._compare(binding.error_type_id, method.error)
            return mismatch
        for channel in method.channels:
            if channel.field_number == binding.channel_field:
                if channel.initial_credit != binding.initial_credit:
                    return (
                        f"{method.name} channel {channel.field_number}: initial credit "
                        f"{channel.initial_credit} here, {binding.initial_credit} there"
                    )
                return self._compare(binding.type_id, channel.item)
        return f"{method.name} has no channel {binding.channel_field}"

    def _compare(self, type_id: int, ours: Descriptor) -> str | None:
        if self._catalogue.add(ours) == type_id:
            return None
        return incompatibility(self._types, type_id, self._catalogue.types, ours.full_name)


def _described(schema: pb.TypeSchema) -> Type:
    body = schema.WhichOneof("body")
    if body == "enum":
        values = tuple((value.number, value.name) for value in schema.enum.values)
        if list(values) != sorted(values):
            raise _violation("INVALID", f"{schema.full_name}: values out of order")
        return Type(schema.full_name, values=values)
    if body is None:
        raise _violation("INVALID", f"{schema.full_name}: neither message nor enum")
    numbers = [field.number for field in schema.message.fields]
    if numbers != sorted(set(numbers)):
        raise _violation("INVALID", f"{schema.full_name}: fields out of order")
    return Type(
        schema.full_name,
        tuple(
            Field(
                number=field.number,
                name=field.name,
                cardinality=field.cardinality,
                kind=field.kind,
                oneof_index=field.oneof_index,
                reference=field.type_id or None,
            )
            for field in schema.message.fields
        ),
    )


def _violation(code: str, text: str, rule: str = "schema.exchange.required") -> Violation:
    return Violation(pb.ProtocolErrorCode.Value(f"PROTOCOL_ERROR_CODE_SCHEMA_{code}"), rule, text)
