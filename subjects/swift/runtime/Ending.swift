// Why a session, or the attempt to open one, is over.

/// `rule` names what was broken, or what the counterpart named; empty if nothing.
protocol Ending: Error {
  var reason: ControlPlane.FailureReason { get }
  var text: String { get }
  var rule: String { get }
}
