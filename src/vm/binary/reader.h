// SPDX-License-Identifier: Apache-2.0
// The decoder of binary.h: one pass over the sections. After the first finding nothing more is
// added, and what was built is thrown away.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "vm/binary/binary.h"
#include "vm/binary/bytes.h"
#include "vm/binary/layout.h"
#include "vm/program/name.h"

namespace bcai::vm {

class ProgramReader {
 public:
  // `bytes` must outlive the reader.
  explicit ProgramReader(std::string_view bytes) : bytes_(bytes.size()), in_(bytes) {}
  std::optional<Program> read();
  // After `read` gave none.
  const BinaryFinding& finding() const { return *in_.finding(); }

 private:
  // Sections (decode.cc).
  void header();
  void section(Section expected, void (ProgramReader::*content)());
  void symbols();
  void types();
  void files();
  void params();
  void constants();
  void checkpoints();
  void custom();
  Dim dim();
  // A type by its id. Ids come in the order of first use.
  const Type& type();

  // Functions (decode_function.cc).
  void functions();
  void function();
  void port_names(size_t count, std::vector<std::string>* names, std::vector<Type>* types);
  void instructions(Region* region);
  void instruction(Region* region, bool last);
  void operands(Instruction* instruction);
  void reference(Instruction* instruction);
  void attributes(Instruction* instruction);
  AttributeValue attribute_value(const AttributeSpec& spec);
  void region(Instruction* instruction);
  void results(Instruction* instruction);
  void count_values(size_t more);
  ValueId define(const Type& type);

  size_t bytes_;
  ByteReader in_;
  Program program_;
  std::vector<Type> types_;
  size_t types_known_ = 0;
  size_t types_used_ = 0;
  size_t params_used_ = 0;
  size_t constants_used_ = 0;
  size_t functions_ = 0;  // in all
  size_t values_ = 0;     // and results of functions
  size_t instructions_ = 0;

  // The function that is being read.
  Function* function_ = nullptr;
  size_t function_instructions_ = 0;
  size_t nesting_ = 0;
  std::vector<bool> hidden_;  // by value: its region has ended
};

// Whether text can say it: bools are 0 or 1, a NaN has the one form of its dtype.
bool elements_are_canonical(const Constant& constant);

}  // namespace bcai::vm
