//! What is going on in a runtime: tasks that could run, timers that are pending, and how much is
//! open. All of it is counted by ownership: a guard adds one while it lives.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};

/// A count of something that is open.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU32>);

/// One more of it, while this lives.
#[derive(Debug)]
pub struct Held(Arc<AtomicU32>);

impl Gauge {
    /// Counts one more for as long as the guard lives.
    pub fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.0.clone())
    }

    /// How many there are now.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pending timer: its name and when it is due.
pub type Pending = (&'static str, Instant);

#[derive(Debug, Default)]
struct Shared {
    ready: AtomicUsize,
    next_timer: AtomicU64,
    timers: Mutex<BTreeMap<u64, Pending>>,
}

/// Counts the tasks of one process that could run, and its timers. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Workload(Arc<Shared>);

impl Workload {
    /// How many tasks have been woken and not yet run.
    pub fn ready(&self) -> usize {
        self.0.ready.load(Ordering::Acquire)
    }

    /// The timers somebody waits for.
    pub fn timers(&self) -> Vec<Pending> {
        self.0.timers.lock().expect("no panic while it is held").values().copied().collect()
    }

    /// `task`, counted whenever it could run.
    pub fn track<F: Future>(&self, task: F) -> Tracked<F> {
        self.0.ready.fetch_add(1, Ordering::AcqRel);
        let waker = Arc::new(Tracker {
            shared: self.0.clone(),
            ready: AtomicBool::new(true),
            parent: Mutex::new(None),
        });
        Tracked { task: Box::pin(task), tracker: waker }
    }

    /// Waits, visibly. Nothing is waited for, and no timer made, if `delay` is zero.
    /// r[control.settle]
    pub async fn sleep(&self, name: &'static str, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        let id = self.0.next_timer.fetch_add(1, Ordering::Relaxed);
        let due = Instant::now() + delay;
        self.0.timers.lock().expect("no panic while it is held").insert(id, (name, due));
        let _shown = Shown { shared: &self.0, id };
        tokio::time::sleep_until(due.into()).await;
    }
}

struct Shown<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.shared.timers.lock().expect("no panic while it is held").remove(&self.id);
    }
}

struct Tracker {
    shared: Arc<Shared>,
    ready: AtomicBool,
    /// Who polls the task; none before its first poll, and once it is gone.
    parent: Mutex<Option<Waker>>,
}

impl Tracker {
    fn set_ready(&self, ready: bool) {
        if self.ready.swap(ready, Ordering::AcqRel) != ready {
            if ready {
                self.shared.ready.fetch_add(1, Ordering::AcqRel);
            } else {
                self.shared.ready.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

impl Wake for Tracker {
    fn wake(self: Arc<Self>) {
        let parent = {
            let parent = self.parent.lock().expect("no panic while it is held");
            if parent.is_some() {
                self.set_ready(true); // what is gone cannot run, whoever still wakes it
            }
            parent.clone()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

/// A task that is counted from when it is woken until it runs.
pub struct Tracked<F> {
    task: Pin<Box<F>>,
    tracker: Arc<Tracker>,
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        *self.tracker.parent.lock().expect("no panic while it is held") =
            Some(context.waker().clone());
        self.tracker.set_ready(false);
        let waker = Waker::from(self.tracker.clone());
        self.task.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl<F> Drop for Tracked<F> {
    fn drop(&mut self) {
        let mut parent = self.tracker.parent.lock().expect("no panic while it is held");
        *parent = None;
        self.tracker.set_ready(false);
    }
}

/// Tasks that end together: dropping the group, or [`end`](Self::end), ends all of them.
#[derive(Debug)]
pub struct TaskGroup {
    workload: Workload,
    tasks: Mutex<JoinSet<()>>,
}

impl TaskGroup {
    /// A group whose tasks are counted in `workload`.
    pub fn new(workload: &Workload) -> Self {
        Self { workload: workload.clone(), tasks: Mutex::default() }
    }

    /// Starts one more task.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = self.tasks.lock().expect("no panic while it is held");
        while tasks.try_join_next().is_some() {} // those that are over
        tasks.spawn(self.workload.track(task))
    }

    /// Ends all tasks, and returns when they are gone.
    pub async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().expect("no panic while it is held"));
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_counts_from_its_wake_until_it_runs() {
        let workload = Workload::default();
        let group = TaskGroup::new(&workload);
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        group.spawn(async { woken.await.expect("woken") });
        assert_eq!(workload.ready(), 1);
        tokio::task::yield_now().await;
        assert_eq!(workload.ready(), 0);
        wake.send(()).expect("it waits");
        assert_eq!(workload.ready(), 1);
        tokio::task::yield_now().await;
        assert_eq!(workload.ready(), 0);
        group.spawn(std::future::pending());
        group.end().await;
        assert_eq!(workload.ready(), 0);
    }

    /// Wakes the task that polls it when it is dropped.
    struct Alarm(Option<Waker>);

    impl Future for Alarm {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            self.0 = Some(context.waker().clone());
            Poll::Pending
        }
    }

    impl Drop for Alarm {
        fn drop(&mut self) {
            self.0.take().expect("it was polled").wake();
        }
    }

    #[tokio::test]
    async fn a_task_that_is_gone_does_not_count_when_it_is_woken() {
        let workload = Workload::default();
        let group = TaskGroup::new(&workload);
        group.spawn(Alarm(None));
        tokio::task::yield_now().await;
        assert_eq!(workload.ready(), 0);
        group.end().await;
        assert_eq!(workload.ready(), 0);
    }

    #[tokio::test]
    async fn a_timer_is_shown_while_somebody_waits_for_it() {
        let workload = Workload::default();
        let mut wait = Box::pin(workload.sleep("long", Duration::from_secs(3600)));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(workload.timers().len(), 1);
        drop(wait);
        assert_eq!(workload.timers().len(), 0);
    }

    #[test]
    fn a_gauge_counts_its_guards() {
        let gauge = Gauge::default();
        let one = gauge.hold();
        let two = gauge.hold();
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(two);
        assert_eq!(gauge.get(), 0);
    }
}
