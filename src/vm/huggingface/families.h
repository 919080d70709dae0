// SPDX-License-Identifier: Apache-2.0
// The networks that are known, each after its modelling_*.py in transformers.
#pragma once

#include "vm/huggingface/config.h"
#include "vm/huggingface/import.h"
#include "vm/huggingface/weight_files.h"

namespace bcai::vm::huggingface {

Result<Program> import_encoder(const Config& config, const WeightFiles& files,
                               const ImportOptions& options);
Result<Program> import_gpt2(const Config& config, const WeightFiles& files,
                            const ImportOptions& options);
Result<Program> import_llama(const Config& config, const WeightFiles& files,
                             const ImportOptions& options);

}  // namespace bcai::vm::huggingface
