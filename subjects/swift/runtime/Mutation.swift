// Faults this runtime can be started with, to prove that they are found. A fault is a case here and a
// test of `isActive` at the place it changes; subjects/mutants/catalog.yaml says what each does.

enum Mutation: String, CaseIterable {
  case none = ""
  case dropsItemWhenQueueIsFull = "drops_item_when_queue_is_full"
  case dropsItemWhenReceiverIsGone = "drops_item_when_receiver_is_gone"
  case losesEarlyItems = "loses_early_items"
  case deliversAfterClose = "delivers_item_after_close"
  case closeLosesTail = "close_loses_the_tail"
  case sideSendOvertakesBacklog = "side_send_overtakes_backlog"
  case twoResumesInterleave = "two_resumes_interleave"
  case completesOnOldGeneration = "completes_attempt_of_old_generation"
  case oldFinalizerClosesNewChannel = "old_generation_finalizer_closes_new_channel"
  case operationIdsRestart = "operation_ids_restart_after_reconnect"
  case rerunsNonIdemWithChannels = "reruns_non_idem_with_channels"
  case rerunBindsOldEnds = "idem_rerun_binds_old_ends"

  @RuntimeActor private static var active = Mutation.none

  @RuntimeActor var isActive: Bool { self == Self.active }

  /// Switches one fault on for the life of the process; false if there is none of that name.
  @RuntimeActor
  static func activate(_ name: String) -> Bool {
    guard let found = Mutation(rawValue: name) else { return false }
    active = found
    return true
  }
}
