// SPDX-License-Identifier: Apache-2.0
#include "cli/vm_job.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "vm/weights/dtype_word.h"
#include "vm/weights/safetensors.h"

namespace bcai::cli {
namespace {

constexpr int kMessages = 3;

Result<void> write_outputs(const std::filesystem::path& directory, json::array tensors,
                           json::value failure) {
  BCAI_TRY(make_directories(directory / ".bcai"));
  return write_file(directory / ".bcai" / "outputs.json",
                    to_text(json::object{{"outputs", json::object()},
                                         {"tensors", std::move(tensors)},
                                         {"left_out", json::array()},
                                         {"error", std::move(failure)}}));
}

}  // namespace

void begin_job() {
  struct stat info {};
  if (fstat(kMessages, &info) == 0 && S_ISFIFO(info.st_mode)) {
    (void)write_all(kMessages, "{\"started\":true}\n");
  }
}

Result<void> leave_results(const std::filesystem::path& directory, const vm::Program& program,
                           std::span<const vm::Tensor> results, const vm::Receipt& receipt) {
  const std::vector<std::string>& names = program.functions[0].result_names;
  vm::Safetensors file;
  json::array tensors;
  for (size_t i = 0; i < results.size(); ++i) {
    file.tensors.push_back({names[i], results[i].type(), results[i].byte_view()});
    tensors.push_back(json::object{{"name", names[i]},
                                   {"dtype", to_json(vm::safetensors_dtype(results[i].dtype()))},
                                   {"shape", json::value_from(results[i].dims())}});
  }
  BCAI_TRY(make_directories(directory / ".bcai"));
  BCAI_TRY(make_directories(directory / "outputs"));
  BCAI_TRY(vm::save_safetensors(directory / ".bcai" / "outputs.safetensors", file));
  BCAI_TRY(
      write_file(directory / "outputs" / "receipt.json", to_text(vm::encode_receipt(receipt))));
  return write_outputs(directory, std::move(tensors), nullptr);
}

Result<void> leave_error(const std::filesystem::path& directory, const Error& error) {
  return write_outputs(
      directory, {},
      json::object{
          {"type", "ProgramError"}, {"message", error.message}, {"traceback", ""}, {"line", 0}});
}

}  // namespace bcai::cli
