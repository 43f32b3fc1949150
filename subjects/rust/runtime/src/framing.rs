//! Payload boundaries: a u32 little-endian length, then that many bytes. Pure.
//!
//! r[link.message]: boundaries survive any split or merge of the bytes fed. r[link.limit]: a length
//! over the limit is refused on its four bytes alone, so at most one incomplete payload, and what
//! one read returned, is ever buffered.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const LENGTH: usize = 4;

/// A payload announced more bytes than this side accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// What was announced.
    pub length: u32,
}

/// Bytes in, payloads out.
#[derive(Debug)]
pub struct Decoder {
    limit: u32,
    buffer: BytesMut,
}

impl Decoder {
    /// Accepts payloads of up to `limit` bytes.
    pub fn new(limit: u32) -> Self {
        Self { limit, buffer: BytesMut::new() }
    }

    /// From the next payload on, accept up to `limit` bytes.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Takes in what was read.
    pub fn feed(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Bytes fed and not yet returned.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next complete payload, or none until more is fed.
    pub fn payload(&mut self) -> Result<Option<Bytes>, Oversize> {
        let Some(mut head) = self.buffer.get(..LENGTH) else { return Ok(None) };
        let length = head.get_u32_le();
        if length > self.limit {
            return Err(Oversize { length });
        }
        if self.buffer.len() - LENGTH < length as usize {
            return Ok(None);
        }
        self.buffer.advance(LENGTH);
        Ok(Some(self.buffer.split_to(length as usize).freeze()))
    }
}

/// Appends one payload as it crosses the link.
pub fn encode(payload: &[u8], out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(payload.len()).expect("checked against a u32 limit before"));
    out.extend_from_slice(payload);
}
