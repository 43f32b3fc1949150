//! The callee: operation records, and the runs of handlers.
//!
//! The record alone decides what an attempt gets (r[retry.resume.reattempt]); its table is
//! [`Record`]. A run is a future: one of a method with channels is owned by the attachment whose
//! channels it has, any other by the session. Dropping it is all that cancelling takes, so a run
//! that was given up cannot complete (r[strict.rebind.generation]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use counterpart_spec::control::HandlerEvent;
use counterpart_spec::wire::{
    BindingRole, MetadataEntry, Request, Response, RuntimeError, RuntimeErrorCode as Refusal,
    response::Outcome,
};
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;

use crate::attachment::Attachment;
use crate::ids::Newest;
use crate::journal::Recorder;
use crate::machine::{Machine, Record, RecordEvent as Event};
use crate::mutant;
use crate::service::{ChannelSet, Handler, Invocation, Method, Registry, Returned};
use crate::session::Session;
use crate::wire::{Code, Payload, Violation, shortened};
use crate::workload::{Gauge, Held};

/// r[rpc.flow-control.max-concurrent-requests.attachment-loss]: those of lost attachments included.
const MOST_HANDLERS: usize = 1024;

/// A run that ended by itself. `returned` is none if the handler crashed.
#[derive(Debug)]
pub(crate) struct Finished {
    operation_id: u64,
    returned: Option<Returned>,
}

/// Runs in progress; an aborted one yields nothing but that.
pub(crate) type Runs = FuturesUnordered<Abortable<Pin<Box<dyn Future<Output = Finished> + Send>>>>;

/// The run an operation is Live by.
#[derive(Debug)]
struct Execution {
    number: u32,
    request_id: u64,
    started: Arc<AtomicBool>,
    channels: Vec<u64>,
    abort: AbortHandle,
    _held: Held,
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// What a handler returned, with the metadata of the Response.  r[retry.seal.replay-exact]
type Sealed = (Outcome, Vec<MetadataEntry>);

/// The record of one operation. `attempts` are those of the current attachment.
#[derive(Debug)]
struct Operation {
    method: Arc<Method>,
    arguments: Bytes,
    machine: Machine<Record>,
    outcome: Option<Sealed>,
    attempts: BTreeSet<u64>,
    executions: u32,
    execution: Option<Execution>,
}

/// What a domain lends its callees.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) registry: Arc<Registry>,
    pub(crate) handler: Handler,
    pub(crate) executions: Option<Arc<File>>,
    pub(crate) gauge: Gauge,
}

/// All operations the counterpart minted in one session.
pub(crate) struct Callee {
    serving: Serving,
    session: Session,
    operations: BTreeMap<u64, Operation>,
    expired_below: u64,
    /// Runs of methods without channels.
    pub(crate) runs: Runs,
}

/// What the session lends to read a Request: the counterpart's ids, and our limit.
pub(crate) struct Reading<'a> {
    pub(crate) requests: &'a mut Newest,
    pub(crate) channels: &'a mut Newest,
    pub(crate) limit: u32,
}

impl Callee {
    pub(crate) fn new(serving: Serving, session: Session) -> Self {
        let (operations, runs) = (BTreeMap::new(), Runs::new());
        Self { serving, session, operations, expired_below: 0, runs }
    }

    /// Handlers that have not ended, those of lost attachments included.
    fn running(&self) -> usize {
        self.operations.values().filter(|one| one.execution.is_some()).count()
    }

    // ------------------------------------------------------------------ messages

    /// Admits, attaches, replays or refuses one attempt.
    pub(crate) fn on_request(
        &mut self,
        attachment: &mut Attachment,
        ids: Reading<'_>,
        request: Request,
    ) -> Result<(), Violation> {
        let attempt = request.request_id;
        let monotone = |code, id| Violation::new(code, "rpc.id.monotone", format!("id {id}"));
        if !ids.requests.see(attempt) {
            return Err(monotone(Code::BadRequestId, attempt));
        }
        if request.operation_id == 0 {
            return Err(Violation::new(Code::Malformed, "retry.op-id.scope", "operation id 0"));
        }
        if attachment.incoming.len() >= ids.limit as usize {
            let rule = "rpc.flow-control.max-concurrent-requests.inbound";
            let text = format!("more than {} requests in flight", ids.limit);
            return Err(Violation::new(Code::RequestLimitExceeded, rule, text));
        }
        if !request.channels.is_sorted_by(|a, b| a.field_number < b.field_number) {
            let text = "channels are not ascending by field";
            return Err(Violation::new(Code::Malformed, "retry.op-id.payload-binding", text));
        }
        if let Some(bad) = request.channels.iter().find(|one| !ids.channels.see(one.channel_id)) {
            return Err(monotone(Code::BadChannelId, bad.channel_id));
        }
        attachment.tracker.bound(&request.method, BindingRole::Arguments, 0)?;
        let method = self.serving.registry.methods.get(&request.method).cloned();
        let fields = || request.channels.iter().map(|one| one.field_number);
        if method.as_ref().is_some_and(|m| !m.channels.iter().map(|c| c.field).eq(fields())) {
            let text = "not one channel per channel field";
            return Err(Violation::new(Code::Malformed, "rpc.channel.allocation", text));
        }
        attachment.incoming.insert(attempt, None); // counts from here
        self.expire_below(request.settled_below);
        self.decide(attachment, method, &request);
        Ok(())
    }

