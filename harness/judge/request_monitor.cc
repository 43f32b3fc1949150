// Requests and responses: ids, one response each, the limit, operations and their attempts.
#include <map>
#include <set>
#include <tuple>

#include "harness/judge/judge.h"

namespace counterpart::judge {
namespace {

struct Attempt {
  uint64_t operation_id = 0;
  uint32_t link = 0;
  bool answered = false;
};

struct Operation {
  uint64_t connection = 0;
  std::string method, arguments;
  std::set<uint32_t> attempted_on;  // links
};

// One direction of one connection: the caller's ids.  r[rpc.id.monotone]
struct Ids {
  uint64_t last_request_id = 0;
  std::map<uint64_t, Attempt> attempts;
};

// One direction of one session: the caller's operations.  r[retry.op-id.scope]
struct Caller {
  uint64_t settled_below = 0;
  std::map<uint64_t, Operation> operations;
};

class RequestMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.message == nullptr) return;
    if (frame.message->has_request()) OnRequest(frame, link, judge);
    if (frame.message->has_response()) OnResponse(frame, link, judge);
  }

  void OnLinkEnd(LinkContext& link, peer::LinkEnd, uint64_t, uint64_t, Judge&) override {
    std::erase_if(in_flight_,
                  [&](const auto& each) { return std::get<0>(each.first) == link.link; });
  }

 private:
  void OnRequest(const ObservedFrame& frame, LinkContext& link, Judge& judge) {
    const auto& request = frame.message->request();
    const uint64_t connection = frame.message->connection_id();
    Ids& ids = ids_[{link.session_id, frame.from, connection}];
    const uint64_t id = request.request_id();
    // r[rpc.request.id-allocation]
    const char* parity = connection == 0 ? "rpc.request.id-allocation" : "connection.parity";
    const bool of_parity = (id % 2 == 1) == judge.Odd(link, frame.from, connection);
    const bool acceptor = frame.from == Side::kSubject && frame.from != link.initiator();
    if (acceptor && id != 0 && connection == 0) OnAcceptorsId(frame, of_parity, judge);
    if (id == 0 || !of_parity) {
      judge.Violation(parity, frame.from,
                      "used request id " + std::to_string(id) + ", which is not of its parity",
                      &frame);
    } else {
      judge.Held(parity);
    }
    // r[rpc.id.monotone]: over all generations of the session.
    if (id <= ids.last_request_id) {
      judge.Violation(
          "rpc.id.monotone", frame.from,
          "used request id " + std::to_string(id) + " after " + std::to_string(ids.last_request_id),
          &frame);
    } else if (ids.last_request_id != 0) {
      judge.Held("rpc.id.monotone");
    }
    ids.last_request_id = std::max(ids.last_request_id, id);
    ids.attempts[id] = {.operation_id = request.operation_id(), .link = link.link};
    const std::string& origin = request.origin_session();
    OnOperation(frame, link, callers_[{origin.empty() ? link.session_id : origin, frame.from}],
                origin.empty() || origin == link.session_id, judge);
    // r[rpc.flow-control.max-concurrent-requests.outbound]: as this side can know it, an attempt
    // counts until its response could have been read; the harness's view is never ahead of that.
    std::set<uint64_t>& in_flight = in_flight_[{link.link, frame.from, connection}];
    in_flight.insert(id);
    const uint32_t limit = judge.Limit(link, Other(frame.from), connection);
    if (in_flight.size() > limit) {
      judge.Violation(limit == 0 ? "session.connection-settings"
                                 : "rpc.flow-control.max-concurrent-requests.outbound",
                      frame.from,
                      "has " + std::to_string(in_flight.size()) + " attempts in flight, over the " +
                          std::to_string(limit) + " the other side announced",
                      &frame);
    } else if (in_flight.size() == limit) {
      judge.Held("rpc.flow-control.max-concurrent-requests.outbound");
    }
  }

  // r[session.parity]: it takes the parity that the initiator has left.
  void OnAcceptorsId(const ObservedFrame& frame, bool of_parity, Judge& judge) {
    if (of_parity) {
      judge.Held("session.parity");
    } else {
      judge.Violation("session.parity", frame.from,
                      "accepted the session, and mints ids of its initiator's parity", &frame);
    }
  }

  // `own`: the id was minted in the session of the link, not in one before.
  void OnOperation(const ObservedFrame& frame, const LinkContext& link, Caller& caller, bool own,
                   Judge& judge) {
    const auto& request = frame.message->request();
    if (request.operation_id() == 0) {
      judge.Violation("retry.op-id.scope", frame.from, "sent a Request without operation id",
                      &frame);
      return;
    }
    if (own && request.operation_id() < caller.settled_below) {
      judge.Violation("retry.gc.settled-below", frame.from,
                      "attempted an operation it had declared settled", &frame);
    }
    if (own) caller.settled_below = std::max(caller.settled_below, request.settled_below());
    const auto [found, fresh] = caller.operations.try_emplace(request.operation_id());
    Operation& operation = found->second;
    if (fresh) {
      operation.connection = frame.message->connection_id();
      operation.method = request.method();
      operation.arguments = request.arguments();
      judge.Held("retry.op-id.scope");
    } else if (own && operation.connection != frame.message->connection_id()) {
      judge.Violation("retry.op-id.scope", frame.from,
                      "used operation id " + std::to_string(request.operation_id()) +
                          " again on another connection",
                      &frame);
    } else {
      // r[retry.op-id.payload-binding]
      if (operation.method != request.method() || operation.arguments != request.arguments()) {
        judge.Violation("retry.op-id.payload-binding", frame.from,
                        "used operation id " + std::to_string(request.operation_id()) +
                            " again with another method or other bytes",
                        &frame);
      } else {
        judge.Held("retry.op-id.payload-binding");
      }
      // r[retry.resume.reattempt]: one attempt per generation.
      if (operation.attempted_on.contains(link.link)) {
        judge.Violation("retry.resume.reattempt", frame.from,
                        "attempted operation " + std::to_string(request.operation_id()) +
                            " twice in one generation",
                        &frame);
      } else {
        judge.Held("retry.resume.reattempt");
      }
    }
    operation.attempted_on.insert(link.link);
  }

  void OnResponse(const ObservedFrame& frame, LinkContext& link, Judge& judge) {
    const auto& response = frame.message->response();
    const Side caller_side = Other(frame.from);
    const uint64_t connection = frame.message->connection_id();
    Ids& ids = ids_[{link.session_id, caller_side, connection}];
    const uint64_t id = response.request_id();
    const auto attempt = ids.attempts.find(id);
    if (attempt == ids.attempts.end()) {
      judge.Violation("rpc.response.one-per-request", frame.from,
                      "answered request " + std::to_string(id) + ", which was never sent", &frame);
      return;
    }
    if (attempt->second.link != link.link) {
      judge.Violation("session.resume.discard", frame.from,
                      "answered request " + std::to_string(id) + " of an older attachment", &frame);
      return;
    }
    if (attempt->second.answered) {
      judge.Violation("rpc.response.one-per-request", frame.from,
                      "answered request " + std::to_string(id) + " a second time", &frame);
      return;
    }
    if (response.outcome_case() == wire::v1::Response::OUTCOME_NOT_SET) {
      judge.Violation("rpc.response.shape", frame.from, "sent a Response without outcome", &frame);
      return;
    }
    attempt->second.answered = true;
    in_flight_[{link.link, caller_side, connection}].erase(id);
    judge.Held("rpc.response.one-per-request");
    judge.Held("rpc.response.shape");
  }

  std::map<std::pair<std::string, Side>, Caller> callers_;
  std::map<std::tuple<std::string, Side, uint64_t>, Ids> ids_;  // by session, caller, connection
  // By link, caller and connection.
  std::map<std::tuple<uint32_t, Side, uint64_t>, std::set<uint64_t>> in_flight_;
};

}  // namespace

std::unique_ptr<Monitor> NewRequestMonitor() { return std::make_unique<RequestMonitor>(); }

}  // namespace counterpart::judge
