use counterpart_spec::DESCRIPTORS;
use counterpart_spec::control::journal_event::Kind;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::journal::Journal;
use crate::link::Link;
use crate::service::Registry;
use crate::workload::Gauge;

const FIELD: u32 = 3;
const CREDIT: u32 = 16;

/// One end on an attachment of its own; nobody reads what it writes.
struct Bench {
    registry: Arc<Registry>,
    journal: Journal,
    record: Recorder,
    out: Outbound,
    tracker: Tracker,
    gauge: Gauge,
    _far: TcpStream,
}

impl Bench {
    async fn new() -> Self {
        let registry = Arc::new(Registry::of(&DESCRIPTORS, "counterpart.testbed.v1.Testbed"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("open");
        let (far, _) = listener.accept().await.expect("open");
        let journal = Journal::default();
        let record = Recorder::new(&journal, "s");
        let gauge = Gauge::default();
        let link = Link::new(near, 1 << 16, gauge.hold());
        let out = Outbound::new(link, record.clone(), 1 << 16, registry.clone());
        let tracker = Tracker::new(registry.clone());
        Self { registry, journal, record, out, tracker, gauge: Gauge::default(), _far: far }
    }

    fn birth(&mut self, method: &str) -> Birth {
        let method =
            self.registry.methods[&format!("counterpart.testbed.v1.Testbed/{method}")].clone();
        let announced = self.out.announcer.item(&method, FIELD).expect("for the first time");
        self.tracker.learn(announced).expect("it describes itself");
        let (record, held) = (self.record.clone(), self.gauge.hold());
        let credit = method.channel(FIELD).expect("a channel").initial_credit;
        Birth { channel_id: 7, credit, method, field: FIELD, record, held }
    }

    fn sending(&mut self) -> SendingEnd {
        let mut end = SendingEnd::new(self.birth("Sum"));
        end.ask(&mut self.out, Ask::Bind);
        end
    }

    fn reserved(&mut self) -> ReceivingEnd {
        ReceivingEnd::new(self.birth("Generate"))
    }

    fn receiving(&mut self) -> ReceivingEnd {
        let mut end = self.reserved();
        end.ask(&mut self.out, Ask::Bind);
        end
    }

    fn item(&mut self, end: &mut ReceivingEnd, item: u8) -> Result<(), Violation> {
        end.on_item(&mut self.out, &self.tracker, vec![item].into())
    }

    fn take(&mut self, end: &mut ReceivingEnd) -> Option<Taken> {
        let (taker, mut taken) = oneshot::channel();
        end.ask(&mut self.out, Ask::Take(taker));
        taken.try_recv().ok()
    }

    fn send(&mut self, end: &mut SendingEnd) -> oneshot::Receiver<Sent> {
        let (done, sent) = oneshot::channel();
        end.ask(&mut self.out, Ask::Send(vec![1].into(), done));
        sent
    }

    /// Messages of this kind that were committed.
    fn sent(&self, kind: &str) -> usize {
        let (events, _) = self.journal.read("s", 0);
        let of_kind = |event: &&counterpart_spec::control::JournalEvent| matches!(&event.kind, Some(Kind::Frame(frame)) if frame.sent && frame.kind == kind);
        events.iter().filter(of_kind).count()
    }

    fn invalid(&self) -> usize {
        let (events, _) = self.journal.read("s", 0);
        let invalid = |event: &&counterpart_spec::control::JournalEvent| matches!(&event.kind, Some(Kind::Transition(transition)) if transition.invalid);
        events.iter().filter(invalid).count()
    }
}

fn code(result: Result<(), Violation>) -> Option<Code> {
    result.err().map(|violation| violation.code)
}

fn item(byte: u8) -> Option<Taken> {
    Some(Ok(vec![byte].into()))
}

#[tokio::test]
async fn a_sender_without_credit_waits_for_a_grant() {
    let mut bench = Bench::new().await;
    let mut end = bench.sending();
    for _ in 0..CREDIT {
        assert_eq!(bench.send(&mut end).try_recv(), Ok(Ok(())));
    }
    let mut waiting = bench.send(&mut end);
    let mut given_up = bench.send(&mut end);
    assert!(waiting.try_recv().is_err());
    given_up.close();
    end.on_credit(&mut bench.out, 2).expect("legal");
    assert_eq!(waiting.try_recv(), Ok(Ok(())));
    assert_eq!(bench.sent("channel_item"), CREDIT as usize + 1, "one of them was given up");
}

#[tokio::test]
async fn credit_never_exceeds_a_u32() {
    let mut bench = Bench::new().await;
    let mut end = bench.sending();
    assert!(end.on_credit(&mut bench.out, u32::MAX - CREDIT).is_ok());
    assert!(end.on_credit(&mut bench.out, 0).is_ok());
    assert_eq!(code(end.on_credit(&mut bench.out, 1)), Some(Code::CreditOverflow));
}

#[tokio::test]
async fn a_reset_stops_the_sender_at_once() {
    let mut bench = Bench::new().await;
    let mut end = bench.sending();
    for _ in 0..CREDIT {
        assert_eq!(bench.send(&mut end).try_recv(), Ok(Ok(())));
    }
    let mut waiting = bench.send(&mut end);
    end.on_reset(&mut bench.out).expect("legal");
    let reset = Err(SendFailed::Ended(EndStatus::Reset));
    assert_eq!(waiting.try_recv(), Ok(reset));
    assert_eq!(bench.send(&mut end).try_recv(), Ok(reset));
    end.close(&mut bench.out, false);
    assert_eq!(bench.sent("close_channel"), 0, "not even CloseChannel");
    assert_eq!(code(end.on_reset(&mut bench.out)), Some(Code::ChannelState));
    assert_eq!(bench.gauge.get(), 0);
}

#[tokio::test]
async fn what_crossed_a_close_is_ignored_and_counted() {
    let mut bench = Bench::new().await;
    let mut end = bench.sending();
    end.close(&mut bench.out, false);
    assert!(end.on_credit(&mut bench.out, 1).is_ok());
    assert!(end.on_reset(&mut bench.out).is_ok());
    assert_eq!(bench.send(&mut end).try_recv(), Ok(Err(SendFailed::Ended(EndStatus::Closed))));
    assert_eq!((bench.sent("close_channel"), bench.invalid()), (1, 0));
}

#[tokio::test]
async fn a_handle_that_is_let_go_aborts_or_resets() {
    let mut bench = Bench::new().await;
    let mut end = bench.sending();
    end.ask(&mut bench.out, Ask::LetGo);
    assert_eq!((end.status(), bench.sent("close_channel")), (EndStatus::Aborted, 1));
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    end.ask(&mut bench.out, Ask::LetGo);
    assert_eq!((end.inbox.status(), bench.sent("reset_channel")), (EndStatus::Reset, 1));
}

#[tokio::test]
async fn items_before_the_binding_are_kept_with_the_close_behind_them() {
    let mut bench = Bench::new().await;
    let mut end = bench.reserved();
    for byte in 0..3 {
        bench.item(&mut end, byte).expect("within credit");
    }
    end.on_close(&mut bench.out, false).expect("legal");
    assert_eq!(end.state(), Receiving::ReservedClosing);
    end.ask(&mut bench.out, Ask::Bind);
    for byte in 0..3 {
        assert_eq!(bench.take(&mut end), item(byte));
    }
    assert_eq!(bench.take(&mut end), Some(Err(EndStatus::Closed)));
    assert_eq!(bench.gauge.get(), 0);
}

#[tokio::test]
async fn an_aborted_stream_fails_after_its_items() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    bench.item(&mut end, 1).expect("within credit");
    end.on_close(&mut bench.out, true).expect("legal");
    assert_eq!(bench.take(&mut end), item(1));
    assert_eq!(bench.take(&mut end), Some(Err(EndStatus::Aborted)));
}

#[tokio::test]
async fn data_after_close_is_a_violation_and_journalled_as_invalid() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    bench.item(&mut end, 1).expect("within credit");
    end.on_close(&mut bench.out, false).expect("legal");
    assert_eq!(code(bench.item(&mut end, 2)), Some(Code::ChannelState));
    assert_eq!(code(end.on_close(&mut bench.out, false)), Some(Code::ChannelState));
    assert_eq!(bench.invalid(), 2);
    assert_eq!(bench.take(&mut end), item(1), "what came before is delivered");
    assert_eq!(bench.take(&mut end), Some(Err(EndStatus::Closed)));
}

