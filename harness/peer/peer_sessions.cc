// What a peer does to have a session: prologue, handshake, resume.
#include <utility>

#include "harness/peer/peer.h"
#include "harness/wire/schema_id.h"

namespace counterpart::peer {

namespace {

constexpr uint32_t kMagic = 0x54525043;
constexpr uint32_t kVersion = 1;
constexpr size_t kKeyBytes = 16;

}  // namespace

std::string DescribeInbound(const std::optional<Link::Inbound>& inbound, Names& names) {
  if (!inbound) return "the end of the link";
  if (inbound->prologue) return Read(*inbound->prologue);
  if (inbound->stable_handshake) return Read(*inbound->stable_handshake, names);
  if (inbound->handshake) return Read(*inbound->handshake, names);
  if (inbound->message) return Read(*inbound->message);
  return "an unreadable payload (" + inbound->malformed + ")";
}

std::string Peer::MintBytes(const char* what, size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t hash = machine::HashBytes(what + std::to_string(machine_->seed()) + "/" +
                                             std::to_string(++minted_));
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(hash >> (8 * i)));
  }
  bytes.resize(size);
  return bytes;
}

wire::v1::Prologue Peer::TransportHello() const {
  wire::v1::Prologue prologue;
  prologue.mutable_hello()->set_magic(kMagic);
  prologue.mutable_hello()->set_version(kVersion);
  prologue.mutable_hello()->set_conduit(stable_ ? wire::v1::CONDUIT_STABLE
                                                : wire::v1::CONDUIT_BARE);
  prologue.mutable_hello()->set_max_payload(harness_max_payload_);
  return prologue;
}

wire::v1::Hello Peer::NewHello(const Session& session, std::string resume_key) const {
  wire::v1::Hello hello;
  hello.set_parity(session.odd_parity() ? wire::v1::PARITY_ODD : wire::v1::PARITY_EVEN);
  hello.mutable_settings()->set_max_concurrent_requests(session.harness_limit);
  static const uint64_t schema = wire::SchemaId(*wire::v1::Message::descriptor());
  hello.set_protocol_schema(schema);
  const bool resuming = !resume_key.empty();
  hello.set_resume_key(std::move(resume_key));
  if (resuming) {
    const std::vector<uint64_t> open = session.open_connections();
    hello.mutable_open_connections()->Assign(open.begin(), open.end());
  }
  return hello;
}

Session* Peer::NewSession(const SessionOptions& options) {
  auto session = std::make_unique<Session>(this, harness_calls(), options.harness_limit,
                                           options.subject_limit);
  if (options.initiator_even) session->SwapParities();
  session->resumable = options.resumable && !stable_;  // it is the conduit that goes on
  session->dials = options.dials;
  session->accepts_connections = options.connections;
  sessions_.push_back(std::move(session));
  return sessions_.back().get();
}

std::vector<Session*> Peer::sessions() {
  std::vector<Session*> all;
  for (const auto& session : sessions_) all.push_back(session.get());
  return all;
}

Task<> Peer::DoPrologue(Link& link) {
  if (link.harness_dialled) {
    Send(link, TransportHello());
    auto answer = co_await NextInbound(link, "TransportAccept", "transport.prologue.first-payload");
    const bool accepted = answer && answer->prologue && answer->prologue->has_accept();
    std::string wanted = "a TransportHello is answered by TransportAccept, not by " +
                         DescribeInbound(answer, names_);
    co_await Require(accepted, "transport.prologue.first-payload", std::move(wanted));
    co_return;
  }
  auto hello = co_await NextInbound(link, "TransportHello", "transport.prologue.first-payload");
  const bool ok = hello && hello->prologue && hello->prologue->has_hello() &&
                  hello->prologue->hello().magic() == kMagic &&
                  hello->prologue->hello().version() == kVersion &&
                  hello->prologue->hello().conduit() ==
                      (stable_ ? wire::v1::CONDUIT_STABLE : wire::v1::CONDUIT_BARE);
  std::string wanted = std::string("the first payload is a TransportHello of version 1 for a ") +
                       (stable_ ? "stable" : "bare") + " conduit, not " +
                       DescribeInbound(hello, names_);
  co_await Require(ok, "transport.prologue.first-payload", std::move(wanted));
  wire::v1::Prologue accept;
  accept.mutable_accept()->set_max_payload(harness_max_payload_);
  Send(link, accept);
}

wire::v1::Handshake Peer::NewHelloYourself(const Session& session, const std::string& presented) {
  wire::v1::Handshake handshake;
  auto& yourself = *handshake.mutable_hello_yourself();
  yourself.mutable_settings()->set_max_concurrent_requests(session.harness_limit);
  static const uint64_t schema = wire::SchemaId(*wire::v1::Message::descriptor());
  yourself.set_protocol_schema(schema);
  yourself.set_session_id(session.id);
  if (!presented.empty()) {
    const std::vector<uint64_t> open = session.open_connections();
    yourself.mutable_open_connections()->Assign(open.begin(), open.end());
  }
  if (!session.resumable) return handshake;
  // r[session.resume.key-rotation]: a key has one successor, however often it is presented.
  std::string key = presented.empty() ? "" : successors_[presented];
  if (key.empty()) key = MintBytes("key", kKeyBytes);
  if (!presented.empty()) successors_[presented] = key;
  yourself.set_resume_key(std::move(key));
  return handshake;
}

