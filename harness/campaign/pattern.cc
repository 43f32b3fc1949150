#include "harness/campaign/pattern.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace counterpart::campaign {

// Row p says of each i whether the pattern from p on matches the id from i on. Rows are filled from
// the last to the first, each from those after it, so that every pair is looked at once, however
// many stars there are.
bool Matches(std::string_view pattern, std::string_view id) {
  std::vector<std::vector<char>> rows(pattern.size() + 1, std::vector<char>(id.size() + 1, false));
  rows.back().back() = true;
  for (size_t p = pattern.size(); p-- > 0;) {
    std::vector<char>& row = rows[p];
    if (pattern.substr(p).starts_with("**")) {
      const size_t rest = std::min(pattern.find_first_not_of('*', p), pattern.size());
      bool later = false;
      for (size_t i = id.size() + 1; i-- > 0;) row[i] = later = later || rows[rest][i];
      // "**::x" also matches a bare "x".
      if (pattern.substr(rest).starts_with("::")) {
        for (size_t i = 0; i <= id.size(); ++i) row[i] = row[i] || rows[rest + 2][i];
      }
      continue;
    }
    for (size_t i = id.size() + 1; i-- > 0;) {
      if (pattern[p] == '*') {
        const bool inside = i < id.size() && !id.substr(i).starts_with("::");
        row[i] = rows[p + 1][i] || (inside && row[i + 1]);
      } else {
        row[i] = i < id.size() && (pattern[p] == '?' || pattern[p] == id[i]) && rows[p + 1][i + 1];
      }
    }
  }
  return rows.front().front();
}

}  // namespace counterpart::campaign
