// SPDX-License-Identifier: Apache-2.0
// Holds what a node says a native program gave against itself: the receipt is of this program,
// these symbols and weights, its commitment is that of its content, its trace is whole, and the
// results that came with it are those it commits to. Whether they are right is not known from that.
#pragma once

#include <string>
#include <vector>

#include "coordinator/programs/mapped_file.h"
#include "coordinator/programs/quote.h"
#include "protocol/result.h"
#include "vm/receipt/receipt.h"

namespace bcai::coordinator {

struct CheckedAnswer {
  Sha256 commitment;
  std::vector<TensorRef> tensors;  // the results, each with the digest of its bytes
};

// kInvalidArgument says in one sentence what is wrong with it. Any other error is the reader's own.
Result<CheckedAnswer> check_answer(const JobSpec& spec, const Quote& quote,
                                   const AttemptResult& result, const FindFile& find_file);

// The program of a job that was admitted.
Result<vm::Program> read_admitted_program(const JobSpec& spec, const FindFile& find_file);

Result<vm::Receipt> read_receipt(const std::filesystem::path& path);

}  // namespace bcai::coordinator
