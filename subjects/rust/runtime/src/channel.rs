//! Channel ends as the driver owns them: one-way, ordered, credit-controlled streams of items.
//!
//! [`SendingEnd`] and [`ReceivingEnd`] each walk a table of their own. What the wire brings enters
//! through `on_…`, which may find a violation; what an application asks through the others. At a
//! detach an end is taken apart: what is left of it ([`Remnant`]) has no way to write, and
//! nothing can make an end of it again (r[strict.rebind.generation]).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use counterpart_spec::control::EndStatus;
use counterpart_spec::wire::{BindingRole, ChannelItem, CloseChannel, GrantCredit, ResetChannel};
use tokio::sync::oneshot;

use crate::handles::{Ask, SendFailed, Sent, Taken};
use crate::journal::Recorder;
use crate::machine::{Machine, Receiving, ReceivingEvent, Sending, SendingEvent, Table};
use crate::mutant;
use crate::outbound::Outbound;
use crate::schemas::Tracker;
use crate::service::Method;
use crate::wire::{Code, Payload, Violation};
use crate::workload::Held;

/// What both kinds of end are made from.
pub(crate) struct Birth {
    pub(crate) channel_id: u64,
    pub(crate) credit: u32,
    pub(crate) method: Arc<Method>,
    pub(crate) field: u32,
    pub(crate) record: Recorder,
    pub(crate) held: Held,
}

fn wrong_way(channel_id: u64, what: &str) -> Violation {
    let text = format!("channel {channel_id}: {what} from the wrong side");
    Violation::new(Code::ChannelState, "rpc.channel.ends", text)
}

// ------------------------------------------------------------------ sending

#[derive(Debug)]
pub(crate) struct SendingEnd {
    channel_id: u64,
    machine: Machine<Sending>,
    record: Recorder,
    held: Option<Held>,
    method: Arc<Method>,
    field: u32,
    credit: u32,
    aborted: bool,
    waiting: VecDeque<(Bytes, oneshot::Sender<Sent>)>,
}

impl SendingEnd {
    pub(crate) fn new(birth: Birth) -> Self {
        Self {
            channel_id: birth.channel_id,
            machine: Machine::new(birth.channel_id),
            record: birth.record,
            held: Some(birth.held),
            method: birth.method,
            field: birth.field,
            credit: birth.credit,
            aborted: false,
            waiting: VecDeque::new(),
        }
    }

    fn status(&self) -> EndStatus {
        match self.machine.state() {
            Sending::Closed if self.aborted => EndStatus::Aborted,
            Sending::Closed => EndStatus::Closed,
            Sending::Reset => EndStatus::Reset,
            Sending::Defunct => EndStatus::Defunct,
            Sending::Reserved | Sending::Open => EndStatus::Open,
        }
    }

    fn step(&mut self, event: SendingEvent) -> bool {
        let moved = self.machine.step(&self.record, event);
        if self.machine.state().is_final() {
            self.held = None;
        }
        moved
    }

    pub(crate) fn ask(&mut self, out: &mut Outbound, ask: Ask) {
        match ask {
            Ask::Bind if self.machine.allows(SendingEvent::Bind) => {
                self.step(SendingEvent::Bind);
            }
            Ask::Send(item, done) => self.waiting.push_back((item, done)),
            Ask::Close { aborted, done } => {
                self.close(out, aborted);
                let _ = done.send(());
            }
            Ask::LetGo => self.close(out, true),
            Ask::Bind | Ask::Take(_) | Ask::Reset(_) => {}
        }
        self.pump(out);
    }

    /// Sends what there is credit for. At zero credit, and while the link is congested, the
    /// application waits (r[rpc.flow-control.credit.zero-blocks]).
    pub(crate) fn pump(&mut self, out: &mut Outbound) {
        while let Some((_, done)) = self.waiting.front() {
            let open = matches!(self.machine.state(), Sending::Reserved | Sending::Open);
            let ready = self.machine.state() == Sending::Open && self.credit > 0;
            if !done.is_closed() && open && (!ready || out.is_congested()) {
                return;
            }
            let (item, done) = self.waiting.pop_front().expect("it is there");
            if done.is_closed() {
                continue; // its application no longer wants it sent
            }
            let _ = done.send(if open { self.send(out, item) } else { self.fail() });
        }
    }

