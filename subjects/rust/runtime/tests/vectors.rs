//! The bytes that every implementation agrees on: `spec/vectors`.

use std::collections::HashMap;

use counterpart_runtime::canonical::{describe, type_ids};
use counterpart_runtime::framing::{Decoder, encode};
use counterpart_runtime::wire;
use counterpart_spec::DESCRIPTORS;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_yaml::Value;

fn vectors(file: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../spec/vectors");
    let text = std::fs::read_to_string(format!("{folder}/{file}.yaml")).expect("vectors");
    serde_yaml::from_str(&text).expect("YAML")
}

fn list<'a>(of: &'a Value, name: &str) -> &'a Vec<Value> {
    let list = of[name].as_sequence().expect(name);
    assert!(!list.is_empty(), "{name} has entries");
    list
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().expect(name)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn payloads(entry: &Value) -> Vec<Vec<u8>> {
    let payloads = entry["payloads"].as_sequence().expect("payloads");
    payloads.iter().map(|payload| bytes(payload.as_str().expect("hex"))).collect()
}

/// What comes out, fed in pieces of this size, and whether it ended in a refusal.
fn decode(input: &[u8], limit: u32, piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(limit);
    let mut out = Vec::new();
    for chunk in input.chunks(piece) {
        decoder.feed(chunk);
        loop {
            match decoder.payload() {
                Ok(Some(payload)) => out.push(payload.to_vec()),
                Ok(None) => break,
                Err(_) => return (out, true),
            }
        }
    }
    (out, false)
}

#[test]
fn framing_survives_any_split() {
    let file = vectors("framing");
    for entry in list(&file, "whole") {
        let (wanted, input) = (payloads(entry), bytes(text(entry, "bytes")));
        let mut encoded = Default::default();
        wanted.iter().for_each(|payload| encode(payload, &mut encoded));
        assert_eq!(encoded, input, "{entry:?}");
        for piece in [1, 2, 3, input.len().max(1)] {
            assert_eq!(decode(&input, u32::MAX, piece), (wanted.clone(), false), "{entry:?}");
        }
    }
    for entry in list(&file, "incomplete") {
        let input = bytes(text(entry, "bytes"));
        assert_eq!(decode(&input, u32::MAX, 1), (payloads(entry), false), "{entry:?}");
    }
}

#[test]
fn a_length_over_the_limit_is_refused_on_its_four_bytes() {
    for entry in list(&vectors("framing"), "refused") {
        let input = bytes(text(entry, "bytes"));
        let limit = entry["limit"].as_u64().expect("limit") as u32;
        assert_eq!(decode(&input, limit, 1), (payloads(entry), true), "{entry:?}");
    }
}

/// Is this an envelope of that phase? Phases of the stable conduit are not offered.
fn accepts(envelope: &str, payload: &[u8]) -> Option<bool> {
    match envelope {
        "Prologue" => Some(wire::prologue(payload).is_ok()),
        "Handshake" => Some(wire::handshake(payload).is_ok()),
        "Message" => Some(wire::message(payload).is_ok()),
        _ => None,
    }
}

#[test]
fn envelopes_are_accepted_and_refused_by_their_phase() {
    let file = vectors("messages");
    let mut judged = 0;
    for (name, wanted) in [("encoded", true), ("decoded", true), ("refused", false)] {
        for entry in list(&file, name) {
            let payload = bytes(text(entry, "hex"));
            if let Some(accepted) = accepts(text(entry, "envelope"), &payload) {
                assert_eq!(accepted, wanted, "{entry:?}");
                judged += 1;
            }
        }
    }
    assert!(judged > 30, "only {judged}");
}

#[test]
fn payloads_decode_to_what_their_text_says() {
    let file = vectors("messages");
    for entry in list(&file, "encoded").iter().chain(list(&file, "decoded")) {
        let name = format!("counterpart.wire.v1.{}", text(entry, "envelope"));
        let envelope = DESCRIPTORS.get_message_by_name(&name).expect(&name);
        let wanted = DynamicMessage::parse_text_format(envelope.clone(), text(entry, "textproto"));
        let decoded = DynamicMessage::decode(envelope, bytes(text(entry, "hex")).as_slice());
        let known = |one: DynamicMessage| one.to_text_format(); // without unknown fields
        let (decoded, wanted) = (decoded.expect("decodes"), wanted.expect("text"));
        assert_eq!(known(decoded), known(wanted), "{entry:?}");
    }
}

/// The descriptors of this program, and those of the vectors' own file.
fn pool_with(file: &str) -> DescriptorPool {
    let descriptor = DescriptorPool::global();
    let descriptor = descriptor.get_message_by_name("google.protobuf.FileDescriptorProto");
    let parsed = DynamicMessage::parse_text_format(descriptor.expect("well known"), file);
    let encoded = parsed.expect("a file descriptor").encode_to_vec();
    let mut pool = DESCRIPTORS.clone();
    let file = FileDescriptorProto::decode(encoded.as_slice()).expect("decodes");
    pool.add_file_descriptor_proto(file).expect("a new file");
    pool
}

#[test]
fn type_ids_are_those_of_every_language() {
    let file = vectors("schema_ids");
    let pool = pool_with(text(&file, "recursive_file"));
    let mut ids = HashMap::new();
    for message in pool.all_messages() {
        let types: HashMap<_, _> =
            describe(&message).into_iter().map(|one| (one.full_name.clone(), one)).collect();
        ids.extend(type_ids(&types, |_| None).expect("closed"));
    }
    for entry in list(&file, "types") {
        let id = text(entry, "id").trim_start_matches("0x");
        let id = u64::from_str_radix(id, 16).expect("a number");
        assert_eq!(ids.get(text(entry, "type")), Some(&id), "{}", text(entry, "type"));
    }
}
