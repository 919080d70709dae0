// SPDX-License-Identifier: Apache-2.0
// Programs, models and executables as Python objects.
#pragma once

#include <nanobind/nanobind.h>

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "vm/runtime/footprint.h"
#include "vm/verify/verifier.h"

namespace bcai::vm::python {

struct ProgramObject {
  VerifiedProgram verified;
};

// A dimension as Python sees it: a number, or text where symbols are in it.
using DimText = std::variant<int64_t, std::string>;
std::vector<DimText> dims_text(const Shape& shape, std::span<const Symbol> symbols);

// By the names of its members.
std::map<std::string, uint64_t> memory_bytes(const Footprint& footprint);

void declare_program(nanobind::module_& module);
void declare_executable(nanobind::module_& module);
void declare_builder(nanobind::module_& module);

}  // namespace bcai::vm::python
