//! One end of a stable conduit: numbers, acks, and what may have to be sent again. Pure.
//!
//! [`send`](Core::send) numbers an item and keeps it until it is acknowledged;
//! [`receive`](Core::receive) returns what a frame brings that is new, and refuses what no correct
//! counterpart sends (r[stable.seq]). What is kept is sent again in order and with its number
//! (r[stable.replay-buffer.order]).

use std::collections::VecDeque;

use bytes::Bytes;
use counterpart_spec::wire::{StableAck, StableData, StableFrame, stable_frame::Kind};

use crate::wire::{Code, Violation};

/// Received frames after which an ack of its own is due; 256 is the most there may be.
const FRAMES_PER_ACK: u32 = 128;

/// How far `number` is ahead of `of`, negative if it is behind: serial-number arithmetic.
fn ahead(number: u32, of: u32) -> i32 {
    number.wrapping_sub(of).cast_signed()
}

fn broken(text: String) -> Violation {
    Violation::new(Code::UnexpectedMessage, "stable.seq", text)
}

/// What a conduit knows whatever link carries it.
#[derive(Debug)]
pub(crate) struct Core {
    first: u32,
    /// Of what is sent next.
    next: u32,
    /// Of what is to be received next.
    due: u32,
    /// Sent and not acknowledged: the numbers before `next`.
    kept: VecDeque<StableData>,
    /// How many were, ever.
    acknowledged: u64,
    received: u64,
    /// Received since the counterpart was last told.
    untold: u32,
}

impl Core {
    /// With the numbers that the two hellos announced as the first ones.
    pub(crate) fn new(first: u32, their_first: u32) -> Self {
        Self {
            first,
            next: first,
            due: their_first,
            kept: VecDeque::new(),
            acknowledged: 0,
            received: 0,
            untold: 0,
        }
    }

    /// As our hellos announce it.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// None before anything was received.
    pub(crate) fn last_received(&self) -> Option<u32> {
        (self.received > 0).then(|| self.due.wrapping_sub(1))
    }

    /// The frame of a new item.  r[stable.seq.monotonic]
    pub(crate) fn send(&mut self, item: Bytes) -> StableFrame {
        let data = StableData { seq: self.next, ack: None, item };
        self.next = self.next.wrapping_add(1);
        self.kept.push_back(data.clone());
        self.frame(data)
    }

    /// The item of a frame, if it is new.
    pub(crate) fn receive(&mut self, frame: Kind) -> Result<Option<Bytes>, Violation> {
        let data = match frame {
            Kind::Ack(StableAck { ack }) => return self.acknowledge(ack).map(|()| None),
            Kind::Data(data) => data,
        };
        if let Some(ack) = data.ack {
            self.acknowledge(ack)?;
        }
        let distance = ahead(data.seq, self.due);
        if distance < 0 && u64::from(distance.unsigned_abs()) <= self.received {
            return Ok(None); // r[stable.seq.monotonic]: it was received already
        }
        if distance != 0 {
            return Err(broken(format!("frame {} where {} was due", data.seq, self.due)));
        }
        self.due = self.due.wrapping_add(1);
        self.received += 1;
        self.untold += 1;
        Ok(Some(data.item))
    }

    /// An ack of its own, if none was sent for too long.
    pub(crate) fn due_ack(&mut self) -> Option<StableFrame> {
        let ack = self.last_received()?;
        if self.untold < FRAMES_PER_ACK {
            return None;
        }
        self.untold = 0;
        Some(StableFrame { kind: Some(Kind::Ack(StableAck { ack })) })
    }

    /// What the counterpart's hello on a new link says it has received.  r[stable.ack.trim]
    pub(crate) fn resume(&mut self, last_received: Option<u32>) -> Result<(), Violation> {
        let Some(last) = last_received else {
            return match self.acknowledged {
                0 => Ok(()),
                _ => Err(broken("no last_received after an ack".into())),
            };
        };
        if self.acknowledged > 0 && ahead(last, self.oldest()) < -1 {
            return Err(broken(format!("last_received {last} is below an earlier ack")));
        }
        self.acknowledge(last)
    }

    /// What is to be sent first over a new link.  r[stable.replay-buffer.order]
    pub(crate) fn unacknowledged(&mut self) -> Vec<StableFrame> {
        let kept: Vec<StableData> = self.kept.iter().cloned().collect();
        kept.into_iter().map(|data| self.frame(data)).collect()
    }

    fn frame(&mut self, data: StableData) -> StableFrame {
        self.untold = 0;
        let ack = self.last_received();
        StableFrame { kind: Some(Kind::Data(StableData { ack, ..data })) }
    }

    /// Of what is kept; that of what is sent next, if nothing is.
    fn oldest(&self) -> u32 {
        match self.kept.front() {
            Some(data) => data.seq,
            None => self.next,
        }
    }

    fn acknowledge(&mut self, number: u32) -> Result<(), Violation> {
        let distance = ahead(number, self.oldest());
        if distance < 0 && u64::from(distance.unsigned_abs()) <= self.acknowledged {
            return Ok(()); // told before
        }
        let covered = usize::try_from(distance).map_or(0, |distance| distance + 1);
        if covered == 0 || covered > self.kept.len() {
            return Err(broken(format!("an ack of {number}, which was never sent")));
        }
        self.kept.drain(..covered);
        self.acknowledged += covered as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEARLY_WRAPPED: u32 = u32::MAX - 1;

    fn data(frame: StableFrame) -> StableData {
        match frame.kind {
            Some(Kind::Data(data)) => data,
            other => panic!("not data: {other:?}"),
        }
    }

    fn item(number: u32) -> Bytes {
        number.to_le_bytes().to_vec().into()
    }

    fn receive(core: &mut Core, seq: u32) -> Result<Option<Bytes>, Violation> {
        core.receive(Kind::Data(StableData { seq, ack: None, item: item(seq) }))
    }

    fn ack(core: &mut Core, ack: u32) -> Result<Option<Bytes>, Violation> {
        core.receive(Kind::Ack(StableAck { ack }))
    }

    fn rule<T: std::fmt::Debug>(result: Result<T, Violation>) -> &'static str {
        result.expect_err("a violation").rule
    }

