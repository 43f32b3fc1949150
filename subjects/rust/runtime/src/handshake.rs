//! What both sides of prologue, hellos of a stable conduit and session handshake share.

use bytes::Bytes;
use counterpart_spec::wire::{
    Handshake, Prologue, Sorry, SorryReason, StableHandshake, StableReject, TransportReject,
    TransportRejectReason, handshake, prologue, stable_handshake,
};

use crate::conduit::Conduit;
use crate::domain::Domain;
use crate::journal::Recorder;
use crate::link::{Carrier, Received};
use crate::wire::{Malformed, shortened};

/// Why a handshake does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The link went away.
    Lost(String),
    /// Not what this place in the handshake allows.
    Malformed(String),
    /// The transport is refused.  r[transport.prologue.no-fallback]
    Reject(TransportRejectReason, String),
    /// The stable conduit is refused.  r[stable.resume-key]
    Conduit(String),
    /// The session is refused.  r[session.handshake.sorry]
    Sorry(SorryReason, String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Lost(text)
        | Self::Malformed(text)
        | Self::Reject(_, text)
        | Self::Conduit(text)
        | Self::Sorry(_, text)) = self;
        f.write_str(text)
    }
}

impl From<Malformed> for Stop {
    fn from(Malformed(text): Malformed) -> Self {
        Self::Malformed(text)
    }
}

/// The next payload of a handshake.
pub(crate) async fn read(carrier: &mut impl Carrier) -> Result<Bytes, Stop> {
    loop {
        match carrier.next().await {
            Received::Payload(payload) => return Ok(payload),
            Received::Drained => {}
            Received::Oversize(oversize) => {
                // r[link.limit.announce]
                return Err(Stop::Malformed(format!("a payload of {} bytes", oversize.length)));
            }
            Received::Violated(violation) => return Err(Stop::Malformed(violation.text)),
            Received::Lost(why) => return Err(Stop::Lost(why)),
        }
    }
}

pub(crate) fn say_prologue(carrier: &mut impl Carrier, kind: prologue::Kind) {
    carrier.push(&Prologue { kind: Some(kind) });
}

pub(crate) fn say(conduit: &mut Conduit, kind: handshake::Kind) {
    conduit.push(&Handshake { kind: Some(kind) });
}

/// Says why not, and closes the link gracefully.  r[transport.prologue.reject-close]
pub(crate) fn refuse(domain: &Domain, on: impl Into<Conduit>, record: Recorder, stop: &Stop) {
    let mut conduit = on.into();
    match stop {
        Stop::Lost(_) => return,
        Stop::Reject(reason, text) => {
            let (reason, text) = ((*reason).into(), shortened(text));
            say_prologue(&mut conduit, prologue::Kind::Reject(TransportReject { reason, text }));
        }
        Stop::Conduit(text) => {
            let reject = stable_handshake::Kind::Reject(StableReject { text: shortened(text) });
            conduit.push(&StableHandshake { kind: Some(reject) });
        }
        Stop::Sorry(reason, text) => {
            let (reason, detail) = ((*reason).into(), shortened(text));
            say(&mut conduit, handshake::Kind::Sorry(Sorry { reason, detail }));
        }
        Stop::Malformed(text) => {
            let (reason, detail) = (SorryReason::Malformed.into(), shortened(text));
            say(&mut conduit, handshake::Kind::Sorry(Sorry { reason, detail }));
        }
    }
    domain.tasks.spawn(conduit.finish(record, domain.workload.clone()));
}

/// r[session.handshake.sorry]
pub(crate) fn check_schema(announced: u64, ours: u64) -> Result<(), Stop> {
    if announced == ours {
        return Ok(());
    }
    let text = format!("protocol schema {announced:016x}, {ours:016x} expected");
    Err(Stop::Sorry(SorryReason::IncompatibleSchema, text))
}
