//! Two domains of one process, with a proxy between them that can be cut.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use counterpart_runtime::journal::Journal;
use counterpart_runtime::service::{Handler, Invocation, Registry, Returned};
use counterpart_runtime::{
    Call, Dialling, Domain, Handle, Parity, Receiver, Runtime, SendFailed, Sender, Session,
    Settings,
};
use counterpart_spec::DESCRIPTORS;
use counterpart_spec::control::{Await, CallStatus, EndStatus, FailureReason};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const ECHO: &str = "counterpart.testbed.v1.Testbed/Echo";
const ECHO_IDEM: &str = "counterpart.testbed.v1.Testbed/EchoIdem";
const GENERATE: &str = "counterpart.testbed.v1.Testbed/Generate";
const GENERATE_IDEM: &str = "counterpart.testbed.v1.Testbed/GenerateIdem";
const SUM: &str = "counterpart.testbed.v1.Testbed/Sum";
const OUTPUT: u32 = 3;
const INPUT: u32 = 3;
/// Where frames of stable conduits begin to be numbered here.
const NEARLY_WRAPPED: u32 = u32::MAX - 4;

/// What handlers wait at, and how often they ran.
#[derive(Default)]
struct Served {
    gate: Option<Arc<Semaphore>>,
    runs: AtomicU32,
}

fn sender(handle: Option<Handle>) -> Sender {
    match handle {
        Some(Handle::Sender(end)) => end,
        _ => panic!("not a sending end"),
    }
}

fn receiver(handle: Option<Handle>) -> Receiver {
    match handle {
        Some(Handle::Receiver(end)) => end,
        _ => panic!("not a receiving end"),
    }
}

/// Echo waits at the gate; Generate sends three items, waits, sends one more; Sum counts.
async fn serve(served: Arc<Served>, mut invocation: Invocation) -> Returned {
    served.runs.fetch_add(1, Ordering::Relaxed);
    let wait = || async {
        if let Some(gate) = &served.gate {
            let _ = gate.acquire().await.expect("never closed");
        }
    };
    match invocation.method.name.rsplit('/').next() {
        Some("Generate" | "GenerateIdem") => {
            let output = sender(invocation.channels.remove(&OUTPUT));
            for item in 1..=3_u8 {
                let _ = output.send(vec![item]).await;
            }
            wait().await;
            let _ = output.send(vec![4]).await;
            output.close().await;
        }
        Some("Sum") => {
            let input = receiver(invocation.channels.remove(&INPUT));
            while input.take().await.is_ok() {}
        }
        _ => wait().await,
    }
    Returned::Ok(Bytes::new(), Vec::new())
}

/// Passes bytes between its dialler and a listener; every link can be cut at once.
struct Proxy {
    port: u16,
    links: Arc<Mutex<Vec<JoinHandle<()>>>>,
    _accepts: JoinHandle<()>,
}

impl Proxy {
    async fn before(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let links = Arc::<Mutex<Vec<JoinHandle<()>>>>::default();
        let made = links.clone();
        let accepts = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.expect("a link");
                let mut far = TcpStream::connect(("127.0.0.1", target)).await.expect("it listens");
                made.lock().unwrap().push(tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }));
            }
        });
        Self { port, links, _accepts: accepts }
    }

    fn cut(&self) {
        self.links.lock().unwrap().drain(..).for_each(|link| link.abort());
    }
}

struct World {
    callee: Arc<Domain>,
    caller: Arc<Domain>,
    session: Session,
    journal: Journal,
    proxy: Proxy,
    gate: Arc<Semaphore>,
    served: Arc<Served>,
}

impl World {
    async fn new(resume: bool) -> Self {
        Self::with(resume, false, false).await
    }

    async fn stable() -> Self {
        Self::with(true, false, true).await
    }

