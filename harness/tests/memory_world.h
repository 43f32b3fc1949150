// A world in memory: executes a machine's effects and answers with ingress, against a MemoryPeer,
// without sockets, processes or clocks. When nothing has arrived, nothing can: the fixpoint is
// exact here, and what a scenario claims about absence or stall is judged at once.
#ifndef COUNTERPART_TESTS_MEMORY_WORLD_H_
#define COUNTERPART_TESTS_MEMORY_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/effects/effect.h"
#include "harness/scenarios/run.h"
#include "harness/tests/memory_peer.h"
#include "harness/wire/framing.h"

namespace counterpart::tests {

class MemoryWorld : public PeerOutput {
 public:
  // The peer's bytes reach the harness in pieces of `piece` bytes; 0 = as they were written.
  explicit MemoryWorld(Flaw flaw, size_t piece = 0);

  void Execute(const effects::Effect& effect);
  // What has arrived since the last call, in order. Empty: nothing can arrive any more.
  std::vector<effects::Ingress> TakeArrivals();

  // ---- PeerOutput
  uint32_t Dial(uint16_t port) override;
  void Write(uint32_t link, std::string_view bytes) override;
  void Close(uint32_t link) override;
  void Answer(uint32_t question, const control::v1::ControlReply& reply) override;
  void RecordExecution(const std::string& line) override { executions_ += line; }
  void Die(const std::string& how) override;

 private:
  struct Link {
    wire::FrameDecoder decoder;
    std::string unread;  // what the peer wrote while the harness does not read
    bool reading = true, eof = false, closed_by_harness = false;
  };

  void Read(uint32_t id, Link& link);
  void Prove(const effects::Effect& effect);
  void Arrived(effects::IngressKind kind, uint32_t id, uint64_t number = 0, std::string bytes = {},
               std::string text = {});
  std::string ExecutionsOf(const std::string& sessions) const;

  const Flaw flaw_;
  const size_t piece_;
  std::unique_ptr<MemoryPeer> peer_;               // null: the process is gone
  std::vector<std::unique_ptr<MemoryPeer>> gone_;  // it may die in the middle of a call
  uint64_t incarnation_ = 1;
  std::map<uint32_t, Link> links_;
  std::map<uint32_t, bool> listeners_;  // whether open
  uint32_t next_accepted_ = 1001;
  std::vector<effects::Ingress> arrived_;
  std::vector<uint32_t> unanswered_;
  std::string executions_;
};

// The same between two peers in memory, which hear of each other through the harness alone.
std::unique_ptr<scenarios::Run> PlayBetween(const scenarios::Scenario& scenario, uint64_t seed,
                                            Flaw of_server = Flaw::kNone,
                                            Flaw of_client = Flaw::kNone);

// A run of a scenario over a world in memory, played to its end and concluded.
std::unique_ptr<scenarios::Run> Play(const scenarios::Scenario& scenario,
                                     scenarios::Direction direction, uint64_t seed,
                                     Flaw flaw = Flaw::kNone, size_t piece = 0);

}  // namespace counterpart::tests

#endif  // COUNTERPART_TESTS_MEMORY_WORLD_H_