    /// r[rpc.cancel.response]
    pub(crate) fn on_cancel(
        &mut self,
        attachment: &mut Attachment,
        request_id: u64,
    ) -> Result<(), Violation> {
        let Some(Some(operation_id)) = attachment.incoming.get(&request_id).copied() else {
            if request_id != 0 && request_id <= attachment.last_older_request {
                let text = format!("a cancel of request {request_id}");
                return Err(Violation::new(Code::BadRequestId, "session.resume.discard", text));
            }
            attachment.out.record.discard("cancel_request", "rpc.cancel", request_id, 1);
            return Ok(());
        };
        let operation = self.operations.get_mut(&operation_id).expect("attempts have a record");
        operation.attempts.remove(&request_id);
        if operation.attempts.is_empty() {
            // r[retry.cancel.volatile]
            let channels = operation.give_up(operation_id, &attachment.out.record, Event::Release);
            attachment.abandon(&channels); // r[rpc.channel.abandon]
        }
        refuse(attachment, request_id, Refusal::Cancelled, "cancelled");
        Ok(())
    }

    /// r[schema.errors.early]: a mismatch of items that was announced after the Request.
    pub(crate) fn on_schema(&mut self, attachment: &mut Attachment) {
        for (&id, operation) in &mut self.operations {
            if operation.attempts.is_empty() || operation.machine.state() != Record::Live {
                continue;
            }
            if let Some(why) = attachment.tracker.channel_mismatch(&operation.method, true) {
                let channels = operation.give_up(id, &attachment.out.record, Event::Lose);
                attachment.abandon(&channels);
                for attempt in std::mem::take(&mut operation.attempts) {
                    refuse(attachment, attempt, Refusal::SchemaMismatch, &why);
                }
            }
        }
    }

    // ------------------------------------------------------------------ the record decides

    fn decide(
        &mut self,
        attachment: &mut Attachment,
        method: Option<Arc<Method>>,
        request: &Request,
    ) {
        let (id, attempt) = (request.operation_id, request.request_id);
        let ids: Vec<u64> = request.channels.iter().map(|one| one.channel_id).collect();
        let mut set = ChannelSet::new();
        match &method {
            Some(method) => {
                for (channel, &id) in method.channels.iter().zip(&ids) {
                    let handle = attachment.make_end(method, channel, id, !channel.to_callee);
                    set.insert(channel.field, handle);
                }
            }
            None => attachment.nameless.extend(&ids),
        }
        let known = self.operations.get(&id);
        let other = |one: &Operation| {
            one.arguments != request.arguments || one.method.name != request.method
        };
        let (code, text) = if id < self.expired_below {
            (Refusal::OperationExpired, format!("settled below {}", self.expired_below))
        } else if known.is_some_and(other) {
            (Refusal::OperationConflict, "known with another method or other bytes".into())
        } else if let Some(method) = method {
            match self.unfit(attachment, &method, request) {
                Some(refusal) => refusal,
                None => return self.admit(attachment, method, request, &ids, set),
            }
        } else {
            (Refusal::UnknownMethod, format!("no method {}", request.method))
        };
        attachment.abandon(&ids);
        refuse(attachment, attempt, code, &text);
    }