#[tokio::test]
async fn an_item_over_the_credit_is_a_violation() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    for byte in 0..CREDIT as u8 {
        bench.item(&mut end, byte).expect("within credit");
    }
    assert_eq!(code(bench.item(&mut end, 99)), Some(Code::CreditExceeded));
}

#[tokio::test]
async fn credit_is_granted_for_what_was_taken() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    for byte in 0..CREDIT as u8 {
        bench.item(&mut end, byte).expect("within credit");
    }
    assert_eq!(bench.sent("grant_credit"), 0, "nobody has taken anything");
    for byte in 0..CREDIT as u8 {
        assert_eq!(bench.take(&mut end), item(byte));
    }
    assert!(bench.sent("grant_credit") > 0);
    assert_eq!(end.outstanding + end.taken, CREDIT);
}

#[tokio::test]
async fn whoever_waits_on_an_empty_channel_without_credit_grants_some() {
    let mut bench = Bench::new().await;
    let mut end = ReceivingEnd::new(Birth { credit: 0, ..bench.birth("Generate") });
    end.ask(&mut bench.out, Ask::Bind);
    assert_eq!(bench.sent("grant_credit"), 0);
    let (taker, mut taken) = oneshot::channel();
    end.ask(&mut bench.out, Ask::Take(taker));
    assert_eq!(bench.sent("grant_credit"), 1);
    bench.item(&mut end, 5).expect("it was granted");
    assert_eq!(taken.try_recv().ok(), item(5));
}

