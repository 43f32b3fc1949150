//! What carries a session: one link (a bare conduit), or one link after the other (a stable one).
//!
//! Its owner reads and writes it as it would a link, and need not know which it is. Dropping it
//! closes its link, and nothing carries it on.

use std::task::{Context, Poll};

use crate::journal::Recorder;
use crate::link::{Carrier, Link, Received};
use crate::stable_conduit::StableConduit;
use crate::workload::Workload;

/// Bytes that a StableData adds to its item, at most.
pub(crate) const STABLE_OVERHEAD: u32 = 32;

/// From the end of the prologue on, what payloads of a session cross.
pub(crate) enum Conduit {
    Bare(Link),
    Stable(Box<StableConduit>),
}

impl From<Link> for Conduit {
    fn from(link: Link) -> Self {
        Self::Bare(link)
    }
}

impl From<StableConduit> for Conduit {
    fn from(conduit: StableConduit) -> Self {
        Self::Stable(Box::new(conduit))
    }
}

impl Carrier for Conduit {
    fn push(&mut self, message: &impl prost::Message) {
        match self {
            Self::Bare(link) => link.push(message),
            Self::Stable(conduit) => conduit.push(message),
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        match self {
            Self::Bare(link) => link.poll_next(context),
            Self::Stable(conduit) => conduit.poll_next(context),
        }
    }
}

impl Conduit {
    /// A session is bound to it, which accepts payloads of up to `limit` bytes.
    pub(crate) fn bound(&mut self, limit: u32, record: &Recorder) {
        match self {
            Self::Bare(link) => link.set_limit(limit),
            Self::Stable(conduit) => conduit.bound(limit, record),
        }
    }

    /// Should an application wait for [`Received::Drained`] before it sends?
    pub(crate) fn congested(&self) -> bool {
        match self {
            Self::Bare(link) => link.congested(),
            Self::Stable(conduit) => conduit.congested(),
        }
    }

    /// Bytes that it may add to a payload.  r[link.limit.announce]
    pub(crate) fn overhead(&self) -> u32 {
        match self {
            Self::Bare(_) => 0,
            Self::Stable(_) => STABLE_OVERHEAD,
        }
    }

    /// Its session is over: once its link is lost, so is it.
    pub(crate) fn conclude(&mut self) {
        match self {
            Self::Bare(_) => {}
            Self::Stable(conduit) => conduit.conclude(),
        }
    }

    /// The graceful end of the link it has now, if it has one; see [`Link::finish`].
    pub(crate) async fn finish(self, record: Recorder, workload: Workload) {
        let link = match self {
            Self::Bare(link) => Some(link),
            Self::Stable(conduit) => conduit.into_link(),
        };
        if let Some(link) = link {
            link.finish(record, workload).await;
        }
    }
}
