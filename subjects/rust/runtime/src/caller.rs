//! Calls made here, their attempts, and what a cut makes of them.
//!
//! One [`Call`] is one operation; it has at most one attempt in flight. Calls wait in operation
//! order for an attachment and for a slot under the counterpart's limit
//! (r[rpc.flow-control.max-concurrent-requests.outbound]). After each bind every unresolved call
//! is attempted once more, with the same bytes (r[retry.resume.reattempt]), except those with
//! channels and without idem, which a cut ends (r[retry.channel.detach]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use counterpart_spec::control::CallStatus;
use counterpart_spec::wire::{
    BindingRole, CancelRequest, ChannelRef, MetadataEntry, Request, Response, RuntimeErrorCode,
    response,
};
use tokio::sync::watch;

use crate::attachment::Attachment;
use crate::ids::Newest;
use crate::mutant;
use crate::service::{ChannelSet, Method, Registry};
use crate::session::Session;
use crate::wire::{Code, Payload, Violation};
use crate::workload::{Gauge, Held};

/// How a call ended. `value` is the received bytes with OK and USER_ERROR.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// What the application is told.
    pub status: CallStatus,
    /// As received.
    pub value: Bytes,
    /// For a reader.
    pub text: String,
    /// Of the Response, in order.
    pub metadata: Vec<MetadataEntry>,
}

impl Resolution {
    fn new(status: CallStatus, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), ..Self::default() }
    }
}

/// How far a call has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// 0 before the call was taken up by a session.
    pub operation_id: u64,
    /// Handed to a link.
    pub attempts: u32,
    /// The channels of each attempt, from the first.
    pub sets: Vec<Arc<ChannelSet>>,
    /// Once it is over.
    pub resolution: Option<Arc<Resolution>>,
}

/// What the application made: one operation.
#[derive(Debug)]
pub struct Call {
    /// `package.Service/Method`.
    pub method: String,
    arguments: Bytes,
    metadata: Vec<MetadataEntry>,
    progress: watch::Sender<Progress>,
    session: Mutex<Option<Session>>,
}

impl Call {
    /// A call that no session has taken up; `arguments` are sent as they are.
    pub fn new(method: String, arguments: Bytes, metadata: Vec<MetadataEntry>) -> Arc<Self> {
        let (progress, session) = (watch::Sender::default(), Mutex::default());
        Arc::new(Self { method, arguments, metadata, progress, session })
    }

    /// Makes the call in `session`. It waits there while the session is detached.
    pub fn start(self: &Arc<Self>, session: &Session) {
        self.belongs_to(session);
        session.call(self.clone());
    }

    /// From now on this session is told what the application wants.
    pub(crate) fn belongs_to(&self, session: &Session) {
        *self.session.lock().expect("no panic while it is held") = Some(session.clone());
    }

    /// The application wants no answer any more, and is told so at once.  r[rpc.cancel.response]
    pub fn cancel(self: &Arc<Self>) {
        self.resolve(Resolution::new(CallStatus::Cancelled, "cancelled"));
        if let Some(session) = &*self.session.lock().expect("no panic while it is held") {
            session.cancel(self.clone());
        }
    }

    /// How far it has come by now.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Its end.
    pub async fn resolution(&self) -> Arc<Resolution> {
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|seen| seen.resolution.is_some()).await;
        seen.expect("the sender is in self").resolution.clone().expect("waited for")
    }

    /// The channels of an attempt (0: of the newest, or the first to come); none if the call is
    /// resolved without it.
    pub async fn channels(&self, attempt: u32) -> Option<Arc<ChannelSet>> {
        let mut progress = self.progress.subscribe();
        let newest = progress.borrow().sets.len().max(1);
        let wanted = if attempt == 0 { newest } else { attempt as usize };
        let reached = |seen: &Progress| seen.sets.len() >= wanted || seen.resolution.is_some();
        let seen = progress.wait_for(reached).await.expect("the sender is in self");
        seen.sets.get(wanted - 1).cloned()
    }

    fn resolve(&self, resolution: Resolution) {
        self.progress.send_if_modified(|seen| {
            let first = seen.resolution.is_none();
            seen.resolution.get_or_insert(Arc::new(resolution));
            first
        });
    }
}

/// What the driver keeps of an unresolved call.
#[derive(Debug)]
struct Unresolved {
    call: Arc<Call>,
    method: Arc<Method>,
    attempts: u32,
    _held: Held,
}

/// An attempt in flight. It holds its slot also when its call is resolved.
#[derive(Debug)]
pub(crate) struct Attempted {
    operation_id: u64,
    method: Arc<Method>,
}

/// All calls of one session that are not resolved.
#[derive(Debug)]
pub(crate) struct Caller {
    registry: Arc<Registry>,
    gauge: Gauge,
    operations: u64,
    unresolved: BTreeMap<u64, Unresolved>,
    waiting: BTreeSet<u64>,
    over: Option<Resolution>,
}

