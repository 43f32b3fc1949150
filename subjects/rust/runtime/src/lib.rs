//! A strict runtime of the protocol: a model for authors of runtimes.
//!
//! One task owns all of a session (`session`), and everything it has is owned by exactly one thing
//! that ends when it ends: links, channel ends and handlers with channels by the attachment of a
//! generation, records and unresolved calls by the session, sessions by their [`Domain`]. What an
//! application holds are handles, which ask and wait.
//!
//! From the bottom: `journal`, `machine`, `framing`, `workload`, `link`, `wire`; `stable_core`,
//! `stable_conduit`, `conduit` (what links carry a session); `canonical`, `service`, `schemas`;
//! `outbound`, `channel`, `handles`; `attachment` (what ends with a conduit), `caller`, `callee`,
//! `session` (what survives it); `resume`, `handshake`, `acceptor`, `initiator`, `domain`; beside
//! them `command_log`.

mod acceptor;
mod attachment;
mod callee;
mod caller;
pub mod canonical;
mod channel;
pub mod command_log;
mod conduit;
mod domain;
pub mod framing;
mod handles;
mod handshake;
mod ids;
mod initiator;
pub mod journal;
mod link;
pub mod machine;
pub mod mutant;
mod outbound;
mod resume;
pub mod schemas;
pub mod service;
mod session;
mod stable_conduit;
mod stable_core;
pub mod wire;
pub mod workload;

pub use caller::{Call, Progress, Resolution};
pub use domain::{Domain, Runtime, Settings};
pub use handles::{Handle, Receiver, SendFailed, Sender};
pub use ids::Parity;
pub use initiator::Dialling;
pub use session::{Ending, Session};