    fn fail(&self) -> Sent {
        Err(SendFailed::Ended(self.status()))
    }

    fn send(&mut self, out: &mut Outbound, item: Bytes) -> Sent {
        let message = Payload::ChannelItem(ChannelItem { channel_id: self.channel_id, item });
        if !out.fits(&message) {
            return Err(SendFailed::TooLarge);
        }
        let schema = out.announcer.item(&self.method, self.field);
        out.announce(schema);
        self.step(SendingEvent::Item);
        self.credit -= 1; // r[rpc.flow-control.credit.spend]
        out.commit(message);
        Ok(())
    }

    /// Ends the stream; nothing if it has ended.  r[rpc.channel.close], r[rpc.channel.ends]
    pub(crate) fn close(&mut self, out: &mut Outbound, aborted: bool) {
        let event = if aborted { SendingEvent::Abort } else { SendingEvent::Close };
        if self.machine.allows(event) {
            self.aborted = aborted;
            self.step(event);
            let channel_id = self.channel_id;
            out.commit(Payload::CloseChannel(CloseChannel { channel_id, aborted }));
            self.pump(out);
        }
    }

    /// r[rpc.flow-control.credit.grant]
    pub(crate) fn on_credit(&mut self, out: &mut Outbound, credit: u32) -> Result<(), Violation> {
        if self.machine.allows(SendingEvent::LateCredit) {
            self.step(SendingEvent::LateCredit);
            self.record.discard("grant_credit", "rpc.channel.ends", self.channel_id, 1);
            return Ok(());
        }
        if !self.machine.allows(SendingEvent::Credit) {
            return Err(self.refuse(SendingEvent::Credit));
        }
        let Some(sum) = self.credit.checked_add(credit) else {
            return Err(Violation::new(
                Code::CreditOverflow,
                "rpc.flow-control.credit.overflow",
                format!("channel {}: {} and {credit}", self.channel_id, self.credit),
            ));
        };
        self.credit = sum;
        self.step(SendingEvent::Credit);
        self.pump(out);
        Ok(())
    }

    /// r[rpc.channel.reset]: stops at once.
    pub(crate) fn on_reset(&mut self, out: &mut Outbound) -> Result<(), Violation> {
        if self.machine.allows(SendingEvent::LateReset) {
            self.step(SendingEvent::LateReset);
            self.record.discard("reset_channel", "rpc.channel.ends", self.channel_id, 1);
        } else if !self.machine.allows(SendingEvent::Reset) {
            return Err(self.refuse(SendingEvent::Reset));
        } else {
            self.step(SendingEvent::Reset);
            self.pump(out);
        }
        Ok(())
    }

    /// Journals an event without a row; what the counterpart did was wrong.
    fn refuse(&mut self, event: SendingEvent) -> Violation {
        let (id, state) = (self.channel_id, self.machine.state().name());
        self.step(event);
        let text = format!("channel {id}: {} while {state}", Sending::event_name(event));
        Violation::new(Code::ChannelState, "rpc.channel.ends", text)
    }

    fn detach(mut self) -> Remnant {
        if self.machine.allows(SendingEvent::Detach) {
            self.step(SendingEvent::Detach);
        }
        for (_, done) in std::mem::take(&mut self.waiting) {
            let _ = done.send(self.fail());
        }
        Remnant::Sent(self.machine, self.record, self.aborted)
    }
}

// ------------------------------------------------------------------ receiving

/// What was received and not yet taken: all of a receiving end that a detach leaves.
#[derive(Debug)]
pub(crate) struct Inbox {
    channel_id: u64,
    machine: Machine<Receiving>,
    record: Recorder,
    held: Option<Held>,
    aborted: bool,
    items: VecDeque<Bytes>,
    takers: VecDeque<oneshot::Sender<Taken>>,
}

