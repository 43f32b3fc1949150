//! What both sides of prologue and session handshake share.

use bytes::Bytes;
use counterpart_spec::wire::{
    Handshake, Prologue, Sorry, SorryReason, TransportReject, TransportRejectReason, handshake,
    prologue,
};

use crate::domain::Domain;
use crate::journal::Recorder;
use crate::link::{Link, Received};
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
    /// The session is refused.  r[session.handshake.sorry]
    Sorry(SorryReason, String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Lost(text)
        | Self::Malformed(text)
        | Self::Reject(_, text)
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
pub(crate) async fn read(link: &mut Link) -> Result<Bytes, Stop> {
    loop {
        match link.next().await {
            Received::Payload(payload) => return Ok(payload),
            Received::Drained => {}
            Received::Oversize(oversize) => {
                // r[link.limit.announce]
                return Err(Stop::Malformed(format!("a payload of {} bytes", oversize.length)));
            }
            Received::Lost(why) => return Err(Stop::Lost(why)),
        }
    }
}

pub(crate) fn say_prologue(link: &mut Link, kind: prologue::Kind) {
    link.push(&Prologue { kind: Some(kind) });
}

pub(crate) fn say(link: &mut Link, kind: handshake::Kind) {
    link.push(&Handshake { kind: Some(kind) });
}

/// Says why not, and closes the link gracefully.  r[transport.prologue.reject-close]
pub(crate) fn refuse(domain: &Domain, mut link: Link, record: Recorder, stop: &Stop) {
    match stop {
        Stop::Lost(_) => return,
        Stop::Reject(reason, text) => {
            let (reason, text) = ((*reason).into(), shortened(text));
            say_prologue(&mut link, prologue::Kind::Reject(TransportReject { reason, text }));
        }
        Stop::Sorry(reason, text) => {
            let (reason, detail) = ((*reason).into(), shortened(text));
            say(&mut link, handshake::Kind::Sorry(Sorry { reason, detail }));
        }
        Stop::Malformed(text) => {
            let (reason, detail) = (SorryReason::Malformed.into(), shortened(text));
            say(&mut link, handshake::Kind::Sorry(Sorry { reason, detail }));
        }
    }
    domain.tasks.spawn(link.finish(record, domain.workload.clone()));
}

/// r[session.handshake.sorry]
pub(crate) fn check_schema(announced: u64, ours: u64) -> Result<(), Stop> {
    if announced == ours {
        return Ok(());
    }
    let text = format!("protocol schema {announced:016x}, {ours:016x} expected");
    Err(Stop::Sorry(SorryReason::IncompatibleSchema, text))
}
