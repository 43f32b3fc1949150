// trace: look at kept traces. show one, diff two, or draw one for ui.perfetto.dev.
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/exec.h"
#include "harness/cli/command.h"
#include "harness/report/line_json.h"
#include "harness/report/perfetto.h"
#include "harness/report/safe_text.h"
#include "harness/report/trace_diff.h"
#include "harness/report/trace_fields.h"
#include "harness/report/trace_file.h"
#include "harness/report/trace_text.h"

namespace counterpart::cli {
namespace {

Error Usage(std::string text) { return {Error::Kind::kUsage, std::move(text)}; }

struct ShowOptions {
  std::string file;
  std::vector<std::string> sides, kinds;
  report::TraceFilter filter;
  std::string entries;
  bool decode = false;
  size_t columns = 160;
  std::string format = "pretty";
};

// "17", "17-40", "17-": entries by index.
Status ReadRange(const std::string& text, report::TraceFilter* filter) {
  if (text.empty()) return {};
  unsigned long long first = 0, last = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%llu-%llu%c", &first, &last, &rest) == 2) {
    filter->last = last;
  } else if (std::sscanf(text.c_str(), "%llu%c", &first, &rest) == 1) {
    filter->last = first;
  } else if (std::sscanf(text.c_str(), "%llu%c%*c", &first, &rest) != 2 || rest != '-' ||
             text.back() != '-') {
    return Usage("--entries '" + text + "': expected N, N-M or N-");
  }
  filter->first = first;
  if (filter->first > filter->last) return Usage("--entries '" + text + "' is empty");
  return {};
}

void ShowJson(const report::v1::TraceLine& line, bool decode) {
  std::string text = report::ToJsonLine(line);
  machine::Entry entry{.kind = machine::EntryKind::kNote};
  if (decode && line.has_entry() && machine::DecodeCanonical(line.entry().data(), &entry)) {
    auto json = nlohmann::ordered_json::parse(text);
    json["entry"].erase("data");
    auto& fields = json["entry"]["fields"] = nlohmann::ordered_json::object();
    for (const report::EntryField& field : report::FieldsOf(entry)) {
      fields[field.path] = report::SafeText(field.value);
    }
    text = json.dump() + "\n";
  }
  std::cout << text;
}

// Shows each line as soon as it is read: of a pipe, while it comes.
int Show(ShowOptions& options) {
  if (Status range = ReadRange(options.entries, &options.filter); !range.ok()) {
    return Complain(range.error());
  }
  options.filter.sides.insert(options.sides.begin(), options.sides.end());
  options.filter.kinds.insert(options.kinds.begin(), options.kinds.end());
  const bool piped = options.file == "-";
  std::ifstream file;
  if (!piped) {
    file.open(options.file);
    // A folder opens, and cannot be read.
    if (!file || file.peek() == std::ifstream::traits_type::eof()) {
      Result<std::vector<report::v1::TraceLine>> why = report::ReadTrace(options.file);
      if (!why.ok()) return Complain(why.error());
    }
  }
  std::istream& in = piped ? std::cin : file;
  const std::string name = piped ? "standard input" : options.file;
  report::TraceScanner scanner(name);
  report::TracePage page({.columns = options.columns, .decode = options.decode});
  const bool json = options.format == "json";
  size_t shown = 0, entries = 0;
  for (std::string text; std::getline(in, text);) {
    Result<std::optional<report::v1::TraceLine>> line = scanner.Take(text, !in.eof());
    if (!line.ok()) return Complain(line.error());
    if (!line->has_value()) continue;
    const report::v1::TraceLine& read = **line;
    if (read.has_entry()) {
      ++entries;
      if (!options.filter.Takes(read.entry())) continue;
      ++shown;
    }
    if (json) {
      ShowJson(read, options.decode);
    } else if (read.has_header()) {
      std::cout << page.Header(read.header());
    } else if (read.has_entry()) {
      std::cout << page.Entry(read.entry());
    } else if (read.has_footer()) {
      std::cout << page.Footer(read.footer());
      if (shown < entries) {
        std::cout << "  " << shown << " of " << entries << " entries shown\n";
      }
    }
    if (piped) std::cout << std::flush;
  }
  std::cout << std::flush;
  if (Status end = scanner.End(true); !end.ok()) return Complain(end.error());
  return kOk;
}

struct ReadRun {
  campaign::RecordedRun run;
  report::v1::TraceHeader header;
  report::v1::TraceFooter footer;
};

Result<ReadRun> Read(const std::string& file) {
  Result<std::vector<report::v1::TraceLine>> lines = report::ReadTrace(file);
  if (!lines.ok()) return lines.error();
  Result<campaign::RecordedRun> run = campaign::FromTrace(*lines);
  if (!run.ok()) return Usage(file + ": " + run.error().message);
  ReadRun read;
  read.run = std::move(run).value();
  read.header = lines->front().header();
  read.footer = lines->back().footer();
  return read;
}

int Diff(const std::string& a_file, const std::string& b_file, bool exact, bool json) {
  Result<ReadRun> a = Read(a_file), b = Read(b_file);
  if (!a.ok()) return Complain(a.error());
  if (!b.ok()) return Complain(b.error());
  const auto difference = exact ? report::CompareExactly(a->run.entries, b->run.entries)
                                : report::CompareNormalised(a->run.entries, b->run.entries);
  const bool verdicts =
      a->footer.verdict() == b->footer.verdict() && a->footer.signature() == b->footer.signature();
  if (json) {
    nlohmann::ordered_json out = {
        {"same", !difference && verdicts}, {"normalised", !exact}, {"same_verdict", verdicts}};
    if (difference) {
      auto& first = out["first_difference"];
      if (difference->a_entry) first["a_entry"] = *difference->a_entry;
      if (difference->b_entry) first["b_entry"] = *difference->b_entry;
      first["edge"] = difference->edge;
      first["field"] = difference->path;
      first["a"] = difference->a;
      first["b"] = difference->b;
      first["a_label"] = difference->a_label;
      first["b_label"] = difference->b_label;
    }
    std::cout << out.dump(2) << "\n";
    return difference || !verdicts ? kRed : kOk;
  }
  std::cout << "a: " << a_file << "\nb: " << b_file << "\n";
  if (a->header.cell() != b->header.cell()) {
    std::cout << "  cells: " << a->header.cell() << " and " << b->header.cell() << "\n";
  }
  if (a->header.seed() != b->header.seed()) {
    std::cout << "  seeds: " << a->header.seed() << " and " << b->header.seed() << "\n";
  }
  if (!verdicts) {
    std::cout << "  verdicts: " << report::v1::Verdict_Name(a->footer.verdict()) << " "
              << a->footer.signature() << " and " << report::v1::Verdict_Name(b->footer.verdict())
              << " " << b->footer.signature() << "\n";
  }
  if (!difference) {
    std::cout << "  the same " << (exact ? "entries" : "normal form") << ", "
              << a->run.entries.size() << " and " << b->run.entries.size() << " entries\n";
    return verdicts ? kOk : kRed;
  }
  std::cout << "  first difference: " << report::Describe(*difference, "a", "b")
            << "\n  there a: " << difference->a_label << "\n        b: " << difference->b_label
            << "\n";
  return kRed;
}

int Perfetto(const std::string& file) {
  Result<std::vector<report::v1::TraceLine>> trace = report::ReadTrace(file);
  if (!trace.ok()) return Complain(trace.error());
  if (!trace->back().has_footer()) {
    return Complain(Usage(file + ": cut short: it has no footer."));
  }
  std::cout << report::RenderPerfetto(*trace);
  return kOk;
}

}  // namespace

