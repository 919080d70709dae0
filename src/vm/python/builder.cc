// SPDX-License-Identifier: Apache-2.0
#include "vm/program/builder.h"

#include <nanobind/operators.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>

#include "vm/model/model.h"
#include "vm/python/buffer.h"
#include "vm/python/program.h"
#include "vm/python/raise.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bcai::vm::python {
namespace {

using BuilderPointer = std::shared_ptr<Builder>;

// A dimension and the builder whose symbols are in it.
struct DimObject {
  Dim dim;
  BuilderPointer builder;
};

using AnyDim = std::variant<int64_t, DimObject>;
using AttributesGiven = nb::typed<nb::dict, nb::str, nb::object>;
using Operands = std::vector<std::optional<ValueId>>;
using Stated = std::optional<std::pair<std::string, std::vector<AnyDim>>>;

DimObject checked(Dim dim, const BuilderPointer& builder) {
  if (!dim.valid()) raise_invalid("the dimension overflows, or has too many terms");
  return {std::move(dim), builder};
}

// The other side of an operator on `self`.
const Dim& other_side(const DimObject& self, const AnyDim& other, Dim& number) {
  if (const auto* value = std::get_if<int64_t>(&other)) return number = Dim(*value);
  const DimObject& object = std::get<DimObject>(other);
  if (object.builder != self.builder) raise_invalid("the dimensions are of two builders");
  return object.dim;
}

template <typename Operation>
auto with_other(Operation operation) {
  return [operation](const DimObject& self, const AnyDim& other) {
    Dim number;
    return checked(operation(self.dim, other_side(self, other, number)), self.builder);
  };
}

std::string text_of(const DimObject& self) {
  return to_text(self.dim, self.builder->program().symbols);
}

Dim dim_of(const BuilderPointer& builder, const AnyDim& given) {
  if (const auto* number = std::get_if<int64_t>(&given)) return {*number};
  const DimObject& object = std::get<DimObject>(given);
  if (object.builder != builder) raise_invalid("a dimension of another builder");
  return object.dim;
}

Type type_of(const BuilderPointer& builder, const std::string& dtype,
             const std::vector<AnyDim>& dims, bool is_state) {
  Type type{dtype_of(dtype), {}, is_state};
  if (dims.size() > kRankMax) raise_invalid("{} axes, at most {}", dims.size(), kRankMax);
  for (const AnyDim& dim : dims) type.shape.push_back(dim_of(builder, dim));
  return type;
}

[[noreturn]] void raise_attribute(const InstructionInfo& info, const std::string& name,
                                  const std::string& expected, nb::handle found) {
  raise_invalid("{}: attribute {}: expected {}, found {}", info.name, name, expected,
                nb::repr(found).c_str());
}

AttributeValue attribute_value(const BuilderPointer& builder, const InstructionInfo& info,
                               const AttributeSpec& spec, nb::handle given) {
  const std::string name(attribute_name(spec.attribute));
  switch (spec.kind) {
    case AttributeKind::kInt: {
      int64_t value = 0;
      if (PyBool_Check(given.ptr()) || !nb::try_cast(given, value)) {
        raise_attribute(info, name, "an integer", given);
      }
      return value;
    }
    case AttributeKind::kBool:
      if (!PyBool_Check(given.ptr())) raise_attribute(info, name, "True or False", given);
      return int64_t{given.is(nb::handle(Py_True)) ? 1 : 0};
    case AttributeKind::kFloat: {
      double value = 0;
      if (PyBool_Check(given.ptr()) || !nb::try_cast(given, value)) {
        raise_attribute(info, name, "a number", given);
      }
      return static_cast<float>(value);
    }
    case AttributeKind::kChoice: {
      std::string word;
      const bool is_text = nb::try_cast(given, word);
      const auto found = std::find(spec.words.begin(), spec.words.end(), word);
      if (!is_text || found == spec.words.end()) {
        raise_attribute(info, name, fmt::format("one of '{}'", fmt::join(spec.words, "', '")),
                        given);
      }
      return int64_t{found - spec.words.begin()};
    }
    case AttributeKind::kInts: {
      std::vector<int64_t> list;
      if (!nb::try_cast(given, list)) raise_attribute(info, name, "a list of integers", given);
      return list;
    }
    case AttributeKind::kDims: break;
  }
  std::vector<AnyDim> list;
  if (!nb::try_cast(given, list)) raise_attribute(info, name, "a list of dimensions", given);
  std::vector<Dim> dims;
  dims.reserve(list.size());
  for (const AnyDim& dim : list) dims.push_back(dim_of(builder, dim));
  return dims;
}

const InstructionInfo& info_of(const std::string& name) {
  const InstructionInfo* info = find_instruction(name);
  if (info == nullptr) raise_invalid("there is no instruction '{}'", name);
  if (info->instruction_class->name == "Control" || has_reference(info->opcode)) {
    raise_invalid("{} is not for this builder", name);
  }
  return *info;
}

Attributes attributes_of(const BuilderPointer& builder, const InstructionInfo& info,
                         const AttributesGiven& given) {
  Attributes attributes;
  for (const auto& [key, value] : given) {
    const auto name = nb::cast<std::string>(key);
    const auto spec = std::find_if(
        info.attributes->begin(), info.attributes->end(),
        [&](const AttributeSpec& each) { return attribute_name(each.attribute) == name; });
    if (spec == info.attributes->end()) {
      raise_invalid("{} has no attribute '{}'", info.name, name);
    }
    attributes.set(spec->attribute, attribute_value(builder, info, *spec, value));
  }
  return attributes;
}

void check_problems(const BuilderPointer& builder) {
  const std::vector<std::string> problems = builder->take_problems();
  if (!problems.empty()) raise_invalid("{}", fmt::join(problems, "\n"));
}

std::vector<ValueId> add(const BuilderPointer& builder, const std::string& name,
                         const Operands& operands, const AttributesGiven& attributes,
                         const Stated& stated) {
  const InstructionInfo& info = info_of(name);
  std::vector<ValueId> ids;
  const size_t values = builder->program().functions[0].values.size();
  for (const std::optional<ValueId>& operand : operands) {
    if (operand && *operand >= values) raise_invalid("no value {}", *operand);
    ids.push_back(operand.value_or(kNoValue));
  }
  if (ids.size() > kOperandsMax) {
    raise_invalid("{}: {} operands, at most {}", name, ids.size(), kOperandsMax);
  }
  Attributes found = attributes_of(builder, info, attributes);
  std::vector<ValueId> results;
  if (stated) {
    Type type = type_of(builder, stated->first, stated->second, false);
    results = {builder->add_stated(info.opcode, std::move(ids), std::move(type), std::move(found))};
  } else {
    results = builder->add_all(info.opcode, std::move(ids), std::move(found));
  }
  check_problems(builder);
  return results;
}

ValueId argument(const BuilderPointer& builder, const std::string& name, const std::string& dtype,
                 const std::vector<AnyDim>& dims, bool is_state) {
  if (!builder->program().functions[0].body.instructions.empty()) {
    raise_invalid("argument '{}': arguments come before the first instruction", name);
  }
  return builder->argument(name, type_of(builder, dtype, dims, is_state));
}

ValueId constant(const BuilderPointer& builder, const Buffer& buffer) {
  const std::string_view bytes = buffer.tensor.byte_view();
  if (bytes.size() > kConstantBytesMax) {
    raise_invalid("a constant of {} bytes, at most {}: make it a weight, or an argument",
                  bytes.size(), kConstantBytesMax);
  }
  const ValueId id = builder->constant(buffer.tensor.type(), std::string(bytes));
  check_problems(builder);
  return id;
}

using NamedResults = std::vector<std::pair<std::string, ValueId>>;
using Weights = std::vector<std::pair<std::string, Buffer>>;

// Of the one weight file, whose digest is known when its tensors are.
ValueId weight(const BuilderPointer& builder, const std::string& name, const Buffer& buffer) {
  if (builder->program().files.empty()) builder->file({.name = "model"});
  const ValueId id = builder->param(0, name, buffer.tensor.type());
  check_problems(builder);
  return id;
}

Model finish_model(const BuilderPointer& builder, const NamedResults& results,
                   const Weights& weights) {
  Builder copy = *builder;
  Program program = value_of(copy.finish(results));
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [name, buffer] : weights) tensors.emplace_back(name, buffer.tensor);
  return value_of(unlocked([&] { return Model::of_tensors(std::move(program), tensors); }));
}

