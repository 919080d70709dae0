// SPDX-License-Identifier: Apache-2.0
// Native programs as the command line meets them: files in text or binary form.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "vm/tensor/tensor.h"
#include "vm/verify/verifier.h"
#include "vm/weights/store.h"

namespace bcai::cli {

// Text or binary, told apart by the first four bytes; "-" is standard input. An error has every
// finding, a line each, with line and column or byte offset.
Result<vm::Program> read_program(const std::string& path);

Result<vm::VerifiedProgram> read_verified_program(const std::string& path);

// "B=2", "S=128".
Result<vm::Binding> parse_binding(const std::vector<std::string>& words);

// With `binding`; symbols without a value take their largest when `largest` says so.
Result<vm::BoundProgram> bind_program(const vm::VerifiedProgram& program, vm::Binding binding,
                                      bool largest);

// "x=x.npy", one for each argument of main, in main's order.
Result<std::vector<vm::Tensor>> read_inputs(const vm::Program& program,
                                            const std::vector<std::string>& words);

// The weight files of a program, each opened once. `given` are added to the store under `directory`
// first; what the program names must be there, and every parameter have the type it lists (V27).
class ProgramWeights {
 public:
  static Result<ProgramWeights> open(const vm::Program& program,
                                     const std::vector<std::string>& given,
                                     const std::filesystem::path& directory);
  // A view into the file; of a parameter of the program.
  vm::Tensor tensor(const vm::WeightFile& file, const vm::Param& param) const;
  // What was read is not kept in memory: after packing, most of it is not needed again.
  void drop_pages() const;

 private:
  std::map<Sha256, std::shared_ptr<const vm::Weights>> files_;
};

}  // namespace bcai::cli
