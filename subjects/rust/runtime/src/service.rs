//! Methods, as their descriptors declare them, and what a handler is given and gives back.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use counterpart_spec::wire::MetadataEntry;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};

use crate::caller::{Call, Resolution};
use crate::canonical::{Type, describe, type_ids};
use crate::handles::Handle;
use crate::session::Session;

/// A type of this program with all that it reaches.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its full name.
    pub name: String,
    /// Its canonical id.
    pub id: u64,
    /// Full names of it and what it reaches, those referred to first.
    pub closure: Arc<[String]>,
}

/// One channel argument: who sends, what, and with how much credit at first (items).
#[derive(Clone, Debug)]
pub struct ChannelArgument {
    /// Of the argument field.
    pub field: u32,
    /// Does the caller send?
    pub to_callee: bool,
    /// The item type.
    pub item: Known,
    /// Items the sender may send before the first grant.
    pub initial_credit: u32,
}

/// One method.
#[derive(Debug)]
pub struct Method {
    /// `package.Service/Method`.
    pub name: String,
    /// May it run more than once?
    pub idem: bool,
    /// The argument type.
    pub request: Known,
    /// The ok type.
    pub response: Known,
    /// The user error type, if it declares one.
    pub error: Option<Known>,
    /// Ascending by field number.
    pub channels: Vec<ChannelArgument>,
    arguments: MessageDescriptor,
}

impl Method {
    /// Do these bytes decode as the argument type?  r[rpc.invalid-payload]
    pub fn decodes(&self, arguments: &Bytes) -> bool {
        DynamicMessage::decode(self.arguments.clone(), arguments.clone()).is_ok()
    }

    /// The channel argument of a field.
    pub fn channel(&self, field: u32) -> Option<&ChannelArgument> {
        self.channels.iter().find(|channel| channel.field == field)
    }
}

/// The types and methods of this program. Both sides of a session have the same.
#[derive(Debug, Default)]
pub struct Registry {
    /// By full name.
    pub types: HashMap<String, Type<String>>,
    /// Their ids, by full name.
    pub ids: HashMap<String, u64>,
    /// By wire name.
    pub methods: HashMap<String, Arc<Method>>,
    /// Id of `wire.v1.Message`.
    pub protocol_schema: u64,
}

impl Registry {
    /// All methods of a service. Panics if the pool has no such service, or a method breaks
    /// r[retry.channel.persist-forbidden] or asks for persistence, which is not offered.
    pub fn of(pool: &DescriptorPool, service: &str) -> Self {
        let mut registry = Self::default();
        let message = pool.get_message_by_name("counterpart.wire.v1.Message").expect("the wire");
        registry.protocol_schema = registry.learn(&message).id;
        let service = pool.get_service_by_name(service).expect("a service of the pool");
        for descriptor in service.methods() {
            let method = registry.method(&descriptor);
            registry.methods.insert(method.name.clone(), Arc::new(method));
        }
        registry
    }

    fn learn(&mut self, root: &MessageDescriptor) -> Known {
        let found = describe(root);
        let closure = found.iter().map(|described| described.full_name.clone()).collect();
        let types: HashMap<_, _> =
            found.into_iter().map(|described| (described.full_name.clone(), described)).collect();
        let ids = type_ids(&types, |_| None).expect("a closure is closed");
        let known = Known { name: root.full_name().into(), id: ids[root.full_name()], closure };
        self.types.extend(types);
        self.ids.extend(ids);
        known
    }

    fn method(&mut self, descriptor: &MethodDescriptor) -> Method {
        let pool = descriptor.parent_pool();
        let options = descriptor.options();
        let option = |name: &str| {
            let name = format!("counterpart.testbed.v1.{name}");
            let extension = pool.get_extension_by_name(&name).expect("an option of the testbed");
            options.get_extension(&extension).into_owned()
        };
        assert_ne!(option("persist").as_bool(), Some(true), "persist methods are not offered");
        let error = option("error");
        let error = error.as_str().filter(|name| !name.is_empty());
        Method {
            name: format!("{}/{}", descriptor.parent_service().full_name(), descriptor.name()),
            idem: option("idem").as_bool() == Some(true),
            request: self.learn(&descriptor.input()),
            response: self.learn(&descriptor.output()),
            error: error
                .map(|name| self.learn(&pool.get_message_by_name(name).expect("the error type"))),
            channels: self.channels(&descriptor.input()),
            arguments: descriptor.input(),
        }
    }

    fn channels(&mut self, arguments: &MessageDescriptor) -> Vec<ChannelArgument> {
        let pool = arguments.parent_pool();
        let extension =
            pool.get_extension_by_name("counterpart.testbed.v1.channel").expect("an option");
        let mut channels = Vec::new();
        for field in arguments.fields() {
            let options = field.options();
            if !options.has_extension(&extension) {
                continue;
            }
            let value = options.get_extension(&extension);
            let option = value.as_message().expect("a ChannelArgument");
            let item = option.get_field_by_name("item").expect("declared");
            let item = item.as_str().and_then(|name| pool.get_message_by_name(name));
            let number = |name: &str| {
                let value = option.get_field_by_name(name).expect("declared");
                value.as_u32().or(value.as_enum_number().map(|number| number as u32))
            };
            channels.push(ChannelArgument {
                field: field.number(),
                to_callee: number("direction") == Some(1),
                item: self.learn(&item.expect("the item type")),
                initial_credit: number("initial_credit").expect("a number"),
            });
        }
        channels.sort_by_key(|channel| channel.field);
        channels
    }
}

/// The ends of one attempt, by field number.
pub type ChannelSet = BTreeMap<u32, Handle>;

/// One run of a handler.
#[derive(Debug)]
pub struct Invocation {
    /// What is called.
    pub method: Arc<Method>,
    /// The exact argument bytes; they decode.
    pub arguments: Bytes,
    /// As the caller sent it, in order.
    pub metadata: Vec<MetadataEntry>,
    /// The handler's ends. Those it drops are reset or aborted (r[rpc.channel.abandon]).
    pub channels: ChannelSet,
    /// Where the call came from.
    pub(crate) session: Session,
}

/// Of a metadata entry: not for calls that a handler makes in turn.
const NO_PROPAGATE: u32 = 1 << 1;

impl Invocation {
    /// Makes a call of whoever called, with the metadata of this one that may go on, and waits for
    /// its end.  r[rpc.metadata.no-propagate]
    pub async fn call(&self, method: &str, arguments: Bytes) -> Arc<Resolution> {
        let passed_on = self.metadata.iter().filter(|entry| entry.flags & NO_PROPAGATE == 0);
        let call = Call::new(method.into(), arguments, passed_on.cloned().collect());
        call.start(&self.session);
        call.resolution().await
    }
}

/// What a handler returns; it seals the operation.  r[retry.seal.only-return]
#[derive(Clone, Debug)]
pub enum Returned {
    /// Bytes of the response type, and metadata of the Response.
    Ok(Bytes, Vec<MetadataEntry>),
    /// Bytes of the method's user error type.
    UserError(Bytes),
}

/// A run in progress. It is polled by the driver of its session, and dropped to cancel it.
pub type Run = Pin<Box<dyn Future<Output = Returned> + Send>>;

/// Serves the calls of one domain. A handler that panics has crashed: its operation becomes
/// Indeterminate, and nothing else is touched.
pub type Handler = Arc<dyn Fn(Invocation) -> Run + Send + Sync>;
