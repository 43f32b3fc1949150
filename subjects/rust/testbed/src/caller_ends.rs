//! The calls of one scope by handle, and their channel ends by (handle, field, attempt).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use counterpart_runtime::command_log::{Work, done, failed, outcome};
use counterpart_runtime::service::{ChannelSet, Registry};
use counterpart_runtime::{Call, Handle, Receiver, SendFailed, Sender, Session};
use counterpart_spec::control::{
    self, CallOutcome, ChannelEnd, ChannelReceive, ChannelSend, EndStatus, FailureReason, Metadata,
    Outcome, ReceiveOutcome, SendOutcome, outcome::Kind,
};
use counterpart_spec::testbed::Number;
use counterpart_spec::wire::MetadataEntry;
use prost::Message;

/// What commands name.
#[derive(Debug)]
pub struct CallerEnds {
    registry: Arc<Registry>,
    calls: Mutex<HashMap<String, Arc<Call>>>,
}

fn no_attempt() -> Outcome {
    let text = "the call was resolved without this attempt";
    failed(FailureReason::SessionEnded, text, "")
}

impl CallerEnds {
    /// No calls yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, calls: Mutex::default() }
    }

    /// Makes a call; none if its handle is not new. It ends when the call is resolved.
    pub fn call(&self, session: Option<Session>, command: &control::Call) -> Option<Work> {
        let session = session.filter(|_| command.connection_id == 0)?;
        let mut calls = self.calls.lock().expect("no panic while it is held");
        if command.handle.is_empty() || calls.contains_key(&command.handle) {
            return None;
        }
        let metadata = command.metadata.iter().cloned();
        let metadata = metadata
            .map(|Metadata { key, value, flags }| MetadataEntry { key, value, flags })
            .collect();
        let call = Call::new(command.method.clone(), command.arguments.clone(), metadata);
        calls.insert(command.handle.clone(), call.clone());
        Some(Box::pin(async move {
            call.start(&session);
            let resolution = call.resolution().await;
            let progress = call.progress();
            let metadata = resolution.metadata.iter().cloned();
            outcome(Kind::Call(CallOutcome {
                status: resolution.status.into(),
                value: resolution.value.clone(),
                text: resolution.text.clone(),
                attempts: progress.attempts,
                operation_id: progress.operation_id,
                metadata: metadata
                    .map(|MetadataEntry { key, value, flags }| Metadata { key, value, flags })
                    .collect(),
            }))
        }))
    }

    /// Cancels a call; none if there is no such call.
    pub fn cancel(&self, handle: &str) -> Option<Work> {
        let call = self.find(handle)?;
        Some(Box::pin(async move {
            call.cancel();
            done()
        }))
    }

    /// Sends numbers on a sending end.
    pub fn send(&self, command: &ChannelSend) -> Option<Work> {
        let (set, field) = self.set(command.end.as_ref()?, true)?;
        let (first, count) = (command.first, command.count);
        Some(Box::pin(async move {
            let Some(set) = set.await else { return no_attempt() };
            let mut sent = SendOutcome { accepted: 0, status: EndStatus::Open.into() };
            for offset in 0..u64::from(count) {
                let value = first.wrapping_add(offset);
                match sender(&set, field).send(Number { value }.encode_to_vec()).await {
                    Ok(()) => sent.accepted += 1,
                    Err(SendFailed::Ended(status)) => {
                        sent.status = status.into();
                        break;
                    }
                    Err(SendFailed::TooLarge) => break, // a number never is
                }
            }
            outcome(Kind::Sent(sent))
        }))
    }

    /// Takes numbers from a receiving end.
    pub fn receive(&self, command: &ChannelReceive) -> Option<Work> {
        let (set, field) = self.set(command.end.as_ref()?, false)?;
        let count = command.count as usize;
        Some(Box::pin(async move {
            let Some(set) = set.await else { return no_attempt() };
            let mut taken = ReceiveOutcome { values: Vec::new(), status: EndStatus::Open.into() };
            while count == 0 || taken.values.len() < count {
                match receiver(&set, field).take().await {
                    Ok(item) => match Number::decode(item) {
                        Ok(number) => taken.values.push(number.value),
                        Err(_) => return failed(FailureReason::Unspecified, "not a Number", ""),
                    },
                    Err(status) => {
                        taken.status = status.into();
                        break;
                    }
                }
            }
            outcome(Kind::Received(taken))
        }))
    }

    /// Closes a sending end.
    pub fn close(&self, end: Option<&ChannelEnd>) -> Option<Work> {
        let (set, field) = self.set(end?, true)?;
        Some(Box::pin(async move {
            let Some(set) = set.await else { return no_attempt() };
            sender(&set, field).close().await;
            done()
        }))
    }

    /// Resets a receiving end.
    pub fn reset(&self, end: Option<&ChannelEnd>) -> Option<Work> {
        let (set, field) = self.set(end?, false)?;
        Some(Box::pin(async move {
            let Some(set) = set.await else { return no_attempt() };
            receiver(&set, field).reset().await;
            done()
        }))
    }

    fn find(&self, handle: &str) -> Option<Arc<Call>> {
        self.calls.lock().expect("no panic while it is held").get(handle).cloned()
    }

    /// The channels of an attempt that may be still to come, if the named end is of the wanted
    /// kind there.
    #[allow(clippy::type_complexity)]
    fn set(
        &self,
        end: &ChannelEnd,
        sends: bool,
    ) -> Option<(impl Future<Output = Option<Arc<ChannelSet>>> + Send + use<>, u32)> {
        let (call, attempt) = (self.find(&end.handle)?, end.attempt);
        let method = self.registry.methods.get(&call.method)?;
        method.channel(end.field_number).filter(|channel| channel.to_callee == sends)?;
        Some((async move { call.channels(attempt).await }, end.field_number))
    }
}

fn sender(set: &ChannelSet, field: u32) -> &Sender {
    match &set[&field] {
        Handle::Sender(end) => end,
        Handle::Receiver(_) => unreachable!("checked against the method's declaration"),
    }
}

fn receiver(set: &ChannelSet, field: u32) -> &Receiver {
    match &set[&field] {
        Handle::Receiver(end) => end,
        Handle::Sender(_) => unreachable!("checked against the method's declaration"),
    }
}
