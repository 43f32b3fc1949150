#include "harness/report/run_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/line_json.h"

namespace counterpart::report {
namespace {

constexpr uint64_t kLargest = uint64_t{4} << 30;

Error FileError(Error::Kind kind, const std::string& path, const char* what, int number) {
  return {kind, path + ": " + what + ": " + std::generic_category().message(number)};
}

// All of it, in one write(2) unless the kernel takes less.
Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(Error::Kind::kHarness, path, "cannot write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status MakeFolderOf(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (!error) return {};
  return Error{Error::Kind::kUsage,
               folder.string() + ": cannot make this folder: " + error.message()};
}

}  // namespace

Result<std::unique_ptr<RunWriter>> RunWriter::Create(const std::string& path) {
  if (const Status made = MakeFolderOf(path); !made.ok()) return made.error();
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return FileError(Error::Kind::kUsage, path, "cannot replace", errno);
  }
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return FileError(Error::Kind::kUsage, path, "cannot create", errno);
  return std::unique_ptr<RunWriter>(new RunWriter(path, fd));
}

Result<std::unique_ptr<RunWriter>> RunWriter::Continue(const std::string& path,
                                                       const OnExec& on_exec) {
  Result<std::string> bytes = ReadText(path);
  if (!bytes.ok()) return bytes.error();
  size_t keep = 0;
  v1::Line line;
  for (size_t end = bytes->find('\n'); end != bytes->npos; end = bytes->find('\n', keep)) {
    line.Clear();
    const std::string_view text = std::string_view(*bytes).substr(keep, end - keep);
    if (!FromJsonLine(text, path, &line).ok() || line.has_cell() || line.has_footer()) break;
    if (line.has_exec() && on_exec != nullptr) on_exec(line.exec());
    keep = end + 1;
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return FileError(Error::Kind::kUsage, path, "cannot go on with", errno);
  std::unique_ptr<RunWriter> writer(new RunWriter(path, fd));
  if (::ftruncate(fd, static_cast<off_t>(keep)) != 0) {
    return FileError(Error::Kind::kUsage, path, "cannot go on with", errno);
  }
  return writer;
}

RunWriter::~RunWriter() { ::close(fd_); }

Status RunWriter::Append(const v1::Line& line) {
  const std::string text = ToJsonLine(line);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failed_.ok()) failed_ = WriteAll(fd_, text, path_);
  return failed_;
}

Status RunWriter::Append(const v1::Header& header) {
  v1::Line line;
  *line.mutable_header() = header;
  return Append(line);
}

Status RunWriter::Append(const v1::Scenario& scenario) {
  v1::Line line;
  *line.mutable_scenario() = scenario;
  return Append(line);
}

Status RunWriter::Append(const v1::Exec& exec) {
  v1::Line line;
  *line.mutable_exec() = exec;
  return Append(line);
}

Status RunWriter::Append(const v1::Cell& cell) {
  v1::Line line;
  *line.mutable_cell() = cell;
  return Append(line);
}

Status RunWriter::Append(const v1::Footer& footer) {
  v1::Line line;
  *line.mutable_footer() = footer;
  return Append(line);
}

Result<Run> RunReader::ReadHeader(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string line;
  if (!std::getline(in, line)) return Read(path);  // says what is wrong
  return ParseRun(line + "\n", path);
}

Result<Run> RunReader::Read(const std::string& path, const OnExec& on_exec) {
  const Result<std::string> bytes = ReadText(path);
  if (!bytes.ok()) return bytes.error();
  return ParseRun(*bytes, path, on_exec);
}

Result<std::string> ReadText(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(Error::Kind::kUsage, path, "cannot read", errno);
  std::string bytes;
  size_t size = 0;
  while (true) {
    if (bytes.size() < size + (1u << 16)) bytes.resize(size + size / 2 + (1u << 18));
    const ssize_t n = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    const int number = errno;
    if (n < 0 || size + static_cast<size_t>(n) > kLargest) {
      ::close(fd);
      return FileError(Error::Kind::kUsage, path, "cannot read", n < 0 ? number : EFBIG);
    }
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  ::close(fd);
  bytes.resize(size);
  return bytes;
}

Status WriteText(const std::string& path, std::string_view text) {
  if (Status made = MakeFolderOf(path); !made.ok()) return made;
  const std::string beside = path + ".part" + std::to_string(::getpid());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return FileError(Error::Kind::kUsage, beside, "cannot create", errno);
  Status written = WriteAll(fd, text, beside);
  if (::close(fd) != 0 && written.ok()) {
    written = FileError(Error::Kind::kHarness, beside, "cannot write", errno);
  }
  if (written.ok() && ::rename(beside.c_str(), path.c_str()) != 0) {
    written = FileError(Error::Kind::kHarness, path, "cannot replace", errno);
  }
  if (!written.ok()) ::unlink(beside.c_str());
  return written;
}

}  // namespace counterpart::report