ProgramObject finish(const BuilderPointer& builder, const NamedResults& results) {
  Builder copy = *builder;  // so that building may go on
  Program program = value_of(copy.finish(results));
  std::vector<ProgramFinding> findings;
  std::optional<VerifiedProgram> verified = verify(std::move(program), &findings);
  if (!verified) raise_invalid("{}", findings_text(findings));
  return {*std::move(verified)};
}

void declare_dim(nb::module_& module) {
  nb::class_<DimObject>(module, "Dim",
                        "A dimension with symbols in it: a polynomial, and quotients by numbers.")
      .def("__add__", with_other([](const Dim& a, const Dim& b) { return a + b; }),
           nb::is_operator(), "Sum with a dimension or a number.")
      .def("__radd__", with_other([](const Dim& a, const Dim& b) { return b + a; }),
           nb::is_operator(), "Sum with a number.")
      .def("__sub__", with_other([](const Dim& a, const Dim& b) { return a - b; }),
           nb::is_operator(), "Difference to a dimension or a number.")
      .def("__rsub__", with_other([](const Dim& a, const Dim& b) { return b - a; }),
           nb::is_operator(), "Difference from a number.")
      .def("__mul__", with_other([](const Dim& a, const Dim& b) { return a * b; }),
           nb::is_operator(), "Product with a dimension or a number.")
      .def("__rmul__", with_other([](const Dim& a, const Dim& b) { return b * a; }),
           nb::is_operator(), "Product with a number.")
      .def(
          "__floordiv__",
          [](const DimObject& self, int64_t divisor) {
            return checked(floor_div(self.dim, divisor), self.builder);
          },
          nb::is_operator(), "Quotient by a number from 1 on, rounded down.")
      .def(
          "__eq__",
          [](const DimObject& self, nb::handle other) {
            DimObject object;
            return nb::try_cast(other, object) && self.builder == object.builder &&
                   self.dim == object.dim;
          },
          nb::sig("def __eq__(self, other: object, /) -> bool"),
          "Whether both are the same polynomial.")
      .def("__hash__",
           [](const DimObject& self) { return std::hash<std::string>()(text_of(self)); })
      .def("__repr__", &text_of);
}

}  // namespace

