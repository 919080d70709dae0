// SPDX-License-Identifier: Apache-2.0
// The rules inside one function: scopes, types, regions, states.
#pragma once

#include <vector>

#include "vm/verify/verifier.h"

namespace bcai::vm {

// Collects findings up to the limit.
class Findings {
 public:
  explicit Findings(std::vector<ProgramFinding>* out) : out_(out) {}
  template <typename... Args>
  void add(std::string_view rule, std::string where, Place place,
           fmt::format_string<Args...> format, Args&&... args) {
    ++count_;
    if (out_->size() >= kProgramFindingsMax) return;
    out_->push_back(
        {rule, std::move(where), place, fmt::format(format, std::forward<Args>(args)...)});
  }
  size_t count() const { return count_; }

 private:
  std::vector<ProgramFinding>* out_;
  size_t count_ = 0;
};

// `program`'s symbols, params, constants and signatures have been checked.
void verify_function(const Program& program, const Function& function, Findings& findings);

}  // namespace bcai::vm
