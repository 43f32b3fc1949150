// The normal form of a trace: what two runs that behave the same have in common, however the
// independent streams of them interleaved and whatever the clock, the ports and the random values
// were. For telling whether a run did again what it did before, and for counting how many ways of
// passing there are.
//
// What is kept: of every entry that belongs to an edge (an ordered stream: one direction of one
// link, one question to the control plane, the faults) its label, in the order of that edge. Labels
// name random values by their first occurrence and leave times and ports out. What is dropped: the
// order between edges, rounds, times, texts, entries without an edge (choices, calm, findings), and
// the other side's FIN on a link that we closed with a FIN too: after our own nothing is heard of
// it, and which of the two came first is not ours to say.
//
// Pure. Works alike on the trace of a run that has just ended and on one read from a file.
#ifndef COUNTERPART_MACHINE_NORMAL_FORM_H_
#define COUNTERPART_MACHINE_NORMAL_FORM_H_

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "harness/machine/trace.h"

namespace counterpart::machine {

// By edge, sorted: the indices of its entries, in order. Refers to `entries`.
using NormalForm = std::map<std::string_view, std::vector<size_t>>;
NormalForm Normalise(const std::vector<Entry>& entries);

// Equal for runs of one normal form; otherwise different but for chance (64 bit).
uint64_t NormalisedDigest(const std::vector<Entry>& entries);

}  // namespace counterpart::machine

#endif  // COUNTERPART_MACHINE_NORMAL_FORM_H_
