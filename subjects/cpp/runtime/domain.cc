#include "runtime/domain.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "runtime/mutation.h"
#include "runtime/schema_id.h"

namespace subject {
namespace {

using asio::ip::tcp;

uint64_t ProtocolSchema() { return TypeId(wire::Message::descriptor()); }

void Send(Conduit& link, const google::protobuf::Message& envelope) {
  link.Write(envelope.SerializeAsString());
}

// r[session.resume.connections]
template <typename Theirs>
std::vector<uint64_t> InBoth(const std::vector<uint64_t>& ours, const Theirs& theirs) {
  std::vector<uint64_t> both;
  std::ranges::copy_if(ours, std::back_inserter(both), [&theirs](uint64_t id) {
    return std::ranges::find(theirs, id) != theirs.end();
  });
  return both;
}

void SendSorry(Conduit& link, wire::SorryReason reason, const std::string& detail) {
  wire::Handshake handshake;
  handshake.mutable_sorry()->set_reason(reason);
  handshake.mutable_sorry()->set_detail(detail);
  Send(link, handshake);
  if (!Mutated("stays_after_a_sorry")) link.Finish();
}

template <typename StableHello>
std::optional<uint32_t> LastReceived(const StableHello& hello) {
  if (!hello.has_last_received()) return std::nullopt;
  return hello.last_received();
}

template <typename StableHello>
void SetLastReceived(StableHello* hello, const StableCore& core) {
  if (const auto last = core.last_received()) {
    hello->set_last_received(*last + (Mutated("stable_claims_the_unsent") ? 100 : 0));
  }
}

constexpr char kStableReject[] = "STABLE_REJECT";  // as the rule of an ending

}  // namespace

// ------------------------------------------------------------------ the accepting side

class Domain::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(Domain* domain, Settings settings, bool resumable)
      : domain_(domain),
        settings_(settings),
        resumable_(resumable),
        acceptor_(domain->runtime_.loop.io()) {}

