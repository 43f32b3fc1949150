// Methods, as the service declares them; what a handler is given and what it gives back.

/// One channel argument: who sends, what, and with how much credit at first (items).
struct ChannelArgument: Sendable {
  let fieldNumber: UInt32
  let isToCallee: Bool
  let item: String
  let initialCredit: UInt32
}

/// One method. Types by full name; `error` is nil if it declares no user error.
struct Method: Sendable {
  let name: String
  let request: String
  let requestType: any ProtobufMessage.Type
  let response: String
  let error: String?
  let isIdem: Bool
  let channels: [ChannelArgument]
}

/// One execution of an operation. `ends` are the handler's channel ends by field number.
struct Invocation: Sendable {
  let method: Method
  let request: any ProtobufMessage
  let metadata: [Wire.MetadataEntry]
  let sessionId: [UInt8]
  let generation: UInt64
  let operation: UInt64
  let execution: UInt32
  let ends: [UInt32: any ChannelEnd]
  /// Makes a call of whoever called, with the metadata of this one that may go on, and waits for its
  /// end.  r[rpc.metadata.no-propagate]
  let call: @RuntimeActor @Sendable (_ method: String, _ arguments: [UInt8]) async throws -> Void
  /// What goes out with the Response.
  let reply: ReplyMetadata
}

/// Metadata of a Response, as its handler leaves it.
@RuntimeActor
final class ReplyMetadata {
  var entries: [Wire.MetadataEntry] = []
}

/// Thrown by a handler to return the method's user error.  r[rpc.fallible]
struct UserError: Error {
  let value: any ProtobufMessage
}

/// What the application does with a call it received. Anything but a UserError that it throws is a
/// crash of the handler.
typealias Handler = @RuntimeActor @Sendable (Invocation) async throws -> any ProtobufMessage

/// The types and methods of this program.
@RuntimeActor
final class Catalogue {
  let types: [String: TypeDescription<String>]
  let ids: [String: UInt64]
  let methods: [String: Method]
  private var closures: [String: [String]] = [:]

  init(types: [TypeDescription<String>], methods: [Method]) {
    let byName = Dictionary(uniqueKeysWithValues: types.map { ($0.fullName, $0) })
    self.types = byName
    self.methods = Dictionary(uniqueKeysWithValues: methods.map { ($0.name, $0) })
    do {
      ids = try TypeIds.compute(byName)
    } catch {
      fatalError("a declared type refers to one that is not declared")
    }
  }

  func id(_ name: String) -> UInt64 {
    guard let id = ids[name] else { fatalError("\(name) is not declared") }
    return id
  }

  /// The type and what it reaches, referred-to types first (cycles aside).
  func closure(_ root: String) -> [String] {
    if let known = closures[root] { return known }
    var found: [String] = []
    var entered: Set<String> = []
    func visit(_ name: String) {
      guard entered.insert(name).inserted, let type = types[name] else { return }
      for reference in type.references { visit(reference) }
      found.append(name)
    }
    visit(root)
    closures[root] = found
    return found
  }
}
