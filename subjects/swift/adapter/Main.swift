// Serves the control plane on standard input and output.  r[control.stdio], r[control.start]

@main
struct Main {
  static func main() {
    System.ignoreBrokenPipes()
    RuntimeActor.executor.takeEverything()
    Task { @RuntimeActor in serve() }
    RuntimeActor.executor.run()
  }

  @RuntimeActor
  private static func serve() {
    let arguments = CommandLine.arguments.dropFirst()
    let options = arguments == ["--control", "stdio"] ? [] : Array(arguments)
    let mutant = options.count == 2 && options[0] == "--mutant" ? options[1] : ""
    guard options.isEmpty || !mutant.isEmpty, Mutation.activate(mutant) else {
      StandardStreams.complain("usage: subject [--control stdio | --mutant NAME]")
      System.exit(2)
    }
    let executions: Executions
    do {
      executions = try Executions(path: System.environment("COUNTERPART_EXECUTIONS"))
    } catch {
      StandardStreams.complain("the executions file: \(error.text)")
      System.exit(1)
    }
    let catalogue = Catalogue(types: DeclaredTypes.types, methods: Testbed.methods)
    let control = Control(Runtime(catalogue, executions: executions), mutant: mutant)
    EventLoop.shared.start()
    StandardStreams.say("counterpart-subject 1 stdio")
    StandardStreams.serve { message in
      Task { @RuntimeActor in
        let request = try ControlPlane.ControlRequest(decoding: message)
        StandardStreams.send(try await control.answer(request).encoded)
      }
    } ended: {
      control.close()
      System.exit(0)
    }
  }
}
