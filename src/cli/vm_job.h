// SPDX-License-Identifier: Apache-2.0
// A native program as a job of the network: what it leaves in its directory for the collector
// (docs/formats/outputs.md).
#pragma once

#include <filesystem>
#include <span>

#include "base/result.h"
#include "vm/receipt/receipt.h"

namespace bcai::cli {

// Says on descriptor 3, where a job has one, that it runs.
void begin_job();

// .bcai/outputs.safetensors, .bcai/outputs.json and outputs/receipt.json below `directory`.
Result<void> leave_results(const std::filesystem::path& directory, const vm::Program& program,
                           std::span<const vm::Tensor> results, const vm::Receipt& receipt);

// .bcai/outputs.json with the error alone.
Result<void> leave_error(const std::filesystem::path& directory, const Error& error);

}  // namespace bcai::cli
