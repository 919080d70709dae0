// SPDX-License-Identifier: Apache-2.0
// Any text is a config whose numbers fit together, or refused with a reason.
#include "vm/huggingface/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<bcai::Finding> findings;
  const auto config = bcai::vm::huggingface::read_config(text, &findings);
  BCAI_ASSERT(config.has_value() == findings.empty());
  if (!config) return 0;
  BCAI_ASSERT(config->vocabulary > 0 && config->positions > 0 && config->layers > 0);
  BCAI_ASSERT(config->width > 0 && config->inner > 0 && config->head_size > 0);
  BCAI_ASSERT(config->kv_heads > 0 && config->heads % config->kv_heads == 0);
  BCAI_ASSERT(config->epsilon > 0 && config->rope_theta >= 1 && config->window >= 0);
  return 0;
}
