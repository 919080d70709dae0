// SPDX-License-Identifier: Apache-2.0
// What a native program's run will take, said before the job is taken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/decode.h"
#include "coordinator/programs/mapped_file.h"
#include "protocol/job.h"

namespace bcai::coordinator {

struct Quote {
  Sha256 program;  // its identity: of its canonical form, without custom sections
  std::map<std::string, int64_t, std::less<>> symbols;
  // As vm/verify/cost.h counts them, on the program as written.
  uint64_t gas = 0;
  uint64_t flops = 0;
  uint64_t bytes = 0;
  uint64_t instructions = 0;
  uint64_t weight_bytes = 0;
  // What no run can do with less: the job's files, inputs and results in memory, the largest
  // instruction; and with replicas every value, which the trace is made of.
  int64_t memory_bytes = 0;
};

json::object encode(const Quote& quote);
Quote decode_quote(const json::value& value);  // what encode wrote

// Of a job whose files are all in the store. Decodes, verifies, binds by the shapes of the inputs,
// and checks inputs, weight files, memory and disk. Nothing and findings, 50 in all, when something
// is wrong, or is more than the network runs: 256 inputs, 256 weight files, 1000 results of 1 GB.
std::optional<Quote> quote_program(const JobSpec& spec, const FindFile& find_file,
                                   std::vector<Finding>* findings);

}  // namespace bcai::coordinator
