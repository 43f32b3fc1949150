// Ids of one kind on one connection: each side mints those of its parity, upwards, and none twice.
// r[rpc.id.monotone], r[connection.parity]
#pragma once

#include <cstddef>
#include <cstdint>

namespace subject {

class IdSpace {
 public:
  // Parity of the ids minted here: 1 odd, 0 even.
  void set_own_parity(uint64_t parity) { own_parity_ = parity; }

  // The next id of ours; it is used up only by Burn.
  uint64_t next() const { return minted_ == 0 ? 2 - own_parity_ : minted_ + 2; }
  void Burn(size_t count) {
    if (count > 0) minted_ = next() + 2 * (count - 1);
  }

  // Notes an id of the other side; false if that may not use it.
  bool See(uint64_t id) {
    if (id == 0 || id % 2 == own_parity_ || id <= seen_) return false;
    seen_ = id;
    return true;
  }
  uint64_t newest_seen() const { return seen_; }  // 0: none

  // Mutants only: one that the other side mints, now or before; ours begin anew, or go on behind
  // this one.
  bool Theirs(uint64_t id) const { return id != 0 && id % 2 != own_parity_; }
  void StartAgain() { minted_ = 0; }
  void GoOnBehind(uint64_t id) { minted_ = id; }

 private:
  uint64_t own_parity_ = 0;
  uint64_t minted_ = 0, seen_ = 0;
};

}  // namespace subject
