#include "harness/campaign/recorded_world.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <utility>

#include "harness/report/trace_fields.h"

namespace counterpart::campaign {
namespace {

using effects::Effect;
using effects::EffectKind;
using effects::Ingress;
using effects::IngressKind;
using effects::Lane;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using machine::Entry;
using machine::EntryKind;
using std::chrono::microseconds;

// A value that is chosen anew in every run; `bytes` or `number`, as its field has it.
struct Fresh {
  std::string name;
  std::string bytes;
  uint64_t number = 0;
  auto operator<=>(const Fresh&) const = default;
};

// Shows every such value of a message; what `visit` changes in it is put back.
void ForEachFresh(Message* message, const std::function<void(Fresh*)>& visit) {
  const auto* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(*message, &set);
  for (const FieldDescriptor* field : set) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!field->is_repeated()) {
        ForEachFresh(reflection->MutableMessage(message, field), visit);
        continue;
      }
      for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
        ForEachFresh(reflection->MutableRepeatedMessage(message, field, i), visit);
      }
      continue;
    }
    if (field->is_repeated() || !report::IsVolatile(field->name())) continue;
    Fresh fresh{.name = field->name(), .bytes = {}};
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        fresh.bytes = reflection->GetString(*message, field);
        visit(&fresh);
        reflection->SetString(message, field, fresh.bytes);
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        fresh.number = reflection->GetUInt32(*message, field);
        visit(&fresh);
        reflection->SetUInt32(message, field, static_cast<uint32_t>(fresh.number));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        fresh.number = reflection->GetUInt64(*message, field);
        visit(&fresh);
        reflection->SetUInt64(message, field, fresh.number);
        break;
      default:
        break;
    }
  }
}

std::vector<Fresh> FreshIn(const Entry& entry) {
  std::vector<Fresh> values;
  if (const auto message = report::MessageIn(entry)) {
    ForEachFresh(message.get(), [&values](Fresh* fresh) { values.push_back(*fresh); });
  }
  return values;
}

bool IsOfALink(EffectKind kind) {
  switch (kind) {
    case EffectKind::kAsk:
    case EffectKind::kReadExecutions:
    case EffectKind::kReadOutput:
    case EffectKind::kListen:
    case EffectKind::kStopListening:
    case EffectKind::kKill:
    case EffectKind::kCloseInput:
    case EffectKind::kRestart:
    case EffectKind::kStopProcess:
      return false;
    default:
      return true;
  }
}

bool IsQuestion(EffectKind kind) {
  return kind == EffectKind::kAsk || kind == EffectKind::kReadExecutions ||
         kind == EffectKind::kReadOutput;
}

// Whether two effects belong to one ordered stream: a later one of it cannot overtake.
bool SameStream(const Effect& a, const Effect& b) {
  if (IsOfALink(a.kind) || IsOfALink(b.kind)) {
    return IsOfALink(a.kind) && IsOfALink(b.kind) && a.id == b.id;
  }
  if (IsQuestion(a.kind) || IsQuestion(b.kind)) return a.kind == b.kind;
  return true;  // listeners and the process
}

class RecordedWorld final : public effects::LiveWorld {
 public:
  RecordedWorld(RecordedSubject recorded, Impersonation* told)
      : info_(std::move(recorded.info)), told_(told) {
    for (size_t i = 0; i < recorded.entries.size(); ++i) {
      Entry& entry = recorded.entries[i];
      const bool effect =
          entry.kind == EntryKind::kEffect && entry.effect.subject == recorded.subject;
      const bool ingress = entry.kind == EntryKind::kIngress &&
                           entry.ingress.subject == recorded.subject &&
                           entry.ingress.kind != IngressKind::kQuiescent &&
                           entry.ingress.kind != IngressKind::kUnjudgeable;
      if (effect || ingress) script_.push_back({.index = i, .entry = std::move(entry)});
    }
    told_->entries = script_.size();
    Tell();
  }

  const effects::SubjectInfo& subject() const override { return info_; }
  uint32_t incarnation() const override { return 1; }
  bool alive() const override { return true; }
  std::string stderr_tail() const override { return ""; }

  Lane OpenLane() override { return lane_ = next_lane_++; }
  void CloseLane(Lane) override { lane_ = 0; }

  void Execute(Lane, const Effect& effect) override {
    Entry asked{.kind = EntryKind::kEffect};
    asked.effect = effect;
    asked.effect.subject = 0;
    Line* line = Find(asked);
    if (line == nullptr) return Tell();
    line->done = true;
    questions_[line->entry.effect.id] = effect.id;
    Tell();
  }

  std::vector<effects::Arrival> Poll(microseconds) override {
    std::vector<effects::Arrival> arrivals;
    for (Line& line : script_) {
      if (line.done) continue;
      if (line.entry.kind == EntryKind::kEffect) break;  // not asked yet
      line.done = true;
      arrivals.push_back({lane_, Said(line.entry)});
    }
    if (!arrivals.empty()) Tell();
    return arrivals;
  }

  int wait_fd() const override { return -1; }  // it never speaks unasked

  effects::Calm CheckCalm(microseconds, effects::Certainty) override {
    effects::Calm calm;
    for (const Line& line : script_) {
      if (line.done) continue;
      if (line.entry.kind == EntryKind::kIngress) return calm;  // Poll will bring it
      break;
    }
    calm.state = effects::Calm::State::kQuiescent;
    calm.tier = 1;
    calm.evidence = "a recording: " + std::to_string(told_->played) + " of its " +
                    std::to_string(told_->entries) + " entries have been played";
    return calm;
  }

  Status Respawn() override {
    return Error{Error::Kind::kHarness, "a recording cannot be started anew"};
  }

