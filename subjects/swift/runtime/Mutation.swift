// Faults this runtime can be started with, to prove that they are found. A fault is a case here and a
// test of `Mutation.active` at the place it changes.

enum Mutation: String, CaseIterable {
  case none = ""

  @RuntimeActor private(set) static var active = Mutation.none

  /// Switches one fault on for the life of the process; false if there is none of that name.
  @RuntimeActor
  static func activate(_ name: String) -> Bool {
    guard let found = Mutation(rawValue: name) else { return false }
    active = found
    return true
  }
}
