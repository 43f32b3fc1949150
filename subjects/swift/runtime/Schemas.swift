// Strict schema exchange, per attachment and sender.  r[schema.tracking.sender]
//
// `Announcer` says what still has to be announced before a message may be sent; `Tracker` holds what
// the counterpart announced, refuses what was announced twice, used before or described wrongly, and
// finds incompatible types when they arrive. Both start from nothing on every attachment
// (r[session.resume.schemas], r[schema.tracking.attachment]).

private struct BindingKey: Hashable {
  let method: String
  let role: Wire.BindingRole
  let field: UInt32
}

@RuntimeActor
final class Announcer {
  private let catalogue: Catalogue
  private var types: Set<String> = []
  private var bindings: Set<BindingKey> = []

  init(_ catalogue: Catalogue) { self.catalogue = catalogue }

  /// What a Request still needs: the arguments, and the items its caller will send.
  func arguments(_ method: Method) -> Wire.Schema? {
    var schema = Wire.Schema()
    bind(Wire.Binding(method: method.name, role: .arguments), [method.request], &schema)
    for channel in method.channels where channel.isToCallee { bind(method, channel, &schema) }
    return schema.bindings.isEmpty ? nil : schema
  }

  /// What an ok or user error Response still needs.
  func response(_ method: Method) -> Wire.Schema? {
    var schema = Wire.Schema()
    var binding = Wire.Binding(method: method.name, role: .response)
    binding.errorTypeId = method.error.map(catalogue.id) ?? 0
    bind(binding, [method.response] + (method.error.map { [$0] } ?? []), &schema)
    return schema.bindings.isEmpty ? nil : schema
  }

  /// What the callee's first item on a channel still needs.
  func items(_ method: Method, _ channel: ChannelArgument) -> Wire.Schema? {
    var schema = Wire.Schema()
    bind(method, channel, &schema)
    return schema.bindings.isEmpty ? nil : schema
  }

  private func bind(_ method: Method, _ channel: ChannelArgument, _ schema: inout Wire.Schema) {
    let binding = Wire.Binding(
      method: method.name, role: .channel, channelField: channel.fieldNumber,
      initialCredit: channel.initialCredit)
    bind(binding, [channel.item], &schema)
  }

  /// `roots[0]` is what is bound.  r[schema.principles.once-per-type]
  private func bind(_ binding: Wire.Binding, _ roots: [String], _ schema: inout Wire.Schema) {
    let key = BindingKey(method: binding.method, role: binding.role, field: binding.channelField)
    guard bindings.insert(key).inserted else { return }
    for name in roots.flatMap({ catalogue.closure($0) }) where types.insert(name).inserted {
      schema.types.append(describe(name))
    }
    var binding = binding
    binding.typeId = catalogue.id(roots[0])
    schema.bindings.append(binding)
  }

  private func describe(_ name: String) -> Wire.TypeSchema {
    var said = Wire.TypeSchema(typeId: catalogue.id(name), fullName: name)
    switch catalogue.types[name]?.body {
    case .values(let values)?:
      let values = values.map { Wire.EnumValueSchema(number: $0.number, name: $0.name) }
      said.body = .enum(Wire.EnumSchema(values: values))
    case .fields(let fields)?:
      let fields = fields.map { field in
        Wire.FieldSchema(
          number: field.number, name: field.name,
          cardinality: Wire.Cardinality(rawValue: Int32(field.cardinality)),
          kind: UInt32(field.kind), oneofIndex: field.oneofIndex,
          typeId: field.reference.map(catalogue.id) ?? 0)
      }
      said.body = .message(Wire.MessageSchema(fields: fields))
    case nil: break
    }
    return said
  }
}

/// A binding of the counterpart; `mismatch` says why its values cannot be read here.
struct Bound: Sendable {
  let mismatch: String?
  let hasError: Bool
}

@RuntimeActor
final class Tracker {
  private static let mostTypes = 1 << 14
  private static let mostBindings = 1 << 14

  private let catalogue: Catalogue
  private var types: [UInt64: TypeDescription<UInt64>] = [:]
  private var ids: [UInt64: UInt64] = [:]  // of `types`, to themselves
  private var bindings: [BindingKey: Bound] = [:]

  init(_ catalogue: Catalogue) { self.catalogue = catalogue }

  /// Takes in one announcement.
  func learn(_ schema: Wire.Schema) throws(Violation) {
    let announced = try describe(schema)
    let computed: [UInt64: UInt64]
    do {
      computed = try TypeIds.compute(announced, known: ids)
    } catch {
      throw Self.missing("a type refers to one that was not announced")
    }
    for (id, type) in announced {
      guard computed[id] == id else {
        throw Violation(
          .schemaInvalid, "schema.type-id", "\(type.fullName) does not hash to the id announced")
      }
      types[id] = type
      ids[id] = id
    }
    for binding in schema.bindings { try bind(binding) }
  }

