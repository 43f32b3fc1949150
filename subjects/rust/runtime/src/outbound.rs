//! The one place of an attachment that writes messages.  r[strict.outbound.sequencer]
//!
//! Committing is journalling, then handing the message to the link, in one step: wire order is
//! commit order. The link is owned here and this by the attachment, so an object that outlived its
//! generation has nothing to write with (r[session.resume.discard]).

use std::sync::Arc;

use counterpart_spec::wire::{Message, Schema};
use prost::Message as _;

use crate::journal::Recorder;
use crate::link::Link;
use crate::schemas::Announcer;
use crate::service::Registry;
use crate::wire::{self, Payload};

/// Writes to one link.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) link: Link,
    pub(crate) record: Recorder,
    pub(crate) announcer: Announcer,
    max_payload: u32,
}

impl Outbound {
    /// `max_payload` is what the counterpart accepts, in bytes.
    pub(crate) fn new(
        link: Link,
        record: Recorder,
        max_payload: u32,
        registry: Arc<Registry>,
    ) -> Self {
        Self { link, record, announcer: Announcer::new(registry), max_payload }
    }

    /// Would this message be small enough for the counterpart?  r[link.limit.announce]
    pub(crate) fn fits(&self, payload: &Payload) -> bool {
        let message = Message { connection_id: 0, payload: Some(payload.clone()) };
        message.encoded_len() <= self.max_payload as usize
    }

    /// Writes one message on the root connection.
    pub(crate) fn commit(&mut self, payload: Payload) {
        self.commit_on(0, payload);
    }

    /// Writes one message.
    pub(crate) fn commit_on(&mut self, connection_id: u64, payload: Payload) {
        let (kind, id) = wire::subject(&payload);
        self.record.frame(true, connection_id, kind, id);
        self.link.push(&Message { connection_id, payload: Some(payload) });
    }

    /// Writes an announcement, if there is one.
    pub(crate) fn announce(&mut self, schema: Option<Schema>) {
        if let Some(schema) = schema {
            self.commit(Payload::Schema(schema));
        }
    }
}