/// What the session lends for an attempt: ids, and how many attempts the counterpart takes.
pub(crate) struct Minting<'a> {
    pub(crate) requests: &'a mut Newest,
    pub(crate) channels: &'a mut Newest,
    pub(crate) limit: u32,
}

impl Caller {
    pub(crate) fn new(registry: Arc<Registry>, gauge: Gauge) -> Self {
        Self {
            registry,
            gauge,
            operations: 0,
            unresolved: BTreeMap::new(),
            waiting: BTreeSet::new(),
            over: None,
        }
    }

    /// Takes up a call.  r[retry.op-id.per-intention]
    pub(crate) fn start(&mut self, call: Arc<Call>) {
        if call.progress.borrow().resolution.is_some() {
            return;
        }
        if let Some(over) = &self.over {
            return call.resolve(over.clone());
        }
        let Some(method) = self.registry.methods.get(&call.method).cloned() else {
            let text = "this program has no such method";
            return call.resolve(Resolution::new(CallStatus::UnknownMethod, text));
        };
        self.operations += 1;
        call.progress.send_modify(|seen| seen.operation_id = self.operations);
        let held = self.gauge.hold();
        let unresolved = Unresolved { call, method, attempts: 0, _held: held };
        self.unresolved.insert(self.operations, unresolved);
        self.waiting.insert(self.operations);
    }

    /// The call is resolved already; what is left is to say so.  r[rpc.cancel]
    pub(crate) fn cancel(&mut self, call: &Arc<Call>, attachment: Option<&mut Attachment>) {
        let operation_id = call.progress.borrow().operation_id;
        let ours =
            self.unresolved.get(&operation_id).is_some_and(|one| Arc::ptr_eq(&one.call, call));
        if !ours {
            return;
        }
        self.forget(operation_id);
        let Some(attachment) = attachment else { return };
        let attempt = attachment.outgoing.iter().find(|(_, one)| one.operation_id == operation_id);
        if let Some((&request_id, _)) = attempt {
            attachment.out.commit(Payload::CancelRequest(CancelRequest { request_id }));
        }
    }

    /// Attempts what waits, as far as the counterpart's limit allows.
    pub(crate) fn pump(&mut self, attachment: &mut Attachment, mut minting: Minting<'_>) {
        let overtaking = mutant::is("side_send_overtakes_the_backlog");
        let next = if overtaking { BTreeSet::last } else { BTreeSet::first };
        while let Some(&operation_id) = next(&self.waiting) {
            if minting.limit == 0 {
                let text = "the counterpart takes no requests";
                self.settle(operation_id, Resolution::new(CallStatus::ResourceExhausted, text));
            } else if attachment.outgoing.len() < minting.limit as usize {
                self.waiting.remove(&operation_id);
                self.attempt(operation_id, attachment, &mut minting);
            } else {
                return;
            }
        }
    }

    /// Commits one attempt: schemas, channel ends, Request, in this order.
    fn attempt(&mut self, operation_id: u64, attachment: &mut Attachment, ids: &mut Minting<'_>) {
        let settled_below = *self.unresolved.keys().next().expect("this one");
        let one = self.unresolved.get_mut(&operation_id).expect("only unresolved calls wait");
        let method = one.method.clone();
        let mut channel_ids = *ids.channels;
        let channels = method.channels.iter(); // r[rpc.channel.allocation]
        let request = Payload::Request(Request {
            request_id: ids.requests.peek(),
            operation_id,
            method: method.name.clone(),
            arguments: one.call.arguments.clone(),
            channels: channels
                .map(|channel| ChannelRef {
                    field_number: channel.field,
                    channel_id: channel_ids.mint(),
                })
                .collect(),
            metadata: one.call.metadata.clone(),
            settled_below,
            origin_session: Bytes::new(),
        });
        if !attachment.out.fits(&request) {
            let text = "the request is larger than the counterpart accepts";
            return self.settle(operation_id, Resolution::new(CallStatus::PayloadTooLarge, text));
        }
        let schema = attachment.out.announcer.request(&method);
        attachment.out.announce(schema);
        let mut set = ChannelSet::new();
        for channel in &method.channels {
            let id = ids.channels.mint();
            let handle = attachment.make_end(&method, channel, id, channel.to_callee);
            handle.bind();
            set.insert(channel.field, handle);
        }
        let request_id = ids.requests.mint();
        one.attempts += 1;
        attachment.outgoing.insert(request_id, Attempted { operation_id, method });
        attachment.out.commit(request);
        one.call.progress.send_modify(|seen| {
            seen.attempts += 1;
            if mutant::is("idem_rerun_binds_old_handles") {
                seen.sets.clear(); // what was the first attempt's is now this one's
            }
            if !set.is_empty() {
                seen.sets.push(Arc::new(set));
            }
        });
    }

