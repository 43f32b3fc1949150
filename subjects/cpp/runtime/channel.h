// The two ends of a channel. An end belongs to one attachment and dies with it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "runtime/loop.h"
#include "runtime/machine.h"
#include "runtime/service.h"
#include "runtime/wire.h"

namespace subject {

// What an end needs from its attachment: journal, and the way out.
class ChannelHost {
 public:
  virtual ~ChannelHost() = default;
  virtual const Recorder& record() const = 0;
  virtual bool Commit(wire::Message message) = 0;
  virtual bool Fits(const wire::Message& message) const = 0;  // r[link.limit.announce]
  virtual void Announce(const Method& method, wire::BindingRole role, uint32_t field) = 0;
  virtual Loop& loop() = 0;
  // Too much is unsent to take more items for now.  r[strict.delivery.explicit]
  virtual bool Congested() const { return false; }
};

enum class EndStatus { kOpen, kClosed, kAborted, kReset, kDefunct };

// What became of an item: kNotNow may be tried again after a change, kTooLarge harms nothing else.
enum class Sent { kAccepted, kNotNow, kTooLarge, kOver };

// Parts common to both ends: identity, table, and who waits for a change.
class ChannelEndBase {
 public:
  ChannelEndBase(ChannelHost* host, const Method* method, const ChannelArgument& argument,
                 uint64_t channel_id, const Table& table)
      : host_(host),
        loop_(host->loop()),
        record_(host->record()),
        method_(method),
        argument_(argument),
        id_(channel_id),
        machine_(table, channel_id) {}

  uint64_t id() const { return id_; }
  bool Ended() const {
    return machine_.Is("Closed") || machine_.Is("Reset") || machine_.Is("Defunct");
  }
  // Runs `wake` once, from the work queue, after the next change.
  void OnChange(std::function<void()> wake) { waiting_.push_back(std::move(wake)); }

 protected:
  bool Step(std::string_view event) { return machine_.Step(record_, event); }
  void Changed();
  Violation Wrong(wire::ProtocolErrorCode code, std::string rule, const std::string& what) const;

  ChannelHost* host_;  // null once detached: nothing more is sent
  Loop& loop_;
  Recorder record_;
  const Method* method_;
  ChannelArgument argument_;
  uint64_t id_;
  Machine machine_;
  std::vector<std::function<void()>> waiting_;
};

class SendingEnd : public ChannelEndBase {
 public:
  SendingEnd(ChannelHost* host, const Method* method, const ChannelArgument& argument,
             uint64_t channel_id)
      : ChannelEndBase(host, method, argument, channel_id, kChannelSender),
        credit_(FirstCredit(argument)) {}

  // Open: may send if credit() is left. Anything else: no send succeeds any more.
  void Bind();
  EndStatus status() const;
  uint32_t credit() const { return credit_; }
  uint32_t sent() const { return sent_; }
  // Mutants only: credit of another end; items that are taken for sent.
  void AddOld(uint32_t credit) { credit_ += credit; }
  void Skip(uint32_t items) { skip_ = items; }
  Sent Send(const std::string& item);
  void OnDrained() { Changed(); }  // the way out is free again
  void Close();                    // nothing if it has ended
  void Abort();                    // r[rpc.channel.abandon]
  void Detach();

  MaybeViolation OnCredit(uint32_t credit);
  MaybeViolation OnReset();
  MaybeViolation OnForeign(const char* what);  // item or close: never towards a sending end

 private:
  static uint32_t FirstCredit(const ChannelArgument& argument);
  void SendClose(bool aborted);
  uint32_t credit_;
  uint32_t sent_ = 0, skip_ = 0;
  bool late_reset_ = false;
};

class ReceivingEnd : public ChannelEndBase {
 public:
  ReceivingEnd(ChannelHost* host, const Method* method, const ChannelArgument& argument,
               uint64_t channel_id)
      : ChannelEndBase(host, method, argument, channel_id, kChannelReceiver),
        outstanding_(argument.initial_credit) {}

  // Takes the next item; false: there is none now. Then `status` says whether one may come, and a
  // caller that waits says so by OnItem.
  void Bind() {
    Step("bind");
    DeliveredAll();
  }
  bool Take(std::string& item);
  EndStatus status() const;
  void OnItemOrEnd(std::function<void()> wake);  // r[rpc.flow-control.credit.replenish]
  // The application lets go of it: what was kept is discarded, and the sender told if it can be.
  void Reset();
  void Detach();
  // Its application is gone, and so is its link: what was kept for it is discarded.
  void Abandon();

  MaybeViolation OnItem(const std::string& item, bool bound);
  MaybeViolation OnClose(bool aborted);
  MaybeViolation OnForeign(const char* what);  // credit or reset: never towards a receiving end
  const Method& method() const { return *method_; }
  uint32_t field_number() const { return argument_.field_number; }

 private:
  void DeliveredAll();
  void LetGo(const char* rule);
  void Grant(uint32_t credit);

  uint32_t outstanding_;  // granted, and no item came for it yet
  uint32_t taken_ = 0;    // items the application took and was not granted again for
  std::deque<std::string> items_;
  bool closed_ = false, aborted_ = false, late_close_ = false, let_go_ = false;
  bool any_ = false;  // item has come
};

}  // namespace subject
