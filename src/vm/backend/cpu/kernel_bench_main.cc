// SPDX-License-Identifier: Apache-2.0
// kernel_bench LEVEL: times kernels for bench/kernels.py, which asks on stdin, a line per sample,
// and takes its peers in turn. An answer is seconds of this thread per run; of `peak`, FMA GFLOP/s;
// of `read`, GB/s from memory.
//   matmul M N K | attention HEADS KV_HEADS SIZE QUERIES KEYS CAUSAL
//   convolution HEIGHT WIDTH CHANNELS OUTPUTS KERNEL STRIDE GROUPS | peak | read
//   softmax ROWS N | layer_norm ROWS N | gelu ROWS N | chain ROWS N, which is relu(x * x + x)
#include <sys/mman.h>
#include <time.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "vm/backend/cpu/attention.h"
#include "vm/backend/cpu/convolution.h"
#include "vm/backend/cpu/map.h"
#include "vm/backend/cpu/matmul.h"
#include "vm/backend/cpu/norm.h"
#include "vm/backend/cpu/softmax.h"

namespace bcai::vm {
namespace {

double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Filled memory in huge pages, kept until the end.
float* floats(int64_t n) {
  const size_t page = size_t{2} << 20;
  const size_t bytes = (static_cast<size_t>(n) * sizeof(float) + 2 * page) / page * page;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(at, bytes, MADV_HUGEPAGE);
  float* values = static_cast<float*>(at);
  for (int64_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(static_cast<uint64_t>(i) * 2654435761u % 1000) * 0.001f - 0.5f;
  }
  return values;
}

#if defined(__x86_64__)
constexpr int kChains = 14;

__attribute__((target("avx512f"))) double peak_gflops() {
  __m512 x[kChains];
#pragma GCC unroll 14
  for (int i = 0; i < kChains; ++i) x[i] = _mm512_set1_ps(1e-3f * static_cast<float>(i + 1));
  const int64_t runs = 100000;
  const double start = thread_seconds();
  for (int64_t n = 0; n < runs; ++n) {
#pragma GCC unroll 14
    for (int i = 0; i < kChains; ++i) {
      x[i] = _mm512_fmadd_ps(x[i], _mm512_set1_ps(0.999f), _mm512_set1_ps(1e-6f));
    }
    asm volatile("" : "+v"(x[0]));
  }
  const double seconds = thread_seconds() - start;
#pragma GCC unroll 14
  for (int i = 0; i < kChains; ++i) asm volatile("" ::"v"(x[i]));
  return static_cast<double>(runs) * kChains * 32 / seconds * 1e-9;
}

__attribute__((target("avx512f"))) double read_gbs() {
  static const int64_t n = int64_t{64} << 20;
  static const float* const data = floats(n);
  const double start = thread_seconds();
  __m512 sum[4] = {};
  for (int64_t i = 0; i < n; i += 64) {
    for (int j = 0; j < 4; ++j) {
      __builtin_prefetch(data + i + 1024 + 16 * j);
      sum[j] = _mm512_add_ps(sum[j], _mm512_load_ps(data + i + 16 * j));
    }
  }
  const double seconds = thread_seconds() - start;
  for (auto& x : sum) asm volatile("" ::"v"(x));
  return static_cast<double>(n) * sizeof(float) / seconds * 1e-9;
}
#else
double peak_gflops() { return 0; }
double read_gbs() { return 0; }
#endif

// A kernel with its operands. run(i) may take the i-th copy of what streams from memory.
class Case {
 public:
  virtual ~Case() = default;
  virtual void run(int64_t i) = 0;
  double flops = 0;
};

std::byte* scratch_of(int64_t bytes) {
  return reinterpret_cast<std::byte*>(floats(bytes / int64_t{sizeof(float)} + 16));
}

class MatMulCase : public Case {
 public:
  MatMulCase(SimdLevel level, std::istream& in) : kernels_(matmul_kernels(level)) {
    in >> args_.rows >> args_.columns >> args_.depth;
    flops =
        2.0 * static_cast<double>(args_.rows * args_.columns) * static_cast<double>(args_.depth);
    floats_ = panel_floats(args_.depth, args_.columns);
    copies_ = args_.rows <= 32 ? 1 + (int64_t{64} << 20) / floats_ : 1;
    const float* b = floats(args_.depth * args_.columns);
    panels_ = floats(floats_ * copies_);
    for (int64_t i = 0; i < copies_; ++i) {
      kernels_.pack(b, args_.columns, MatrixLayout::kRows, args_.depth, args_.columns,
                    panels_ + i * floats_);
    }
    args_.a = floats(args_.rows * args_.depth);
    args_.a_stride = args_.depth;
    args_.c = floats(args_.rows * args_.columns);
    args_.c_stride = args_.columns;
    scratch_ = scratch_of(matmul_scratch_bytes(args_));
  }
  void run(int64_t i) override {
    args_.b = panels_ + i % copies_ * floats_;
    kernels_.run(args_, 0, matmul_units(args_), scratch_);
  }

