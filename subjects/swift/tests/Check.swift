// A test is a function with a name; a check that fails says where, and the program ends with 1.
// XCTest and Swift Testing need the package manager and Foundation; this needs neither.

@RuntimeActor
enum Check {
  private(set) static var failures = 0
  private static var test = ""

  /// Runs one test.
  static func run(_ name: String, _ body: @RuntimeActor () async throws -> Void) async {
    test = name
    do {
      try await body()
    } catch {
      fail("threw \(error)")
    }
  }

  static func fail(_ text: String, _ file: StaticString = #fileID, _ line: UInt = #line) {
    failures += 1
    StandardStreams.complain("\(file):\(line): \(test): \(text)")
  }
}

@RuntimeActor
func expect(
  _ condition: Bool, _ text: String = "", _ file: StaticString = #fileID, _ line: UInt = #line
) {
  if !condition { Check.fail(text.isEmpty ? "not so" : text, file, line) }
}

@RuntimeActor
func expectEqual<Value: Equatable>(
  _ actual: Value, _ expected: Value, _ file: StaticString = #fileID, _ line: UInt = #line
) {
  if actual != expected { Check.fail("\(actual), not \(expected)", file, line) }
}

/// The violation that `body` throws.
@RuntimeActor
func violation(
  _ file: StaticString = #fileID, _ line: UInt = #line,
  _ body: @RuntimeActor () throws(Violation) -> Void
) -> Violation? {
  do throws(Violation) {
    try body()
  } catch { return error }
  Check.fail("no violation", file, line)
  return nil
}

/// A variable that several tasks of a test share.
@RuntimeActor
final class Box<Value> {
  var value: Value

  init(_ value: Value) { self.value = value }
}

/// Lets every task run until it waits.
@RuntimeActor
func turn() async {
  for _ in 0..<10 { await EventLoop.shared.yield() }
}

extension [UInt8] {
  init(hex: String) {
    let digits = hex.utf8.map { $0 > 57 ? $0 - 87 : $0 - 48 }
    self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}
