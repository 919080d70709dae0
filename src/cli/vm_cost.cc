// SPDX-License-Identifier: Apache-2.0
#include "cli/vm_cost.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/units.h"
#include "cli/table.h"
#include "vm/binary/binary.h"
#include "vm/runtime/quote.h"

namespace bcai::cli {
namespace {

std::filesystem::path data_directory(const Context& context) {
  return context.settings.value(SettingKey::kDataDirectory);
}

// The one that is kept, or a new measurement that is kept.
Result<vm::MachineProfile> machine_profile(const VmOptions& options, const Context& context) {
  const vm::SimdLevel level = vm::detect_simd_level();
  const int threads = vm_threads(options.threads);
  const std::filesystem::path path =
      data_directory(context) / fmt::format("machine-{}.json", threads);
  if (!options.measure) {
    const Result<std::string> text = read_file(path);
    const Result<json::value> value = text ? parse_json(*text) : Result<json::value>(text.error());
    std::vector<Finding> findings;
    auto kept = value ? vm::MachineProfile::decode(*value, &findings) : std::nullopt;
    if (kept && kept->identity() == vm::MachineProfile::identity(level, threads)) {
      return *std::move(kept);
    }
  }
  context.screen.note("measuring this machine, once");
  BCAI_TRY_ASSIGN(vm::MachineProfile measured, vm::MachineProfile::measure(level, threads));
  BCAI_TRY(make_directories(data_directory(context), 0700));
  BCAI_TRY(write_file(path, to_pretty_text(measured.encode())));
  return measured;
}

std::string format_ms(double ns) { return fmt::format("{:.3g} ms", ns * 1e-6); }

std::string symbols_text(const vm::Binding& used, const vm::Binding& given) {
  std::string text;
  for (const auto& [name, value] : used) {
    text += fmt::format("{}{}={}{}", text.empty() ? "" : " ", name, value,
                        given.contains(name) ? "" : " (largest)");
  }
  return text;
}

json::object quote_json(const vm::Program& program, const vm::Binding& used, const vm::Quote& quote,
                        const vm::MachineProfile& machine) {
  json::object symbols;
  for (const auto& [name, value] : used) symbols[name] = value;
  const vm::Footprint& memory = quote.memory;
  json::array unknown;
  for (const std::string& kind : quote.time.unknown) unknown.push_back(json::value(kind));
  return {{"program", vm::program_identity(program).text()},
          {"symbols", std::move(symbols)},
          {"flops", quote.cost.flops},
          {"bytes", quote.cost.bytes},
          {"gas", quote.cost.gas},
          {"instructions", quote.cost.instructions},
          {"weight_bytes", quote.cost.weight_bytes},
          {"memory_bytes", memory.total()},
          {"memory",
           {{"packed", memory.packed},
            {"weights", memory.weights},
            {"arena", memory.arena},
            {"scratch", memory.scratch},
            {"inputs", memory.inputs},
            {"results", memory.results}}},
          {"threads", machine.threads()},
          {"estimated_ms", quote.time.ns * 1e-6},
          {"not_measured", std::move(unknown)}};
}

// Numbers small enough that nothing overflows; integers are 0, which is a valid index.
vm::Tensor bench_input(const vm::Type& type) {
  vm::Tensor tensor = vm::Tensor::of_type(type);
  if (type.dtype == vm::DType::kF32) {
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      tensor.data<float>()[i] = static_cast<float>(i % 17 - 8) * 0.0625F;
    }
  }
  return tensor;
}

}  // namespace