void AddTrace(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand("trace", "Look at kept traces: show, diff, perfetto");
  verb->require_subcommand(1);

  auto* show = verb->add_subcommand("show", "Print a trace, aligned, faults marked by !");
  const auto options = std::make_shared<ShowOptions>();  // as long as the command line
  show->add_option("trace", options->file, "A file of a traces/ folder; - reads standard input")
      ->required();
  show->add_option("--side", options->sides, "Only what this side said (repeatable)")
      ->check(CLI::IsMember({"harness", "subject", "note"}))
      ->allow_extra_args(false);
  show->add_option("--kind", options->kinds, "Only entries of this kind, as write (repeatable)")
      ->type_name("KIND")
      ->allow_extra_args(false);
  show->add_option("--edge", options->filter.edge,
                   "Only of this edge: link1.out, 'link*', control.3")
      ->type_name("GLOB");
  show->add_option("--grep", options->filter.text, "Only what has this text in edge, label or text")
      ->type_name("TEXT");
  show->add_option("--entries", options->entries, "Only these, by number")->type_name("N|N-M|N-");
  show->add_flag("--faults", options->filter.faults, "Only faults, cuts and ends");
  show->add_flag("--decode", options->decode, "The fields of each frame and message, too");
  show->add_option("--columns", options->columns, "Of the page")->capture_default_str();
  show->add_option("--format", options->format, "pretty, or json: one line per entry")
      ->check(CLI::IsMember({"pretty", "json"}));
  show->callback([&context, options] { context.exit_code = Show(*options); });

  auto* diff = verb->add_subcommand(
      "diff", "Name the first entry and field in which two traces differ; exit 1 if they do");
  const auto files = std::make_shared<std::pair<std::string, std::string>>();
  const auto exact = std::make_shared<bool>(false);
  const auto format = std::make_shared<std::string>("pretty");
  diff->add_option("a", files->first, "A trace")->required();
  diff->add_option("b", files->second, "Another")->required();
  diff->add_flag("--exact", *exact,
                 "Entry by entry, random values, rounds and order between edges included");
  diff->add_option("--format", *format, "pretty or json")->check(CLI::IsMember({"pretty", "json"}));
  diff->callback([&context, files, exact, format] {
    context.exit_code = Diff(files->first, files->second, *exact, *format == "json");
  });

  auto* perfetto = verb->add_subcommand("perfetto", "Print Chrome trace JSON for ui.perfetto.dev");
  const auto drawn = std::make_shared<std::string>();
  perfetto->add_option("trace", *drawn, "A trace")->required();
  perfetto->callback([&context, drawn] { context.exit_code = Perfetto(*drawn); });
}

}  // namespace counterpart::cli
