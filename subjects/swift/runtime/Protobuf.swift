// The protobuf encoding, as far as our messages use it. Pure.
//
// r[wire.envelope]: unknown fields are skipped, the last value of a singular field counts, messages
// are merged, packed and single values of a repeated field are both read, 64 bits are kept, and
// text that is not UTF-8 is refused. Encoders write fields by number and no defaults.

/// Bytes that are not what they should be.
struct Malformed: Error, Equatable {
  let text: String
}

enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case delimited = 2
  case startGroup = 3
  case endGroup = 4
  case fixed32 = 5
}

/// What precedes every field: its number and how it is encoded.
struct Tag: Equatable {
  let number: UInt32
  let type: WireType
}

protocol ProtobufMessage: Sendable {
  init()

  /// Takes in the field that `tag` announces.
  mutating func merge(_ tag: Tag, from reader: inout ProtobufReader) throws(Malformed)
  func write(to writer: inout ProtobufWriter)
}

extension ProtobufMessage {
  init(decoding bytes: [UInt8]) throws(Malformed) {
    self.init()
    var reader = ProtobufReader(bytes)
    while let tag = try reader.tag() { try merge(tag, from: &reader) }
  }

  var encoded: [UInt8] {
    var writer = ProtobufWriter()
    write(to: &writer)
    return writer.output
  }
}

/// An enum of protobuf: it may hold numbers this program has no name for.
protocol OpenEnum: RawRepresentable, Hashable, Sendable where RawValue == Int32 {
  init(rawValue: Int32)
  static var names: [Int32: String] { get }
}

extension OpenEnum {
  /// The value's name in the proto file, or its number.
  var name: String { Self.names[rawValue] ?? String(rawValue) }

  /// The value with this name in the proto file.
  init?(name: String) {
    guard let found = Self.names.first(where: { $0.value == name }) else { return nil }
    self.init(rawValue: found.key)
  }
}

struct ProtobufReader {
  private let storage: [UInt8]
  private var position: Int
  private let end: Int

  init(_ bytes: [UInt8]) {
    storage = bytes
    position = 0
    end = bytes.count
  }

  private init(_ bytes: [UInt8], from position: Int, to end: Int) {
    storage = bytes
    self.position = position
    self.end = end
  }

  var isAtEnd: Bool { position == end }

  /// The next tag, nil at the end.
  mutating func tag() throws(Malformed) -> Tag? {
    if isAtEnd { return nil }
    let key = try varint()
    guard key <= UInt64(UInt32.max), key >> 3 != 0, let type = WireType(rawValue: UInt8(key & 7))
    else { throw Malformed(text: "a tag that cannot be") }
    return Tag(number: UInt32(key >> 3), type: type)
  }

  mutating func varint() throws(Malformed) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 70, by: 7) {
      guard position < end else { break }
      let byte = storage[position]
      position += 1
      value |= UInt64(byte & 0x7f) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    throw Malformed(text: "a number that does not end")
  }

  mutating func uint64() throws(Malformed) -> UInt64 { try varint() }
  mutating func uint32() throws(Malformed) -> UInt32 { UInt32(truncatingIfNeeded: try varint()) }
  mutating func int32() throws(Malformed) -> Int32 { Int32(truncatingIfNeeded: try varint()) }
  mutating func bool() throws(Malformed) -> Bool { try varint() != 0 }

  mutating func openEnum<Value: OpenEnum>() throws(Malformed) -> Value {
    Value(rawValue: try int32())
  }

  mutating func fixed32() throws(Malformed) -> UInt32 { UInt32(try fixed(4)) }
  mutating func fixed64() throws(Malformed) -> UInt64 { try fixed(8) }

  private mutating func fixed(_ size: Int) throws(Malformed) -> UInt64 {
    guard end - position >= size else { throw Malformed(text: "a number that is cut off") }
    var value: UInt64 = 0
    for index in 0..<size { value |= UInt64(storage[position + index]) << UInt64(8 * index) }
    position += size
    return value
  }

  /// The value of a length-delimited field.
  mutating func delimited() throws(Malformed) -> ProtobufReader {
    let length = try varint()
    guard length <= UInt64(end - position) else { throw Malformed(text: "a field that is cut off") }
    let start = position
    position += Int(length)
    return ProtobufReader(storage, from: start, to: position)
  }

  mutating func bytes() throws(Malformed) -> [UInt8] {
    let value = try delimited()
    return Array(storage[value.position..<value.end])
  }

  mutating func string() throws(Malformed) -> String {
    let value = try delimited()
    guard let text = String(validating: storage[value.position..<value.end], as: UTF8.self) else {
      throw Malformed(text: "text that is not UTF-8")
    }
    return text
  }

  mutating func merge(into message: inout some ProtobufMessage) throws(Malformed) {
    var value = try delimited()
    while let tag = try value.tag() { try message.merge(tag, from: &value) }
  }

  /// Passes over a field nobody knows.
  mutating func skip(_ tag: Tag) throws(Malformed) { try skip(tag, depth: 0) }

  private mutating func skip(_ tag: Tag, depth: Int) throws(Malformed) {
    switch tag.type {
    case .varint: _ = try varint()
    case .fixed32: _ = try fixed(4)
    case .fixed64: _ = try fixed(8)
    case .delimited: _ = try delimited()
    case .endGroup: throw Malformed(text: "the end of a group that has not begun")
    case .startGroup:
      guard depth < 100 else { throw Malformed(text: "groups nested too deep") }
      while let inner = try self.tag() {
        if inner == Tag(number: tag.number, type: .endGroup) { return }
        try skip(inner, depth: depth + 1)
      }
      throw Malformed(text: "a group that does not end")
    }
  }
}

struct ProtobufWriter {
  private(set) var output: [UInt8] = []

  private mutating func tag(_ number: UInt32, _ type: WireType) {
    varint(UInt64(number) << 3 | UInt64(type.rawValue))
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    output.append(UInt8(rest))
  }

  mutating func uint64(_ value: UInt64) { varint(value) }

  mutating func uint64(_ number: UInt32, _ value: UInt64) {
    tag(number, .varint)
    varint(value)
  }

  mutating func uint32(_ number: UInt32, _ value: UInt32) { uint64(number, UInt64(value)) }
  mutating func bool(_ number: UInt32, _ value: Bool) { uint64(number, value ? 1 : 0) }

  /// Negative numbers take ten bytes, as if they had 64 bits.
  mutating func int32(_ number: UInt32, _ value: Int32) {
    uint64(number, UInt64(bitPattern: Int64(value)))
  }

  mutating func openEnum(_ number: UInt32, _ value: some OpenEnum) { int32(number, value.rawValue) }

  mutating func fixed32(_ number: UInt32, _ value: UInt32) {
    tag(number, .fixed32)
    output.append(littleEndian: value)
  }

  mutating func fixed64(_ number: UInt32, _ value: UInt64) {
    tag(number, .fixed64)
    output.append(littleEndian: value)
  }

  mutating func bytes(_ number: UInt32, _ value: [UInt8]) {
    tag(number, .delimited)
    varint(UInt64(value.count))
    output.append(contentsOf: value)
  }

  mutating func string(_ number: UInt32, _ value: String) {
    tag(number, .delimited)
    varint(UInt64(value.utf8.count))
    output.append(contentsOf: value.utf8)
  }

  mutating func message(_ number: UInt32, _ value: some ProtobufMessage) {
    bytes(number, value.encoded)
  }
}

extension [UInt8] {
  mutating func append(littleEndian value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: type(of: value).bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }
}
