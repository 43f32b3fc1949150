// How often the subject's handlers really ran, from the file it appends a line to before each
// effect: never more often than it was asked, and non-idem never twice.
#include <map>

#include "harness/judge/judge.h"
#include "harness/peer/testbed.h"

namespace counterpart::judge {
namespace {

std::string Hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(kDigits[c & 15]);
  }
  return hex;
}

struct Asked {
  std::string method;
  uint32_t attempts = 0;
};

class ExecutionMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge&) override {
    if (frame.message == nullptr || !frame.message->has_request()) return;
    if (frame.from != Side::kHarness) return;
    const auto& request = frame.message->request();
    const std::string& origin = request.origin_session();
    Asked& asked = asked_[{Hex(origin.empty() ? link.session_id : origin), request.operation_id()}];
    // Of a conflicting re-use the first attempt's method counts: the record is untouched by it.
    if (asked.attempts++ == 0) asked.method = request.method();
  }

  void OnEnd(const ObservedEnd& end, Judge& judge) override {
    if (!end.executions_read) return;
    std::map<std::pair<std::string, uint64_t>, uint32_t> ran;
    for (const auto& execution : end.executions) {
      ++ran[{execution.session_id, execution.operation_id}];
    }
    for (const auto& [key, times] : ran) {
      const std::string name = "operation " + std::to_string(key.second);
      const auto asked = asked_.find(key);
      if (asked == asked_.end()) {
        judge.Violation("retry.layers.no-silent-retry", Side::kSubject,
                        "executed " + name + ", which was never requested", nullptr);
        continue;
      }
      if (times > asked->second.attempts) {
        judge.Violation("retry.layers.no-silent-retry", Side::kSubject,
                        "executed " + name + " " + std::to_string(times) + " times for " +
                            std::to_string(asked->second.attempts) + " attempts",
                        nullptr);
        continue;
      }
      judge.Held("retry.layers.no-silent-retry");
      const peer::Method* method = peer::FindMethod(asked->second.method);
      if (method == nullptr || method->idem) continue;
      // Each of these rules forbids it, by the state of the operation; channels decide which of
      // them says so most directly.
      const char* rule = method->persist            ? "retry.policy.persist.write-ahead"
                         : method->channels.empty() ? "retry.duplicate.live.attach"
                                                    : "retry.channel.recovery.non-idem";
      if (times > 1) {
        judge.Violation(rule, Side::kSubject,
                        "executed the non-idem " + name + " " + std::to_string(times) + " times",
                        nullptr);
      } else if (asked->second.attempts > 1) {
        judge.Held(rule);
      }
    }
  }

 private:
  std::map<std::pair<std::string, uint64_t>, Asked> asked_;  // by session (hex) and operation
};

}  // namespace

std::unique_ptr<Monitor> NewExecutionMonitor() { return std::make_unique<ExecutionMonitor>(); }

}  // namespace counterpart::judge
