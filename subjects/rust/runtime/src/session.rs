//! A session: what survives its links, and the driver that owns it.
//!
//! One task owns all of a session. It takes one event at a time, applies it completely, and only
//! then looks for the next; nobody else touches its state, so a resume, like everything else, is
//! atomic (r[strict.driver.single-phase]). The phase is one value ([`Phase`]) that owns what the
//! phase has: an attachment is there exactly while the session is Connected, a dial exactly while
//! this side is making one. Leaving a phase drops what it owned.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use counterpart_spec::control::FailureReason;
use counterpart_spec::wire::{self as pb, Goodbye, Ping, Pong, RejectConnection};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot, watch};

use crate::attachment::{Attachment, Parts, Remains};
use crate::callee::{Callee, Finished, Reading};
use crate::caller::{Call, Caller, Minting};
use crate::conduit::Conduit;
use crate::domain::{Domain, Settings};
use crate::handles::Mail;
use crate::ids::{Newest, Parity};
use crate::initiator::{Dialling, Offer, Refused};
use crate::journal::Recorder;
use crate::link::{Carrier, Received};
use crate::machine::{self, DriverEvent, Machine};
use crate::mutant;
use crate::outbound::Outbound;
use crate::wire::{self, Code, Payload, Violation, shortened};
use crate::workload::Held;

/// Why a session is over, or why there never was one.
#[derive(Clone, Debug)]
pub struct Ending {
    /// In the control plane's terms.
    pub reason: FailureReason,
    /// For a reader.
    pub text: String,
    /// Name of the SorryReason or reject reason, or the rule of the ProtocolError, if any.
    pub rule: String,
}

impl Ending {
    pub(crate) fn new(reason: FailureReason, text: impl Into<String>, rule: &str) -> Self {
        Self { reason, text: text.into(), rule: rule.into() }
    }

    fn plain(text: &str) -> Self {
        Self::new(FailureReason::SessionEnded, text, "")
    }
}

/// What the counterpart announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Of the ids it mints.
    pub(crate) parity: Parity,
    pub(crate) max_concurrent_requests: u32,
    pub(crate) max_payload: u32,
}

impl Peer {
    /// May a session with `self` be resumed by `now`?  r[session.resume.connections]
    pub(crate) fn resumes(&self, now: &Self) -> bool {
        self.parity == now.parity
            && self.max_concurrent_requests == now.max_concurrent_requests
            && self.max_payload <= now.max_payload
    }
}

// ------------------------------------------------------------------ from outside

enum Command {
    Call(Arc<Call>),
    Cancel(Arc<Call>),
    Ping(oneshot::Sender<()>),
    Goodbye(oneshot::Sender<()>),
    Expire(oneshot::Sender<()>),
    /// LetsGo came on a conduit on which a Hello presented `key`.
    Bind {
        conduit: Box<Conduit>,
        peer: Peer,
        key: Bytes,
    },
    /// A link that was to open this session is gone.
    Abandoned(String),
}

/// What others may read of a session.
#[derive(Debug, Default)]
struct Facts {
    id: OnceLock<Bytes>,
    ending: OnceLock<Ending>,
}

/// A session as others hold it. Each of them waits for the answer to what it asks, so the queue
/// to the driver is as long as there are applications that wait.
#[derive(Clone, Debug)]
pub struct Session {
    /// How its domain calls it; no part of the protocol.
    pub(crate) number: u64,
    commands: mpsc::UnboundedSender<Command>,
    facts: Arc<Facts>,
    over: watch::Receiver<bool>,
}

impl Session {
    /// 16 random bytes; none before it was established.
    pub fn id(&self) -> Option<Bytes> {
        self.facts.id.get().cloned()
    }

    /// Pings the counterpart; returns at the Pong, on whatever attachment.
    pub async fn ping(&self) -> Result<(), Ending> {
        let (done, wait) = oneshot::channel();
        self.tell(Command::Ping(done));
        wait.await.map_err(|_| self.ending())
    }