 private:
  struct Line {
    size_t index = 0;  // in the trace
    Entry entry;
    bool done = false;
  };

  // The recorded request that this one repeats; null if there is none left.
  Line* Find(const Entry& asked) {
    Line* first = nullptr;
    std::optional<report::FieldDifference> difference;
    for (Line& line : script_) {
      if (line.done || line.entry.kind != EntryKind::kEffect ||
          !SameStream(line.entry.effect, asked.effect)) {
        continue;
      }
      const auto differs = Compare(line.entry, asked);
      if (!differs) {
        Learn(line.entry, asked);
        return &line;
      }
      if (first == nullptr) {
        first = &line;
        difference = differs;
      }
      if (!IsQuestion(asked.effect.kind)) break;
    }
    if (!told_->mismatch) {
      report::TraceDifference& mismatch = told_->mismatch.emplace();
      mismatch.path = first == nullptr ? "entry" : difference->path;
      mismatch.a = first == nullptr ? "(nothing)" : difference->a;
      mismatch.b = first == nullptr ? effects::Name(asked.effect.kind) : difference->b;
      mismatch.b_label = effects::Name(asked.effect.kind);
      if (first != nullptr) {
        mismatch.a_entry = first->index;
        mismatch.edge = first->entry.reading.edge;
        mismatch.a_label = first->entry.reading.label;
      }
    }
    if (first != nullptr) Learn(first->entry, asked);
    return first;
  }

  // In what they differ, once values that are chosen anew are taken to stand for each other.
  std::optional<report::FieldDifference> Compare(const Entry& recorded, const Entry& asked) const {
    Entry then = recorded;
    then.effect.subject = 0;
    if (IsQuestion(asked.effect.kind)) then.effect.id = asked.effect.id;
    std::map<Fresh, Fresh> learned = learned_;
    LearnInto(recorded, asked, &learned);
    Rewrite(&then, learned);
    if (then.effect.kind == EffectKind::kReadExecutions) {
      RewriteSessions(&then.effect.bytes, learned);
    }
    return report::FirstDifference(report::FieldsOf(then), report::FieldsOf(asked));
  }

  static void LearnInto(const Entry& recorded, const Entry& asked,
                        std::map<Fresh, Fresh>* learned) {
    const std::vector<Fresh> then = FreshIn(recorded), now = FreshIn(asked);
    for (size_t i = 0; i < then.size() && i < now.size(); ++i) {
      if (then[i].name == now[i].name) learned->try_emplace(then[i], now[i]);
    }
  }
  void Learn(const Entry& recorded, const Entry& asked) { LearnInto(recorded, asked, &learned_); }

  static void Rewrite(Entry* entry, const std::map<Fresh, Fresh>& learned) {
    const auto message = report::MessageIn(*entry);
    if (message == nullptr) return;
    bool changed = false;
    ForEachFresh(message.get(), [&](Fresh* fresh) {
      const auto known = learned.find(*fresh);
      if (known == learned.end() || known->second == *fresh) return;
      *fresh = known->second;
      changed = true;
    });
    if (changed) report::PutMessage(*message, entry);
  }

  // What was said then, in the values of now.
  Ingress Said(const Entry& recorded) const {
    Entry entry = recorded;
    Rewrite(&entry, learned_);
    Ingress& ingress = entry.ingress;
    ingress.subject = 0;
    if (ingress.kind == IngressKind::kAnswer || ingress.kind == IngressKind::kNoAnswer ||
        ingress.kind == IngressKind::kExecutions || ingress.kind == IngressKind::kOutput) {
      const auto question = questions_.find(ingress.id);
      if (question != questions_.end()) ingress.id = question->second;
    }
    if (ingress.kind == IngressKind::kExecutions) RewriteSessions(&ingress.bytes, learned_);
    return ingress;
  }

  // The executions file, and who asks for it, name sessions in hexadecimal.
  static void RewriteSessions(std::string* text, const std::map<Fresh, Fresh>& learned) {
    static constexpr char kDigits[] = "0123456789abcdef";
    const auto hex = [](const std::string& bytes) {
      std::string digits;
      for (const char c : bytes) {
        digits.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
        digits.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
      }
      return digits;
    };
    for (const auto& [then, now] : learned) {
      if (then.name != "session_id" || then.bytes.empty()) continue;
      const std::string from = hex(then.bytes), to = hex(now.bytes);
      for (size_t at = text->find(from); at != text->npos; at = text->find(from, at + to.size())) {
        text->replace(at, from.size(), to);
      }
    }
  }

  void Tell() {
    told_->played = 0;
    told_->missing.reset();
    for (const Line& line : script_) {
      told_->played += line.done;
      if (line.done || line.entry.kind != EntryKind::kEffect || told_->missing) continue;
      report::TraceDifference& missing = told_->missing.emplace();
      missing.a_entry = line.index;
      missing.edge = line.entry.reading.edge;
      missing.path = "entry";
      missing.a = missing.a_label =
          effects::Name(line.entry.effect.kind) + (" " + line.entry.reading.label);
      missing.b = missing.b_label = "(nothing)";
    }
  }

  const effects::SubjectInfo info_;
  Impersonation* const told_;
  std::vector<Line> script_;
  Lane lane_ = 0, next_lane_ = 1;
  std::map<uint32_t, uint32_t> questions_;  // ids then: now
  std::map<Fresh, Fresh> learned_;          // then: now
};

}  // namespace

std::unique_ptr<effects::LiveWorld> MakeRecordedWorld(RecordedSubject recorded,
                                                      Impersonation* told) {
  return std::make_unique<RecordedWorld>(std::move(recorded), told);
}

}  // namespace counterpart::campaign
