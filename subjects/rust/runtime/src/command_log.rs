//! The log of commands: what was accepted, how far it came, and what came of it.
//!
//! r[control.lifecycle]: a command is journalled as accepted before anything runs, its outcome is
//! recorded before it is told, and a known id runs nothing again: it gets the recorded outcome. A
//! Status of an unknown id tombstones its sends up to an ordinal
//! (r[control.lifecycle.send-ordinal]); a higher one may still be accepted. Only finished commands
//! are evicted, in the order of their ids; the watermark is the highest evicted id.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use counterpart_spec::control::{
    CommandState, Done, ExecuteRequest, ExecuteResponse, Failed, FailureReason, HoldAt, Outcome,
    PendingTimer, Refusal, RefusalReason, SettleResponse, StatusRequest, StatusResponse,
    execute_response, outcome,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::journal::{Journal, Recorder};
use crate::machine::{Command as State, CommandEvent, Machine};
use crate::session::Ending;
use crate::workload::{Pending, Workload};

/// At least this many of the newest commands are kept.
const KEPT: usize = 1024;
const TOMBSTONES: usize = 1 << 16;

/// What a command does.
pub type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The outcome of a command that could not do its work.
pub fn failed(reason: FailureReason, text: impl Into<String>, rule: impl Into<String>) -> Outcome {
    let (text, sorry_or_rule) = (text.into(), rule.into());
    outcome(outcome::Kind::Failed(Failed { reason: reason.into(), text, sorry_or_rule }))
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        failed(ending.reason, ending.text, ending.rule)
    }
}

/// An outcome of this kind.
pub fn outcome(kind: outcome::Kind) -> Outcome {
    Outcome { kind: Some(kind) }
}

/// The outcome of a command that did its work and has nothing to tell of it.
pub fn done() -> Outcome {
    outcome(outcome::Kind::Done(Done {}))
}

/// A command with nothing to tell.
pub fn just(effect: impl Future<Output = ()> + Send + 'static) -> Work {
    Box::pin(async move {
        effect.await;
        done()
    })
}

/// Why a command is not accepted.
pub fn refusal(reason: RefusalReason, text: impl Into<String>) -> Refusal {
    Refusal { reason: reason.into(), text: text.into() }
}

#[derive(Debug)]
struct Command {
    request: ExecuteRequest,
    record: Recorder,
    machine: Mutex<Machine<State>>,
    recorded: watch::Sender<Option<Outcome>>,
    /// What the first send is answered with.
    replied: watch::Sender<Option<Outcome>>,
    running: Mutex<Option<AbortHandle>>,
}

impl Command {
    fn step(&self, event: CommandEvent) {
        self.machine().step(&self.record, event);
    }

    fn machine(&self) -> MutexGuard<'_, Machine<State>> {
        self.machine.lock().expect("no panic while it is held")
    }

    async fn live(self: Arc<Self>, work: Work) {
        self.hold(HoldAt::Accepted).await;
        self.step(CommandEvent::Start);
        self.hold(HoldAt::Started).await;
        let outcome = work.await;
        self.hold(HoldAt::Effect).await;
        self.record(outcome);
        self.hold(HoldAt::Recorded).await;
        self.reply();
    }

    /// r[control.hold]: until its scope is reset or the process dies.
    async fn hold(&self, point: HoldAt) {
        if self.request.hold_at() == point {
            pending::<()>().await;
        }
    }

    /// r[control.lifecycle.record-first]
    fn record(&self, outcome: Outcome) {
        let failed = matches!(outcome.kind, Some(outcome::Kind::Failed(_)));
        self.step(if failed { CommandEvent::Fail } else { CommandEvent::Complete });
        self.recorded.send_replace(Some(outcome));
    }

    fn reply(&self) {
        self.replied.send_replace(self.recorded.borrow().clone());
    }

    /// Its scope is over: whatever it waits for, it waits no longer.
    fn drop_it(&self, outcome: Outcome) {
        if let Some(running) = self.running.lock().expect("no panic while it is held").take() {
            running.abort();
        }
        if self.recorded.borrow().is_none() {
            if self.machine().state() == State::Accepted {
                self.step(CommandEvent::Start);
            }
            self.record(outcome);
        }
        self.reply();
    }
}

#[derive(Debug, Default)]
struct Log {
    commands: BTreeMap<u64, Arc<Command>>,
    tombstones: BTreeMap<u64, u32>,
    watermark: u64,
}

/// Every command of one process that is not evicted.
pub struct CommandLog {
    journal: Journal,
    workload: Workload,
    log: Mutex<Log>,
    /// Requests taken in, refused ones included.
    accepted: AtomicU64,
    /// Replies handed to the transport.
    answered: Arc<AtomicU64>,
}

