"""Writes the golden vectors of this folder: framing.yaml, messages.yaml and schema_ids.yaml.

Usage: python spec/vectors/generate.py [--check | --bin FOLDER]

`--check` writes nothing and exits 1 if a file differs from what would be written. `--bin` writes,
in place of these files, one file of bytes and one to read for every entry of them. The code here
shares nothing with the harness or a subject: it reads the rules r[link.message],
r[wire.envelope], r[schema.type-id.canonical] and r[schema.type-id.recursive] once more, in Python,
from descriptors that protoc makes of spec/proto.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import pathlib
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from grpc_tools import protoc

FOLDER = pathlib.Path(__file__).resolve().parent
PROTO_ROOT = FOLDER.parent / "proto"
WIRE = "counterpart.wire.v1"
TESTBED = "counterpart.testbed.v1"
DEFAULT_LIMIT = 16 * 1024 * 1024

Field = descriptor_pb2.FieldDescriptorProto


# ---------------------------------------------------------------- descriptors


def compile_protos() -> descriptor_pb2.FileDescriptorSet:
    """The wire and testbed protos with all they import, as protoc describes them."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        includes = pathlib.Path(protoc.__file__).parent / "_proto"
        code = protoc.main(
            [
                "protoc",
                f"-I{PROTO_ROOT}",
                f"-I{includes}",
                "--include_imports",
                f"--descriptor_set_out={out.name}",
                "counterpart/wire/v1/wire.proto",
                "counterpart/testbed/v1/testbed.proto",
            ]
        )
        if code != 0:
            raise RuntimeError("protoc failed")
        return descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())


@dataclasses.dataclass(frozen=True)
class Type:
    """A message or enum as its file declares it."""

    full_name: str
    proto3: bool
    proto: descriptor_pb2.DescriptorProto | descriptor_pb2.EnumDescriptorProto

    @property
    def is_enum(self) -> bool:
        return isinstance(self.proto, descriptor_pb2.EnumDescriptorProto)


def types_of(file: descriptor_pb2.FileDescriptorProto) -> list[Type]:
    """Every message and enum of a file, nested ones included."""
    found: list[Type] = []
    proto3 = file.syntax == "proto3"

    def visit(scope: str, messages, enums) -> None:
        for enum in enums:
            found.append(Type(f"{scope}.{enum.name}", proto3, enum))
        for message in messages:
            name = f"{scope}.{message.name}"
            found.append(Type(name, proto3, message))
            visit(name, message.nested_type, message.enum_type)

    visit(file.package, file.message_type, file.enum_type)
    return found


# ---------------------------------------------------------------- schema ids


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def string(text: str) -> bytes:
    raw = text.encode()
    return u32(len(raw)) + raw


def cardinality(field: Field, proto3: bool) -> int:
    """Value of wire.v1.Cardinality."""
    if field.label == Field.LABEL_REPEATED:
        return 3
    has_presence = (
        not proto3
        or field.proto3_optional
        or field.HasField("oneof_index")
        or field.type in (Field.TYPE_MESSAGE, Field.TYPE_GROUP)
    )
    return 2 if has_presence else 1


def oneof_indexes(message: descriptor_pb2.DescriptorProto) -> dict[int, int]:
    """Index of each real oneof in the descriptor to its 1-based index among the real ones."""
    synthetic = {f.oneof_index for f in message.field if f.proto3_optional}
    real = [i for i in range(len(message.oneof_decl)) if i not in synthetic]
    return {index: position for position, index in enumerate(real, start=1)}


def referred(field: Field) -> str:
    """Full name of the message or enum type of a field, or nothing."""
    return field.type_name.removeprefix(".")


