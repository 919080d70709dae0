// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/ascii.h"
#include "vm/program/name.h"
#include "vm/text/parser.h"

namespace bcai::vm {

// One statement while it is read: what its names and numbers mean is settled at its end.
struct TextParser::Statement {
  TextToken place;
  Instruction instruction;
  std::vector<TextToken> results;
  std::vector<Type> types;
  // Param
  uint32_t file = 0;
  std::string tensor;
  // Const
  std::vector<Number> numbers;
};

std::string value_key(const TextToken& token) {
  if (!token.quoted) return std::string(token.text);
  const std::string name = unescape(token.text).value_or("");
  return is_identifier(name) ? name : '"' + name;
}

bool TextParser::function() {
  const TextToken place = take();
  Function function;
  function.place = {place.line, place.column};
  function_ = &function;
  function_instructions_ = 0;
  names_.clear();
  hidden_.clear();
  std::vector<TypedName> arguments;
  if (!signature(&function, &arguments)) return false;
  for (const TypedName& argument : arguments) {
    function.body.arguments.push_back(define(argument.token, argument.type));
  }
  if (!body(&function.body)) return false;
  if (program_.functions.size() == kFunctionsMax) {
    return fail(place, "more than {} functions (V5)", kFunctionsMax);
  }
  if (program_.functions.empty()) main_names_ = std::move(names_);
  program_.functions.push_back(std::move(function));
  return true;
}

bool TextParser::signature(Function* function, std::vector<TypedName>* arguments) {
  const TextToken place = token_;
  if (!at(Kind::kFunction)) return expected("a function's name, as @main");
  if (!name(take(), &function->name)) return false;
  const auto index = static_cast<uint32_t>(program_.functions.size());
  if (!functions_.emplace(function->name, index).second) {
    return fail(place, "{} is defined twice", describe(place));
  }
  std::vector<TypedName> results;
  if (!typed_names(arguments) || !expect('-') || !expect('>') || !typed_names(&results)) {
    return false;
  }
  if (!count_values(place, results.size())) return false;
  for (const TypedName& argument : *arguments) {
    if (!port_name(argument.token, &function->argument_names)) return false;
  }
  for (TypedName& result : results) {
    if (!port_name(result.token, &function->result_names)) return false;
    function->result_types.push_back(std::move(result.type));
  }
  return true;
}

// "(%a: f32[2], %b: i64[])"
bool TextParser::typed_names(std::vector<TypedName>* out) {
  if (!expect('(')) return false;
  skip_lines();
  if (accept(')')) return true;
  do {
    if (!at(Kind::kValue)) return expected("a name, as %x");
    TypedName& entry = out->emplace_back();
    entry.token = take();
    if (!expect(':') || !type(&entry.type)) return false;
  } while (accept_comma());
  skip_lines();
  return expect(')');
}

// The name of an argument or result of a function, which is part of the program.
bool TextParser::port_name(const TextToken& token, std::vector<std::string>* names) {
  std::string text;
  if (!name(token, &text)) return false;
  if (!token.quoted && !is_identifier(text)) {
    return fail(token, "an argument or result has a name, which begins with a letter, or quotes");
  }
  if (std::find(names->begin(), names->end(), text) != names->end()) {
    return fail(token, "{} is there twice", describe(token));
  }
  names->push_back(std::move(text));
  return true;
}

bool TextParser::body(Region* region) {
  if (!expect('{')) return false;
  bool fine = true;
  for (skip_lines(); !at('}'); skip_lines()) {
    if (at(Kind::kEnd)) return expected("'}'");
    fine &= statement(region);
  }
  const bool ends =
      !region->instructions.empty() && region->instructions.back().opcode == Opcode::kReturn;
  if (fine && !ends) fail(token_, "expected return before '}}' (V20)");
  take();
  return true;
}

bool TextParser::statement(Region* region) {
  const int braces = braces_;
  Statement statement;
  statement.place = token_;
  statement.instruction.place = {token_.line, token_.column};
  bool fine = results(&statement) && opcode(&statement) && resolve(&statement) &&
              (at_statement_end() || expected("the end of the statement"));
  if (!fine) recover(braces);
  if (!region->instructions.empty() && region->instructions.back().opcode == Opcode::kReturn) {
    fine = fail(statement.place, "a statement after return (V20)");
  }
  if (++function_instructions_ > kInstructionsMax || ++instructions_ > kProgramEntriesMax) {
    fail(statement.place, "more than {} instructions in a function or {} in all (V5)",
         kInstructionsMax, kProgramEntriesMax);
    stop();
    return false;
  }
  // After a finding too: the uses of these names shall not bring more.
  statement.types.resize(statement.results.size());
  for (size_t i = 0; i < statement.results.size(); ++i) {
    statement.instruction.results.push_back(
        define(statement.results[i], std::move(statement.types[i])));
  }
  if (fine) region->instructions.push_back(std::move(statement.instruction));
  return fine;
}

// "%a, %b ="
bool TextParser::results(Statement* statement) {
  if (!at(Kind::kValue)) return true;
  do {
    if (!at(Kind::kValue)) return expected("a result's name");
    statement->results.push_back(take());
    if (statement->results.size() > kResultsMax) {
      return fail(statement->place, "more than {} results (V5)", kResultsMax);
    }
  } while (accept_comma());
  return expect('=');
}

bool TextParser::opcode(Statement* statement) {
  const TextToken word = token_;
  Instruction& instruction = statement->instruction;
  if (at_word("return")) {
    take();
    instruction.opcode = Opcode::kReturn;
    if (!statement->results.empty()) return fail(word, "return has no results");
    return operands(statement);
  }
  const InstructionInfo* info = at(Kind::kWord) ? find_instruction(word.text) : nullptr;
  if (info == nullptr || info->opcode == Opcode::kReturn) {
    std::vector<std::string> names = {"return"};
    for (const InstructionInfo& each : instructions()) names.emplace_back(each.name);
    const std::string nearest = at(Kind::kWord) ? nearest_word(word.text, names) : "";
    return nearest.empty()
               ? expected("an instruction")
               : fail(word, "{} is no instruction; the nearest is {}", describe(word), nearest);
  }
  if (info->since > program_.minor) {
    return fail(word, "{} came with version {}.{} (V4)", info->name, kFormatMajor, info->since);
  }
  take();
  instruction.opcode = info->opcode;
  if (!head(statement) || !operands(statement)) return false;
  const bool has_regions = region_count(info->opcode) > 0;
  // A region begins with a value, with return, or with an instruction, which has a capital.
  const bool region_begins =
      ahead_.kind != Kind::kWord || ahead_.text == "return" || is_upper(ahead_.text[0]);
  if (at('{') && !(has_regions && region_begins) && !attributes(*info, &instruction.attributes)) {
    return false;
  }
  return (!has_regions || regions(&instruction)) && result_types(statement);
}

// What Param, Const and Call name besides operands.
bool TextParser::head(Statement* statement) {
  switch (statement->instruction.opcode) {
    case Opcode::kParam: {
      if (!at(Kind::kWord) && !at(Kind::kText)) return expected("a weight file's name");
      const TextToken place = take();
      std::string file;
      if (!name(place, &file)) return false;
      const auto found = files_.find(file);
      if (found == files_.end()) return fail(place, "no weights are called {}", describe(place));
      statement->file = found->second;
      if (!at(Kind::kText)) return expected("a tensor's name in quotes");
      return name(take(), &statement->tensor);
    }
    case Opcode::kConst: return list(&statement->numbers, &TextParser::number, kConstantBytesMax);
    case Opcode::kCall: {
      if (!at(Kind::kFunction)) return expected("a function, as @name");
      std::string callee;
      if (!name(take(), &callee)) return false;
      const auto [entry, is_new] =
          called_index_.emplace(callee, static_cast<uint32_t>(called_.size()));
      if (is_new) called_.push_back(callee);
      statement->instruction.reference = entry->second;
      return true;
    }
    default: return true;
  }
}

bool TextParser::operands(Statement* statement) {
  std::vector<ValueId>& operands = statement->instruction.operands;
  if (!at(Kind::kValue) && !at_word("_")) return true;
  do {
    ValueId id = kNoValue;
    if (!operand(&id)) return false;
    operands.push_back(id);
  } while (accept_comma());
  while (!operands.empty() && operands.back() == kNoValue) operands.pop_back();
  if (operands.size() > kOperandsMax && statement->instruction.opcode != Opcode::kReturn) {
    return fail(statement->place, "more than {} operands (V5)", kOperandsMax);
  }
  return true;
}

bool TextParser::operand(ValueId* out) {
  if (at_word("_")) {
    take();
    return true;
  }
  if (!at(Kind::kValue)) return expected("an operand");
  const TextToken place = take();
  const auto found = names_.find(value_key(place));
  if (found == names_.end()) return fail(place, "{} is not defined here (V17)", describe(place));
  if (hidden_[found->second]) {
    return fail(place, "{} is of a region that has ended (V17)", describe(place));
  }
  *out = found->second;
  return true;
}

bool TextParser::regions(Instruction* instruction) {
  for (size_t i = 0; i < region_count(instruction->opcode); ++i) {
    if (!region(instruction)) return false;
  }
  return true;
}

bool TextParser::region(Instruction* instruction) {
  std::vector<TypedName> arguments;
  if (at('(') && !typed_names(&arguments)) return false;
  if (nesting_ == kNestingMax) {
    return fail(token_, "regions nest more than {} deep (V5)", kNestingMax);
  }
  if (arguments.size() > kOperandsMax) {
    return fail(token_, "more than {} arguments of a region (V5)", kOperandsMax);
  }
  ++nesting_;
  const size_t first = hidden_.size();
  Region inner;
  for (TypedName& argument : arguments) {
    inner.arguments.push_back(define(argument.token, std::move(argument.type)));
  }
  const bool fine = body(&inner);
  std::fill(hidden_.begin() + static_cast<ptrdiff_t>(first), hidden_.end(), true);
  --nesting_;
  instruction->regions.push_back(std::move(inner));
  return fine;
}

// ": f32[2], f32[3]"
bool TextParser::result_types(Statement* statement) {
  if (statement->results.empty()) return true;
  if (!expect(':')) return false;
  do {
    if (!type(&statement->types.emplace_back())) return false;
  } while (accept_comma());
  return statement->types.size() == statement->results.size() ||
         fail(statement->place, "{} results, but {} types", statement->results.size(),
              statement->types.size());
}

// Enters what it names into the program's tables.
bool TextParser::resolve(Statement* statement) {
  Instruction& instruction = statement->instruction;
  if (instruction.opcode != Opcode::kParam && instruction.opcode != Opcode::kConst) return true;
  if (statement->types.size() != 1) {
    return fail(statement->place, "{} results, expected 1 (V18)", statement->types.size());
  }
  return instruction.opcode == Opcode::kParam
             ? param(statement->place, statement->file, statement->tensor, statement->types[0],
                     &instruction.reference)
             : constant(statement->place, statement->numbers, statement->types[0],
                        &instruction.reference);
}

bool TextParser::count_values(const TextToken& token, size_t more) {
  values_ += more;
  if (values_ <= kProgramEntriesMax) return true;
  fail(token, "more than {} values and results of functions (V5)", kProgramEntriesMax);
  stop();
  return false;
}

ValueId TextParser::define(const TextToken& token, Type type) {
  const auto id = static_cast<ValueId>(function_->values.size());
  count_values(token, 1);
  if (token.quoted) {
    std::string checked;
    name(token, &checked);
  }
  if (!names_.emplace(value_key(token), id).second) {
    fail(token, "{} is defined twice", describe(token));
  }
  function_->values.push_back(std::move(type));
  hidden_.push_back(false);
  return id;
}

void TextParser::resolve_calls() {
  for (Function& function : program_.functions) resolve_calls(&function.body);
}

void TextParser::resolve_calls(Region* region) {
  for (Instruction& instruction : region->instructions) {
    for (Region& inner : instruction.regions) resolve_calls(&inner);
    if (instruction.opcode != Opcode::kCall) continue;
    // A call with a finding has no name.
    if (instruction.reference >= called_.size()) continue;
    const std::string& callee = called_[instruction.reference];
    const auto found = functions_.find(callee);
    if (found == functions_.end()) {
      add_finding(instruction.place.line, instruction.place.column,
                  fmt::format("no function is called '{}'", callee));
    } else {
      instruction.reference = found->second;
    }
  }
}

}  // namespace bcai::vm
