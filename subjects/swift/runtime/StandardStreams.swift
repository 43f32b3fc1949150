// Length-delimited messages on standard input and output.

@RuntimeActor
enum StandardStreams {
  private static let mostBytes = 64 << 20

  /// Calls `received` with each message of standard input, and `ended` at its end.
  static func serve(
    _ received: @escaping @RuntimeActor ([UInt8]) -> Void, ended: @escaping @RuntimeActor () -> Void
  ) {
    System.makeNonBlocking(0)
    var decoder = FrameDecoder(limit: mostBytes)
    _ = EventLoop.shared.watch(0, input: true, output: false) { _ in
      switch decoder.feed({ System.read(0, into: &$0, most: 1 << 16) }) {
      case .wouldBlock: return
      case .ended, .failed: return ended()
      case .moved: break
      }
      do throws(Oversize) {
        while let message = try decoder.next() { received(message) }
      } catch {
        complain(error.text)
        ended()
      }
    }
  }

  static func send(_ message: [UInt8]) { write(1, Framing.encode(message)) }

  /// One line on standard output.
  static func say(_ line: String) { write(1, Array("\(line)\n".utf8)) }

  /// One line on standard error.
  static func complain(_ line: String) { write(2, Array("\(line)\n".utf8)) }

  /// Waits until all of it is written: whoever started the process reads its output.
  private static func write(_ number: Int32, _ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      switch System.write(number, rest) {
      case .moved(let count): rest = rest.dropFirst(count)
      case .wouldBlock:
        _ = System.poll([Interest(number: number, input: false, output: true)], timeout: nil)
      case .ended, .failed: return
      }
    }
  }
}
