// Which subjects there are: matrix/subjects.yaml, `--subject id=CMD`, `-- CMD…`.
#ifndef COUNTERPART_CAMPAIGN_SUBJECTS_H_
#define COUNTERPART_CAMPAIGN_SUBJECTS_H_

#include <map>
#include <string>
#include <vector>

#include "harness/effects/live_world.h"
#include "harness/result.h"

namespace counterpart::campaign {

// Reads a subjects file. `{root}` in a command is the folder above the file's own, `{build}` the
// build folder. A subject that says why it may be left out, and whose program is missing, is not
// among the subjects: `left_out` gets a sentence about it, by id. Errors name file, line and
// column.
Result<std::vector<effects::SubjectSpec>> ReadSubjects(
    const std::string& path, const std::string& build_folder,
    std::map<std::string, std::string>* left_out);

// "id=command with arguments", split at spaces as a shell would, quotes understood.
Result<effects::SubjectSpec> ParseSubject(const std::string& text);

// A command as it was typed in `folder`, for a process that is started elsewhere: words that name a
// file there become absolute; a program without a slash is looked up in `path`, a list of folders
// separated by colons. A program that is nowhere stays as it is.
void MakeAbsolute(std::vector<std::string>* command, const std::string& folder,
                  const std::string& path);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_SUBJECTS_H_
