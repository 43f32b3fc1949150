// What a relay makes of keys and of stable conduits: which of them the client may go on with, and
// what a frame brings that the session has not seen.
#include <utility>

#include "harness/peer/relay.h"
#include "harness/peer/relay_link.h"
#include "harness/peer/stable_end.h"

namespace counterpart::peer {

// ---------------------------------------------------------------- keys

void Relay::OnPresented(Link& link, const std::string& key, const char* rule, uint64_t entry) {
  const bool known = keys_.contains(key);
  const bool first = keys_.empty();
  link.presented = key;
  if (first ? !key.empty() : !known) {
    Blame(Seat::kClient, rule,
          first ? "presented a resume key for a new session"
                : "presented another resume key than the newest it has read",
          "resume key", entry);
  } else if (!first) {
    Judged(rule, Seat::kClient);
  }
}

void Relay::OnHandedOut(const Link& link, const std::string& key) {
  // It may not get this far: then the one it presented is still its newest.
  keys_ = {link.presented, key};
}

void Relay::OnConfirmed(const Link& link) { keys_.erase(link.presented); }

// ---------------------------------------------------------------- stable conduits

void Relay::OnStableHandshake(Seat from, Link& link, const wire::v1::StableHandshake& handshake,
                              uint64_t entry) {
  std::string wrong;
  if (handshake.has_client_hello() && from == Seat::kClient) {
    const wire::v1::ClientHello& hello = handshake.client_hello();
    if (face_ == 0) {
      face_ = kFaces;
      items_ = std::make_unique<PhaseReader>(PhaseReader::Of::kStableItems);
    }
    link.conduit = face_;
    OnPresented(link, hello.resume_key(), "stable.resume-key", entry);
    wrong = passage_.OnHello(from, hello.first_seq(), LastReceived(hello));
  } else if (handshake.has_server_hello() && from == Seat::kServer) {
    const wire::v1::ServerHello& hello = handshake.server_hello();
    OnHandedOut(link, hello.resume_key());
    wrong = passage_.OnHello(from, hello.first_seq(), LastReceived(hello));
  }
  if (!wrong.empty()) Blame(from, "stable.seq", std::move(wrong), "last_received", entry);
}

std::optional<ReadPayload> Relay::NewItem(Seat from, Link& link, const wire::v1::StableFrame& frame,
                                          uint64_t entry) {
  if (from == Seat::kClient) OnConfirmed(link);
  const StablePassage::Reading read = passage_.OnRead(from, frame, &link == newest());
  if (!read.wrong.empty()) Blame(from, "stable.seq", read.wrong, "frame", entry);
  if (!read.is_new) return std::nullopt;
  ReadPayload item = items_->Read(from, frame.data().item(), names_);
  Show(from, Side::kSubject, face_, face_, item, frame.data().item().size(), entry);
  kept_[from][frame.data().seq()] = item;
  return item;
}

}  // namespace counterpart::peer
