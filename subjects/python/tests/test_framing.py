"""Framing against the golden vectors: whole, byte by byte, refused, incomplete."""

from pathlib import Path

import pytest
import yaml

from runtime import framing
from runtime.wire import DEFAULT_MAX_PAYLOAD

SPEC = Path(__file__).resolve().parents[3] / "spec" / "vectors" / "framing.yaml"
VECTORS = yaml.safe_load(SPEC.read_text())


def read(decoder: framing.Decoder, pieces: list[bytes]) -> list[bytes]:
    payloads = []
    for piece in pieces:
        decoder.feed(piece)
        while (payload := decoder.next()) is not None:
            payloads.append(payload)
    return payloads


def hexes(entry: dict) -> tuple[list[bytes], bytes]:
    return [bytes.fromhex(payload) for payload in entry["payloads"]], bytes.fromhex(entry["bytes"])


@pytest.mark.parametrize("entry", VECTORS["whole"], ids=lambda entry: entry["name"])
def test_whole_payloads(entry: dict) -> None:
    payloads, stream = hexes(entry)
    assert b"".join(map(framing.encode, payloads)) == stream
    assert read(framing.Decoder(DEFAULT_MAX_PAYLOAD), [stream]) == payloads
    bytewise = [stream[i : i + 1] for i in range(len(stream))]
    assert read(framing.Decoder(DEFAULT_MAX_PAYLOAD), bytewise) == payloads


@pytest.mark.parametrize("entry", VECTORS["refused"], ids=lambda entry: entry["name"])
def test_a_length_over_the_limit_is_refused_on_its_own(entry: dict) -> None:
    payloads, stream = hexes(entry)
    decoder = framing.Decoder(entry["limit"])
    decoder.feed(stream)
    for payload in payloads:
        assert decoder.next() == payload
    with pytest.raises(framing.Oversize):
        decoder.next()


@pytest.mark.parametrize("entry", VECTORS["incomplete"], ids=lambda entry: entry["name"])
def test_an_incomplete_payload_is_waited_for(entry: dict) -> None:
    payloads, stream = hexes(entry)
    assert read(framing.Decoder(DEFAULT_MAX_PAYLOAD), [stream]) == payloads
