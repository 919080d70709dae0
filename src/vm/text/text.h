// SPDX-License-Identifier: Apache-2.0
// The text form of programs, docs/formats/bcasm.md.
//
// One program has one canonical text, which print_text writes: parse_text(print_text(p)) is p, and
// printing what was parsed from any text is a fixpoint. The parser knows syntax, names,
// instructions and their attributes; whether types fit is the verifier's question. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "vm/program/program.h"

namespace bcai::vm {

inline constexpr size_t kTextBytesMax = 4 * kProgramBytesMax;
inline constexpr size_t kTextFindingsMax = 50;

// The program, or up to kTextFindingsMax findings with line and column (in bytes). After a
// statement with a finding it goes on at the next one. Instructions and functions know their place.
std::optional<Program> parse_text(std::string_view text, std::vector<Finding>* findings);

// Of a program that was verified, parsed, decoded or built: ids in the order of definition, indices
// in range, attributes of the kinds their instructions take. Anything else is a mistake of ours.
std::string print_text(const Program& program);

}  // namespace bcai::vm
