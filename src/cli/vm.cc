// SPDX-License-Identifier: Apache-2.0
// `bcai vm`: native programs, from file to result.
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "cli/context.h"
#include "cli/table.h"
#include "cli/vm_cost.h"
#include "cli/vm_job.h"
#include "cli/vm_program.h"
#include "protocol/program_exit.h"
#include "vm/backend/reference/interpreter.h"
#include "vm/binary/binary.h"
#include "vm/huggingface/import.h"
#include "vm/isa/reference.h"
#include "vm/onnx/import.h"
#include "vm/receipt/receipt.h"
#include "vm/runtime/executable.h"
#include "vm/text/text.h"

namespace bcai::cli {
namespace {

Result<void> write_form(const std::string& path, std::string_view form, const Screen& screen) {
  if (!path.empty() && path != "-") return write_file(path, form);
  screen.write_out(form);
  return {};
}

Result<void> assemble(const VmOptions& options, const Screen& screen) {
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram program, read_verified_program(options.program));
  const std::string binary = vm::encode(program.program());
  std::string path = options.output;
  if (path.empty() && options.program != "-") {
    path = std::filesystem::path(options.program).replace_extension(".bcvm").string();
  }
  if ((path.empty() || path == "-") && screen.out_is_terminal) {
    return error(ErrorCode::kInvalidArgument, "the binary form is not for a terminal: use -o FILE");
  }
  BCAI_TRY(write_form(path, binary, screen));
  screen.note(fmt::format("{}: {} bytes, program {}", path.empty() ? "-" : path, binary.size(),
                          vm::program_identity(program.program()).text()));
  return {};
}

Result<void> disassemble(const VmOptions& options, const Screen& screen) {
  BCAI_TRY_ASSIGN(const vm::Program program, read_program(options.program));
  return write_form(options.output, vm::print_text(program), screen);
}

size_t count_instructions(const vm::Region& region) {
  size_t count = region.instructions.size();
  for (const vm::Instruction& instruction : region.instructions) {
    for (const vm::Region& inner : instruction.regions) count += count_instructions(inner);
  }
  return count;
}

Result<void> verify(const VmOptions& options, const Screen& screen) {
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, read_verified_program(options.program));
  const vm::Program& program = verified.program();
  size_t instructions = 0;
  for (const vm::Function& function : program.functions) {
    instructions += count_instructions(function.body);
  }
  const std::string identity = vm::program_identity(program).text();
  if (options.json) {
    screen.out("{}\n", to_text(json::object{{"program", identity},
                                            {"verified", true},
                                            {"instructions", instructions},
                                            {"functions", program.functions.size()}}));
  } else {
    screen.out("verified: {} instructions in {} functions, program {}\n", instructions,
               program.functions.size(), identity);
  }
  return {};
}

// A program run on given inputs, and what the run commits to, when asked for.
struct Ran {
  vm::VerifiedProgram program;
  std::vector<vm::Tensor> results;
  std::optional<vm::Receipt> receipt;
};

enum class Evidence : uint8_t { kNone, kReceipt, kReceiptWithTrace };

// What runs when the root of every value is asked for: fused launches would not have them all.
Result<vm::BoundProgram> keep_every_value(const vm::VerifiedProgram& program,
                                          const vm::Binding& binding) {
  std::vector<vm::ProgramFinding> findings;
  const std::optional<vm::VerifiedProgram> traced =
      vm::verify(vm::traced_program(program.program()), &findings);
  if (!traced) return error(ErrorCode::kInvalidArgument, "{}", vm::findings_text(findings));
  return bind_program(*traced, binding, false);
}

