#include "harness/effects/effect.h"

namespace counterpart::effects {

const char* Name(EffectKind kind) {
  switch (kind) {
    case EffectKind::kListen:
      return "listen";
    case EffectKind::kStopListening:
      return "stop_listening";
    case EffectKind::kDial:
      return "dial";
    case EffectKind::kWrite:
      return "write";
    case EffectKind::kFin:
      return "fin";
    case EffectKind::kHalfClose:
      return "half_close";
    case EffectKind::kRst:
      return "rst";
    case EffectKind::kStopReading:
      return "stop_reading";
    case EffectKind::kResumeReading:
      return "resume_reading";
    case EffectKind::kLimit:
      return "limit";
    case EffectKind::kAsk:
      return "ask";
    case EffectKind::kKill:
      return "kill";
    case EffectKind::kCloseInput:
      return "close_input";
    case EffectKind::kRestart:
      return "restart";
    case EffectKind::kReadExecutions:
      return "read_executions";
    case EffectKind::kReadOutput:
      return "read_output";
    case EffectKind::kSplit:
      return "split";
    case EffectKind::kMerge:
      return "merge";
    case EffectKind::kStopProcess:
      return "sigstop";
  }
  return "?";
}

const char* Name(IngressKind kind) {
  switch (kind) {
    case IngressKind::kListening:
      return "listening";
    case IngressKind::kLinkAccepted:
      return "link_accepted";
    case IngressKind::kLinkUp:
      return "link_up";
    case IngressKind::kLinkRefused:
      return "link_refused";
    case IngressKind::kPayload:
      return "payload";
    case IngressKind::kOversize:
      return "oversize";
    case IngressKind::kEof:
      return "eof";
    case IngressKind::kReset:
      return "reset";
    case IngressKind::kAnswer:
      return "answer";
    case IngressKind::kNoAnswer:
      return "no_answer";
    case IngressKind::kExited:
      return "exited";
    case IngressKind::kStarted:
      return "started";
    case IngressKind::kExecutions:
      return "executions";
    case IngressKind::kOutput:
      return "output";
    case IngressKind::kQuiescent:
      return "quiescent";
    case IngressKind::kUnjudgeable:
      return "unjudgeable";
    case IngressKind::kContradicted:
      return "contradicted";
    case IngressKind::kProof:
      return "proof";
  }
  return "?";
}

}  // namespace counterpart::effects
