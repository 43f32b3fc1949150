// One stream of the control plane. Its requests go to the loop, in order; replies that are given in
// one turn of the loop go out together.  r[control.stream]
#pragma once

#include <grpcpp/grpcpp.h>

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
    if (answer_) {
      StartRead(&asked_);
    } else {
      Finish({grpc::StatusCode::UNAUTHENTICATED, "wrong counterpart-token"});
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    for (control::ControlRequest& request : *asked_.mutable_requests()) {
      loop_.Post([this, request = std::move(request)] {
        answer_(request, [this](const control::ControlReply& reply) {
          *waiting_.add_replies() = reply;
          if (waiting_.replies_size() == 1) loop_.Post([this] { Write(); });
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
    if (writing_ || waiting_.replies().empty()) return;
    writing_ = true;
    said_.Clear();
    said_.Swap(&waiting_);
    StartWrite(&said_);
  }

  Loop& loop_;
  const Answer answer_;
  control::ConverseRequest asked_;
  control::ConverseResponse said_, waiting_;  // under way, and to follow
  bool writing_ = false;
};

}  // namespace subject
