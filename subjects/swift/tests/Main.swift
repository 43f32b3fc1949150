// Every unit test, then "N tests, N failures".

@main
struct Main {
  static func main() {
    Task { @RuntimeActor in
      var tests: [Test] = []
      for more in [protobufTests, framingTests, schemaTests, machineTests, channelTests] {
        tests += more
      }
      for more in [stableCoreTests, stableConduitTests, resumeTests, operationTests] {
        tests += more
      }
      for more in [outboxTests, commandLogTests, waitingTests] { tests += more }
      EventLoop.shared.start()
      for (name, body) in tests { await Check.run(name, body) }
      StandardStreams.say("\(tests.count) tests, \(Check.failures) failures")
      System.exit(Check.failures == 0 ? 0 : 1)
    }
    RuntimeActor.executor.run()
  }
}

typealias Test = (name: String, body: @RuntimeActor () async throws -> Void)