  /// The binding that something that has just arrived depends on.
  func bound(
    _ method: String, _ role: Wire.BindingRole, _ field: UInt32 = 0
  ) throws(Violation) -> Bound {
    let key = BindingKey(method: method, role: role, field: field)
    guard let found = bindings[key] else {
      throw Self.missing("\(method): \(role.name) \(field) was not announced")
    }
    return found
  }

  /// The mismatch of the items of a channel, if they were announced and do not match.
  func itemMismatch(_ method: Method, _ channel: ChannelArgument) -> String? {
    bindings[BindingKey(method: method.name, role: .channel, field: channel.fieldNumber)]?.mismatch
  }

  private func describe(
    _ schema: Wire.Schema
  ) throws(Violation) -> [UInt64: TypeDescription<UInt64>] {
    var announced: [UInt64: TypeDescription<UInt64>] = [:]
    for type in schema.types {
      if types[type.typeId] != nil || announced[type.typeId] != nil {
        throw Self.twice("\(type.fullName) was announced twice")
      }
      announced[type.typeId] = try Self.describe(type)
    }
    if types.count + announced.count > Self.mostTypes { throw Self.invalid("too many types") }
    return announced
  }

  private static func describe(
    _ type: Wire.TypeSchema
  ) throws(Violation) -> TypeDescription<UInt64> {
    switch type.body {
    case .enum(let body)?:
      let values = body.values.map { ValueDescription(number: $0.number, name: $0.name) }
      for (one, next) in zip(values, values.dropFirst()) {
        let isAscending =
          one.number == next.number
          ? one.name.utf8.lexicographicallyPrecedes(next.name.utf8) : one.number < next.number
        if !isAscending { throw invalid("\(type.fullName): values out of order") }
      }
      return .enumeration(type.fullName, values)
    case .message(let body)?:
      for (one, next) in zip(body.fields, body.fields.dropFirst()) where next.number <= one.number {
        throw invalid("\(type.fullName): fields out of order")
      }
      return .message(
        type.fullName,
        body.fields.map { field in
          FieldDescription(
            number: field.number, name: field.name,
            cardinality: UInt8(truncatingIfNeeded: field.cardinality.rawValue),
            kind: UInt8(truncatingIfNeeded: field.kind), oneofIndex: field.oneofIndex,
            reference: field.typeId == 0 ? nil : field.typeId)
        })
    case nil: throw invalid("\(type.fullName): neither message nor enum")
    }
  }

  private func bind(_ binding: Wire.Binding) throws(Violation) {
    let key = BindingKey(method: binding.method, role: binding.role, field: binding.channelField)
    if bindings[key] != nil { throw Self.twice("\(binding.method): bound twice") }
    guard [.arguments, .response, .channel].contains(binding.role) else {
      throw Self.invalid("\(binding.method): no such binding role")
    }
    if bindings.count >= Self.mostBindings { throw Self.invalid("too many bindings") }
    let hasError = binding.errorTypeId != 0
    guard types[binding.typeId] != nil, !hasError || types[binding.errorTypeId] != nil else {
      throw Self.missing("\(binding.method): its type was not announced")
    }
    bindings[key] = Bound(mismatch: mismatch(binding), hasError: hasError)
  }

  /// Why the binding does not suit our method; methods we lack suit everything.
  /// r[schema.errors.early]
  private func mismatch(_ binding: Wire.Binding) -> String? {
    guard let method = catalogue.methods[binding.method] else { return nil }
    switch binding.role {
    case .arguments: return compare(binding.typeId, method.request)
    case .response:
      if let mismatch = compare(binding.typeId, method.response) { return mismatch }
      guard binding.errorTypeId != 0, let error = method.error else { return nil }
      return compare(binding.errorTypeId, error)
    default:
      guard let channel = method.channels.first(where: { $0.fieldNumber == binding.channelField })
      else { return "\(method.name) has no channel \(binding.channelField)" }
      guard channel.initialCredit == binding.initialCredit else {
        return "\(method.name) channel \(channel.fieldNumber): initial credit "
          + "\(channel.initialCredit) here, \(binding.initialCredit) there"
      }
      return compare(binding.typeId, channel.item)
    }
  }

  private func compare(_ theirs: UInt64, _ ours: String) -> String? {
    if catalogue.id(ours) == theirs { return nil }
    return Compatibility.mismatch(types, theirs, catalogue.types, ours)
  }

  private static func missing(_ text: String) -> Violation {
    Violation(.schemaMissing, "schema.exchange.required", text)  // r[schema.exchange.required]
  }

  private static func twice(_ text: String) -> Violation {
    Violation(.schemaDuplicate, "schema.principles.once-per-type", text)
  }

  private static func invalid(_ text: String) -> Violation {
    Violation(.schemaInvalid, "schema.exchange.required", text)
  }
}
