// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/executable.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <chrono>
#include <future>

#include "vm/huggingface/import.h"
#include "vm/model/model.h"
#include "vm/onnx/import.h"
#include "vm/python/buffer.h"
#include "vm/python/program.h"
#include "vm/python/raise.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bcai::vm::python {
namespace {

struct ExecutableObject {
  std::shared_ptr<const Executable> executable;
};

using Ranges = std::map<std::string, std::vector<int64_t>>;

// A signal can wait for a run of fewer nanoseconds, by estimate: a thread costs it a tenth of a
// millisecond and its warm caches.
constexpr double kInterruptibleNsMin = 100'000'000;
constexpr std::chrono::milliseconds kSignalStep{20};

bool is_main_thread() {
  const nb::module_ threading = nb::module_::import_("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

using Results = std::vector<Tensor>;

// Python's signal handlers run on the main thread alone: it waits for a long run on another thread
// and gives them their turn. What a handler raises (KeyboardInterrupt) ends the run.
Result<Results> run_with_signals(const Executable& executable, const Results& inputs,
                                 RunOptions options) {
  std::atomic<bool> cancelled{false};
  options.cancelled = &cancelled;
  auto ended = std::async(std::launch::async, [&] { return executable.run(inputs, options); });
  while (unlocked([&] { return ended.wait_for(kSignalStep); }) != std::future_status::ready) {
    if (PyErr_CheckSignals() == 0) continue;
    cancelled = true;
    unlocked([&] { ended.wait(); });
    nb::raise_python_error();
  }
  return ended.get();
}

Model import_onnx(const std::string& path, const Ranges& ranges, const Ranges& shapes,
                  const std::map<std::string, Buffer>& values) {
  onnx::ImportOptions options;
  for (const auto& [name, range] : ranges) {
    if (range.size() < 2 || range.size() > 3) {
      raise_invalid("range of '{}' has {} numbers, expected min, max and perhaps step", name,
                    range.size());
    }
    options.ranges[name] = {range[0], range[1], range.size() == 3 ? range[2] : 1};
  }
  for (const auto& [name, shape] : shapes) options.shapes[name] = shape;
  for (const auto& [name, buffer] : values) options.values[name] = buffer.tensor.copy();
  return value_of(unlocked([&]() -> Result<Model> {
    BCAI_TRY_ASSIGN(onnx::Imported imported, onnx::import_onnx(path, options));
    return Model::of_tensors(std::move(imported.program), imported.weights);
  }));
}

Model open_model(const ProgramObject& program, const std::vector<std::string>& weights,
                 const std::string& store) {
  return value_of(unlocked([&]() -> Result<Model> {
    if (program.verified.program().files.empty()) {
      return Model::of_tensors(program.verified.program(), {});
    }
    BCAI_TRY_ASSIGN(const std::unique_ptr<WeightStore> opened, WeightStore::open(store));
    const std::vector<std::filesystem::path> paths(weights.begin(), weights.end());
    return Model::of_files(program.verified, paths, *opened);
  }));
}

// What is packed is kept in the directory `packed`, if it is named.
Model import_directory(const std::string& directory, const std::string& store,
                       const std::vector<int64_t>& batch, const std::vector<int64_t>& sequence) {
  if (batch.size() != 2 || sequence.size() != 2) raise_invalid("a range has two numbers");
  const huggingface::ImportOptions options = {.batch = {batch[0], batch[1]},
                                              .sequence = {sequence[0], sequence[1]}};
  return value_of(unlocked([&]() -> Result<Model> {
    BCAI_TRY_ASSIGN(const std::unique_ptr<WeightStore> opened, WeightStore::open(store));
    BCAI_TRY_ASSIGN(Program program, huggingface::import_huggingface(directory, *opened, options));
    return Model::of_program(std::move(program), *opened);
  }));
}

ExecutableObject prepare_model(const Model& model, const std::map<std::string, int64_t>& symbols,
                               int threads, const std::string& packed) {
  if (threads < 1) raise_invalid("threads is {}, expected at least 1", threads);
  const Binding binding(symbols.begin(), symbols.end());
  return {value_of(unlocked([&]() -> Result<std::shared_ptr<const Executable>> {
    std::vector<ProgramFinding> wrong;
    const std::optional<BoundProgram> bound = vm::bind(model.program(), binding, &wrong);
    if (!bound) return error(ErrorCode::kInvalidArgument, "{}", findings_text(wrong));
    return prepare(*bound, model.param_source(),
                   {.threads = threads,
                    .packed_directory = packed,
                    .on_packed = [&] { model.drop_pages(); },
                    .compile = {.checkpoints = false}});
  }))};
}

std::vector<Buffer> run(const ExecutableObject& self, const std::vector<Buffer>& inputs,
                        bool states_in_place) {
  Results tensors;
  const Executable& executable = *self.executable;
  const Function& main = executable.plan().program.functions[0];
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool is_named = i < main.body.arguments.size();
    const bool is_state = is_named && main.values[main.body.arguments[i]].is_state;
    if (states_in_place && is_state && inputs[i].read_only) {
      raise_invalid("state '{}' is read-only and cannot be rewritten in place",
                    main.argument_names[i]);
    }
    // Borrowed memory may have changed since it was looked at.
    if (is_named) check_bools(main.argument_names[i], inputs[i].tensor);
    tensors.push_back(inputs[i].tensor);
  }
  const RunOptions options = {.states_in_place = states_in_place};
  const bool is_long = executable.longest_run_ns() >= kInterruptibleNsMin && is_main_thread();
  Results results = value_of(is_long ? run_with_signals(executable, tensors, options)
                                     : unlocked([&] { return executable.run(tensors, options); }));
  std::vector<Buffer> buffers;
  buffers.reserve(results.size());
  for (Tensor& tensor : results) buffers.push_back({std::move(tensor), false});
  return buffers;
}

}  // namespace

void declare_executable(nb::module_& module) {
  nb::class_<Model>(module, "Model", "A program and its weights. Immutable.")
      .def_static("import_onnx", &import_onnx, "path"_a, "ranges"_a, "shapes"_a, "values"_a,
                  "The model of an ONNX file.")
      .def_static("import_huggingface", &import_directory, "directory"_a, "store"_a, "batch"_a,
                  "sequence"_a, "The model of a directory as transformers saves it.")
      .def_static("open", &open_model, "program"_a, "weights"_a, "store"_a,
                  "A program with weight files, which are copied into the store first.")
      .def_prop_ro(
          "program", [](const Model& self) { return ProgramObject{self.program()}; },
          "The program.")
      .def(
          "save",
          [](const Model& self, const std::string& path) {
            check(unlocked([&] { return self.save(path); }));
          },
          "path"_a, "Writes the binary form, and the weight files beside it.")
      .def_prop_ro("is_stored", &Model::is_stored, "Whether its weights are files of a store.")
      .def("prepare", &prepare_model, "symbols"_a, "threads"_a, "packed"_a,
           "Compiled for these values of the symbols, weights packed for this processor.");
  nb::class_<ExecutableObject>(module, "Executable",
                               "A bound program ready to run on this processor. Any thread.")
      .def("run", &run, "inputs"_a, "states_in_place"_a = false,
           "The results for inputs in the order of the arguments.")
      .def(
          "explain", [](const ExecutableObject& self) { return self.executable->explain(); },
          "The plan as text, and which backend runs each launch.")
      .def_prop_ro(
          "memory",
          [](const ExecutableObject& self) { return memory_bytes(self.executable->footprint()); },
          "Bytes of one run at a time, by what they are for.");
}

}  // namespace bcai::vm::python
