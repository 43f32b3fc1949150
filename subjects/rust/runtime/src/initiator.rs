//! The side that dials: one establishment, step by step, up to the LetsGo that the session's driver
//! sends when it binds the conduit; and every further link of a stable one.
//!
//! Refused, timed-out and broken dials are repeated up to `max_attempts` per establishment, with
//! capped exponential backoff; Sorry, reject and protocol errors never are
//! (r[session.initial-connect-waiting.never-retry]).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use counterpart_spec::control::{Connect, FailureReason, SessionLostPolicy};
use counterpart_spec::wire::{
    self as pb, ClientHello, Hello, SorryReason, StableHandshake, TransportHello, handshake,
    prologue, stable_handshake,
};
use tokio::net::TcpStream;

use crate::conduit::Conduit;
use crate::domain::{Domain, Settings};
use crate::handshake::{Stop, check_schema, read, refuse, say, say_prologue};
use crate::ids::Parity;
use crate::journal::Recorder;
use crate::link::{Carrier, Link};
use crate::session::{Ending, Peer};
use crate::stable_conduit::{Answered, Redial, StableConduit};
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
    /// Over a stable conduit, for which `resume` dials again.
    pub stable: bool,
}

/// A conduit with a HelloYourself that suits the session; only LetsGo is left to be sent.
pub(crate) struct Offer {
    pub(crate) conduit: Conduit,
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

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Lost(_) => Self::Lost,
            Stop::Malformed(text)
            | Stop::Reject(_, text)
            | Stop::Conduit(text)
            | Stop::Sorry(_, text) => {
                let reason = FailureReason::ProtocolError;
                Self::ForGood(Refused::new(reason, text, "session.handshake"))
            }
        }
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::ForGood(refused)
    }
}

/// What one dial needs besides the address.
struct Greeting<'a> {
    domain: &'a Arc<Domain>,
    settings: Settings,
    record: &'a Recorder,
    resume_key: &'a Bytes,
    known: Option<Peer>,
}

impl Dialling {
    /// As a command says it; none if there is no such port.
    pub fn asked(command: Connect) -> Option<Self> {
        Some(Self {
            port: command.port.try_into().ok()?,
            parity: if command.odd_parity { Parity::Odd } else { Parity::Even },
            resume: command.resume,
            fresh: command.session_lost() == SessionLostPolicy::Fresh,
            max_attempts: command.max_attempts,
            backoff_initial_ms: command.backoff_initial_ms.into(),
            backoff_max_ms: command.backoff_max_ms.into(),
            stable: command.stable_conduit,
            host: command.host,
        })
    }

    /// Dials until a conduit may be bound. `known` is what the counterpart announced before, if
    /// this resumes. Dropping the future closes what it has open.
    pub(crate) async fn establish(
        self: Arc<Self>,
        domain: Arc<Domain>,
        settings: Settings,
        record: Recorder,
        resume_key: Bytes,
        known: Option<Peer>,
    ) -> Result<Offer, Refused> {
        let greeting =
            Greeting { domain: &domain, settings, record: &record, resume_key: &resume_key, known };
        self.repeat(&domain, &record, || self.dial(&greeting)).await
    }

    /// Dials until a link may carry on the conduit that `hello` is of.
    async fn carry_on(
        &self,
        domain: &Domain,
        settings: Settings,
        record: &Recorder,
        hello: &ClientHello,
    ) -> Result<Answered, Refused> {
        self.repeat(domain, record, || async {
            let (link, max_payload) = self.link(domain, settings).await?;
            greet_server(link, max_payload, hello).await
        })
        .await
    }

