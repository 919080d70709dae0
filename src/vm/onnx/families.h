// SPDX-License-Identifier: Apache-2.0
// The functions that import operators, by family. operators.cc lists which operator uses which.
#pragma once

#include "vm/isa/choices.h"
#include "vm/onnx/folding.h"
#include "vm/onnx/site.h"

namespace bcai::vm::onnx {

// One instruction of one operand.
template <Opcode kOpcode>
void import_unary(Site& site) {
  if (site.require(0, "x")) site.out(0, site.add(kOpcode, {site.in(0)}));
}

// elementwise.cc
void import_add(Site& site);
void import_sub(Site& site);
void import_mul(Site& site);
void import_div(Site& site);
void import_mod(Site& site);
void import_pow(Site& site);
void import_min(Site& site);
void import_max(Site& site);
void import_sum(Site& site);
void import_mean(Site& site);
void import_neg(Site& site);
void import_abs(Site& site);
void import_sqrt(Site& site);
void import_floor(Site& site);
void import_ceil(Site& site);
void import_not(Site& site);
void import_bitwise_not(Site& site);
void import_and(Site& site);
void import_or(Site& site);
void import_xor(Site& site);
void import_equal(Site& site);
void import_less(Site& site);
void import_less_or_equal(Site& site);
void import_greater(Site& site);
void import_greater_or_equal(Site& site);
void import_where(Site& site);

// activations.cc
void import_clip(Site& site);
void import_hard_sigmoid(Site& site);
void import_leaky_relu(Site& site);
void import_p_relu(Site& site);
void import_elu(Site& site);
void import_selu(Site& site);
void import_celu(Site& site);
void import_softsign(Site& site);
void import_thresholded_relu(Site& site);
void import_mish(Site& site);
void import_tan(Site& site);
void import_gelu(Site& site);
void import_softmax(Site& site);
void import_log_softmax(Site& site);

// constants.cc
void import_constant(Site& site);
void import_constant_of_shape(Site& site);
void import_shape(Site& site);
void import_size(Site& site);
void import_range(Site& site);
void import_cast(Site& site);
void import_cast_like(Site& site);
void import_identity(Site& site);
void import_dropout(Site& site);
void import_if(Site& site);

// shapes.cc
void import_reshape(Site& site);
void import_squeeze(Site& site);
void import_unsqueeze(Site& site);
void import_flatten(Site& site);
void import_transpose(Site& site);
void import_expand(Site& site);
void import_tile(Site& site);
void import_depth_to_space(Site& site);
void import_space_to_depth(Site& site);

// pieces.cc
void import_concat(Site& site);
void import_split(Site& site);
void import_slice(Site& site);
void import_pad(Site& site);

// indexing.cc
void import_gather(Site& site);
void import_gather_elements(Site& site);
void import_one_hot(Site& site);
void import_trilu(Site& site);
void import_top_k(Site& site);
void import_cum_sum(Site& site);

// reductions.cc
void import_reduce_sum(Site& site);
void import_reduce_mean(Site& site);
void import_reduce_max(Site& site);
void import_reduce_min(Site& site);
void import_reduce_prod(Site& site);
void import_reduce_l1(Site& site);
void import_reduce_l2(Site& site);
void import_reduce_sum_square(Site& site);
void import_reduce_log_sum(Site& site);
void import_reduce_log_sum_exp(Site& site);
void import_arg_max(Site& site);
void import_arg_min(Site& site);

// products.cc
void import_matmul(Site& site);
void import_gemm(Site& site);
void import_einsum(Site& site);

// convolutions.cc
void import_conv(Site& site);
void import_conv_transpose(Site& site);
void import_max_pool(Site& site);
void import_average_pool(Site& site);
void import_global_average_pool(Site& site);
void import_global_max_pool(Site& site);

// resampling.cc
void import_resize(Site& site);
void import_upsample(Site& site);

// normalisations.cc
void import_batch_normalization(Site& site);
void import_layer_normalization(Site& site);
void import_instance_normalization(Site& site);
void import_group_normalization(Site& site);

// recurrent.cc
void import_lstm(Site& site);
void import_gru(Site& site);

// microsoft.cc
void import_fast_gelu(Site& site);
void import_bias_gelu(Site& site);
void import_quick_gelu(Site& site);
void import_skip_layer_normalization(Site& site);
void import_simplified_layer_normalization(Site& site);
void import_skip_simplified_layer_normalization(Site& site);
void import_attention(Site& site);
void import_multi_head_attention(Site& site);
void import_rotary_embedding(Site& site);

// Shared by families.

// An index tensor with negative indices counted from the end of an axis of `extent`.
ValueId wrapped_indices(Site& site, size_t input, const Dim& extent);
// The axes an operator names by attribute or by input, ascending and from 0; nothing if refused.
std::optional<std::vector<int64_t>> read_axes(Site& site, size_t input, int64_t input_since,
                                              size_t rank, bool* given);

}  // namespace bcai::vm::onnx