    /// Why an attempt is refused before its record is asked.  r[retry.seal.only-return]
    fn unfit(
        &self,
        attachment: &Attachment,
        method: &Method,
        request: &Request,
    ) -> Option<(Refusal, String)> {
        let mismatch = attachment.tracker.mismatch(&method.name, BindingRole::Arguments, 0);
        let mismatch = mismatch.or_else(|| attachment.tracker.channel_mismatch(method, true));
        if let Some(why) = mismatch {
            return Some((Refusal::SchemaMismatch, why));
        }
        let running = self
            .operations
            .get(&request.operation_id)
            .is_some_and(|one| matches!(one.machine.state(), Record::Live | Record::Sealed));
        if !running && !method.decodes(&request.arguments) {
            return Some((Refusal::InvalidPayload, "the arguments do not decode".into()));
        }
        if !running && self.running() >= MOST_HANDLERS {
            return Some((Refusal::ResourceExhausted, "too many handlers are running".into()));
        }
        None
    }

    /// Takes the attempt to its record.  r[retry.duplicate]
    fn admit(
        &mut self,
        attachment: &mut Attachment,
        method: Arc<Method>,
        request: &Request,
        ids: &[u64],
        set: ChannelSet,
    ) {
        let (id, attempt) = (request.operation_id, request.request_id);
        let record = attachment.out.record.clone();
        let operation = self.operations.entry(id).or_insert_with(|| Operation {
            method: method.clone(),
            arguments: request.arguments.clone(),
            machine: Machine::new(id),
            outcome: None,
            attempts: BTreeSet::new(),
            executions: 0,
            execution: None,
        });
        let event = match operation.machine.state() {
            Record::Absent => Event::Admit,
            Record::Live => Event::Attach,
            Record::Sealed => Event::Replay,
            Record::Released | Record::Indeterminate if method.idem => Event::Rerun,
            Record::Indeterminate if mutant::is("non_idem_with_channels_runs_again") => {
                Event::Rerun
            }
            Record::Released | Record::Indeterminate => Event::Refuse,
        };
        operation.machine.step(&record, event);
        match event {
            Event::Admit | Event::Rerun => {
                attachment.incoming.insert(attempt, Some(id));
                operation.attempts.insert(attempt);
                self.execute(attachment, id, request, ids, set);
            }
            Event::Attach => {
                attachment.incoming.insert(attempt, Some(id));
                operation.attempts.insert(attempt);
                attachment.abandon(ids); // the handler has the ends of its own attempt
            }
            Event::Replay => {
                let outcome = operation.outcome.clone().expect("sealed with one");
                attachment.abandon(ids); // r[retry.channel.sealed-result]
                respond(attachment, attempt, &method, outcome);
            }
            _ => {
                attachment.abandon(ids);
                let text = "it may have run, and must not run again";
                refuse(attachment, attempt, Refusal::Indeterminate, text);
            }
        }
    }

    /// r[retry.gc.settled-below]
    fn expire_below(&mut self, bound: u64) {
        if bound > self.expired_below {
            self.expired_below = bound;
            self.operations.retain(|id, one| *id >= bound || one.machine.state() == Record::Live);
        }
    }

    // ------------------------------------------------------------------ runs

    fn execute(
        &mut self,
        attachment: &mut Attachment,
        operation_id: u64,
        request: &Request,
        ids: &[u64],
        set: ChannelSet,
    ) {
        let operation = self.operations.get_mut(&operation_id).expect("it was just admitted");
        let number = operation.executions + 1; // if it starts
        let started = Arc::new(AtomicBool::new(false));
        let (abort, registration) = AbortHandle::new_pair();
        let run = run(
            self.serving.clone(),
            attachment.out.record.clone(),
            (operation_id, request.request_id, number),
            started.clone(),
            Invocation {
                method: operation.method.clone(),
                arguments: operation.arguments.clone(),
                metadata: request.metadata.clone(),
                channels: set,
                session: self.session.clone(),
            },
        );
        let runs = if ids.is_empty() { &self.runs } else { &attachment.runs };
        runs.push(Abortable::new(Box::pin(run), registration));
        operation.execution = Some(Execution {
            number,
            request_id: request.request_id,
            started,
            channels: ids.to_vec(),
            abort,
            _held: self.serving.gauge.hold(),
        });
    }