impl Inbox {
    fn status(&self) -> EndStatus {
        match self.machine.state() {
            Receiving::Closed if self.aborted => EndStatus::Aborted,
            Receiving::Closed => EndStatus::Closed,
            Receiving::Reset => EndStatus::Reset,
            Receiving::Defunct => EndStatus::Defunct,
            _ => EndStatus::Open,
        }
    }

    fn step(&mut self, event: ReceivingEvent) -> bool {
        let moved = self.machine.step(&self.record, event);
        if self.machine.state().is_final() {
            self.held = None;
        }
        moved
    }

    fn settle(&mut self) {
        if self.machine.state() == Receiving::Closing && self.items.is_empty() {
            self.step(ReceivingEvent::DeliveredAll);
        }
    }

    /// Gives waiting applications what there is; returns how many items were taken.
    fn serve(&mut self) -> u32 {
        let mut taken = 0;
        self.takers.retain(|taker| !taker.is_closed());
        let bound =
            !matches!(self.machine.state(), Receiving::Reserved | Receiving::ReservedClosing);
        while bound && !self.takers.is_empty() {
            let answer = if let Some(item) = self.items.pop_front() {
                taken += 1;
                self.settle();
                Ok(item)
            } else if self.machine.state().is_final() {
                Err(self.status())
            } else {
                break;
            };
            let taker = self.takers.pop_front().expect("one waits");
            if let Err(Ok(_)) = taker.send(answer) {
                self.record.discard("channel_item", "strict.delivery.explicit", self.channel_id, 1);
            }
        }
        taken
    }

    fn drop_items(&mut self, rule: &str) {
        self.record.discard("channel_item", rule, self.channel_id, self.items.len());
        self.items.clear();
    }

    /// The application gives up; true if the sender has to be told.
    fn give_up(&mut self, rule: &str) -> bool {
        let owed = matches!(self.machine.state(), Receiving::Reserved | Receiving::Open);
        self.drop_items(rule);
        let resets = self.machine.allows(ReceivingEvent::Reset);
        if resets {
            self.step(ReceivingEvent::Reset);
        }
        resets && owed
    }
}

#[derive(Debug)]
pub(crate) struct ReceivingEnd {
    inbox: Inbox,
    method: Arc<Method>,
    field: u32,
    initial: u32,
    /// Granted, and not used by the sender yet.
    outstanding: u32,
    /// Taken by the application, and not granted again yet.
    taken: u32,
    close_seen: bool,
}

impl ReceivingEnd {
    pub(crate) fn new(birth: Birth) -> Self {
        Self {
            inbox: Inbox {
                channel_id: birth.channel_id,
                machine: Machine::new(birth.channel_id),
                record: birth.record,
                held: Some(birth.held),
                aborted: false,
                items: VecDeque::new(),
                takers: VecDeque::new(),
            },
            method: birth.method,
            field: birth.field,
            initial: birth.credit,
            outstanding: birth.credit,
            taken: 0,
            close_seen: false,
        }
    }

    fn state(&self) -> Receiving {
        self.inbox.machine.state()
    }

    pub(crate) fn ask(&mut self, out: &mut Outbound, ask: Ask) {
        match ask {
            Ask::Bind if self.inbox.machine.allows(ReceivingEvent::Bind) => {
                self.inbox.step(ReceivingEvent::Bind);
                self.inbox.settle();
            }
            Ask::Take(taker) => self.inbox.takers.push_back(taker),
            Ask::Reset(done) => {
                self.reset(out, "rpc.channel.reset");
                let _ = done.send(());
            }
            Ask::LetGo => self.reset(out, "rpc.channel.abandon"),
            Ask::Bind | Ask::Send(..) | Ask::Close { .. } => {}
        }
        self.pump(out);
    }

