//! The state machines of `spec/machines`, as tables.
//!
//! A table names states, events and rows in one place; everything else of it is generated, so a
//! state or an event that no table has cannot be written down. [`Machine::step`] is the only way
//! to move: it journals first (r[control.journal.write-ahead]), and an event without a row is
//! journalled as invalid and changes nothing (r[strict.channel.fsm]).

use counterpart_spec::control;

use crate::journal::Recorder;

/// One table: what its states and events are called, and where each event leads.
pub trait Table: Copy {
    /// What can happen.
    type Event: Copy;
    /// Which machine the journal calls it.
    const MACHINE: control::Machine;
    /// The state before the first event.
    const INITIAL: Self;
    /// Where `event` leads from here, if there is a row.
    fn next(self, event: Self::Event) -> Option<Self>;
    /// Is nothing of the object open any more?
    fn is_final(self) -> bool;
    /// The state's name in the table.
    fn name(self) -> &'static str;
    /// The event's name in the table.
    fn event_name(event: Self::Event) -> &'static str;
}

macro_rules! table {
    ($(#[$doc:meta])* $state:ident / $event:ident is $machine:ident:
     [$first:ident $(, $other:ident)*] finally [$($final:ident),*]
     on [$($e:ident = $name:literal),*]
     rows { $($from:ident + $on:ident => $to:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum $state { $first $(, $other)* }

        #[doc = concat!("What can happen to a `", stringify!($state), "`.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $event { $($e),* }

        impl Table for $state {
            type Event = $event;
            const MACHINE: control::Machine = control::Machine::$machine;
            const INITIAL: Self = $state::$first;

            fn next(self, event: $event) -> Option<Self> {
                match (self, event) {
                    $(($state::$from, $event::$on) => Some($state::$to),)*
                    _ => None,
                }
            }

            fn is_final(self) -> bool {
                let finals: &[Self] = &[$($state::$final),*];
                finals.contains(&self)
            }

            fn name(self) -> &'static str {
                match self {
                    $state::$first => stringify!($first),
                    $($state::$other => stringify!($other),)*
                }
            }

            fn event_name(event: $event) -> &'static str {
                match event { $($event::$e => $name),* }
            }
        }

        #[cfg(test)]
        impl $state {
            fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
                let states = [$state::$first $(, $state::$other)*];
                let events = [$($event::$e),*];
                let mut rows = Vec::new();
                for from in states {
                    for event in events {
                        if let Some(to) = from.next(event) {
                            rows.push((from.name(), Self::event_name(event), to.name()));
                        }
                    }
                }
                rows
            }

            fn finals() -> Vec<&'static str> {
                let states = [$state::$first $(, $state::$other)*];
                states.into_iter().filter(|s| s.is_final()).map(Table::name).collect()
            }
        }
    };
}

table! {
    /// The driver of a session.  r[strict.driver.single-phase]
    Driver / DriverEvent is Driver:
    [Connecting, Connected, Resuming, Disconnected] finally [Disconnected]
    on [Established = "established", Failed = "failed", LinkLost = "link_lost", Ended = "ended",
        Resumed = "resumed"]
    rows {
        Connecting + Established => Connected,
        Connecting + Failed => Disconnected,
        Connected + LinkLost => Resuming,
        Connected + Ended => Disconnected,
        Resuming + Resumed => Connected,
        Resuming + Ended => Disconnected,
    }
}

table! {
    /// The receiving end of a channel.  r[rpc.channel.lifecycle]
    Receiving / ReceivingEvent is ChannelReceiver:
    [Reserved, ReservedClosing, Open, Closing, Closed, Reset, Defunct]
    finally [Closed, Reset, Defunct]
    on [Bind = "bind", Item = "item", Close = "close", Reset = "reset", Detach = "detach",
        Credit = "credit", DeliveredAll = "delivered_all", LateItem = "late_item",
        LateClose = "late_close", Stale = "stale"]
    rows {
        Reserved + Bind => Open,
        Reserved + Item => Reserved,
        Reserved + Close => ReservedClosing,
        Reserved + Reset => Reset,
        Reserved + Detach => Defunct,
        ReservedClosing + Bind => Closing,
        ReservedClosing + Reset => Reset,
        ReservedClosing + Detach => Defunct,
        Open + Item => Open,
        Open + Credit => Open,
        Open + Close => Closing,
        Open + Reset => Reset,
        Open + Detach => Defunct,
        Closing + DeliveredAll => Closed,
        Closing + Reset => Reset,
        Closing + Detach => Closing,
        Reset + LateItem => Reset,
        Reset + LateClose => Reset,
        Defunct + Stale => Defunct,
    }
}

table! {
    /// The sending end of a channel.  r[rpc.channel.ends]
    Sending / SendingEvent is ChannelSender:
    [Reserved, Open, Closed, Reset, Defunct] finally [Closed, Reset, Defunct]
    on [Bind = "bind", Credit = "credit", Reset = "reset", Abort = "abort", Detach = "detach",
        Item = "item", Close = "close", LateCredit = "late_credit", LateReset = "late_reset",
        Stale = "stale"]
    rows {
        Reserved + Bind => Open,
        Reserved + Credit => Reserved,
        Reserved + Reset => Reset,
        Reserved + Abort => Closed,
        Reserved + Detach => Defunct,
        Open + Item => Open,
        Open + Credit => Open,
        Open + Close => Closed,
        Open + Abort => Closed,
        Open + Reset => Reset,
        Open + Detach => Defunct,
        Closed + LateCredit => Closed,
        Closed + LateReset => Closed,
        Defunct + Stale => Defunct,
    }
}