    /// The one response of an attempt.  r[rpc.response.one-per-request]
    pub(crate) fn on_response(
        &mut self,
        attachment: &mut Attachment,
        response: Response,
    ) -> Result<(), Violation> {
        let request_id = response.request_id;
        let Some(attempted) = attachment.outgoing.remove(&request_id) else {
            return Err(Violation::new(
                Code::BadRequestId,
                "rpc.response.one-per-request",
                format!("a Response to {request_id}, which is not in flight"),
            ));
        };
        let resolution = judge(attachment, &attempted.method, response)?;
        if self.unresolved.contains_key(&attempted.operation_id) {
            self.settle(attempted.operation_id, resolution);
        } else {
            attachment.out.record.discard("response", "rpc.cancel", request_id, 1);
        }
        Ok(())
    }

    /// A generation ended: decides for each of its attempts.
    pub(crate) fn detached(&mut self, outgoing: HashMap<u64, Attempted>) {
        if mutant::is("operation_ids_restart_after_reconnect") {
            self.operations = 0;
        }
        for Attempted { operation_id, method } in outgoing.into_values() {
            if !self.unresolved.contains_key(&operation_id) {
                continue;
            }
            if !method.channels.is_empty() && !method.idem {
                // r[retry.channel.recovery.non-idem]
                self.settle(operation_id, Resolution::new(CallStatus::Indeterminate, "link lost"));
            } else {
                self.waiting.insert(operation_id);
            }
        }
    }

    /// The session is over for every call, now and later.  r[rpc.error.ambiguous]
    pub(crate) fn ended(&mut self, protocol_error: bool, text: &str) {
        let told =
            if protocol_error { CallStatus::ProtocolError } else { CallStatus::SessionShutdown };
        let over = Resolution::new(told, text);
        for (operation_id, one) in std::mem::take(&mut self.unresolved) {
            self.waiting.remove(&operation_id);
            let plain = protocol_error || one.method.idem || one.attempts == 0;
            let indeterminate = || Resolution::new(CallStatus::Indeterminate, text);
            one.call.resolve(if plain { over.clone() } else { indeterminate() });
        }
        self.over = Some(over);
    }

    /// Gives up the idem calls, to be made again elsewhere.  r[retry.session-lost.policy]
    pub(crate) fn emigrate(&mut self) -> Vec<Arc<Call>> {
        let leaving: Vec<u64> =
            self.unresolved.iter().filter(|(_, one)| one.method.idem).map(|(id, _)| *id).collect();
        leaving.into_iter().filter_map(|id| self.forget(id)).map(|one| one.call).collect()
    }

    fn settle(&mut self, operation_id: u64, resolution: Resolution) {
        if let Some(one) = self.forget(operation_id) {
            one.call.resolve(resolution);
        }
    }

    fn forget(&mut self, operation_id: u64) -> Option<Unresolved> {
        self.waiting.remove(&operation_id);
        self.unresolved.remove(&operation_id)
    }
}

fn judge(
    attachment: &Attachment,
    method: &Method,
    response: Response,
) -> Result<Resolution, Violation> {
    use response::Outcome::{Ok as Value, RuntimeError, UserError};
    let metadata = response.metadata;
    let (status, value) = match response.outcome {
        Some(RuntimeError(error)) => {
            let (status, text) = (status_of(error.code, method.idem), error.text);
            return Ok(Resolution { status, text, metadata, value: Bytes::new() });
        }
        Some(Value(value)) => (CallStatus::Ok, value),
        Some(UserError(value)) => (CallStatus::UserError, value),
        None => {
            let text = "a Response without outcome";
            return Err(Violation::new(Code::Malformed, "rpc.response.shape", text));
        }
    };
    let bound = attachment.tracker.bound(&method.name, BindingRole::Response, 0)?;
    if status == CallStatus::UserError && !bound.has_error {
        let text = format!("{}: a user error of no announced type", method.name);
        return Err(Violation::new(Code::SchemaMissing, "schema.exchange.required", text));
    }
    let mismatch = || attachment.tracker.channel_mismatch(method, false);
    Ok(match bound.mismatch.clone().or_else(mismatch) {
        // r[schema.errors]
        Some(text) => Resolution::new(CallStatus::SchemaMismatch, text),
        None => Resolution { status, value, text: String::new(), metadata },
    })
}

fn status_of(code: i32, idem: bool) -> CallStatus {
    use RuntimeErrorCode as Told;
    match Told::try_from(code) {
        Ok(Told::UnknownMethod) => CallStatus::UnknownMethod,
        Ok(Told::InvalidPayload) => CallStatus::InvalidPayload,
        Ok(Told::Cancelled) => CallStatus::Cancelled,
        Ok(Told::Indeterminate) => CallStatus::Indeterminate,
        Ok(Told::OperationConflict) => CallStatus::OperationConflict,
        // r[retry.gc.settled-below]
        Ok(Told::OperationExpired) if !idem => CallStatus::Indeterminate,
        Ok(Told::OperationExpired) => CallStatus::OperationExpired,
        Ok(Told::ResourceExhausted) => CallStatus::ResourceExhausted,
        Ok(Told::PayloadTooLarge) => CallStatus::PayloadTooLarge,
        Ok(Told::SchemaMismatch) => CallStatus::SchemaMismatch,
        // r[rpc.response.shape]
        Ok(Told::Unspecified) | Err(_) => CallStatus::OtherRuntimeError,
    }
}
