//! What one owner has in a runtime: listeners, sessions, links; counted and dropped together.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use counterpart_spec::control::{Await, ResetResponse};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::acceptor::accept;
use crate::callee::Serving;
use crate::caller::Call;
use crate::initiator::Dialling;
use crate::journal::{Journal, Recorder};
use crate::link::Link;
use crate::resume::Keys;
use crate::service::{Handler, Registry};
use crate::session::{self, Ending, Established, Peer, Role, Session, Start};
use crate::stable_conduit::Newcomers;
use crate::wire::{HANDSHAKE_MAX_PAYLOAD, accepted_maximum};
use crate::workload::{Gauge, TaskGroup, Workload};

/// Accepted sessions whose LetsGo was not seen, and as many stable conduits whose Hello was not;
/// beyond that the oldest goes.
const AWAITED_SESSIONS: usize = 1024;
/// When the system has no more file descriptors, accepting rests.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What this side announces.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Attempts the counterpart may have in flight to us.
    pub max_concurrent_requests: u32,
    /// Bytes of a payload.
    pub max_payload: u32,
    /// Of the frames sent over a stable conduit.
    pub first_seq: u32,
}

impl Settings {
    /// As a command says it: a maximum of 0 is the default; none if it is out of range.
    pub fn announcing(
        max_concurrent_requests: u32,
        max_payload: u32,
        first_seq: u32,
    ) -> Option<Self> {
        let max_payload = accepted_maximum(max_payload)?;
        Some(Self { max_concurrent_requests, max_payload, first_seq })
    }
}

/// What all domains of a process share.
#[derive(Clone)]
pub struct Runtime {
    /// What was done.
    pub journal: Journal,
    /// What is going on.
    pub workload: Workload,
    /// Types and methods.
    pub registry: Arc<Registry>,
    /// One line per run of a handler, if anybody wants them.  r[control.journal.executions]
    pub executions: Option<Arc<File>>,
}

impl Runtime {
    /// With these types and methods. Runs of handlers are appended to the file `executions`.
    pub fn new(registry: Registry, executions: Option<OsString>) -> std::io::Result<Self> {
        let append = |path| OpenOptions::new().append(true).create(true).open(path).map(Arc::new);
        Ok(Self {
            journal: Journal::default(),
            workload: Workload::default(),
            registry: Arc::new(registry),
            executions: executions.map(append).transpose()?,
        })
    }
}

/// How much is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) listeners: Gauge,
    pub(crate) links: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) calls: Gauge,
    pub(crate) handlers: Gauge,
    pub(crate) channels: Gauge,
}

/// A session that a valid resume key leads to.
#[derive(Clone)]
pub(crate) struct Resumable {
    pub(crate) session: Session,
    pub(crate) peer: Peer,
    pub(crate) settings: Settings,
    pub(crate) id: Bytes,
}

/// One owner. Its tasks hold it, so it is gone only after [`end`](Self::end).
pub struct Domain {
    pub(crate) registry: Arc<Registry>,
    pub(crate) record: Recorder,
    pub(crate) workload: Workload,
    pub(crate) serving: Serving,
    pub(crate) gauges: Gauges,
    pub(crate) tasks: TaskGroup,
    listeners: TaskGroup,
    numbers: AtomicU64,
    keys: Mutex<Keys<Resumable>>,
    conduits: Mutex<Keys<Newcomers>>,
    sessions: Mutex<Vec<Session>>,
    awaited: Mutex<VecDeque<Session>>,
    without_session: Mutex<VecDeque<oneshot::Sender<()>>>,
}

impl Domain {
    /// A domain whose events go to `scope`, and whose calls `handler` serves.
    pub fn new(runtime: &Runtime, scope: &str, handler: Handler) -> Arc<Self> {
        let (registry, workload) = (runtime.registry.clone(), runtime.workload.clone());
        let gauges = Gauges::default();
        let serving = Serving {
            registry: registry.clone(),
            handler,
            executions: runtime.executions.clone(),
            gauge: gauges.handlers.clone(),
        };
        Arc::new(Self {
            registry,
            record: Recorder::new(&runtime.journal, scope),
            serving,
            gauges,
            tasks: TaskGroup::new(&workload),
            listeners: TaskGroup::new(&workload),
            workload,
            numbers: AtomicU64::new(1),
            keys: Mutex::default(),
            conduits: Mutex::default(),
            sessions: Mutex::default(),
            awaited: Mutex::default(),
            without_session: Mutex::default(),
        })
    }

