// Serves the control plane on standard input and output.  r[control.stdio]

@main
struct Main {
  static func main() {
    System.ignoreBrokenPipes()
    var mutant = ""
    var arguments = CommandLine.arguments.dropFirst()
    while let argument = arguments.popFirst() {
      switch argument {
      case "--control" where arguments.popFirst() == "stdio": break
      case "--mutant": mutant = arguments.popFirst() ?? ""
      default:
        complain("usage: subject [--control stdio] [--mutant NAME]")
        System.exit(2)
      }
    }
    Task { @RuntimeActor [mutant] in serve(mutant) }
    RuntimeActor.executor.run()
  }

  @RuntimeActor
  private static func serve(_ mutant: String) {
    let executions: Executions
    do {
      executions = try Executions(path: System.environment("COUNTERPART_EXECUTIONS"))
    } catch {
      complain("the executions file: \(error.text)")
      System.exit(1)
    }
    guard Mutation.activate(mutant) else {
      complain("no mutant is called \(mutant)")
      System.exit(2)
    }
    let catalogue = Catalogue(types: DeclaredTypes.types, methods: Testbed.methods)
    let control = Control(Runtime(catalogue, executions: executions), mutant: mutant)
    EventLoop.shared.start()
    say(Array("counterpart-subject 1 stdio\n".utf8))
    System.makeNonBlocking(0)
    var decoder = FrameDecoder(limit: 64 << 20)
    _ = EventLoop.shared.watch(0, input: true, output: false) { _ in
      switch decoder.feed({ System.read(0, into: &$0, most: 1 << 16) }) {
      case .wouldBlock: return
      case .ended, .failed:  // r[control.start]
        control.close()
        System.exit(0)
      case .moved: break
      }
      do {
        while let payload = try decoder.next() {
          let request = try ControlPlane.ControlRequest(decoding: payload)
          Task { @RuntimeActor in
            let reply = try await control.answer(request)
            say(Framing.encode(reply.encoded))
          }
        }
      } catch {
        complain("not a ControlRequest: \(error)")
        System.exit(1)
      }
    }
  }

  /// Standard output stays blocking: whoever commands a subject reads its replies.
  private static func say(_ bytes: [UInt8]) { write(1, bytes) }

  private static func complain(_ text: String) { write(2, Array("\(text)\n".utf8)) }

  private static func write(_ number: Int32, _ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      switch System.write(number, rest) {
      case .moved(let count): rest = rest.dropFirst(count)
      case .wouldBlock: _ = System.poll([.init(number: number, input: false, output: true)], timeout: nil)
      case .ended, .failed: return
      }
    }
  }
}
