// SPDX-License-Identifier: Apache-2.0
// The binary form of programs, docs/formats/bcvm.md.
//
// One program has one byte string: decode(encode(p)) is p, and encode(decode(b)) is b, without the
// custom sections that may follow. decode takes any bytes whatever: it never asks for memory that
// the bytes do not account for, and refuses all that encode would not have written. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "vm/program/program.h"

namespace bcai::vm {

// What is wrong, and with which byte. The rule is one of docs/formats/bcvm.md ("V3").
struct BinaryFinding {
  size_t offset = 0;
  std::string_view rule;
  std::string message;
};

// Of a program that was verified, parsed, decoded or built: ids in the order of definition, indices
// in range, attributes of the kinds their instructions take. Anything else is a mistake of ours.
std::string encode(const Program& program);

// The program, or one finding: nothing after the first wrong byte can be trusted to mean anything.
// Whether types fit is the verifier's question.
std::optional<Program> decode(std::string_view bytes, std::vector<BinaryFinding>* findings);

// The name of a program everywhere: SHA-256 of what encode gives.
Sha256 program_identity(const Program& program);

}  // namespace bcai::vm
