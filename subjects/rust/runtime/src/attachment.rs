//! An attachment: one link bound to a session, for one generation.
//!
//! It owns everything that ends with the link: the writer, the schema trackers, both request
//! tables, the channel ends with their mailbox, the runs of handlers that have channels, and the
//! pings. A detach consumes it ([`Attachment::take_apart`]); nothing that it owned is left in a
//! form that could write, so nothing of an old generation reaches a newer link.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::callee::Runs;
use crate::caller::Attempted;
use crate::channel::{Birth, End, ReceivingEnd, Remnant, SendingEnd};
use crate::handles::{Handle, Mail};
use crate::outbound::Outbound;
use crate::schemas::Tracker;
use crate::service::{ChannelArgument, Method, Registry};
use crate::wire::{Code, Payload, Violation};
use crate::workload::Gauge;

/// Ended ends whose state is still known exactly.
const ENDED_ENDS_KEPT: usize = 4096;

pub(crate) struct Attachment {
    pub(crate) out: Outbound,
    pub(crate) tracker: Tracker,
    /// Attempts made here, by request id.
    pub(crate) outgoing: HashMap<u64, Attempted>,
    /// Attempts of the counterpart, with their operation once it is found.
    pub(crate) incoming: BTreeMap<u64, Option<u64>>,
    /// Channels of methods we do not have: what comes on them is discarded.
    pub(crate) nameless: HashSet<u64>,
    /// Newest request id of the counterpart when this generation began.
    pub(crate) last_older_request: u64,
    /// Runs of methods with channels.
    pub(crate) runs: Runs,
    /// By nonce.
    pub(crate) pings: HashMap<u64, oneshot::Sender<()>>,
    pub(crate) mailbox: mpsc::UnboundedReceiver<Mail>,
    letterbox: mpsc::UnboundedSender<Mail>,
    ends: HashMap<u64, End>,
    gauge: Gauge,
}

impl Attachment {
    pub(crate) fn new(
        out: Outbound,
        registry: Arc<Registry>,
        gauge: Gauge,
        last_older_request: u64,
    ) -> Self {
        let (letterbox, mailbox) = mpsc::unbounded_channel();
        Self {
            out,
            tracker: Tracker::new(registry),
            outgoing: HashMap::new(),
            incoming: BTreeMap::new(),
            nameless: HashSet::new(),
            last_older_request,
            runs: Runs::new(),
            pings: HashMap::new(),
            mailbox,
            letterbox,
            ends: HashMap::new(),
            gauge,
        }
    }

    /// Makes this side's end of a channel, Reserved.
    pub(crate) fn make_end(
        &mut self,
        method: &Arc<Method>,
        channel: &ChannelArgument,
        channel_id: u64,
        sends: bool,
    ) -> Handle {
        let birth = Birth {
            channel_id,
            credit: channel.initial_credit,
            method: method.clone(),
            field: channel.field,
            record: self.out.record.clone(),
            held: self.gauge.hold(),
        };
        let end = if sends {
            End::Sending(SendingEnd::new(birth))
        } else {
            End::Receiving(ReceivingEnd::new(birth))
        };
        self.forget_some();
        self.ends.insert(channel_id, end);
        Handle::new(sends, channel_id, &self.letterbox)
    }

    /// Old ended ends are remembered by their id only.
    fn forget_some(&mut self) {
        if self.ends.len() < 2 * ENDED_ENDS_KEPT {
            return;
        }
        let mut ended: Vec<u64> =
            self.ends.iter().filter(|(_, end)| end.is_final()).map(|(id, _)| *id).collect();
        ended.sort_unstable();
        ended.truncate(ended.len().saturating_sub(ENDED_ENDS_KEPT));
        for id in ended {
            self.ends.remove(&id);
            self.nameless.insert(id);
        }
    }

    /// An application asks something of its end.
    pub(crate) fn on_mail(&mut self, (id, ask): Mail) {
        if let Some(end) = self.ends.get_mut(&id) {
            end.ask(&mut self.out, ask);
        }
    }

    /// Applies all that applications have asked by now.
    pub(crate) fn empty_mailbox(&mut self) {
        while let Ok(mail) = self.mailbox.try_recv() {
            self.on_mail(mail);
        }
    }

    /// The link takes items again.
    pub(crate) fn on_drained(&mut self) {
        for end in self.ends.values_mut() {
            if let End::Sending(end) = end {
                end.pump(&mut self.out);
            }
        }
    }

    /// Nobody here will use these ends: says so.  r[rpc.channel.abandon]
    pub(crate) fn abandon(&mut self, ids: &[u64]) {
        for id in ids {
            if let Some(end) = self.ends.get_mut(id) {
                end.abandon(&mut self.out);
            }
        }
    }

    /// A message for one channel.
    pub(crate) fn on_channel(&mut self, payload: Payload) -> Result<(), Violation> {
        let (kind, id) = crate::wire::subject(&payload);
        let Some(end) = self.ends.get_mut(&id) else {
            if self.nameless.contains(&id) {
                self.out.record.discard(kind, "rpc.channel.unknown", id, 1);
                return Ok(());
            }
            // r[rpc.channel.unknown], r[session.resume.discard]
            let text = format!("{kind}: no channel {id} on this attachment");
            return Err(Violation::new(Code::BadChannelId, "rpc.channel.unknown", text));
        };
        let out = &mut self.out;
        match payload {
            Payload::ChannelItem(item) => {
                end.receiving(kind, id)?.on_item(out, &self.tracker, item.item)
            }
            Payload::CloseChannel(close) => end.receiving(kind, id)?.on_close(out, close.aborted),
            Payload::ResetChannel(_) => end.sending(kind, id)?.on_reset(out),
            Payload::GrantCredit(grant) => end.sending(kind, id)?.on_credit(out, grant.credit),
            _ => Ok(()),
        }
    }

    /// Its generation is over: what each owner is left with.
    pub(crate) fn take_apart(self) -> Parts {
        drop(self.runs); // handlers with channels are cancelled; their handles are let go
        drop(self.letterbox);
        let mut ends: Vec<(u64, End)> = self.ends.into_iter().collect();
        ends.sort_unstable_by_key(|(id, _)| *id);
        let ends = ends.into_iter().map(|(id, end)| (id, end.detach())).collect();
        Parts {
            out: self.out,
            outgoing: self.outgoing,
            pings: self.pings.into_values().collect(),
            remains: Remains { ends, mailbox: self.mailbox },
        }
    }
}

/// What a detach leaves of an attachment.
pub(crate) struct Parts {
    pub(crate) out: Outbound,
    pub(crate) outgoing: HashMap<u64, Attempted>,
    pub(crate) pings: Vec<oneshot::Sender<()>>,
    pub(crate) remains: Remains,
}

/// Ends of an old generation, for as long as applications hold their handles.
pub(crate) struct Remains {
    ends: HashMap<u64, Remnant>,
    mailbox: mpsc::UnboundedReceiver<Mail>,
}

impl Remains {
    /// Answers what applications ask; ready once nobody can ask any more.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.mailbox.poll_recv(context) {
                Poll::Ready(Some((id, ask))) => {
                    if let Some(end) = self.ends.get_mut(&id) {
                        end.ask(ask);
                    }
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
