// SPDX-License-Identifier: Apache-2.0
// A native program once more, in a process of its own: `bcai vm run` on copies of the job's files
// by name, without network, rights or environment, under limits of memory, time and disk. It dies
// with the thread that started it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "coordinator/programs/mapped_file.h"
#include "protocol/job.h"
#include "vm/receipt/receipt.h"

namespace bcai::coordinator {

struct RerunOptions {
  std::filesystem::path program;    // of bcai
  std::filesystem::path directory;  // made, emptied, removed
  int cancel_fd = -1;               // readable: stop
};

struct Rerun {
  std::optional<vm::Receipt> receipt;  // with trace; absent when the program failed of itself
  std::string failure;
};

// Blocks for at most the job's timeout. An Error: nothing could be found out.
Result<Rerun> run_again(const RerunOptions& options, const JobSpec& spec,
                        const FindFile& find_file);

}  // namespace bcai::coordinator
