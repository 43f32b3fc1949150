#include "harness/effects/fixpoint.h"

#include "counterpart/report/v1/report.pb.h"

namespace counterpart::effects {
namespace {

// Names are the subject's, and may be anything; a protobuf string may not.
std::string Printable(std::string text) {
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return text;
}

}  // namespace

std::string ToBytes(const Fixpoint& fixpoint) {
  report::v1::Exec exec;
  report::v1::Fixpoint& out = *exec.add_fixpoints();
  out.set_subject(Printable(fixpoint.subject));
  out.set_tier(static_cast<uint32_t>(fixpoint.tier));
  out.set_given_up(fixpoint.given_up);
  out.set_settle(Printable(fixpoint.settle));
  out.set_horizon_us(fixpoint.horizon_us);
  for (const Fixpoint::Thread& thread : fixpoint.threads) {
    report::v1::FixpointThread& row = *out.add_threads();
    row.set_process(static_cast<uint32_t>(thread.pid));
    row.set_thread(static_cast<uint32_t>(thread.tid));
    row.set_name(Printable(thread.name));
    row.set_state(Printable(std::string(1, thread.state)));
    row.set_blocked_in(Printable(thread.blocked_in));
    row.set_until(thread.until);
    row.set_housekeeping(thread.housekeeping);
  }
  for (const Fixpoint::Timer& timer : fixpoint.timers) {
    report::v1::FixpointTimer& row = *out.add_timers();
    row.set_what(Printable(timer.what));
    row.set_due_us(timer.due_us);
  }
  for (const Fixpoint::Link& link : fixpoint.links) {
    report::v1::FixpointLink& row = *out.add_links();
    row.set_sent(link.sent);
    row.set_read(link.read);
    row.set_written(link.written);
    row.set_received(link.received);
    row.set_unread(link.unread);
  }
  return exec.SerializeAsString();
}

}  // namespace counterpart::effects