    fn pump(&mut self, out: &mut Outbound) {
        self.taken += self.inbox.serve();
        if self.state() != Receiving::Open {
            return;
        }
        // r[rpc.flow-control.credit.replenish]: what was taken, once half of the credit is used;
        // at least one if somebody waits on an empty channel that nobody may send on.
        let eager = mutant::is("canary_grants_one_by_one");
        if self.taken > 0 && (eager || self.outstanding <= self.initial / 2) {
            self.grant(out, self.taken);
        }
        if self.outstanding == 0 && !self.inbox.takers.is_empty() {
            self.grant(out, 1);
        }
    }

    fn grant(&mut self, out: &mut Outbound, credit: u32) {
        let Some(outstanding) = self.outstanding.checked_add(credit) else { return };
        self.outstanding = outstanding;
        self.taken = self.taken.saturating_sub(credit);
        self.inbox.step(ReceivingEvent::Credit);
        let channel_id = self.inbox.channel_id;
        out.commit(Payload::GrantCredit(GrantCredit { channel_id, credit }));
    }

    /// Wants no more. Tells the sender unless it has closed already.  r[rpc.channel.reset]
    pub(crate) fn reset(&mut self, out: &mut Outbound, rule: &str) {
        if self.inbox.give_up(rule) {
            let channel_id = self.inbox.channel_id;
            out.commit(Payload::ResetChannel(ResetChannel { channel_id }));
        }
        self.pump(out);
    }

    pub(crate) fn on_item(
        &mut self,
        out: &mut Outbound,
        tracker: &Tracker,
        item: Bytes,
    ) -> Result<(), Violation> {
        let id = self.inbox.channel_id;
        let allows = |end: &Self, event| end.inbox.machine.allows(event);
        let late = allows(self, ReceivingEvent::LateItem) && !self.close_seen;
        if self.close_seen && mutant::is("delivers_data_after_close") {
            self.inbox.items.push_back(item);
            return Ok(());
        }
        if !late && !allows(self, ReceivingEvent::Item) {
            return Err(self.refuse(ReceivingEvent::Item));
        }
        let bound = tracker.bound(&self.method.name, BindingRole::Channel, self.field)?;
        let Some(outstanding) = self.outstanding.checked_sub(1) else {
            return Err(Violation::new(
                Code::CreditExceeded,
                "rpc.flow-control.credit.exceeded",
                format!("channel {id}: an item without credit"),
            ));
        };
        self.outstanding = outstanding;
        if late {
            self.inbox.step(ReceivingEvent::LateItem);
            self.inbox.record.discard("channel_item", "rpc.channel.reset", id, 1);
            return Ok(());
        }
        let full = self.inbox.items.len() > self.initial as usize / 2;
        let lost = full && mutant::is("drops_item_when_queue_is_full")
            || self.state() == Receiving::Reserved && mutant::is("loses_early_items");
        if !lost {
            self.inbox.items.push_back(item);
        }
        self.inbox.step(ReceivingEvent::Item);
        if bound.mismatch.is_some() {
            self.reset(out, "schema.errors"); // never a value that was not sent
        }
        self.pump(out);
        Ok(())
    }

    pub(crate) fn on_close(&mut self, out: &mut Outbound, aborted: bool) -> Result<(), Violation> {
        let late = self.inbox.machine.allows(ReceivingEvent::LateClose) && !self.close_seen;
        if late {
            self.inbox.step(ReceivingEvent::LateClose);
            let id = self.inbox.channel_id;
            self.inbox.record.discard("close_channel", "rpc.channel.reset", id, 1);
        } else if !self.inbox.machine.allows(ReceivingEvent::Close) {
            return Err(self.refuse(ReceivingEvent::Close));
        } else {
            self.inbox.aborted = aborted;
            if mutant::is("close_loses_the_tail") {
                self.inbox.items.clear();
            }
            self.inbox.step(ReceivingEvent::Close);
            self.inbox.settle();
        }
        self.close_seen = true;
        self.pump(out);
        Ok(())
    }

    /// r[rpc.channel.data-after-close]: journalled as invalid, and a violation.
    fn refuse(&mut self, event: ReceivingEvent) -> Violation {
        let (id, state) = (self.inbox.channel_id, self.state().name());
        self.inbox.step(event);
        let text = format!("channel {id}: {} while {state}", Receiving::event_name(event));
        Violation::new(Code::ChannelState, "rpc.channel.data-after-close", text)
    }

