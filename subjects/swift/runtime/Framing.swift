// Payload boundaries: a u32 little-endian length, then that many bytes. Pure.
//
// r[link.message]: boundaries survive any split or merge of the bytes fed. r[link.limit]: a length
// over the maximum is refused on its four bytes alone, so at most one incomplete payload, and what
// one read returned, is ever buffered.

/// A payload announced more bytes than this side accepts.
struct Oversize: Error {
  let length: Int
  let limit: Int

  var text: String { "a payload of \(length) bytes, at most \(limit) are accepted" }
}

enum Framing {
  /// One payload as it crosses the link.
  static func encode(_ payload: [UInt8]) -> [UInt8] {
    var framed: [UInt8] = []
    framed.reserveCapacity(4 + payload.count)
    framed.append(littleEndian: UInt32(payload.count))
    framed.append(contentsOf: payload)
    return framed
  }
}

/// Bytes in, payloads out. `limit` may change between two payloads.
struct FrameDecoder {
  var limit: Int
  private var buffer: [UInt8] = []
  private var start = 0

  init(limit: Int) { self.limit = limit }

  /// Bytes fed and not yet returned.
  var buffered: Int { buffer.count - start }

  /// Takes in what `read` appends to the buffer it is given.
  mutating func feed<Result>(_ read: (inout [UInt8]) -> Result) -> Result {
    if start > 0 {
      buffer.removeSubrange(..<start)
      start = 0
    }
    return read(&buffer)
  }

  /// The next complete payload, nil until more is fed.
  mutating func next() throws(Oversize) -> [UInt8]? {
    guard buffered >= 4 else { return nil }
    var length = 0
    for index in 0..<4 { length |= Int(buffer[start + index]) << (8 * index) }
    if length > limit { throw Oversize(length: length, limit: limit) }
    guard buffered >= 4 + length else { return nil }
    let payload = Array(buffer[(start + 4)..<(start + 4 + length)])
    start += 4 + length
    return payload
  }
}