    /// Dials until it leads to something, as often as may be.
    async fn repeat<T, F>(
        &self,
        domain: &Domain,
        record: &Recorder,
        dial: impl Fn() -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let attempts = self.max_attempts.max(1);
        for attempt in 1..=attempts {
            if attempt > 1 {
                let delay = self.delay_ms(attempt);
                record.planned_delay("redial", delay);
                domain.workload.sleep("redial", Duration::from_millis(delay)).await;
            }
            match dial().await {
                Ok(reached) => return Ok(reached),
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

    async fn dial(self: &Arc<Self>, greeting: &Greeting<'_>) -> Result<Offer, Failed> {
        let (link, max_payload) = self.link(greeting.domain, greeting.settings).await?;
        let mut conduit = if self.stable {
            let first_seq = greeting.settings.first_seq;
            let hello = ClientHello { first_seq, ..ClientHello::default() };
            let answered = greet_server(link, max_payload, &hello).await?;
            let redial = self.resume.then(|| self.redial(greeting));
            StableConduit::dialled(answered, first_seq, redial, greeting.record.clone()).into()
        } else {
            Conduit::Bare(link)
        };
        match self.session(&mut conduit, greeting, max_payload).await {
            Ok((peer, session_id, resume_key)) => {
                // Over a stable conduit it is that which goes on.
                let resume_key = if self.stable { Bytes::new() } else { resume_key };
                Ok(Offer { conduit, peer, session_id, resume_key })
            }
            Err(Told::Stop(stop)) => {
                refuse(greeting.domain, conduit, greeting.record.clone(), &stop);
                Err(stop.into())
            }
            Err(Told::Refused(refused)) => Err(refused.into()),
        }
    }

    /// What gets a stable conduit its next link.
    fn redial(self: &Arc<Self>, greeting: &Greeting<'_>) -> Redial {
        let (dialling, domain) = (self.clone(), greeting.domain.clone());
        let settings = greeting.settings;
        Box::new(move |hello, record| {
            let (dialling, domain) = (dialling.clone(), domain.clone());
            Box::pin(async move {
                let answered = dialling.carry_on(&domain, settings, &record, &hello).await;
                answered.map_err(|refused| refused.ending.text)
            })
        })
    }

    /// Connects, up to the end of the prologue; returns the counterpart's maximum as well.
    async fn link(&self, domain: &Domain, settings: Settings) -> Result<(Link, u32), Failed> {
        let Ok(stream) = TcpStream::connect((self.host.as_str(), self.port)).await else {
            return Err(Failed::Lost);
        };
        let mut link = Link::new(stream, HANDSHAKE_MAX_PAYLOAD, domain.gauges.links.hold());
        let conduit = if self.stable { pb::Conduit::Stable } else { pb::Conduit::Bare };
        say_prologue(
            &mut link,
            prologue::Kind::Hello(TransportHello {
                magic: MAGIC,
                version: VERSION,
                conduit: conduit.into(),
                max_payload: settings.max_payload,
            }),
        );
        let payload = read(&mut link).await?;
        match wire::prologue(&payload).map_err(Stop::from)? {
            prologue::Kind::Accept(accept) => match wire::accepted_maximum(accept.max_payload) {
                Some(max_payload) => Ok((link, max_payload)),
                None => Err(Stop::Malformed("max_payload out of range".into()).into()),
            },
            prologue::Kind::Reject(reject) => {
                let name = reject.reason().as_str_name();
                Err(Refused::new(FailureReason::Rejected, reject.text, name).into())
            }
            prologue::Kind::Hello(_) => Err(Stop::Malformed("not a TransportAccept".into()).into()),
        }
    }

    /// The handshake up to HelloYourself; returns it, checked.
    async fn session(
        &self,
        conduit: &mut Conduit,
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
            conduit,
            handshake::Kind::Hello(Hello {
                parity: parity.into(),
                settings: Some(pb::Settings { max_concurrent_requests }),
                protocol_schema: ours,
                resume_key: greeting.resume_key.clone(),
                ..Hello::default()
            }),
        );
        let payload = read(conduit).await?;
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
        if reply.session_id.len() != ID_BYTES || !key_fits(&reply.resume_key) {
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

/// The hellos of a stable conduit. A client has no word for what it refuses: the link closes.
async fn greet_server(
    mut link: Link,
    max_payload: u32,
    hello: &ClientHello,
) -> Result<Answered, Failed> {
    let kind = stable_handshake::Kind::ClientHello(hello.clone());
    link.push(&StableHandshake { kind: Some(kind) });
    let payload = read(&mut link).await?;
    match wire::stable_handshake(&payload).map_err(Stop::from)? {
        stable_handshake::Kind::ServerHello(hello) if key_fits(&hello.resume_key) => {
            Ok(Answered { link, hello, max_payload })
        }
        stable_handshake::Kind::Reject(reject) => {
            Err(Refused::new(FailureReason::Rejected, reject.text, "STABLE_REJECT").into())
        }
        _ => {
            let text = "not a ServerHello, or its resume_key has a bad length";
            Err(Stop::Malformed(text.into()).into())
        }
    }
}

/// Of a resume key: none, or a long one.
fn key_fits(key: &Bytes) -> bool {
    key.is_empty() || key.len() >= ID_BYTES
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
            stable: false,
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
