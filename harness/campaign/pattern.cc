#include "harness/campaign/pattern.h"

namespace counterpart::campaign {

bool Matches(std::string_view pattern, std::string_view id) {
  if (pattern.empty()) return id.empty();
  if (pattern.starts_with("**")) {
    std::string_view rest = pattern.substr(2);
    while (rest.starts_with("*")) rest.remove_prefix(1);
    for (size_t skip = 0; skip <= id.size(); ++skip) {
      if (Matches(rest, id.substr(skip))) return true;
    }
    // "**::x" also matches a bare "x".
    return rest.starts_with("::") && Matches(rest.substr(2), id);
  }
  if (pattern.front() == '*') {
    for (size_t skip = 0;; ++skip) {
      if (Matches(pattern.substr(1), id.substr(skip))) return true;
      if (skip == id.size() || id.substr(skip).starts_with("::")) return false;
    }
  }
  if (id.empty()) return false;
  if (pattern.front() != '?' && pattern.front() != id.front()) return false;
  return Matches(pattern.substr(1), id.substr(1));
}

}  // namespace counterpart::campaign
