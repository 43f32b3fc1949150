//! The journal: what this runtime did, in one total order, before anybody else could see it.
//!
//! r[control.journal.write-ahead]: an event is appended before the frame, callback or reply that
//! reveals it. Events belong to a scope; a scope keeps at most [`EVENTS_PER_SCOPE`] of them, drops
//! the oldest beyond that and says how many (r[control.journal.gap]). It is the one thing that all
//! tasks share, so it is the one thing behind a lock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use counterpart_spec::control::{
    self, Await, Discard, Frame, Handler, HandlerEvent, JournalEvent, JournalRequest,
    JournalResponse, PlannedDelay, Transition, journal_event::Kind,
};
use tokio::sync::oneshot;

const EVENTS_PER_SCOPE: usize = 1 << 18;
/// Dropped scopes whose journal can still be read.
const RETIRED_SCOPES: usize = 64;

type Matches = Box<dyn Fn(&JournalEvent) -> bool + Send>;

struct Watch {
    matches: Matches,
    remaining: u32,
    reached: oneshot::Sender<()>,
}

#[derive(Default)]
struct Scope {
    events: VecDeque<JournalEvent>,
    watches: Vec<Watch>,
    lost: u64,
    lost_seq: u64,
}

#[derive(Default)]
struct Events {
    seq: u64,
    scopes: HashMap<Arc<str>, Scope>,
    retired: VecDeque<Arc<str>>,
}

/// All scopes of one process. Clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    epoch: Bytes,
    events: Arc<Mutex<Events>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { epoch: random_bytes(16), events: Arc::default() }
    }
}

impl Journal {
    /// 16 random bytes per process start.  r[control.lifecycle.epoch]
    pub fn epoch(&self) -> Bytes {
        self.epoch.clone()
    }

    /// The newest event's number, 0 before the first.
    pub fn seq(&self) -> u64 {
        self.lock().seq
    }

    /// The events of `scope` after `after_seq`, oldest first, and how many before them were lost.
    pub fn read(&self, scope: &str, after_seq: u64) -> (Vec<JournalEvent>, u64) {
        let inner = self.lock();
        let Some(kept) = inner.scopes.get(scope) else { return (Vec::new(), 0) };
        let events = kept.events.iter().filter(|event| event.seq > after_seq).cloned().collect();
        (events, if after_seq < kept.lost_seq { kept.lost } else { 0 })
    }

    /// The same, as the control plane asks for it.
    pub fn answer(&self, request: &JournalRequest) -> JournalResponse {
        let (events, gap) = self.read(&request.scope, request.after_seq);
        JournalResponse { epoch: self.epoch(), events, gap }
    }

    async fn watch(
        &self,
        scope: &str,
        count: u32,
        matches: impl Fn(&JournalEvent) -> bool + Send + 'static,
    ) {
        let (reached, wait) = oneshot::channel();
        {
            let mut inner = self.lock();
            let kept = inner.scopes.entry(scope.into()).or_default();
            let past = kept.events.iter().filter(|event| matches(event)).count() as u64;
            let remaining = u64::from(count.max(1)).saturating_sub(past) as u32;
            if remaining == 0 {
                return;
            }
            kept.watches.retain(|watch| !watch.reached.is_closed());
            kept.watches.push(Watch { matches: Box::new(matches), remaining, reached });
        }
        let _ = wait.await; // an error: the scope was forgotten, and so was whoever asks
    }

    /// The scope is over: its events are kept only until its name is used again, or for a while.
    pub fn retire(&self, scope: &str) {
        let mut inner = self.lock();
        inner.retired.push_back(scope.into());
        if inner.retired.len() > RETIRED_SCOPES
            && let Some(oldest) = inner.retired.pop_front()
        {
            inner.scopes.remove(&oldest);
        }
    }

    /// The scope's name is used (again): it starts with an empty journal if it was over.
    pub fn revive(&self, scope: &str) {
        let mut inner = self.lock();
        let before = inner.retired.len();
        inner.retired.retain(|name| &**name != scope);
        if inner.retired.len() < before {
            inner.scopes.remove(scope);
        }
    }