 private:
  const MatMulKernels& kernels_;
  MatMulArgs args_;
  int64_t floats_ = 0;
  int64_t copies_ = 1;
  float* panels_ = nullptr;
  std::byte* scratch_ = nullptr;
};

class AttentionCase : public Case {
 public:
  AttentionCase(SimdLevel level, std::istream& in) : kernels_(attention_kernels(level)) {
    in >> args_.heads >> args_.kv_heads >> args_.head_size >> args_.queries >> args_.keys >>
        args_.causal;
    args_.offset = args_.keys - args_.queries;
    const int64_t row = args_.heads * args_.head_size;
    const int64_t kv_row = args_.kv_heads * args_.head_size;
    floats_ = args_.keys * kv_row;
    copies_ = args_.queries <= 4 ? 1 + (int64_t{32} << 20) / floats_ : 1;
    k_ = floats(floats_ * copies_);
    v_ = floats(floats_ * copies_);
    args_.q = floats(args_.queries * row);
    args_.output = floats(args_.queries * row);
    args_.q_stride = args_.output_stride = row;
    args_.k_stride = args_.v_stride = kv_row;
    args_.scale = 0.125f;
    const auto seen = static_cast<double>(args_.keys) -
                      (args_.causal ? 0.5 * static_cast<double>(args_.queries - 1) : 0);
    flops = 4.0 * static_cast<double>(row * args_.queries) * seen;
    scratch_ = scratch_of(attention_scratch_bytes(args_));
  }
  void run(int64_t i) override {
    args_.k = k_ + i % copies_ * floats_;
    args_.v = v_ + i % copies_ * floats_;
    kernels_.run(args_, 0, attention_units(args_), scratch_);
  }

 private:
  const AttentionKernels& kernels_;
  AttentionArgs args_;
  int64_t floats_ = 0;
  int64_t copies_ = 1;
  float* k_ = nullptr;
  float* v_ = nullptr;
  std::byte* scratch_ = nullptr;
};

class ConvolutionCase : public Case {
 public:
  ConvolutionCase(SimdLevel level, std::istream& in) : kernels_(convolution_kernels(level)) {
    in >> args_.height >> args_.width >> args_.channels >> args_.output_channels >>
        args_.kernel_height >> args_.stride_height >> args_.groups;
    args_.kernel_width = args_.kernel_height;
    args_.stride_width = args_.stride_height;
    args_.pad_top = args_.pad_left = args_.kernel_height / 2;
    args_.output_height = (args_.height - 1) / args_.stride_height + 1;
    args_.output_width = (args_.width - 1) / args_.stride_width + 1;
    args_.input = floats(args_.height * args_.width * args_.channels);
    args_.weights = floats(convolution_packed_floats(args_));
    const int64_t outputs = args_.output_height * args_.output_width * args_.output_channels;
    args_.output = floats(outputs);
    args_.epilogue = {.bias = floats(args_.output_channels),
                      .activation = EpilogueActivation::kRelu};
    flops = 2.0 * static_cast<double>(outputs) *
            static_cast<double>(args_.channels / args_.groups * args_.kernel_height *
                                args_.kernel_width);
    scratch_ = scratch_of(convolution_scratch_bytes(args_));
  }
  void run(int64_t) override { kernels_.run(args_, 0, convolution_units(args_), scratch_); }

