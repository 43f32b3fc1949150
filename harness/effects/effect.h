// What a machine asks of the world, and what the world answers. Plain values: both are recorded
// in the trace as they are, and a replay compares requests and feeds answers byte for byte.
//
// Ids are chosen by the machine and mean nothing outside its run: links, listeners and questions
// count from 1 each. The world translates them (and command ids and scopes inside control
// requests) to its own, so that a trace is the same whatever else runs beside it.
//
// A run may have two subjects. `subject` says which of them is meant: 0 the first (or only) one.
// Links and listeners belong to a subject; their ids count for each by itself.
#ifndef COUNTERPART_EFFECTS_EFFECT_H_
#define COUNTERPART_EFFECTS_EFFECT_H_

#include <cstdint>
#include <string>

namespace counterpart::effects {

// In the order they came to be: their numbers are in the hashes of traces that are kept. So are
// those of the next ones.
enum class EffectKind : uint8_t {
  kListen,         // id: listener. Open a loopback listener; answered by kListening.
  kStopListening,  // id: listener. Connects are refused from now on; the port stays reserved, and
                   // a later kListen with the same id takes the same port again.
  kDial,           // id: link, number: port. Answered by kLinkUp or kLinkRefused.
  kWrite,          // id: link, bytes. Never answered; bytes the kernel does not take are queued.
  kFin,            // id: link. Close after everything written: the other side reads EOF.
                   // This and the next two, with number 1: answered by kProof.
  kHalfClose,      // id: link. Shut down writing only; reading goes on.
  kRst,            // id: link. Reset: what is queued on either side may be lost.
  kStopReading,    // id: link. Leave input in the kernel until kResumeReading; with number 1 until
                   // the subject is at rest, answered by kProof then.
  kResumeReading,  // id: link.
  kLimit,          // id: link, number: largest payload accepted; default 16 MiB.
  kAsk,      // id: question, bytes: ControlRequest without `id`, `scope` empty, `command_id` of
             // the machine; number: a Credential. Answered by kAnswer or kNoAnswer.
  kKill,     // SIGKILL the subject's process group. Answered by kExited.
  kRestart,  // Start the subject anew (same slot, next incarnation). Answered by kStarted.
  kReadExecutions,  // id: question, bytes: session ids, in hexadecimal. Answered by kExecutions.
  kSplit,        // id: link. What is written from now on waits until the subject has read what was
                 // written before (at the latest until it is at rest). Answered by kProof then.
                 // With number 1 nothing follows: it may have ended the link as well.
  kMerge,        // id: link. The next write waits for the one after it (at the latest until the
                 // subject is at rest), and both leave at once. Answered by kProof then.
  kStopProcess,  // SIGSTOP to the subject's process group. It goes on (SIGCONT) once it has been
                 // sent everything there is for it; answered by kProof then.
  kCloseInput,   // Close the subject's stdin, which is to end it. Answered by kExited.
  kReadOutput,   // id: question. Answered by kOutput; with number 1 also what went to stderr.
};

struct Effect {
  EffectKind kind = EffectKind::kListen;
  uint32_t id = 0;
  uint64_t number = 0;
  std::string bytes = {};
  uint8_t subject = 0;

  bool operator==(const Effect&) const = default;
};

enum class IngressKind : uint8_t {
  kListening,     // id: listener, number: port.
  kLinkAccepted,  // id: link as numbered by the world (from 1001 up, per run), number: listener.
  kLinkUp,        // id: link. Our dial succeeded.
  kLinkRefused,   // id: link, text: why.
  kPayload,       // id: link, bytes: one whole payload.
  kOversize,      // id: link, number: the announced length. Nothing more is read from this link.
  kEof,           // id: link, number: bytes of an unfinished payload before it (header included).
  kReset,         // id: link, number: the same. The other side reset, or a write failed.
  kAnswer,        // id: question, bytes: control.v1.ControlReply.
  kNoAnswer,      // id: question, text: why (the control plane broke).
  kExited,        // text: "exit 3" or "signal 9", plus a sanitizer's first line if there is one.
  kStarted,       // number: incarnation.
  kExecutions,    // id: question, bytes: the executions file's lines of this run's sessions.
  kQuiescent,     // text: evidence; number: tier (1-3). Nothing can arrive any more by itself.
                  // bytes: what was seen, for people (an Exec of `fixpoints`), if a failure rests
                  // on it.
  kUnjudgeable,   // text: "class: why". The world cannot tell: the run is inconclusive. bytes: the
                  // same, if there is anything to show.
  kContradicted,  // text: how. What the subject says of itself is not so: r[control.settle]. bytes:
                  // the same.
  kProof,   // id: link, or 0; bytes: name of the effect; number: 1 if it has taken effect (2, of
            // kStopReading: and the window is closed), else 0; text: what the kernel says of that.
  kOutput,  // id: question, bytes: what the subject has written to stdout behind its first line, as
            // far as it is kept.
};

struct Ingress {
  IngressKind kind = IngressKind::kListening;
  uint32_t id = 0;
  uint64_t number = 0;
  std::string bytes = {};
  std::string text = {};
  uint8_t subject = 0;

  bool operator==(const Ingress&) const = default;
};

// Stable lower-case names, as they stand in traces.
const char* Name(EffectKind kind);
const char* Name(IngressKind kind);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_EFFECT_H_