    fn append(&self, scope: &Arc<str>, session_id: Bytes, generation: u64, kind: Kind) {
        let mut inner = self.lock();
        inner.seq += 1;
        let event = JournalEvent { seq: inner.seq, session_id, generation, kind: Some(kind) };
        let kept = inner.scopes.entry(scope.clone()).or_default();
        if kept.events.len() >= EVENTS_PER_SCOPE {
            kept.lost += 1;
            kept.lost_seq = kept.events.pop_front().map_or(0, |lost| lost.seq);
        }
        let mut index = 0;
        while let Some(watch) = kept.watches.get_mut(index) {
            watch.remaining -= u32::from((watch.matches)(&event));
            if watch.remaining == 0 {
                let _ = kept.watches.swap_remove(index).reached.send(());
            } else {
                index += 1;
            }
        }
        kept.events.push_back(event);
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().expect("no panic while it is held")
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Stamps events with their scope, session and generation. A clone keeps the stamp it has.
#[derive(Clone, Debug)]
pub struct Recorder {
    journal: Journal,
    scope: Arc<str>,
    /// 16 bytes, empty before the session has them.
    pub session_id: Bytes,
    /// The attachment's number, 0 before the first.
    pub generation: u64,
}

impl Recorder {
    /// A recorder of `scope`, of no session yet.
    pub fn new(journal: &Journal, scope: &str) -> Self {
        let (journal, scope) = (journal.clone(), scope.into());
        Self { journal, scope, session_id: Bytes::new(), generation: 0 }
    }

    /// Returns once as many events of its scope as wanted, past ones included, have what is wanted.
    pub async fn wait_for(&self, want: Await) {
        self.journal.watch(&self.scope, want.count, move |event| matches(&want, event)).await;
    }

    fn append(&self, kind: Kind) {
        self.journal.append(&self.scope, self.session_id.clone(), self.generation, kind);
    }

    /// One step of a machine, or one that its table refused.
    pub fn transition(
        &self,
        machine: control::Machine,
        key: u64,
        from: &str,
        event: &str,
        to: &str,
        invalid: bool,
    ) {
        self.append(Kind::Transition(Transition {
            connection_id: 0,
            machine: machine.into(),
            key,
            from_state: from.into(),
            event: event.into(),
            to_state: to.into(),
            invalid,
        }));
    }

    /// A message committed to, or taken from, the link.
    pub fn frame(&self, sent: bool, connection_id: u64, kind: &str, id: u64) {
        self.append(Kind::Frame(Frame { sent, connection_id, kind: kind.into(), id }));
    }

    /// Something became of a run of a handler.
    pub fn handler(&self, event: HandlerEvent, operation_id: u64, request_id: u64, execution: u32) {
        let event = event.into();
        self.append(Kind::Handler(Handler { event, operation_id, request_id, execution }));
    }

    /// Something was dropped by `rule`.  r[strict.delivery.explicit]
    pub fn discard(&self, what: &str, rule: &str, key: u64, count: usize) {
        if count > 0 {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.append(Kind::Discard(Discard {
                what: what.into(),
                rule: rule.into(),
                key,
                count,
            }));
        }
    }

    /// A wait this runtime decided on.
    pub fn planned_delay(&self, what: &str, delay_ms: u64) {
        self.append(Kind::PlannedDelay(PlannedDelay { what: what.into(), delay_ms }));
    }
}

/// A value that was not asked for matches anything; an event without the part asked for has none.
fn matches(want: &Await, event: &JournalEvent) -> bool {
    let (transition, handler) = match &event.kind {
        Some(Kind::Transition(transition)) if !transition.invalid => (Some(transition), None),
        Some(Kind::Handler(handler)) => (None, Some(handler)),
        _ => (None, None),
    };
    let started = handler.is_some_and(|one| one.event() == HandlerEvent::Started);
    (want.session_id.is_empty() || want.session_id == event.session_id)
        && (want.to_state.is_empty() || transition.is_some_and(|one| one.to_state == want.to_state))
        && (want.machine == 0 || transition.is_some_and(|one| one.machine == want.machine))
        && (want.key == 0 || transition.is_some_and(|one| one.key == want.key))
        && (want.operation_id == 0
            || handler.is_some_and(|one| one.operation_id == want.operation_id))
        && (!want.handler_started || started)
        && (!want.handler_ended || handler.is_some() && !started)
}

/// Random bytes of the operating system's source.
pub fn random_bytes(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_watch_counts_past_events_and_later_ones() {
        let journal = Journal::default();
        let record = Recorder::new(&journal, "a");
        record.discard("item", "r", 1, 1);
        let mut watch = Box::pin(journal.watch("a", 2, |event| event.seq > 0));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(watch.as_mut().poll(&mut context), Poll::Pending);
        Recorder::new(&journal, "b").discard("item", "r", 1, 1);
        assert_eq!(watch.as_mut().poll(&mut context), Poll::Pending);
        record.discard("item", "r", 1, 1);
        assert_eq!(watch.as_mut().poll(&mut context), Poll::Ready(()));
    }

    #[test]
    fn a_retired_scope_is_empty_when_its_name_is_used_again() {
        let journal = Journal::default();
        Recorder::new(&journal, "a").discard("item", "r", 1, 1);
        journal.retire("a");
        assert_eq!(journal.read("a", 0).0.len(), 1);
        journal.revive("a");
        assert_eq!(journal.read("a", 0).0.len(), 0);
    }
}
