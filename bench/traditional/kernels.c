// SPDX-License-Identifier: Apache-2.0
// Matmul, convolution and attention as one writes them for a virtual machine that knows only
// scalars; and a matmul in blocks of registers, for its 128-bit vectors. Compiled to WebAssembly.
#include <stddef.h>

#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

extern unsigned char __heap_base;

float* memory_at(size_t floats) { return (float*)(((size_t)&__heap_base + 63) / 64 * 64) + floats; }

void matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
}

// x [channels, size, size], w [channels, channels, 3, 3], padded by one.
void convolution(const float* x, const float* w, float* y, int channels, int size) {
  for (int o = 0; o < channels; ++o) {
    for (int i = 0; i < size; ++i) {
      for (int j = 0; j < size; ++j) {
        float sum = 0;
        for (int c = 0; c < channels; ++c) {
          for (int p = 0; p < 3; ++p) {
            for (int q = 0; q < 3; ++q) {
              const int row = i + p - 1, column = j + q - 1;
              if (row < 0 || row >= size || column < 0 || column >= size) continue;
              sum += x[(c * size + row) * size + column] * w[((o * channels + c) * 3 + p) * 3 + q];
            }
          }
        }
        y[(o * size + i) * size + j] = sum;
      }
    }
  }
}

// e^x for x <= 0: 2^n by its bits times a polynomial.
static float exponential(float x) {
  const float t = x * 1.44269504f;
  const int n = (int)(t - 0.5f);
  const float f = (t - (float)n) * 0.69314718f;
  const float p = 1 + f * (1 + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * 0.0083333f))));
  union { int bits; float value; } scale = {(n < -126 ? 0 : n + 127) << 23};
  return p * scale.value;
}

// q, k, v and y [rows, heads * 64]; `scores` has room for `rows`.
void attention(const float* q, const float* k, const float* v, float* y, float* scores, int rows,
               int heads) {
  const int width = heads * 64;
  for (int h = 0; h < heads; ++h) {
    for (int i = 0; i < rows; ++i) {
      float most = -1e30f, total = 0;
      for (int j = 0; j < rows; ++j) {
        float sum = 0;
        for (int d = 0; d < 64; ++d) sum += q[i * width + h * 64 + d] * k[j * width + h * 64 + d];
        scores[j] = sum * 0.125f;
        if (scores[j] > most) most = scores[j];
      }
      for (int j = 0; j < rows; ++j) total += scores[j] = exponential(scores[j] - most);
      for (int d = 0; d < 64; ++d) {
        float sum = 0;
        for (int j = 0; j < rows; ++j) sum += scores[j] * v[j * width + h * 64 + d];
        y[i * width + h * 64 + d] = sum / total;
      }
    }
  }
}

#ifdef __wasm_simd128__
// Four rows by eight columns of c at a time; n and m divide by them.
void matmul_blocked(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int j = 0; j < n; j += 8) {
    for (int i = 0; i < m; i += 4) {
      v128_t sums[4][2];
      for (int r = 0; r < 4; ++r) sums[r][0] = sums[r][1] = wasm_f32x4_const_splat(0);
      for (int p = 0; p < k; ++p) {
        const v128_t left = wasm_v128_load(b + p * n + j);
        const v128_t right = wasm_v128_load(b + p * n + j + 4);
        for (int r = 0; r < 4; ++r) {
          const v128_t x = wasm_f32x4_splat(a[(i + r) * k + p]);
          sums[r][0] = wasm_f32x4_add(sums[r][0], wasm_f32x4_mul(x, left));
          sums[r][1] = wasm_f32x4_add(sums[r][1], wasm_f32x4_mul(x, right));
        }
      }
      for (int r = 0; r < 4; ++r) {
        wasm_v128_store(c + (i + r) * n + j, sums[r][0]);
        wasm_v128_store(c + (i + r) * n + j + 4, sums[r][1]);
      }
    }
  }
}
#endif
