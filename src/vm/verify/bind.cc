// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vm/verify/cost.h"
#include "vm/verify/function.h"
#include "vm/verify/verifier.h"

namespace bcai::vm {
namespace {

void bind_region(Region& region, std::span<const int64_t> values) {
  for (Instruction& instruction : region.instructions) {
    Attributes bound;
    for (const Attributes::Entry& entry : instruction.attributes.entries()) {
      AttributeValue value = entry.value;
      if (auto* dims = std::get_if<std::vector<Dim>>(&value)) {
        for (Dim& dim : *dims) dim = dim.bind(values);
      }
      bound.set(entry.attribute, std::move(value));
    }
    instruction.attributes = std::move(bound);
    for (Region& inner : instruction.regions) bind_region(inner, values);
  }
}

void bind_types(std::vector<Type>& types, std::span<const int64_t> values) {
  for (Type& type : types) type = type.bind(values);
}

bool value_fits(const Symbol& symbol, int64_t value) {
  return value >= symbol.min && value <= symbol.max && value % symbol.multiple_of == 0;
}

// The symbol's values in the program's order; findings for what is missing, unknown or outside.
std::vector<int64_t> read_binding(const Program& program, const Binding& binding,
                                  Findings& findings) {
  std::vector<int64_t> values;
  for (const Symbol& symbol : program.symbols) {
    const auto given = binding.find(symbol.name);
    if (given == binding.end()) {
      findings.add("V7", "symbol " + symbol.name, {}, "has no value, expected {} to {}", symbol.min,
                   symbol.max);
      values.push_back(symbol.min);
      continue;
    }
    values.push_back(given->second);
    if (!value_fits(symbol, given->second)) {
      findings.add("V7", "symbol " + symbol.name, {}, "is {}, expected {} to {} in multiples of {}",
                   given->second, symbol.min, symbol.max, symbol.multiple_of);
    }
  }
  for (const auto& given : binding) {
    const bool known =
        std::any_of(program.symbols.begin(), program.symbols.end(),
                    [&](const Symbol& symbol) { return symbol.name == given.first; });
    if (!known) {
      findings.add("V7", "symbol " + given.first, {}, "is given {}, but is unknown", given.second);
    }
  }
  return values;
}

struct Multiple {
  uint32_t symbol;
  int64_t of;
};

// The symbol a dimension is a multiple of, if it is nothing else.
std::optional<Multiple> lone_symbol(const Dim& dim) {
  if (dim.constant_term() != 0 || dim.terms().size() != 1) return std::nullopt;
  const Dim::Term& term = dim.terms()[0];
  if (term.coefficient < 1 || term.factors.size() != 1 || term.factors[0].quotient_of != nullptr) {
    return std::nullopt;
  }
  return Multiple{term.factors[0].symbol, term.coefficient};
}

}  // namespace

std::optional<BoundProgram> bind(const VerifiedProgram& program, const Binding& binding,
                                 std::vector<ProgramFinding>* findings) {
  Findings collected(findings);
  const std::vector<int64_t> values = read_binding(program.program(), binding, collected);
  if (collected.count() > 0) return std::nullopt;
  Program bound = program.program();
  bound.symbols.clear();
  for (Function& function : bound.functions) {
    bind_types(function.values, values);
    bind_types(function.result_types, values);
    bind_region(function.body, values);
  }
  std::optional<VerifiedProgram> verified = verify(std::move(bound), findings);
  if (!verified) return std::nullopt;
  BoundProgram result(*std::move(verified));
  const std::optional<Cost> cost = cost_of(result);
  if (!cost || cost->instructions > kInstructionsExecutedMax) {
    collected.add("V30", "main", {}, "gas overflows, or more than {} instructions would run",
                  kInstructionsExecutedMax);
    return std::nullopt;
  }
  return result;
}

Binding largest_binding(const Program& program) {
  Binding binding;
  for (const Symbol& symbol : program.symbols) {
    binding[symbol.name] = symbol.max - symbol.max % symbol.multiple_of;
  }
  return binding;
}

std::optional<Binding> binding_of_shapes(const Program& program,
                                         const std::vector<std::vector<int64_t>>& shapes,
                                         std::vector<ProgramFinding>* findings) {
  Findings collected(findings);
  const Function& main = program.functions[0];
  Binding binding;
  if (shapes.size() != main.body.arguments.size()) {
    collected.add("V20", "main", {}, "{} inputs, expected {}", shapes.size(),
                  main.body.arguments.size());
    return std::nullopt;
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Shape& expected = main.values[main.body.arguments[i]].shape;
    if (shapes[i].size() != expected.rank()) {
      collected.add("V20", "input " + main.argument_names[i], {}, "[{}], expected {}",
                    fmt::join(shapes[i], ","), to_text(expected, program.symbols));
      continue;
    }
    for (size_t axis = 0; axis < expected.rank(); ++axis) {
      const std::optional<Multiple> multiple = lone_symbol(expected[axis]);
      if (!multiple) continue;
      binding.emplace(program.symbols[multiple->symbol].name, shapes[i][axis] / multiple->of);
    }
  }
  const std::vector<int64_t> values = read_binding(program, binding, collected);
  for (size_t i = 0; collected.count() == 0 && i < shapes.size(); ++i) {
    const Shape& expected = main.values[main.body.arguments[i]].shape;
    for (size_t axis = 0; axis < expected.rank(); ++axis) {
      if (!(expected[axis].bind(values) == Dim(shapes[i][axis]))) {
        collected.add("V20", "input " + main.argument_names[i], {}, "[{}], expected {}",
                      fmt::join(shapes[i], ","), to_text(expected, program.symbols));
        break;
      }
    }
  }
  if (collected.count() > 0) return std::nullopt;
  return binding;
}

}  // namespace bcai::vm
