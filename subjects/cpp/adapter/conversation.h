// One stream of the control plane. Its requests go to the loop, in order; replies that are given in
// one turn of the loop go out together.  r[control.stream]
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>

#include "counterpart/control/v1/control.grpc.pb.h"
#include "runtime/journal.h"
#include "runtime/loop.h"

namespace subject {

// Stays when it is over: a command may be answered whenever it ends.
class Conversation final
    : public grpc::ServerBidiReactor<control::ConverseRequest, control::ConverseResponse> {
 public:
  using Say = std::function<void(control::ControlReply)>;
  using Answer = std::function<void(const control::ControlRequest&, Say)>;

  // Without `answer`: with somebody who is not admitted.  r[control.token]
  Conversation(Loop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {
    answer_ ? StartRead(&asked_)
            : Finish({grpc::StatusCode::UNAUTHENTICATED, "wrong counterpart-token"});
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    for (control::ControlRequest& request : *asked_.mutable_requests()) {
      loop_.Post([this, request = std::move(request)] {
        answer_(request, [this](const control::ControlReply& reply) {
          waiting_.push_back(reply);
          if (waiting_.size() == 1) loop_.Post([this] { Write(); });
        });
      });
    }
    StartRead(&asked_);
  }

  void OnWriteDone(bool ok) override {
    if (ok) loop_.Post([this] { writing_ = false, Write(); });
  }

  void OnDone() override {}

 private:
  void Write() {
    if (writing_ || waiting_.empty()) return;
    writing_ = true;
    said_.Clear();
    // Nothing joins a message of a MiB.
    for (size_t size = 0; !waiting_.empty() && size < 1 << 20; waiting_.pop_front()) {
      size += waiting_.front().ByteSizeLong();
      said_.add_replies()->Swap(&waiting_.front());
    }
    StartWrite(&said_);
  }

  Loop& loop_;
  const Answer answer_;
  control::ConverseRequest asked_;
  control::ConverseResponse said_;             // under way
  std::deque<control::ControlReply> waiting_;  // behind it
  bool writing_ = false;
};

}  // namespace subject