Result<std::vector<vm::Tensor>> run_on_processor(const VmOptions& options, const Context& context,
                                                 const vm::BoundProgram& program,
                                                 const vm::Model& model,
                                                 std::span<const vm::Tensor> inputs,
                                                 vm::ReceiptRecorder* recorder) {
  BCAI_TRY_ASSIGN(const auto executable, prepare_program(program, model, options, context));
  vm::Profile profile;
  std::vector<vm::Tensor> checkpoints;
  BCAI_TRY_ASSIGN(std::vector<vm::Tensor> results,
                  executable->run(inputs, {.profile = options.profile.empty() ? nullptr : &profile,
                                           .checkpoints = &checkpoints}));
  if (!options.profile.empty()) {
    BCAI_TRY(write_file(options.profile, profile.chrome_trace()));
    context.screen.write_err(profile.table());
  }
  if (recorder == nullptr) return results;
  const std::vector<vm::ValueId>& declared = program.program().checkpoints;
  const std::vector<vm::ValueId>& arguments = program.program().functions[0].body.arguments;
  for (size_t i = 0; i < declared.size(); ++i) {
    // The recorder takes the arguments' roots from the inputs.
    if (std::find(arguments.begin(), arguments.end(), declared[i]) == arguments.end()) {
      recorder->observe(declared[i], checkpoints[i]);
    }
  }
  return results;
}

Result<Ran> run_program(const VmOptions& options, const Context& context, Evidence evidence) {
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, read_verified_program(options.program));
  BCAI_TRY_ASSIGN(const std::vector<vm::Tensor> inputs,
                  read_inputs(verified.program(), options.inputs, options.values));
  std::vector<std::vector<int64_t>> shapes;
  for (const vm::Tensor& input : inputs) shapes.push_back(input.dims());
  std::vector<vm::ProgramFinding> findings;
  const std::optional<vm::Binding> binding =
      vm::binding_of_shapes(verified.program(), shapes, &findings);
  if (!binding) return error(ErrorCode::kInvalidArgument, "{}", vm::findings_text(findings));
  BCAI_TRY_ASSIGN(const vm::BoundProgram bound, bind_program(verified, *binding, false));
  BCAI_TRY_ASSIGN(
      const vm::Model model,
      open_model(verified, options.weights, context.settings.value(SettingKey::kDataDirectory)));
  const bool with_trace = evidence == Evidence::kReceiptWithTrace;
  std::optional<vm::ReceiptRecorder> recorder;
  vm::reference::Observer observe;
  if (evidence != Evidence::kNone) {
    recorder.emplace(verified, vm::program_identity(verified.program()), *binding, with_trace);
    observe = [&](vm::ValueId value, const vm::Tensor& tensor) {
      recorder->observe(value, tensor);
    };
  }
  std::optional<vm::BoundProgram> traced;
  if (with_trace && !options.reference) {
    BCAI_TRY_ASSIGN(traced, keep_every_value(verified, *binding));
  }
  BCAI_TRY_ASSIGN(std::vector<vm::Tensor> results,
                  options.reference
                      ? vm::reference::run(bound, inputs, model.param_source(), observe)
                      : run_on_processor(options, context, traced ? *traced : bound, model, inputs,
                                         recorder ? &*recorder : nullptr));
  Ran ran{verified, std::move(results), {}};
  if (recorder) ran.receipt = recorder->finish(inputs, ran.results);
  return ran;
}

Result<void> run(const VmOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  const bool as_job = !options.as_job.empty();
  const Evidence evidence = options.receipt.empty() && !as_job ? Evidence::kNone
                            : options.trace                    ? Evidence::kReceiptWithTrace
                                                               : Evidence::kReceipt;
  if (as_job) begin_job();
  Result<Ran> outcome = run_program(options, context, evidence);
  if (as_job) {
    BCAI_TRY(outcome ? leave_results(options.as_job, outcome->program.program(), outcome->results,
                                     *outcome->receipt)
                     : leave_error(options.as_job, outcome.error()));
  }
  BCAI_TRY_ASSIGN(const Ran ran, std::move(outcome));
  if (as_job) return {};
  const vm::Function& main = ran.program.program().functions[0];
  json::object printed;
  Table table({"RESULT", "TYPE", "SHA256", "FILE"});
  for (size_t i = 0; i < ran.results.size(); ++i) {
    const std::string digest = Sha256::of(ran.results[i].byte_view()).text();
    const std::string type = vm::to_text(ran.results[i].type(), {});
    std::string path;
    if (!options.output.empty()) {
      BCAI_TRY(make_directories(options.output));
      path = (std::filesystem::path(options.output) / npy_file_name(main.result_names[i])).string();
      BCAI_TRY_ASSIGN(const std::string file, vm::format_npy(ran.results[i]));
      BCAI_TRY(write_file(path, file));
    }
    printed[main.result_names[i]] = {{"type", type}, {"sha256", digest}, {"file", path}};
    table.add({{main.result_names[i]}, {type}, {digest.substr(0, 16)}, {path}});
  }
  if (ran.receipt) {
    BCAI_TRY(write_file(options.receipt, to_pretty_text(vm::encode_receipt(*ran.receipt))));
    screen.note(
        fmt::format("{}: commitment {}", options.receipt, ran.receipt->commitment().text()));
  }
  if (options.json) {
    screen.out("{}\n", to_text(printed));
  } else {
    screen.out("{}", table.text(screen));
  }
  return {};
}