    async fn with(resume: bool, fresh: bool, stable: bool) -> Self {
        let registry = Registry::of(&DESCRIPTORS, "counterpart.testbed.v1.Testbed");
        let runtime = Runtime::new(registry, None).expect("no file is opened");
        let gate = Arc::new(Semaphore::new(0));
        let served = Arc::new(Served { gate: Some(gate.clone()), runs: AtomicU32::new(0) });
        let serving = served.clone();
        let handler: Handler = Arc::new(move |call| Box::pin(serve(serving.clone(), call)));
        let callee = Domain::new(&runtime, "callee", handler.clone());
        let caller = Domain::new(&runtime, "caller", handler);
        let settings = Settings::announcing(4, 0, NEARLY_WRAPPED).expect("in range");
        let port = callee.listen(("127.0.0.1", 0), settings, resume).await.expect("a port");
        let proxy = Proxy::before(port).await;
        let dialling = Dialling {
            host: "127.0.0.1".into(),
            port: proxy.port,
            parity: Parity::Odd,
            resume,
            fresh,
            max_attempts: if stable { 100 } else { 1 }, // cuts may come while it dials
            backoff_initial_ms: 0,
            backoff_max_ms: 0,
            stable,
        };
        let session = caller.connect(settings, dialling).await.expect("a session");
        Self { callee, caller, session, journal: runtime.journal, proxy, gate, served }
    }

    fn call(&self, method: &str) -> Arc<Call> {
        let call = Call::new(method.into(), Bytes::new(), Vec::new());
        call.start(&self.session);
        call
    }

    /// Cuts every link, and waits for the next generation on both sides.
    async fn resume(&self, times: u32) {
        self.proxy.cut();
        for domain in [&self.caller, &self.callee] {
            let want = Await { to_state: "Connected".into(), count: times + 1, ..Await::default() };
            domain.event(want).await;
        }
    }

    /// Cuts every link, and waits until nothing of it is left to be seen but the same session.
    async fn carry_on(&self) {
        self.proxy.cut();
        self.session.ping().await.expect("its conduit goes on");
    }

    /// How often a session was bound, on either side.
    fn attachments(&self) -> [u64; 2] {
        let newest = |domain: &str| {
            let (events, _) = self.journal.read(domain, 0);
            events.iter().map(|event| event.generation).max().unwrap_or_default()
        };
        ["caller", "callee"].map(newest)
    }

    async fn end(self) {
        self.caller.end().await;
        self.callee.end().await;
        for domain in [&self.caller, &self.callee] {
            let left = domain.counts();
            let open = [left.links, left.sessions, left.calls, left.handlers, left.channels];
            assert_eq!(open, [0; 5]);
        }
    }
}

#[tokio::test]
async fn a_call_survives_its_link_and_runs_once() {
    let world = World::new(true).await;
    let call = world.call(ECHO);
    world.callee.event(Await { handler_started: true, ..Await::default() }).await;
    world.resume(1).await;
    world.gate.add_permits(1);
    assert_eq!(call.resolution().await.status, CallStatus::Ok);
    assert_eq!(call.progress().attempts, 2);
    assert_eq!(world.served.runs.load(Ordering::Relaxed), 1);
    world.end().await;
}

#[tokio::test]
async fn a_call_with_channels_that_is_not_idem_ends_indeterminate() {
    let world = World::new(true).await;
    let call = world.call(GENERATE);
    let channels = call.channels(1).await.expect("an attempt");
    let Handle::Receiver(output) = &channels[&OUTPUT] else { panic!("not a receiving end") };
    assert_eq!(output.take().await.as_deref(), Ok(&[1][..]));
    world.resume(1).await;
    assert_eq!(call.resolution().await.status, CallStatus::Indeterminate);
    // What was received stays deliverable, in order, and then the end fails.
    let mut rest = Vec::new();
    let ended = loop {
        match output.take().await {
            Ok(item) => rest.extend(item),
            Err(status) => break status,
        }
    };
    assert!([2, 3].starts_with(&rest), "{rest:?}");
    assert_eq!(ended, EndStatus::Defunct);
    assert_eq!(call.progress().attempts, 1);
    assert_eq!(world.served.runs.load(Ordering::Relaxed), 1);
    world.end().await;
}

