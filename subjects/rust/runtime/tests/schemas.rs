//! Announcing, and judging what was announced.

use std::sync::Arc;

use counterpart_runtime::schemas::{Announcer, Tracker};
use counterpart_runtime::service::{Method, Registry};
use counterpart_runtime::wire::{Code, Violation};
use counterpart_spec::DESCRIPTORS;
use counterpart_spec::wire::{BindingRole, Schema, type_schema};

fn registry() -> Arc<Registry> {
    Arc::new(Registry::of(&DESCRIPTORS, "counterpart.testbed.v1.Testbed"))
}

fn method(registry: &Registry, name: &str) -> Arc<Method> {
    registry.methods[&format!("counterpart.testbed.v1.Testbed/{name}")].clone()
}

fn code<T>(result: Result<T, Violation>) -> Option<Code> {
    result.err().map(|violation| violation.code)
}

fn request(name: &str) -> (Arc<Registry>, Arc<Method>, Schema) {
    let registry = registry();
    let method = method(&registry, name);
    let schema = Announcer::new(registry.clone()).request(&method).expect("nothing was announced");
    (registry, method, schema)
}

#[test]
fn what_one_side_announces_the_other_understands() {
    let (registry, method, schema) = request("Sum");
    let mut tracker = Tracker::new(registry);
    assert_eq!(
        code(tracker.bound(&method.name, BindingRole::Arguments, 0)),
        Some(Code::SchemaMissing)
    );
    tracker.learn(schema).expect("it describes itself");
    let bound = tracker.bound(&method.name, BindingRole::Arguments, 0).expect("announced");
    assert_eq!(bound.mismatch, None);
    assert!(tracker.bound(&method.name, BindingRole::Channel, 3).is_ok());
    assert_eq!(tracker.channel_mismatch(&method, true), None);
}

#[test]
fn nothing_is_announced_twice() {
    let registry = registry();
    let mut announcer = Announcer::new(registry.clone());
    let mut types = Vec::new();
    for name in ["Echo", "Sum", "Transform", "Generate"] {
        let method = method(&registry, name);
        let schema = announcer.request(&method).expect("a new binding");
        types.extend(schema.types.iter().map(|one| one.type_id));
        assert!(announcer.request(&method).is_none());
    }
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), count);
}

#[test]
fn a_second_announcement_is_refused() {
    let (registry, _, schema) = request("Echo");
    let mut tracker = Tracker::new(registry);
    tracker.learn(schema.clone()).expect("the first");
    assert_eq!(code(tracker.learn(schema.clone())), Some(Code::SchemaDuplicate));
    let only_bindings = Schema { types: Vec::new(), ..schema };
    assert_eq!(code(tracker.learn(only_bindings)), Some(Code::SchemaDuplicate));
}

#[test]
fn a_description_that_does_not_match_its_id_is_refused() {
    let (registry, _, mut schema) = request("Echo");
    schema.types[0].full_name.push('x');
    assert_eq!(code(Tracker::new(registry).learn(schema)), Some(Code::SchemaInvalid));
}

#[test]
fn a_type_that_was_not_announced_is_missing() {
    let (registry, _, mut schema) = request("Echo");
    schema.types.remove(0); // one that others refer to
    assert_eq!(code(Tracker::new(registry).learn(schema)), Some(Code::SchemaMissing));
}

#[test]
fn a_mismatch_is_found_when_the_binding_arrives() {
    let (registry, method, mut schema) = request("Sum");
    let channel = schema.bindings.iter_mut().find(|one| one.channel_field == 3).expect("bound");
    channel.initial_credit += 1;
    let mut tracker = Tracker::new(registry);
    tracker.learn(schema).expect("legal");
    let why = tracker.channel_mismatch(&method, true).expect("another initial credit");
    assert!(why.contains("initial credit"), "{why}");
}

#[test]
fn fields_match_by_number_kind_and_cardinality() {
    // The other side has Echo's argument with a string where ours has bytes: a leaf type of its
    // own, so its id is its own.
    let (registry, method, schema) = request("Echo");
    let mut other = Schema { bindings: schema.bindings.clone(), ..Schema::default() };
    let mut theirs = schema.types.last().expect("the argument type").clone();
    let Some(type_schema::Body::Message(body)) = &mut theirs.body else { panic!("a message") };
    body.fields.retain(|field| field.name == "padding");
    body.fields[0].kind = 9; // TYPE_STRING
    theirs.type_id = id_of(&theirs);
    other.bindings[0].type_id = theirs.type_id;
    other.types.push(theirs);
    let mut tracker = Tracker::new(registry);
    tracker.learn(other).expect("legal");
    let why = tracker.mismatch(&method.name, BindingRole::Arguments, 0).expect("another kind");
    assert!(why.contains("padding"), "{why}");
}

/// The canonical id of a message of scalars.
fn id_of(schema: &counterpart_spec::wire::TypeSchema) -> u64 {
    use counterpart_runtime::canonical::{Body, Field, Type, type_ids};
    let Some(type_schema::Body::Message(body)) = &schema.body else { panic!("a message") };
    let field = |field: &counterpart_spec::wire::FieldSchema| Field {
        number: field.number,
        name: field.name.clone(),
        cardinality: field.cardinality,
        kind: field.kind,
        oneof_index: field.oneof_index,
        reference: None,
        required: false,
    };
    let body = Body::Message(body.fields.iter().map(field).collect());
    let types = [(0, Type { full_name: schema.full_name.clone(), body })].into();
    type_ids(&types, |_: &u64| None).expect("closed")[&0]
}