/// Counts an answer when it is made, or when nobody waits for it any more.
struct Answering(Arc<AtomicU64>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl CommandLog {
    /// An empty log.
    pub fn new(journal: Journal, workload: Workload) -> Self {
        let (accepted, answered) = (AtomicU64::new(0), Arc::default());
        Self { journal, workload, log: Mutex::default(), accepted, answered }
    }

    /// Accepts and runs, or attaches to, one command. `prepare` checks it, without any effect, and
    /// returns what runs it.
    pub async fn execute(
        &self,
        request: ExecuteRequest,
        prepare: impl FnOnce(&ExecuteRequest) -> Result<Work, Refusal>,
    ) -> ExecuteResponse {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let _answering = Answering(self.answered.clone());
        let kind = match self.enter(request, prepare) {
            Err(refusal) => execute_response::Kind::Refusal(refusal),
            Ok(mut outcome) => {
                let told = outcome.wait_for(Option::is_some).await;
                let told = told.ok().and_then(|told| told.clone());
                execute_response::Kind::Outcome(told.unwrap_or_else(dropped))
            }
        };
        ExecuteResponse { kind: Some(kind) }
    }

    fn enter(
        &self,
        mut request: ExecuteRequest,
        prepare: impl FnOnce(&ExecuteRequest) -> Result<Work, Refusal>,
    ) -> Result<watch::Receiver<Option<Outcome>>, Refusal> {
        let mut log = self.lock();
        let id = request.command_id;
        let send = std::mem::take(&mut request.send); // no part of the payload
        if let Some(known) = log.commands.get(&id) {
            if known.request != request {
                return Err(refusal(RefusalReason::Conflict, "known as another command"));
            }
            return Ok(known.recorded.subscribe()); // r[control.lifecycle.attach]
        }
        if id == 0 || send == 0 {
            return Err(refusal(RefusalReason::Invalid, "command_id and send start at 1"));
        }
        if id <= log.watermark {
            return Err(refusal(RefusalReason::Evicted, format!("not above {}", log.watermark)));
        }
        let tombstone = log.tombstones.get(&id).copied();
        if tombstone.is_some_and(|refused| send <= refused) {
            return Err(refusal(RefusalReason::Tombstoned, "this send was proven unknown"));
        }
        let work = prepare(&request)?;
        log.tombstones.remove(&id);
        self.journal.revive(&request.scope);
        let from = if tombstone.is_some() { State::Tombstoned } else { State::NotAccepted };
        let command = Arc::new(Command {
            record: Recorder::new(&self.journal, &request.scope),
            machine: Mutex::new(Machine::resumed(id, from)),
            request,
            recorded: watch::Sender::default(),
            replied: watch::Sender::default(),
            running: Mutex::default(),
        });
        command.step(CommandEvent::Accept); // r[control.lifecycle.accept-first]
        let replied = command.replied.subscribe();
        let running = tokio::spawn(self.workload.track(command.clone().live(work)));
        *command.running.lock().expect("no panic while it is held") = Some(running.abort_handle());
        log.commands.insert(id, command);
        log.evict();
        Ok(replied)
    }

    /// r[control.lifecycle.status-lane]
    pub fn status(&self, request: &StatusRequest) -> StatusResponse {
        let mut log = self.lock();
        let id = request.command_id;
        let (state, outcome) = if let Some(command) = log.commands.get(&id) {
            let state = match command.machine().state() {
                State::NotAccepted | State::Tombstoned => CommandState::NotAccepted,
                State::Accepted => CommandState::Accepted,
                State::Started => CommandState::Started,
                State::Completed => CommandState::Completed,
                State::Failed => CommandState::Failed,
            };
            (state, command.recorded.borrow().clone())
        } else if id <= log.watermark {
            (CommandState::Evicted, None)
        } else {
            self.tombstone(&mut log, id, request.highest_send);
            (CommandState::NotAccepted, None)
        };
        let (epoch, state) = (self.journal.epoch(), state.into());
        StatusResponse { epoch, watermark: log.watermark, state, outcome }
    }

    fn tombstone(&self, log: &mut Log, id: u64, highest_send: u32) {
        let refused = log.tombstones.get(&id).copied().unwrap_or(0);
        if highest_send <= refused {
            return;
        }
        if refused == 0 {
            let record = Recorder::new(&self.journal, "");
            Machine::<State>::new(id).step(&record, CommandEvent::Tombstone);
        }
        log.tombstones.insert(id, highest_send);
        if log.tombstones.len() > TOMBSTONES {
            log.tombstones.pop_first();
        }
    }

    /// What is still going on, told from the back of the queue.  r[control.settle]
    pub async fn settle(&self) -> SettleResponse {
        tokio::task::yield_now().await;
        let now = Instant::now();
        let timer = |(name, due): Pending| PendingTimer {
            name: name.into(),
            due_ms: due.saturating_duration_since(now).as_millis() as u64,
            periodic: false,
        };
        SettleResponse {
            accepted: self.accepted.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            journal_seq: self.journal.seq(),
            runnable: u32::try_from(self.workload.ready()).unwrap_or(u32::MAX),
            timers: self.workload.timers().into_iter().map(timer).collect(),
        }
    }

    /// The scope is over: what still runs there has failed.  r[control.reset]
    pub fn drop_scope(&self, scope: &str) {
        for command in self.lock().commands.values() {
            if command.request.scope == scope {
                command.drop_it(dropped());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no panic while it is held")
    }
}

fn dropped() -> Outcome {
    failed(FailureReason::Dropped, "its scope was reset", "")
}

impl Log {
    /// r[control.lifecycle.retention]
    fn evict(&mut self) {
        while self.commands.len() > KEPT {
            match self.commands.first_entry() {
                Some(oldest) if oldest.get().replied.borrow().is_some() => {
                    self.watermark = *oldest.key();
                    oldest.remove();
                }
                _ => return,
            }
        }
    }
}
