#include "harness/report/trace_diff.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "harness/machine/normal_form.h"
#include "harness/report/safe_text.h"
#include "harness/report/trace_fields.h"

namespace counterpart::report {
namespace {

using machine::Entry;
using machine::EntryKind;

constexpr size_t kShownValue = 200;

std::string LabelOf(const Entry& entry) {
  const std::string kind = entry.kind == EntryKind::kEffect    ? effects::Name(entry.effect.kind)
                           : entry.kind == EntryKind::kIngress ? effects::Name(entry.ingress.kind)
                                                               : "";
  if (kind.empty() || entry.reading.label.starts_with(kind)) return entry.reading.label;
  return kind + " " + entry.reading.label;
}

TraceDifference At(const std::vector<Entry>& a, std::optional<size_t> in_a,
                   const std::vector<Entry>& b, std::optional<size_t> in_b) {
  TraceDifference difference;
  difference.edge = in_a ? a[*in_a].reading.edge : b[*in_b].reading.edge;
  difference.a_entry = in_a;
  difference.b_entry = in_b;
  difference.a_label = in_a ? LabelOf(a[*in_a]) : "(nothing)";
  difference.b_label = in_b ? LabelOf(b[*in_b]) : "(nothing)";
  return difference;
}

void Put(TraceDifference* difference, FieldDifference field) {
  difference->path = std::move(field.path);
  difference->a = std::move(field.a);
  difference->b = std::move(field.b);
}

// One entry beyond the end of the other trace.
TraceDifference Beyond(TraceDifference difference) {
  Put(&difference, {"entry", difference.a_label, difference.b_label});
  return difference;
}

// What two entries are called when no field tells them apart: they read differently.
FieldDifference ByReading(const Entry& a, const Entry& b) {
  if (a.reading.edge != b.reading.edge) return {"edge", a.reading.edge, b.reading.edge};
  if (a.reading.label != b.reading.label) return {"label", a.reading.label, b.reading.label};
  return {"text", a.reading.text, b.reading.text};
}

std::optional<FieldDifference> ByContent(const Entry& a, const Entry& b) {
  if (Canonical(a) == Canonical(b)) return std::nullopt;
  if (auto field = FirstDifference(FieldsOf(a), FieldsOf(b))) return field;
  // Two encodings of one message, or parts of long bytes that are not shown.
  return FieldDifference{"encoding", machine::HashText(machine::Digest(a)),
                         machine::HashText(machine::Digest(b))};
}

}  // namespace

std::optional<TraceDifference> CompareExactly(const std::vector<Entry>& a,
                                              const std::vector<Entry>& b) {
  const size_t both = std::min(a.size(), b.size());
  for (size_t i = 0; i < both; ++i) {
    TraceDifference difference = At(a, i, b, i);
    if (auto field = ByContent(a[i], b[i])) {
      Put(&difference, std::move(*field));
    } else if (a[i].round != b[i].round) {
      Put(&difference, {"round", std::to_string(a[i].round), std::to_string(b[i].round)});
    } else if (a[i].reading.edge != b[i].reading.edge || a[i].reading.label != b[i].reading.label ||
               a[i].reading.text != b[i].reading.text) {
      Put(&difference, ByReading(a[i], b[i]));
      difference.wording = true;
    } else {
      continue;
    }
    return difference;
  }
  if (a.size() == b.size()) return std::nullopt;
  return Beyond(a.size() > both ? At(a, both, b, {}) : At(a, {}, b, both));
}

std::optional<TraceDifference> CompareNormalised(const std::vector<Entry>& a,
                                                 const std::vector<Entry>& b) {
  const machine::NormalForm in_a = machine::Normalise(a), in_b = machine::Normalise(b);
  std::set<std::string_view> edges;
  for (const auto& [edge, steps] : in_a) edges.insert(edge);
  for (const auto& [edge, steps] : in_b) edges.insert(edge);

  // Random values are named in the order of the whole trace: an answer on one edge brings what a
  // request on another one repeats.
  const auto masked = [](const std::vector<Entry>& entries) {
    Masks masks;
    std::vector<std::vector<EntryField>> fields;
    for (const Entry& entry : entries) {
      fields.push_back(FieldsOf(entry));
      masks.Apply(&fields.back());
    }
    return fields;
  };
  const auto a_fields = masked(a), b_fields = masked(b);

  std::optional<TraceDifference> first;
  const auto keep = [&first](TraceDifference difference) {
    // Where only `b` has more, its own place in `b` has to do.
    const auto place = [](const TraceDifference& d) { return d.a_entry ? *d.a_entry : *d.b_entry; };
    if (!first || place(difference) < place(*first)) first = std::move(difference);
  };
  static const std::vector<size_t> kNone;
  for (const std::string_view edge : edges) {
    const auto of_a = in_a.find(edge), of_b = in_b.find(edge);
    const std::vector<size_t>& x = of_a == in_a.end() ? kNone : of_a->second;
    const std::vector<size_t>& y = of_b == in_b.end() ? kNone : of_b->second;
    const size_t both = std::min(x.size(), y.size());
    size_t i = 0;
    for (; i < both; ++i) {
      const Entry &one = a[x[i]], &other = b[y[i]];
      const bool asked = one.kind == EntryKind::kEffect && other.kind == EntryKind::kEffect;
      std::optional<FieldDifference> field;
      if (asked) field = FirstDifference(a_fields[x[i]], b_fields[y[i]]);
      if (!field && one.reading.label != other.reading.label) {
        field = FirstDifference(a_fields[x[i]], b_fields[y[i]]);
        if (!field) field = ByReading(one, other);
      }
      if (!field) continue;
      TraceDifference difference = At(a, x[i], b, y[i]);
      Put(&difference, std::move(*field));
      keep(std::move(difference));
      break;
    }
    if (i < both || x.size() == y.size()) continue;
    keep(Beyond(x.size() > both ? At(a, x[both], b, {}) : At(a, {}, b, y[both])));
  }
  return first;
}

std::string Describe(const TraceDifference& difference, const std::string& a_name,
                     const std::string& b_name) {
  const auto entry = [](const std::optional<uint64_t>& index) {
    return index ? "entry " + std::to_string(*index) : std::string("no entry");
  };
  std::string text = entry(difference.a_entry);
  if (difference.a_entry != difference.b_entry) {
    text += " of " + a_name + ", " + entry(difference.b_entry) + " of " + b_name;
  }
  if (!difference.edge.empty()) text += " (" + difference.edge + ")";
  return text + ", field " + difference.path + ":\n    " + a_name + ": " +
         OneLine(difference.a, kShownValue) + "\n    " + b_name + ": " +
         OneLine(difference.b, kShownValue);
}

}  // namespace counterpart::report
