#include "harness/peer/stable_passage.h"

namespace counterpart::peer {

// Numbers are counted from the first one announced, so that they may wrap: below 2^32 frames a run.

std::string StablePassage::OnAck(Flow& flow, uint32_t number, bool in_hello) {
  const uint32_t covered = number - flow.first + 1;
  if (covered == 0 || covered > flow.passed) {
    return (in_hello ? "claims to have received " : "acknowledges ") + std::to_string(number) +
           ", which was never sent to it";
  }
  if (in_hello && covered < flow.acked) {
    return "claims to have last received " + std::to_string(number) +
           ", which is below an earlier ack";
  }
  if (covered > flow.acked) flow.acked = covered;
  return "";
}

std::string StablePassage::OnHello(Seat from, uint32_t first_seq,
                                   std::optional<uint32_t> last_received) {
  Flow& flow = flows_[from];
  if (flow.read == 0) flow.first = first_seq;
  flow.known = true;
  if (from == Seat::kClient) {
    client_received_ = last_received;
    hellos_done_ = false;
  }
  Flow& theirs = flows_[Across(from)];
  std::string wrong;
  if (last_received) {
    wrong = theirs.known ? OnAck(theirs, *last_received, /*in_hello=*/true)
                         : "claims to have received frames of a conduit that it begins";
  } else if (theirs.acked > 0) {
    wrong = "has received nothing by its hello, after an ack";
  }
  if (!wrong.empty() || from == Seat::kClient) return wrong;
  Flow& of_client = flows_[Seat::kClient];
  Flow& of_server = flows_[Seat::kServer];
  of_client.again = last_received ? *last_received - of_client.first + 1 : 0;
  of_server.again = client_received_ ? *client_received_ - of_server.first + 1 : 0;
  hellos_done_ = true;
  return "";
}

StablePassage::Reading StablePassage::OnRead(Seat from, const wire::v1::StableFrame& frame,
                                             bool on_newest_link) {
  Reading reading;
  Flow& theirs = flows_[Across(from)];
  if (frame.has_ack()) {
    reading.wrong = OnAck(theirs, frame.ack().ack(), /*in_hello=*/false);
    return reading;
  }
  if (frame.data().has_ack()) {
    reading.wrong = OnAck(theirs, frame.data().ack(), /*in_hello=*/false);
  }
  Flow& flow = flows_[from];
  const uint32_t place = frame.data().seq() - flow.first;
  reading.is_new = place == flow.read;
  if (reading.is_new) ++flow.read;
  if (on_newest_link && place == flow.again) ++flow.again;
  return reading;
}

bool StablePassage::OnPassed(Seat from, const wire::v1::StableFrame& frame) {
  Flow& flow = flows_[from];
  if (!frame.has_data() || frame.data().seq() - flow.first != flow.passed) return false;
  ++flow.passed;
  return true;
}

std::optional<Seat> StablePassage::OwesReplay() const {
  if (!hellos_done_) return std::nullopt;
  for (const Seat seat : {Seat::kClient, Seat::kServer}) {
    if (flows_[seat].again < flows_[seat].read) return seat;
  }
  return std::nullopt;
}

}  // namespace counterpart::peer
