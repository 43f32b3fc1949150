//! The life of a command.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use counterpart_runtime::command_log::{CommandLog, Work, done, just};
use counterpart_runtime::journal::Journal;
use counterpart_runtime::workload::Workload;
use counterpart_spec::control::{
    CommandState, ExecuteRequest, ExecuteResponse, HoldAt, Outcome, RefusalReason, Release,
    StatusRequest, execute_request::Command, execute_response::Kind, outcome,
};

fn log() -> Arc<CommandLog> {
    Arc::new(CommandLog::new(Journal::default(), Workload::default()))
}

fn request(command_id: u64, send: u32, gate: &str) -> ExecuteRequest {
    let command = Some(Command::Release(Release { gate: gate.into() }));
    ExecuteRequest { command_id, send, scope: "s".into(), command, ..Default::default() }
}

fn status(log: &CommandLog, command_id: u64, highest_send: u32) -> CommandState {
    log.status(&StatusRequest { command_id, highest_send }).state()
}

fn refused(response: &ExecuteResponse) -> Option<RefusalReason> {
    match &response.kind {
        Some(Kind::Refusal(refusal)) => Some(refusal.reason()),
        _ => None,
    }
}

fn told(response: ExecuteResponse) -> Outcome {
    match response.kind {
        Some(Kind::Outcome(outcome)) => outcome,
        other => panic!("not an outcome: {other:?}"),
    }
}

fn counting(runs: &Arc<AtomicU32>) -> Work {
    let runs = runs.clone();
    just(async move {
        runs.fetch_add(1, Ordering::Relaxed);
    })
}

#[tokio::test]
async fn a_known_command_runs_nothing_again() {
    let (log, runs) = (log(), Arc::default());
    let first = log.execute(request(1, 1, "g"), |_| Ok(counting(&runs))).await;
    let again = log.execute(request(1, 2, "g"), |_| Ok(counting(&runs))).await;
    assert_eq!((told(first), told(again)), (done(), done()));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let other = log.execute(request(1, 2, "h"), |_| Ok(counting(&runs))).await;
    assert_eq!(refused(&other), Some(RefusalReason::Conflict));
    assert_eq!(status(&log, 1, 0), CommandState::Completed);
}

#[tokio::test]
async fn a_send_that_was_proven_unknown_is_refused() {
    let (log, runs) = (log(), Arc::default());
    assert_eq!(status(&log, 5, 2), CommandState::NotAccepted);
    for send in [1, 2] {
        let late = log.execute(request(5, send, "g"), |_| Ok(counting(&runs))).await;
        assert_eq!(refused(&late), Some(RefusalReason::Tombstoned));
    }
    let higher = log.execute(request(5, 3, "g"), |_| Ok(counting(&runs))).await;
    assert_eq!(told(higher), done());
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_held_command_stays_where_it_is_until_its_scope_is_dropped() {
    let points = [
        (HoldAt::Accepted, CommandState::Accepted, 0),
        (HoldAt::Started, CommandState::Started, 0),
        (HoldAt::Effect, CommandState::Started, 1),
        (HoldAt::Recorded, CommandState::Completed, 1),
    ];
    for (id, (point, state, effects)) in (1..).zip(points) {
        let (log, runs) = (log(), Arc::<AtomicU32>::default());
        let held = ExecuteRequest { hold_at: point.into(), ..request(id, 1, "g") };
        let (asked, work) = (log.clone(), counting(&runs));
        let reply = tokio::spawn(async move { asked.execute(held, |_| Ok(work)).await });
        while status(&log, id, 0) != state || runs.load(Ordering::Relaxed) != effects {
            tokio::task::yield_now().await;
        }
        assert!(!reply.is_finished(), "{point:?}");
        log.drop_scope("s");
        let outcome = told(reply.await.expect("answered"));
        let failed = matches!(outcome.kind, Some(outcome::Kind::Failed(_)));
        assert_eq!(failed, point != HoldAt::Recorded, "{point:?}");
    }
}

#[tokio::test]
async fn only_finished_commands_are_evicted() {
    let log = log();
    for id in 1..=1100 {
        log.execute(request(id, 1, "g"), |_| Ok(just(async {}))).await;
    }
    let watermark = log.status(&StatusRequest { command_id: 1, highest_send: 0 }).watermark;
    assert!((1..=1100 - 256).contains(&watermark), "{watermark}");
    assert_eq!(status(&log, watermark, 1), CommandState::Evicted);
    assert_eq!(status(&log, watermark + 1, 1), CommandState::Completed);
    let old = log.execute(request(watermark, 9, "g"), |_| Ok(just(async {}))).await;
    assert_eq!(refused(&old), Some(RefusalReason::Evicted));
}

#[tokio::test]
async fn settle_counts_what_is_accepted_and_not_answered() {
    let log = log();
    let asked = log.clone();
    let work = just(pending());
    let open = tokio::spawn(async move { asked.execute(request(1, 1, "g"), |_| Ok(work)).await });
    while status(&log, 1, 0) != CommandState::Started {
        tokio::task::yield_now().await;
    }
    let settled = log.settle().await;
    assert_eq!((settled.accepted, settled.answered, settled.runnable), (1, 0, 0));
    open.abort();
    let _ = open.await;
    assert_eq!(log.settle().await.answered, 1);
}
