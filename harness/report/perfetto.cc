#include "harness/report/perfetto.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <string_view>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/report/v1/report.pb.h"
#include "harness/machine/trace.h"
#include "harness/report/json_text.h"
#include "harness/report/safe_text.h"

namespace counterpart::report {
namespace {

constexpr uint64_t kHarness = 1;
constexpr uint64_t kWire = 2;
constexpr uint64_t kSubject = 3;
constexpr size_t kTextLimit = 2000;

// Where an entry is drawn: a process, and a thread of it by name.
struct Track {
  uint64_t pid;
  std::string name;
  auto operator<=>(const Track&) const = default;
};

Track TrackOf(const v1::TraceEntry& entry) {
  const std::string& edge = entry.edge();
  if (edge.rfind("control.", 0) == 0) return {kHarness, "control plane"};
  // "link1.out", and between two subjects "link1.server.out": to whom it goes.
  const bool in = edge.ends_with(".in"), out = edge.ends_with(".out");
  if (in || out) {
    const std::string link = edge.substr(0, edge.rfind('.'));
    const size_t seat = link.find('.');
    const std::string whom = seat == link.npos ? "subject" : link.substr(seat + 1);
    return {kWire,
            link.substr(0, seat) + (in ? ": " + whom + " → harness" : ": harness → " + whom)};
  }
  if (entry.side() == v1::TRACE_SIDE_SUBJECT) return {kSubject, edge.empty() ? "process" : edge};
  if (edge == "fault" || edge == "cut") return {kHarness, "faults"};
  return {kHarness, edge.empty() ? "scenario" : edge};
}

// The number that stands right after `mark`, if `mark` stands in `label`.
std::optional<std::string> NumberAfter(std::string_view label, std::string_view mark) {
  const size_t at = label.find(mark);
  if (at == label.npos) return std::nullopt;
  size_t end = at + mark.size();
  while (end < label.size() && std::isdigit(static_cast<unsigned char>(label[end])) != 0) ++end;
  if (end == at + mark.size()) return std::nullopt;
  return std::string(label.substr(at + mark.size(), end - at - mark.size()));
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Calls and channels outlive links: their ids are of a session and connection.
std::string Scope(const v1::TraceEntry& entry) {
  const std::string& edge = entry.edge();
  std::string scope = edge.substr(0, edge.find('.'));
  if (const auto connection = NumberAfter(entry.label(), " on connection ")) {
    scope += " connection " + *connection;
  }
  return scope;
}

class Spans {
 public:
  explicit Spans(JsonWriter& json) : json_(json) {}

  // A second opening (a re-sent request) is part of the span that is open.
  void Begin(const std::string& kind, const std::string& id, const std::string& name, uint64_t time,
             uint64_t pid) {
    const auto [span, added] = open_.try_emplace(kind + " " + id, Span{kind, name, pid, 0});
    if (!added) return;
    span->second.id = ++last_id_;
    Event(span->second, "b", time, false);
  }

  void End(const std::string& kind, const std::string& id, uint64_t time) {
    const auto span = open_.find(kind + " " + id);
    if (span == open_.end()) return;
    Event(span->second, "e", time, false);
    open_.erase(span);
  }

  void EndAll(uint64_t time) {
    for (const auto& [key, span] : open_) Event(span, "e", time, true);
    open_.clear();
  }

 private:
  struct Span {
    std::string kind, name;
    uint64_t pid;
    uint64_t id;
  };

  void Event(const Span& span, const char* phase, uint64_t time, bool unfinished) {
    json_.Open('{').Field("ph", phase).Field("cat", span.kind).Field("name", span.name);
    json_.Key("id").Number(span.id).Key("pid").Number(span.pid).Key("tid").Number(0);
    json_.Key("ts").Number(time);
    if (unfinished) json_.Key("args").Open('{').Key("unfinished").Bool(true).Close('}');
    json_.Close('}');
  }

  JsonWriter& json_;
  std::map<std::string, Span> open_;
  uint64_t last_id_ = 0;
};

// The events of a journal that this answer brings, each in a line.
std::vector<std::string> JournalOf(const v1::TraceEntry& line) {
  machine::Entry entry{.kind = machine::EntryKind::kNote};
  control::v1::ControlReply reply;
  if (!machine::DecodeCanonical(line.data(), &entry) ||
      !reply.ParseFromString(entry.ingress.bytes) || !reply.has_journal()) {
    return {};
  }
  std::vector<std::string> events;
  for (const control::v1::JournalEvent& event : reply.journal().events()) {
    std::string text = "#" + std::to_string(event.seq()) + " ";
    switch (event.kind_case()) {
      case control::v1::JournalEvent::kTransition: {
        const auto& t = event.transition();
        text += control::v1::Machine_Name(t.machine()) + " " + std::to_string(t.key()) + ": " +
                t.from_state() + " → " + t.to_state() + " (" + t.event() + ")";
        break;
      }
      case control::v1::JournalEvent::kFrame:
        text += std::string(event.frame().sent() ? "sent " : "received ") + event.frame().kind() +
                " " + std::to_string(event.frame().id());
        break;
      case control::v1::JournalEvent::kHandler:
        text += control::v1::HandlerEvent_Name(event.handler().event()) + " of operation " +
                std::to_string(event.handler().operation_id());
        break;
      case control::v1::JournalEvent::kDiscard:
        text += "discarded " + event.discard().what() + " by " + event.discard().rule();
        break;
      case control::v1::JournalEvent::kPlannedDelay:
        text += "waits " + std::to_string(event.planned_delay().delay_ms()) + " ms before " +
                event.planned_delay().what();
        break;
      default:
        text += "?";
        break;
    }
    events.push_back(OneLine(text, kTextLimit));
  }
  return events;
}

void Name(JsonWriter& json, const char* what, uint64_t pid, uint64_t tid, std::string_view name) {
  json.Open('{').Field("ph", "M").Field("name", what).Key("pid").Number(pid);
  json.Key("tid").Number(tid).Key("args").Open('{').Key("name").Text(name).Close('}').Close('}');
}

}  // namespace

std::string RenderPerfetto(const std::vector<v1::TraceLine>& trace) {
  JsonWriter json;
  json.Open('{').Field("displayTimeUnit", "ms").Key("traceEvents").Open('[');
  Name(json, "process_name", kHarness, 0, "harness");
  Name(json, "process_name", kWire, 0, "wire");
  Name(json, "process_name", kSubject, 0, "subject");
  Spans spans(json);
  std::map<Track, uint64_t> threads;
  const auto thread_of = [&](const Track& track) {
    const auto [thread, added] = threads.try_emplace(track, threads.size() + 1);
    if (added) Name(json, "thread_name", track.pid, thread->second, OneLine(track.name, 200));
    return thread->second;
  };
  uint64_t now = 0;
  std::string cell, seed;
  for (const v1::TraceLine& line : trace) {
    if (line.has_header()) {
      cell = line.header().cell();
      seed = std::to_string(line.header().seed());
    }
    if (!line.has_entry()) continue;
    const v1::TraceEntry& entry = line.entry();
    if (entry.kind() == "choice") continue;
    const Track track = TrackOf(entry);
    const uint64_t pid = track.pid;
    now = std::max(now, entry.time_us());
    const uint64_t thread = thread_of(track);
    const std::string label =
        OneLine(entry.label().empty() ? entry.kind() : entry.label(), kTextLimit);
    json.Open('{').Field("ph", "i").Field("s", "t").Key("name").Text(label);
    json.Field("cat", entry.kind()).Key("pid").Number(pid).Key("tid").Number(thread);
    json.Key("ts").Number(now).Key("args").Open('{').Key("index").Number(entry.index());
    json.Key("round").Number(entry.round());
    json.Field("text", OneLine(entry.text(), kTextLimit)).Close('}').Close('}');

    // A command, from the question to its answer.
    if (entry.kind() == "ask") {
      spans.Begin("command", entry.edge(), label, now, pid);
    } else if (entry.kind() == "answer" || entry.kind() == "no_answer") {
      spans.End("command", entry.edge(), now);
      for (const std::string& event : JournalOf(entry)) {
        // The subject does not say when: they are drawn where the harness has read them.
        const uint64_t journal = thread_of({kSubject, "journal"});
        json.Open('{').Field("ph", "i").Field("s", "t").Key("name").Text(event);
        json.Field("cat", "journal").Key("pid").Number(kSubject).Key("tid").Number(journal);
        json.Key("ts").Number(now).Close('}');
      }
    }

    const std::string scope = Scope(entry);
    if (StartsWith(label, "Request #")) {
      const auto id = NumberAfter(label, "Request #");
      if (id) spans.Begin("call", scope + " " + *id, label, now, pid);
      std::string_view rest = label;
      while (true) {
        const size_t at = rest.find(" = channel ");
        if (at == rest.npos) break;
        const auto channel = NumberAfter(rest, " = channel ");
        rest.remove_prefix(at + 11);
        if (channel) {
          spans.Begin("channel", scope + " " + *channel, "channel " + *channel, now, pid);
        }
      }
    } else if (StartsWith(label, "Response #")) {
      if (const auto id = NumberAfter(label, "Response #")) {
        spans.End("call", scope + " " + *id, now);
      }
    } else if (StartsWith(label, "CloseChannel ") || StartsWith(label, "ResetChannel ")) {
      if (const auto id = NumberAfter(label, "Channel ")) {
        spans.End("channel", scope + " " + *id, now);
      }
    }
  }
  spans.EndAll(now);
  json.Close(']').Key("otherData").Open('{').Field("cell", cell).Field("seed", seed);
  json.Close('}').Close('}');
  return json.Take() + "\n";
}

}  // namespace counterpart::report
