//! Channel ends as an application holds them.
//!
//! A handle owns no state: it asks the driver through the mailbox of the attachment it was made
//! on, and waits for the answer. The mailbox ends with its attachment, so a handle of an old
//! generation has no way to reach a newer one (r[strict.rebind.generation]). At most one request
//! per waiting application is in a mailbox, so what bounds it is the application itself; an item
//! that has no credit stays with the `send` that waits for it.

use bytes::Bytes;
use counterpart_spec::control::EndStatus;
use tokio::sync::{mpsc, oneshot};

/// Why an item was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailed {
    /// The end can send no more; how it ended.
    Ended(EndStatus),
    /// Larger than the counterpart accepts; the channel is unharmed.  r[link.limit.announce]
    TooLarge,
}

/// The answer to [`Sender::send`].
pub(crate) type Sent = Result<(), SendFailed>;
/// The answer to [`Receiver::take`].
pub(crate) type Taken = Result<Bytes, EndStatus>;

/// What a handle asks of its end.
#[derive(Debug)]
pub(crate) enum Ask {
    Bind,
    Send(Bytes, oneshot::Sender<Sent>),
    Close {
        aborted: bool,
        done: oneshot::Sender<()>,
    },
    Take(oneshot::Sender<Taken>),
    Reset(oneshot::Sender<()>),
    /// Nobody holds the handle any more.
    LetGo,
}

/// By channel id.
pub(crate) type Mail = (u64, Ask);

#[derive(Debug)]
struct Line {
    channel_id: u64,
    mailbox: mpsc::UnboundedSender<Mail>,
}

impl Line {
    /// Puts a question; its answer is dropped if the generation is gone.
    fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> oneshot::Receiver<T> {
        let (answer, wait) = oneshot::channel();
        self.tell(ask(answer));
        wait
    }

    fn tell(&self, ask: Ask) {
        // An error: the driver is gone, and with it all that this could have changed.
        let _ = self.mailbox.send((self.channel_id, ask));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tell(Ask::LetGo);
    }
}

/// The sending end of a channel. Dropped before its close, it tells the receiver that the stream
/// was aborted.
#[derive(Debug)]
pub struct Sender(Line);

impl Sender {
    /// Sends one item once there is credit for it. Cancel safe: an item whose `send` was dropped
    /// is not sent.
    pub async fn send(&self, item: impl Into<Bytes>) -> Result<(), SendFailed> {
        let item = item.into();
        let sent = self.0.ask(|done| Ask::Send(item, done)).await;
        sent.unwrap_or(Err(SendFailed::Ended(EndStatus::Defunct)))
    }

    /// Ends the stream, if it has not ended.
    pub async fn close(&self) {
        let _ = self.0.ask(|done| Ask::Close { aborted: false, done }).await;
    }
}

/// The receiving end of a channel. Dropped before the end of its stream, it resets the channel.
#[derive(Debug)]
pub struct Receiver(Line);

impl Receiver {
    /// The next item, or how the stream ended. Asking grants credit if the sender has none.
    pub async fn take(&self) -> Result<Bytes, EndStatus> {
        self.0.ask(Ask::Take).await.unwrap_or(Err(EndStatus::Defunct))
    }

    /// Wants no more, also of what was received.
    pub async fn reset(&self) {
        let _ = self.0.ask(Ask::Reset).await;
    }
}

/// Either end.
#[derive(Debug)]
pub enum Handle {
    /// The one that sends.
    Sender(Sender),
    /// The one that receives.
    Receiver(Receiver),
}

impl Handle {
    pub(crate) fn new(sends: bool, channel_id: u64, mailbox: &mpsc::UnboundedSender<Mail>) -> Self {
        let line = Line { channel_id, mailbox: mailbox.clone() };
        if sends { Self::Sender(Sender(line)) } else { Self::Receiver(Receiver(line)) }
    }

    /// What a finalizer does; nobody waits for it.
    pub(crate) fn end(&self) {
        match self {
            Self::Sender(Sender(line)) => {
                line.tell(Ask::Close { aborted: false, done: oneshot::channel().0 });
            }
            Self::Receiver(Receiver(line)) => line.tell(Ask::Reset(oneshot::channel().0)),
        }
    }

    /// Somebody took the end; what came before is kept for it.  r[rpc.channel.binding]
    pub(crate) fn bind(&self) {
        let (Self::Sender(Sender(line)) | Self::Receiver(Receiver(line))) = self;
        line.tell(Ask::Bind);
    }
}
