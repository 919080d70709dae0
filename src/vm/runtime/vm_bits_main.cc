// SPDX-License-Identifier: Apache-2.0
// vm_bits FIRST COUNT: runs random programs on the reference backend and at every SIMD level, and
// prints a digest of the results of each fifty. Builds by other compilers and for other processors
// must print the same: tests/vm/test_bits.py.
#include <fmt/core.h>

#include <cstdlib>
#include <string>

#include "vm/backend/reference/interpreter.h"
#include "vm/generator/generator.h"
#include "vm/runtime/executable.h"

namespace bcai::vm {
namespace {

constexpr uint64_t kBlock = 50;

// FNV-1a: the standard library's hash may be another elsewhere.
uint64_t seed_of(std::string_view name) {
  uint64_t hash = 14695981039346656037U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

Result<Tensor> weight(const WeightFile&, const Param& param) {
  return random_tensor(param.type, seed_of(param.name));
}

std::string bytes_of(const Result<std::vector<Tensor>>& results) {
  if (!results) return results.error().message;
  std::string bytes;
  for (const Tensor& tensor : *results) {
    bytes += to_text(tensor.type(), {});
    bytes += tensor.byte_view();
  }
  return bytes;
}

Result<std::string> answer(uint64_t seed) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(random_program(seed), &findings);
  if (!verified) return error(ErrorCode::kInternal, "{}", findings_text(findings));
  const auto bound = bind(*verified, {}, &findings);
  const std::vector<Tensor> inputs = random_inputs(bound->program(), seed);
  const std::string expected = bytes_of(reference::run(*bound, inputs, weight));
  for (const SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (!has_simd_level(level)) continue;
    BCAI_TRY_ASSIGN(const auto executable, prepare(*bound, weight, {.level = level}));
    if (bytes_of(executable->run(inputs)) != expected) {
      return error(ErrorCode::kInternal, "seed {}: {} differs from the reference", seed,
                   simd_level_name(level));
    }
  }
  return expected;
}

int print_digests(uint64_t first, uint64_t count) {
  for (uint64_t block = first; block < first + count; block += kBlock) {
    Sha256Stream digest;
    for (uint64_t seed = block; seed < std::min(block + kBlock, first + count); ++seed) {
      const Result<std::string> bytes = answer(seed);
      if (!bytes) {
        fmt::print(stderr, "{}\n", bytes.error().message);
        return 1;
      }
      digest.update(*bytes);
    }
    fmt::print("{} {}\n", block, digest.finish().text());
  }
  return 0;
}

}  // namespace
}  // namespace bcai::vm

int main(int count, char** arguments) {
  if (count != 3) {
    fmt::print(stderr, "vm_bits FIRST COUNT\n");
    return 2;
  }
  return bcai::vm::print_digests(std::strtoull(arguments[1], nullptr, 10),
                                 std::strtoull(arguments[2], nullptr, 10));
}
