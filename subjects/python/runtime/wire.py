"""Wire messages: decoding one phase's envelope strictly, and the constants of the protocol.

r[wire.envelope]: every payload is one envelope whose members have numbers of their own; one with
no known member, an empty one, or one of another phase is `Malformed`.
"""

from __future__ import annotations

from typing import TypeVar

from counterpart.wire.v1 import wire_pb2 as pb
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf

from runtime.ending import Ending

MAGIC = 0x54525043
VERSION = 1
DEFAULT_MAX_PAYLOAD = 16 << 20
LEAST_MAX_PAYLOAD = 64 << 10
HANDSHAKE_MAX_PAYLOAD = 64 << 10  # prologue and handshakes, both ways  r[link.limit.announce]
U32_MAX = (1 << 32) - 1

Envelope = TypeVar(
    "Envelope", pb.Prologue, pb.StableHandshake, pb.StableFrame, pb.Handshake, pb.Message
)


class Malformed(Exception):
    """The payload is not an envelope of the phase it came in."""


class Violation(Exception):
    """The counterpart broke `rule`; ends the session.  r[session.protocol-error]"""

    def __init__(self, code: int, rule: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.rule = rule
        self.text = text


class Refused(Ending):
    """The handshake cannot succeed and is not worth another dial.

    `by` is "reject", "sorry" or "protocol_error"; `name` the reason's name in the wire protocol.
    """

    def __init__(self, by: str, name: str, text: str) -> None:
        super().__init__("rejected" if by == "reject" else by, text, name)
        self.by = by
        self.name = name


def decode(envelope: type[Envelope], payload: bytes) -> tuple[Envelope, str]:
    """The envelope in `payload` and the name of its member. Raises Malformed."""
    message = envelope()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise Malformed(f"not a {envelope.DESCRIPTOR.name}: {error}") from error
    kind = message.WhichOneof("payload" if envelope is pb.Message else "kind")
    if kind is None:
        raise Malformed(f"no known member of {envelope.DESCRIPTOR.name}")
    return message, kind


def accepted_maximum(announced: int) -> int | None:
    """What an announced max_payload means in bytes; None if it is out of range."""
    if announced == 0:
        return DEFAULT_MAX_PAYLOAD
    return announced if announced >= LEAST_MAX_PAYLOAD else None


def subject_id(body: Protobuf) -> int:
    """The request id, channel id or nonce a message is about; 0 if there is none."""
    for name in ("request_id", "channel_id", "nonce"):
        if name in body.DESCRIPTOR.fields_by_name:
            return getattr(body, name)
    return 0