    /// Says Goodbye; returns when the session is over on this side.  r[session.goodbye]
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        self.tell(Command::Goodbye(done));
        let _ = wait.await; // an error: it was over before
    }

    /// Drops it without a word, as if its resume window had passed.
    pub async fn expire(&self) {
        let (done, wait) = oneshot::channel();
        self.tell(Command::Expire(done));
        let _ = wait.await;
    }

    /// Why it is over; says so even if it is not.
    pub fn ending(&self) -> Ending {
        self.facts.ending.get().cloned().unwrap_or_else(|| Ending::plain("dropped"))
    }

    /// Returns when it is over.
    pub(crate) async fn over(&self) {
        let _ = self.over.clone().wait_for(|over| *over).await;
    }

    pub(crate) fn call(&self, call: Arc<Call>) {
        self.tell(Command::Call(call));
    }

    pub(crate) fn cancel(&self, call: Arc<Call>) {
        self.tell(Command::Cancel(call));
    }

    pub(crate) fn bind(&self, conduit: Conduit, peer: Peer, key: Bytes) {
        self.tell(Command::Bind { conduit: Box::new(conduit), peer, key });
    }

    pub(crate) fn abandoned(&self, why: String) {
        self.tell(Command::Abandoned(why));
    }

    /// Drops it, if nobody has bound a link to it.
    pub(crate) fn give_up(&self) {
        self.tell(Command::Expire(oneshot::channel().0));
    }

    pub(crate) fn is_established(&self) -> bool {
        self.facts.id.get().is_some()
    }

    fn tell(&self, command: Command) {
        let _ = self.commands.send(command); // an error: its domain was dropped, and it with it
    }
}

// ------------------------------------------------------------------ the driver

type Dial = Pin<Box<dyn Future<Output = Result<Offer, Refused>> + Send>>;

/// What is done for the next link.
enum Waiting {
    /// The counterpart dials.
    Awaiting,
    /// This side does.
    Dialling(Dial),
}

/// Where the driver is, with what it has there.
enum Phase {
    Connecting(Waiting),
    Connected(Box<Attachment>),
    Resuming(Waiting),
    Disconnected,
}

impl Phase {
    fn state(&self) -> machine::Driver {
        match self {
            Self::Connecting(_) => machine::Driver::Connecting,
            Self::Connected(_) => machine::Driver::Connected,
            Self::Resuming(_) => machine::Driver::Resuming,
            Self::Disconnected => machine::Driver::Disconnected,
        }
    }
}

/// Which side of the session this is, and what only that side has.
pub(crate) enum Role {
    Acceptor { resumable: bool },
    Initiator { dialling: Arc<Dialling>, resume_key: Bytes },
}

enum Event {
    Command(Command),
    Mail(Mail),
    Link(Received),
    Dialled(Result<Offer, Refused>),
    Ran(Finished),
    /// No handle and no domain is left.
    Forsaken,
}

/// What became of the first establishment.
pub(crate) type Established = oneshot::Sender<Result<Session, Ending>>;

/// What a driver starts with.
pub(crate) struct Start {
    pub(crate) role: Role,
    pub(crate) settings: Settings,
    /// Empty until the acceptor said it.
    pub(crate) id: Bytes,
    pub(crate) calls: Vec<Arc<Call>>,
    pub(crate) established: Option<Established>,
}

struct Minted {
    requests: Newest,
    channels: Newest,
}

impl Minted {
    fn new(parity: Parity) -> Self {
        Self { requests: Newest::new(parity), channels: Newest::new(parity) }
    }
}

pub(crate) struct Driver {
    domain: Weak<Domain>,
    session: Session,
    over: watch::Sender<bool>,
    role: Role,
    settings: Settings,
    record: Recorder,
    phase: Phase,
    peer: Option<Peer>,
    /// Ids minted by us and by the counterpart, once it is known who mints which.
    ids: Option<(Minted, Minted)>,
    connections: Option<Newest>,
    caller: Caller,
    callee: Callee,
    nonce: u64,
    pings: VecDeque<oneshot::Sender<()>>,
    remains: Vec<Remains>,
    established: Option<Established>,
    held: Option<Held>,
}

