// SPDX-License-Identifier: Apache-2.0
// Whether a node could ever run a job, and what is in the way when it could not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/scheduler/scheduler.h"
#include "packaging/requirement.h"

namespace bcai::coordinator {

// In the order in which they are named to the user.
enum class Filter : uint8_t {
  kStrangers,
  kSlots,
  kGpuCount,
  kGpuMemory,
  kGpuModel,
  kMemory,
  kCpu,
  kDisk,
  kPython,
  kPackages,
  kNetwork,
  kSecurityLevel,
};
inline constexpr size_t kFilters = 12;

struct Demand {
  const JobSpec* spec = nullptr;
  std::vector<packaging::Requirement> requirements;
};

Demand demand_of(const JobSpec& spec);

using FilterSet = uint16_t;  // a bit for each Filter
constexpr FilterSet bit(Filter filter) {
  return static_cast<FilterSet>(1U << static_cast<unsigned>(filter));
}

// The filters that keep the job off the node for ever, whoever owns it; none when it fits.
FilterSet misfits(const Demand& demand, const Capabilities& node);
// Does the node take this owner's jobs?
bool takes_owner(const SchedulableNode& node, KeyId owner);

// There is room at this moment.
bool has_room(const Capacity& free, const Hardware& hardware);
void take_room(Capacity& free, const Hardware& hardware);

// Why no node fits: `sets` are the misfits of each node, none of them empty.
WaitReason explain_misfit(const Demand& demand, const std::vector<SchedulableNode>& nodes,
                          const std::vector<FilterSet>& sets);

}  // namespace bcai::coordinator
