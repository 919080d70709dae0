// SPDX-License-Identifier: Apache-2.0
// Tensors as Python meets them: taken from and given to other libraries without a copy.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "vm/tensor/tensor.h"

namespace bcai::vm::python {

// A tensor and whether its owner lets it be written to.
struct Buffer {
  Tensor tensor;
  bool read_only = false;
};

// The dtype of a name ("f32"); raises InvalidArgument for another.
DType dtype_of(const std::string& name);

// A shape within the limits of type.h; raises InvalidArgument for another.
void check_shape(DType dtype, const std::vector<int64_t>& dims);

// Raises InvalidArgument unless every byte of a bool tensor is 0 or 1: kernels take it for granted.
void check_bools(std::string_view what, const Tensor& tensor);

// Declares Buffer in the module.
void declare_buffer(nanobind::module_& module);

}  // namespace bcai::vm::python
