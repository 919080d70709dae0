// SPDX-License-Identifier: Apache-2.0
#include "coordinator/programs/answer.h"

#include <algorithm>

#include "base/clip.h"
#include "vm/binary/binary.h"
#include "vm/receipt/tensor_root.h"
#include "vm/weights/dtype_word.h"
#include "vm/weights/safetensors.h"

namespace bcai::coordinator {
namespace {

constexpr int64_t kReceiptBytesMax = int64_t{32} << 20;  // 65 535 instructions, and then some
constexpr int64_t kTensorsBytesMax = int64_t{4} << 30;
constexpr size_t kMessageBytesMax = 400;

Error refused(std::string_view why) {
  return error(ErrorCode::kInvalidArgument, "{}", clip_utf8(why, kMessageBytesMax));
}

// What is too large is the sender's fault; what cannot be read is ours.
Result<MappedFile> open_sent(const std::filesystem::path& path, std::string_view name,
                             int64_t bytes_max) {
  Result<MappedFile> mapped = MappedFile::open(path, bytes_max);
  if (mapped || mapped.error().code != ErrorCode::kResourceExhausted) return mapped;
  return refused(fmt::format("{}: {}", name, mapped.error().message));
}

Result<Sha256> digest_of(const AttemptResult& result, std::string_view name) {
  for (const ArtifactRef& artifact : result.artifacts) {
    if (artifact.name == name) return artifact.sha256;
  }
  return refused(fmt::format("{} is missing", name));
}

std::vector<vm::ValueId> values_of(const std::vector<vm::ValueRoot>& roots) {
  std::vector<vm::ValueId> values;
  for (const vm::ValueRoot& root : roots) values.push_back(root.value);
  return values;
}

Result<void> check_receipt(const vm::Receipt& receipt, const vm::Program& program,
                           const Quote& quote, bool with_trace) {
  const vm::Function& main = program.functions[0];
  std::vector<Sha256> weights;
  for (const vm::WeightFile& file : program.files) weights.push_back(file.sha256);
  const std::pair<bool, std::string_view> checks[] = {
      {receipt.program == quote.program, "it is of another program"},
      {receipt.symbols == quote.symbols, "its symbols are not those of the inputs"},
      {receipt.weights == weights, "its weights are not the program's"},
      {receipt.inputs.size() == main.argument_names.size(), "its inputs are not the program's"},
      {receipt.results.size() == main.result_names.size(), "its results are not the program's"},
      {values_of(receipt.checkpoints) == program.checkpoints,
       "its checkpoints are not the program's"},
      {!with_trace || values_of(receipt.trace) == vm::trace_values(program),
       "its trace does not list each value of the program once, in order"},
  };
  for (const auto& [holds, why] : checks) {
    if (!holds) return refused(fmt::format("the receipt: {}", why));
  }
  return {};
}

Result<std::vector<TensorRef>> check_results(const vm::Receipt& receipt, const vm::Program& program,
                                             std::string_view file) {
  std::vector<Finding> findings;
  const std::optional<vm::Safetensors> content = vm::read_safetensors(file, &findings);
  if (!content) return refused(fmt::format("{}: {}", kTensorsArtifact, findings_text(findings)));
  const std::vector<std::string>& names = program.functions[0].result_names;
  if (content->tensors.size() != names.size()) {
    return refused(fmt::format("{} results, expected {}", content->tensors.size(), names.size()));
  }
  std::vector<TensorRef> tensors;
  for (size_t i = 0; i < names.size(); ++i) {
    const vm::TensorView* const found = vm::find_tensor(*content, names[i]);
    if (found == nullptr) {
      return refused(fmt::format("result '{}' is missing", names[i]));
    }
    auto* bytes = reinterpret_cast<std::byte*>(const_cast<char*>(found->bytes.data()));
    const vm::Tensor tensor =
        vm::Tensor::borrow(found->type.dtype, vm::dims_of(found->type.shape), bytes, nullptr);
    if (vm::tensor_root(tensor) != receipt.results[i]) {
      return refused(fmt::format("result '{}' is not what the receipt commits to", names[i]));
    }
    tensors.push_back({.name = names[i],
                       .dtype = std::string(vm::safetensors_dtype(tensor.dtype())),
                       .shape = tensor.dims(),
                       .sha256 = Sha256::of(found->bytes)});
  }
  return tensors;
}

}  // namespace

Result<vm::Program> read_admitted_program(const JobSpec& spec, const FindFile& find_file) {
  for (const InputFile& file : spec.files) {
    if (file.path != spec.program) continue;
    BCAI_TRY_ASSIGN(
        const MappedFile mapped,
        MappedFile::open(find_file(file.sha256), static_cast<int64_t>(vm::kProgramBytesMax)));
    std::vector<vm::BinaryFinding> findings;
    std::optional<vm::Program> program = vm::decode(mapped.bytes(), &findings);
    if (program) return *std::move(program);
  }
  return error(ErrorCode::kDataLoss, "the program '{}' cannot be read any more", spec.program);
}

Result<vm::Receipt> read_receipt(const std::filesystem::path& path) {
  BCAI_TRY_ASSIGN(const MappedFile mapped, open_sent(path, "the receipt", kReceiptBytesMax));
  const Result<json::value> value = parse_json(mapped.bytes());
  if (!value) return refused(fmt::format("the receipt: {}", value.error().message));
  std::vector<Finding> findings;
  std::optional<vm::Receipt> receipt = vm::decode_receipt(*value, &findings);
  if (receipt) return *std::move(receipt);
  findings.resize(std::min<size_t>(findings.size(), 3));
  return refused(fmt::format("the receipt: {}", findings_text(findings)));
}

Result<CheckedAnswer> check_answer(const JobSpec& spec, const Quote& quote,
                                   const AttemptResult& result, const FindFile& find_file) {
  BCAI_TRY_ASSIGN(const vm::Program program, read_admitted_program(spec, find_file));
  BCAI_TRY_ASSIGN(const Sha256 receipt_digest, digest_of(result, kReceiptArtifact));
  BCAI_TRY_ASSIGN(const Sha256 tensors_digest, digest_of(result, kTensorsArtifact));
  BCAI_TRY_ASSIGN(const vm::Receipt receipt, read_receipt(find_file(receipt_digest)));
  BCAI_TRY(check_receipt(receipt, program, quote, spec.replicas > 1));
  BCAI_TRY_ASSIGN(const MappedFile tensors,
                  open_sent(find_file(tensors_digest), kTensorsArtifact, kTensorsBytesMax));
  CheckedAnswer answer{.commitment = receipt.commitment(), .tensors = {}};
  BCAI_TRY_ASSIGN(answer.tensors, check_results(receipt, program, tensors.bytes()));
  return answer;
}

}  // namespace bcai::coordinator
