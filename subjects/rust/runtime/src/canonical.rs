//! Type descriptions and their canonical ids.  r[schema.type-id.canonical]. Pure.
//!
//! A description lists a message's fields or an enum's values and refers to other types by a key:
//! the full name for types of this program, the announced id for those of a counterpart. The same
//! functions serve both.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use counterpart_spec::wire::Cardinality;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use sha2::{Digest, Sha256};

/// Marks a number inside the group instead of a type id.  r[schema.type-id.recursive]
const MEMBER: u64 = 1 << 63;

/// One field. `oneof_index` is 1-based, 0 in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<K> {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Value of `wire.v1.Cardinality`.
    pub cardinality: i32,
    /// Value of `FieldDescriptorProto.Type`.
    pub kind: u32,
    /// Among the real oneofs of its message.
    pub oneof_index: u32,
    /// The message or enum it holds.
    pub reference: Option<K>,
    /// This program's own wish, and no part of the id.
    pub required: bool,
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<K> {
    /// Ascending by number.
    Message(Vec<Field<K>>),
    /// Ascending by number, then by name.
    Enum(Vec<(i32, String)>),
}

/// One type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type<K> {
    /// Without a leading dot.
    pub full_name: String,
    /// Fields or values.
    pub body: Body<K>,
}

impl<K: Clone> Type<K> {
    /// The fields; none of an enum.
    pub fn fields(&self) -> &[Field<K>] {
        match &self.body {
            Body::Message(fields) => fields,
            Body::Enum(_) => &[],
        }
    }

    fn references(&self) -> impl Iterator<Item = &K> {
        self.fields().iter().filter_map(|field| field.reference.as_ref())
    }
}

// ------------------------------------------------------------------ from descriptors

/// `root` and every type it reaches, those it refers to first (cycles aside).
pub fn describe(root: &MessageDescriptor) -> Vec<Type<String>> {
    let mut found = Vec::new();
    visit(root, &mut HashSet::new(), &mut found);
    found
}

fn visit(
    message: &MessageDescriptor,
    entered: &mut HashSet<String>,
    found: &mut Vec<Type<String>>,
) {
    if !entered.insert(message.full_name().into()) {
        return;
    }
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    for field in &fields {
        match field.kind() {
            Kind::Message(inner) => visit(&inner, entered, found),
            Kind::Enum(inner) if entered.insert(inner.full_name().into()) => {
                found.push(describe_enum(&inner));
            }
            _ => {}
        }
    }
    found.push(Type {
        full_name: message.full_name().into(),
        body: Body::Message(fields.iter().map(describe_field).collect()),
    });
}

fn describe_enum(descriptor: &EnumDescriptor) -> Type<String> {
    let values: BTreeSet<(i32, String)> =
        descriptor.values().map(|value| (value.number(), value.name().into())).collect();
    Type {
        full_name: descriptor.full_name().into(),
        body: Body::Enum(values.into_iter().collect()),
    }
}

fn describe_field(field: &FieldDescriptor) -> Field<String> {
    let cardinality = if field.is_list() || field.is_map() {
        Cardinality::Repeated
    } else if field.supports_presence() {
        Cardinality::Optional
    } else {
        Cardinality::Implicit
    };
    let real_oneof = |oneof: &prost_reflect::OneofDescriptor| {
        oneof
            .parent_message()
            .oneofs()
            .filter(|other| !other.is_synthetic())
            .position(|other| other == *oneof)
    };
    let oneof = field.containing_oneof().as_ref().and_then(real_oneof);
    let reference = match field.kind() {
        Kind::Message(inner) => Some(inner.full_name().to_owned()),
        Kind::Enum(inner) => Some(inner.full_name().to_owned()),
        _ => None,
    };
    Field {
        number: field.number(),
        name: field.name().into(),
        cardinality: cardinality.into(),
        kind: field.field_descriptor_proto().r#type() as u32,
        oneof_index: oneof.map_or(0, |index| index as u32 + 1),
        reference,
        required: is_required(field),
    }
}

fn is_required(field: &FieldDescriptor) -> bool {
    let pool = field.parent_pool();
    let extension = pool.get_extension_by_name("counterpart.testbed.v1.required");
    extension
        .is_some_and(|extension| field.options().get_extension(&extension).as_bool() == Some(true))
}

// ------------------------------------------------------------------ ids

/// A type refers to another one that nobody has described.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown<K>(pub K);

/// The canonical id of each of `types`; `known` has those of other types they refer to.
pub fn type_ids<K: Clone + Eq + Hash>(
    types: &HashMap<K, Type<K>>,
    known: impl Fn(&K) -> Option<u64>,
) -> Result<HashMap<K, u64>, Unknown<K>> {
    let mut ids: HashMap<K, u64> = HashMap::new();
    for mut group in groups(types) {
        let alone = group.len() == 1 && types[&group[0]].references().all(|key| *key != group[0]);
        let mut inside: HashMap<K, u64> = HashMap::new();
        if !alone {
            group.sort_by(|a, b| types[a].full_name.cmp(&types[b].full_name));
            inside = (0..)
                .map(|number| MEMBER | number)
                .zip(&group)
                .map(|(id, key)| (key.clone(), id))
                .collect();
        }
        let id_of = |key: &K| {
            inside
                .get(key)
                .or_else(|| ids.get(key))
                .copied()
                .or_else(|| known(key))
                .ok_or_else(|| Unknown(key.clone()))
        };
        let mut bytes = Vec::new();
        if !alone {
            bytes.push(b'G');
            put_u32(&mut bytes, group.len());
        }
        for key in &group {
            put_type(&mut bytes, &types[key], &id_of)?;
        }
        let hash = Sha256::digest(&bytes);
        if alone {
            ids.insert(group.remove(0), first_eight(&hash));
            continue;
        }
        for (number, key) in (0_u32..).zip(group) {
            let member = Sha256::new().chain_update(hash).chain_update(number.to_le_bytes());
            ids.insert(key, first_eight(&member.finalize()));
        }
    }
    Ok(ids)
}