#[tokio::test]
async fn an_idem_call_runs_again_on_channels_that_old_handles_do_not_reach() {
    let world = World::new(true).await;
    let call = world.call(GENERATE_IDEM);
    let old = call.channels(1).await.expect("an attempt");
    let Handle::Receiver(stale) = &old[&OUTPUT] else { panic!("not a receiving end") };
    assert!(stale.take().await.is_ok());
    world.resume(1).await;
    let new = call.channels(2).await.expect("a second attempt");
    let Handle::Receiver(output) = &new[&OUTPUT] else { panic!("not a receiving end") };
    stale.reset().await; // late
    world.gate.add_permits(1);
    let mut items = Vec::new();
    let ended = loop {
        match output.take().await {
            Ok(item) => items.extend(item),
            Err(status) => break status,
        }
    };
    assert_eq!((items, ended), (vec![1, 2, 3, 4], EndStatus::Closed));
    assert_eq!(call.resolution().await.status, CallStatus::Ok);
    assert_eq!(world.served.runs.load(Ordering::Relaxed), 2);
    world.end().await;
}

#[tokio::test]
async fn an_old_sending_end_fails_after_its_generation() {
    let world = World::new(true).await;
    let call = world.call(SUM);
    let channels = call.channels(1).await.expect("an attempt");
    let Handle::Sender(input) = &channels[&INPUT] else { panic!("not a sending end") };
    for item in 0..100_u8 {
        assert_eq!(input.send(vec![item]).await, Ok(()), "the handler takes them");
    }
    world.resume(1).await;
    let failed = SendFailed::Ended(EndStatus::Defunct);
    assert_eq!(input.send(vec![1]).await, Err(failed));
    assert_eq!(call.resolution().await.status, CallStatus::Indeterminate);
    world.end().await;
}

#[tokio::test]
async fn more_calls_than_the_limit_wait_for_their_turn() {
    let world = World::new(true).await;
    let calls: Vec<_> = (0..12).map(|_| world.call(ECHO)).collect();
    let started = Await { handler_started: true, count: 4, ..Await::default() };
    world.callee.event(started).await;
    assert_eq!(world.served.runs.load(Ordering::Relaxed), 4);
    world.gate.add_permits(12);
    for call in calls {
        assert_eq!(call.resolution().await.status, CallStatus::Ok);
        assert_eq!(call.progress().attempts, 1);
    }
    world.end().await;
}

#[tokio::test]
async fn a_session_without_resume_ends_with_its_link() {
    let world = World::new(false).await;
    let call = world.call(ECHO);
    world.callee.event(Await { handler_started: true, ..Await::default() }).await;
    world.proxy.cut();
    assert_eq!(call.resolution().await.status, CallStatus::Indeterminate);
    let ended = world.session.ping().await.expect_err("it is over");
    assert_eq!(ended.reason, FailureReason::SessionEnded);
    assert_eq!(world.call(ECHO).resolution().await.status, CallStatus::SessionShutdown);
    world.end().await;
}

/// The acceptor loses the session of a world that replaces it.
async fn is_replaced(world: World) {
    let (idem, plain) = (world.call(ECHO_IDEM), world.call(ECHO));
    world.callee.event(Await { handler_started: true, count: 2, ..Await::default() }).await;
    let id = world.session.id().expect("established");
    world.callee.session(&id).expect("the same").expire().await;
    assert_eq!(plain.resolution().await.status, CallStatus::Indeterminate);
    let again = Await { handler_started: true, count: 3, ..Await::default() };
    world.callee.event(again).await;
    world.gate.add_permits(1);
    assert_eq!(idem.resolution().await.status, CallStatus::Ok);
    assert_eq!(idem.progress().attempts, 2);
    world.end().await;
}

#[tokio::test]
async fn a_lost_session_is_replaced_and_takes_its_idem_calls_along() {
    is_replaced(World::with(true, true, false).await).await;
}

