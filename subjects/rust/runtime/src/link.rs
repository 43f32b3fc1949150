//! A link: one TCP connection, as payloads in order.
//!
//! Whoever owns the link reads and writes it; dropping it closes the connection and discards what
//! was not read or written. Payloads read before the end are handed out, none is afterwards
//! (r[session.detach]). What is pushed is written in order whenever the owner polls
//! [`next`](Carrier::next); a counterpart that does not read is not read from either, once too much
//! waits to be written, so that a queue here pushes back on its producer
//! (r[strict.delivery.explicit]).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::framing::{self, Decoder, Oversize};
use crate::journal::Recorder;
use crate::wire::Violation;
use crate::workload::{Held, Workload};

/// Above this many unwritten bytes applications wait before they send more.
pub(crate) const CONGESTED_BYTES: usize = 1 << 20;
/// Above this nothing more is read either.
const PAUSE_READING_BYTES: usize = 32 << 20;
const READ_BYTES: usize = 64 << 10;
const LINGER_BYTES: usize = 64 << 20;
const LINGER: Duration = Duration::from_secs(5);

/// What a link has to tell, or a conduit.
#[derive(Debug)]
pub(crate) enum Received {
    /// One complete payload.
    Payload(Bytes),
    /// A length over the limit; nothing after it can be read.
    Oversize(Oversize),
    /// What crossed it breaks a rule of the conduit; no link by itself tells this.
    Violated(Violation),
    /// What made the link congested has been written.
    Drained,
    /// End of stream, or an error; why.
    Lost(String),
}

/// What takes payloads and hands them out, in order: a link, or a conduit.
pub(crate) trait Carrier: Send {
    /// Puts one payload after all earlier ones.
    fn push(&mut self, message: &impl prost::Message);

    /// [`next`](Self::next), for an owner that polls more than this.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Received>;

    /// The next thing to know; writes meanwhile. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Received> + Send {
        poll_fn(|context| self.poll_next(context))
    }
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    decoder: Decoder,
    out: BytesMut,
    congested: bool,
    lost: Option<String>,
    chunk: Box<[u8]>,
    _held: Held,
}

impl Link {
    /// Takes over an open connection. `limit` is the most bytes a payload may have.
    pub(crate) fn new(stream: TcpStream, limit: u32, held: Held) -> Self {
        let _ = stream.set_nodelay(true); // only a matter of speed
        Self {
            stream,
            decoder: Decoder::new(limit),
            out: BytesMut::new(),
            congested: false,
            lost: None,
            chunk: vec![0; READ_BYTES].into(),
            _held: held,
        }
    }

    /// Accept payloads of up to `limit` bytes from now on.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.decoder.set_limit(limit);
    }

    /// Should an application wait for [`Received::Drained`] before it sends?
    pub(crate) fn congested(&self) -> bool {
        self.congested
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.chunk);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while !self.out.is_empty() && self.lost.is_none() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.out))?;
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// The graceful end: writes all of what was pushed, half-closes, and discards input to its
    /// end or a bound, then closes.  r[link.tx.close], r[session.protocol-error.delivery]
    pub(crate) async fn finish(mut self, record: Recorder, workload: Workload) {
        let mut dropped = self.decoder.buffered();
        tokio::select! {
            () = self.drain(&mut dropped) => {}
            () = workload.sleep("linger", LINGER) => {}
        }
        record.discard("input bytes", "session.protocol-error.delivery", 0, dropped);
    }

    async fn drain(&mut self, dropped: &mut usize) {
        if poll_fn(|context| self.poll_flush(context)).await.is_err() {
            return;
        }
        let half_close =
            |context: &mut Context<'_>| Pin::new(&mut self.stream).poll_shutdown(context);
        if poll_fn(half_close).await.is_err() {
            return;
        }
        while *dropped < LINGER_BYTES {
            match poll_fn(|context| self.poll_read(context)).await {
                Ok(0) | Err(_) => return,
                Ok(length) => *dropped += length,
            }
        }
    }
}

impl Carrier for Link {
    fn push(&mut self, message: &impl prost::Message) {
        framing::encode(&message.encode_to_vec(), &mut self.out);
        self.congested |= self.out.len() > CONGESTED_BYTES;
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_flush(context) {
                self.lost.get_or_insert(error.to_string());
            }
            if self.congested && self.out.len() <= CONGESTED_BYTES / 2 {
                self.congested = false;
                return Poll::Ready(Received::Drained);
            }
            match self.decoder.payload() {
                Ok(Some(payload)) => return Poll::Ready(Received::Payload(payload)),
                Ok(None) => {}
                Err(oversize) => return Poll::Ready(Received::Oversize(oversize)),
            }
            if let Some(why) = &self.lost {
                return Poll::Ready(Received::Lost(why.clone()));
            }
            if self.out.len() > PAUSE_READING_BYTES {
                return Poll::Pending; // woken when more can be written
            }
            match ready!(self.poll_read(context)) {
                Ok(0) => self.lost = Some("end of stream".into()),
                Ok(length) => self.decoder.feed(&self.chunk[..length]),
                Err(error) => self.lost = Some(error.to_string()),
            }
        }
    }
}
