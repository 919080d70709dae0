// SPDX-License-Identifier: Apache-2.0
// Times a BERT-like encoder with random weights: the peer of bench/vm_encoder.py.
//   vm_bench <layers> <width> <heads> <ffn> <tokens> <threads> <runs> [level]
//   [profile|explain|trace]
// Prints the median and the least milliseconds of a run.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "vm/generator/generator.h"
#include "vm/program/builder.h"
#include "vm/runtime/executable.h"

namespace bcai::vm {
namespace {

struct Sizes {
  int64_t layers, width, heads, ffn, tokens;
};

class Encoder {
 public:
  explicit Encoder(const Sizes& sizes) : sizes_(sizes) {
    file_ = builder_.file({"weights", {}, 0});
  }

  Result<Program> build() {
    const int64_t s = sizes_.tokens;
    const int64_t w = sizes_.width;
    const ValueId ids = builder_.argument("ids", {DType::kI64, {1, s}});
    const ValueId mask = builder_.argument("mask", {DType::kF32, {1, 1, 1, s}});
    ValueId x = builder_.add(Opcode::kEmbeddingLookup, {param({30522, w}), ids});
    x = builder_.add(Opcode::kAdd, {x, param({s, w})});
    x = normalised(builder_.add(Opcode::kAdd, {x, param({w})}));
    for (int64_t i = 0; i < sizes_.layers; ++i) {
      Attributes attention;
      attention.set(Attr::kHeads, sizes_.heads);
      attention.set(Attr::kScale, 0.125F);
      const ValueId q = linear(x, w, w);
      const ValueId k = linear(x, w, w);
      const ValueId v = linear(x, w, w);
      const ValueId mixed = builder_.add(Opcode::kTransformerAttention, {q, k, v, mask}, attention);
      x = normalised(builder_.add(Opcode::kAdd, {linear(mixed, w, w), x}));
      const ValueId inner = builder_.add(Opcode::kGelu, {linear(x, w, sizes_.ffn)});
      x = normalised(builder_.add(Opcode::kAdd, {linear(inner, sizes_.ffn, w), x}));
    }
    return builder_.finish({{"hidden", x}});
  }

 private:
  ValueId param(const Shape& shape) {
    return builder_.param(file_, fmt::format("p{}", count_++), {DType::kF32, shape});
  }
  // As PyTorch's Linear: the weight is [out, in], the bias is added by an instruction of its own.
  ValueId linear(ValueId x, int64_t in, int64_t out) {
    Attributes transposed;
    transposed.set(Attr::kTransposeB, int64_t{1});
    const ValueId y =
        builder_.add(Opcode::kTensorMatMul, {x, param({out, in})}, std::move(transposed));
    return builder_.add(Opcode::kAdd, {y, param({out})});
  }
  ValueId normalised(ValueId x) {
    return builder_.add(Opcode::kLayerNorm, {x, param({sizes_.width}), param({sizes_.width})});
  }

  Sizes sizes_;
  Builder builder_;
  uint32_t file_ = 0;
  int count_ = 0;
};

// Small, so that nothing overflows after twelve layers; filled fast.
Result<Tensor> weight(const WeightFile&, const Param& param) {
  Tensor tensor = Tensor::of_type(param.type);
  Random random(std::hash<std::string>()(param.name));
  uint64_t state = random.next();
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    tensor.data<float>()[i] =
        static_cast<float>(static_cast<int32_t>(state >> 40) - (1 << 23)) * 0x1p-27F;
  }
  return tensor;
}

Result<void> measure(int count, char** arguments) {
  const auto number = [&](int i) { return std::atoll(arguments[i]); };
  BCAI_TRY_ASSIGN(Program program,
                  Encoder({number(1), number(2), number(3), number(4), number(5)}).build());
  std::vector<ProgramFinding> findings;
  const auto verified = verify(std::move(program), &findings);
  if (!verified) return error(ErrorCode::kInvalidArgument, "{}", findings_text(findings));
  const auto bound = bind(*verified, {}, &findings);
  PrepareOptions options{.threads = static_cast<int>(number(6))};
  if (count > 8 && std::string(arguments[8]) != "best") {
    BCAI_TRY_ASSIGN(options.level, parse_simd_level(arguments[8]));
  }
  const std::string extra = count > 9 ? arguments[9] : "";
  const int64_t begin = monotonic_ns();
  BCAI_TRY_ASSIGN(const auto executable, prepare(*bound, weight, options));
  const int64_t ready = monotonic_ns();
  std::vector<Tensor> inputs = random_inputs(bound->program(), 1);
  for (int64_t i = 0; i < number(5); ++i) inputs[0].data<int64_t>()[i] = i * 7;
  std::fill_n(inputs[1].data<float>(), number(5), 0.0F);
  Profile profile;
  std::vector<double> ms;
  for (int64_t run = 0; run < number(7) + 2; ++run) {
    const int64_t start = monotonic_ns();
    BCAI_TRY(executable->run(inputs, {.profile = run > 1 && !extra.empty() ? &profile : nullptr}));
    if (run > 1) ms.push_back(static_cast<double>(monotonic_ns() - start) * 1e-6);
  }
  std::sort(ms.begin(), ms.end());
  fmt::print("{:.3f} {:.3f} prepare {:.0f} arena {} of {} scratch {} packed {}\n",
             ms[ms.size() / 2], ms[0], static_cast<double>(ready - begin) * 1e-6,
             executable->footprint().arena, executable->plan().live_bytes_max,
             executable->footprint().scratch, executable->footprint().packed);
  if (extra == "profile") fmt::print("{}", profile.table());
  if (extra == "trace") fmt::print("{}", profile.chrome_trace());
  if (extra == "explain") fmt::print("{}", executable->explain());
  return {};
}

}  // namespace
}  // namespace bcai::vm

int main(int count, char** arguments) {
  if (count < 8) {
    fmt::print("vm_bench layers width heads ffn tokens threads runs [level] [profile]\n");
    return 2;
  }
  const bcai::Result<void> done = bcai::vm::measure(count, arguments);
  if (!done) fmt::print("{}\n", done.error().message);
  return done ? 0 : 1;
}
