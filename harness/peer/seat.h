// The two places of a run in which two subjects speak to each other through the harness.
#ifndef COUNTERPART_PEER_SEAT_H_
#define COUNTERPART_PEER_SEAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace counterpart::peer {

// Who listens and who dials. The number is that of the subject in effects and ingress.
enum class Seat : uint8_t { kServer, kClient };

inline constexpr std::array<Seat, 2> kSeats = {Seat::kServer, Seat::kClient};

constexpr Seat Across(Seat seat) { return seat == Seat::kServer ? Seat::kClient : Seat::kServer; }
constexpr size_t At(Seat seat) { return static_cast<size_t>(seat); }
constexpr const char* Name(Seat seat) { return seat == Seat::kServer ? "server" : "client"; }

// Something that there is one of for each.
template <class T>
class BySeat {
 public:
  BySeat() = default;
  BySeat(T server, T client) : of_{std::move(server), std::move(client)} {}
  T& operator[](Seat seat) { return of_[At(seat)]; }
  const T& operator[](Seat seat) const { return of_[At(seat)]; }

 private:
  std::array<T, 2> of_ = {};
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_SEAT_H_
