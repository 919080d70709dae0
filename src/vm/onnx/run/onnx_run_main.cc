// SPDX-License-Identifier: Apache-2.0
// Imports ONNX models and runs them on the reference backend: for the conformance tests.
//
//   onnx_run FILE        FILE ("-": standard input) holds {"cases": […]}
//   onnx_run --markdown  prints docs/reference/onnx.md
//
// A case: {"name", "model", "inputs": {name: file}, "values": {name: file}, "shapes": {name: […]},
// "ranges": {name: [min, max, step]}, "outputs": directory}. `values` become constants of the
// program. Tensor files are .npy, or .pb for ONNX's own. Result i is written to outputs/i.npy.
//
// Prints a line for each case: {"name", "stage", "error", "instructions", "parameters"}. The stage
// is the one that failed (import, verify, bind, run, write), or "done". The exit code is 0 when the
// cases could be read.
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "vm/backend/reference/interpreter.h"
#include "vm/onnx/import.h"
#include "vm/onnx/model.h"
#include "vm/verify/verifier.h"

namespace bcai::vm::onnx {
namespace {

struct Case {
  std::string name, model, outputs;
  ImportOptions options;
  std::map<std::string, Tensor> inputs;
};

struct Outcome {
  std::string stage = "import";
  size_t instructions = 0;
  size_t parameters = 0;
};

Result<Tensor> read_tensor_file(const std::string& file) {
  BCAI_TRY_ASSIGN(const std::string bytes, read_file(file, kModelBytesMax));
  if (!file.ends_with(".pb")) return parse_npy(bytes);
  BCAI_TRY_ASSIGN(const TensorMessage message, parse_tensor(bytes));
  ExternalData none{std::filesystem::path()};
  return to_tensor(message, none);
}

std::string text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(to_json(name));
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

// Calls `each(name, value)` for the members of an object's member, if it is there.
template <typename Each>
Result<void> for_members(const json::object& object, std::string_view name, Each each) {
  const json::value* value = object.if_contains(to_json(name));
  if (value == nullptr || !value->is_object()) return {};
  for (const auto& [key, member] : value->get_object()) {
    BCAI_TRY(each(std::string(key), member));
  }
  return {};
}

std::vector<int64_t> integers(const json::value& value) {
  std::vector<int64_t> list;
  if (!value.is_array()) return list;
  for (const json::value& each : value.get_array()) {
    if (each.is_int64()) list.push_back(each.get_int64());
  }
  return list;
}

Result<Tensor> tensor_member(const json::value& value) {
  if (!value.is_string()) return error(ErrorCode::kInvalidArgument, "expected a file's name");
  return read_tensor_file(std::string(value.get_string()));
}

Result<Case> read_case(const json::object& object) {
  Case read;
  read.name = text(object, "name");
  read.model = text(object, "model");
  read.outputs = text(object, "outputs");
  BCAI_TRY(for_members(object, "inputs",
                       [&](const std::string& name, const json::value& value) -> Result<void> {
                         BCAI_TRY_ASSIGN(read.inputs[name], tensor_member(value));
                         return {};
                       }));
  BCAI_TRY(for_members(object, "values",
                       [&](const std::string& name, const json::value& value) -> Result<void> {
                         BCAI_TRY_ASSIGN(read.options.values[name], tensor_member(value));
                         return {};
                       }));
  BCAI_TRY(for_members(object, "shapes",
                       [&](const std::string& name, const json::value& value) -> Result<void> {
                         read.options.shapes[name] = integers(value);
                         return {};
                       }));
  BCAI_TRY(for_members(object, "ranges",
                       [&](const std::string& name, const json::value& value) -> Result<void> {
                         const std::vector<int64_t> range = integers(value);
                         if (range.size() != 3)
                           return error(ErrorCode::kInvalidArgument, "ranges: expected three");
                         read.options.ranges[name] = {range[0], range[1], range[2]};
                         return {};
                       }));
  return read;
}

Result<void> run_case(const Case& each, Outcome* outcome) {
  BCAI_TRY_ASSIGN(Imported imported, import_onnx(each.model, each.options));
  outcome->stage = "verify";
  outcome->instructions = imported.program.functions[0].body.instructions.size();
  outcome->parameters = imported.weights.size();
  const std::map<std::string, Tensor> weights(imported.weights.begin(), imported.weights.end());
  std::vector<ProgramFinding> findings;
  const auto verified = verify(std::move(imported.program), &findings);
  if (!verified) return error(ErrorCode::kInvalidArgument, "{}", findings_text(findings));
  outcome->stage = "bind";
  std::vector<Tensor> inputs;
  std::vector<std::vector<int64_t>> shapes;
  for (const std::string& name : verified->program().functions[0].argument_names) {
    const auto found = each.inputs.find(name);
    if (found == each.inputs.end()) {
      return error(ErrorCode::kInvalidArgument, "no tensor for input '{}'", name);
    }
    inputs.push_back(found->second);
    shapes.push_back(found->second.dims());
  }
  const auto binding = binding_of_shapes(verified->program(), shapes, &findings);
  const auto bound = binding ? bind(*verified, *binding, &findings) : std::nullopt;
  if (!bound) return error(ErrorCode::kInvalidArgument, "{}", findings_text(findings));
  outcome->stage = "run";
  const auto source = [&](const WeightFile&, const Param& param) -> Result<Tensor> {
    return weights.at(param.name);
  };
  BCAI_TRY_ASSIGN(const std::vector<Tensor> results, reference::run(*bound, inputs, source));
  outcome->stage = "write";
  BCAI_TRY(make_directories(each.outputs));
  for (size_t i = 0; i < results.size(); ++i) {
    BCAI_TRY_ASSIGN(const std::string file, format_npy(results[i]));
    BCAI_TRY(write_file(fmt::format("{}/{}.npy", each.outputs, i), file));
  }
  outcome->stage = "done";
  return {};
}

void report(const std::string& name, const Outcome& outcome, const std::string& problem) {
  const json::value line = {{"name", name},
                            {"stage", outcome.stage},
                            {"error", problem},
                            {"instructions", outcome.instructions},
                            {"parameters", outcome.parameters}};
  fmt::print("{}\n", bcai::to_text(line));
  std::fflush(stdout);
}

Result<void> run_all(const std::string& file) {
  BCAI_TRY_ASSIGN(const std::string bytes, read_file(file == "-" ? "/dev/stdin" : file));
  BCAI_TRY_ASSIGN(const json::value root, parse_json(bytes));
  const json::value* cases = root.is_object() ? root.get_object().if_contains("cases") : nullptr;
  if (cases == nullptr || !cases->is_array()) {
    return error(ErrorCode::kInvalidArgument, "expected {{\"cases\": […]}}");
  }
  for (const json::value& value : cases->get_array()) {
    if (!value.is_object()) return error(ErrorCode::kInvalidArgument, "a case is not an object");
    Outcome outcome;
    outcome.stage = "read";
    const Result<Case> each = read_case(value.get_object());
    if (each) outcome.stage = "import";
    const Result<void> done = each ? run_case(*each, &outcome) : Result<void>(each.error());
    report(text(value.get_object(), "name"), outcome, done ? "" : done.error().message);
  }
  return {};
}

int run_main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "--markdown") {
    fmt::print("{}", onnx_markdown());
    return 0;
  }
  if (arguments.size() != 1) {
    fmt::print(stderr, "usage: onnx_run FILE | --markdown\n");
    return 2;
  }
  const Result<void> done = run_all(arguments[0]);
  if (!done) fmt::print(stderr, "onnx_run: {}\n", done.error().message);
  return done ? 0 : 1;
}

}  // namespace
}  // namespace bcai::vm::onnx

int main(int argc, char** argv) { return bcai::vm::onnx::run_main({argv + 1, argv + argc}); }