void declare_builder(nb::module_& module) {
  declare_dim(module);
  nb::class_<Builder>(module, "Builder", "Writes one function, instruction by instruction.")
      .def(nb::init<>())
      .def(
          "symbol",
          [](const BuilderPointer& self, const std::string& name, int64_t min, int64_t max,
             int64_t multiple_of) {
            return DimObject{self->symbol({name, min, max, multiple_of}), self};
          },
          "name"_a, "min"_a, "max"_a, "multiple_of"_a, "A dimension that is known later.")
      .def("argument", &argument, "name"_a, "dtype"_a, "shape"_a, "state"_a,
           "The value of an argument.")
      .def("constant", &constant, "buffer"_a, "The value of a tensor written in the program.")
      .def("add", &add, "instruction"_a, "operands"_a, "attributes"_a, "stated"_a = nb::none(),
           "The values of an instruction's results. `stated` is dtype and shape of the result, for "
           "instructions that take them.")
      .def("weight", &weight, "name"_a, "buffer"_a, "The value of a tensor of the weight file.")
      .def("finish_model", &finish_model, "results"_a, "weights"_a,
           "The verified program with these results and weights.")
      .def(
          "type_of",
          [](const BuilderPointer& self, ValueId value) {
            const Type& type = self->type_of(value);
            std::vector<AnyDim> dims;
            for (const Dim& dim : type.shape.dims()) {
              if (dim.is_constant()) {
                dims.emplace_back(dim.value());
              } else {
                dims.emplace_back(DimObject{dim, self});
              }
            }
            return std::tuple(std::string(dtype_name(type.dtype)), std::move(dims), type.is_state);
          },
          "value"_a, "Dtype, shape and whether a state.")
      .def(
          "checkpoint", [](Builder& self, ValueId value) { self.checkpoint(value); }, "value"_a,
          "A receipt commits to this value too.")
      .def("finish", &finish, "results"_a, "The verified program with these results, by name.");
}

}  // namespace bcai::vm::python
