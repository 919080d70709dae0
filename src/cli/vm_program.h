// SPDX-License-Identifier: Apache-2.0
// Native programs as the command line meets them: files in text or binary form.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vm/model/model.h"
#include "vm/tensor/tensor.h"
#include "vm/verify/verifier.h"

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

// "x=x.npy" in `files` or "x=0,1.5" in `values`, one for each argument of main; in main's order.
Result<std::vector<vm::Tensor>> read_inputs(const vm::Program& program,
                                            const std::vector<std::string>& files,
                                            const std::vector<std::string>& values);

// "sr=16000", "shape=1,-1", "scale=0.5", "mask=mask.npy": one number is a scalar, several are a
// vector; i64 where all are integers, f32 otherwise.
Result<std::map<std::string, vm::Tensor, std::less<>>> read_values(
    const std::vector<std::string>& words);

// The file for an argument or a result of this name, which may be any text: letters, digits, "_"
// and
// "-" stand for themselves, other bytes are written "%2F", so no name leaves the directory and no
// two names meet.
std::string npy_file_name(std::string_view name);

// With its weight files: those at `given` are copied into the store under `directory` first; what
// the program names must be there, and every parameter have the type it lists (V27).
Result<vm::Model> open_model(vm::VerifiedProgram program, const std::vector<std::string>& given,
                             const std::filesystem::path& directory);

}  // namespace bcai::cli
