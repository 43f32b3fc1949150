// The executions file: one line per run of a handler, before its first effect.
// r[control.journal.executions]

@RuntimeActor
final class Executions {
  private let file: Descriptor?

  /// An empty path keeps no record.
  init(path: String) throws(SystemError) {
    file = path.isEmpty ? nil : try System.openForAppending(path)
  }

  /// One execution begins; `attempt` counts the operation's executions from 1. One write: the count
  /// survives the death of the process.
  func append(session: [UInt8], operation: UInt64, attempt: UInt32, generation: UInt64) {
    let line = "\(session.hex) \(operation) \(attempt) \(generation)\n"
    if let number = numberOfFile { _ = System.write(number, Array(line.utf8)[...]) }
  }

  private var numberOfFile: Int32? {
    switch file {
    case .some(let file): file.number
    case .none: nil
    }
  }
}

extension [UInt8] {
  /// Two lower-case digits per byte.
  var hex: String {
    let digits = [Character]("0123456789abcdef")
    return String(flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}
