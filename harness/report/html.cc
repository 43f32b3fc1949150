#include "harness/report/html.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/json_text.h"
#include "harness/report/safe_text.h"

namespace counterpart::report {
namespace {

constexpr int kPassedKept = 3;        // passed runs of a cell
constexpr int kPerSignatureKept = 5;  // other runs of a cell, per signature

// "/*{{page.css}}*/" stands for that file, "{{data}}" for the run.
constexpr std::string_view kFileBegin = "/*{{", kFileEnd = "}}*/";
constexpr std::string_view kDataToken = "{{data}}";

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// In JSON these stand within strings only.
void AppendEscaped(std::string_view json, std::string& out) {
  for (size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      case '\xE2':
        if (json.substr(i, 3) == "\xE2\x80\xA8" || json.substr(i, 3) == "\xE2\x80\xA9") {
          out += json[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
          i += 2;
          break;
        }
        [[fallthrough]];
      default:
        out.push_back(json[i]);
    }
  }
}

// A number for each text, the same for the same.
class Numbers {
 public:
  size_t Of(const std::string& text) {
    return known_.try_emplace(text, known_.size()).first->second;
  }

 private:
  std::unordered_map<std::string, size_t> known_;
};

std::string Data(std::string_view run_jsonl) {
  // A file may be far larger than what is kept of it: a line is looked at, and read again if it is.
  struct Seen {
    std::string_view raw;
    std::optional<size_t> cell = std::nullopt;  // of an exec
    bool passed = false;
    size_t signature = 0;
  };
  std::vector<Seen> lines;
  Numbers cells, signatures;
  std::unordered_set<size_t> counted;
  uint64_t unreadable = 0;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  v1::Line line;
  while (!run_jsonl.empty()) {
    const size_t end = run_jsonl.find('\n');
    const std::string_view raw = Trim(run_jsonl.substr(0, end));
    run_jsonl.remove_prefix(end == run_jsonl.npos ? run_jsonl.size() : end + 1);
    if (raw.empty()) continue;
    const std::string text = SafeText(raw);
    if (!IsJsonObject(text)) {
      ++unreadable;
      continue;
    }
    Seen seen{.raw = raw};
    line.Clear();
    // A line this program does not understand is put in all the same: the page may.
    if (google::protobuf::util::JsonStringToMessage(text, &line, options).ok()) {
      if (line.has_cell()) counted.insert(cells.Of(line.cell().id()));
      if (line.has_exec() && !line.exec().cell().empty()) {
        seen.cell = cells.Of(line.exec().cell());
        seen.passed = line.exec().verdict() == v1::VERDICT_PASS;
        seen.signature = signatures.Of(line.exec().signature());
      }
    }
    lines.push_back(seen);
  }

  std::string out = "[";
  std::map<std::pair<size_t, std::optional<size_t>>, int>
      kept;  // by cell; by signature unless passed
  uint64_t left_out = 0;
  for (const Seen& seen : lines) {
    if (seen.cell && counted.contains(*seen.cell)) {
      const auto way = seen.passed ? std::nullopt : std::optional(seen.signature);
      if (++kept[{*seen.cell, way}] > (seen.passed ? kPassedKept : kPerSignatureKept)) {
        ++left_out;
        continue;
      }
    }
    AppendEscaped(SafeText(seen.raw), out);
    out += ",\n";
  }
  return out + "{\"embedding\": {\"unreadable_lines\": " + std::to_string(unreadable) +
         ", \"left_out_execs\": " + std::to_string(left_out) + "}}]";
}

}  // namespace

std::string RenderHtml(std::string_view run_jsonl) {
  std::string out;
  // The template is cut once, front to back: nothing that is put in is searched for tokens.
  std::string_view rest = page::kFiles.at("page.html");
  while (true) {
    const size_t file = rest.find(kFileBegin);
    const size_t data = rest.find(kDataToken);
    const size_t at = std::min(file, data);
    out += rest.substr(0, at);
    if (at == rest.npos) return out;
    if (at == data) {
      out += Data(run_jsonl);
      rest.remove_prefix(at + kDataToken.size());
      continue;
    }
    rest.remove_prefix(at + kFileBegin.size());
    const size_t end = rest.find(kFileEnd);
    out += page::kFiles.at(rest.substr(0, end));
    rest.remove_prefix(end + kFileEnd.size());
  }
}

}  // namespace counterpart::report
