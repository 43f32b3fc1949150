//! The one place of an attachment that writes messages.  r[strict.outbound.sequencer]
//!
//! Committing is journalling, then handing the message to the conduit, in one step: wire order is
//! commit order. The conduit is owned here and this by the attachment, so an object that outlived
//! its generation has nothing to write with (r[session.resume.discard]).

use std::sync::Arc;
use std::task::{Context, Poll};

use counterpart_spec::wire::{Handshake, LetsGo, Message, Schema, handshake};

use crate::conduit::Conduit;
use crate::journal::Recorder;
use crate::link::{Carrier, Received};
use crate::schemas::Announcer;
use crate::service::Registry;
use crate::wire::{self, Payload};

/// Writes to one conduit.
pub(crate) struct Outbound {
    conduit: Conduit,
    pub(crate) record: Recorder,
    pub(crate) announcer: Announcer,
    max_payload: u32,
}

impl Outbound {
    /// `max_payload` is what the counterpart accepts, in bytes.
    pub(crate) fn new(
        on: impl Into<Conduit>,
        record: Recorder,
        max_payload: u32,
        registry: Arc<Registry>,
    ) -> Self {
        Self { conduit: on.into(), record, announcer: Announcer::new(registry), max_payload }
    }

    /// The first thing that an initiator writes on a conduit it binds.  r[session.resume.bind]
    pub(crate) fn greet(&mut self) {
        self.conduit.push(&Handshake { kind: Some(handshake::Kind::LetsGo(LetsGo {})) });
    }

    /// What the conduit has to tell; writes meanwhile.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        self.conduit.poll_next(context)
    }

    /// Should applications wait before they send more?
    pub(crate) fn is_congested(&self) -> bool {
        self.conduit.congested()
    }

    /// Its session is over: a last message can be committed, and no other link carries it.
    pub(crate) fn conclude(&mut self) {
        self.conduit.conclude();
    }

    /// Nothing more is committed: the conduit, for its last bytes.
    pub(crate) fn into_conduit(self) -> (Conduit, Recorder) {
        (self.conduit, self.record)
    }

    /// Would this message be small enough for the counterpart?  r[link.limit.announce]
    pub(crate) fn fits(&self, payload: &Payload) -> bool {
        payload.encoded_len() + self.conduit.overhead() as usize <= self.max_payload as usize
    }

    /// Writes one message on the root connection.
    pub(crate) fn commit(&mut self, payload: Payload) {
        self.commit_on(0, payload);
    }

    /// Writes one message.
    pub(crate) fn commit_on(&mut self, connection_id: u64, payload: Payload) {
        let (kind, id) = wire::subject(&payload);
        self.record.frame(true, connection_id, kind, id);
        self.conduit.push(&Message { connection_id, payload: Some(payload) });
    }

    /// Writes an announcement, if there is one.
    pub(crate) fn announce(&mut self, schema: Option<Schema>) {
        if let Some(schema) = schema {
            self.commit(Payload::Schema(schema));
        }
    }
}
