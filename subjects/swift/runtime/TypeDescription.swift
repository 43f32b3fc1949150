// Descriptions of types, and their canonical ids.  r[schema.type-id.canonical]. Pure.
//
// References to other types are keys: full names for types of this program, announced ids for those
// of a counterpart; the same functions serve both.

struct FieldDescription<Key: Hashable & Sendable>: Sendable {
  var number: UInt32
  var name: String
  var cardinality: UInt8  // Wire.Cardinality
  var kind: UInt8  // google.protobuf.FieldDescriptorProto.Type
  var oneofIndex: UInt32  // 1-based, 0 = in none
  var reference: Key?
  var isRequired = false  // this program's own wish, no part of the id
}

struct ValueDescription: Sendable {
  var number: Int32
  var name: String
}

/// A message, fields by ascending number, or an enum, values by number, then name.
struct TypeDescription<Key: Hashable & Sendable>: Sendable {
  enum Body: Sendable {
    case fields([FieldDescription<Key>])
    case values([ValueDescription])
  }

  let fullName: String
  let body: Body

  static func message(_ name: String, _ fields: [FieldDescription<Key>]) -> Self {
    Self(fullName: name, body: .fields(fields))
  }

  static func enumeration(_ name: String, _ values: [ValueDescription]) -> Self {
    Self(fullName: name, body: .values(values))
  }

  var fields: [FieldDescription<Key>] {
    if case .fields(let fields) = body { fields } else { [] }
  }

  var isEnumeration: Bool {
    if case .values = body { true } else { false }
  }

  /// The types this one mentions.
  var references: [Key] { fields.compactMap(\.reference) }
}

/// A description refers to a type that nobody described.
struct UnknownType: Error {}

enum TypeIds {
  private static let memberReference: UInt64 = 1 << 63  // an index inside the group, not an id

  /// The id of each of `types`; `known` holds those of other types they may refer to.
  static func compute<Key>(
    _ types: [Key: TypeDescription<Key>], known: [Key: UInt64] = [:]
  ) throws(UnknownType) -> [Key: UInt64] {
    var ids = known
    for group in StronglyConnected.groups(types.mapValues(\.references)) {
      let first = group[0]
      if let only = types[first], group.count == 1, !only.references.contains(first) {
        ids[first] = firstEight(Sha256.hash(try canonical(only, ids)))
        continue
      }
      // r[schema.type-id.recursive]
      let members = group.compactMap { key in types[key].map { (key, $0) } }
        .sorted { $0.1.fullName.utf8.lexicographicallyPrecedes($1.1.fullName.utf8) }
      var inside = ids
      for (index, member) in members.enumerated() {
        inside[member.0] = memberReference | UInt64(index)
      }
      var bytes: [UInt8] = [UInt8(ascii: "G")]
      bytes.append(littleEndian: UInt32(members.count))
      for member in members { bytes.append(contentsOf: try canonical(member.1, inside)) }
      let hash = Sha256.hash(bytes)
      for (index, member) in members.enumerated() {
        var numbered = hash
        numbered.append(littleEndian: UInt32(index))
        ids[member.0] = firstEight(Sha256.hash(numbered))
      }
    }
    return ids.filter { types[$0.key] != nil }
  }

  private static func firstEight(_ hash: [UInt8]) -> UInt64 {
    hash.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func canonical<Key>(
    _ type: TypeDescription<Key>, _ ids: [Key: UInt64]
  ) throws(UnknownType) -> [UInt8] {
    var bytes: [UInt8] = []
    switch type.body {
    case .values(let values):
      bytes.append(UInt8(ascii: "E"))
      append(type.fullName, to: &bytes)
      bytes.append(littleEndian: UInt32(values.count))
      for value in values {
        bytes.append(littleEndian: value.number)
        append(value.name, to: &bytes)
      }
    case .fields(let fields):
      bytes.append(UInt8(ascii: "M"))
      append(type.fullName, to: &bytes)
      bytes.append(littleEndian: UInt32(fields.count))
      for field in fields {
        bytes.append(littleEndian: field.number)
        append(field.name, to: &bytes)
        bytes.append(field.cardinality)
        bytes.append(field.kind)
        bytes.append(littleEndian: field.oneofIndex)
        var id: UInt64 = 0
        if let reference = field.reference {
          guard let known = ids[reference] else { throw UnknownType() }
          id = known
        }
        bytes.append(littleEndian: id)
      }
    }
    return bytes
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(littleEndian: UInt32(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }
}

/// Tarjan's algorithm, without recursion: the graph may be a counterpart's.
enum StronglyConnected {
  /// Groups of keys that reach each other, those referred to before those that refer to them.
  static func groups<Key>(_ edges: [Key: [Key]]) -> [[Key]] {
    var order: [Key: Int] = [:]
    var low: [Key: Int] = [:]
    var stack: [Key] = []
    var onStack: Set<Key> = []
    var found: [[Key]] = []
    func enter(_ key: Key) -> (key: Key, next: Int) {
      order[key] = order.count
      low[key] = order[key]
      stack.append(key)
      onStack.insert(key)
      return (key, 0)
    }
    for root in edges.keys where order[root] == nil {
      var path = [enter(root)]
      while let (node, next) = path.last {
        let targets = edges[node] ?? []
        if next < targets.count {
          path[path.count - 1].next += 1
          let target = targets[next]
          if edges[target] == nil { continue }
          if order[target] == nil {
            path.append(enter(target))
          } else if onStack.contains(target) {
            low[node] = min(low[node] ?? 0, order[target] ?? 0)
          }
          continue
        }
        path.removeLast()
        if let parent = path.last?.key { low[parent] = min(low[parent] ?? 0, low[node] ?? 0) }
        guard low[node] == order[node] else { continue }
        var group: [Key] = []
        while let member = stack.popLast() {
          onStack.remove(member)
          group.append(member)
          if member == node { break }
        }
        found.append(group)
      }
    }
    return found
  }
}

enum Compatibility {
  /// Why values of their type cannot be read as ours; nil if they can.  r[schema.compat]
  static func mismatch(
    _ theirs: [UInt64: TypeDescription<UInt64>], _ theirId: UInt64,
    _ ours: [String: TypeDescription<String>], _ ourName: String
  ) -> String? {
    struct Pair: Hashable {
      let id: UInt64
      let name: String
    }
    var seen: Set<Pair> = []
    var work = [Pair(id: theirId, name: ourName)]
    while let pair = work.popLast() {
      guard seen.insert(pair).inserted, let sent = theirs[pair.id], let read = ours[pair.name]
      else { continue }
      if sent.isEnumeration != read.isEnumeration {
        return "\(read.fullName): one side has a message, the other an enum"
      }
      for field in read.fields {
        let what = "\(read.fullName).\(field.name)"
        guard let other = sent.fields.first(where: { $0.number == field.number }) else {
          if field.isRequired { return "\(what): required, and \(sent.fullName) lacks it" }
          continue
        }
        // r[schema.errors.type-mismatch], r[schema.errors.content]
        if other.kind != field.kind || other.cardinality != field.cardinality {
          return "\(what): kind \(field.kind)/\(field.cardinality) here, "
            + "\(other.kind)/\(other.cardinality) in \(sent.fullName)"
        }
        if let name = field.reference, let id = other.reference {
          work.append(Pair(id: id, name: name))
        }
      }
    }
    return nil
  }
}
