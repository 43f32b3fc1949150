// One TCP connection of a lane: payloads out of bytes, bytes out of effects, and how it ended.
// Reports at most one end; after that, and after a kFin or kRst of ours, nothing more.
#ifndef COUNTERPART_EFFECTS_LIVE_LINK_H_
#define COUNTERPART_EFFECTS_LIVE_LINK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/effects/effect.h"
#include "harness/effects/tcp_account.h"
#include "harness/effects/unique_fd.h"
#include "harness/wire/framing.h"

namespace counterpart::effects {

class LiveLink {
 public:
  static constexpr size_t kLargestWriteQueue = 64u << 20;
  static constexpr size_t kReadPerTurn = 1u << 20;

  // `id`: as the machine knows it. `dialling`: not connected yet, decided once writable.
  LiveLink(uint32_t id, UniqueFd fd, bool dialling);

  // What happened on it: whole payloads in order, and perhaps its end.
  struct Events {
    std::vector<Ingress> happened;
    std::optional<Ingress> end;  // kEof, kReset, kOversize or kLinkRefused
    size_t bytes = 0;            // of the payloads
  };

  // Effects. Those that come after the link is gone are dropped.
  void Write(std::string_view bytes, Events& events);
  // The same, but nothing of it leaves before Flush(), or the next Write.
  void Collect(std::string_view bytes, Events& events);
  void Flush();
  // Everything written first, then EOF for the other side. What it still sends is read and thrown
  // away, so that closing with unread input does not turn into a reset.
  void Fin();
  void HalfClose();
  void Reset();
  void StopReading() { reading_stopped_ = true; }
  void ResumeReading() { reading_stopped_ = false; }
  void Limit(uint32_t bytes) { decoder_.set_max_payload(bytes); }
  // What is written from now on waits for Release().
  void HoldBack() { hold_ = Hold::kAll; }
  // The next write waits for the one after it, and both leave at once; then `merged()` holds.
  void Gather() { hold_ = Hold::kOne; }
  void Release();
  bool holds() const { return hold_ != Hold::kNone; }
  bool merged() const { return merged_; }

  // epoll events to wait for; 0: none, not even errors.
  uint32_t Interest() const;
  // To be called with what epoll said. Reads at most kReadPerTurn bytes.
  void OnReady(uint32_t ready, Events& events);

  uint32_t id() const { return id_; }
  int fd() const { return fd_.get(); }
  bool closed() const { return !fd_; }
  bool dialling() const { return dialling_; }
  // Reading by order of the machine has stopped, or for good after an oversize.
  bool reading() const { return !reading_stopped_ && !stuck_; }
  size_t unsent() const { return unsent_.size() - sent_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  // Once connected, and also when closed by us.
  const std::optional<TcpPath>& path() const { return path_; }
  bool eof_read() const { return eof_read_; }

 private:
  enum class Hold : uint8_t { kNone, kAll, kOne };

  void Read(Events& events);
  void End(IngressKind kind, Events& events);
  void Close();

  uint32_t id_;
  UniqueFd fd_;
  std::optional<TcpPath> path_;
  bool dialling_;
  wire::FrameDecoder decoder_;
  Hold hold_ = Hold::kNone;
  bool merged_ = false;  // two writes left in one
  std::string unsent_;
  size_t sent_ = 0;               // of unsent_
  bool reading_stopped_ = false;  // by the machine
  bool stuck_ = false;            // after an oversize length
  bool silent_ = false;           // nothing more is reported
  bool eof_read_ = false;
  bool shut_wanted_ = false;   // shut down writing once all is sent
  bool close_wanted_ = false;  // and close once the other side has, too
  bool shut_ = false;
  bool write_broken_ = false;
  bool reset_seen_ = false;  // by a write, which took the error from the socket
  uint64_t bytes_read_ = 0, bytes_written_ = 0;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_LIVE_LINK_H_
