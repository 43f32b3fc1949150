#include "harness/effects/executions.h"

#include <set>

namespace counterpart::effects {

std::string ExecutionsOf(std::string_view file, std::string_view sessions) {
  std::set<std::string_view> wanted;
  while (!sessions.empty()) {
    const size_t end = sessions.find(' ');
    if (end != 0) wanted.insert(sessions.substr(0, end));
    if (end == sessions.npos) break;
    sessions.remove_prefix(end + 1);
  }
  std::string out;
  while (!file.empty()) {
    const size_t feed = file.find('\n');
    const std::string_view line = file.substr(0, feed == file.npos ? feed : feed + 1);
    if (wanted.contains(line.substr(0, line.find_first_of(" \n")))) out.append(line);
    file.remove_prefix(line.size());
  }
  return out;
}

}  // namespace counterpart::effects
