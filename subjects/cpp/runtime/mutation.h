// Faults that can be switched on at start, to prove that a harness sees them.
#pragma once

#include <string_view>

namespace subject {

// Switches one fault on, for the life of the process; false if there is no such fault.
bool ActivateMutation(std::string_view name);

// Is this fault switched on?
bool Mutated(std::string_view name);

// Its name, empty if none is.
std::string_view ActiveMutation();

}  // namespace subject
