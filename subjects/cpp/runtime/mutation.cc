#include "runtime/mutation.h"

#include <algorithm>
#include <array>

namespace subject {
namespace {

// Each is asked for once, where the runtime would break the rule.
constexpr std::array<std::string_view, 3> kCatalogue = {
    "wrong_pong",           // answers Ping(n) with Pong(n+1)
    "rerun_sealed",         // runs a sealed operation again
    "ignore_credit_limit",  // accepts items beyond the credit granted
};
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
