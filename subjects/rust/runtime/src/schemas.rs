//! Strict schema exchange, per attachment and sender.  r[schema.tracking.sender]
//!
//! [`Announcer`] says what still has to be announced before a message may be sent. [`Tracker`]
//! holds what the counterpart announced: it refuses what was announced twice, used before, or
//! described wrongly, and finds incompatible types when they arrive. Both belong to one attachment
//! and start from nothing (r[session.resume.schemas]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use counterpart_spec::wire::{
    Binding, BindingRole, EnumSchema, EnumValueSchema, FieldSchema, MessageSchema, Schema,
    TypeSchema, type_schema,
};

use crate::canonical::{Body, Field, Type, Unknown, incompatibility, type_ids};
use crate::service::{Known, Method, Registry};
use crate::wire::{Code, Violation};

const TYPES: usize = 1 << 14;
const BINDINGS: usize = 1 << 14;
const REQUIRED: &str = "schema.exchange.required";
const ONCE: &str = "schema.principles.once-per-type";

/// What a binding is for: method, role, channel field (0 with other roles).
type Key = (String, i32, u32);

fn key(method: &str, role: BindingRole, field: u32) -> Key {
    (method.into(), role.into(), field)
}

// ------------------------------------------------------------------ what we announce

/// What this side announced on one attachment.
#[derive(Debug)]
pub struct Announcer {
    registry: Arc<Registry>,
    types: HashSet<String>,
    bindings: HashSet<Key>,
}

impl Announcer {
    /// Nothing is announced yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, types: HashSet::new(), bindings: HashSet::new() }
    }

    /// What a Request still needs: its arguments, and the items the caller will send.
    pub fn request(&mut self, method: &Method) -> Option<Schema> {
        let mut schema = Schema::default();
        self.bind(&mut schema, method, BindingRole::Arguments, 0, &method.request);
        for channel in method.channels.iter().filter(|channel| channel.to_callee) {
            self.bind(&mut schema, method, BindingRole::Channel, channel.field, &channel.item);
        }
        (!schema.bindings.is_empty()).then_some(schema)
    }

    /// What a Response with a value or a user error still needs.
    pub fn response(&mut self, method: &Method) -> Option<Schema> {
        let mut schema = Schema::default();
        self.bind(&mut schema, method, BindingRole::Response, 0, &method.response);
        (!schema.bindings.is_empty()).then_some(schema)
    }

    /// What an item on a channel argument still needs.
    pub fn item(&mut self, method: &Method, field: u32) -> Option<Schema> {
        let mut schema = Schema::default();
        let channel = method.channel(field)?;
        self.bind(&mut schema, method, BindingRole::Channel, field, &channel.item);
        (!schema.bindings.is_empty()).then_some(schema)
    }

    fn bind(
        &mut self,
        schema: &mut Schema,
        method: &Method,
        role: BindingRole,
        field: u32,
        root: &Known,
    ) {
        if !self.bindings.insert(key(&method.name, role, field)) {
            return; // r[schema.principles.once-per-type]
        }
        let mut binding = Binding {
            method: method.name.clone(),
            role: role.into(),
            channel_field: field,
            type_id: root.id,
            ..Binding::default()
        };
        self.announce(schema, root);
        if let (BindingRole::Response, Some(error)) = (role, &method.error) {
            self.announce(schema, error);
            binding.error_type_id = error.id;
        }
        if let (BindingRole::Channel, Some(channel)) = (role, method.channel(field)) {
            binding.initial_credit = channel.initial_credit;
        }
        schema.bindings.push(binding);
    }

    fn announce(&mut self, schema: &mut Schema, root: &Known) {
        for name in root.closure.iter() {
            if self.types.insert(name.clone()) {
                schema.types.push(announcement(&self.registry, name));
            }
        }
    }
}

fn announcement(registry: &Registry, name: &str) -> TypeSchema {
    let described = &registry.types[name];
    let body = match &described.body {
        Body::Enum(values) => {
            let value = |(number, name): &(i32, String)| EnumValueSchema {
                number: *number,
                name: name.clone(),
            };
            type_schema::Body::Enum(EnumSchema { values: values.iter().map(value).collect() })
        }
        Body::Message(fields) => {
            let field = |field: &Field<String>| FieldSchema {
                number: field.number,
                name: field.name.clone(),
                cardinality: field.cardinality,
                kind: field.kind,
                oneof_index: field.oneof_index,
                type_id: field.reference.as_ref().map_or(0, |name| registry.ids[name]),
            };
            type_schema::Body::Message(MessageSchema { fields: fields.iter().map(field).collect() })
        }
    };
    TypeSchema { type_id: registry.ids[name], full_name: name.into(), body: Some(body) }
}

// ------------------------------------------------------------------ what the counterpart announces

/// A binding of the counterpart.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Why its values cannot be read here, if they cannot.  r[schema.errors.early]
    pub mismatch: Option<String>,
    /// With a response: was a user error type announced?
    pub has_error: bool,
}

/// What the counterpart announced on one attachment.
#[derive(Debug)]
pub struct Tracker {
    registry: Arc<Registry>,
    types: HashMap<u64, Type<u64>>,
    bindings: HashMap<Key, Bound>,
}

