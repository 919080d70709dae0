// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/attribute_lists.h"

#include "vm/isa/choices.h"
#include "vm/isa/type.h"

namespace bcai::vm::attribute_lists {
namespace {

constexpr int64_t kExtentMax = (int64_t{1} << 16) - 1;  // rule V9
constexpr int64_t kPadMax = (int64_t{1} << 16) - 1;

AttributeSpec integer(Attr attribute, std::string_view meaning, int64_t min, int64_t max,
                      std::optional<int64_t> otherwise = std::nullopt) {
  AttributeSpec spec{attribute, AttributeKind::kInt, meaning};
  spec.min = min;
  spec.max = max;
  if (otherwise) spec.default_value = *otherwise;
  return spec;
}
AttributeSpec flag(Attr attribute, std::string_view meaning) {
  AttributeSpec spec{attribute, AttributeKind::kBool, meaning, int64_t{0}};
  spec.min = 0;
  spec.max = 1;
  return spec;
}
AttributeSpec real(Attr attribute, std::string_view meaning, std::optional<float> otherwise,
                   float min = -3.402823466e38F, float max = 3.402823466e38F) {
  AttributeSpec spec{attribute, AttributeKind::kFloat, meaning};
  spec.float_min = min;
  spec.float_max = max;
  if (otherwise) spec.default_value = *otherwise;
  return spec;
}
AttributeSpec choice(Attr attribute, std::string_view meaning,
                     std::span<const std::string_view> words, std::optional<int64_t> otherwise) {
  AttributeSpec spec{attribute, AttributeKind::kChoice, meaning};
  spec.words.assign(words.begin(), words.end());
  spec.min = 0;
  spec.max = static_cast<int64_t>(words.size()) - 1;
  if (otherwise) spec.default_value = *otherwise;
  return spec;
}
// An empty list stands for the default of the class (no pads, strides of 1, …).
AttributeSpec integers(Attr attribute, std::string_view meaning, int64_t min, int64_t max,
                       bool required = false) {
  AttributeSpec spec{attribute, AttributeKind::kInts, meaning};
  spec.min = min;
  spec.max = max;
  if (!required) spec.default_value = std::vector<int64_t>();
  return spec;
}
AttributeSpec dimensions(Attr attribute, std::string_view meaning) {
  return {attribute, AttributeKind::kDims, meaning};
}

AttributeSpec axis(std::optional<int64_t> otherwise = std::nullopt) {
  return integer(Attr::kAxis, "counted from 0", 0, kRankMax - 1, otherwise);
}
AttributeSpec activation() {
  return choice(Attr::kActivation, "applied last, rounded on its own", kActivationWords, 0);
}
AttributeSpec epsilon() {
  return real(Attr::kEpsilon, "added to the variance", 1e-5F, 1e-30F, 1.0F);
}
AttributeSpec out_of_range() {
  return choice(Attr::kOutOfRange, "what an index outside does: ends the run, or counts as nearest",
                kOutOfRangeWords, 0);
}

std::vector<AttributeSpec> windows(bool with_kernel) {
  std::vector<AttributeSpec> list;
  if (with_kernel) {
    list.push_back(integers(Attr::kKernel, "extent on each spatial axis", 1, kExtentMax, true));
  }
  list.push_back(integers(Attr::kStrides, "on each spatial axis; [] is all 1", 1, kExtentMax));
  list.push_back(integers(Attr::kPadsLow, "before each spatial axis; [] is none", 0, kPadMax));
  list.push_back(integers(Attr::kPadsHigh, "after each spatial axis; [] is none", 0, kPadMax));
  list.push_back(integers(Attr::kDilations, "on each spatial axis; [] is all 1", 1, kExtentMax));
  return list;
}

std::vector<AttributeSpec> with(std::vector<AttributeSpec> list,
                                std::initializer_list<AttributeSpec> more) {
  list.insert(list.end(), more);
  return list;
}

}  // namespace

AttributeList kNone = {};
AttributeList kFill = {real(Attr::kValue, "of f32", 0.0F),
                       integer(Attr::kIntValue, "of the other dtypes", INT64_MIN, INT64_MAX, 0)};
AttributeList kAxis = {axis(0)};
AttributeList kAxes = {integers(Attr::kAxes, "ascending, each once", 0, kRankMax - 1, true)};
AttributeList kPermutation = {
    integers(Attr::kPermutation, "every axis once", 0, kRankMax - 1, true)};
AttributeList kSlice = {dimensions(Attr::kStarts, "first index on each axis"),
                        integers(Attr::kSteps, "on each axis; [] is all 1", 1, kDimMax)};
AttributeList kSplit = {axis(0),
                        dimensions(Attr::kSizes, "of the pieces; they add up to the axis")};
AttributeList kPad = {
    integers(Attr::kLow, "elements before each axis", 0, kPadMax, true),
    integers(Attr::kHigh, "elements after each axis", 0, kPadMax, true),
    real(Attr::kValue, "of f32 padding", 0.0F),
    integer(Attr::kIntValue, "of other padding", INT64_MIN, INT64_MAX, 0),
    choice(Attr::kMode, "constant, the mirrored inside, or the edge repeated", kPadModeWords, 0)};
AttributeList kApproximate = {
    choice(Attr::kApproximate, "erf, or 0.5x(1 + tanh(√(2/π)(x + 0.044715x³)))", kGeluWords, 0)};
AttributeList kHardSigmoid = {real(Attr::kAlpha, "slope", 0.2F), real(Attr::kBeta, "offset", 0.5F)};
AttributeList kLeakyRelu = {real(Attr::kAlpha, "slope below 0", 0.01F)};
AttributeList kClamp = {real(Attr::kMin, "least result", std::nullopt),
                        real(Attr::kMax, "greatest result, at least min", std::nullopt)};
AttributeList kPredicate = {
    choice(Attr::kPredicate, "how a is compared with b", kPredicateWords, std::nullopt)};
AttributeList kReduce = {integers(Attr::kAxes, "ascending, each once", 0, kRankMax - 1, true),
                         flag(Attr::kKeepDims, "keep reduced axes with size 1")};
AttributeList kArgReduce = {axis(), flag(Attr::kKeepDims, "keep the axis with size 1"),
                            flag(Attr::kSelect, "the last of equals instead of the first")};
AttributeList kScan = {axis(), flag(Attr::kReverse, "from the end"),
                       flag(Attr::kExclusive, "without the element itself")};
AttributeList kTopK = {axis(), integer(Attr::kK, "how many", 1, kDimMax),
                       choice(Attr::kLargest, "which end", kLargestWords, 0)};
AttributeList kMatMul = {flag(Attr::kTransposeA, "a is [..,K,M]"),
                         flag(Attr::kTransposeB, "b is [..,N,K]"), activation()};
AttributeList kConvolution = with(
    windows(false), {integer(Attr::kGroups, "groups of channels", 1, kDimMax, 1), activation()});
AttributeList kConvolutionTranspose =
    with(windows(false),
         {integer(Attr::kGroups, "groups of channels", 1, kDimMax, 1),
          integers(Attr::kOutputPadding, "added to the result's end; [] is none", 0, kPadMax),
          activation()});
AttributeList kMaxPool =
    with(windows(true), {choice(Attr::kRounding, "of the result's extent", kRoundingWords, 0)});
AttributeList kAveragePool =
    with(windows(true), {flag(Attr::kCountIncludePad, "divide by the kernel's size at edges too"),
                         choice(Attr::kRounding, "of the result's extent", kRoundingWords, 0)});
AttributeList kResize = {
    choice(Attr::kMode, "nearest neighbour or linear", kResizeModeWords, 0),
    choice(Attr::kCoordinates, "where a result's sample lies in x", kCoordinateWords, 0),
    choice(Attr::kRounding, "of a nearest sample's position", kNearestWords, 0)};
AttributeList kSoftmax = {axis(), flag(Attr::kLog, "the logarithm of it")};
AttributeList kEpsilon = {epsilon()};
AttributeList kGroupNorm = {integer(Attr::kGroups, "groups of channels", 1, kDimMax), epsilon()};
AttributeList kAttention = {
    integer(Attr::kHeads, "query heads", 1, 4096),
    integer(Attr::kKvHeads, "key and value heads; 0 is as many as query heads", 0, 4096, 0),
    real(Attr::kScale, "of q·k", std::nullopt), flag(Attr::kCausal, "keys after the query are out"),
    integer(Attr::kWindow, "keys this far before the query are out; 0 is none", 0, kDimMax, 0)};
AttributeList kRotary = {integer(Attr::kHeads, "heads in the last axis", 1, 4096),
                         flag(Attr::kInterleaved, "pairs are neighbours, not halves apart")};
AttributeList kOutOfRange = {out_of_range()};
AttributeList kGather = {axis(), out_of_range()};
AttributeList kRecurrent = {choice(Attr::kDirection, "order of the steps", kDirectionWords, 0),
                            integer(Attr::kHiddenSize, "width of the state", 1, 1 << 20)};
AttributeList kGru = {choice(Attr::kDirection, "order of the steps", kDirectionWords, 0),
                      integer(Attr::kHiddenSize, "width of the state", 1, 1 << 20),
                      flag(Attr::kLinearBeforeReset, "reset after the recurrent product")};
AttributeList kRepeat = {dimensions(Attr::kTrip, "how often, one dimension"),
                         flag(Attr::kUntil, "the region's first result, bool[], ends it")};

}  // namespace bcai::vm::attribute_lists
