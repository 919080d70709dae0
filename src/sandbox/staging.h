// SPDX-License-Identifier: Apache-2.0
// What a job finds when it starts: /in with its task and its code, as the runner reads them; /work
// with its files, its code among them, to do with as it likes. As root these are tmpfs that only
// descriptors hold; rootless they are directories on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "sandbox/bundle.h"
#include "sandbox/root.h"
#include "sandbox/sandbox.h"
#include "sandbox/spawn.h"

namespace bcai::sandbox {

struct Stage {
  UniqueFd work;                        // the directory, for the collector
  UniqueFd in;                          // of stage_guest alone
  std::vector<UniqueFd> mounts;         // keeps the attachments' descriptors
  std::vector<Attachment> attachments;  // as root
  std::vector<Bind> binds;              // rootless
};

// `attach_at`: where the root is attached in the child's mount namespace. `uid`: the job's own.
Result<Stage> stage_mounts(const Task& task, const Root& root, const std::string& task_json,
                           const std::string& attach_at, uint32_t uid);

// Of a zygote's child, whose root is there: /in, /work, /tmp and /dev/shm.
Result<Stage> stage_child(const Task& task, const std::string& task_json, uint32_t uid);

// Of a zygote itself, whose children take it over.
Result<Stage> stage_zygote(const Root& root, const std::filesystem::path& overlay,
                           const std::string& attach_at);

// Of a sandbox that starts before its task is known: /in and /work are there and empty.
Result<Stage> stage_guest(const Root& root, const std::filesystem::path& overlay,
                          const std::filesystem::path& proxy, const std::string& attach_at,
                          uint32_t uid);
// Puts the task's files there, in the sizes that it asks for.
Result<void> fill_guest(const Stage& stage, const Task& task, const std::string& task_json,
                        uint32_t uid);

// The same below `directory`, which is removed by the caller.
Result<Stage> stage_directories(const Task& task, const Root& root, const std::string& task_json,
                                const std::filesystem::path& directory);

}  // namespace bcai::sandbox
