"""The golden vectors are current, cover the protocol, and agree with bytes worked out by hand."""

from __future__ import annotations

import hashlib
import importlib.util
import pathlib
import subprocess
import sys

import pytest
import yaml
from google.protobuf import text_format
from google.protobuf.message import DecodeError

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors"


def _load_generator():
    spec = importlib.util.spec_from_file_location("generate", VECTORS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses looks its module up by name.
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


generate = _load_generator()


def _read(name: str):
    return yaml.safe_load((VECTORS / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def classes():
    return generate.message_classes(generate.compile_protos())


def test_files_are_current():
    for name, text in generate.rendered().items():
        assert (VECTORS / name).read_text(encoding="utf-8") == text, (
            f"{name} is stale: run spec/vectors/generate.py"
        )


def test_each_entry_has_files_of_its_own(tmp_path):
    command = [sys.executable, str(VECTORS / "generate.py"), "--bin", str(tmp_path)]
    subprocess.run(command, check=True)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    wanted = set()
    for file, key in (("framing", "bytes"), ("messages", "hex"), ("schema_ids", "canonical")):
        for group, entries in _read(f"{file}.yaml").items():
            for entry in entries if isinstance(entries, list) else ():
                name = f"{file}/{group}/{entry.get('name') or entry['type']}"
                wanted |= {f"{name}.bin", f"{name}.yaml"}
                assert (tmp_path / f"{name}.bin").read_bytes().hex() == entry[key]
                assert yaml.safe_load((tmp_path / f"{name}.yaml").read_text("utf-8")) == entry
    assert files == wanted and "schema_ids/types/counterpart.testbed.v1.Tree.bin" in files


def test_names_are_unique():
    for file, lists in (
        ("framing.yaml", ("whole", "refused", "incomplete")),
        ("messages.yaml", ("encoded", "decoded", "refused")),
    ):
        content = _read(file)
        names = [entry["name"] for key in lists for entry in content[key]]
        assert len(names) == len(set(names)), file


# ---------------------------------------------------------------- framing, r[link.message]


def _split(data: bytes, limit: int) -> tuple[list[bytes], str]:
    """Payloads read from `data`, and how reading ended: at a boundary, refused or inside."""
    payloads = []
    while data:
        if len(data) < 4:
            return payloads, "inside"
        length = int.from_bytes(data[:4], "little")
        if length > limit:
            return payloads, "refused"
        if len(data) < 4 + length:
            return payloads, "inside"
        payloads.append(data[4 : 4 + length])
        data = data[4 + length :]
    return payloads, "boundary"


@pytest.mark.parametrize(
    ("key", "end"), [("whole", "boundary"), ("refused", "refused"), ("incomplete", "inside")]
)
def test_framing_reads_as_it_says(key: str, end: str):
    for entry in _read("framing.yaml")[key]:
        read, ended = _split(bytes.fromhex(entry["bytes"]), entry.get("limit", 1 << 24))
        assert [p.hex() for p in read] == entry["payloads"], entry["name"]
        assert ended == end, entry["name"]


def test_framing_by_hand():
    whole = {e["name"]: e for e in _read("framing.yaml")["whole"]}
    assert whole["empty_between_two"]["bytes"] == "0100000001000000000100000002"
    assert whole["two_length_bytes_used"]["bytes"] == "2c010000" + "00" * 300


# ---------------------------------------------------------------- messages, r[wire.envelope]


def test_messages_decode_to_their_text(classes):
    content = _read("messages.yaml")
    for entry in content["encoded"] + content["decoded"]:
        cls = classes[entry["envelope"]]
        message = cls.FromString(bytes.fromhex(entry["hex"]))
        message.DiscardUnknownFields()
        assert message == text_format.Parse(entry["textproto"], cls()), entry["name"]


def _member(message) -> str | None:
    (oneof,) = message.DESCRIPTOR.oneofs
    return message.WhichOneof(oneof.name)


def test_messages_name_a_member(classes):
    for entry in _read("messages.yaml")["encoded"]:
        message = classes[entry["envelope"]].FromString(bytes.fromhex(entry["hex"]))
        assert _member(message) is not None, entry["name"]


def test_refused_messages_are_refusable(classes):
    for entry in _read("messages.yaml")["refused"]:
        raw, cls = bytes.fromhex(entry["hex"]), classes[entry["envelope"]]
        if entry["why"] in ("no known member", "another phase"):
            assert _member(cls.FromString(raw)) is None, entry["name"]
        else:
            with pytest.raises(DecodeError):
                cls.FromString(raw)
        if entry["why"] == "another phase":
            others = ("Prologue", "StableHandshake", "Handshake", "StableFrame", "Message")
            assert [o for o in others if _member(classes[o].FromString(raw))], entry["name"]


def test_every_field_of_the_wire_is_set_somewhere(classes):
    seen: set[str] = set()

    def visit(message) -> None:
        for field, value in message.ListFields():
            seen.add(field.full_name)
            if field.message_type is not None:
                for one in value if field.is_repeated else [value]:
                    visit(one)

    for entry in _read("messages.yaml")["encoded"]:
        visit(text_format.Parse(entry["textproto"], classes[entry["envelope"]]()))
    every = {f.full_name for cls in classes.values() for f in cls.DESCRIPTOR.fields}
    assert every - seen == set()


def test_envelopes_share_no_field_number(classes):
    numbers = [
        field.number
        for name in ("Prologue", "StableHandshake", "Handshake", "StableFrame", "Message")
        for field in classes[name].DESCRIPTOR.fields
    ]
    assert len(numbers) == len(set(numbers))


def test_messages_by_hand():
    encoded = {e["name"]: e["hex"] for e in _read("messages.yaml")["encoded"]}
    # Field 43, length-delimited: tag 43 << 3 | 2 = 346 = da 02. Inside: field 1 varint 7.
    assert encoded["ping"] == "da02020807"
    # Field 1 of Prologue; magic as fixed32 reads "CPRT" in order; version 1; conduit 1.
    assert encoded["transport_hello"] == "0a090d" + b"CPRT".hex() + "10011801"
    # connection_id is field 41 (c8 02), close_connection field 49 (8a 03); 2^64 - 2 as a varint.
    assert encoded["close_connection"] == "c802feffffffffffffffff018a0300"


# ------------------------------------------- schema ids, r[schema.type-id.canonical], …recursive


def _str(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


def _types() -> dict[str, dict]:
    return {entry["type"]: entry for entry in _read("schema_ids.yaml")["types"]}


def _id(digest: bytes) -> str:
    return f"0x{int.from_bytes(digest[:8], 'little'):016x}"


def test_schema_id_of_a_message_by_hand():
    entry = _types()["counterpart.testbed.v1.Number"]
    raw = (
        b"M"
        + b"\x1d\x00\x00\x00counterpart.testbed.v1.Number"
        + b"\x01\x00\x00\x00"  # one field
        + b"\x01\x00\x00\x00"  # number 1
        + b"\x05\x00\x00\x00value"
        + b"\x01"  # singular without presence
        + b"\x04"  # TYPE_UINT64
        + b"\x00\x00\x00\x00"  # in no oneof
        + b"\x00\x00\x00\x00\x00\x00\x00\x00"  # no type
    )
    assert entry["canonical"] == raw.hex()
    assert entry["id"] == _id(hashlib.sha256(raw).digest())


def test_schema_id_of_an_enum_by_hand():
    entry = _types()["counterpart.vectors.v1.Shade"]
    raw = (
        b"E"
        + _str(b"counterpart.vectors.v1.Shade")
        + b"\x04\x00\x00\x00"
        + b"\xff\xff\xff\xff"
        + _str(b"SHADE_DARK")
        + b"\x00\x00\x00\x00"
        + _str(b"SHADE_UNSPECIFIED")
        + b"\x02\x00\x00\x00"
        + _str(b"SHADE_BRIGHT")
        + b"\x02\x00\x00\x00"
        + _str(b"SHADE_LIGHT")
    )
    assert entry["canonical"] == raw.hex()
    assert entry["id"] == _id(hashlib.sha256(raw).digest())


def test_schema_id_of_a_self_reference_by_hand():
    entry = _types()["counterpart.vectors.v1.Tree"]
    raw = (
        b"M"
        + _str(b"counterpart.vectors.v1.Tree")
        + b"\x02\x00\x00\x00"
        + b"\x01\x00\x00\x00"
        + _str(b"label")
        + b"\x01\x09\x00\x00\x00\x00"
        + bytes(8)
        + b"\x02\x00\x00\x00"
        + _str(b"children")
        + b"\x03\x0b\x00\x00\x00\x00"
        + b"\x00\x00\x00\x00\x00\x00\x00\x80"  # member 0 of its own group
    )
    group_hash = hashlib.sha256(b"G\x01\x00\x00\x00" + raw).digest()
    assert entry["canonical"] == raw.hex()
    assert entry["group_hash"] == group_hash.hex()
    assert entry["id"] == _id(hashlib.sha256(group_hash + b"\x00\x00\x00\x00").digest())


def test_schema_ids_of_a_pair():
    types = _types()
    even, odd = (types[f"counterpart.vectors.v1.{n}"] for n in ("Even", "Odd"))
    assert even["group"] == odd["group"] == [even["type"], odd["type"]]
    raws = bytes.fromhex(even["canonical"]) + bytes.fromhex(odd["canonical"])
    group_hash = hashlib.sha256(b"G\x02\x00\x00\x00" + raws).digest()
    assert even["group_hash"] == odd["group_hash"] == group_hash.hex()
    assert odd["id"] == _id(hashlib.sha256(group_hash + b"\x01\x00\x00\x00").digest())
    outside = types["counterpart.vectors.v1.Outside"]
    assert "group" not in outside
    assert int(even["id"], 16).to_bytes(8, "little").hex() in outside["canonical"]


def test_oneofs_and_optional_in_canonical_bytes():
    canonical = _types()["counterpart.vectors.v1.Leaf"]["canonical"]
    # raw: real oneof 1, presence, TYPE_BYTES; maybe: presence, TYPE_UINT32, no synthetic oneof
    assert (_str(b"raw") + b"\x02\x0c\x01\x00\x00\x00").hex() in canonical
    assert (_str(b"maybe") + b"\x02\x0d\x00\x00\x00\x00").hex() in canonical


def test_ids_are_distinct_and_in_no_cycle_start_their_hash():
    types = _types()
    assert len({entry["id"] for entry in types.values()}) == len(types)
    for entry in types.values():
        digest = hashlib.sha256(bytes.fromhex(entry["canonical"])).digest()
        assert entry["canonical_sha256"] == digest.hex()
        if "group" not in entry:
            assert entry["id"] == _id(digest)
