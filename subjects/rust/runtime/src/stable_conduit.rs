//! A stable conduit: to its owner one link, in truth one after the other.
//!
//! Its owner is told nothing of a change of link (r[stable.untouched]), and makes it happen by
//! polling for what comes next. The server's is brought the next link by whoever accepted it, also
//! while the one before looks alive; the client's dials for it. Over a new link what may have been
//! lost comes first. What no correct counterpart does is a [`Received::Violated`], after which the
//! owner says its last word and ends it; [`Received::Lost`] comes once no other link will.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use counterpart_spec::wire::{ClientHello, ServerHello, StableHandshake, stable_handshake::Kind};
use prost::Message;
use tokio::sync::mpsc;

use crate::conduit::STABLE_OVERHEAD;
use crate::domain::{Domain, Settings};
use crate::handshake::{Stop, refuse};
use crate::journal::Recorder;
use crate::link::{CONGESTED_BYTES, Carrier, Link, Received};
use crate::stable_core::Core;
use crate::wire::{self, Code, HANDSHAKE_MAX_PAYLOAD, Violation};

/// A link whose ClientHello presented the key of a conduit.
pub(crate) struct Newcomer {
    pub(crate) link: Link,
    pub(crate) hello: ClientHello,
    /// What the counterpart accepts over it.
    pub(crate) max_payload: u32,
}

/// How a server's conduit is brought its next link.
pub(crate) type Newcomers = mpsc::UnboundedSender<Newcomer>;

/// A link whose ClientHello was answered.
pub(crate) struct Answered {
    pub(crate) link: Link,
    pub(crate) hello: ServerHello,
    /// What the counterpart accepts over it.
    pub(crate) max_payload: u32,
}

/// The way to a client's next link; why there is none, if it fails. Dropping it closes what it has
/// open.
pub(crate) type Dial = Pin<Box<dyn Future<Output = Result<Answered, String>> + Send>>;

/// Begins it, with what to say and where to journal.
pub(crate) type Redial = Box<dyn Fn(ClientHello, Recorder) -> Dial + Send>;

/// The server's end: listed under its keys for as long as it can be carried on.
struct Served {
    domain: Arc<Domain>,
    number: u64,
    newcomers: mpsc::UnboundedReceiver<Newcomer>,
    /// The key that the link of now was opened with, until its first frame.
    opened_with: Option<Bytes>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.domain.conduits().close(self.number);
    }
}

/// The client's end.
struct Dialled {
    redial: Redial,
    record: Recorder,
    /// The newest that was read.
    key: Bytes,
    dial: Option<Dial>,
}

/// Where the next link comes from.
enum Source {
    /// There will be none.
    Nowhere,
    Served(Served),
    Dialled(Dialled),
}

/// One end. (Its keys are gone before its link: fields are dropped in this order.)
pub(crate) struct StableConduit {
    source: Source,
    link: Option<Link>,
    core: Core,
    /// Of a payload that is accepted, on whatever link.
    limit: u32,
    /// What the counterpart accepts.
    max_payload: u32,
    /// Bytes that were pushed since the link was lost.
    unsent: usize,
}

impl StableConduit {
    /// Answers the ClientHello of a new conduit. A `resumable` one outlives the link.
    pub(crate) fn serve(
        domain: &Arc<Domain>,
        newcomer: Newcomer,
        settings: Settings,
        resumable: bool,
    ) -> Self {
        let Newcomer { mut link, hello, max_payload } = newcomer;
        let core = Core::new(settings.first_seq, hello.first_seq);
        let (source, key) = if resumable {
            let (sender, newcomers) = mpsc::unbounded_channel();
            let (domain, number) = (domain.clone(), domain.number());
            let key = domain.conduits().open(number, sender);
            let opened_with = Some(hello.resume_key);
            (Source::Served(Served { domain, number, newcomers, opened_with }), key)
        } else {
            (Source::Nowhere, Bytes::new())
        };
        say_server_hello(&mut link, &core, key);
        Self::over(link, core, source, max_payload)
    }