/// The acceptor loses the session of a world that does not replace it.
async fn resolves_its_calls(world: World) {
    let (idem, plain) = (world.call(ECHO_IDEM), world.call(ECHO));
    world.callee.event(Await { handler_started: true, count: 2, ..Await::default() }).await;
    let id = world.session.id().expect("established");
    world.callee.session(&id).expect("the same").expire().await;
    assert_eq!(plain.resolution().await.status, CallStatus::Indeterminate);
    assert_eq!(idem.resolution().await.status, CallStatus::SessionShutdown);
    world.end().await;
}

#[tokio::test]
async fn a_lost_session_that_is_not_replaced_resolves_its_calls() {
    resolves_its_calls(World::new(true).await).await;
}

#[tokio::test]
async fn a_goodbye_ends_it_on_both_sides() {
    let world = World::new(true).await;
    assert!(world.session.ping().await.is_ok());
    world.session.close().await;
    world.callee.event(Await { to_state: "Disconnected".into(), ..Await::default() }).await;
    assert_eq!(world.caller.counts().sessions, 0);
    world.end().await;
}

#[tokio::test]
async fn a_cancelled_call_is_told_at_once_and_its_handler_is_dropped() {
    let world = World::new(true).await;
    let call = world.call(ECHO);
    world.callee.event(Await { handler_started: true, ..Await::default() }).await;
    call.cancel();
    assert_eq!(call.resolution().await.status, CallStatus::Cancelled);
    world.callee.event(Await { to_state: "Released".into(), ..Await::default() }).await;
    assert_eq!(world.callee.counts().handlers, 0);
    world.end().await;
}

#[tokio::test]
async fn a_call_does_not_notice_a_change_of_link_inside_its_conduit() {
    let world = World::stable().await;
    let call = world.call(ECHO);
    world.callee.event(Await { handler_started: true, ..Await::default() }).await;
    for _ in 0..3 {
        world.carry_on().await;
    }
    world.gate.add_permits(1);
    assert_eq!(call.resolution().await.status, CallStatus::Ok);
    assert_eq!(call.progress().attempts, 1);
    assert_eq!(world.served.runs.load(Ordering::Relaxed), 1);
    assert_eq!(world.attachments(), [1, 1]);
    world.end().await;
}

#[tokio::test]
async fn channels_go_on_over_the_next_link_and_lose_nothing() {
    let world = World::stable().await;
    let (generate, sum) = (world.call(GENERATE), world.call(SUM));
    let channels = generate.channels(1).await.expect("an attempt");
    let Handle::Receiver(output) = &channels[&OUTPUT] else { panic!("not a receiving end") };
    let channels = sum.channels(1).await.expect("an attempt");
    let Handle::Sender(input) = &channels[&INPUT] else { panic!("not a sending end") };
    assert_eq!(output.take().await.as_deref(), Ok(&[1][..]));
    for round in 0..40_u8 {
        assert_eq!(input.send(vec![round]).await, Ok(()));
        world.proxy.cut();
        assert_eq!(input.send(vec![round]).await, Ok(()), "also while there is no link");
    }
    input.close().await;
    assert_eq!(sum.resolution().await.status, CallStatus::Ok);
    world.gate.add_permits(1);
    let mut rest = Vec::new();
    let ended = loop {
        match output.take().await {
            Ok(item) => rest.extend(item),
            Err(status) => break status,
        }
    };
    assert_eq!((rest, ended), (vec![2, 3, 4], EndStatus::Closed));
    assert_eq!(generate.resolution().await.status, CallStatus::Ok);
    assert_eq!(world.attachments(), [1, 1]);
    world.end().await;
}

#[tokio::test]
async fn a_conduit_that_is_known_no_more_takes_its_session_along() {
    resolves_its_calls(World::stable().await).await;
}

#[tokio::test]
async fn a_session_whose_conduit_was_rejected_is_replaced() {
    is_replaced(World::with(true, true, true).await).await;
}

#[tokio::test]
async fn a_goodbye_over_a_stable_conduit_ends_it_on_both_sides() {
    let world = World::stable().await;
    world.carry_on().await;
    world.session.close().await;
    world.callee.event(Await { to_state: "Disconnected".into(), ..Await::default() }).await;
    assert_eq!([world.caller.counts().sessions, world.callee.counts().sessions], [0, 0]);
    world.end().await;
}
