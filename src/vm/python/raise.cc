// SPDX-License-Identifier: Apache-2.0
#include "vm/python/raise.h"

#include <string>

namespace nb = nanobind;
using namespace nb::literals;

namespace bcai::vm::python {

void raise(const Error& error) {
  const std::string code(error_code_name(error.code));
  const nb::object exception = nb::module_::import_("bcai.errors")
                                   .attr("error_of")("code"_a = nb::str(code.c_str()),
                                                     "message"_a = nb::str(error.message.c_str()));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  nb::raise_python_error();
}

}  // namespace bcai::vm::python
