// The text of spec/ that this program was built from.
#ifndef COUNTERPART_JUDGE_SPEC_TEXT_H_
#define COUNTERPART_JUDGE_SPEC_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

namespace counterpart::judge {

struct SpecFile {
  std::string_view path;  // "spec/machines/driver.yaml"
  std::string_view text;
};

// All rules and machines, sorted by path. Generated at build time.
const std::vector<SpecFile>& SpecFiles();

struct Rule {
  std::string id;
  std::string text;      // its paragraph, on one line
  std::string source;    // "spec/rules/channel.md"
  std::string observed;  // what shows it, of W, C and J, as the index has it: "W C"
  std::string excluded;  // why no run can judge it of a subject; "" if one can
};

// Every rule, sorted by id.
const std::vector<Rule>& Rules();
const Rule* FindRule(std::string_view id);
// Hex digest of all the text above: traces say which spec judged them.
std::string SpecDigest();

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_SPEC_TEXT_H_