 private:
  const ConvolutionKernels& kernels_;
  ConvolutionArgs args_;
  std::byte* scratch_ = nullptr;
};

// Rows in one array and rows in another: what is bound by its elementary functions and by memory.
class RowsCase : public Case {
 public:
  RowsCase(SimdLevel level, std::string kind, std::istream& in) : level_(level), kind_(kind) {
    in >> rows_ >> n_;
    x_ = floats(rows_ * n_);
    y_ = floats(rows_ * n_);
    flops = 20.0 * static_cast<double>(rows_ * n_);
    input_ = {.data = x_};
    output_ = {.data = y_, .slot = kMapInputsMax};
    if (kind_ == "gelu") {
      ops_ = {{MapCode::kGeluErf, kMapInputsMax, 0}};
    } else {
      ops_ = {{MapCode::kMul, kMapInputsMax + 1, 0, 0},
              {MapCode::kAdd, kMapInputsMax + 2, kMapInputsMax + 1, 0},
              {MapCode::kRelu, kMapInputsMax, kMapInputsMax + 2}};
    }
    map_ = {{&input_, 1}, {&output_, 1}, ops_, rows_ * n_};
    scratch_ = scratch_of(map_scratch_bytes(map_));
  }
  void run(int64_t) override {
    if (kind_ == "softmax") {
      softmax_kernels(level_).run({.x = x_, .y = y_, .outer = rows_, .n = n_}, 0, rows_, scratch_);
    } else if (kind_ == "layer_norm") {
      const NormArgs args{
          .x = x_, .y = y_, .gamma = x_, .beta = x_, .rows = rows_, .n = n_, .epsilon = 1e-5F};
      norm_kernels(level_).layer_norm(args, 0, rows_, scratch_);
    } else {
      map_kernels(level_).run(map_, 0, map_units(map_), scratch_);
    }
  }

 private:
  const SimdLevel level_;
  const std::string kind_;
  int64_t rows_ = 0;
  int64_t n_ = 0;
  float* x_ = nullptr;
  float* y_ = nullptr;
  MapInput input_{};
  MapOutput output_{};
  std::vector<MapOp> ops_;
  MapArgs map_{};
  std::byte* scratch_ = nullptr;
};

std::unique_ptr<Case> make_case(SimdLevel level, const std::string& line) {
  std::istringstream in(line);
  std::string kind;
  in >> kind;
  if (kind == "matmul") return std::make_unique<MatMulCase>(level, in);
  if (kind == "attention") return std::make_unique<AttentionCase>(level, in);
  if (kind == "convolution") return std::make_unique<ConvolutionCase>(level, in);
  for (const char* rows : {"softmax", "layer_norm", "gelu", "chain"}) {
    if (kind == rows) return std::make_unique<RowsCase>(level, kind, in);
  }
  return nullptr;
}

int answer(SimdLevel level) {
  std::map<std::string, std::unique_ptr<Case>> cases;
  int64_t turn = 0;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "peak") {
      std::printf("%g\n", peak_gflops());
    } else if (line == "read") {
      std::printf("%g\n", read_gbs());
    } else {
      std::unique_ptr<Case>& found = cases[line];
      if (found == nullptr) found = make_case(level, line);
      if (found == nullptr) return 2;
      found->run(turn++);
      const int runs = 1 + static_cast<int>(3e8 / found->flops);
      const double start = thread_seconds();
      for (int i = 0; i < (runs > 200 ? 200 : runs); ++i) found->run(turn++);
      std::printf("%g\n", (thread_seconds() - start) / (runs > 200 ? 200 : runs));
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace bcai::vm

int main(int argc, char** argv) {
  const auto level = argc > 1 ? bcai::vm::parse_simd_level(argv[1])
                              : bcai::Result<bcai::vm::SimdLevel>(bcai::vm::detect_simd_level());
  if (!level.has_value()) {
    std::fprintf(stderr, "kernel_bench: %s\n", level.error().message.c_str());
    return 2;
  }
  return bcai::vm::answer(*level);
}
