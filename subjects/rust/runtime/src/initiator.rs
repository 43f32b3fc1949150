//! The side that dials: one establishment, step by step, up to the LetsGo that the session's driver
//! sends when it binds the link.
//!
//! Refused, timed-out and broken dials are repeated up to `max_attempts` per establishment, with
//! capped exponential backoff; Sorry, reject and protocol errors never are
//! (r[session.initial-connect-waiting.never-retry]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use counterpart_spec::control::FailureReason;
use counterpart_spec::wire::{
    self as pb, Conduit, Hello, SorryReason, TransportHello, handshake, prologue,
};
use tokio::net::TcpStream;

use crate::domain::{Domain, Settings};
use crate::handshake::{Stop, check_schema, read, refuse, say, say_prologue};
use crate::ids::Parity;
use crate::journal::Recorder;
use crate::link::Link;
use crate::session::{Ending, Peer};
use crate::wire::{self, HANDSHAKE_MAX_PAYLOAD, ID_BYTES, MAGIC, VERSION};

/// Where to, how often, and what to do when the session is lost.
#[derive(Clone, Debug)]
pub struct Dialling {
    /// A name or an address.
    pub host: String,
    /// Of the listener.
    pub port: u16,
    /// Of the ids this side mints.
    pub parity: Parity,
    /// Dial again after link loss; else the session ends.
    pub resume: bool,
    /// Replace a session that cannot be resumed.  r[retry.session-lost.policy]
    pub fresh: bool,
    /// Dials per establishment, at least one.
    pub max_attempts: u32,
    /// Before the second dial; doubles.
    pub backoff_initial_ms: u64,
    /// 0: no maximum.
    pub backoff_max_ms: u64,
}

/// A link with a HelloYourself that suits the session; only LetsGo is left to be sent.
pub(crate) struct Offer {
    pub(crate) link: Link,
    pub(crate) peer: Peer,
    pub(crate) session_id: Bytes,
    pub(crate) resume_key: Bytes,
}

/// The establishment failed for good.
pub(crate) struct Refused {
    pub(crate) ending: Ending,
    /// The counterpart does not know the session (any more).  r[session.resume.unknown]
    pub(crate) session_unknown: bool,
}

impl Refused {
    fn new(reason: FailureReason, text: impl Into<String>, rule: &str) -> Self {
        Self { ending: Ending::new(reason, text, rule), session_unknown: false }
    }
}

enum Failed {
    /// Worth another dial.
    Lost,
    ForGood(Refused),
}

/// What one dial needs besides the address.
struct Greeting<'a> {
    domain: &'a Domain,
    settings: Settings,
    record: &'a Recorder,
    resume_key: &'a Bytes,
    known: Option<Peer>,
}

impl Dialling {
    /// Dials until a link may be bound. `known` is what the counterpart announced before, if this
    /// resumes. Dropping the future closes what it has open.
    pub(crate) async fn establish(
        self: Arc<Self>,
        domain: Arc<Domain>,
        settings: Settings,
        record: Recorder,
        resume_key: Bytes,
        known: Option<Peer>,
    ) -> Result<Offer, Refused> {
        let attempts = self.max_attempts.max(1);
        for attempt in 1..=attempts {
            if attempt > 1 {
                let delay = self.delay_ms(attempt);
                record.planned_delay("redial", delay);
                domain.workload.sleep("redial", Duration::from_millis(delay)).await;
            }
            let greeting = Greeting {
                domain: &domain,
                settings,
                record: &record,
                resume_key: &resume_key,
                known,
            };
            match self.dial(greeting).await {
                Ok(offer) => return Ok(offer),
                Err(Failed::Lost) => {}
                Err(Failed::ForGood(refused)) => return Err(refused),
            }
        }
        let text = format!("{attempts} dials, none led to a session");
        Err(Refused::new(FailureReason::ConnectGaveUp, text, ""))
    }

    /// How long to wait before this dial.  r[session.initial-connect-waiting.backoff]
    fn delay_ms(&self, attempt: u32) -> u64 {
        let doublings = attempt.saturating_sub(2).min(32);
        let delay = self.backoff_initial_ms.saturating_mul(1 << doublings);
        if self.backoff_max_ms == 0 { delay } else { delay.min(self.backoff_max_ms) }
    }

