// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/range.h"

using namespace bcai;
using namespace bcai::coordinator;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{1000}, INT64_MAX}) {
    const RangeAnswer answer = read_range(text, bytes);
    BCAI_ASSERT(answer.offset >= 0 && answer.bytes >= 0 && answer.bytes <= bytes);
    BCAI_ASSERT(answer.offset <= bytes - answer.bytes);
    BCAI_ASSERT(answer.kind != RangeAnswer::Kind::kPart || answer.bytes > 0);
  }
  if (const Result<ContentRange> range = parse_content_range(text); range) {
    BCAI_ASSERT(range->bytes > 0 && range->offset >= 0);
    BCAI_ASSERT(range->offset <= range->total - range->bytes);
  }
  return 0;
}
