// The version of the program, as reports and traces state it.
#ifndef COUNTERPART_VERSION_H_
#define COUNTERPART_VERSION_H_

namespace counterpart {

inline constexpr char kProgramVersion[] = "0.1.0";

}  // namespace counterpart

#endif  // COUNTERPART_VERSION_H_