    /// A handler ended by itself: seals, or loses, its operation, and answers every attempt.
    pub(crate) fn on_finished(
        &mut self,
        finished: Finished,
        record: &Recorder,
        attachment: Option<&mut Attachment>,
    ) {
        let id = finished.operation_id;
        let operation = self.operations.get_mut(&id).expect("a record has its run until it ends");
        let execution = operation.execution.take().expect("an aborted run does not finish");
        operation.executions = execution.number;
        let told = |event| record.handler(event, id, execution.request_id, execution.number);
        operation.outcome = finished.returned.map(|returned| match returned {
            Returned::Ok(value, metadata) => (Outcome::Ok(value), metadata),
            Returned::UserError(value) => (Outcome::UserError(value), Vec::new()),
        });
        if operation.outcome.is_some() {
            told(HandlerEvent::Returned);
            operation.machine.step(record, Event::Seal); // r[retry.seal.only-return]
        } else {
            told(HandlerEvent::Panicked);
            operation.machine.step(record, Event::Lose);
        }
        let attempts = std::mem::take(&mut operation.attempts);
        let Some(attachment) = attachment else { return }; // r[session.resume.discard]
        for attempt in attempts {
            match &operation.outcome {
                Some(outcome) => respond(attachment, attempt, &operation.method, outcome.clone()),
                None => {
                    attachment.abandon(&execution.channels);
                    let text = "the handler ended without returning";
                    refuse(attachment, attempt, Refusal::Indeterminate, text);
                }
            }
        }
    }

    // ------------------------------------------------------------------ the session

    /// A generation ended.  r[retry.channel.detach], r[retry.detach.keep]
    pub(crate) fn detached(&mut self, record: &Recorder) {
        for (&id, operation) in &mut self.operations {
            if !mutant::is("completes_on_the_old_generation") {
                operation.attempts.clear();
            }
            if operation.machine.state() == Record::Live && !operation.method.channels.is_empty() {
                let event = if operation.method.idem { Event::Release } else { Event::Lose };
                operation.give_up(id, record, event);
            }
        }
    }

    /// The session is over: no handler may change anything more.
    pub(crate) fn ended(&mut self, record: &Recorder) {
        for (&id, operation) in &mut self.operations {
            if operation.machine.state() == Record::Live {
                operation.give_up(id, record, Event::Lose);
            }
        }
        self.operations.clear();
        self.runs.clear();
    }
}

impl Operation {
    /// Its handler runs no longer, and will never have returned; the channels it had.
    fn give_up(&mut self, id: u64, record: &Recorder, event: Event) -> Vec<u64> {
        self.machine.step(record, event);
        let Some(mut execution) = self.execution.take() else { return Vec::new() };
        if execution.started.load(Ordering::Relaxed) {
            self.executions = execution.number;
            let (request_id, number) = (execution.request_id, execution.number);
            record.handler(HandlerEvent::Cancelled, id, request_id, number);
        }
        std::mem::take(&mut execution.channels)
    }
}

/// One run, from its record in the executions file on.  r[control.journal.executions]
async fn run(
    serving: Serving,
    record: Recorder,
    (operation_id, request_id, number): (u64, u64, u32),
    started: Arc<AtomicBool>,
    invocation: Invocation,
) -> Finished {
    started.store(true, Ordering::Relaxed);
    if let Some(mut file) = serving.executions.as_deref() {
        let session: String = record.session_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("{session} {operation_id} {number} {}\n", record.generation);
        file.write_all(line.as_bytes()).expect("the executions file can be written");
    }
    record.handler(HandlerEvent::Started, operation_id, request_id, number);
    invocation.channels.values().for_each(|handle| handle.bind());
    if number > 1 && mutant::is("stale_finalizer_closes_new_channel") {
        // That of the execution before, late: it asks the operation, not its own execution.
        invocation.channels.values().for_each(|handle| handle.end());
    }
    let handled = AssertUnwindSafe(async { (serving.handler)(invocation).await });
    Finished { operation_id, returned: handled.catch_unwind().await.ok() }
}

// ------------------------------------------------------------------ answers

/// Sends a sealed outcome. The attempt stops counting just before.
fn respond(attachment: &mut Attachment, request_id: u64, method: &Method, sealed: Sealed) {
    let (outcome, metadata) = sealed;
    let response = Response { request_id, outcome: Some(outcome), metadata };
    let response = Payload::Response(response);
    if !attachment.out.fits(&response) {
        // r[link.limit.announce]
        let text = "the outcome is larger than the caller accepts";
        return refuse(attachment, request_id, Refusal::PayloadTooLarge, text);
    }
    let schema = attachment.out.announcer.response(method);
    attachment.out.announce(schema);
    attachment.incoming.remove(&request_id);
    attachment.out.commit(response);
}

fn refuse(attachment: &mut Attachment, request_id: u64, code: Refusal, text: &str) {
    let error = RuntimeError { code: code.into(), text: shortened(text) };
    let outcome = Some(Outcome::RuntimeError(error));
    attachment.incoming.remove(&request_id);
    let response = Response { request_id, outcome, metadata: Vec::new() };
    attachment.out.commit(Payload::Response(response));
}
