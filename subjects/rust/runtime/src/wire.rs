//! Wire messages: the envelope of a phase, decoded strictly, and the constants of the protocol.
//!
//! r[wire.envelope]: every payload is one envelope whose members have numbers of their own; one
//! with no known member, an empty one, or one of another phase is [`Malformed`].

use counterpart_spec::wire::{
    Handshake, Message, Prologue, ProtocolErrorCode, StableFrame, StableHandshake, handshake,
    message, prologue, stable_frame, stable_handshake,
};
pub use counterpart_spec::wire::{ProtocolErrorCode as Code, message::Payload};

/// The bytes "CPRT" on the wire.
pub const MAGIC: u32 = 0x5452_5043;
/// The only version there is.
pub const VERSION: u32 = 1;
/// What an announced maximum of 0 stands for, in bytes.
pub const DEFAULT_MAX_PAYLOAD: u32 = 16 << 20;
/// No smaller maximum may be announced.
pub const LEAST_MAX_PAYLOAD: u32 = 64 << 10;
/// Prologue and handshakes, both ways.  r[link.limit.announce]
pub const HANDSHAKE_MAX_PAYLOAD: u32 = 64 << 10;
/// A session id, and the least a resume key may have.
pub const ID_BYTES: usize = 16;

/// The payload is not an envelope of the phase it came in.
#[derive(Debug)]
pub struct Malformed(pub String);

/// The counterpart broke `rule`, which ends the session.  r[session.protocol-error]
#[derive(Debug)]
pub struct Violation {
    /// Of the closed list.
    pub code: ProtocolErrorCode,
    /// Its id.
    pub rule: &'static str,
    /// For a reader.
    pub text: String,
}

impl Violation {
    /// A broken rule; what the counterpart did is found out by whoever sees one.
    pub fn new(code: ProtocolErrorCode, rule: &'static str, text: impl Into<String>) -> Self {
        Self { code, rule, text: text.into() }
    }
}

fn decode<E: prost::Message + Default>(payload: &[u8]) -> Result<E, Malformed> {
    E::decode(payload).map_err(|error| Malformed(error.to_string()))
}

fn known<T>(member: Option<T>, envelope: &str) -> Result<T, Malformed> {
    member.ok_or_else(|| Malformed(format!("no known member of {envelope}")))
}

/// The member of a Prologue.
pub fn prologue(payload: &[u8]) -> Result<prologue::Kind, Malformed> {
    known(decode::<Prologue>(payload)?.kind, "Prologue")
}

/// The member of a StableHandshake.
pub fn stable_handshake(payload: &[u8]) -> Result<stable_handshake::Kind, Malformed> {
    known(decode::<StableHandshake>(payload)?.kind, "StableHandshake")
}

/// The member of a StableFrame.
pub fn stable_frame(payload: &[u8]) -> Result<stable_frame::Kind, Malformed> {
    known(decode::<StableFrame>(payload)?.kind, "StableFrame")
}

/// The member of a Handshake.
pub fn handshake(payload: &[u8]) -> Result<handshake::Kind, Malformed> {
    known(decode::<Handshake>(payload)?.kind, "Handshake")
}

/// The connection and the member of a Message.
pub fn message(payload: &[u8]) -> Result<(u64, Payload), Malformed> {
    let message = decode::<Message>(payload)?;
    Ok((message.connection_id, known(message.payload, "Message")?))
}

/// What an announced max_payload means in bytes; none if it is out of range.
pub fn accepted_maximum(announced: u32) -> Option<u32> {
    match announced {
        0 => Some(DEFAULT_MAX_PAYLOAD),
        LEAST_MAX_PAYLOAD.. => Some(announced),
        _ => None,
    }
}

/// The member's name, and the request id, channel id or nonce it is about.
pub fn subject(payload: &message::Payload) -> (&'static str, u64) {
    match payload {
        Payload::ProtocolError(_) => ("protocol_error", 0),
        Payload::Ping(ping) => ("ping", ping.nonce),
        Payload::Pong(pong) => ("pong", pong.nonce),
        Payload::Goodbye(_) => ("goodbye", 0),
        Payload::OpenConnection(_) => ("open_connection", 0),
        Payload::AcceptConnection(_) => ("accept_connection", 0),
        Payload::RejectConnection(_) => ("reject_connection", 0),
        Payload::CloseConnection(_) => ("close_connection", 0),
        Payload::Schema(_) => ("schema", 0),
        Payload::Request(request) => ("request", request.request_id),
        Payload::Response(response) => ("response", response.request_id),
        Payload::CancelRequest(cancel) => ("cancel_request", cancel.request_id),
        Payload::ChannelItem(item) => ("channel_item", item.channel_id),
        Payload::CloseChannel(close) => ("close_channel", close.channel_id),
        Payload::ResetChannel(reset) => ("reset_channel", reset.channel_id),
        Payload::GrantCredit(grant) => ("grant_credit", grant.channel_id),
    }
}

/// At most 1 KiB of `text`, whole characters.
pub fn shortened(text: &str) -> String {
    text.chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= 1024).then_some(c)
        })
        .collect()
}