    /// With so many frames sent, from `first` on.
    fn sending(first: u32, frames: u32) -> Core {
        let mut core = Core::new(first, 0);
        (0..frames).for_each(|n| drop(core.send(item(n))));
        core
    }

    fn kept(core: &mut Core) -> Vec<u32> {
        core.unacknowledged().into_iter().map(|frame| data(frame).seq).collect()
    }

    #[test]
    fn numbers_wrap_both_ways() {
        let mut core = Core::new(NEARLY_WRAPPED, NEARLY_WRAPPED);
        let mut sent = Vec::new();
        for n in 0..4 {
            sent.push(data(core.send(item(n))).seq);
            let seq = NEARLY_WRAPPED.wrapping_add(n);
            assert_eq!(receive(&mut core, seq).expect("in order"), Some(item(seq)));
            assert_eq!(core.last_received(), Some(seq));
        }
        assert_eq!(sent, [NEARLY_WRAPPED, u32::MAX, 0, 1]);
        assert!(ack(&mut core, 0).is_ok());
        assert_eq!(kept(&mut core), [1]);
        assert!(ack(&mut core, u32::MAX).is_ok(), "told before");
        assert_eq!(receive(&mut core, u32::MAX).expect("received before"), None);
    }

    #[test]
    fn a_number_counts_once() {
        let mut core = Core::new(0, 7);
        assert_eq!(core.last_received(), None);
        assert!(receive(&mut core, 7).expect("due").is_some());
        assert_eq!(receive(&mut core, 7).expect("a duplicate"), None);
        assert_eq!(core.last_received(), Some(7));
        assert_eq!(rule(receive(&mut core, 6)), "stable.seq", "before the first there is none");
    }

    #[test]
    fn a_gap_is_refused() {
        let mut core = Core::new(0, 0);
        assert_eq!(rule(receive(&mut core, 1)), "stable.seq");
    }

    #[test]
    fn acks_trim_what_is_kept() {
        let mut core = sending(0, 5);
        assert_eq!(kept(&mut core), [0, 1, 2, 3, 4]);
        assert!(ack(&mut core, 1).is_ok());
        assert_eq!(kept(&mut core), [2, 3, 4]);
        let told = StableData { seq: 0, ack: Some(3), item: Bytes::new() };
        assert!(core.receive(Kind::Data(told)).is_ok());
        assert_eq!(kept(&mut core), [4]);
        assert!(ack(&mut core, 0).is_ok(), "an older one says nothing new");
        assert_eq!(kept(&mut core), [4]);
        assert!(ack(&mut core, 4).is_ok());
        assert!(kept(&mut core).is_empty());
    }

    #[test]
    fn an_ack_of_the_unsent_is_refused() {
        let mut core = sending(10, 2);
        assert_eq!(rule(ack(&mut core, 12)), "stable.seq");
        assert_eq!(rule(ack(&mut core, 9)), "stable.seq", "before the first there is none");
        assert_eq!(kept(&mut core), [10, 11]);
    }

    #[test]
    fn what_a_hello_has_received_is_not_sent_again() {
        let mut core = sending(NEARLY_WRAPPED, 4);
        assert!(core.resume(None).is_ok());
        assert_eq!(kept(&mut core), [NEARLY_WRAPPED, u32::MAX, 0, 1]);
        assert!(core.resume(Some(u32::MAX)).is_ok());
        assert!(core.resume(Some(u32::MAX)).is_ok(), "the same as before");
        assert_eq!(kept(&mut core), [0, 1]);
    }

    #[test]
    fn a_hello_that_received_less_than_it_acknowledged_is_refused() {
        let mut core = sending(0, 4);
        assert!(ack(&mut core, 2).is_ok());
        assert_eq!(rule(core.resume(Some(1))), "stable.seq");
        assert_eq!(rule(core.resume(None)), "stable.seq");
        assert_eq!(rule(core.resume(Some(4))), "stable.seq", "it was never sent");
        assert!(core.resume(Some(3)).is_ok());
    }

    #[test]
    fn an_ack_is_due_where_no_frame_carries_one() {
        let mut core = Core::new(0, 0);
        for seq in 0..FRAMES_PER_ACK - 1 {
            receive(&mut core, seq).expect("in order");
            assert_eq!(core.due_ack(), None);
        }
        assert_eq!(data(core.send(Bytes::new())).ack, Some(FRAMES_PER_ACK - 2));
        for seq in FRAMES_PER_ACK - 1..2 * FRAMES_PER_ACK - 1 {
            assert_eq!(core.due_ack(), None);
            receive(&mut core, seq).expect("in order");
        }
        let due = core.due_ack().and_then(|frame| frame.kind);
        assert_eq!(due, Some(Kind::Ack(StableAck { ack: 2 * FRAMES_PER_ACK - 2 })));
        assert_eq!(core.due_ack(), None);
    }
}
