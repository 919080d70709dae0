// SPDX-License-Identifier: Apache-2.0
#include "vm/model/model.h"

#include <algorithm>
#include <map>

#include "base/file.h"
#include "vm/binary/binary.h"
#include "vm/text/text.h"

namespace bcai::vm {

// One of the two is filled.
struct Model::Parts {
  std::map<std::string, Tensor, std::less<>> tensors;  // of the one file of an imported model
  std::vector<std::shared_ptr<const Weights>> files;   // as Program::files
};

namespace {

Error refused(const std::vector<std::string>& lines) {
  return error(ErrorCode::kInvalidArgument, "{}", fmt::join(lines, "\n"));
}

Result<VerifiedProgram> verified(Program program) {
  std::vector<ProgramFinding> findings;
  std::optional<VerifiedProgram> result = verify(std::move(program), &findings);
  if (!result) return error(ErrorCode::kInvalidArgument, "{}", findings_text(findings));
  return *std::move(result);
}

Safetensors content_of(const std::map<std::string, Tensor, std::less<>>& tensors) {
  Safetensors content;
  for (const auto& [name, tensor] : tensors) {
    content.tensors.push_back({name, tensor.type(), tensor.byte_view()});
  }
  return content;
}

Error mismatch(const WeightFile& file, const Param& param, const std::string& found) {
  return error(ErrorCode::kInvalidArgument, "V27: weight file '{}' has {} as '{}', expected {}",
               file.name, found, param.name, to_text(param.type, {}));
}

}  // namespace

Result<Program> parse_program(std::string_view source) {
  std::vector<std::string> lines;
  if (source.starts_with("BCVM")) {
    std::vector<BinaryFinding> findings;
    std::optional<Program> program = decode(source, &findings);
    if (program) return *std::move(program);
    for (const BinaryFinding& finding : findings) {
      lines.push_back(
          fmt::format("{}: byte {}: {}", finding.rule, finding.offset, finding.message));
    }
  } else {
    std::vector<Finding> findings;
    std::optional<Program> program = parse_text(source, &findings);
    if (program) return *std::move(program);
    for (const Finding& finding : findings) {
      lines.push_back(fmt::format("{}:{}: {}", finding.line, finding.column, finding.message));
    }
  }
  return refused(lines);
}

Result<VerifiedProgram> parse_verified_program(std::string_view source) {
  BCAI_TRY_ASSIGN(Program program, parse_program(source));
  return verified(std::move(program));
}

Result<Model> Model::of_tensors(Program program,
                                const std::vector<std::pair<std::string, Tensor>>& tensors) {
  BCAI_ASSERT(program.files.size() <= 1);
  auto parts = std::make_shared<Parts>();
  for (const auto& [name, tensor] : tensors) parts->tensors.emplace(name, tensor);
  for (const Param& param : program.params) {
    const auto found = parts->tensors.find(param.name);
    if (found == parts->tensors.end()) return mismatch(program.files[0], param, "nothing");
    const Type type = found->second.type();
    if (!(type == param.type)) return mismatch(program.files[0], param, to_text(type, {}));
  }
  if (!program.files.empty()) {
    BCAI_TRY_ASSIGN(const WeightFileIdentity identity,
                    safetensors_identity(content_of(parts->tensors)));
    program.files[0].sha256 = identity.sha256;
    program.files[0].bytes = identity.bytes;
  }
  BCAI_TRY_ASSIGN(VerifiedProgram result, verified(std::move(program)));
  return Model(std::move(result), std::move(parts));
}

Result<Model> Model::of_files(VerifiedProgram program, std::span<const std::filesystem::path> paths,
                              WeightStore& store) {
  std::vector<std::shared_ptr<const Weights>> given;
  for (const std::filesystem::path& path : paths) {
    BCAI_TRY_ASSIGN(std::shared_ptr<const Weights> added, store.add(path));
    given.push_back(std::move(added));
  }
  auto parts = std::make_shared<Parts>();
  for (const WeightFile& file : program.program().files) {
    Result<std::shared_ptr<const Weights>> loaded = store.load(file.sha256);
    if (!loaded && loaded.error().code == ErrorCode::kNotFound) {
      return error(ErrorCode::kNotFound, "weight file '{}' (sha256 {}) is missing", file.name,
                   file.sha256.text());
    }
    if (!loaded) return std::move(loaded).error();
    parts->files.push_back(*std::move(loaded));
  }
  for (const Param& param : program.program().params) {
    const TensorView* found = parts->files[param.file]->find(param.name);
    if (found == nullptr || !(found->type == param.type)) {
      return mismatch(program.program().files[param.file], param,
                      found == nullptr ? "nothing" : to_text(found->type, {}));
    }
  }
  return Model(std::move(program), std::move(parts));
}

Result<Model> Model::of_program(Program program, WeightStore& store) {
  BCAI_TRY_ASSIGN(VerifiedProgram result, verified(std::move(program)));
  return of_files(std::move(result), {}, store);
}

Tensor Model::tensor(const Param& param) const {
  if (parts_->files.empty()) return parts_->tensors.find(param.name)->second;
  const std::shared_ptr<const Weights>& weights = parts_->files[param.file];
  const std::string_view bytes = weights->find(param.name)->bytes;
  // Tensors of a program are never written to: what changes is copied first.
  auto* data = reinterpret_cast<std::byte*>(const_cast<char*>(bytes.data()));
  std::vector<int64_t> dims = dims_of(param.type.shape);
  const auto item = static_cast<uintptr_t>(dtype_bytes(param.type.dtype));
  if (reinterpret_cast<uintptr_t>(data) % item == 0) {
    return Tensor::borrow(param.type.dtype, std::move(dims), data, weights);
  }
  Tensor aligned(param.type.dtype, std::move(dims));
  std::copy_n(data, bytes.size(), aligned.bytes().begin());
  return aligned;
}

std::function<Result<Tensor>(const WeightFile&, const Param&)> Model::param_source() const {
  return [model = *this](const WeightFile&, const Param& param) -> Result<Tensor> {
    return model.tensor(param);
  };
}

bool Model::is_stored() const { return !parts_->files.empty(); }

void Model::drop_pages() const {
  for (const std::shared_ptr<const Weights>& file : parts_->files) file->drop_pages();
}

Result<void> Model::save(const std::filesystem::path& path) const {
  const size_t count = program_.program().files.size();
  for (size_t i = 0; i < count; ++i) {
    std::filesystem::path file = path;
    file.replace_filename(path.stem().string() + (count == 1 ? "" : fmt::format("-{}", i + 1)) +
                          ".safetensors");
    BCAI_TRY(parts_->files.empty() ? save_safetensors(file, content_of(parts_->tensors))
                                   : write_file(file, parts_->files[i]->content()));
  }
  return write_file(path, encode(program_.program()));
}

}  // namespace bcai::vm
