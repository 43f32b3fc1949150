//! Each command of the control plane as what the runtime and the testbed do for it.

use std::sync::Arc;

use counterpart_runtime::command_log::{Work, done, failed, just, outcome, refusal};
use counterpart_runtime::{Dialling, Domain, Runtime, Settings};
use counterpart_spec::control::{
    Connected, ExecuteRequest, Listening, Refusal, RefusalReason, execute_request::Command,
    outcome::Kind,
};
use counterpart_testbed::{CallerEnds, Gates, handler};

pub(crate) const CAPABILITIES: &str = "bare resume root_calls channels cancel operations \
    keepalive schemas control_lifecycle initiator acceptor stable";

/// One scope: a domain of the runtime, its calls by handle, and its gates.
pub(crate) struct Scope {
    pub(crate) domain: Arc<Domain>,
    calls: CallerEnds,
    gates: Arc<Gates>,
}

impl Scope {
    pub(crate) fn new(runtime: &Runtime, name: &str) -> Arc<Self> {
        let gates = Arc::<Gates>::default();
        Arc::new(Self {
            domain: Domain::new(runtime, name, handler(gates.clone())),
            calls: CallerEnds::new(runtime.registry.clone()),
            gates,
        })
    }

    /// Checks a command, without any effect; what is returned runs it.
    pub(crate) fn prepare(self: Arc<Self>, request: &ExecuteRequest) -> Result<Work, Refusal> {
        let unsupported = || refusal(RefusalReason::Unsupported, "no such command or capability");
        let command = request.command.clone().ok_or_else(unsupported)?;
        let known = |capability: &str| CAPABILITIES.split(' ').any(|known| known == capability);
        match &command {
            Command::Probe(probe) if known(&probe.capability) => (),
            Command::Probe(_)
            | Command::OpenConnection(_)
            | Command::CloseConnection(_)
            | Command::RegisterService(_) => {
                return Err(unsupported());
            }
            _ => (),
        }
        let text = "it names what is not there or not new, or a value out of range";
        self.work(command).ok_or_else(|| refusal(RefusalReason::Invalid, text))
    }

    /// None if the command is invalid.
    fn work(self: Arc<Self>, command: Command) -> Option<Work> {
        Some(match command {
            Command::Call(c) => self.calls.call(self.domain.session(&c.session_id), &c)?,
            Command::Cancel(c) => self.calls.cancel(&c.handle)?,
            Command::ChannelSend(c) => self.calls.send(&c)?,
            Command::ChannelReceive(c) => self.calls.receive(&c)?,
            Command::ChannelClose(c) => self.calls.close(c.end.as_ref())?,
            Command::ChannelReset(c) => self.calls.reset(c.end.as_ref())?,
            Command::Listen(c) => {
                let settings =
                    Settings::announcing(c.max_concurrent_requests, c.max_payload, c.first_seq)?;
                Box::pin(async move {
                    let there = (c.host.as_str(), c.port as u16);
                    match self.domain.listen(there, settings, c.resumable).await {
                        Ok(port) => outcome(Kind::Listening(Listening { port: port.into() })),
                        Err(error) => failed(Default::default(), error.to_string(), ""),
                    }
                })
            }
            Command::Connect(c) => {
                let settings =
                    Settings::announcing(c.max_concurrent_requests, c.max_payload, c.first_seq)?;
                let dialling = Dialling::asked(c)?;
                Box::pin(async move {
                    match self.domain.connect(settings, dialling).await {
                        Ok(session) => {
                            let session_id = session.id().unwrap_or_default();
                            outcome(Kind::Connected(Connected { session_id }))
                        }
                        Err(ending) => ending.into(),
                    }
                })
            }
            Command::Ping(c) => {
                let session = self.domain.session(&c.session_id)?;
                Box::pin(async move { session.ping().await.map_or_else(Into::into, |()| done()) })
            }
            Command::CloseSession(c) => {
                let session = self.domain.session(&c.session_id)?;
                just(async move { session.close().await })
            }
            Command::ExpireSession(c) => {
                let session = self.domain.session(&c.session_id)?;
                just(async move { session.expire().await })
            }
            Command::AwaitEvent(c) => just(async move { self.domain.event(c).await }),
            Command::StopListening(_) => just(async move { self.domain.stop_listening().await }),
            Command::Release(c) => just(async move { self.gates.open(&c.gate) }),
            Command::Probe(_) => just(async {}),
            Command::OpenConnection(_)
            | Command::CloseConnection(_)
            | Command::RegisterService(_) => return None,
        })
    }
}
