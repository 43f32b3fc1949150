// The actor that owns everything in the runtime, and the executor that runs it on one thread.
//
// Every class of the runtime belongs to `RuntimeActor`, so that a data race does not compile and
// nothing has to be locked. Its jobs run in the order they were enqueued, on the thread that called
// `LoopExecutor.run`; no other thread exists, which is also what makes it visible from outside
// whether the process is at rest.

import Synchronization

@globalActor
actor RuntimeActor {
  static let shared = RuntimeActor()
  static let executor = LoopExecutor()

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    Self.executor.asUnownedSerialExecutor()
  }
}

/// Runs the jobs of one actor in order, on one thread.
final class LoopExecutor: SerialExecutor {
  private struct Queue {
    var jobs: [UnownedJob] = []
    var next = 0
    var isAsleep = false
  }

  private let queue = Mutex(Queue())
  private let wakeInput: Int32
  private let wakeOutput: Int32

  init() {
    do {
      (wakeInput, wakeOutput) = try System.makePipe()
    } catch {
      fatalError("no pipe: \(error.text)")
    }
  }

  /// Readable when a job came from another thread while this one was asleep.
  var wakeUp: Interest { Interest(number: wakeInput, input: true, output: false) }

  /// Jobs that wait to be run.
  var waiting: Int { queue.withLock { $0.jobs.count - $0.next } }

  func enqueue(_ job: consuming ExecutorJob) { append(UnownedJob(job)) }

  /// Takes jobs of no actor as well, the first steps of tasks among them. The process has no other
  /// threads to run them on, and no timers of a thread pool.
  func takeEverything() {
    System.redirectJobs { job in RuntimeActor.executor.append(job) }
  }

  private func append(_ job: UnownedJob) {
    let wasAsleep = queue.withLock { queue in
      queue.jobs.append(job)
      defer { queue.isAsleep = false }
      return queue.isAsleep
    }
    if wasAsleep { _ = System.write(wakeOutput, [0]) }
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  /// May the thread sleep? False if there are jobs; then it must not.
  func fallAsleep() -> Bool {
    queue.withLock { queue in
      queue.isAsleep = queue.next == queue.jobs.count
      return queue.isAsleep
    }
  }

  /// The thread is awake again, for whatever reason.
  func wokeUp() {
    queue.withLock { $0.isAsleep = false }
    var told: [UInt8] = []
    _ = System.read(wakeInput, into: &told, most: 64)
  }

  /// Makes this thread the actor's. There must always be a job: the event loop's next turn.
  func run() -> Never {
    while let job = next() { job.runSynchronously(on: asUnownedSerialExecutor()) }
    fatalError("the event loop has stopped turning")
  }

  private func next() -> UnownedJob? {
    queue.withLock { queue in
      guard queue.next < queue.jobs.count else { return nil }
      let job = queue.jobs[queue.next]
      queue.next += 1
      if queue.next == queue.jobs.count {
        queue.jobs.removeAll(keepingCapacity: true)
        queue.next = 0
      }
      return job
    }
  }
}