impl Tracker {
    /// Nothing was announced yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, types: HashMap::new(), bindings: HashMap::new() }
    }

    /// Takes in one announcement.
    pub fn learn(&mut self, schema: Schema) -> Result<(), Violation> {
        let mut announced = HashMap::new();
        for one in schema.types {
            let id = one.type_id;
            if self.types.contains_key(&id) || announced.contains_key(&id) {
                let text = format!("{} was announced twice", one.full_name);
                return Err(Violation::new(Code::SchemaDuplicate, ONCE, text));
            }
            announced.insert(id, described(one)?);
        }
        if self.types.len() + announced.len() > TYPES {
            return Err(invalid("too many types".into()));
        }
        let known = |id: &u64| self.types.contains_key(id).then_some(*id);
        let ids = type_ids(&announced, known).map_err(|Unknown(id)| missing_type(id))?;
        if let Some((id, computed)) = ids.iter().find(|(id, computed)| id != computed) {
            let name = &announced[id].full_name;
            return Err(invalid(format!("{name} is {computed:016x}, announced as {id:016x}")));
        }
        self.types.extend(announced);
        schema.bindings.into_iter().try_for_each(|binding| self.bind(binding))
    }

    /// The binding that something which just arrived depends on.
    pub fn bound(&self, method: &str, role: BindingRole, field: u32) -> Result<&Bound, Violation> {
        self.bindings.get(&key(method, role, field)).ok_or_else(|| {
            let text = format!("{method}: {} {field} was not announced", role.as_str_name());
            Violation::new(Code::SchemaMissing, REQUIRED, text)
        })
    }

    /// The incompatibility of a binding, if it was announced and has one.
    pub fn mismatch(&self, method: &str, role: BindingRole, field: u32) -> Option<String> {
        self.bindings.get(&key(method, role, field))?.mismatch.clone()
    }

    /// The first incompatibility of the channels that one side sends on.
    pub fn channel_mismatch(&self, method: &Method, to_callee: bool) -> Option<String> {
        let mut channels = method.channels.iter().filter(|channel| channel.to_callee == to_callee);
        channels.find_map(|one| self.mismatch(&method.name, BindingRole::Channel, one.field))
    }

    fn bind(&mut self, binding: Binding) -> Result<(), Violation> {
        let method = &binding.method;
        let role = match BindingRole::try_from(binding.role) {
            Ok(role) if role != BindingRole::Unspecified => role,
            _ => return Err(invalid(format!("{method}: no such role"))),
        };
        if self.bindings.len() >= BINDINGS {
            return Err(invalid("too many bindings".into()));
        }
        let key = key(method, role, binding.channel_field);
        if self.bindings.contains_key(&key) {
            let text = format!("{method}: bound twice");
            return Err(Violation::new(Code::SchemaDuplicate, ONCE, text));
        }
        for id in [Some(binding.type_id), Some(binding.error_type_id).filter(|id| *id != 0)] {
            if let Some(id) = id.filter(|id| !self.types.contains_key(id)) {
                return Err(missing_type(id));
            }
        }
        let (mismatch, has_error) = (self.judge(&binding, role), binding.error_type_id != 0);
        self.bindings.insert(key, Bound { mismatch, has_error });
        Ok(())
    }

    /// Why the binding does not suit our method; a method we lack suits everything.
    fn judge(&self, binding: &Binding, role: BindingRole) -> Option<String> {
        let method = self.registry.methods.get(&binding.method)?;
        match role {
            BindingRole::Channel => {
                let Some(channel) = method.channel(binding.channel_field) else {
                    return Some(format!("{}: no channel {}", method.name, binding.channel_field));
                };
                if channel.initial_credit != binding.initial_credit {
                    return Some(format!(
                        "{} field {}: initial credit {} here, {} there",
                        method.name, channel.field, channel.initial_credit, binding.initial_credit
                    ));
                }
                self.compare(binding.type_id, &channel.item)
            }
            BindingRole::Response => {
                let error = method.error.as_ref().filter(|_| binding.error_type_id != 0);
                self.compare(binding.type_id, &method.response)
                    .or_else(|| self.compare(binding.error_type_id, error?))
            }
            _ => self.compare(binding.type_id, &method.request),
        }
    }

    fn compare(&self, their_id: u64, ours: &Known) -> Option<String> {
        if their_id == ours.id {
            return None;
        }
        incompatibility(&self.types, their_id, &self.registry.types, &ours.name)
    }
}

fn invalid(text: String) -> Violation {
    Violation::new(Code::SchemaInvalid, "schema.type-id", text)
}

fn missing_type(id: u64) -> Violation {
    Violation::new(Code::SchemaMissing, REQUIRED, format!("type {id:016x} was not announced"))
}

fn described(schema: TypeSchema) -> Result<Type<u64>, Violation> {
    let full_name = schema.full_name;
    let body = match schema.body {
        Some(type_schema::Body::Enum(body)) => {
            Body::Enum(body.values.into_iter().map(|value| (value.number, value.name)).collect())
        }
        Some(type_schema::Body::Message(body)) => {
            let field = |field: FieldSchema| Field {
                number: field.number,
                name: field.name,
                cardinality: field.cardinality,
                kind: field.kind,
                oneof_index: field.oneof_index,
                reference: Some(field.type_id).filter(|id| *id != 0),
                required: false,
            };
            Body::Message(body.fields.into_iter().map(field).collect())
        }
        None => return Err(invalid(format!("{full_name}: neither message nor enum"))),
    };
    let in_order = match &body {
        Body::Enum(values) => values.is_sorted(),
        Body::Message(fields) => fields.is_sorted_by(|a, b| a.number < b.number),
    };
    if !in_order {
        return Err(invalid(format!("{full_name}: out of order")));
    }
    Ok(Type { full_name, body })
}