    /// Accepts sessions there; returns the port. Those of a `resumable` listener outlive their
    /// links.
    pub async fn listen(
        self: &Arc<Self>,
        there: (&str, u16),
        settings: Settings,
        resumable: bool,
    ) -> std::io::Result<u16> {
        let listener = TcpListener::bind(there).await?;
        let port = listener.local_addr()?.port();
        let (domain, held) = (self.clone(), self.gauges.listeners.hold());
        self.listeners.spawn(async move {
            let _held = held;
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    domain.workload.sleep("accept", ACCEPT_PAUSE).await;
                    continue;
                };
                let link = Link::new(stream, HANDSHAKE_MAX_PAYLOAD, domain.gauges.links.hold());
                domain.tasks.spawn(accept(domain.clone(), link, settings, resumable));
            }
        });
        Ok(port)
    }

    /// Accepts no more; sessions live on.
    pub async fn stop_listening(&self) {
        self.listeners.end().await;
    }

    /// Establishes a session as initiator.
    pub async fn connect(
        self: &Arc<Self>,
        settings: Settings,
        dialling: Dialling,
    ) -> Result<Session, Ending> {
        let (established, wait) = oneshot::channel();
        let session = self.open(Arc::new(dialling), settings, Vec::new(), Some(established));
        wait.await.unwrap_or_else(|_| Err(session.ending()))
    }

    /// A session that was established once, also after its end.
    pub fn session(&self, id: &[u8]) -> Option<Session> {
        let sessions = self.sessions.lock().expect("no panic while it is held");
        sessions.iter().find(|session| session.id().is_some_and(|known| known == id)).cloned()
    }

    /// Returns once as many events of its scope as wanted, past ones included, have what is wanted.
    pub async fn event(&self, want: Await) {
        self.record.wait_for(want).await;
    }

    /// What is open now.
    pub fn counts(&self) -> ResetResponse {
        ResetResponse {
            listeners: self.gauges.listeners.get(),
            links: self.gauges.links.get(),
            sessions: self.gauges.sessions.get(),
            calls: self.gauges.calls.get(),
            handlers: self.gauges.handlers.get(),
            channels: self.gauges.channels.get(),
        }
    }

    /// Drops everything without a word; returns when it is gone.
    pub async fn end(&self) {
        self.listeners.end().await;
        self.tasks.end().await;
        self.sessions.lock().expect("no panic while it is held").clear();
        self.awaited.lock().expect("no panic while it is held").clear();
        *self.keys() = Keys::default();
        *self.conduits() = Keys::default();
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys<Resumable>> {
        self.keys.lock().expect("no panic while it is held")
    }

    /// Of the stable conduits accepted here, each with the way to bring it a link.
    pub(crate) fn conduits(&self) -> MutexGuard<'_, Keys<Newcomers>> {
        self.conduits.lock().expect("no panic while it is held")
    }

    /// One that nothing else in it is called by.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A session that this side opens, with calls to be made in it.
    pub(crate) fn open(
        self: &Arc<Self>,
        dialling: Arc<Dialling>,
        settings: Settings,
        calls: Vec<Arc<Call>>,
        established: Option<Established>,
    ) -> Session {
        let role = Role::Initiator { dialling, resume_key: Bytes::new() };
        self.start(Start { role, settings, id: Bytes::new(), calls, established })
    }

    pub(crate) fn start(self: &Arc<Self>, start: Start) -> Session {
        let number = self.number();
        let accepted = matches!(start.role, Role::Acceptor { .. });
        let (session, driver) = session::start(self, number, start);
        self.sessions.lock().expect("no panic while it is held").push(session.clone());
        self.tasks.spawn(driver);
        if accepted {
            self.await_lets_go(session.clone());
        }
        session
    }

    /// Returns once too many others wait for a Hello. (Over a stable conduit the loss of its link
    /// does not end that.)
    pub(crate) async fn outnumbered(&self) {
        let (forget, forgotten) = oneshot::channel();
        {
            let mut waiting = self.without_session.lock().expect("no panic while it is held");
            waiting.retain(|other| !other.is_closed());
            waiting.push_back(forget);
            if waiting.len() > AWAITED_SESSIONS {
                waiting.pop_front();
            }
        }
        let _ = forgotten.await; // it comes as an error: the other end was dropped
    }

    fn await_lets_go(&self, session: Session) {
        let mut awaited = self.awaited.lock().expect("no panic while it is held");
        awaited.retain(|session| !session.is_established());
        awaited.push_back(session);
        if awaited.len() > AWAITED_SESSIONS
            && let Some(oldest) = awaited.pop_front()
        {
            oldest.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use counterpart_spec::DESCRIPTORS;

    use super::*;

    #[test]
    fn the_oldest_of_too_many_without_a_session_goes() {
        let registry = Registry::of(&DESCRIPTORS, "counterpart.testbed.v1.Testbed");
        let runtime = Runtime::new(registry, None).expect("no file is opened");
        let handler: Handler = Arc::new(|_| unreachable!("nobody calls"));
        let domain = Domain::new(&runtime, "s", handler);
        let mut context = Context::from_waker(Waker::noop());
        let mut wait = || {
            let mut waiting = Box::pin(domain.outnumbered());
            assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
            waiting
        };
        drop(wait()); // counts no more
        let mut waiting: Vec<_> = (0..=AWAITED_SESSIONS).map(|_| wait()).collect();
        assert_eq!(waiting[1].as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(waiting[0].as_mut().poll(&mut context), Poll::Ready(()));
    }
}
