// Which links a subject has bound to a session, as far as the wire can tell.
//
// r[session.attachment.generation] counts session handshakes, and each side counts for itself: the
// number stands in no message. A link cut around LetsGo leaves it open whether the subject has
// bound it. If it has, its count runs one ahead of that of its counterpart from then on, and both
// are right. So its count is an interval, from what is proven to what is still possible.
#ifndef COUNTERPART_JUDGE_GENERATIONS_H_
#define COUNTERPART_JUDGE_GENERATIONS_H_

#include <cstdint>
#include <map>
#include <vector>

namespace counterpart::judge {

// One session. Links are named as the harness numbers them.
class Generations {
 public:
  // The generations of one reading of the past: from 1, each with its link.
  using Reading = std::map<uint32_t, uint32_t>;

  // From now on the subject may bind the link; it is newer than every link told of before.
  void MayBind(uint32_t link);
  // It certainly has bound it.
  void Bound(uint32_t link);
  // It certainly never will: it refused the handshake.
  void Refused(uint32_t link);

  uint32_t proven() const;
  uint32_t possible() const { return static_cast<uint32_t>(links_.size()); }
  // Every way in which the subject can have come to count `count` generations; empty if there is
  // none. Of more doubtful links than a run can be asked to have, the oldest count as bound.
  std::vector<Reading> Readings(uint32_t count) const;

 private:
  struct Handshake {
    uint32_t link = 0;
    bool proven = false;
  };
  std::vector<Handshake> links_;
};

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_GENERATIONS_H_
