#include "harness/effects/housekeeping.h"

#include <algorithm>

namespace counterpart::effects {
namespace {

constexpr std::string_view kGrpc = "gRPC core";
constexpr std::string_view kJvm = "JVM";

constexpr HousekeepingThreads kTable[] = {
    // One more whenever the last one that waited has fired. What a timer calls of others' code is
    // handed to default-executo.
    {kGrpc, "grpc_global_tim", true},
    {kGrpc, "timer_manager"},
    {kGrpc, "event_engine"},
    {kGrpc, "grpcpp_sync_ser"},
    {kGrpc, "default-executo"},
    {kGrpc, "resolver-execut"},
    {kGrpc, "lifeguard"},
    {kGrpc, "nexting_thread"},
    {kJvm, "VM Periodic Tas"},
    {kJvm, "G1 "},
    {kJvm, "VM Thread"},
    {kJvm, "C1 Compiler"},
    {kJvm, "C2 Compiler"},
    {kJvm, "Monitor Deflati"},
    {kJvm, "Common-Cleaner"},
    {kJvm, "Reference Handl"},
    {kJvm, "Signal Dispatch"},
    {kJvm, "Service Thread"},
    {kJvm, "Notification T"},
};

}  // namespace

std::span<const HousekeepingThreads> HousekeepingTable() { return kTable; }

bool IsHousekeeping(std::string_view thread_name, bool early) {
  return std::any_of(std::begin(kTable), std::end(kTable), [&](const HousekeepingThreads& row) {
    return (early || row.late) && thread_name.starts_with(row.name);
  });
}

}  // namespace counterpart::effects