Task<> Peer::DoHandshake(Link& link, Session& session, std::string resume_key, std::string or_key) {
  // A handshake that presents a key, or should, is held to the rule about that.
  const std::string rule = session.id.empty() ? "session.handshake" : session.resume_rule;
  if (link.harness_dialled) {
    wire::v1::Handshake hello;
    *hello.mutable_hello() = NewHello(session, resume_key);
    Send(link, hello);
    auto answer = co_await NextInbound(link, "HelloYourself", rule);
    const bool ok = answer && answer->handshake && answer->handshake->has_hello_yourself();
    std::string wanted =
        "a Hello is answered by HelloYourself, not by " + DescribeInbound(answer, names_);
    co_await Require(ok, rule, std::move(wanted));
    co_await TakeHelloYourself(link, session, *answer);
    co_return;
  }
  auto hello = co_await NextInbound(link, "Hello", rule);
  const bool ok = hello && hello->handshake && hello->handshake->has_hello();
  std::string wanted =
      "the prologue is followed by Hello, not by " + DescribeInbound(hello, names_);
  co_await Require(ok, rule, std::move(wanted));
  const auto parity = hello->handshake->hello().parity();
  co_await Require(parity == (session.odd_parity() ? wire::v1::PARITY_EVEN : wire::v1::PARITY_ODD),
                   "session.parity",
                   "a Hello asks for the parity that the initiator was told to mint");
  const std::string& presented = hello->handshake->hello().resume_key();
  if (session.id.empty()) {
    co_await Require(presented.empty(), "session.handshake",
                     "the Hello of a new session carries no resume key");
    session.id = MintBytes("session", kKeyBytes);
  } else {
    const bool newest = presented == resume_key || (!or_key.empty() && presented == or_key);
    co_await Require(newest, "session.handshake.resume",
                     "the Hello of a redial presents the newest resume key it has read");
  }
  co_await AnswerHello(link, session, presented, rule);
}

Task<> Peer::TakeHelloYourself(Link& link, Session& session, const Link::Inbound& answer) {
  const auto& yourself = answer.handshake->hello_yourself();
  if (!session.id.empty()) {
    co_await Require(yourself.session_id() == session.id, "session.handshake.resume",
                     "a resumed session keeps its session_id");
  }
  if (stable_) {
    co_await Require(yourself.resume_key().empty(), "session.attachment.generation",
                     "a session over a stable conduit hands out no key of its own");
  }
  session.id = yourself.session_id();
  session.resume_key = yourself.resume_key();
  session.subject_limit = yourself.settings().max_concurrent_requests();
  wire::v1::Handshake lets_go;
  lets_go.mutable_lets_go();
  Send(link, lets_go);
  if (link.spoiled) co_return;  // the handshake has not ended for the subject
  link.in = link.out = Link::Phase::kMessages;
  if (!link.end || machine_->superseded()) session.Attach(&link, link.generation);
}

Task<> Peer::AnswerHello(Link& link, Session& session, const std::string& presented,
                         std::string rule) {
  const wire::v1::Handshake yourself = NewHelloYourself(session, presented);
  session.older_key = presented;
  session.resume_key = yourself.hello_yourself().resume_key();
  Send(link, yourself);
  auto lets_go = co_await NextInbound(link, "LetsGo", rule);
  const bool went = lets_go && lets_go->handshake && lets_go->handshake->has_lets_go();
  std::string go =
      "a HelloYourself is answered by LetsGo, not by " + DescribeInbound(lets_go, names_);
  co_await Require(went, rule, std::move(go));
  session.older_key.clear();
  session.proven = true;
  link.out = Link::Phase::kMessages;
  if (!link.end || machine_->superseded()) session.Attach(&link, link.generation);
}

Task<Session*> Peer::Establish(SessionOptions options) {
  Session* session = NewSession(options);
  Link* link = co_await OpenLink(options);
  co_await DoPrologue(*link);
  if (stable_) link = co_await OpenConduit(*link, options);
  co_await DoHandshake(*link, *session, "");
  if (!harness_calls()) {
    control::v1::Outcome outcome =
        co_await OutcomeOf(connect_question_, "the Connect command to end", "session.handshake");
    co_await Require(outcome.has_connected() && outcome.connected().session_id() == session->id,
                     "session.handshake", "Connect ends with the session_id of HelloYourself");
  }
  co_return session;
}

Task<> Peer::Resume(Session& session) {
  SessionOptions options;
  options.resumable = session.resumable;
  options.dials = session.dials;
  // r[session.resume.bind]: the initiator closes its previous link before each Hello.
  if (session.link != nullptr && harness_calls()) Close(*session.link, How::kFin);
  for (const auto& call : session.calls()) {
    if (!call->response) happenings_.insert(std::string(kResumedUnanswered));
  }
  std::string key = session.resume_key;
  Link* link = co_await OpenLink(options);
  co_await DoPrologue(*link);
  co_await DoHandshake(*link, session, std::move(key));
}

}  // namespace counterpart::peer
