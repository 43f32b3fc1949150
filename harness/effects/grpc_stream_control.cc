#include <pthread.h>

#include <algorithm>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "counterpart/control/v1/control.grpc.pb.h"
#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/control_delivery.h"
#include "harness/effects/grpc_channel.h"
#include "harness/effects/grpc_control.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;

// No further request joins a message that is larger: a subject need not take more at once than it
// would have of calls.
constexpr size_t kFullMessage = 1u << 20;

// One stream to the subject. Of reading and writing at most one each is under way, and ending it is
// the last thing that is asked of it.
class Stream {
 public:
  enum class Event : uint8_t { kStarted, kRead, kWritten, kFinished };
  struct Tag {
    Stream* stream;
    Event event;
  };

  Stream(control::SubjectStream::Stub& stub, Credential credential, const std::string& token,
         grpc::CompletionQueue* queue)
      : ours_(credential == Credential::kOurs) {
    Identify(credential, token, &context_);
    under_way_ = 1;
    stream_ = stub.AsyncConverse(&context_, queue, &started_);
  }

  // Goes out with the next write.
  void Ask(control::ControlRequest request) {
    open_.insert(request.id());
    waiting_.push_back(std::move(request));
  }

  void Write() {
    if (writing_ || broken_ || waiting_.empty()) return;
    request_.Clear();
    size_t size = 0;
    while (!waiting_.empty() && size < kFullMessage) {
      size += waiting_.front().ByteSizeLong();
      request_.add_requests()->Swap(&waiting_.front());
      waiting_.pop_front();
    }
    writing_ = true;
    ++under_way_;
    stream_->Write(request_, &written_);
  }

  // What an event that has come means. Returns the questions that ended with it.
  std::vector<ControlCompletion> On(Event event, bool ok) {
    --under_way_;
    std::vector<ControlCompletion> ended;
    switch (event) {
      case Event::kStarted:
        writing_ = false;
        if (ok) {
          Read();
          Write();
        }
        break;
      case Event::kWritten:
        writing_ = false;
        if (ok) Write();
        break;
      case Event::kRead:
        if (ok) {
          ended = TakeReplies();
          Read();
        }
        break;
      case Event::kFinished:
        finished_ = true;
        if (status_.ok()) status_ = {grpc::StatusCode::UNKNOWN, "the subject ended the stream"};
        // A server may let a stream lapse that it got no time for; not one that it has answered on.
        if (answered_ && status_.error_code() == grpc::StatusCode::CANCELLED) {
          status_ = {grpc::StatusCode::ABORTED, "the subject cancelled the stream"};
        }
        if (why_broken_) status_ = {grpc::StatusCode::INTERNAL, *why_broken_};
        for (const uint64_t id : std::exchange(open_, {}))
          ended.push_back(NotAnswered(id, status_));
        return ended;
    }
    broken_ |= !ok;
    if (broken_ && under_way_ == 0) {
      ++under_way_;
      stream_->Finish(&status_, &over_);
    }
    return ended;
  }

  void Cancel() { context_.TryCancel(); }

  bool ours() const { return ours_; }
  // Nothing is under way any more: it may go.
  bool finished() const { return finished_; }
  // With finished(): how it ended.
  const grpc::Status& status() const { return status_; }

 private:
  void Read() {
    ++under_way_;
    stream_->Read(&response_, &read_);
  }

  std::vector<ControlCompletion> TakeReplies() {
    std::vector<ControlCompletion> answered;
    for (control::ControlReply& reply : *response_.mutable_replies()) {
      const uint64_t id = reply.id();
      if (open_.erase(id) == 0) {
        why_broken_ = "the subject answered question " + std::to_string(id) + ", which is not open";
        Cancel();
        break;
      }
      answered_ = true;
      reply.clear_id();
      answered.push_back({.id = id, .answered = true, .reply = reply.SerializeAsString()});
    }
    // Nothing more is asked as a stranger.
    if (!ours_ && open_.empty()) Cancel();
    return answered;
  }