int vm_threads(int asked) {
  return asked > 0 ? asked : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

Result<std::shared_ptr<const vm::Executable>> prepare_program(const vm::BoundProgram& program,
                                                              const vm::Model& model,
                                                              const VmOptions& options,
                                                              const Context& context) {
  std::optional<vm::SimdLevel> level;
  if (!options.simd_level.empty()) {
    BCAI_TRY_ASSIGN(level, vm::parse_simd_level(options.simd_level));
  }
  // A job runs once, and its disk is memory: it keeps nothing for later.
  const bool keeps = options.as_job.empty();
  return vm::prepare(program, model.param_source(),
                     {.level = level,
                      .threads = vm_threads(options.threads),
                      .packed_directory = keeps ? data_directory(context) / "packed" : "",
                      .on_packed = [&] { model.drop_pages(); }});
}

Result<void> vm_quote(const VmOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, read_verified_program(options.program));
  BCAI_TRY_ASSIGN(const vm::Binding given, parse_binding(options.bindings));
  BCAI_TRY_ASSIGN(const vm::BoundProgram bound, bind_program(verified, given, true));
  vm::Binding used = given;
  used.merge(vm::largest_binding(verified.program()));
  BCAI_TRY_ASSIGN(const vm::MachineProfile machine, machine_profile(options, context));
  BCAI_TRY_ASSIGN(const vm::Quote quote, vm::quote(bound, machine));
  if (options.json) {
    screen.out("{}\n", to_text(quote_json(verified.program(), used, quote, machine)));
    return {};
  }
  const auto count = [](uint64_t number) { return fmt::format("{}", number); };
  Table table({"WHAT", "HOW MUCH"});
  if (!used.empty()) table.add({{"symbols"}, {symbols_text(used, given)}});
  table.add({{"gas"}, {count(quote.cost.gas)}});
  table.add({{"FLOPs"}, {count(quote.cost.flops)}});
  table.add({{"bytes moved"}, {format_bytes(static_cast<int64_t>(quote.cost.bytes))}});
  table.add({{"instructions"}, {count(quote.cost.instructions)}});
  table.add({{"weights"}, {format_bytes(static_cast<int64_t>(quote.cost.weight_bytes))}});
  table.add({{"peak memory"}, {format_bytes(quote.memory.total())}});
  const bool whole = quote.time.unknown.empty();
  table.add(
      {{"time here"},
       {fmt::format(
           "{}{}, {} threads{}", whole ? "" : "at most ", format_ms(quote.time.ns),
           machine.threads(),
           whole ? "" : fmt::format(" (not measured: {})", fmt::join(quote.time.unknown, ", ")))}});
  screen.out("{}", table.text(screen));
  return {};
}

Result<void> vm_compile(const VmOptions& options, const Context& context) {
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, read_verified_program(options.program));
  BCAI_TRY_ASSIGN(const vm::Binding binding, parse_binding(options.bindings));
  BCAI_TRY_ASSIGN(const vm::BoundProgram bound, bind_program(verified, binding, true));
  BCAI_TRY_ASSIGN(const vm::MachineProfile machine, machine_profile(options, context));
  if (options.explain) {
    BCAI_TRY_ASSIGN(const std::string table, vm::explain(bound, machine));
    context.screen.write_out(table);
    return {};
  }
  BCAI_TRY_ASSIGN(const vm::Quote quote, vm::quote(bound, machine));
  context.screen.out("{} launches; arena {}, scratch {}, packed weights {}; {} with {} threads\n",
                     quote.time.launch_ns.size(), format_bytes(quote.memory.arena),
                     format_bytes(quote.memory.scratch), format_bytes(quote.memory.packed),
                     format_ms(quote.time.ns), machine.threads());
  return {};
}

Result<void> vm_bench(const VmOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, read_verified_program(options.program));
  BCAI_TRY_ASSIGN(const vm::Binding binding, parse_binding(options.bindings));
  BCAI_TRY_ASSIGN(const vm::BoundProgram bound, bind_program(verified, binding, true));
  BCAI_TRY_ASSIGN(const vm::Model model,
                  open_model(verified, options.weights, data_directory(context)));
  BCAI_TRY_ASSIGN(const vm::MachineProfile machine, machine_profile(options, context));
  BCAI_TRY_ASSIGN(const vm::Quote quote, vm::quote(bound, machine));
  const int64_t begin = vm::monotonic_ns();
  BCAI_TRY_ASSIGN(const auto executable, prepare_program(bound, model, options, context));
  const auto prepare_ns = static_cast<double>(vm::monotonic_ns() - begin);
  const vm::Function& main = bound.program().functions[0];
  std::vector<vm::Tensor> inputs;
  for (const vm::ValueId id : main.body.arguments) inputs.push_back(bench_input(main.values[id]));
  vm::Profile profile;
  std::vector<double> times;
  for (int run = 0; run <= options.runs; ++run) {
    const int64_t start = vm::monotonic_ns();
    BCAI_TRY(executable->run(inputs, {.states_in_place = true,
                                      .profile = run > 0 && !options.json ? &profile : nullptr}));
    if (run > 0) times.push_back(static_cast<double>(vm::monotonic_ns() - start));
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  if (options.json) {
    screen.out("{}\n", to_text(json::object{{"runs", options.runs},
                                            {"threads", machine.threads()},
                                            {"prepare_ms", prepare_ns * 1e-6},
                                            {"median_ms", median * 1e-6},
                                            {"min_ms", times[0] * 1e-6},
                                            {"estimated_ms", quote.time.ns * 1e-6},
                                            {"flops", quote.cost.flops}}));
    return {};
  }
  screen.out("{} runs, {} threads: median {}, least {}, estimated {}; prepared in {}\n",
             options.runs, machine.threads(), format_ms(median), format_ms(times[0]),
             format_ms(quote.time.ns), format_ms(prepare_ns));
  screen.write_out(profile.table());
  return {};
}

}  // namespace bcai::cli