def canonical(type_: Type, ids: dict[str, int]) -> bytes:
    """Canonical bytes of a type, given the ids of the types it refers to."""
    if type_.is_enum:
        out = b"E" + string(type_.full_name) + u32(len(type_.proto.value))
        for value in sorted(type_.proto.value, key=lambda v: (v.number, v.name)):
            out += struct.pack("<i", value.number) + string(value.name)
        return out
    oneofs = oneof_indexes(type_.proto)
    out = b"M" + string(type_.full_name) + u32(len(type_.proto.field))
    for field in sorted(type_.proto.field, key=lambda f: f.number):
        in_oneof = field.HasField("oneof_index") and not field.proto3_optional
        out += (
            u32(field.number)
            + string(field.name)
            + bytes([cardinality(field, type_.proto3), field.type])
            + u32(oneofs[field.oneof_index] if in_oneof else 0)
            + struct.pack("<Q", ids[referred(field)] if referred(field) else 0)
        )
    return out


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    """What can be reached from `start` by at least one edge."""
    seen: set[str] = set()
    todo = list(edges[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(edges[name])
    return seen


@dataclasses.dataclass
class SchemaId:
    full_name: str
    id: int
    canonical: bytes
    group: list[str] | None  # members in order, if the type is in a cycle
    group_hash: bytes | None


def schema_ids(types: list[Type]) -> dict[str, SchemaId]:
    """Ids of `types`, which must be closed under reference."""
    by_name = {t.full_name: t for t in types}
    edges = {
        t.full_name: set() if t.is_enum else {referred(f) for f in t.proto.field if referred(f)}
        for t in types
    }
    reach = {name: reachable(name, edges) for name in edges}
    result: dict[str, SchemaId] = {}

    def known() -> dict[str, int]:
        return {name: entry.id for name, entry in result.items()}

    def first_eight(raw: bytes) -> int:
        return struct.unpack("<Q", hashlib.sha256(raw).digest()[:8])[0]

    def visit(name: str) -> None:
        if name in result:
            return
        group = sorted(n for n in reach[name] if name in reach[n])
        for member in group or [name]:
            for target in sorted(edges[member]):
                if target not in group:
                    visit(target)
        if not group:
            raw = canonical(by_name[name], known())
            result[name] = SchemaId(name, first_eight(raw), raw, None, None)
            return
        ids = known() | {member: 1 << 63 | i for i, member in enumerate(group)}
        raws = [canonical(by_name[member], ids) for member in group]
        group_hash = hashlib.sha256(b"G" + u32(len(group)) + b"".join(raws)).digest()
        for i, member in enumerate(group):
            member_id = first_eight(group_hash + u32(i))
            result[member] = SchemaId(member, member_id, raws[i], group, group_hash)

    for name in sorted(by_name):
        visit(name)
    return result


# A file with what the project's own protos lack: cycles, `optional`, aliases, negative values.
RECURSIVE_FILE = """
name: "counterpart/vectors/v1/recursive.proto"
package: "counterpart.vectors.v1"
syntax: "proto3"
message_type {
  name: "Tree"
  field { name: "children" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Tree" }
  field { name: "label" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type {
  name: "Even"
  field { name: "odd" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Odd" }
  field { name: "leaf" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Leaf" }
}
message_type {
  name: "Odd"
  field { name: "even" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Even" }
  field { name: "self" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Odd" }
}
message_type {
  name: "Leaf"
  field { name: "maybe" number: 7 label: LABEL_OPTIONAL type: TYPE_UINT32 oneof_index: 1
          proto3_optional: true }
  field { name: "text" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING oneof_index: 0 }
  field { name: "raw" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES oneof_index: 0 }
  field { name: "shade" number: 1 label: LABEL_OPTIONAL type: TYPE_ENUM
          type_name: ".counterpart.vectors.v1.Shade" }
  oneof_decl { name: "content" }
  oneof_decl { name: "_maybe" }
}
message_type {
  name: "Outside"
  field { name: "tree" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Tree" }
  field { name: "even" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".counterpart.vectors.v1.Even" }
}
message_type { name: "Nothing" }
enum_type {
  name: "Shade"
  value { name: "SHADE_UNSPECIFIED" number: 0 }
  value { name: "SHADE_LIGHT" number: 2 }
  value { name: "SHADE_DARK" number: -1 }
  value { name: "SHADE_BRIGHT" number: 2 }
  options { allow_alias: true }
}
"""


def schema_vectors(files: descriptor_pb2.FileDescriptorSet) -> dict:
    ours = [f for f in files.file if f.package in (WIRE, TESTBED)]
    ours.append(text_format.Parse(RECURSIVE_FILE, descriptor_pb2.FileDescriptorProto()))
    entries = []
    for _, entry in sorted(schema_ids([t for f in ours for t in types_of(f)]).items()):
        vector = {
            "type": entry.full_name,
            "id": f"0x{entry.id:016x}",
            "canonical_sha256": hashlib.sha256(entry.canonical).hexdigest(),
            "canonical": entry.canonical.hex(),
        }
        if entry.group is not None and entry.group_hash is not None:
            vector["group"] = entry.group
            vector["group_hash"] = entry.group_hash.hex()
        entries.append(vector)
    return {"recursive_file": RECURSIVE_FILE.lstrip(), "types": entries}


# ---------------------------------------------------------------- framing


def frame(payload: bytes) -> bytes:
    return u32(len(payload)) + payload


def framing_vectors() -> dict:
    whole = {
        "one_byte": [b"\x2a"],
        "empty": [b""],
        "empty_between_two": [b"\x01", b"", b"\x02"],
        "only_empty_ones": [b"", b"", b""],
        "merged": [b"\x08\x01", b"counterpart", bytes(range(16))],
        "payload_that_looks_like_a_length": [b"\x04\x00\x00\x00", b"\xff\xff\xff\xff"],
        "two_length_bytes_used": [bytes(300)],
    }
    return {
        "whole": [
            {
                "name": name,
                "payloads": [p.hex() for p in payloads],
                "bytes": b"".join(frame(p) for p in payloads).hex(),
            }
            for name, payloads in whole.items()
        ],
        "refused": [
            {
                "name": "one_above_the_default_limit",
                "limit": DEFAULT_LIMIT,
                "payloads": [],
                "bytes": u32(DEFAULT_LIMIT + 1).hex(),
            },
            {
                "name": "largest_length",
                "limit": DEFAULT_LIMIT,
                "payloads": [],
                "bytes": "ffffffff",
            },
            {
                "name": "one_above_the_smallest_limit_after_a_good_payload",
                "limit": 65536,
                "payloads": ["2a"],
                "bytes": (frame(b"\x2a") + u32(65537)).hex(),
            },
        ],
        "incomplete": [
            {
                "name": "end_in_the_length",
                "payloads": ["2a"],
                "bytes": frame(b"\x2a").hex() + "0500",
            },
            {"name": "end_after_the_length", "payloads": [], "bytes": "05000000"},
            {"name": "end_in_the_body", "payloads": [], "bytes": "05000000" + "01020304"},
        ],
    }


# ---------------------------------------------------------------- messages

# (name, envelope, text). Together they set every field of every message of wire.v1.
MESSAGES = [
    ("transport_hello", "Prologue", "hello { magic: 0x54525043 version: 1 conduit: CONDUIT_BARE }"),
    (
        "transport_hello_with_limit",
        "Prologue",
        "hello { magic: 0x54525043 version: 1 conduit: CONDUIT_STABLE max_payload: 65536 }",
    ),
    ("transport_accept", "Prologue", "accept {}"),
    ("transport_accept_with_limit", "Prologue", "accept { max_payload: 1048576 }"),
    (
        "transport_reject",
        "Prologue",
        'reject { reason: TRANSPORT_REJECT_REASON_UNSUPPORTED_VERSION text: "version 2" }',
    ),
    ("client_hello", "StableHandshake", "client_hello {}"),
    (
        "client_hello_resuming",
        "StableHandshake",
        'client_hello { resume_key: "0123456789abcdef" last_received: 0 first_seq: 4294967295 }',
    ),
    (
        "server_hello",
        "StableHandshake",
        'server_hello { resume_key: "fedcba9876543210" last_received: 7 first_seq: 9 }',
    ),
    ("stable_reject", "StableHandshake", 'reject { text: "unknown key" }'),
    (
        "stable_data",
        "StableFrame",
        r'data { seq: 4294967295 ack: 0 item: "\332\002\002\010\007" }',
    ),
    ("stable_ack", "StableFrame", "ack { ack: 256 }"),
    (
        "hello",
        "Handshake",
        (
            "hello { parity: PARITY_ODD settings { max_concurrent_requests: 64 }"
            " protocol_schema: 0x0123456789abcdef }"
        ),
    ),
    (
        "hello_resuming",
        "Handshake",
        (
            "hello { parity: PARITY_EVEN settings {} protocol_schema: 0xfedcba9876543210"
            ' resume_key: "0123456789abcdef"'
            r' metadata { key: "token" value: "\001\377" flags: 1 }'
            ' metadata { key: "token" flags: 4294967295 }'
            " open_connections: [1, 3, 18446744073709551615] }"
        ),
    ),
    (
        "hello_yourself",
        "Handshake",
        (
            "hello_yourself { settings { max_concurrent_requests: 4294967295 }"
            " protocol_schema: 0x0123456789abcdef"
            ' resume_key: "0123456789abcdef" session_id: "0123456789ABCDEF"'
            ' metadata { key: "region" value: "eu" } open_connections: 2 }'
        ),
    ),
    (
        "sorry",
        "Handshake",
        'sorry { reason: SORRY_REASON_UNKNOWN_SESSION detail: "no such key" }',
    ),
    ("lets_go", "Handshake", "lets_go {}"),
    (
        "protocol_error",
        "Message",
        (
            "protocol_error { code: PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED"
            ' rule: "rpc.flow-control.credit.exceeded" text: "item 17 of 16" }'
        ),
    ),
    ("ping", "Message", "ping { nonce: 7 }"),
    ("pong", "Message", "pong { nonce: 18446744073709551615 }"),
    ("goodbye", "Message", "goodbye {}"),
    (
        "open_connection",
        "Message",
        (
            "connection_id: 3 open_connection { parity: PARITY_ODD"
            ' settings { max_concurrent_requests: 1 } metadata { key: "why" value: "test" } }'
        ),
    ),
    (
        "accept_connection",
        "Message",
        "connection_id: 3 accept_connection { settings { max_concurrent_requests: 2 } }",
    ),
    (
        "reject_connection",
        "Message",
        'connection_id: 3 reject_connection { reason: "no acceptor" }',
    ),
    ("close_connection", "Message", "connection_id: 18446744073709551614 close_connection {}"),
    (
        "schema_message",
        "Message",
        (
            "schema { types { type_id: 0x1122334455667788"
            ' full_name: "counterpart.testbed.v1.Number" message { fields { number: 1 name: "value"'
            " cardinality: CARDINALITY_IMPLICIT kind: 4 } } }"
            ' bindings { method: "counterpart.testbed.v1.Testbed/Sum" role: BINDING_ROLE_CHANNEL'
            " channel_field: 3 type_id: 0x1122334455667788 initial_credit: 16 } }"
        ),
    ),
    (
        "schema_enum_and_oneof",
        "Message",
        (
            'schema { types { type_id: 1 full_name: "a.E" enum { values { name: "A" }'
            ' values { number: -1 name: "B" } } }'
            ' types { type_id: 2 full_name: "a.M" message { fields { number: 9 name: "e"'
            " cardinality: CARDINALITY_OPTIONAL kind: 14 oneof_index: 1 type_id: 1 } } }"
            ' bindings { method: "a.S/C" role: BINDING_ROLE_RESPONSE type_id: 2'
            " error_type_id: 2 } }"
        ),
    ),
    (
        "request",
        "Message",
        (
            "request { request_id: 1 operation_id: 1"
            r' method: "counterpart.testbed.v1.Testbed/Echo" arguments: "\n\002hi" }'
        ),
    ),
    (
        "request_with_channels",
        "Message",
        (
            "connection_id: 3 request { request_id: 4294967297 operation_id: 18446744073709551615"
            ' method: "counterpart.testbed.v1.Testbed/Transform"'
            " channels { field_number: 3 channel_id: 1 } channels { field_number: 4 channel_id: 3 }"
            ' metadata { key: "k" value: "v" flags: 2 } settled_below: 5'
            ' origin_session: "0123456789ABCDEF" }'
        ),
    ),
    ("response_ok", "Message", r'response { request_id: 1 ok: "\n\002hi" }'),
    ("response_ok_empty", "Message", 'response { request_id: 1 ok: "" }'),
    (
        "response_user_error",
        "Message",
        r'response { request_id: 1 user_error: "\010\005" metadata { key: "k" value: "v" } }',
    ),
    (
        "response_runtime_error",
        "Message",
        (
            "response { request_id: 1 runtime_error {"
            ' code: RUNTIME_ERROR_CODE_INDETERMINATE text: "lost" } }'
        ),
    ),
    ("cancel_request", "Message", "cancel_request { request_id: 1 }"),
    ("channel_item", "Message", r'channel_item { channel_id: 1 item: "\010\052" }'),
    ("channel_item_empty", "Message", "channel_item { channel_id: 1 }"),
    ("close_channel", "Message", "close_channel { channel_id: 1 }"),
    ("close_channel_aborted", "Message", "close_channel { channel_id: 1 aborted: true }"),
    ("reset_channel", "Message", "reset_channel { channel_id: 1 }"),
    ("grant_credit", "Message", "grant_credit { channel_id: 1 credit: 4294967295 }"),
]

# (name, envelope, text, hex): decodes to the text, but is not what an encoder writes.
DECODES = [
    ("unknown_field_ignored", "Message", "ping { nonce: 7 }", "da02020807" + "f83f01"),
    ("unknown_field_inside_ignored", "Message", "ping { nonce: 7 }", "da020508077a0161"),
    ("last_oneof_member_wins", "Message", "pong { nonce: 1 }", "da02020807" + "e202020801"),
    ("same_oneof_member_merges", "Message", "ping { nonce: 7 }", "da02020807" + "da0200"),
    ("default_written_out", "Message", "ping {}", "c80200" + "da02020800"),
    ("payload_before_connection_id", "Message", "connection_id: 3 close_connection {}",
     "8a0300" + "c80203"),
]  # fmt: skip

# (name, envelope the phase demands, hex, why)
REFUSED = [
    ("empty_prologue", "Prologue", "", "no known member"),
    ("empty_handshake", "Handshake", "", "no known member"),
    ("empty_message", "Message", "", "no known member"),
    ("only_connection_id", "Message", "c80203", "no known member"),
    ("only_an_unknown_field", "Message", "f83f01", "no known member"),
    ("ping_instead_of_prologue", "Prologue", "da02020807", "another phase"),
    ("prologue_instead_of_message", "Message", "1200", "another phase"),
    ("lets_go_instead_of_message", "Message", "c20100", "another phase"),
    ("ping_instead_of_handshake", "Handshake", "da02020807", "another phase"),
    ("truncated", "Message", "da020208", "does not decode"),
    ("varint_too_long", "Message", "da020c08" + "ff" * 10 + "01", "does not decode"),
    ("field_number_zero", "Message", "da020208070001", "does not decode"),
    ("invalid_utf8", "Message", "d202041202c328", "string that is not UTF-8"),
]


def message_classes(files: descriptor_pb2.FileDescriptorSet):
    """Full name of a message of wire.v1 to its class."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    wire = pool.FindFileByName("counterpart/wire/v1/wire.proto")
    return {
        name: message_factory.GetMessageClass(d) for name, d in wire.message_types_by_name.items()
    }


def message_vectors(files: descriptor_pb2.FileDescriptorSet) -> dict:
    classes = message_classes(files)
    encoded = []
    for name, envelope, text in MESSAGES:
        message = text_format.Parse(text, classes[envelope]())
        encoded.append(
            {
                "name": name,
                "envelope": envelope,
                "textproto": text,
                "hex": message.SerializeToString(deterministic=True).hex(),
            }
        )
    return {
        "encoded": encoded,
        "decoded": [dict(zip(("name", "envelope", "textproto", "hex"), d)) for d in DECODES],
        "refused": [dict(zip(("name", "envelope", "hex", "why"), r)) for r in REFUSED],
    }


# ---------------------------------------------------------------- files


class _Dumper(yaml.SafeDumper):
    """Quotes every hex string and writes long text as a block."""


def _represent_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if text[:1].isdigit() or not text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_string)


def rendered() -> dict[str, str]:
    """File name to content."""
    files = compile_protos()
    contents = {
        "framing.yaml": framing_vectors(),
        "messages.yaml": message_vectors(files),
        "schema_ids.yaml": schema_vectors(files),
    }
    return {
        name: "# Written by generate.py. What the fields mean: README.md.\n"
        + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=10**9)
        for name, content in contents.items()
    }


BYTES_OF = {"framing.yaml": "bytes", "messages.yaml": "hex", "schema_ids.yaml": "canonical"}


def singles(files: Mapping[str, str]) -> Iterator[tuple[pathlib.PurePath, bytes, str]]:
    """Of every entry of `rendered()`: path without suffix, its bytes, and the entry as YAML."""
    for name, text in files.items():
        folder = pathlib.PurePath(name).stem
        for group, entries in yaml.safe_load(text).items():
            if not isinstance(entries, list):
                continue  # the file that some of the types are from
            for entry in entries:
                own = entry.get("name") or entry["type"]
                shown = yaml.dump(entry, Dumper=_Dumper, sort_keys=False, width=10**9)
                path = pathlib.PurePath(folder, group, own)
                yield path, bytes.fromhex(entry[BYTES_OF[name]]), shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="compare instead of writing")
    instead.add_argument(
        "--bin",
        type=pathlib.Path,
        metavar="FOLDER",
        help="write each entry to files of its own there: .bin, its bytes, and .yaml, to read",
    )
    options = parser.parse_args()
    check = options.check
    if options.bin is not None:
        for path, content, shown in singles(rendered()):
            file = options.bin / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_name(file.name + ".bin").write_bytes(content)
            file.with_name(file.name + ".yaml").write_text(shown, encoding="utf-8")
        return 0
    stale = []
    for name, text in rendered().items():
        path = FOLDER / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"{name}: stale; run spec/vectors/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