/// Makes a session; the future drives it until its domain is dropped.
pub(crate) fn start(
    domain: &Arc<Domain>,
    number: u64,
    start: Start,
) -> (Session, impl Future<Output = ()> + Send + use<>) {
    let (commands, queue) = mpsc::unbounded_channel();
    let (over, is_over) = watch::channel(false);
    let session = Session { number, commands, facts: Arc::default(), over: is_over };
    let mut record = domain.record.clone();
    record.session_id = start.id;
    let waiting = match &start.role {
        Role::Acceptor { .. } => Waiting::Awaiting,
        Role::Initiator { dialling, .. } => {
            Waiting::Dialling(Box::pin(dialling.clone().establish(
                domain.clone(),
                start.settings,
                record.clone(),
                Bytes::new(),
                None,
            )))
        }
    };
    let mut caller = Caller::new(domain.registry.clone(), domain.gauges.calls.clone());
    for call in start.calls {
        call.belongs_to(&session);
        caller.start(call);
    }
    let driver = Driver {
        domain: Arc::downgrade(domain),
        session: session.clone(),
        over,
        role: start.role,
        settings: start.settings,
        record,
        phase: Phase::Connecting(waiting),
        peer: None,
        ids: None,
        connections: None,
        caller,
        callee: Callee::new(domain.serving.clone(), session.clone()),
        nonce: 0,
        pings: VecDeque::new(),
        remains: Vec::new(),
        established: start.established,
        held: None,
    };
    (session, driver.run(queue))
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            match poll_fn(|context| self.poll_event(context, &mut commands)).await {
                Event::Command(command) => self.on_command(command),
                Event::Mail(mail) => self.on_mail(mail),
                Event::Link(received) => self.on_link(received),
                Event::Dialled(Ok(offer)) => self.on_offer(offer),
                Event::Dialled(Err(refused)) => self.on_refused(refused),
                Event::Ran(finished) => self.on_finished(finished),
                Event::Forsaken => return,
            }
        }
    }

    /// The next event. Applications come before the link, the link before handlers: a Ping is
    /// answered after all that was asked before it, and no handler delays it.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Poll<Event> {
        if let Poll::Ready(command) = commands.poll_recv(context) {
            return Poll::Ready(command.map_or(Event::Forsaken, Event::Command));
        }
        self.remains.retain_mut(|remains| remains.poll(context).is_pending());
        match &mut self.phase {
            Phase::Connecting(Waiting::Dialling(dial))
            | Phase::Resuming(Waiting::Dialling(dial)) => {
                if let Poll::Ready(dialled) = dial.as_mut().poll(context) {
                    return Poll::Ready(Event::Dialled(dialled));
                }
            }
            Phase::Connected(attachment) => {
                if let Poll::Ready(Some(mail)) = attachment.mailbox.poll_recv(context) {
                    return Poll::Ready(Event::Mail(mail));
                }
                if let Poll::Ready(received) = attachment.out.poll(context) {
                    return Poll::Ready(Event::Link(received));
                }
                while let Poll::Ready(Some(ran)) = attachment.runs.poll_next_unpin(context) {
                    if let Ok(finished) = ran {
                        return Poll::Ready(Event::Ran(finished));
                    }
                }
            }
            Phase::Connecting(Waiting::Awaiting)
            | Phase::Resuming(Waiting::Awaiting)
            | Phase::Disconnected => {}
        }
        while let Poll::Ready(Some(ran)) = self.callee.runs.poll_next_unpin(context) {
            if let Ok(finished) = ran {
                return Poll::Ready(Event::Ran(finished));
            }
        }
        Poll::Pending
    }

    /// Journals a transition of the driver and makes it; returns the phase that was left. An
    /// event without a row is journalled as invalid, and nothing changes.
    fn enter(&mut self, event: DriverEvent, next: Phase) -> Option<Phase> {
        let mut machine = Machine::resumed(0, self.phase.state());
        let moved = machine.step(&self.record, event);
        debug_assert!(!moved || machine.state() == next.state(), "the phase of another row");
        moved.then(|| std::mem::replace(&mut self.phase, next))
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Disconnected)
    }

    // ------------------------------------------------------------------ what others ask

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Call(call) => {
                self.caller.start(call);
                self.pump();
            }
            Command::Cancel(call) => {
                let attachment = match &mut self.phase {
                    Phase::Connected(attachment) => Some(&mut **attachment),
                    _ => None,
                };
                self.caller.cancel(&call, attachment);
            }
            Command::Ping(done) if !self.is_over() => {
                self.pings.push_back(done);
                self.send_pings();
            }
            Command::Ping(_) => {} // dropping the question says that it is over
            Command::Goodbye(done) => {
                self.goodbye();
                let _ = done.send(());
            }
            Command::Expire(done) => {
                self.end(Ending::plain("expired"));
                let _ = done.send(());
            }
            Command::Bind { conduit, peer, key } => self.on_lets_go(*conduit, peer, &key),
            Command::Abandoned(why) => {
                let awaited = matches!(self.role, Role::Acceptor { resumable: true });
                if !awaited && matches!(self.phase, Phase::Connecting(_)) {
                    self.end(Ending::plain(&why));
                }
            }
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        if let Phase::Connected(attachment) = &mut self.phase {
            attachment.on_mail(mail);
        }
    }

    fn send_pings(&mut self) {
        let Phase::Connected(attachment) = &mut self.phase else { return };
        for done in self.pings.drain(..) {
            self.nonce += 1;
            attachment.pings.insert(self.nonce, done);
            attachment.out.commit(Payload::Ping(Ping { nonce: self.nonce }));
        }
    }

    /// Attempts the calls that wait.
    fn pump(&mut self) {
        let (Phase::Connected(attachment), Some((ours, _)), Some(peer)) =
            (&mut self.phase, &mut self.ids, self.peer)
        else {
            return;
        };
        let minting = Minting {
            requests: &mut ours.requests,
            channels: &mut ours.channels,
            limit: peer.max_concurrent_requests,
        };
        self.caller.pump(attachment, minting);
    }

    fn on_finished(&mut self, finished: Finished) {
        let attachment = match &mut self.phase {
            Phase::Connected(attachment) => {
                attachment.empty_mailbox(); // what the handler asked before it returned
                Some(&mut **attachment)
            }
            _ => None,
        };
        self.callee.on_finished(finished, &self.record, attachment);
    }

    // ------------------------------------------------------------------ links come

    /// The acceptor's side of the bind.  r[session.resume.bind]
    fn on_lets_go(&mut self, conduit: Conduit, peer: Peer, key: &Bytes) {
        let Some(domain) = self.domain.upgrade() else { return };
        let resumable = matches!(self.role, Role::Acceptor { resumable: true });
        let first = matches!(self.phase, Phase::Connecting(_));
        let valid = if resumable {
            domain.keys().bind(self.session.number, key)
        } else {
            first // its one conduit
        };
        if self.is_over() || !valid {
            return; // its key was retired: the link closes
        }
        self.bind(conduit, peer, false);
    }

    /// The initiator's: HelloYourself was read, and LetsGo is about to be sent.
    fn on_offer(&mut self, offer: Offer) {
        if let Role::Initiator { resume_key, .. } = &mut self.role {
            *resume_key = offer.resume_key; // r[session.resume.key-rotation]
        }
        self.record.session_id = offer.session_id;
        self.bind(offer.conduit, offer.peer, true);
    }

    /// Generation g+1 begins: in one step the older link is closed with all of its generation,
    /// the newer one takes its place, and what waits is sent in its order.
    fn bind(&mut self, mut conduit: Conduit, peer: Peer, greet: bool) {
        if matches!(self.phase, Phase::Connected(_)) {
            // r[session.resume.supersede]
            drop(self.detach(DriverEvent::LinkLost, Phase::Resuming(Waiting::Awaiting)));
        }
        let Some(domain) = self.domain.upgrade() else { return };
        let (ours, theirs) = (peer.parity.other(), peer.parity);
        let (_, seen) = self.ids.get_or_insert_with(|| (Minted::new(ours), Minted::new(theirs)));
        let last_older_request = seen.requests.id();
        self.peer = Some(peer);
        self.record.generation += 1;
        conduit.bound(self.settings.max_payload, &self.record);
        let registry = domain.registry.clone();
        let out = Outbound::new(conduit, self.record.clone(), peer.max_payload, registry.clone());
        let gauge = domain.gauges.channels.clone();
        let attachment = Attachment::new(out, registry, gauge, last_older_request);
        let first = self.record.generation == 1;
        let event = if first { DriverEvent::Established } else { DriverEvent::Resumed };
        if self.enter(event, Phase::Connected(Box::new(attachment))).is_none() {
            return;
        }
        if let (true, Phase::Connected(attachment)) = (greet, &mut self.phase) {
            attachment.out.greet();
        }
        if first {
            let _ = self.session.facts.id.set(self.record.session_id.clone());
            self.held = Some(domain.gauges.sessions.hold());
            if let Some(established) = self.established.take() {
                let _ = established.send(Ok(self.session.clone()));
            }
        }
        self.send_pings();
        self.pump();
    }

    fn on_refused(&mut self, refused: Refused) {
        let lost = refused.session_unknown && matches!(self.phase, Phase::Resuming(_));
        match &self.role {
            Role::Initiator { dialling, .. } if lost && dialling.fresh => self.replace(),
            Role::Initiator { .. } if lost => self.end(Ending::plain("the session was lost")),
            _ => self.end(refused.ending),
        }
    }

    /// Opens a session in place of this one, which cannot be resumed, and moves the idem calls
    /// there.  r[retry.session-lost.policy]
    fn replace(&mut self) {
        let leaving = self.caller.emigrate();
        let dialling = match &self.role {
            Role::Initiator { dialling, .. } => dialling.clone(),
            Role::Acceptor { .. } => return,
        };
        self.end(Ending::plain("the session was lost"));
        if let Some(domain) = self.domain.upgrade() {
            domain.open(dialling, self.settings, leaving, None);
        }
    }

    // ------------------------------------------------------------------ links go

    fn on_link(&mut self, received: Received) {
        match received {
            Received::Payload(payload) => {
                if let Err(violation) = self.on_payload(&payload) {
                    self.violated(violation);
                }
            }
            Received::Oversize(oversize) => {
                let text = format!("a payload of {} bytes", oversize.length);
                self.violated(Violation::new(Code::PayloadTooLarge, "link.limit", text));
            }
            Received::Violated(violation) => self.violated(violation),
            Received::Drained => {
                if let Phase::Connected(attachment) = &mut self.phase {
                    attachment.on_drained();
                }
            }
            Received::Lost(why) => self.on_lost(&why),
        }
    }

    /// r[session.detach]; only the initiator dials again (r[session.keepalive.loss]).
    fn on_lost(&mut self, why: &str) {
        let Some(domain) = self.domain.upgrade() else { return };
        let waiting = match &self.role {
            Role::Acceptor { resumable: true } => Waiting::Awaiting,
            Role::Initiator { dialling, resume_key } if dialling.resume => {
                if resume_key.is_empty() {
                    return if dialling.fresh { self.replace() } else { self.cannot_resume(why) };
                }
                let dial = || {
                    let (domain, record) = (domain.clone(), self.record.clone());
                    let key = resume_key.clone();
                    dialling.clone().establish(domain, self.settings, record, key, self.peer)
                };
                if mutant::is("two_resumes_interleave") {
                    let rival = dial();
                    domain.tasks.spawn(async { drop(rival.await) });
                }
                Waiting::Dialling(Box::pin(dial()))
            }
            _ => return self.cannot_resume(why),
        };
        drop(self.detach(DriverEvent::LinkLost, Phase::Resuming(waiting)));
    }

    fn cannot_resume(&mut self, why: &str) {
        self.end(Ending::plain(&format!("{why}, and the session cannot be resumed")));
    }

    /// Leaves Connected. The writer is returned for a last message; dropping it closes the link.
    fn detach(&mut self, event: DriverEvent, next: Phase) -> Option<Outbound> {
        let Some(Phase::Connected(attachment)) = self.enter(event, next) else { return None };
        let record = attachment.out.record.clone();
        self.callee.detached(&record);
        let Parts { out, outgoing, pings, remains } = attachment.take_apart();
        if !self.is_over() {
            self.caller.detached(outgoing); // else its end decides for all calls alike
        }
        self.pings.extend(pings);
        self.remains.push(remains);
        Some(out)
    }

    /// Ends the session, from whatever phase: once, and with all that it had. Returns the writer
    /// if there is a link that can still carry a last message.
    fn finish(&mut self, ending: Ending) -> Option<Outbound> {
        let mut out = match self.phase {
            Phase::Disconnected => return None,
            Phase::Connected(_) => self.detach(DriverEvent::Ended, Phase::Disconnected),
            Phase::Connecting(_) => {
                self.enter(DriverEvent::Failed, Phase::Disconnected);
                None
            }
            Phase::Resuming(_) => {
                self.enter(DriverEvent::Ended, Phase::Disconnected);
                None
            }
        };
        if let Some(domain) = self.domain.upgrade() {
            domain.keys().close(self.session.number);
        }
        if let Some(out) = &mut out {
            out.conclude();
        }
        self.callee.ended(&self.record);
        self.caller.ended(ending.reason == FailureReason::ProtocolError, &ending.text);
        self.held = None;
        let _ = self.session.facts.ending.set(ending.clone());
        self.pings.clear();
        self.over.send_replace(true);
        if let Some(established) = self.established.take() {
            let _ = established.send(Err(ending));
        }
        out
    }

    /// Drops it without a word.
    fn end(&mut self, ending: Ending) {
        drop(self.finish(ending));
    }

    /// Says one last thing, and closes the link gracefully.
    fn end_with(&mut self, ending: Ending, last: Option<Payload>) {
        let Some(mut out) = self.finish(ending) else { return };
        if let Some(last) = last {
            out.commit(last);
        }
        if let Some(domain) = self.domain.upgrade() {
            let (conduit, record) = out.into_conduit();
            domain.tasks.spawn(conduit.finish(record, domain.workload.clone()));
        }
    }

    /// The counterpart broke a rule.  r[session.protocol-error.delivery]
    fn violated(&mut self, violation: Violation) {
        let Violation { code, rule, text } = violation;
        let ending = Ending::new(FailureReason::ProtocolError, text.clone(), rule);
        let text = shortened(&text);
        let error = pb::ProtocolError { code: code.into(), rule: rule.into(), text };
        self.end_with(ending, Some(Payload::ProtocolError(error)));
    }

    fn goodbye(&mut self) {
        let Some(mut out) = self.finish(Ending::plain("we said Goodbye")) else { return };
        out.commit(Payload::Goodbye(Goodbye {}));
        if let Some(domain) = self.domain.upgrade() {
            let (conduit, record) = out.into_conduit();
            domain.tasks.spawn(part(conduit, record, domain.workload.clone()));
        }
    }

    // ------------------------------------------------------------------ messages

    fn on_payload(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let Phase::Connected(attachment) = &mut self.phase else { return Ok(()) };
        let (connection, payload) = wire::message(payload)
            .map_err(|error| Violation::new(Code::Malformed, "wire.envelope", error.0))?;
        let (kind, id) = wire::subject(&payload);
        attachment.out.record.frame(false, connection, kind, id);
        if connection != 0 {
            return self.on_other_connection(connection, kind, &payload);
        }
        let Some((_, theirs)) = &mut self.ids else { return Ok(()) };
        match payload {
            Payload::Ping(Ping { nonce }) => {
                // r[session.keepalive.fence]: all that came before has been applied
                attachment.out.commit(Payload::Pong(Pong { nonce }));
            }
            Payload::Pong(Pong { nonce }) => {
                let Some(done) = attachment.pings.remove(&nonce) else {
                    let text = "a Pong nobody asked for";
                    return Err(Violation::new(Code::UnexpectedMessage, "session.keepalive", text));
                };
                let _ = done.send(());
            }
            Payload::Schema(schema) => {
                attachment.tracker.learn(schema)?;
                self.callee.on_schema(attachment);
            }
            Payload::Request(request) => {
                let ids = Reading {
                    requests: &mut theirs.requests,
                    channels: &mut theirs.channels,
                    limit: self.settings.max_concurrent_requests,
                };
                self.callee.on_request(attachment, ids, request)?;
            }
            Payload::CancelRequest(cancel) => {
                self.callee.on_cancel(attachment, cancel.request_id)?;
            }
            Payload::Response(response) => {
                self.caller.on_response(attachment, response)?;
                self.pump();
            }
            Payload::ChannelItem(_)
            | Payload::CloseChannel(_)
            | Payload::ResetChannel(_)
            | Payload::GrantCredit(_) => attachment.on_channel(payload)?,
            Payload::ProtocolError(error) => {
                let rule = if error.rule.is_empty() { "unnamed" } else { &error.rule };
                let ending = Ending::new(FailureReason::ProtocolError, error.text.clone(), rule);
                self.end_with(ending, None); // never answered
            }
            Payload::Goodbye(Goodbye {}) => {
                let ending = Ending::plain("the counterpart said Goodbye");
                self.end_with(ending, Some(Payload::Goodbye(Goodbye {})));
            }
            Payload::OpenConnection(_)
            | Payload::AcceptConnection(_)
            | Payload::RejectConnection(_)
            | Payload::CloseConnection(_) => {
                let text = format!("{kind} on connection 0");
                return Err(Violation::new(Code::BadConnection, "connection.root", text));
            }
        }
        Ok(())
    }

    /// Virtual connections: none is ever accepted here.
    fn on_other_connection(
        &mut self,
        connection: u64,
        kind: &str,
        payload: &Payload,
    ) -> Result<(), Violation> {
        let rule = match payload {
            Payload::ProtocolError(_)
            | Payload::Ping(_)
            | Payload::Pong(_)
            | Payload::Goodbye(_) => "session.message.connection-id",
            Payload::OpenConnection(_) => {
                let Some(peer) = self.peer else { return Ok(()) };
                let newest = self.connections.get_or_insert_with(|| Newest::new(peer.parity));
                if newest.see(connection) {
                    return self.reject(connection); // r[connection.open.rejection]
                }
                "connection.open"
            }
            _ => "connection.unknown",
        };
        Err(Violation::new(Code::BadConnection, rule, format!("{kind} on {connection}")))
    }

    fn reject(&mut self, connection: u64) -> Result<(), Violation> {
        if let Phase::Connected(attachment) = &mut self.phase {
            let reason = "no acceptor registered".into();
            let reject = Payload::RejectConnection(RejectConnection { reason });
            attachment.out.commit_on(connection, reject);
        }
        Ok(())
    }
}

/// After our own Goodbye: reads up to the counterpart's, discarding what was in flight.
/// r[session.goodbye]
async fn part(mut conduit: Conduit, record: Recorder, workload: crate::workload::Workload) {
    loop {
        let payload = match conduit.next().await {
            Received::Payload(payload) => payload,
            Received::Drained => continue,
            Received::Oversize(_) | Received::Violated(_) | Received::Lost(_) => return,
        };
        let Ok((connection, payload)) = wire::message(&payload) else {
            record.discard("payload", "session.goodbye", 0, 1);
            continue;
        };
        let (kind, id) = wire::subject(&payload);
        record.frame(false, connection, kind, id);
        if matches!(payload, Payload::Goodbye(_) | Payload::ProtocolError(_)) {
            return conduit.finish(record, workload).await;
        }
        record.discard(kind, "session.goodbye", id, 1);
    }
}
