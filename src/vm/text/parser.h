// SPDX-License-Identifier: Apache-2.0
// The parser of text.h: recursive descent with one token of lookahead. Its functions return false
// after they added a finding; the statement they are in is then skipped.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/decode.h"
#include "vm/program/program.h"
#include "vm/text/lexer.h"

namespace bcai::vm {

class TextParser {
 public:
  // Both must outlive the parser.
  TextParser(std::string_view text, std::vector<Finding>* findings);
  std::optional<Program> parse();

 private:
  using Kind = TextTokenKind;
  struct TypedName {
    TextToken token;
    Type type;
  };
  struct Number {
    TextToken token;
    bool negative = false;
  };

  // Tokens and findings (parser.cc).
  TextToken take();
  bool at(Kind kind) const { return token_.kind == kind; }
  bool at(char mark) const { return at(Kind::kMark) && token_.text[0] == mark; }
  bool at_word(std::string_view word) const { return at(Kind::kWord) && token_.text == word; }
  bool at_statement_end() const { return at(Kind::kLineEnd) || at(Kind::kEnd) || at('}'); }
  bool accept(char mark);
  bool expect(char mark);
  bool expect_word(std::string_view word);
  void skip_lines();
  // A separator of a list: a comma, after which the list may go on in the next line.
  bool accept_comma();
  void recover(int braces);
  // Reads no more, and adds no more findings.
  void stop();
  template <typename... Args>
  bool fail(const TextToken& token, fmt::format_string<Args...> format, Args&&... args) {
    add_finding(token.line, token.column, fmt::format(format, std::forward<Args>(args)...));
    return false;
  }
  bool expected(std::string_view what);
  void add_finding(int line, int column, std::string message);

  // The program's own statements (parser.cc).
  bool header();
  bool item();
  bool symbols();
  bool symbol();
  bool weights();
  bool checkpoints();

  // Names, dimensions and types (parse_type.cc).
  bool name(const TextToken& token, std::string* out);
  bool integer(int64_t* out);
  bool number(Number* out);
  bool dim(Dim* out);
  bool sum(Dim* out);
  bool product(bool negative, Dim* out);
  bool factor(Dim* out);
  bool quotient(Dim* out);
  bool type(Type* out);
  bool tensor(Type* out);

  // Attributes and constants (parse_value.cc).
  bool attributes(const InstructionInfo& info, Attributes* out);
  bool attribute(const InstructionInfo& info, std::vector<Attr>* seen, Attributes* out);
  bool attribute_value(const AttributeSpec& spec, AttributeValue* out);
  template <typename T>
  bool list(std::vector<T>* out, bool (TextParser::*element)(T*), size_t max);
  bool constant(const TextToken& place, const std::vector<Number>& numbers, const Type& type,
                uint32_t* reference);
  bool param(const TextToken& place, uint32_t file, std::string tensor, const Type& type,
             uint32_t* reference);

  // Functions (parse_function.cc).
  struct Statement;
  bool function();
  bool signature(Function* function, std::vector<TypedName>* arguments);
  bool typed_names(std::vector<TypedName>* out);
  bool count_values(const TextToken& token, size_t more);
  bool port_name(const TextToken& token, std::vector<std::string>* names);
  bool body(Region* region);
  bool statement(Region* region);
  bool results(Statement* statement);
  bool opcode(Statement* statement);
  bool head(Statement* statement);
  bool operands(Statement* statement);
  bool regions(Instruction* instruction);
  bool region(Instruction* instruction);
  bool result_types(Statement* statement);
  bool resolve(Statement* statement);
  bool operand(ValueId* out);
  ValueId define(const TextToken& token, Type type);
  void resolve_calls();
  void resolve_calls(Region* region);

  TextLexer lexer_;
  std::vector<Finding>* findings_;
  size_t findings_before_;
  TextToken token_;
  TextToken ahead_;
  int braces_ = 0;        // open before token_
  bool stopped_ = false;  // at a limit: the rest is not read
  int dim_depth_ = 0;
  size_t nesting_ = 0;

  Program program_;
  std::unordered_map<std::string, uint32_t> files_;
  std::unordered_map<std::string, uint32_t> params_;
  std::unordered_map<std::string, uint32_t> constants_;
  std::unordered_map<std::string, uint32_t> functions_;
  size_t constant_bytes_ = 0;
  size_t values_ = 0;  // and results of functions
  size_t instructions_ = 0;
  // A Call's reference is an index into these until all functions are known.
  std::vector<std::string> called_;
  std::unordered_map<std::string, uint32_t> called_index_;

  // The function that is being read.
  Function* function_ = nullptr;
  size_t function_instructions_ = 0;
  std::unordered_map<std::string, ValueId> names_;
  std::vector<bool> hidden_;  // by value: its region has ended
  std::unordered_map<std::string, ValueId> main_names_;
};

// A value's name as a key: a quoted name that is no identifier differs from all that are not
// quoted.
std::string value_key(const TextToken& token);

}  // namespace bcai::vm
