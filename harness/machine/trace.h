// Everything that happened in one run, in one total order: what the machine asked for, what the
// world answered, what was noted and chosen.
#ifndef COUNTERPART_MACHINE_TRACE_H_
#define COUNTERPART_MACHINE_TRACE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/effects/effect.h"

namespace counterpart::machine {

enum class EntryKind : uint8_t { kEffect, kIngress, kNote, kChoice };

// How an entry reads. `edge` says which ordered stream it belongs to ("s1.g2.out", "control.3");
// `label` is the same in every run that behaves the same: random values are named by their first
// occurrence, times and ports are left out. `text` may say more.
struct Reading {
  std::string edge;
  std::string label;
  std::string text;
};

struct Entry {
  EntryKind kind;
  uint32_t round = 0;
  uint64_t time_us = 0;           // since the run began; informational, in no digest
  effects::Effect effect = {};    // with kEffect
  effects::Ingress ingress = {};  // with kIngress
  uint64_t choice = 0;            // with kChoice: what was chosen, of ingress.number
  Reading reading = {};
};

// What a replay must reproduce, as bytes: kind and content, neither time nor wording. Decode gives
// back an entry whose canonical bytes are the same; false if they are not such bytes.
std::string Canonical(const Entry& entry);
bool DecodeCanonical(std::string_view bytes, Entry* entry);
uint64_t Digest(const Entry& entry);

class Trace {
 public:
  uint64_t Append(Entry entry) {
    entries_.push_back(std::move(entry));
    return entries_.size() - 1;
  }
  const std::vector<Entry>& entries() const { return entries_; }
  Entry& at(uint64_t index) { return entries_[index]; }
  size_t size() const { return entries_.size(); }

  // Over every entry in order: equal for a run and its replay.
  uint64_t ExactHash() const;
  // Of its normal form (normal_form.h): equal for runs that differ only in how independent streams
  // interleaved.
  uint64_t NormalisedHash() const;

 private:
  std::vector<Entry> entries_;
};

// Where two runs of one seed first differ, for people: the earliest entry of the first, by its
// edge, that the second does not have at the same place of that edge. Nothing if their normalised
// hashes are the same.
std::optional<std::string> FirstDifference(const Trace& first, const Trace& second);

// FNV-1a, 64 bit: for telling traces apart, not for security.
uint64_t HashBytes(std::string_view bytes, uint64_t hash = 14695981039346656037ull);
std::string HashText(uint64_t hash);

}  // namespace counterpart::machine

#endif  // COUNTERPART_MACHINE_TRACE_H_