#[tokio::test]
async fn what_crossed_a_reset_is_ignored_within_credit_and_once() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    bench.item(&mut end, 1).expect("within credit");
    end.reset(&mut bench.out, "rpc.channel.reset");
    assert!(bench.item(&mut end, 2).is_ok());
    assert!(end.on_close(&mut bench.out, false).is_ok());
    assert_eq!(code(end.on_close(&mut bench.out, false)), Some(Code::ChannelState));
    assert_eq!(code(bench.item(&mut end, 3)), Some(Code::ChannelState));
    assert_eq!(bench.take(&mut end), Some(Err(EndStatus::Reset)));
    assert_eq!(bench.sent("reset_channel"), 1);
}

#[tokio::test]
async fn a_reset_after_the_close_says_nothing() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    bench.item(&mut end, 1).expect("within credit");
    end.on_close(&mut bench.out, false).expect("legal");
    end.reset(&mut bench.out, "rpc.channel.reset");
    assert_eq!((end.state(), bench.sent("reset_channel")), (Receiving::Reset, 0));
}

fn take_of(remnant: &mut Remnant) -> Option<Taken> {
    let (taker, mut taken) = oneshot::channel();
    remnant.ask(Ask::Take(taker));
    taken.try_recv().ok()
}

#[tokio::test]
async fn a_remnant_delivers_what_was_received_and_then_fails() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    bench.item(&mut end, 1).expect("within credit");
    let mut remnant = End::Receiving(end).detach();
    assert_eq!(take_of(&mut remnant), item(1));
    assert_eq!(take_of(&mut remnant), Some(Err(EndStatus::Defunct)));
    let before = bench.sent("grant_credit");
    remnant.ask(Ask::Reset(oneshot::channel().0));
    assert_eq!((bench.sent("grant_credit"), bench.sent("reset_channel")), (before, 0));
    assert_eq!(bench.gauge.get(), 0);
}

#[tokio::test]
async fn a_remnant_of_a_closed_stream_ends_well() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    bench.item(&mut end, 1).expect("within credit");
    end.on_close(&mut bench.out, false).expect("legal");
    let mut remnant = End::Receiving(end).detach();
    assert_eq!(bench.gauge.get(), 1, "it is still to be delivered");
    assert_eq!(take_of(&mut remnant), item(1));
    assert_eq!(take_of(&mut remnant), Some(Err(EndStatus::Closed)));
    assert_eq!((bench.gauge.get(), bench.invalid()), (0, 0));
}

#[tokio::test]
async fn a_detach_fails_whoever_waits() {
    let mut bench = Bench::new().await;
    let mut end = bench.receiving();
    let (taker, mut taken) = oneshot::channel();
    end.ask(&mut bench.out, Ask::Take(taker));
    let _remnant = End::Receiving(end).detach();
    assert_eq!(taken.try_recv(), Ok(Err(EndStatus::Defunct)));
    let mut bench = Bench::new().await;
    let mut end = bench.sending();
    for _ in 0..CREDIT {
        bench.send(&mut end);
    }
    let mut waiting = bench.send(&mut end);
    let mut remnant = End::Sending(end).detach();
    let defunct = Err(SendFailed::Ended(EndStatus::Defunct));
    assert_eq!(waiting.try_recv(), Ok(defunct));
    let (done, mut sent) = oneshot::channel();
    remnant.ask(Ask::Send(vec![1].into(), done));
    assert_eq!(sent.try_recv(), Ok(defunct));
}
