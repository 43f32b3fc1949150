// What libprotobuf says of the messages it reads and writes.
#ifndef COUNTERPART_CLI_PROTOBUF_LOG_H_
#define COUNTERPART_CLI_PROTOBUF_LOG_H_

namespace counterpart::cli {

// From now on each thing is said once, as a word of this program. By itself the library would write
// a line for every text of a subject's that is no UTF-8, in whatever else is on stderr.
void SayOnceWhatProtobufSays();

}  // namespace counterpart::cli

#endif  // COUNTERPART_CLI_PROTOBUF_LOG_H_
