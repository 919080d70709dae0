// SPDX-License-Identifier: Apache-2.0
// What a job left: values to print, artifacts to download.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "cli/screen.h"

namespace bcai::cli {

// "loss = 0.31", one a line, on `out`; what was left out, on `err`.
void print_outputs(const Screen& screen, const json::value& results);

// "left out outputs/model.pt: …", one a line, on `err`: values and files that were not kept.
void print_left_out(const Screen& screen, const json::value& results);

// What a native program gave, as `bcai vm run` shows it: "" without results.
std::string results_table(const Screen& screen, const json::value& results,
                          const std::filesystem::path& directory);

// Writes each result of a native program that NumPy has a type for as NAME.npy, from the
// outputs.safetensors that was downloaded into the directory.
Result<void> write_npy_files(const json::value& results, const std::filesystem::path& directory);

// How far a result was checked: "2 replicas gave …", and who differed. Nothing without replicas.
void print_verification(const Screen& screen, const json::value& record);

// kDataLoss for names that would leave the directory: the coordinator is not believed there.
Result<std::vector<ArtifactView>> read_artifacts(const json::value& results);

// Into the directory under their names. Says each on `err`.
Result<void> download_artifacts(ApiClient& api, const Screen& screen, const json::value& results,
                                const std::filesystem::path& directory);

}  // namespace bcai::cli