  uint16_t Open(const std::string& host, uint16_t port) {
    std::error_code error;
    const auto address = asio::ip::make_address_v4(host, error);
    if (!error) acceptor_.open(tcp::v4(), error);
    if (!error) acceptor_.bind({address, port}, error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    if (error) return 0;
    Accept();
    return acceptor_.local_endpoint(error).port();
  }

  void Close() {
    std::error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  void Accept();

  Domain* domain_;
  Settings settings_;
  bool resumable_;
  tcp::acceptor acceptor_;
};

// Prologue and handshake on an accepted link.
class Domain::Accepting : public LinkUser, public std::enable_shared_from_this<Accepting> {
 public:
  Accepting(Domain* domain, const std::shared_ptr<Link>& link, Settings settings, bool resumable)
      : domain_(domain), carrier_(link), link_(link), settings_(settings), resumable_(resumable) {}

  void OnPayload(const std::string& payload) override {
    switch (phase_) {
      case Phase::kPrologue:
        return Prologue(DecodeEnvelope<wire::Prologue>(payload));
      case Phase::kClientHello:
        return ClientHello(DecodeEnvelope<wire::StableHandshake>(payload));
      case Phase::kHello:
        return Hello(DecodeEnvelope<wire::Handshake>(payload));
      case Phase::kLetsGo:
        return LetsGo(DecodeEnvelope<wire::Handshake>(payload));
    }
  }

  void OnOversize() override {
    if (phase_ == Phase::kPrologue) return Reject(wire::TRANSPORT_REJECT_REASON_MALFORMED);
    if (phase_ == Phase::kClientHello) return RejectStable("payload too large");
    Sorry(wire::SORRY_REASON_MALFORMED, "payload too large");
  }

  void OnViolation(const Violation& violation) override {
    Sorry(wire::SORRY_REASON_MALFORMED, violation.text);
  }

  // A session whose key was handed out is awaited: the initiator may have taken it as established
  // when its LetsGo was lost.  r[session.resume.key-rotation]
  void OnLost() override {
    if (!Mutated("leaks_channels_cut_in_the_resume_handshake")) GiveBack();
    if (session_ && session_->current_key.empty()) Abandon("link lost");
  }

 private:
  enum class Phase { kPrologue, kClientHello, kHello, kLetsGo };

  // The ends of the attachment before are on hold from Hello to LetsGo.
  void GiveBack() {
    if (session_) session_->ends_in_handshake -= std::exchange(held_, 0);
  }

  // Ends a session that this link was to open, and no other has.
  void Abandon(const std::string& why) {
    if (!session_) return;
    session_->LeaveHandshake(link_);
    if (presented_.empty() && session_->generation() == 0) {
      session_->End({control::FAILURE_REASON_SESSION_ENDED, why, ""});
    }
  }

  void Reject(wire::TransportRejectReason reason) {
    wire::Prologue prologue;
    prologue.mutable_reject()->set_reason(reason);
    Send(*link_, prologue);
    if (!Mutated("stays_after_a_reject")) link_->Finish();  // r[transport.prologue.reject-close]
  }

  void Sorry(wire::SorryReason reason, const std::string& detail) {
    Abandon(detail);
    SendSorry(*link_, reason, detail);
  }

  // r[transport.prologue.no-fallback]
  void Prologue(const std::optional<wire::Prologue>& prologue) {
    if (!prologue || !prologue->has_hello()) {
      return Reject(wire::TRANSPORT_REJECT_REASON_MALFORMED);
    }
    const auto& hello = prologue->hello();
    if (hello.magic() != kMagic) return Reject(wire::TRANSPORT_REJECT_REASON_BAD_MAGIC);
    if (hello.version() != kVersion && !Mutated("accepts_any_version")) {
      return Reject(wire::TRANSPORT_REJECT_REASON_UNSUPPORTED_VERSION);
    }
    stable_ = hello.conduit() == wire::CONDUIT_STABLE;
    if (hello.conduit() != wire::CONDUIT_BARE && !stable_) {
      return Reject(wire::TRANSPORT_REJECT_REASON_UNSUPPORTED_CONDUIT);
    }
    const auto maximum = AcceptedMaximum(hello.max_payload());
    if (!maximum) return Reject(wire::TRANSPORT_REJECT_REASON_MALFORMED);
    peer_.max_payload = *maximum;
    wire::Prologue accept;
    accept.mutable_accept()->set_max_payload(settings_.max_payload);
    Send(*link_, accept);
    phase_ = stable_ ? Phase::kClientHello : Phase::kHello;
  }

  void RejectStable(const std::string& text) {
    wire::StableHandshake handshake;
    handshake.mutable_reject()->set_text(text);
    Send(*carrier_, handshake);
    carrier_->Finish();
  }

  // A new conduit, or one that goes on over this link.  r[stable.resume-key]
  void ClientHello(const std::optional<wire::StableHandshake>& handshake) {
    if (!handshake || !handshake->has_client_hello()) return RejectStable("not a ClientHello");
    const auto& hello = handshake->client_hello();
    std::shared_ptr<StableConduit> conduit;
    if (!hello.resume_key().empty()) {
      conduit = domain_->FindConduit(hello.resume_key());
      if (conduit == nullptr && !Mutated("stable_takes_unknown_keys")) {
        return RejectStable("unknown resume key");
      }
    }
    wire::StableHandshake reply;
    wire::ServerHello& yourself = *reply.mutable_server_hello();
    if (conduit == nullptr) {
      conduit = domain_->NewConduit(settings_.first_seq, hello.first_seq(), peer_.max_payload);
      if (resumable_) {
        conduit->current_key = RandomBytes(16);
        conduit->when_lost = [] {};  // the client dials
      }
      yourself.set_resume_key(conduit->current_key);
      yourself.set_first_seq(settings_.first_seq);
      Send(*carrier_, reply);
      phase_ = Phase::kHello;
      link_ = conduit;
      conduit->set_user(shared_from_this());
      return conduit->Carry(carrier_, "");
    }
    if (peer_.max_payload < conduit->peer_max_payload) {  // r[link.limit.announce]
      return RejectStable("takes smaller payloads than before");
    }
    // What is read of the old link from now on would be neither received nor replayed.
    if (!Mutated("stable_leaves_the_older_link_open")) conduit->Drop();
    if (const auto violation = conduit->Heard(LastReceived(hello))) {
      RejectStable(violation->text);
      return conduit->Fail(*violation);
    }
    if (conduit->successor_key == hello.resume_key()) {
      conduit->current_key = std::exchange(conduit->successor_key, "");
    }
    if (conduit->successor_key.empty()) {
      conduit->successor_key =
          Mutated("stable_keeps_its_resume_key") ? hello.resume_key() : RandomBytes(16);
    }
    yourself.set_resume_key(conduit->successor_key);
    yourself.set_first_seq(conduit->core().first_sent());
    SetLastReceived(&yourself, conduit->core());
    Send(*carrier_, reply);
    const bool early = Mutated("stable_retires_its_key_at_hello");
    if (early) conduit->current_key = std::exchange(conduit->successor_key, "");
    conduit->Carry(carrier_, early ? "" : hello.resume_key());
  }

  void Hello(const std::optional<wire::Handshake>& handshake) {
    if (!handshake || !handshake->has_hello()) {
      if (Mutated("ignores_what_comes_before_hello")) return;
      return Sorry(wire::SORRY_REASON_MALFORMED, "not a Hello");
    }
    const auto& hello = handshake->hello();
    if (hello.protocol_schema() != ProtocolSchema()) {
      return Sorry(wire::SORRY_REASON_INCOMPATIBLE_SCHEMA, "another wire.v1.Message");
    }
    if (hello.parity() != wire::PARITY_ODD && hello.parity() != wire::PARITY_EVEN) {
      return Sorry(wire::SORRY_REASON_INCOMPATIBLE_SETTINGS, "no parity");
    }
    peer_.parity = hello.parity() == wire::PARITY_ODD ? 1 : 0;
    peer_.max_concurrent_requests = hello.settings().max_concurrent_requests();
    presented_ = hello.resume_key();
    if (!presented_.empty() && Mutated("hangs_in_resume")) return;
    bool ignored = false;
    if (Mutated("accepts_unknown_resume_key") && !domain_->FindKey(presented_, &ignored)) {
      presented_.clear();
    }
    if (presented_.empty()) {
      session_ = domain_->NewSession(settings_);
      session_->set_session_id(RandomBytes(16));
      session_->set_peer(peer_);
      // Over a stable conduit it is that which goes on.
      if (resumable_ && !stable_) session_->current_key = offered_ = RandomBytes(16);
    } else {
      bool successor = false;
      session_ = domain_->FindKey(presented_, &successor);
      if (session_ == nullptr) {  // r[session.resume.unknown]
        return Sorry(wire::SORRY_REASON_UNKNOWN_SESSION, "unknown resume key");
      }
      const Peer& known = session_->peer();
      if (known.parity != peer_.parity ||
          known.max_concurrent_requests != peer_.max_concurrent_requests ||
          peer_.max_payload < known.max_payload) {
        return Sorry(wire::SORRY_REASON_SETTINGS_CHANGED, "not the settings of the session");
      }
      if (successor) {  // r[session.resume.key-rotation]
        session_->current_key = std::exchange(session_->successor_key, "");
      }
      if (session_->successor_key.empty()) {
        session_->successor_key = Mutated("resumes_without_new_key") ? presented_ : RandomBytes(16);
      }
      offered_ = session_->successor_key;
      if (Mutated("retires_key_at_hello")) session_->current_key.clear();
      session_->ends_in_handshake += held_ = session_->ends_detached;
    }
    const std::vector<uint64_t> listed = session_->connections().Listed();
    peer_.open_connections = InBoth(listed, hello.open_connections());
    wire::Handshake reply;
    auto* yourself = reply.mutable_hello_yourself();
    yourself->mutable_open_connections()->Assign(listed.begin(), listed.end());
    yourself->mutable_settings()->set_max_concurrent_requests(
        session_->settings().max_concurrent_requests);
    const bool resuming = !presented_.empty();
    const bool unnamed = resuming && Mutated("names_no_schema_at_a_resume");
    yourself->set_protocol_schema(unnamed ? 0 : ProtocolSchema());
    yourself->set_resume_key(offered_);
    yourself->set_session_id(resuming && Mutated("mints_a_session_id_per_link")
                                 ? RandomBytes(16)
                                 : session_->record().session_id);
    session_->EnterHandshake(link_);
    Send(*link_, reply);
    phase_ = Phase::kLetsGo;
  }

  void LetsGo(const std::optional<wire::Handshake>& handshake) {
    if (handshake && handshake->has_sorry()) {
      Abandon("the initiator declined");
      return link_->Close();
    }
    if (!handshake || !handshake->has_lets_go()) {
      return Sorry(wire::SORRY_REASON_MALFORMED, "not LetsGo");
    }
    if (presented_.empty()) {  // it opens the session, unless the key has done so
      if (session_->generation() > 0) return link_->Close();
    } else {  // r[session.resume.bind]
      if (session_->current_key != presented_ && !Mutated("retires_key_at_hello") &&
          !Mutated("binds_with_a_retired_key")) {
        if (Mutated("lets_both_attachments_live")) return;
        return link_->Close();
      }
      if (Mutated("accepts_used_resume_key")) session_->retired_key = presented_;
      session_->current_key = std::exchange(session_->successor_key, "");
    }
    GiveBack();
    if (resumable_ && !stable_) session_->when_lost = [] {};  // the initiator dials
    session_->Bind(link_, peer_, [] {});
  }

  Domain* domain_;
  std::shared_ptr<Link> carrier_;
  std::shared_ptr<Conduit> link_;  // the carrier itself, or the stable conduit over it
  bool stable_ = false;
  Settings settings_;
  bool resumable_;
  Phase phase_ = Phase::kPrologue;
  Peer peer_;
  std::shared_ptr<Session> session_;
  std::string presented_, offered_;
  uint32_t held_ = 0;
};

void Domain::Listener::Accept() {
  acceptor_.async_accept([self = shared_from_this()](std::error_code error, tcp::socket socket) {
    if (error || !self->acceptor_.is_open()) return;
    const auto link = self->domain_->NewLink(std::move(socket));
    link->set_user(
        std::make_shared<Accepting>(self->domain_, link, self->settings_, self->resumable_));
    link->Start();
    self->Accept();
  });
}

// ------------------------------------------------------------------ the dialling side

// One establishment: up to so many dials, until a session is bound or refused.
struct Domain::Establishment {
  std::shared_ptr<Session> session;
  Settings settings;
  Dialling dialling;
  Connected connected;  // null when resuming
  uint32_t dials = 0;
  std::vector<std::shared_ptr<Call>> again;  // calls to be made in the fresh session
  std::weak_ptr<StableConduit> conduit;      // that is to go on over the next link
};

// Prologue and handshake on a dialled link.
class Domain::Greeting : public LinkUser, public std::enable_shared_from_this<Greeting> {
 public:
  Greeting(Domain* domain, const std::shared_ptr<Link>& link,
           std::shared_ptr<Establishment> establishment)
      : domain_(domain), carrier_(link), link_(link), establishment_(std::move(establishment)) {}

  void Start() {
    establishment_->session->EnterHandshake(link_);
    wire::Prologue prologue;
    auto* hello = prologue.mutable_hello();
    hello->set_magic(kMagic);
    hello->set_version(kVersion);
    hello->set_conduit(establishment_->dialling.stable ? wire::CONDUIT_STABLE : wire::CONDUIT_BARE);
    hello->set_max_payload(establishment_->settings.max_payload);
    if (Mutated("begins_with_an_accept")) prologue.mutable_accept()->set_max_payload(0);
    Send(*link_, prologue);
    if (Mutated("says_hello_before_it_is_accepted")) SayHello();
    carrier_->Start();
  }

  void OnPayload(const std::string& payload) override {
    if (!accepted_) return Prologue(DecodeEnvelope<wire::Prologue>(payload));
    if (asked_) return ServerHello(DecodeEnvelope<wire::StableHandshake>(payload));
    Answer(DecodeEnvelope<wire::Handshake>(payload));
  }
  void OnViolation(const Violation& violation) override { Malformed(violation.text); }
  void OnOversize() override { Malformed("payload too large"); }
  void OnLost() override { domain_->DialAgain(establishment_); }

 private:
  void Refuse(control::FailureReason reason, std::string text, std::string name) {
    link_->Close();
    domain_->Refused(establishment_, {reason, std::move(text), std::move(name)});
  }

  void Malformed(const std::string& what) { Decline(wire::SORRY_REASON_MALFORMED, what); }

  void Decline(wire::SorryReason reason, const std::string& what) {
    establishment_->session->LeaveHandshake(link_);  // what we say is still to be written
    if (accepted_ && !asked_) {
      SendSorry(*link_, reason, what);
    } else {
      link_->Close();
    }
    domain_->Refused(establishment_, {control::FAILURE_REASON_PROTOCOL_ERROR, what,
                                      wire::SorryReason_Name(reason)});
  }

  void Prologue(const std::optional<wire::Prologue>& prologue) {
    if (prologue && prologue->has_reject()) {
      if (Mutated("dials_again_after_a_reject")) domain_->Dial(establishment_);
      return Refuse(control::FAILURE_REASON_REJECTED, prologue->reject().text(),
                    wire::TransportRejectReason_Name(prologue->reject().reason()));
    }
    const auto maximum = prologue && prologue->has_accept()
                             ? AcceptedMaximum(prologue->accept().max_payload())
                             : std::nullopt;
    if (!maximum) return Malformed("not a TransportAccept");
    accepted_ = true;
    peer_.max_payload = *maximum;
    if (establishment_->dialling.stable) return SayClientHello();
    if (!Mutated("says_hello_before_it_is_accepted")) SayHello();
  }

  void SayClientHello() {
    asked_ = true;
    wire::StableHandshake handshake;
    wire::ClientHello& hello = *handshake.mutable_client_hello();
    hello.set_first_seq(establishment_->settings.first_seq);
    if (const auto conduit = establishment_->conduit.lock()) {
      hello.set_resume_key(conduit->resume_key);
      SetLastReceived(&hello, conduit->core());
    }
    Send(*link_, handshake);
  }

  // r[stable.reconnect.client-replay]
  void ServerHello(const std::optional<wire::StableHandshake>& handshake) {
    const auto& session = establishment_->session;
    if (handshake && handshake->has_reject()) {  // r[stable.reconnect.failure]
      if (Mutated("stable_dials_on_after_a_reject")) return link_->Close();
      return Refuse(control::FAILURE_REASON_REJECTED, handshake->reject().text(), kStableReject);
    }
    if (!handshake || !handshake->has_server_hello()) return Malformed("not a ServerHello");
    const auto& hello = handshake->server_hello();
    if (!hello.resume_key().empty() && hello.resume_key().size() < 16) {
      return Malformed("a short resume key");
    }
    auto conduit = establishment_->conduit.lock();
    const bool resuming = conduit != nullptr;
    if (resuming && peer_.max_payload < conduit->peer_max_payload) {
      return Malformed("takes smaller payloads than before");
    }
    asked_ = false;
    session->LeaveHandshake(link_);
    if (!resuming) {
      conduit = domain_->NewConduit(establishment_->settings.first_seq, hello.first_seq(),
                                    peer_.max_payload);
      link_ = conduit;
      session->EnterHandshake(link_);
      conduit->set_user(shared_from_this());
      if (establishment_->dialling.resume && !hello.resume_key().empty()) {
        conduit->when_lost = [domain = domain_, establishment = establishment_,
                              weak = std::weak_ptr(conduit)] {
          establishment->conduit = weak;
          establishment->dials = 0;
          domain->Dial(establishment);
        };
      }
    } else if (const auto violation = conduit->Heard(LastReceived(hello))) {
      carrier_->Close();
      return conduit->Fail(*violation);
    }
    if (!resuming || !Mutated("stable_presents_the_old_key")) {
      conduit->resume_key = hello.resume_key();  // adopted on reading  r[stable.resume-key]
    }
    conduit->Carry(carrier_, "");  // (Link keeps its user of now for as long as that reads.)
    if (!resuming) SayHello();
  }

  void SayHello() {
    const Dialling& dialling = establishment_->dialling;
    wire::Handshake handshake;
    auto* hello = handshake.mutable_hello();
    hello->set_parity(dialling.own_parity == 1 ? wire::PARITY_ODD : wire::PARITY_EVEN);
    hello->mutable_settings()->set_max_concurrent_requests(
        establishment_->settings.max_concurrent_requests);
    const bool unnamed =
        establishment_->session->generation() > 0 && Mutated("names_no_schema_at_a_resume");
    hello->set_protocol_schema(unnamed ? 0 : ProtocolSchema());
    hello->set_resume_key(Mutated("presents_a_key_it_never_got")
                              ? std::string(16, 'k')
                              : establishment_->session->resume_key);
    listed_ = establishment_->session->connections().Listed();
    hello->mutable_open_connections()->Assign(listed_.begin(), listed_.end());
    Send(*link_, handshake);
  }

  void Answer(const std::optional<wire::Handshake>& handshake) {
    const auto& session = establishment_->session;
    if (handshake && handshake->has_sorry()) {
      return Refuse(control::FAILURE_REASON_SORRY, handshake->sorry().detail(),
                    wire::SorryReason_Name(handshake->sorry().reason()));
    }
    if (!handshake || !handshake->has_hello_yourself()) return Malformed("not a HelloYourself");
    const auto& yourself = handshake->hello_yourself();
    const bool resuming = session->generation() > 0;
    if (yourself.protocol_schema() != ProtocolSchema()) {
      return Decline(wire::SORRY_REASON_INCOMPATIBLE_SCHEMA, "another wire.v1.Message");
    }
    const std::string& key = yourself.resume_key();
    if (yourself.session_id().size() != 16 || (!key.empty() && key.size() < 16) ||
        (resuming && yourself.session_id() != session->record().session_id)) {
      return Malformed("bad session id or resume key");
    }
    peer_.parity = 1 - establishment_->dialling.own_parity;
    peer_.max_concurrent_requests = yourself.settings().max_concurrent_requests();
    peer_.open_connections = InBoth(listed_, yourself.open_connections());
    if (resuming && (peer_.max_concurrent_requests != session->peer().max_concurrent_requests ||
                     peer_.max_payload < session->peer().max_payload)) {
      return Decline(wire::SORRY_REASON_SETTINGS_CHANGED, "not the settings of the session");
    }
    if (!resuming && Mutated("stores_the_first_key_with_the_first_message")) {
      session->unstored_key = key;
    } else if (!resuming || !Mutated("presents_the_old_resume_key")) {
      session->resume_key = key;  // adopted on reading  r[session.resume.key-rotation]
    }
    session->set_session_id(yourself.session_id());
    session->when_lost = session->when_unresumable = nullptr;
    if (establishment_->dialling.stable) {
      // The conduit goes on; the session does not notice.  r[stable.untouched]
    } else if (establishment_->dialling.resume && !key.empty()) {
      session->when_lost = [domain = domain_, weak = std::weak_ptr(session),
                            settings = establishment_->settings,
                            dialling = establishment_->dialling] {
        if (const auto lost = weak.lock()) domain->Redial(lost, settings, dialling);
      };
    } else if (establishment_->dialling.resume && establishment_->dialling.fresh) {
      session->when_unresumable = [domain = domain_, weak = std::weak_ptr(session),
                                   settings = establishment_->settings,
                                   dialling = establishment_->dialling] {
        const auto lost = weak.lock();
        if (!lost) return;
        auto again = std::make_shared<Establishment>();
        again->session = lost;
        again->settings = settings;
        again->dialling = dialling;
        domain->Replace(again, {control::FAILURE_REASON_SESSION_ENDED, "link lost", ""});
      };
    }
    const auto establishment = establishment_;
    session->Bind(link_, peer_, [this] {
      wire::Handshake lets_go;
      lets_go.mutable_lets_go();
      Send(*link_, lets_go);
    });
    for (const auto& call : std::exchange(establishment->again, {}))
      session->connections().root().caller().Start(call);
    if (establishment->connected) std::exchange(establishment->connected, nullptr)(session);
  }

  Domain* domain_;
  std::shared_ptr<Link> carrier_;
  std::shared_ptr<Conduit> link_;  // the carrier itself, or the stable conduit over it
  std::shared_ptr<Establishment> establishment_;
  Peer peer_;
  std::vector<uint64_t> listed_;
  bool accepted_ = false;
  bool asked_ = false;  // for a ServerHello, which is due
};

void Domain::Connect(Settings settings, Dialling dialling, Connected connected) {
  dialling.max_attempts = std::max<uint32_t>(dialling.max_attempts, 1);
  auto establishment = std::make_shared<Establishment>();
  establishment->session = NewSession(settings);
  establishment->settings = settings;
  establishment->dialling = std::move(dialling);
  establishment->connected = std::move(connected);
  if (!Mutated("waits_without_dialling")) Dial(establishment);
}

void Domain::Redial(const std::shared_ptr<Session>& session, const Settings& settings,
                    const Dialling& dialling) {
  auto establishment = std::make_shared<Establishment>();
  establishment->session = session;
  establishment->settings = settings;
  establishment->dialling = dialling;
  Dial(establishment);
}

void Domain::Dial(const std::shared_ptr<Establishment>& establishment) {
  if (establishment->session->over()) return;
  ++establishment->dials;
  auto socket = std::make_shared<tcp::socket>(runtime_.loop.io());
  std::error_code error;
  const auto address = asio::ip::make_address(establishment->dialling.host, error);
  if (error) {
    return Refused(establishment, {control::FAILURE_REASON_CONNECT_GAVE_UP, error.message(), ""});
  }
  socket->async_connect(
      {address, establishment->dialling.port},
      [this, establishment, socket, alive = std::weak_ptr(alive_)](std::error_code failed) {
        static std::shared_ptr<tcp::socket> kept;  // of a mutant, which leaves it open
        if (Mutated("dials_again_after_a_reject")) kept = socket;
        if (alive.expired() || establishment->session->over()) return;
        if (failed) return DialAgain(establishment);
        const auto link = NewLink(std::move(*socket));
        const auto greeting = std::make_shared<Greeting>(this, link, establishment);
        link->set_user(greeting);
        greeting->Start();
      });
}

void Domain::DialAgain(const std::shared_ptr<Establishment>& establishment) {
  const auto& dialling = establishment->dialling;
  if (establishment->session->over()) return;
  const uint32_t most = dialling.max_attempts + (Mutated("one_dial_too_many") ? 1 : 0);
  // r[session.initial-connect-waiting.limit]
  if (establishment->dials >= most || Mutated("gives_up_when_refused")) {
    return Refused(establishment,
                   {control::FAILURE_REASON_CONNECT_GAVE_UP, "the attempts ran out", ""});
  }
  // r[session.initial-connect-waiting.backoff]
  uint64_t delay = dialling.backoff_initial_ms;
  for (uint32_t i = 1; i < establishment->dials && delay < dialling.backoff_max_ms; ++i) {
    if (!Mutated("backoff_does_not_double")) delay *= 2;
  }
  if (dialling.backoff_max_ms != 0) delay = std::min<uint64_t>(delay, dialling.backoff_max_ms);
  const auto dial = [this, establishment, alive = std::weak_ptr(alive_)] {
    if (!alive.expired() && !establishment->session->over()) Dial(establishment);
  };
  if (delay == 0) return runtime_.loop.Post(dial);
  establishment->session->record().PlannedDelay("redial", delay);
  runtime_.loop.After("redial", std::chrono::milliseconds(delay), dial);
}

// r[session.initial-connect-waiting.never-retry], r[retry.session-lost.policy]
void Domain::Refused(const std::shared_ptr<Establishment>& establishment, Ending ending) {
  const auto session = establishment->session;
  const auto conduit = establishment->conduit.lock();
  const bool unknown = ending.rule == "SORRY_REASON_UNKNOWN_SESSION" || conduit != nullptr;
  if (session->generation() > 0 && unknown && establishment->dialling.fresh) {
    return Replace(establishment, std::move(ending));
  }
  session->End(ending);
  if (conduit != nullptr) conduit->Close();
  for (const auto& call : std::exchange(establishment->again, {})) {
    call->Resolve({control::CALL_STATUS_SESSION_SHUTDOWN, "", "no new session", {}});
  }
  if (establishment->connected) std::exchange(establishment->connected, nullptr)(ending);
}

// A new session for one that cannot be resumed, and its idem calls with it.
void Domain::Replace(const std::shared_ptr<Establishment>& establishment, Ending ending) {
  establishment->again = establishment->session->EndKeepingIdem(std::move(ending));
  establishment->session = NewSession(establishment->settings);
  establishment->conduit.reset();
  establishment->dials = 0;
  Dial(establishment);
}

// ------------------------------------------------------------------ the scope

uint16_t Domain::Listen(const std::string& host, uint16_t port, Settings settings, bool resumable) {
  listeners_.push_back(std::make_shared<Listener>(this, settings, resumable));
  return listeners_.back()->Open(host, port);
}

void Domain::StopListening() {
  for (const auto& listener : std::exchange(listeners_, {})) listener->Close();
}

std::shared_ptr<Session> Domain::NewSession(Settings settings) {
  sessions_.remove_if([](const auto& s) {
    return s->over() && s->open_ends() == 0 && s.use_count() == 1 && s->generation() == 0;
  });
  sessions_.push_back(std::make_shared<Session>(
      runtime_, Recorder{&runtime_.journal, scope_, "", 0}, settings, handler_));
  return sessions_.back();
}

std::shared_ptr<Link> Domain::NewLink(tcp::socket socket) {
  links_.remove_if([](const auto& weak) { return weak.expired(); });
  auto link = std::make_shared<Link>(std::move(socket));
  links_.push_back(link);
  return link;
}

std::shared_ptr<Session> Domain::FindKey(const std::string& key, bool* successor) const {
  for (const auto& session : sessions_) {
    if (session->over()) continue;
    if (session->current_key == key) return session;
    if (Mutated("accepts_used_resume_key") && session->retired_key == key) return session;
    if (session->successor_key == key) {
      *successor = true;
      return session;
    }
  }
  return nullptr;
}

std::shared_ptr<StableConduit> Domain::NewConduit(uint32_t first_sent, uint32_t first_received,
                                                  uint32_t peer_max_payload) {
  conduits_.remove_if([](const auto& weak) { return weak.expired(); });
  auto conduit = std::make_shared<StableConduit>(first_sent, first_received, peer_max_payload);
  conduits_.push_back(conduit);
  return conduit;
}

std::shared_ptr<StableConduit> Domain::FindConduit(const std::string& key) const {
  for (const auto& weak : conduits_) {
    const auto conduit = weak.lock();
    if (!conduit || !conduit->open() || !conduit->when_lost) continue;
    if (conduit->current_key == key || conduit->successor_key == key) return conduit;
  }
  return nullptr;
}

std::shared_ptr<Session> Domain::FindSession(const std::string& session_id) const {
  for (const auto& session : sessions_) {
    if (!session_id.empty() && session->record().session_id == session_id) return session;
  }
  return nullptr;
}

control::ResetResponse Domain::Counts() const {
  control::ResetResponse counts;
  counts.set_listeners(listeners_.size());
  for (const auto& weak : links_) {
    const auto link = weak.lock();
    counts.set_links(counts.links() + (link && link->open()));
  }
  for (const auto& session : sessions_) {
    counts.set_sessions(counts.sessions() + !session->over());
    counts.set_calls(counts.calls() + session->unresolved_calls());
    counts.set_handlers(counts.handlers() + session->callee().running());
    counts.set_channels(counts.channels() + session->open_ends());
  }
  return counts;
}

void Domain::Drop() {
  alive_.reset();
  StopListening();
  for (const auto& session : sessions_) {
    session->when_lost = session->when_unresumable = nullptr;
    session->End({control::FAILURE_REASON_DROPPED, "its scope was reset", ""});
    session->callee().Dropped();
  }
  for (const auto& weak : std::exchange(conduits_, {})) {
    if (const auto conduit = weak.lock()) conduit->Close();
  }
  for (const auto& weak : std::exchange(links_, {})) {
    if (const auto link = weak.lock()) link->Close();
  }
  sessions_.clear();
}

}  // namespace subject
