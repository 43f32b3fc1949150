// Prologue and session handshake, what both sides share.
//
// r[transport.prologue.first-payload], r[session.handshake]: hello → accept | reject, then Hello →
// HelloYourself | Sorry → LetsGo | Sorry. Each payload has one place; anything else is answered with
// TransportReject or Sorry(MALFORMED) and ends the link (r[transport.prologue.reject-close]). Every
// payload here is at most 64 KiB. The link changes hands at LetsGo, in the same read.

/// Why a handshake is refused, and how that is said.
enum HandshakeRefusal: Error {
  case reject(Wire.TransportRejectReason, String)
  case sorry(Wire.SorryReason, String)

  var text: String {
    switch self {
    case .reject(_, let text), .sorry(_, let text): text
    }
  }

  var payload: [UInt8] {
    switch self {
    case .reject(let reason, let text):
      Wire.Prologue(kind: .reject(Wire.TransportReject(reason: reason, text: text.short))).encoded
    case .sorry(let reason, let text):
      Wire.Handshake(kind: .sorry(Wire.Sorry(reason: reason, detail: text.short))).encoded
    }
  }

  /// What the payload of one step should have been, said in the terms of that step.
  static func malformed(inPrologue: Bool, _ text: String) -> HandshakeRefusal {
    inPrologue ? .reject(.malformed, text) : .sorry(.malformed, text)
  }

  /// r[session.handshake.sorry]
  static func check(schema: UInt64, _ runtime: Runtime) throws(HandshakeRefusal) {
    guard schema == runtime.protocolSchema else {
      throw .sorry(.incompatibleSchema, "another protocol schema than that of this program")
    }
  }
}

/// The counterpart refused, or was refused: not worth another dial.
struct Refused: Ending {
  enum Side { case rejected, sorry, protocolError }
  let by: Side
  let name: String  // of the reason, as in the wire protocol
  let text: String
  var rule: String { name }
  var reason: ControlPlane.FailureReason { enumeration("FAILURE_REASON_", by) }
}