Result<vm::Receipt> read_receipt(const std::string& path) {
  BCAI_TRY_ASSIGN(const std::string text, read_file(path));
  Result<json::value> value = parse_json(text);
  if (!value) return error(ErrorCode::kInvalidArgument, "{}:{}", path, value.error().message);
  std::vector<Finding> findings;
  std::optional<vm::Receipt> receipt = vm::decode_receipt(*value, &findings);
  if (receipt) return *std::move(receipt);
  return error(ErrorCode::kInvalidArgument, "{}: {}", path, findings_text(findings));
}

// The exit code: 0 when the receipt holds, 1 when it does not.
Result<int> check(const VmOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  BCAI_TRY_ASSIGN(const vm::Receipt claimed, read_receipt(options.receipt));
  BCAI_TRY_ASSIGN(const Ran ran, run_program(options, context,
                                             claimed.trace.empty() ? Evidence::kReceipt
                                                                   : Evidence::kReceiptWithTrace));
  const vm::Program& program = ran.program.program();
  const std::optional<vm::Difference> difference =
      vm::compare_receipts(program, claimed, *ran.receipt);
  const std::string maker =
      difference && difference->value ? vm::maker_of(program, *difference->value) : "";
  if (options.json) {
    json::object printed = {{"holds", !difference}};
    if (difference) printed["differs"] = difference->what;
    if (!maker.empty()) printed["instruction"] = maker;
    screen.out("{}\n", to_text(printed));
  } else if (!difference) {
    screen.out("the receipt holds: commitment {}\n", claimed.commitment().text());
  } else {
    screen.out("the receipt does not hold: {} differs{}{}\n", difference->what,
               maker.empty() ? "" : ", made by ", maker);
  }
  return difference ? 1 : 0;
}

// "x=1,3,224,224"
Result<std::map<std::string, std::vector<int64_t>, std::less<>>> parse_shapes(
    const std::vector<std::string>& words) {
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    std::vector<int64_t> dims;
    const char* at = word.data() + std::min(equals, word.size() - 1) + 1;
    const char* const end = word.data() + word.size();
    while (equals != std::string::npos && at < end) {
      int64_t dim = 0;
      const auto [stop, problem] = std::from_chars(at, end, dim);
      if (problem != std::errc() || (stop != end && *stop != ',')) break;
      dims.push_back(dim);
      at = stop == end ? end : stop + 1;
    }
    if (dims.empty() || at != end) {
      return error(ErrorCode::kInvalidArgument, "expected INPUT=N,N,…, found '{}'", word);
    }
    shapes[word.substr(0, equals)] = std::move(dims);
  }
  return shapes;
}

// Saved with its weights in a file beside it.
Result<vm::VerifiedProgram> import_onnx(const VmOptions& options,
                                        const std::filesystem::path& path) {
  vm::onnx::ImportOptions wanted;
  BCAI_TRY_ASSIGN(wanted.shapes, parse_shapes(options.shapes));
  BCAI_TRY_ASSIGN(wanted.values, read_values(options.values));
  BCAI_TRY_ASSIGN(vm::onnx::Imported imported, vm::onnx::import_onnx(options.program, wanted));
  BCAI_TRY_ASSIGN(const vm::Model model,
                  vm::Model::of_tensors(std::move(imported.program), imported.weights));
  BCAI_TRY(model.save(path));
  return model.program();
}

