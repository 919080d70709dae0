// SPDX-License-Identifier: Apache-2.0
// A verified program together with the tensors of its parameters: what can be run and saved.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "vm/tensor/tensor.h"
#include "vm/verify/verifier.h"
#include "vm/weights/store.h"

namespace bcai::vm {

// Text or binary form, told apart by the first four bytes. An error has every finding, a line each,
// with line and column or byte offset. The program is not verified yet.
Result<Program> parse_program(std::string_view source);

// As parse_program, and verified.
Result<VerifiedProgram> parse_verified_program(std::string_view source);

// Immutable; copies share all they hold. Any thread.
class Model {
 public:
  // What an importer gives: a program with at most one weight file, without size and digest, and
  // the tensors of that file by name. The digest is that of the file which save() writes.
  // kInvalidArgument when the program is refused, or lacks a tensor.
  static Result<Model> of_tensors(Program program,
                                  const std::vector<std::pair<std::string, Tensor>>& tensors);

  // Of weight files in `store`, into which those at `paths` are copied first. kNotFound when a file
  // that the program names is not there; kInvalidArgument, by rule V27, for a tensor of another
  // type than its parameter's.
  static Result<Model> of_files(VerifiedProgram program,
                                std::span<const std::filesystem::path> paths, WeightStore& store);

  // Of a program that is not verified yet, as an importer gives it with its files in `store`.
  static Result<Model> of_program(Program program, WeightStore& store);

  const VerifiedProgram& program() const { return program_; }

  // Of a parameter of the program: a view, where the file has it aligned. Not to be written to.
  Tensor tensor(const Param& param) const;

  // The same, as whoever prepares or runs the program asks for parameters.
  std::function<Result<Tensor>(const WeightFile&, const Param&)> param_source() const;

  // Whether the tensors lie in files of a store.
  bool is_stored() const;
  // What was read of them is not kept in memory: after packing, most of it is not needed again.
  void drop_pages() const;

  // Writes the binary form to `path` and each weight file beside it: `STEM.safetensors`, or
  // `STEM-1.safetensors`, … where there are several. Each file is replaced in one step.
  Result<void> save(const std::filesystem::path& path) const;

 private:
  struct Parts;
  Model(VerifiedProgram program, std::shared_ptr<const Parts> parts)
      : program_(std::move(program)), parts_(std::move(parts)) {}

  VerifiedProgram program_;
  std::shared_ptr<const Parts> parts_;
};

}  // namespace bcai::vm
