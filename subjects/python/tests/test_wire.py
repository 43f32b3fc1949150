"""Envelopes against the golden vectors."""

from pathlib import Path

import pytest
import yaml
from counterpart.wire.v1 import wire_pb2
from google.protobuf import text_format

from runtime import wire

SPEC = Path(__file__).resolve().parents[3] / "spec" / "vectors" / "messages.yaml"
VECTORS = yaml.safe_load(SPEC.read_text())


def of(kind: str) -> list:
    return [pytest.param(entry, id=entry["name"]) for entry in VECTORS[kind]]


@pytest.mark.parametrize("entry", [*of("encoded"), *of("decoded")])
def test_decoded(entry: dict) -> None:
    envelope = getattr(wire_pb2, entry["envelope"])
    message, _ = wire.decode(envelope, bytes.fromhex(entry["hex"]))
    expected = text_format.Parse(entry["textproto"], envelope())
    message.DiscardUnknownFields()
    assert message == expected


@pytest.mark.parametrize("entry", of("refused"))
def test_refused(entry: dict) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(getattr(wire_pb2, entry["envelope"]), bytes.fromhex(entry["hex"]))


@pytest.mark.parametrize(
    ("announced", "means"), [(0, 16 << 20), (65536, 65536), (65535, None), (1, None)]
)
def test_announced_maximum(announced: int, means: int | None) -> None:
    assert wire.accepted_maximum(announced) == means
