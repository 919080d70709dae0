// SPDX-License-Identifier: Apache-2.0
#include "coordinator/scheduler/fit.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"
#include "base/units.h"
#include "protocol/network.h"

namespace bcai::coordinator {
namespace {

bool is_model(const Gpu& gpu, const Hardware& needs) {
  return needs.gpu_model.empty() ||
         lower(gpu.model).find(lower(needs.gpu_model)) != std::string::npos;
}

int count_gpus(const Capabilities& node, const Hardware& needs, bool memory, bool model) {
  return static_cast<int>(std::count_if(node.gpus.begin(), node.gpus.end(), [&](const Gpu& gpu) {
    return (!memory || gpu.memory_bytes >= needs.gpu_memory_bytes) &&
           (!model || is_model(gpu, needs));
  }));
}

FilterSet gpu_misfits(const Capabilities& node, const Hardware& needs) {
  if (needs.gpu_count == 0) return 0;
  if (count_gpus(node, needs, false, false) < needs.gpu_count) return bit(Filter::kGpuCount);
  if (count_gpus(node, needs, true, true) >= needs.gpu_count) return 0;
  FilterSet set = 0;
  if (count_gpus(node, needs, true, false) < needs.gpu_count) set |= bit(Filter::kGpuMemory);
  if (count_gpus(node, needs, false, true) < needs.gpu_count) set |= bit(Filter::kGpuModel);
  // Enough of the model and enough of the memory, but not both in the same GPUs.
  return set != 0 ? set : bit(Filter::kGpuMemory);
}

// The version of a package on a node; "" when it has none.
std::string_view installed(const Capabilities& node, const std::string& name) {
  if (const auto found = node.packages.find(name); found != node.packages.end()) {
    return found->second;
  }
  for (const auto& [package, version] : node.packages) {
    if (packaging::normalized_package_name(package) == name) return version;
  }
  return {};
}

bool has_package(const Capabilities& node, const packaging::Requirement& requirement) {
  const Result<packaging::Version> version =
      packaging::Version::parse(installed(node, requirement.name));
  // A marker is for the resolver.
  return requirement.marker.empty() && version && satisfies(*version, requirement);
}

// "3.11" is what a node with 3.11.2 has.
bool has_python(const Capabilities& node, std::string_view version) {
  return version.empty() || node.python_version == version ||
         node.python_version.starts_with(fmt::format("{}.", version));
}

// The packages of its base that a lock stands on, to the letter.
bool has_base(const Capabilities& node, const packaging::Lock& lock) {
  return std::all_of(lock.base.begin(), lock.base.end(), [&](const auto& package) {
    return installed(node, package.first) == package.second;
  });
}

std::string_view python_of(const JobSpec& spec) {
  return spec.environment_lock && spec.python_version.empty()
             ? std::string_view(spec.environment_lock->python)
             : std::string_view(spec.python_version);
}

bool has_packages(const Capabilities& node, const Demand& demand) {
  if (const auto& lock = demand.spec->environment_lock) {
    return node.environments && has_base(node, *lock);
  }
  if (node.environments) return true;
  if (builds_from_source(*demand.spec)) return false;
  return std::all_of(demand.requirements.begin(), demand.requirements.end(),
                     [&](const packaging::Requirement& r) { return has_package(node, r); });
}

bool has_level(const Capabilities& node, const std::string& level) {
  return level == "standard" || std::find(node.security_levels.begin(), node.security_levels.end(),
                                          level) != node.security_levels.end();
}

// Building from source takes the high level, whatever the job itself asks for.
std::string level_of(const JobSpec& spec) {
  return builds_from_source(spec) ? "high" : spec.security_level;
}

std::string nodes_text(size_t count) {
  return count == 1 ? "1 node" : fmt::format("{} nodes", count);
}

// The largest of something over all nodes.
template <typename Of>
auto largest(const std::vector<SchedulableNode>& nodes, Of of) {
  auto most = of(*nodes.front().capabilities);
  for (const SchedulableNode& node : nodes) most = std::max(most, of(*node.capabilities));
  return most;
}

std::string of_nodes(size_t count) {
  return count == 1 ? "the only node offers" : fmt::format("the largest of {} nodes offers", count);
}

std::string gpu_sentence(const Hardware& needs, const std::vector<SchedulableNode>& nodes) {
  const size_t most = largest(nodes, [](const Capabilities& c) { return c.gpus.size(); });
  if (most == 0) return "no node offers a GPU";
  return fmt::format("needs {} GPUs; {} {}", needs.gpu_count, of_nodes(nodes.size()), most);
}

std::string gpu_memory_sentence(const Hardware& needs, const std::vector<SchedulableNode>& nodes) {
  const int64_t most = largest(nodes, [](const Capabilities& c) {
    int64_t bytes = 0;
    for (const Gpu& gpu : c.gpus) bytes = std::max(bytes, gpu.memory_bytes);
    return bytes;
  });
  return fmt::format("needs {} of {} memory each; the largest on {} has {}",
                     needs.gpu_count == 1 ? "a GPU" : fmt::format("{} GPUs", needs.gpu_count),
                     format_bytes(needs.gpu_memory_bytes), nodes_text(nodes.size()),
                     format_bytes(most));
}

bool builds_environments(const SchedulableNode& node) { return node.capabilities->environments; }

std::string no_builder_sentence(const std::vector<SchedulableNode>& nodes) {
  return nodes.size() == 1
             ? "the only node builds no environments"
             : fmt::format("none of {} builds environments", nodes_text(nodes.size()));
}

std::string lock_sentence(const packaging::Lock& lock, const std::vector<SchedulableNode>& nodes) {
  if (std::none_of(nodes.begin(), nodes.end(), builds_environments)) {
    return no_builder_sentence(nodes);
  }
  std::string base;
  for (const auto& [name, version] : lock.base) {
    base += fmt::format("{}{} {}", base.empty() ? "" : ", ", name, version);
  }
  return fmt::format("no node that builds environments has the base of its lock: {}", base);
}

std::string package_sentence(const Demand& demand, const std::vector<SchedulableNode>& nodes) {
  if (demand.spec->environment_lock) return lock_sentence(*demand.spec->environment_lock, nodes);
  if (builds_from_source(*demand.spec)) return no_builder_sentence(nodes);
  for (size_t i = 0; i < demand.requirements.size(); ++i) {
    const packaging::Requirement& requirement = demand.requirements[i];
    size_t satisfied = 0;
    std::optional<packaging::Version> newest;
    std::string_view newest_text;
    for (const SchedulableNode& node : nodes) {
      satisfied += has_package(*node.capabilities, requirement) ? 1 : 0;
      const std::string_view text = installed(*node.capabilities, requirement.name);
      const Result<packaging::Version> version = packaging::Version::parse(text);
      if (!version || (newest && compare(*version, *newest) <= 0)) continue;
      newest = *version;
      newest_text = text;
    }
    if (satisfied > 0) continue;
    if (!newest) {
      return nodes.size() == 1 ? fmt::format("package {} is not on the only node", requirement.name)
                               : fmt::format("package {} is on none of {}", requirement.name,
                                             nodes_text(nodes.size()));
    }
    return fmt::format("needs {}; the newest on {} is {}", demand.spec->requirements[i],
                       nodes_text(nodes.size()), newest_text);
  }
  return "its packages are on no node together";
}

std::string network_sentence(const Demand& demand, const std::vector<SchedulableNode>& nodes) {
  for (const std::string& target : demand.spec->network_allow) {
    const bool reached = std::any_of(nodes.begin(), nodes.end(), [&](const SchedulableNode& node) {
      return allow_all(node.capabilities->network, {target});
    });
    if (!reached) {
      return nodes.size() == 1
                 ? fmt::format("the only node lets no job reach {}", target)
                 : fmt::format("none of {} lets a job reach {}", nodes_text(nodes.size()), target);
    }
  }
  return "its hosts are reached from no node together";
}

std::string size_sentence(std::string_view what, int64_t needed, int64_t most, size_t nodes) {
  return fmt::format("needs {} {}; {} {}", format_bytes(needed), what, of_nodes(nodes),
                     format_bytes(most));
}

std::string cores_text(int64_t millicores) {
  return fmt::format("{:g}", static_cast<double>(millicores) / 1000);
}

struct Words {
  const char* code;
  std::string sentence;
};

// What no node has.
Words words_of(Filter filter, const Demand& demand, const std::vector<SchedulableNode>& nodes) {
  const Hardware& needs = demand.spec->hardware;
  const size_t count = nodes.size();
  switch (filter) {
    case Filter::kStrangers:
      return {"strangers",
              count == 1 ? "the only node takes its operator's jobs only"
                         : fmt::format("{} take their operators' jobs only", nodes_text(count))};
    case Filter::kSlots: return {"no_slots", "no node offers a slot now"};
    case Filter::kGpuCount:
      return {largest(nodes, [](const auto& c) { return c.gpus.size(); }) == 0 ? "no_gpu"
                                                                               : "too_few_gpus",
              gpu_sentence(needs, nodes)};
    case Filter::kGpuMemory: return {"too_little_gpu_memory", gpu_memory_sentence(needs, nodes)};
    case Filter::kGpuModel:
      return {"no_gpu_model", fmt::format("no node offers a GPU named '{}'", needs.gpu_model)};
    case Filter::kMemory:
      return {"too_little_memory",
              size_sentence("memory", needs.memory_bytes,
                            largest(nodes, [](const auto& c) { return c.memory_bytes; }), count)};
    case Filter::kCpu: {
      const int64_t most = largest(nodes, [](const auto& c) { return c.cpu_millicores; });
      return {"too_few_cores",
              fmt::format("needs {} CPU cores; {} {}", cores_text(needs.cpu_millicores),
                          of_nodes(count), cores_text(most))};
    }
    case Filter::kDisk:
      return {"too_little_disk",
              size_sentence("disk", needs.disk_bytes,
                            largest(nodes, [](const auto& c) { return c.disk_bytes; }), count)};
    case Filter::kPython:
      return {"no_python", fmt::format("needs Python {}; {} has {}", python_of(*demand.spec),
                                       count == 1 ? "the only node" : "a node",
                                       nodes.front().capabilities->python_version)};
    case Filter::kPackages: return {"no_package", package_sentence(demand, nodes)};
    case Filter::kNetwork: return {"no_network", network_sentence(demand, nodes)};
    case Filter::kSecurityLevel:
      return {"no_security_level",
              count == 1 ? fmt::format("the only node does not offer the security level '{}'",
                                       level_of(*demand.spec))
                         : fmt::format("none of {} offers the security level '{}'",
                                       nodes_text(count), level_of(*demand.spec))};
  }
  return {"no_node_fits", "no node fits"};
}

// "2 with too little memory"
std::string_view shortage_of(Filter filter) {
  constexpr std::array<std::string_view, kFilters> kTexts{
      "for their operators' jobs only", "without a slot",       "with too few GPUs",
      "with too little GPU memory",     "with another GPU",     "with too little memory",
      "with too few CPU cores",         "with too little disk", "with another Python",
      "without the packages",           "without its hosts",    "without its security level"};
  return kTexts[static_cast<size_t>(filter)];
}

// What the user could ask for instead; "" when it is not the user's to change.
std::string_view change_of(Filter filter, const Demand& demand) {
  switch (filter) {
    case Filter::kGpuCount:
      return demand.spec->hardware.gpu_count == 1 ? "without a GPU" : "with fewer GPUs";
    case Filter::kGpuMemory: return "with less GPU memory";
    case Filter::kGpuModel: return "with another GPU";
    case Filter::kMemory: return "with less memory";
    case Filter::kCpu: return "with fewer CPU cores";
    case Filter::kDisk: return "with less disk";
    case Filter::kPython: return "with another Python";
    case Filter::kPackages: return "with other requirements";
    case Filter::kNetwork: return "without these hosts";
    case Filter::kSecurityLevel:
      return demand.spec->security_level == "standard" ? "without packages built from source"
                                                       : "at the standard security level";
    case Filter::kStrangers:
    case Filter::kSlots: return "";
  }
  return "";
}

}  // namespace

Demand demand_of(const JobSpec& spec) {
  Demand demand{.spec = &spec, .requirements = {}};
  for (const std::string& text : spec.requirements) {
    Result<packaging::Requirement> requirement = packaging::parse_requirement(text);
    BCAI_ASSERT(requirement);  // refused at submission
    demand.requirements.push_back(*std::move(requirement));
  }
  return demand;
}

bool takes_owner(const SchedulableNode& node, KeyId owner) {
  return node.capabilities->strangers || node.operator_key == owner;
}

FilterSet misfits(const Demand& demand, const Capabilities& offered) {
  const Hardware& needs = demand.spec->hardware;
  FilterSet set = gpu_misfits(offered, needs);
  if (offered.slots == 0) set |= bit(Filter::kSlots);
  if (needs.memory_bytes > offered.memory_bytes) set |= bit(Filter::kMemory);
  if (needs.cpu_millicores > offered.cpu_millicores) set |= bit(Filter::kCpu);
  if (needs.disk_bytes > offered.disk_bytes) set |= bit(Filter::kDisk);
  if (!has_python(offered, python_of(*demand.spec))) set |= bit(Filter::kPython);
  if (!has_packages(offered, demand)) set |= bit(Filter::kPackages);
  if (!allow_all(offered.network, demand.spec->network_allow)) set |= bit(Filter::kNetwork);
  if (!has_level(offered, level_of(*demand.spec))) set |= bit(Filter::kSecurityLevel);
  return set;
}

bool has_room(const Capacity& free, const Hardware& hardware) {
  return free.slots >= 1 && free.cpu_millicores >= hardware.cpu_millicores &&
         free.memory_bytes >= hardware.memory_bytes && free.disk_bytes >= hardware.disk_bytes &&
         free.gpu_count >= hardware.gpu_count;
}

void take_room(Capacity& free, const Hardware& hardware) {
  free.slots -= 1;
  free.cpu_millicores -= hardware.cpu_millicores;
  free.memory_bytes -= hardware.memory_bytes;
  free.disk_bytes -= hardware.disk_bytes;
  free.gpu_count -= hardware.gpu_count;
}

WaitReason explain_misfit(const Demand& demand, const std::vector<SchedulableNode>& nodes,
                          const std::vector<FilterSet>& sets) {
  if (nodes.empty()) return {.job = {}, .code = "no_node", .sentence = "no node is connected"};
  std::array<size_t, kFilters> alone{};  // nodes that only this filter keeps from the job
  std::array<size_t, kFilters> among{};
  for (const FilterSet set : sets) {
    for (size_t i = 0; i < kFilters; ++i) {
      const FilterSet one = bit(static_cast<Filter>(i));
      alone[i] += set == one ? 1 : 0;
      among[i] += (set & one) != 0 ? 1 : 0;
    }
  }
  WaitReason reason;
  std::string counts;
  for (size_t i = 0; i < kFilters; ++i) {
    const auto filter = static_cast<Filter>(i);
    if (among[i] == 0) continue;
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", among[i], shortage_of(filter));
    if (among[i] < nodes.size()) continue;
    const Words words = words_of(filter, demand, nodes);
    if (reason.code.empty()) reason.code = words.code;
    reason.sentence += (reason.sentence.empty() ? "" : "; ") + words.sentence;
  }
  if (reason.code.empty()) {
    reason.code = "no_node_fits";
    reason.sentence = fmt::format("none of {} has it all: {}", nodes_text(nodes.size()), counts);
  }
  const auto best =
      static_cast<size_t>(std::max_element(alone.begin(), alone.end()) - alone.begin());
  const std::string_view change = change_of(static_cast<Filter>(best), demand);
  if (alone[best] > 0 && !change.empty()) {
    reason.sentence += fmt::format("; {} {} would do", change, nodes_text(alone[best]));
  }
  return reason;
}

}  // namespace bcai::coordinator
