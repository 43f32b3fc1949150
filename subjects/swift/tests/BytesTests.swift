// The golden vectors of spec/vectors: messages, framing, type ids.

struct FramingVector: Sendable {
  let name: String
  let payloads: [String]
  let bytes: String
  let limit: Int
}

struct MessageVector: Sendable {
  let name: String
  let envelope: String
  let hex: String
  let canonical: String?
}

/// What a vector decodes to, encoded again; envelopes without a known member are malformed.
private func recoded(_ vector: MessageVector) throws -> [UInt8] {
  let bytes = [UInt8](hex: vector.hex)
  func recode<Message: ProtobufMessage>(
    _: Message.Type, _ isEmpty: (Message) -> Bool
  ) throws -> [UInt8] {
    let message = try Message(decoding: bytes)
    if isEmpty(message) { throw Malformed(text: "no known member") }
    return message.encoded
  }
  switch vector.envelope {
  case "Prologue": return try recode(Wire.Prologue.self) { $0.kind == nil }
  case "StableHandshake": return try recode(Wire.StableHandshake.self) { $0.kind == nil }
  case "StableFrame": return try recode(Wire.StableFrame.self) { $0.kind == nil }
  case "Handshake": return try recode(Wire.Handshake.self) { $0.kind == nil }
  default: return try recode(Wire.Message.self) { $0.payload == nil }
  }
}

@RuntimeActor let protobufTests: [Test] = [
  (
    "messages are encoded as the vectors say",
    {
      for vector in Vectors.encodedMessages {
        let bytes = try recoded(vector)
        expect(bytes == [UInt8](hex: vector.hex), "\(vector.name): \(bytes.hex)")
      }
    }
  ),
  (
    "messages are decoded as the vectors say",
    {
      for vector in Vectors.decodedMessages {
        let bytes = try recoded(vector)
        expect(bytes.hex == vector.canonical, "\(vector.name): \(bytes.hex)")
      }
    }
  ),
  (
    "what the vectors refuse is malformed",
    {
      for vector in Vectors.refusedMessages {
        let bytes = try? recoded(vector)
        expect(bytes == nil, "\(vector.name) was taken")
      }
    }
  ),
]

@RuntimeActor let framingTests: [Test] = [
  (
    "payloads survive one piece and byte by byte",
    {
      for vector in Vectors.whole + Vectors.incomplete {
        let bytes = [UInt8](hex: vector.bytes)
        for pieces in [[bytes], bytes.map { [$0] }] {
          var decoder = FrameDecoder(limit: vector.limit)
          var payloads: [String] = []
          for piece in pieces {
            decoder.feed { $0.append(contentsOf: piece) }
            while let payload = try decoder.next() { payloads.append(payload.hex) }
          }
          expect(payloads == vector.payloads, "\(vector.name): \(payloads)")
        }
      }
      for vector in Vectors.whole {
        let bytes = vector.payloads.flatMap { Framing.encode([UInt8](hex: $0)) }
        expect(bytes.hex == vector.bytes, vector.name)
      }
    }
  ),
  (
    "a length over the limit is refused on its four bytes",
    {
      for vector in Vectors.refused {
        var decoder = FrameDecoder(limit: vector.limit)
        decoder.feed { $0.append(contentsOf: [UInt8](hex: vector.bytes)) }
        var payloads: [String] = []
        do throws(Oversize) {
          while let payload = try decoder.next() { payloads.append(payload.hex) }
          Check.fail("\(vector.name): nothing was refused")
        } catch { expect(error.length > vector.limit) }
        expect(payloads == vector.payloads, vector.name)
      }
    }
  ),
]

@RuntimeActor let schemaTests: [Test] = [
  (
    "SHA-256 of the standard's examples",
    {
      expectEqual(
        Sha256.hash(Array("abc".utf8)).hex,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
      expectEqual(
        Sha256.hash(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)).hex,
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }
  ),
  (
    "type ids are those of the vectors",
    {
      let all = DeclaredTypes.types + RecursiveTypes.types
      let ids = try TypeIds.compute(Dictionary(uniqueKeysWithValues: all.map { ($0.fullName, $0) }))
      expect(Vectors.schemaIds.count > 60)
      for (type, id) in Vectors.schemaIds { expect(ids[type] == id, type) }
    }
  ),
  (
    "a type that is announced twice, wrongly or not at all is a violation",
    {
      let catalogue = Catalogue(types: DeclaredTypes.types, methods: Testbed.methods)
      guard let method = catalogue.methods["counterpart.testbed.v1.Testbed/Echo"],
        let schema = Announcer(catalogue).arguments(method)
      else { return Check.fail("nothing is announced") }
      let tracker = Tracker(catalogue)
      expectEqual(
        violation { () throws(Violation) in _ = try tracker.bound(method.name, .arguments) }?.code,
        .schemaMissing)
      try tracker.learn(schema)
      expect(try tracker.bound(method.name, .arguments).mismatch == nil)
      expectEqual(
        violation { () throws(Violation) in try tracker.learn(schema) }?.code, .schemaDuplicate)
      var wrong = schema
      wrong.types[0].fullName += "x"
      expectEqual(
        violation { () throws(Violation) in try Tracker(catalogue).learn(wrong) }?.code,
        .schemaInvalid)
      var lacking = schema
      lacking.types.removeFirst()
      expectEqual(
        violation { () throws(Violation) in try Tracker(catalogue).learn(lacking) }?.code,
        .schemaMissing)
    }
  ),
  (
    "nothing is announced twice",
    {
      let catalogue = Catalogue(types: DeclaredTypes.types, methods: Testbed.methods)
      let announcer = Announcer(catalogue)
      guard let method = catalogue.methods["counterpart.testbed.v1.Testbed/Transform"] else {
        return Check.fail("no such method")
      }
      let first = announcer.arguments(method)
      expectEqual(first?.bindings.map(\.role), [.arguments, .channel])
      expect(announcer.arguments(method) == nil)
      let tracker = Tracker(catalogue)
      if let first { try tracker.learn(first) }
      if let items = announcer.items(method, method.channels[1]) { try tracker.learn(items) }
      if let response = announcer.response(method) { try tracker.learn(response) }
    }
  ),
  (
    "a field of another kind is a mismatch that names it",
    {
      var theirs = DeclaredTypes.types.first { $0.fullName.hasSuffix("v1.Number") }
      guard let ours = theirs, case .fields(var fields) = ours.body else {
        return Check.fail("no type")
      }
      fields[0].kind = 9
      theirs = .message("Other", fields)
      let announced = TypeDescription<UInt64>.message(
        "Other",
        fields.map {
          FieldDescription(
            number: $0.number, name: $0.name, cardinality: $0.cardinality, kind: $0.kind,
            oneofIndex: 0, reference: nil)
        })
      let mismatch = Compatibility.mismatch(
        [7: announced], 7, [ours.fullName: ours], ours.fullName)
      expect(mismatch?.contains("Number.value") == true)
    }
  ),
]
