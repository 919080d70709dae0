// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/machine.h"

#include <algorithm>
#include <fstream>

#include "vm/runtime/executable.h"
#include "vm/runtime/machine_samples.h"
#include "vm/text/text.h"

namespace bcai::vm {
namespace {

constexpr int kWarmUps = 2;
constexpr int kRunsLeast = 7;
constexpr int kRunsMost = 200;
constexpr int64_t kSampleNs = 10'000'000;
// Of all a plan's weights; fewer stay in a cache from run to run.
constexpr int64_t kCachedWeightBytes = int64_t{8} << 20;
// What is few: rows of a matmul or queries of an attention that reads more than it computes.
constexpr int64_t kFew = 8;

int64_t extent(const Operand& operand, size_t from_last) {
  const Shape& shape = operand.type.shape;
  return shape[shape.rank() - 1 - from_last].value();
}

std::string matmul_kind(const Launch& launch) {
  const Shape& a = launch.operands[0].type.shape;
  const int64_t rows = a.elements(0, a.rank() - 1).value();
  return rows <= kFew ? "TensorMatMul of few rows" : "TensorMatMul";
}

std::string convolution_kind(const Launch& launch) {
  const Shape& weight = launch.operands[1].type.shape;  // [O, C/groups, ..]
  const int64_t channels = weight[1].value();
  if (channels == 1 && weight[0].value() > 1) return "ConvolutionForward depthwise";
  if (channels < 16) return "ConvolutionForward of few channels";
  return weight.elements(2, weight.rank()) == Dim(1) ? "ConvolutionForward pointwise"
                                                     : "ConvolutionForward";
}

std::string kind_of(const Launch& launch) {
  switch (launch.opcode) {
    case Opcode::kTensorMatMul: return matmul_kind(launch);
    case Opcode::kConvolutionForward: return convolution_kind(launch);
    case Opcode::kTransformerAttention:
      return extent(launch.operands[0], 1) <= kFew ? "TransformerAttention of few queries"
                                                   : "TransformerAttention";
    default: return std::string(info_of(launch.opcode).name);
  }
}

template <typename Body>
void each_launch(const Sequence& sequence, const Body& body) {
  for (const Launch& launch : sequence) {
    body(launch);
    for (const Sequence& inner : launch.bodies) each_launch(inner, body);
  }
}

// Small, so that nothing overflows, and never zero or denormal.
Tensor filled(const Type& type) {
  Tensor tensor = Tensor::of_type(type);
  if (type.dtype == DType::kF32) {
    std::fill_n(tensor.data<float>(), tensor.elements(), 0.03125F);
  }
  return tensor;
}

// The least nanoseconds of each launch of main, by step: what other programs on the machine take
// away is not the launch's.
struct Timed {
  std::shared_ptr<const Executable> executable;
  std::map<int64_t, double> ns;
};

Result<Timed> time_sample(const MachineSample& sample, SimdLevel level, int threads) {
  std::vector<Finding> findings;
  std::optional<Program> program = parse_text(sample_text(sample), &findings);
  BCAI_ASSERT(program);
  std::vector<ProgramFinding> refusals;
  const auto verified = verify(*std::move(program), &refusals);
  BCAI_ASSERT(verified);
  const auto bound = bind(*verified, {}, &refusals);
  Timed timed;
  BCAI_TRY_ASSIGN(timed.executable, prepare(*bound,
                                            [](const WeightFile&, const Param& param) {
                                              return Result<Tensor>(filled(param.type));
                                            },
                                            {.level = level, .threads = threads}));
  const Function& main = bound->program().functions[0];
  std::vector<Tensor> inputs;
  for (const ValueId id : main.body.arguments) inputs.push_back(filled(main.values[id]));
  int64_t spent = 0;
  for (int run = 0; run < kRunsMost && (run < kRunsLeast || spent < kSampleNs); ++run) {
    Profile profile;
    BCAI_TRY(timed.executable->run(inputs, {.profile = &profile}));
    if (run < kWarmUps) continue;
    for (const Profile::Span& span : profile.spans()) {
      const auto ns = static_cast<double>(span.end - span.begin);
      const auto [least, is_first] = timed.ns.try_emplace(span.step, ns);
      least->second = std::min(least->second, ns);
      spent += span.end - span.begin;
    }
  }
  return timed;
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

std::vector<Effort> efforts_of(const Launch& launch) {
  switch (launch.kind) {
    case LaunchKind::kRepeat:
    case LaunchKind::kCond: return {};
    case LaunchKind::kCopy: return {{"copy", static_cast<double>(launch.operands[0].bytes())}};
    case LaunchKind::kMap: {
      const auto elements = static_cast<double>(launch.results[0].type.shape.elements().value());
      const size_t streams = launch.operands.size() + launch.results.size();
      std::vector<Effort> efforts = {{"map", elements * static_cast<double>(streams)}};
      for (const MapStep& step : launch.steps) {
        efforts.push_back({fmt::format("map {}", info_of(step.opcode).name), elements});
      }
      return efforts;
    }
    case LaunchKind::kInstruction: break;
  }
  const bool computes = launch.flops > 0;
  return {{kind_of(launch), static_cast<double>(computes ? launch.flops : launch.bytes)}};
}

std::string MachineProfile::identity(SimdLevel level, int threads) {
  return fmt::format("{}, {}, {} threads, kernels {}", processor_name(), simd_level_name(level),
                     threads, BCAI_KERNEL_SOURCES);
}

Result<MachineProfile> MachineProfile::measure(SimdLevel level, int threads) {
  MachineProfile profile;
  profile.identity_ = identity(level, threads);
  profile.level_ = level;
  profile.threads_ = threads;
  for (const MachineSample& sample : machine_samples()) {
    BCAI_TRY_ASSIGN(const Timed timed, time_sample(sample, level, threads));
    each_launch(timed.executable->plan().main, [&](const Launch& launch) {
      const auto found = timed.ns.find(launch.step);
      if (found == timed.ns.end()) return;
      double ns = found->second;
      if (sample.purpose == SamplePurpose::kLaunch) {
        profile.ns_per_launch_ = ns;
        return;
      }
      ns = std::max(0.0, ns - profile.ns_per_launch_);
      if (sample.purpose == SamplePurpose::kMemory) {
        if (launch.operands.size() < 2) return;
        profile.ns_per_memory_byte_ = ns / static_cast<double>(launch.operands[1].bytes());
        return;
      }
      // What is known already is taken off; the rest is the one that is not.
      const Effort* unknown = nullptr;
      const std::vector<Effort> efforts = efforts_of(launch);
      for (const Effort& effort : efforts) {
        const auto rate = profile.ns_per_unit_.find(effort.kind);
        if (rate != profile.ns_per_unit_.end()) {
          ns -= rate->second * effort.amount;
        } else if (unknown == nullptr) {
          unknown = &effort;
        }
      }
      if (unknown == nullptr || unknown->amount == 0) return;
      profile.ns_per_unit_[unknown->kind] = std::max(0.0, ns) / unknown->amount;
    });
  }
  return profile;
}

Estimate MachineProfile::estimate(const Plan& plan) const {
  int64_t weight_bytes = 0;
  for (const Buffer& buffer : plan.buffers) {
    if (buffer.storage == Storage::kWeight) weight_bytes += buffer.bytes;
  }
  Estimate estimate;
  for (const auto& [kind, rate] : ns_per_unit_) {
    estimate.unknown_ns = std::max(estimate.unknown_ns, rate);
  }
  const bool from_memory = weight_bytes > kCachedWeightBytes;
  const auto total = [&](const auto& self, const Sequence& sequence) -> double {
    double ns = 0;
    for (const Launch& launch : sequence) {
      double own = ns_of(launch, plan, from_memory, &estimate);
      const auto step = static_cast<size_t>(launch.step);
      estimate.launch_ns.resize(std::max(estimate.launch_ns.size(), step + 1));
      estimate.launch_ns[step] = own;
      if (launch.kind == LaunchKind::kRepeat) {
        own += static_cast<double>(launch.trip) * self(self, launch.bodies[0]);
      } else if (launch.kind == LaunchKind::kCond) {
        own += std::max(self(self, launch.bodies[0]), self(self, launch.bodies[1]));
      }
      ns += own;
    }
    return ns;
  };
  estimate.ns = total(total, plan.main);
  return estimate;
}

double MachineProfile::ns_of(const Launch& launch, const Plan& plan, bool weights_from_memory,
                             Estimate* estimate) const {
  double ns = 0;
  for (const Effort& effort : efforts_of(launch)) {
    const auto rate = ns_per_unit_.find(effort.kind);
    ns += effort.amount * (rate == ns_per_unit_.end() ? estimate->unknown_ns : rate->second);
    std::vector<std::string>& unknown = estimate->unknown;
    if (rate == ns_per_unit_.end() && std::ranges::find(unknown, effort.kind) == unknown.end()) {
      unknown.push_back(effort.kind);
    }
  }
  double memory_ns = 0;
  for (const Operand& operand : launch.operands) {
    const bool streams =
        launch.opcode == Opcode::kTensorMatMul || launch.opcode == Opcode::kConvolutionForward;
    if (weights_from_memory && streams && operand.present() &&
        plan.buffers[operand.buffer].storage == Storage::kWeight) {
      memory_ns += static_cast<double>(operand.bytes()) * ns_per_memory_byte_;
    }
  }
  return ns_per_launch_ + std::max(ns, memory_ns);
}

json::value MachineProfile::encode() const {
  json::object rates;
  for (const auto& [kind, rate] : ns_per_unit_) rates[kind] = rate;
  return json::object{{"machine", identity_},
                      {"simd_level", simd_level_name(level_)},
                      {"threads", threads_},
                      {"ns_per_launch", ns_per_launch_},
                      {"ns_per_memory_byte", ns_per_memory_byte_},
                      {"ns_per_unit", std::move(rates)}};
}

std::optional<MachineProfile> MachineProfile::decode(const json::value& value,
                                                     std::vector<Finding>* findings) {
  const size_t before = findings->size();
  constexpr FloatRange kNs = {0, 1e12};
  Decoder in(value, "", findings);
  MachineProfile profile;
  std::string level;
  in.require("machine", profile.identity_);
  in.require("simd_level", level);
  in.require("threads", profile.threads_, IntRange{1, 4096});
  in.require("ns_per_launch", profile.ns_per_launch_, kNs);
  in.require("ns_per_memory_byte", profile.ns_per_memory_byte_, kNs);
  if (const json::value* rates = in.take("ns_per_unit"); rates != nullptr && rates->is_object()) {
    Decoder units(*rates, "/ns_per_unit", findings);
    for (const auto& member : rates->get_object()) {
      const std::string kind(to_std(member.key()));
      units.read(kind, profile.ns_per_unit_[kind], kNs);
    }
  } else {
    in.add("ns_per_unit", "is required");
  }
  in.refuse_unknown();
  const Result<SimdLevel> known = parse_simd_level(level);
  if (!known) in.add("simd_level", known.error().message);
  if (findings->size() != before) return std::nullopt;
  profile.level_ = *known;
  return profile;
}

}  // namespace bcai::vm