    /// The client's end of a new conduit, whose ClientHello announced `first_seq`. Without `redial`
    /// it ends with the link.
    pub(crate) fn dialled(
        answered: Answered,
        first_seq: u32,
        redial: Option<Redial>,
        record: Recorder,
    ) -> Self {
        let Answered { link, hello, max_payload } = answered;
        let source = match redial {
            Some(redial) => {
                Source::Dialled(Dialled { redial, record, key: hello.resume_key, dial: None })
            }
            None => Source::Nowhere,
        };
        Self::over(link, Core::new(first_seq, hello.first_seq), source, max_payload)
    }

    fn over(link: Link, core: Core, source: Source, max_payload: u32) -> Self {
        let limit = HANDSHAKE_MAX_PAYLOAD + STABLE_OVERHEAD;
        let mut conduit = Self { source, link: None, core, limit, max_payload, unsent: 0 };
        conduit.carry(link);
        conduit
    }

    /// See [`Conduit`](crate::conduit::Conduit).
    pub(crate) fn bound(&mut self, limit: u32, record: &Recorder) {
        self.limit = limit;
        if let Some(link) = &mut self.link {
            link.set_limit(limit);
        }
        if let Source::Dialled(dialled) = &mut self.source {
            dialled.record = record.clone();
        }
    }

    /// See [`Conduit`](crate::conduit::Conduit).
    pub(crate) fn congested(&self) -> bool {
        self.link.as_ref().map_or(self.unsent > CONGESTED_BYTES, Link::congested)
    }

    /// See [`Conduit`](crate::conduit::Conduit).
    pub(crate) fn conclude(&mut self) {
        self.source = Source::Nowhere;
    }

    /// The link it has now.
    pub(crate) fn into_link(self) -> Option<Link> {
        self.link
    }

    // ------------------------------------------------------------------ a new link

