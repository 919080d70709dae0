// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/import.h"

#include "base/file.h"
#include "vm/onnx/importer.h"

namespace bcai::vm::onnx {

Result<Imported> import_onnx_bytes(std::string_view bytes, const std::filesystem::path& directory,
                                   const ImportOptions& options) {
  BCAI_TRY_ASSIGN(const Model model, parse_model(bytes));
  return Importer(model, directory, options).run();
}

Result<Imported> import_onnx(const std::filesystem::path& file, const ImportOptions& options) {
  BCAI_TRY_ASSIGN(const std::string bytes, read_file(file, kModelBytesMax));
  const std::filesystem::path directory = file.parent_path();
  return import_onnx_bytes(bytes, directory.empty() ? "." : directory, options);
}

}  // namespace bcai::vm::onnx