    async fn dial(&self, greeting: Greeting<'_>) -> Result<Offer, Failed> {
        let Ok(stream) = TcpStream::connect((self.host.as_str(), self.port)).await else {
            return Err(Failed::Lost);
        };
        let held = greeting.domain.gauges.links.hold();
        let mut link = Link::new(stream, HANDSHAKE_MAX_PAYLOAD, held);
        let stop = match self.transport(&mut link, &greeting).await {
            Ok(max_payload) => match self.session(&mut link, &greeting, max_payload).await {
                Ok((peer, session_id, resume_key)) => {
                    return Ok(Offer { link, peer, session_id, resume_key });
                }
                Err(Told::Stop(stop)) => {
                    let record = greeting.record.clone();
                    refuse(greeting.domain, link, record, &stop);
                    stop
                }
                Err(Told::Refused(refused)) => return Err(Failed::ForGood(refused)),
            },
            Err(Told::Stop(stop)) => stop,
            Err(Told::Refused(refused)) => return Err(Failed::ForGood(refused)),
        };
        Err(match stop {
            Stop::Lost(_) => Failed::Lost,
            Stop::Malformed(text) | Stop::Reject(_, text) | Stop::Sorry(_, text) => {
                let reason = FailureReason::ProtocolError;
                Failed::ForGood(Refused::new(reason, text, "session.handshake"))
            }
        })
    }

    /// The prologue; returns the counterpart's maximum.
    async fn transport(&self, link: &mut Link, greeting: &Greeting<'_>) -> Result<u32, Told> {
        say_prologue(
            link,
            prologue::Kind::Hello(TransportHello {
                magic: MAGIC,
                version: VERSION,
                conduit: Conduit::Bare.into(),
                max_payload: greeting.settings.max_payload,
            }),
        );
        let payload = read(link).await?;
        match wire::prologue(&payload).map_err(Stop::from)? {
            prologue::Kind::Accept(accept) => wire::accepted_maximum(accept.max_payload)
                .ok_or_else(|| Stop::Malformed("max_payload out of range".into()).into()),
            prologue::Kind::Reject(reject) => {
                let name = reject.reason().as_str_name();
                Err(Told::Refused(Refused::new(FailureReason::Rejected, reject.text, name)))
            }
            prologue::Kind::Hello(_) => Err(Stop::Malformed("not a TransportAccept".into()).into()),
        }
    }

    /// The handshake up to HelloYourself; returns it, checked.
    async fn session(
        &self,
        link: &mut Link,
        greeting: &Greeting<'_>,
        max_payload: u32,
    ) -> Result<(Peer, Bytes, Bytes), Told> {
        let ours = greeting.domain.registry.protocol_schema;
        let max_concurrent_requests = greeting.settings.max_concurrent_requests;
        let parity = match self.parity {
            Parity::Odd => pb::Parity::Odd,
            Parity::Even => pb::Parity::Even,
        };
        say(
            link,
            handshake::Kind::Hello(Hello {
                parity: parity.into(),
                settings: Some(pb::Settings { max_concurrent_requests }),
                protocol_schema: ours,
                resume_key: greeting.resume_key.clone(),
                ..Hello::default()
            }),
        );
        let payload = read(link).await?;
        let reply = match wire::handshake(&payload).map_err(Stop::from)? {
            handshake::Kind::HelloYourself(reply) => reply,
            handshake::Kind::Sorry(sorry) => {
                let session_unknown = sorry.reason() == SorryReason::UnknownSession;
                let name = sorry.reason().as_str_name();
                let refused = Refused::new(FailureReason::Sorry, sorry.detail, name);
                return Err(Told::Refused(Refused { session_unknown, ..refused }));
            }
            _ => return Err(Stop::Malformed("not a HelloYourself".into()).into()),
        };
        check_schema(reply.protocol_schema, ours)?;
        let settings = reply.settings.unwrap_or_default();
        let max_concurrent_requests = settings.max_concurrent_requests;
        let peer = Peer { parity: self.parity.other(), max_concurrent_requests, max_payload };
        let key_fits = reply.resume_key.is_empty() || reply.resume_key.len() >= ID_BYTES;
        if reply.session_id.len() != ID_BYTES || !key_fits {
            return Err(Stop::Malformed("session_id or resume_key has a bad length".into()).into());
        }
        if let Some(known) = greeting.known {
            if reply.session_id != greeting.record.session_id {
                return Err(Stop::Malformed("another session_id on resume".into()).into());
            }
            if !known.resumes(&peer) {
                let text = "not the settings of the session".into();
                return Err(Stop::Sorry(SorryReason::SettingsChanged, text).into());
            }
        }
        Ok((peer, reply.session_id, reply.resume_key))
    }
}

/// How a step of the handshake failed: here, or there.
enum Told {
    Stop(Stop),
    Refused(Refused),
}

impl From<Stop> for Told {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_maximum() {
        let mut dialling = Dialling {
            host: String::new(),
            port: 0,
            parity: Parity::Odd,
            resume: false,
            fresh: false,
            max_attempts: 6,
            backoff_initial_ms: 10,
            backoff_max_ms: 50,
        };
        let delays =
            |dialling: &Dialling| (2..=6).map(|n| dialling.delay_ms(n)).collect::<Vec<_>>();
        assert_eq!(delays(&dialling), [10, 20, 40, 50, 50]);
        dialling.backoff_max_ms = 0;
        assert_eq!(delays(&dialling), [10, 20, 40, 80, 160]);
        dialling.backoff_initial_ms = 0;
        assert_eq!(delays(&dialling), [0, 0, 0, 0, 0]);
    }
}