table! {
    /// The callee's record of one operation.  r[retry.duplicate]
    Record / RecordEvent is Operation:
    [Absent, Live, Sealed, Released, Indeterminate] finally []
    on [Admit = "admit", Attach = "attach", Seal = "seal", Release = "release", Lose = "lose",
        Replay = "replay", Rerun = "rerun", Refuse = "refuse"]
    rows {
        Absent + Admit => Live,
        Live + Attach => Live,
        Live + Seal => Sealed,
        Live + Release => Released,
        Live + Lose => Indeterminate,
        Sealed + Replay => Sealed,
        Released + Rerun => Live,
        Released + Refuse => Released,
        Indeterminate + Rerun => Live,
        Indeterminate + Refuse => Indeterminate,
    }
}

table! {
    /// A command of the control plane.  r[control.lifecycle]
    Command / CommandEvent is Command:
    [NotAccepted, Tombstoned, Accepted, Started, Completed, Failed]
    finally [Completed, Failed, Tombstoned]
    on [Accept = "accept", Tombstone = "tombstone", Start = "start", Complete = "complete",
        Fail = "fail"]
    rows {
        NotAccepted + Accept => Accepted,
        NotAccepted + Tombstone => Tombstoned,
        Tombstoned + Accept => Accepted,
        Accepted + Start => Started,
        Started + Complete => Completed,
        Started + Fail => Failed,
    }
}

/// One object that walks a table. `key` names it in the journal.
#[derive(Debug)]
pub struct Machine<S> {
    key: u64,
    state: S,
}

impl<S: Table> Machine<S> {
    /// A machine in its table's initial state.
    pub fn new(key: u64) -> Self {
        Self::resumed(key, S::INITIAL)
    }

    /// A machine whose earlier steps are journalled already.
    pub fn resumed(key: u64, state: S) -> Self {
        Self { key, state }
    }

    /// Where it is.
    pub fn state(&self) -> S {
        self.state
    }

    /// Would [`step`](Self::step) be a transition of the table?
    pub fn allows(&self, event: S::Event) -> bool {
        self.state.next(event).is_some()
    }

    /// Journals the transition, then makes it; false if the table has no row for it.
    pub fn step(&mut self, record: &Recorder, event: S::Event) -> bool {
        let next = self.state.next(event);
        record.transition(
            S::MACHINE,
            self.key,
            self.state.name(),
            S::event_name(event),
            next.unwrap_or(self.state).name(),
            next.is_none(),
        );
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    /// `- {from: A, event: b, to: C, …}`, as the files in spec/machines have it.
    fn value<'a>(line: &'a str, key: &str) -> &'a str {
        let rest = line.split_once(&format!("{key}: ")).expect(key).1;
        rest.split([',', '}', ']']).next().expect("a value").trim()
    }

    fn assert_equal_to(
        file: &str,
        rows: Vec<(&'static str, &'static str, &'static str)>,
        finals: Vec<&'static str>,
    ) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../spec/machines");
        let text = std::fs::read_to_string(format!("{folder}/{file}.yaml")).expect("the table");
        let mut wanted: Vec<_> = (text.lines().filter(|line| line.contains("{from")))
            .map(|line| (value(line, "from"), value(line, "event"), value(line, "to")))
            .collect();
        let mut rows = rows;
        wanted.sort_unstable();
        rows.sort_unstable();
        assert_eq!(rows, wanted, "{file}");
        let line = text.lines().find(|line| line.starts_with("final:")).expect("final");
        let listed = line.split_once('[').expect("a list").1.trim_end_matches(']');
        let mut wanted: Vec<&str> = listed.split(", ").filter(|name| !name.is_empty()).collect();
        let mut finals = finals;
        wanted.sort_unstable();
        finals.sort_unstable();
        assert_eq!(finals, wanted, "{file}");
    }

    #[test]
    fn the_tables_are_those_of_the_specification() {
        assert_equal_to("driver", Driver::rows(), Driver::finals());
        assert_equal_to("channel_receiver", Receiving::rows(), Receiving::finals());
        assert_equal_to("channel_sender", Sending::rows(), Sending::finals());
        assert_equal_to("operation", Record::rows(), Record::finals());
        assert_equal_to("command", Command::rows(), Command::finals());
    }

    #[test]
    fn an_event_without_a_row_is_reported_and_changes_nothing() {
        let journal = Journal::default();
        let record = Recorder::new(&journal, "s");
        let mut machine = Machine::<Sending>::new(7);
        assert!(!machine.step(&record, SendingEvent::Item));
        assert_eq!(machine.state(), Sending::Reserved);
        assert!(machine.step(&record, SendingEvent::Bind));
        let (events, gap) = journal.read("s", 0);
        assert_eq!((events.len(), gap), (2, 0));
        let Some(control::journal_event::Kind::Transition(first)) = &events[0].kind else {
            panic!("not a transition");
        };
        assert!(first.invalid && first.key == 7 && first.to_state == "Reserved");
    }
}