    /// r[rpc.channel.detach.buffered]: what was received stays deliverable, if anybody took it.
    fn detach(mut self) -> Remnant {
        if matches!(self.state(), Receiving::Reserved | Receiving::ReservedClosing) {
            self.inbox.drop_items("rpc.channel.detach.buffered");
        }
        if mutant::is("drops_items_when_receiver_is_gone") {
            self.inbox.items.clear();
            self.inbox.settle();
        }
        if self.inbox.machine.allows(ReceivingEvent::Detach) {
            self.inbox.step(ReceivingEvent::Detach);
        }
        self.inbox.serve();
        Remnant::Received(self.inbox)
    }
}

// ------------------------------------------------------------------ either

#[derive(Debug)]
pub(crate) enum End {
    Sending(SendingEnd),
    Receiving(ReceivingEnd),
}

impl End {
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Sending(end) => end.machine.state().is_final(),
            Self::Receiving(end) => end.state().is_final(),
        }
    }

    pub(crate) fn ask(&mut self, out: &mut Outbound, ask: Ask) {
        match self {
            Self::Sending(end) => end.ask(out, ask),
            Self::Receiving(end) => end.ask(out, ask),
        }
    }

    /// Nobody here will use it: say so.  r[rpc.channel.abandon]
    pub(crate) fn abandon(&mut self, out: &mut Outbound) {
        match self {
            Self::Sending(end) => end.close(out, true),
            Self::Receiving(end) => end.reset(out, "rpc.channel.abandon"),
        }
    }

    /// The receiver's messages go to a sending end, and the other way round.
    pub(crate) fn sending(&mut self, what: &str, id: u64) -> Result<&mut SendingEnd, Violation> {
        match self {
            Self::Sending(end) => Ok(end),
            Self::Receiving(_) => Err(wrong_way(id, what)),
        }
    }

    pub(crate) fn receiving(
        &mut self,
        what: &str,
        id: u64,
    ) -> Result<&mut ReceivingEnd, Violation> {
        match self {
            Self::Receiving(end) => Ok(end),
            Self::Sending(_) => Err(wrong_way(id, what)),
        }
    }

    /// Its generation is over.
    pub(crate) fn detach(self) -> Remnant {
        match self {
            Self::Sending(end) => end.detach(),
            Self::Receiving(end) => end.detach(),
        }
    }
}

/// What a detach leaves of an end: enough to answer its application, and no way to write.
#[derive(Debug)]
pub(crate) enum Remnant {
    Sent(Machine<Sending>, Recorder, bool),
    Received(Inbox),
}

impl Remnant {
    pub(crate) fn ask(&mut self, ask: Ask) {
        match self {
            Self::Sent(machine, record, aborted) => {
                if machine.allows(SendingEvent::Stale) && !matches!(ask, Ask::LetGo) {
                    machine.step(record, SendingEvent::Stale);
                }
                let status = match machine.state() {
                    Sending::Closed if *aborted => EndStatus::Aborted,
                    Sending::Closed => EndStatus::Closed,
                    Sending::Reset => EndStatus::Reset,
                    _ => EndStatus::Defunct,
                };
                if let Ask::Send(_, done) = ask {
                    let _ = done.send(Err(SendFailed::Ended(status)));
                }
            }
            Self::Received(inbox) => {
                match ask {
                    Ask::Take(taker) => inbox.takers.push_back(taker),
                    Ask::Reset(done) => {
                        if inbox.machine.allows(ReceivingEvent::Stale) {
                            inbox.step(ReceivingEvent::Stale);
                        }
                        inbox.give_up("rpc.channel.reset");
                        let _ = done.send(());
                    }
                    Ask::LetGo => {
                        inbox.give_up("retry.channel.detach");
                    }
                    Ask::Bind | Ask::Send(..) | Ask::Close { .. } => {}
                }
                inbox.serve();
            }
        }
    }
}

#[cfg(test)]
mod tests;