// Saved alone; its weights go into the store.
Result<vm::VerifiedProgram> import_directory(const VmOptions& options, const Context& context,
                                             const std::filesystem::path& path) {
  const std::filesystem::path data = context.settings.value(SettingKey::kDataDirectory);
  BCAI_TRY_ASSIGN(const std::unique_ptr<vm::WeightStore> store,
                  vm::WeightStore::open(data / "weights"));
  vm::huggingface::ImportOptions wanted;
  if (options.batch > 0) wanted.batch.max = options.batch;
  wanted.sequence.max = options.sequence;
  wanted.cache = options.cache;
  BCAI_TRY_ASSIGN(vm::Program program,
                  vm::huggingface::import_huggingface(options.program, *store, wanted));
  BCAI_TRY_ASSIGN(const vm::Model model, vm::Model::of_program(std::move(program), *store));
  BCAI_TRY(write_file(path, vm::encode(model.program().program())));
  return model.program();
}

Result<void> import(const VmOptions& options, const Context& context) {
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(options.program, ignored);
  if (is_directory && !(options.shapes.empty() && options.values.empty())) {
    return error(ErrorCode::kInvalidArgument,
                 "--shape and --value are for ONNX models; {} is a directory", options.program);
  }
  if (!is_directory && (options.batch > 0 || options.sequence > 0 || options.cache > 0)) {
    return error(ErrorCode::kInvalidArgument,
                 "--batch, --sequence and --cache are for directories; {} is none",
                 options.program);
  }
  std::filesystem::path path = options.output;
  if (path.empty() && is_directory) {
    path = std::filesystem::canonical(options.program, ignored);
    path += ".bcvm";
  } else if (path.empty()) {
    path = std::filesystem::path(options.program).replace_extension(".bcvm");
  }
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, is_directory
                                                          ? import_directory(options, context, path)
                                                          : import_onnx(options, path));
  std::string where;
  if (!verified.program().files.empty()) {
    where = is_directory
                ? "; weights in the store"
                : "; weights in " +
                      std::filesystem::path(path).replace_extension(".safetensors").string();
  }
  context.screen.note(fmt::format("{}: program {}{}", path.string(),
                                  vm::program_identity(verified.program()).text(), where));
  return {};
}

Result<void> isa(const VmOptions& options, const Screen& screen) {
  if (options.json) {
    screen.out("{}\n", to_text(vm::isa_json()));
    return {};
  }
  if (options.markdown) {
    screen.write_out(vm::isa_markdown());
    return {};
  }
  Table table({"NAME", "CODE", "CLASS", "WHAT IT DOES"});
  for (const vm::InstructionInfo& info : vm::instructions()) {
    table.add({{std::string(info.name)},
               {fmt::format("{:#06x}", static_cast<unsigned>(info.opcode))},
               {std::string(info.instruction_class->name)},
               {std::string(info.summary)}});
  }
  screen.out("{}", table.text(screen));
  return {};
}

// The exit code.
Result<int> dispatch(const VmOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  const auto zero = [](Result<void> done) -> Result<int> {
    BCAI_TRY(std::move(done));
    return 0;
  };
  switch (options.verb) {
    case VmOptions::Verb::kAssemble: return zero(assemble(options, screen));
    case VmOptions::Verb::kDisassemble: return zero(disassemble(options, screen));
    case VmOptions::Verb::kImport: return zero(import(options, context));
    case VmOptions::Verb::kVerify: return zero(verify(options, screen));
    case VmOptions::Verb::kQuote: return zero(vm_quote(options, context));
    case VmOptions::Verb::kCompile: return zero(vm_compile(options, context));
    case VmOptions::Verb::kRun: return zero(run(options, context));
    case VmOptions::Verb::kBench: return zero(vm_bench(options, context));
    case VmOptions::Verb::kCheck: return check(options, context);
    case VmOptions::Verb::kIsa: return zero(isa(options, screen));
  }
  return 0;
}

}  // namespace

int execute(const VmOptions& options, Context& context) {
  const Result<int> code = dispatch(options, context);
  if (code) return *code;
  const int reported = report(context.screen, code.error());
  const bool of_program = code.error().code == ErrorCode::kInvalidArgument;
  return !options.as_job.empty() && of_program ? kProgramFailedExit : reported;
}

}  // namespace bcai::cli
