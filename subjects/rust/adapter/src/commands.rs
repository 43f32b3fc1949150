//! Each command of the control plane as what the runtime and the testbed do for it.

use std::sync::Arc;

use counterpart_runtime::command_log::{Work, failed, refusal};
use counterpart_runtime::wire::accepted_maximum;
use counterpart_runtime::{Dialling, Domain, Ending, Parity, Runtime, Session, Settings};
use counterpart_spec::control::{
    Await, Connect, Connected, Done, ExecuteRequest, HandlerEvent, JournalEvent, Listen, Listening,
    Outcome, Refusal, RefusalReason, SessionLostPolicy, execute_request::Command,
    journal_event::Kind as Event, outcome::Kind,
};
use counterpart_testbed::{CallerEnds, Gates, handler};

/// What this subject can do.
pub(crate) const CAPABILITIES: [&str; 11] = [
    "bare",
    "resume",
    "root_calls",
    "channels",
    "cancel",
    "operations",
    "keepalive",
    "schemas",
    "control_lifecycle",
    "initiator",
    "acceptor",
];

/// One scope: a domain of the runtime, its calls by handle, and its gates.
pub(crate) struct Scope {
    pub(crate) domain: Arc<Domain>,
    runtime: Runtime,
    name: String,
    calls: CallerEnds,
    gates: Arc<Gates>,
}

fn outcome(kind: Kind) -> Outcome {
    Outcome { kind: Some(kind) }
}

fn done(_: ()) -> Outcome {
    outcome(Kind::Done(Done {}))
}

fn fail(ending: Ending) -> Outcome {
    failed(ending.reason, ending.text, ending.rule)
}

/// A command, from what it does and what that means for its outcome.
fn work<T>(
    effect: impl Future<Output = T> + Send + 'static,
    tell: impl FnOnce(T) -> Outcome + Send + 'static,
) -> Option<Work> {
    Some(Box::pin(async move { tell(effect.await) }))
}

impl Scope {
    pub(crate) fn new(runtime: &Runtime, name: &str) -> Arc<Self> {
        let gates = Arc::<Gates>::default();
        Arc::new(Self {
            domain: Domain::new(runtime, name, handler(gates.clone())),
            runtime: runtime.clone(),
            name: name.into(),
            calls: CallerEnds::new(runtime.registry.clone()),
            gates,
        })
    }

    /// Checks a command, without any effect; what is returned runs it.
    pub(crate) fn prepare(self: Arc<Self>, request: &ExecuteRequest) -> Result<Work, Refusal> {
        let unsupported = || refusal(RefusalReason::Unsupported, "no such command or capability");
        let command = request.command.clone().ok_or_else(unsupported)?;
        if matches!(&command, Command::Probe(p) if !CAPABILITIES.contains(&&*p.capability)) {
            return Err(unsupported());
        }
        let text = "it names what is not there or not new, or a value out of range";
        self.known(command).ok_or_else(|| refusal(RefusalReason::Invalid, text))
    }

    /// None if the command is invalid.
    fn known(self: Arc<Self>, command: Command) -> Option<Work> {
        match command {
            Command::Listen(c) => self.listen(&c),
            Command::Connect(c) => self.connect(c),
            Command::Call(c) => self.calls.call(self.session(&c.session_id), &c),
            Command::Cancel(c) => self.calls.cancel(&c.handle),
            Command::ChannelSend(c) => self.calls.send(&c),
            Command::ChannelReceive(c) => self.calls.receive(&c),
            Command::ChannelClose(c) => self.calls.close(c.end.as_ref()),
            Command::ChannelReset(c) => self.calls.reset(c.end.as_ref()),
            Command::Release(c) => work(async move { self.gates.open(&c.gate) }, done),
            Command::AwaitEvent(want) => work(self.await_event(want), done),
            Command::StopListening(_) => {
                work(async move { self.domain.stop_listening().await }, done)
            }
            Command::Probe(_) => work(async {}, done),
            Command::Ping(c) => {
                let session = self.session(&c.session_id)?;
                let tell = |pong: Result<(), Ending>| pong.map_or_else(fail, done);
                work(async move { session.ping().await }, tell)
            }
            Command::CloseSession(c) => {
                let session = self.session(&c.session_id)?;
                work(async move { session.close().await }, done)
            }
            Command::ExpireSession(c) => {
                let session = self.session(&c.session_id)?;
                work(async move { session.expire().await }, done)
            }
        }
    }

    fn session(&self, id: &[u8]) -> Option<Session> {
        self.domain.session(id)
    }

    fn listen(self: Arc<Self>, c: &Listen) -> Option<Work> {
        let settings = settings(c.max_concurrent_requests, c.max_payload)?;
        let resumable = c.resumable;
        work(async move { self.domain.listen(settings, resumable).await }, |port| match port {
            Ok(port) => outcome(Kind::Listening(Listening { port: port.into() })),
            Err(error) => failed(Default::default(), error.to_string(), ""),
        })
    }

    fn connect(self: Arc<Self>, c: Connect) -> Option<Work> {
        let settings = settings(c.max_concurrent_requests, c.max_payload)?;
        let dialling = Dialling {
            port: c.port.try_into().ok()?,
            parity: if c.odd_parity { Parity::Odd } else { Parity::Even },
            resume: c.resume,
            fresh: c.session_lost() == SessionLostPolicy::Fresh,
            max_attempts: c.max_attempts,
            backoff_initial_ms: c.backoff_initial_ms.into(),
            backoff_max_ms: c.backoff_max_ms.into(),
            host: c.host,
        };
        work(async move { self.domain.connect(settings, dialling).await }, |connected| {
            match connected.map(|session| session.id().unwrap_or_default()) {
                Ok(session_id) => outcome(Kind::Connected(Connected { session_id })),
                Err(ending) => fail(ending),
            }
        })
    }

    async fn await_event(self: Arc<Self>, want: Await) {
        let journal = &self.runtime.journal;
        journal.watch(&self.name, want.count, move |event| matches(&want, event)).await;
    }
}

fn settings(max_concurrent_requests: u32, max_payload: u32) -> Option<Settings> {
    Some(Settings { max_concurrent_requests, max_payload: accepted_maximum(max_payload)? })
}

/// A value that was not asked for matches anything; an event without the part asked for has none.
fn matches(want: &Await, event: &JournalEvent) -> bool {
    let (transition, handler) = match event.kind.clone() {
        Some(Event::Transition(transition)) if !transition.invalid => (transition, None),
        Some(Event::Handler(handler)) => (Default::default(), Some(handler)),
        _ => Default::default(),
    };
    let started = handler.as_ref().is_some_and(|one| one.event() == HandlerEvent::Started);
    (want.session_id.is_empty() || want.session_id == event.session_id)
        && (want.to_state.is_empty() || want.to_state == transition.to_state)
        && (want.machine == 0 || want.machine == transition.machine)
        && (want.key == 0 || want.key == transition.key)
        && (!want.handler_started || started)
        && (!want.handler_ended || handler.is_some() && !started)
        && (want.operation_id == 0
            || handler.is_some_and(|one| one.operation_id == want.operation_id))
}