fn first_eight(hash: &[u8]) -> u64 {
    u64::from_le_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend(u32::try_from(value).expect("a description fits in a payload").to_le_bytes());
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    put_u32(out, text.len());
    out.extend(text.as_bytes());
}

fn put_type<K: Clone>(
    out: &mut Vec<u8>,
    described: &Type<K>,
    id_of: &impl Fn(&K) -> Result<u64, Unknown<K>>,
) -> Result<(), Unknown<K>> {
    match &described.body {
        Body::Enum(values) => {
            out.push(b'E');
            put_str(out, &described.full_name);
            put_u32(out, values.len());
            for (number, name) in values {
                out.extend(number.to_le_bytes());
                put_str(out, name);
            }
        }
        Body::Message(fields) => {
            out.push(b'M');
            put_str(out, &described.full_name);
            put_u32(out, fields.len());
            for field in fields {
                out.extend(field.number.to_le_bytes());
                put_str(out, &field.name);
                out.extend([field.cardinality as u8, field.kind as u8]);
                out.extend(field.oneof_index.to_le_bytes());
                let id = field.reference.as_ref().map_or(Ok(0), id_of)?;
                out.extend(id.to_le_bytes());
            }
        }
    }
    Ok(())
}

/// Strongly connected components, those referred to first (Tarjan, without recursion: the types
/// may be a counterpart's).
fn groups<K: Clone + Eq + Hash>(types: &HashMap<K, Type<K>>) -> Vec<Vec<K>> {
    let keys: Vec<&K> = types.keys().collect();
    let number: HashMap<&K, usize> = keys.iter().enumerate().map(|(i, key)| (*key, i)).collect();
    let targets: Vec<Vec<usize>> = keys
        .iter()
        .map(|key| types[*key].references().filter_map(|to| number.get(to).copied()).collect())
        .collect();
    const NEW: usize = usize::MAX;
    let mut order = vec![NEW; keys.len()];
    let mut low = vec![0; keys.len()];
    let mut on_stack = vec![false; keys.len()];
    let (mut count, mut stack, mut found) = (0, Vec::new(), Vec::new());
    for root in 0..keys.len() {
        if order[root] != NEW {
            continue;
        }
        let mut work = vec![(root, 0)];
        while let Some(top) = work.last_mut() {
            let (node, next) = *top;
            top.1 += 1;
            if next == 0 {
                (order[node], low[node], on_stack[node]) = (count, count, true);
                count += 1;
                stack.push(node);
            }
            if let Some(&target) = targets[node].get(next) {
                if order[target] == NEW {
                    work.push((target, 0));
                } else if on_stack[target] {
                    low[node] = low[node].min(order[target]);
                }
                continue;
            }
            work.pop();
            if let Some(&(parent, _)) = work.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                let first = stack.iter().rposition(|&n| n == node).expect("it was pushed");
                let members = stack.split_off(first);
                members.iter().for_each(|&member| on_stack[member] = false);
                found.push(members.into_iter().map(|member| keys[member].clone()).collect());
            }
        }
    }
    found
}

// ------------------------------------------------------------------ compatibility

/// Why values of their type cannot be read as ours; none if they can.  r[schema.compat]
pub fn incompatibility(
    theirs: &HashMap<u64, Type<u64>>,
    their_id: u64,
    ours: &HashMap<String, Type<String>>,
    our_name: &str,
) -> Option<String> {
    let mut work = vec![(their_id, our_name)];
    let mut seen = HashSet::new();
    while let Some(pair) = work.pop() {
        if !seen.insert(pair) {
            continue;
        }
        let (Some(sent), Some(read)) = (theirs.get(&pair.0), ours.get(pair.1)) else { continue };
        let name = &read.full_name;
        if matches!(sent.body, Body::Enum(_)) != matches!(read.body, Body::Enum(_)) {
            return Some(format!("{name}: a message on one side, an enum on the other"));
        }
        let sent_fields: HashMap<u32, &Field<u64>> =
            sent.fields().iter().map(|field| (field.number, field)).collect();
        for field in read.fields() {
            let Some(other) = sent_fields.get(&field.number) else {
                if field.required {
                    return Some(format!(
                        "{name}.{}: required, not in {}",
                        field.name, sent.full_name
                    ));
                }
                continue;
            };
            if (other.kind, other.cardinality) != (field.kind, field.cardinality) {
                return Some(format!(
                    "{name}.{}: kind {} cardinality {} here, {} and {} in {}",
                    field.name,
                    field.kind,
                    field.cardinality,
                    other.kind,
                    other.cardinality,
                    sent.full_name
                ));
            }
            if let (Some(to), Some(ours)) = (other.reference, field.reference.as_deref()) {
                work.push((to, ours));
            }
        }
    }
    None
}