    /// Goes on over this link: what may have been lost comes first.
    /// r[stable.replay-buffer.order], r[stable.reconnect.server-replay],
    /// r[stable.reconnect.client-replay]
    fn carry(&mut self, mut link: Link) -> Option<Received> {
        link.set_limit(self.limit);
        for frame in self.core.unacknowledged() {
            link.push(&frame);
        }
        let drained = !link.congested();
        self.link = Some(link);
        self.unsent = 0;
        drained.then_some(Received::Drained) // who waited for a link does so no more
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Received>> {
        match &mut self.source {
            Source::Nowhere => Poll::Pending,
            Source::Served(served) => match ready!(served.newcomers.poll_recv(context)) {
                Some(newcomer) => Poll::Ready(self.welcome(newcomer)),
                None => Poll::Pending, // its domain ends
            },
            Source::Dialled(dialled) => {
                let Some(dial) = &mut dialled.dial else { return Poll::Pending };
                let answered = ready!(dial.as_mut().poll(context));
                dialled.dial = None;
                Poll::Ready(match answered {
                    Ok(answered) => self.go_on(answered),
                    Err(why) => Some(self.fail(why)), // r[stable.reconnect.failure]
                })
            }
        }
    }

    /// The server's side of a change of link.  r[stable.resume-key]
    fn welcome(&mut self, newcomer: Newcomer) -> Option<Received> {
        let Source::Served(served) = &mut self.source else { return None };
        let Newcomer { mut link, hello, max_payload } = newcomer;
        let domain = served.domain.clone();
        let reject = |link: Link, text: &str| {
            refuse(&domain, link, domain.record.clone(), &Stop::Conduit(text.into()));
        };
        if max_payload < self.max_payload {
            reject(link, "takes smaller payloads than before"); // r[link.limit.announce]
            return None;
        }
        let next = {
            let mut keys = domain.conduits();
            let known = keys.find(&hello.resume_key); // it may have been retired meanwhile
            known.and_then(|(number, _)| keys.present(number, &hello.resume_key))
        };
        let Some(next) = next else {
            reject(link, "unknown resume key");
            return None;
        };
        // A known key wins over a link that looks alive: what was received of that is settled.
        // r[session.attachment.generation]
        self.link = None;
        if let Err(violation) = self.core.resume(hello.last_received) {
            reject(link, &violation.text);
            return Some(Received::Violated(violation));
        }
        served.opened_with = Some(hello.resume_key);
        say_server_hello(&mut link, &self.core, next);
        self.carry(link)
    }

    /// The client's side of it. On a violation the link is closed: it has no word for that.
    fn go_on(&mut self, answered: Answered) -> Option<Received> {
        let Answered { link, hello, max_payload } = answered;
        if max_payload < self.max_payload {
            let why = "takes smaller payloads than before"; // r[link.limit.announce]
            return Some(self.fail(why.into()));
        }
        if let Err(violation) = self.core.resume(hello.last_received) {
            return Some(Received::Violated(violation));
        }
        if let Source::Dialled(dialled) = &mut self.source {
            dialled.key = hello.resume_key; // r[stable.resume-key]: adopted on reading
        }
        self.carry(link)
    }

    // ------------------------------------------------------------------ the link of now

    /// One frame; its item, if it brings a new one.
    fn on_frame(&mut self, payload: &[u8]) -> Result<Option<Bytes>, Violation> {
        if let Source::Served(served) = &mut self.source
            && let Some(key) = served.opened_with.take()
        {
            served.domain.conduits().bind(served.number, &key); // r[stable.resume-key]
        }
        let frame = wire::stable_frame(payload)
            .map_err(|error| Violation::new(Code::Malformed, "wire.envelope", error.0))?;
        let item = self.core.receive(frame)?;
        if let (Some(link), Some(ack)) = (&mut self.link, self.core.due_ack()) {
            link.push(&ack);
        }
        Ok(item)
    }

    /// The link is gone; the conduit need not be.
    fn on_lost(&mut self, why: String) -> Option<Received> {
        self.link = None;
        match &mut self.source {
            Source::Served(_) => None, // the client dials
            Source::Dialled(dialled) if !dialled.key.is_empty() => {
                let hello = ClientHello {
                    resume_key: dialled.key.clone(),
                    last_received: self.core.last_received(),
                    first_seq: self.core.first(),
                };
                dialled.dial = Some((dialled.redial)(hello, dialled.record.clone()));
                None
            }
            Source::Dialled(_) | Source::Nowhere => Some(self.fail(why)),
        }
    }

    /// No other link will come.
    fn fail(&mut self, why: String) -> Received {
        self.source = Source::Nowhere;
        Received::Lost(why)
    }
}

impl Carrier for StableConduit {
    fn push(&mut self, message: &impl Message) {
        let frame = self.core.send(message.encode_to_vec().into());
        match &mut self.link {
            Some(link) => link.push(&frame),
            None => self.unsent += frame.encoded_len(),
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        loop {
            while let Poll::Ready(told) = self.poll_source(context) {
                if let Some(told) = told {
                    return Poll::Ready(told);
                }
            }
            let Some(link) = &mut self.link else {
                return match &self.source {
                    Source::Nowhere => Poll::Ready(Received::Lost("no link".into())),
                    Source::Served(_) | Source::Dialled(_) => Poll::Pending,
                };
            };
            let told = match ready!(link.poll_next(context)) {
                Received::Payload(payload) => match self.on_frame(&payload) {
                    Ok(item) => item.map(Received::Payload),
                    Err(violation) => Some(Received::Violated(violation)),
                },
                Received::Lost(why) => self.on_lost(why),
                other => Some(other),
            };
            if let Some(told) = told {
                return Poll::Ready(told);
            }
        }
    }
}

fn say_server_hello(link: &mut Link, core: &Core, resume_key: Bytes) {
    let (last_received, first_seq) = (core.last_received(), core.first());
    let hello = ServerHello { resume_key, last_received, first_seq };
    link.push(&StableHandshake { kind: Some(Kind::ServerHello(hello)) });
}
