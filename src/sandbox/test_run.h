// SPDX-License-Identifier: Apache-2.0
// For tests: runs a task and keeps what it wrote.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/sandbox.h"

namespace bcai::sandbox {

struct Ran {
  Report report;
  std::string out;
  std::string err;
  std::vector<std::string> messages;
  int started = 0;
};

inline Ran run_task(Engine& engine, const Task& task, const std::filesystem::path& artifacts,
                    Cancellation& cancellation) {
  Ran ran;
  ran.report =
      engine.run(task, artifacts,
                 {.on_started = [&] { ran.started++; },
                  .on_output =
                      [&](Stream stream, std::string_view data) {
                        (stream == Stream::kStdout ? ran.out : ran.err).append(data);
                      },
                  .on_message = [&](std::string_view line) { ran.messages.emplace_back(line); }},
                 cancellation);
  return ran;
}

inline Ran run_task(Engine& engine, const Task& task, const std::filesystem::path& artifacts) {
  Cancellation cancellation;
  return run_task(engine, task, artifacts, cancellation);
}

// The test removes it.
inline std::filesystem::path make_temporary_directory() {
  std::string name = ::testing::TempDir() + "sandbox_XXXXXX";
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  return name;
}

}  // namespace bcai::sandbox
