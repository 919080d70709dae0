// SPDX-License-Identifier: Apache-2.0
// bcai._vm: the VM for Python. Thin: what it offers is for python/bcai to make pleasant.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "vm/isa/reference.h"
#include "vm/python/buffer.h"
#include "vm/python/program.h"

namespace nb = nanobind;

NB_MODULE(_vm, module) {
  using namespace bcai::vm;  // NOLINT(google-build-using-namespace)
  module.doc() = "The virtual machine; use it through bcai.vm, bcai.Tensor and bcai.Model.";
  module.def(
      "isa", [] { return bcai::to_text(isa_json()); },
      "The instruction table as JSON: what `bcai vm isa --json` prints.");
  python::declare_buffer(module);
  python::declare_program(module);
  python::declare_executable(module);
  python::declare_builder(module);
}
