#include "runtime/mutation.h"

#include <algorithm>
#include <array>

namespace subject {
namespace {

// What each does wrong is said in the catalogue of mutants; each is asked for where the runtime
// would break the rule.
constexpr auto kCatalogue = std::to_array<std::string_view>({
    "accepts_any_probe",
    "accepts_over_credit",
    "accepts_used_resume_key",
    "canary_grants_one_by_one",
    "crashes_at_close",
    "double_response",
    "drops_item_when_queue_is_full",
    "duplicate_command_runs_again",
    "duplicate_schema_accepted",
    "executes_twice_per_request",
    "forgets_to_journal_frame",
    "hangs_in_resume",
    "ignores_request_limit_as_caller",
    "item_after_close",
    "missing_schema_accepted",
    "no_channel_abandon",
    "old_generation_finalizer_closes_new_channel",
    "over_credit",
    "reexecutes_non_idem_after_resume",
    "rerun_sealed",
    "resumes_without_new_key",
    "reuses_channel_ids_after_resume",
    "same_epoch_after_restart",
    "second_response_for_cancelled_call",
    "silent_on_ping_while_calls_block",
    "wrong_parity",
    "wrong_pong",
});
std::string_view active;

}  // namespace

bool ActivateMutation(std::string_view name) {
  const auto* found = std::find(kCatalogue.begin(), kCatalogue.end(), name);
  if (found == kCatalogue.end()) return false;
  active = *found;
  return true;
}

bool Mutated(std::string_view name) { return active == name; }

std::string_view ActiveMutation() { return active; }

}  // namespace subject
