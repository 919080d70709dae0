// SPDX-License-Identifier: Apache-2.0
#include "vm/python/program.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "vm/binary/binary.h"
#include "vm/model/model.h"
#include "vm/python/raise.h"
#include "vm/runtime/quote.h"
#include "vm/text/text.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bcai::vm::python {
namespace {

using Signature = std::vector<std::tuple<std::string, std::string, std::vector<DimText>, bool>>;
using Bound = std::map<std::string, int64_t>;

std::string_view view_of(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

ProgramObject read(const nb::bytes& source) {
  const std::string_view view = view_of(source);
  return {value_of(unlocked([&] { return parse_verified_program(view); }))};
}

// Line, column (0 where there is no text) and message of each.
std::vector<std::tuple<int, int, std::string>> findings(const nb::bytes& source) {
  const std::string_view view = view_of(source);
  std::vector<std::tuple<int, int, std::string>> lines;
  std::vector<Finding> wrong_text;
  std::optional<Program> program;
  if (view.starts_with("BCVM")) {
    const Result<Program> decoded = parse_program(view);
    if (!decoded) return {{0, 0, decoded.error().message}};
    program = *decoded;
  } else {
    program = parse_text(view, &wrong_text);
    for (const Finding& finding : wrong_text) {
      lines.emplace_back(finding.line, finding.column, finding.message);
    }
    if (!program) return lines;
  }
  std::vector<ProgramFinding> wrong;
  if (!verify(*std::move(program), &wrong)) {
    for (const ProgramFinding& finding : wrong) {
      lines.emplace_back(finding.place.line, finding.place.column,
                         fmt::format("{}: {}: {}", finding.rule, finding.where, finding.message));
    }
  }
  return lines;
}

Signature signature(const ProgramObject& object, const std::vector<std::string>& names,
                    const std::vector<Type>& types) {
  Signature list;
  for (size_t i = 0; i < names.size(); ++i) {
    list.emplace_back(names[i], std::string(dtype_name(types[i].dtype)),
                      dims_text(types[i].shape, object.verified.program().symbols),
                      types[i].is_state);
  }
  return list;
}

Signature arguments(const ProgramObject& object) {
  const Function& main = object.verified.program().functions[0];
  std::vector<Type> types;
  for (const ValueId id : main.body.arguments) types.push_back(main.values[id]);
  return signature(object, main.argument_names, types);
}

Signature results(const ProgramObject& object) {
  const Function& main = object.verified.program().functions[0];
  return signature(object, main.result_names, main.result_types);
}

Bound binding_of(const ProgramObject& object, const std::vector<std::vector<int64_t>>& shapes) {
  std::vector<ProgramFinding> wrong;
  const auto binding = binding_of_shapes(object.verified.program(), shapes, &wrong);
  if (!binding) raise_invalid("{}", findings_text(wrong));
  return {binding->begin(), binding->end()};
}

// What a run costs with `given`; a symbol that is not in it takes its largest value.
std::map<std::string, uint64_t> quote(const ProgramObject& object, const Bound& given,
                                      int threads) {
  if (threads < 1) raise_invalid("threads is {}, expected at least 1", threads);
  Binding binding(given.begin(), given.end());
  binding.merge(largest_binding(object.verified.program()));
  std::vector<ProgramFinding> wrong;
  const auto bound = vm::bind(object.verified, binding, &wrong);
  if (!bound) raise_invalid("{}", findings_text(wrong));
  const std::optional<Cost> cost = cost_of(*bound);
  BCAI_ASSERT(cost);
  const Footprint memory =
      value_of(unlocked([&] { return footprint_of(*bound, detect_simd_level(), threads); }));
  std::map<std::string, uint64_t> counted = memory_bytes(memory);
  counted.merge(std::map<std::string, uint64_t>{{"gas", cost->gas},
                                                {"flops", cost->flops},
                                                {"bytes", cost->bytes},
                                                {"instructions", cost->instructions},
                                                {"weight_bytes", cost->weight_bytes}});
  return counted;
}

}  // namespace

std::map<std::string, uint64_t> memory_bytes(const Footprint& footprint) {
  const auto bytes = [](int64_t count) { return static_cast<uint64_t>(count); };
  return {{"packed", bytes(footprint.packed)}, {"weights", bytes(footprint.weights)},
          {"arena", bytes(footprint.arena)},   {"scratch", bytes(footprint.scratch)},
          {"inputs", bytes(footprint.inputs)}, {"results", bytes(footprint.results)}};
}

std::vector<DimText> dims_text(const Shape& shape, std::span<const Symbol> symbols) {
  std::vector<DimText> dims;
  for (const Dim& dim : shape.dims()) {
    if (dim.is_constant()) {
      dims.emplace_back(dim.value());
    } else {
      dims.emplace_back(to_text(dim, symbols));
    }
  }
  return dims;
}

void declare_program(nb::module_& module) {
  module.def("findings", &findings, "source"_a,
             "What is wrong with a program in text or binary form: line, column, message.");
  nb::class_<ProgramObject>(module, "Program", "A verified program. Immutable.")
      .def_static("read", &read, "source"_a, "The program of a text or binary form.")
      .def(
          "text", [](const ProgramObject& self) { return print_text(self.verified.program()); },
          "The canonical text.")
      .def(
          "encode",
          [](const ProgramObject& self) {
            const std::string bytes = encode(self.verified.program());
            return nb::bytes(bytes.data(), bytes.size());
          },
          "The binary form.")
      .def_prop_ro(
          "identity",
          [](const ProgramObject& self) {
            return program_identity(self.verified.program()).text();
          },
          "SHA-256 of the binary form, in hexadecimal digits.")
      .def_prop_ro(
          "symbols",
          [](const ProgramObject& self) {
            std::vector<std::tuple<std::string, int64_t, int64_t, int64_t>> list;
            for (const Symbol& symbol : self.verified.program().symbols) {
              list.emplace_back(symbol.name, symbol.min, symbol.max, symbol.multiple_of);
            }
            return list;
          },
          "Name, least, largest and factor of each symbol.")
      .def_prop_ro(
          "files",
          [](const ProgramObject& self) {
            std::vector<std::tuple<std::string, std::string, uint64_t>> list;
            for (const WeightFile& file : self.verified.program().files) {
              list.emplace_back(file.name, file.sha256.text(), file.bytes);
            }
            return list;
          },
          "Name, SHA-256 and size of each weight file.")
      .def_prop_ro("arguments", &arguments, "Name, dtype, shape and whether a state, of each.")
      .def_prop_ro("results", &results, "Name, dtype, shape and whether a state, of each.")
      .def("binding_of", &binding_of, "shapes"_a,
           "The symbols' values for arguments of these shapes.")
      .def("quote", &quote, "symbols"_a, "threads"_a, "What a run costs, counted without running.");
}

}  // namespace bcai::vm::python