  const bool ours_;
  Tag started_{this, Event::kStarted}, read_{this, Event::kRead}, written_{this, Event::kWritten},
      over_{this, Event::kFinished};
  grpc::ClientContext context_;
  control::ConverseRequest request_;
  control::ConverseResponse response_;
  grpc::Status status_;
  std::deque<control::ControlRequest> waiting_;
  std::set<uint64_t> open_;
  int under_way_ = 0;    // operations whose events have not come
  bool writing_ = true;  // also until it has started
  bool broken_ = false;  // an operation has failed: to be ended
  bool answered_ = false;
  bool finished_ = false;
  std::optional<std::string> why_broken_;  // where the subject is to blame
  std::unique_ptr<
      grpc::ClientAsyncReaderWriter<control::ConverseRequest, control::ConverseResponse>>
      stream_;
};

// Events come on one thread and one completion queue of our own, as for the calls of GrpcControl.
class GrpcStreamControl final : public ControlClient {
 public:
  GrpcStreamControl(const std::string& address, std::string token, ControlSink* sink)
      : in_library_(std::in_place),
        token_(std::move(token)),
        sink_(sink),
        stub_(control::SubjectStream::NewStub(ChannelTo(address))),
        events_([this] { TakeEvents(); }) {
    in_library_.reset();
  }

  ~GrpcStreamControl() override {
    in_library_.emplace();  // and until all of it is gone
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      for (Stream& stream : streams_) stream.Cancel();
      if (streams_.empty()) queue_.Shutdown();
    }
    events_.join();
  }

  void Ask(uint64_t id, const std::string& request, Credential credential) override {
    control::ControlRequest parsed;
    if (!parsed.ParseFromString(request)) {
      sink_->Push({.id = id, .failure = "not a ControlRequest"});
      return;
    }
    parsed.set_id(id);
    const std::lock_guard lock(mutex_);
    if (ended_ && credential == Credential::kOurs) return sink_->Push(NotAnswered(id, *ended_));
    StreamOf(credential).Ask(std::move(parsed));
    asked_ = true;
  }

  void Flush() override {
    if (!asked_) return;
    asked_ = false;
    const InLibrary in_library;
    const std::lock_guard lock(mutex_);
    for (Stream& stream : streams_) stream.Write();
  }

  size_t connections() const override { return connected_ ? 1 : 0; }

 private:
  // With mutex_ held.
  Stream& StreamOf(Credential credential) {
    const auto ours = std::find_if(streams_.begin(), streams_.end(),
                                   [](const Stream& stream) { return stream.ours(); });
    if (credential == Credential::kOurs && ours != streams_.end()) return *ours;
    connected_ = true;
    const InLibrary in_library;
    return streams_.emplace_back(*stub_, credential, token_, &queue_);
  }

  void TakeEvents() {
    pthread_setname_np(pthread_self(), "control_answers");
    void* at = nullptr;
    bool ok = false;
    while (queue_.Next(&at, &ok)) {
      const auto& tag = *static_cast<Stream::Tag*>(at);
      Stream& stream = *tag.stream;
      const std::lock_guard lock(mutex_);
      std::vector<ControlCompletion> ended = stream.On(tag.event, ok);
      if (!closing_) sink_->Push(std::move(ended));
      if (!stream.finished()) continue;
      if (stream.ours()) ended_ = stream.status();
      streams_.remove_if([&stream](const Stream& other) { return &other == &stream; });
      if (closing_ && streams_.empty()) queue_.Shutdown();
    }
  }

  std::optional<InLibrary> in_library_;  // first: while the rest is made and unmade
  const std::string token_;
  ControlSink* const sink_;
  std::unique_ptr<control::SubjectStream::Stub> stub_;
  grpc::CompletionQueue queue_;
  std::mutex mutex_;
  std::list<Stream> streams_;
  std::optional<grpc::Status> ended_;  // that of ours
  bool closing_ = false;
  bool connected_ = false, asked_ = false;  // of the thread that asks
  std::thread events_;                      // last: it uses all of the above
};

}  // namespace

std::unique_ptr<ControlClient> MakeGrpcStreamControl(const std::string& address, std::string token,
                                                     ControlSink* sink) {
  return std::make_unique<GrpcStreamControl>(address, std::move(token), sink);
}

}  // namespace counterpart::effects
