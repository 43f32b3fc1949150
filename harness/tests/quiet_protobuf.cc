// Payloads that are no Message are many here, and libprotobuf writes a line to stderr for some of
// them: what a failed test says would drown in those.
#include <google/protobuf/stubs/logging.h>

namespace {

[[maybe_unused]] google::protobuf::LogHandler* const silenced =
    google::protobuf::SetLogHandler(nullptr);

}  // namespace
