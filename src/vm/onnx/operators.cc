// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/operators.h"

#include <algorithm>

#include "vm/onnx/families.h"
#include "vm/onnx/import.h"

namespace bcai::vm::onnx {
namespace {

// Sorted by domain and name.
constexpr Operator kOperators[] = {
    {"", "Abs", 6, import_abs, ""},
    {"", "Add", 6, import_add, ""},
    {"", "And", 7, import_and, ""},
    {"", "ArgMax", 6, import_arg_max, ""},
    {"", "ArgMin", 6, import_arg_min, ""},
    {"", "AveragePool", 6, import_average_pool, "1 to 3 spatial axes"},
    {"", "BatchNormalization", 7, import_batch_normalization, "as in inference"},
    {"", "BitwiseAnd", 18, import_and, ""},
    {"", "BitwiseNot", 18, import_bitwise_not, ""},
    {"", "BitwiseOr", 18, import_or, ""},
    {"", "BitwiseXor", 18, import_xor, ""},
    {"", "Cast", 6, import_cast, "to the dtypes of programs"},
    {"", "CastLike", 15, import_cast_like, "to the dtypes of programs"},
    {"", "Ceil", 6, import_ceil, ""},
    {"", "Celu", 12, import_celu, ""},
    {"", "Clip", 6, import_clip, ""},
    {"", "Concat", 6, import_concat, ""},
    {"", "Constant", 6, import_constant, "numbers and bools"},
    {"", "ConstantOfShape", 9, import_constant_of_shape, "`shape` must be known on import"},
    {"", "Conv", 6, import_conv,
     "1 to 3 spatial axes; `auto_pad` where it does not depend on an open size"},
    {"", "ConvTranspose", 6, import_conv_transpose, "as Conv"},
    {"", "Cos", 7, import_unary<Opcode::kCos>, ""},
    {"", "CumSum", 11, import_cum_sum, "`axis` must be known on import"},
    {"", "DepthToSpace", 6, import_depth_to_space, ""},
    {"", "Div", 6, import_div, ""},
    {"", "Dropout", 7, import_dropout, "as in inference"},
    {"", "Einsum", 12, import_einsum, "one or two operands; no ellipsis, no diagonal"},
    {"", "Elu", 6, import_elu, ""},
    {"", "Equal", 7, import_equal, ""},
    {"", "Erf", 9, import_unary<Opcode::kErf>, ""},
    {"", "Exp", 6, import_unary<Opcode::kExp>, ""},
    {"", "Expand", 8, import_expand, "`shape` must be known on import"},
    {"", "Flatten", 6, import_flatten, ""},
    {"", "Floor", 6, import_floor, ""},
    {"", "GRU", 7, import_gru, "default activations; no `clip`; sequences of full length"},
    {"", "Gather", 6, import_gather, ""},
    {"", "GatherElements", 11, import_gather_elements, ""},
    {"", "Gelu", 20, import_gelu, ""},
    {"", "Gemm", 7, import_gemm, "f32"},
    {"", "GlobalAveragePool", 6, import_global_average_pool, ""},
    {"", "GlobalMaxPool", 6, import_global_max_pool, ""},
    {"", "Greater", 7, import_greater, ""},
    {"", "GreaterOrEqual", 12, import_greater_or_equal, ""},
    {"", "GroupNormalization", 18, import_group_normalization, ""},
    {"", "HardSigmoid", 6, import_hard_sigmoid, ""},
    {"", "HardSwish", 14, import_unary<Opcode::kHardSwish>, ""},
    {"", "Identity", 6, import_identity, ""},
    {"", "If", 6, import_if, "`cond` must be known on import"},
    {"", "InstanceNormalization", 6, import_instance_normalization, ""},
    {"", "IsNaN", 9, import_unary<Opcode::kIsNan>, ""},
    {"", "LSTM", 7, import_lstm,
     "default activations; no peepholes, `clip`, `input_forget`; sequences of full length"},
    {"", "LayerNormalization", 6, import_layer_normalization, ""},
    {"", "LeakyRelu", 6, import_leaky_relu, ""},
    {"", "Less", 7, import_less, ""},
    {"", "LessOrEqual", 12, import_less_or_equal, ""},
    {"", "Log", 6, import_unary<Opcode::kLog>, ""},
    {"", "LogSoftmax", 6, import_log_softmax, ""},
    {"", "MatMul", 6, import_matmul, "f32"},
    {"", "Max", 6, import_max, ""},
    {"", "MaxPool", 6, import_max_pool, "f32; no `Indices`; 1 to 3 spatial axes"},
    {"", "Mean", 6, import_mean, ""},
    {"", "Min", 6, import_min, ""},
    {"", "Mish", 18, import_mish, ""},
    {"", "Mod", 10, import_mod, "`fmod` only of integers"},
    {"", "Mul", 6, import_mul, ""},
    {"", "Neg", 6, import_neg, ""},
    {"", "Not", 6, import_not, ""},
    {"", "OneHot", 9, import_one_hot, "`depth` must be known on import"},
    {"", "Or", 7, import_or, ""},
    {"", "PRelu", 7, import_p_relu, ""},
    {"", "Pad", 6, import_pad, "`pads` and the value are numbers; no `wrap`"},
    {"", "Pow", 7, import_pow, "the base is f32"},
    {"", "Range", 11, import_range, "all three must be known on import"},
    {"", "Reciprocal", 6, import_unary<Opcode::kRecip>, ""},
    {"", "ReduceL1", 6, import_reduce_l1,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceL2", 6, import_reduce_l2,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceLogSum", 6, import_reduce_log_sum,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceLogSumExp", 6, import_reduce_log_sum_exp,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceMax", 6, import_reduce_max,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceMean", 6, import_reduce_mean,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceMin", 6, import_reduce_min,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceProd", 6, import_reduce_prod,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceSum", 6, import_reduce_sum,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "ReduceSumSquare", 6, import_reduce_sum_square,
     "`axes` must be known on import, what is reduced not empty"},
    {"", "Relu", 6, import_unary<Opcode::kRelu>, ""},
    {"", "Reshape", 6, import_reshape, "`shape` must be known on import"},
    {"", "Resize", 10, import_resize,
     "nearest and linear over 1 to 3 spatial axes; scales that give whole sizes; no "
     "`antialias`, `tf_crop_and_resize` or aspect policy"},
    {"", "Round", 11, import_unary<Opcode::kRound>, ""},
    {"", "Selu", 6, import_selu, ""},
    {"", "Shape", 6, import_shape, ""},
    {"", "Sigmoid", 6, import_unary<Opcode::kSigmoid>, ""},
    {"", "Sign", 9, import_unary<Opcode::kSign>, ""},
    {"", "SimplifiedLayerNormalization", 6, import_simplified_layer_normalization,
     "over the last axis"},
    {"", "Sin", 7, import_unary<Opcode::kSin>, ""},
    {"", "Size", 6, import_size, ""},
    {"", "Slice", 6, import_slice, "`starts`, `ends`, `axes` and `steps` known on import"},
    {"", "Softmax", 6, import_softmax, ""},
    {"", "Softplus", 6, import_unary<Opcode::kSoftplus>, ""},
    {"", "Softsign", 6, import_softsign, ""},
    {"", "SpaceToDepth", 6, import_space_to_depth, ""},
    {"", "Split", 6, import_split, "`split` must be known on import"},
    {"", "Sqrt", 6, import_sqrt, ""},
    {"", "Squeeze", 6, import_squeeze, "`axes` must be known on import"},
    {"", "Sub", 6, import_sub, ""},
    {"", "Sum", 6, import_sum, ""},
    {"", "Tan", 7, import_tan, ""},
    {"", "Tanh", 6, import_unary<Opcode::kTanh>, ""},
    {"", "ThresholdedRelu", 10, import_thresholded_relu, ""},
    {"", "Tile", 6, import_tile, "`repeats` must be known on import"},
    {"", "TopK", 6, import_top_k, "`k` must be known on import"},
    {"", "Transpose", 6, import_transpose, ""},
    {"", "Trilu", 14, import_trilu, "`k` must be known on import"},
    {"", "Unsqueeze", 6, import_unsqueeze, "`axes` must be known on import"},
    {"", "Upsample", 9, import_upsample, "as Resize"},
    {"", "Where", 9, import_where, ""},
    {"", "Xor", 7, import_xor, ""},
    {kMicrosoft, "Attention", 1, import_attention,
     "query, key and value of one width; a mask [B,T] or none; no past"},
    {kMicrosoft, "BiasGelu", 1, import_bias_gelu, ""},
    {kMicrosoft, "FastGelu", 1, import_fast_gelu, ""},
    {kMicrosoft, "Gelu", 1, import_unary<Opcode::kGelu>, ""},
    {kMicrosoft, "LayerNormalization", 1, import_layer_normalization, ""},
    {kMicrosoft, "MultiHeadAttention", 1, import_multi_head_attention,
     "[B,S,D] operands, key_padding_mask [B,T]; no past"},
    {kMicrosoft, "QuickGelu", 1, import_quick_gelu, ""},
    {kMicrosoft, "RotaryEmbedding", 1, import_rotary_embedding,
     "input [B,S,D], position_ids [B,S] not negative"},
    {kMicrosoft, "SkipLayerNormalization", 1, import_skip_layer_normalization,
     "without the outputs of training"},
    {kMicrosoft, "SkipSimplifiedLayerNormalization", 1, import_skip_simplified_layer_normalization,
     "without the outputs of training"},
};

}  // namespace

std::span<const Operator> operators() { return kOperators; }

const Operator* find_operator(std::string_view domain, std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kOperators), std::end(kOperators),
                   [&](const Operator& row) { return row.domain == domain && row.name == name; });
  return found == std::end(kOperators) ? nullptr : found;
}

std::string onnx_markdown() {
  std::string text = fmt::format(
      "# ONNX operators\n\n"
      "What `import_onnx` (`src/vm/onnx`) turns into instructions, from models of opset {} to {}.\n"
      "What is not in this table, or outside its restrictions, is refused by name.\n\n"
      "\"Known on import\" is a constant, or what the model computes from constants and shapes;\n"
      "shapes may have symbols. Element types are f32, i64, i32, i8, u8 and bool, and those that\n"
      "each instruction takes ([instructions](instructions.md)); f16 and bf16 are only moved and\n"
      "cast. Attributes that are not understood are refused.\n\n"
      "| Operator | Domain | Since opset | Restrictions |\n"
      "|---|---|---|---|\n",
      kOpsetMin, kOpsetMax);
  for (const Operator& row : kOperators) {
    text += fmt::format("| {} | {} | {} | {} |\n", row.name,
                        row.domain.empty() ? "ai.onnx" : row.domain, row.since, row.restrictions);
  }
  return text;
}

}  // namespace bcai::vm::onnx
