"""Methods, as the service descriptors declare them, and what a handler is given and gives back."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from counterpart.testbed.v1 import testbed_pb2
from counterpart.wire.v1 import wire_pb2
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.message import Message as Protobuf
from google.protobuf.message_factory import GetMessageClass

from runtime import mutants
from runtime.canonical import Type, describe, type_ids
from runtime.channels import ReceivingEnd, SendingEnd


@dataclass(frozen=True)
class ChannelArgument:
    """One channel argument: who sends, what, and with how much credit at first (items)."""

    field_number: int
    to_callee: bool
    item: Descriptor
    initial_credit: int


@dataclass(frozen=True)
class Method:
    """One method. `error` is None if it declares no user error type."""

    name: str
    request: type[Protobuf]
    response: Descriptor
    error: Descriptor | None
    idem: bool
    persist: bool
    channels: tuple[ChannelArgument, ...]


@dataclass(frozen=True)
class Invocation:
    """One execution of an operation. `ends` are the handler's channel ends by field number.

    `call` makes a call of the counterpart, with the metadata that may go on, and waits for its end.
    What the handler puts into `reply_metadata` goes out with its Response.
    """

    method: Method
    request: Protobuf
    session_id: bytes
    generation: int
    operation_id: int
    execution: int
    ends: Mapping[int, SendingEnd | ReceivingEnd]
    metadata: Sequence[wire_pb2.MetadataEntry]
    call: Callable[[str, bytes], Awaitable[object]]
    reply_metadata: list[wire_pb2.MetadataEntry] = dataclasses.field(default_factory=list)


class UserError(Exception):
    """Raised by a handler to return the method's user error."""

    def __init__(self, value: Protobuf) -> None:
        super().__init__(type(value).__name__)
        self.value = value


Handler = Callable[[Invocation], Awaitable[Protobuf]]


class Catalogue:
    """The types of this program that calls mention, with their ids."""

    def __init__(self) -> None:
        self.types: dict[str, Type] = {}
        self.ids: dict[str, int] = {}
        self._closures: dict[str, tuple[str, ...]] = {}

    def add(self, root: Descriptor) -> int:
        """Learn `root` and what it reaches; returns its id."""
        if root.full_name not in self._closures:
            found = describe(root)
            self._closures[root.full_name] = tuple(found)
            self.types.update(found)
            self.ids.update(type_ids(found, {}))
        return self.ids[root.full_name]

    def closure(self, root: Descriptor) -> tuple[str, ...]:
        """Full names of `root` and what it reaches, dependencies first."""
        self.add(root)
        return self._closures[root.full_name]


def methods_of(service: ServiceDescriptor) -> dict[str, Method]:
    """The methods of a service by their wire name, `package.Service/Method`."""
    found = {}
    for method in service.methods:
        options = method.GetOptions().Extensions
        error = options[testbed_pb2.error]
        name = f"{service.full_name}/{method.name}"
        found[name] = Method(
            name=name,
            request=GetMessageClass(method.input_type),
            response=method.output_type,
            error=service.file.pool.FindMessageTypeByName(error) if error else None,
            idem=options[testbed_pb2.idem],
            persist=options[testbed_pb2.persist],
            channels=_channels(method.input_type),
        )
    return found


def forbidden_among(methods: Mapping[str, Method]) -> str:
    """The name of one that must not be registered, or "".  r[retry.channel.persist-forbidden]"""
    if mutants.active("registers_persist_streams"):
        return ""
    forbidden = (name for name, method in methods.items() if method.persist and method.channels)
    return next(forbidden, "")


def _channels(arguments: Descriptor) -> tuple[ChannelArgument, ...]:
    declared = []
    for field in sorted(arguments.fields, key=lambda field: field.number):
        if field.GetOptions().HasExtension(testbed_pb2.channel):
            option = field.GetOptions().Extensions[testbed_pb2.channel]
            declared.append(
                ChannelArgument(
                    field_number=field.number,
                    to_callee=option.direction == testbed_pb2.CHANNEL_DIRECTION_TO_CALLEE,
                    item=arguments.file.pool.FindMessageTypeByName(option.item),
                    initial_credit=option.initial_credit,
                )
            )
    return tuple(declared)
