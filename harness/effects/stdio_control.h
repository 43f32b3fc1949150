// The control plane over a subject's stdin and stdout: u32 little-endian length, then a
// ControlRequest or ControlReply. Driven by its owner's event loop, on one thread.
#ifndef COUNTERPART_EFFECTS_STDIO_CONTROL_H_
#define COUNTERPART_EFFECTS_STDIO_CONTROL_H_

#include <deque>
#include <set>
#include <string>
#include <string_view>

#include "harness/effects/control_client.h"
#include "harness/effects/unique_fd.h"
#include "harness/wire/framing.h"

namespace counterpart::effects {

class StdioControl final : public ControlClient {
 public:
  // `stdin_pipe`: non-blocking, of the process, which may close it; both outlive the client.
  StdioControl(const UniqueFd* stdin_pipe, ControlSink* sink)
      : stdin_(stdin_pipe), sink_(sink), decoder_(kLargestControlMessage) {}

  void Ask(uint64_t id, const std::string& request, Credential credential) override;
  void Flush() override {
    if (wants_write()) OnWritable();
  }

  // Bytes of the subject's stdout, past its start line.
  void OnOutput(std::string_view bytes);
  // stdin takes bytes again, or has broken.
  void OnWritable();
  // There will be no more output.
  void OnOutputEnd() { Break("the subject closed its stdout"); }
  // Whether OnWritable is to be called.
  bool wants_write() const { return !broken_ && !unsent_.empty(); }

 private:
  void Break(const std::string& why);

  // Never its number alone: once closed, that is of whatever any thread opens next.
  const UniqueFd* const stdin_;
  ControlSink* const sink_;
  wire::FrameDecoder decoder_;
  std::string unsent_;
  std::set<uint64_t> pending_;
  bool broken_ = false;
  std::string why_broken_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_STDIO_CONTROL_H_
