// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/machine_samples.h"

#include <fmt/format.h>

#include <iterator>
#include <vector>

#include "vm/isa/instruction.h"

namespace bcai::vm {
namespace {

constexpr const char* kRow = "f32[16384]";
constexpr const char* kRowArgument = "%x: f32[16384]";
constexpr const char* kTwoRows = "%x: f32[16384], %y: f32[16384]";
constexpr const char* kImage = "%x: f32[1,128,28,28]";

const MachineSample kSamples[] = {
    {"%x: f32[1]", "", "Abs %x", "f32[1]", SamplePurpose::kLaunch},
    {"%x: f32[1,2048]", "f32[2048,8192]", "TensorMatMul %x, %w0", "f32[1,8192]",
     SamplePurpose::kMemory},

    {"%x: f32[128,768]", "f32[768,768]", "TensorMatMul %x, %w0", "f32[128,768]"},
    {"%x: f32[1,768]", "f32[768,768]", "TensorMatMul %x, %w0", "f32[1,768]"},
    {"%x: f32[1,64,56,56]", "f32[64,64,3,3]",
     "ConvolutionForward %x, %w0 {pads_low=[1,1], pads_high=[1,1]}", "f32[1,64,56,56]"},
    {"%x: f32[1,256,28,28]", "f32[256,256,1,1]", "ConvolutionForward %x, %w0", "f32[1,256,28,28]"},
    {"%x: f32[1,3,224,224]", "f32[64,3,7,7]",
     "ConvolutionForward %x, %w0 {strides=[2,2], pads_low=[3,3], pads_high=[3,3]}",
     "f32[1,64,112,112]"},
    {kImage, "f32[128,1,3,3]",
     "ConvolutionForward %x, %w0 {pads_low=[1,1], pads_high=[1,1], groups=128}",
     "f32[1,128,28,28]"},
    {"%x: f32[1,64,24,24]", "f32[64,32,2,2]", "ConvolutionTranspose %x, %w0 {strides=[2,2]}",
     "f32[1,32,48,48]"},
    {"%q: f32[1,128,768], %k: f32[1,128,768], %v: f32[1,128,768]", "",
     "TransformerAttention %q, %k, %v {heads=12, scale=0x1p-3}", "f32[1,128,768]"},
    {"%q: f32[1,1,768], %k: f32[1,1024,768], %v: f32[1,1024,768]", "",
     "TransformerAttention %q, %k, %v {heads=12, scale=0x1p-3}", "f32[1,1,768]"},
    {"%x: f32[1,128,768], %c: f32[128,32], %s: f32[128,32]", "",
     "RotaryEmbed %x, %c, %s {heads=12}", "f32[1,128,768]"},
    {"%x: f32[512,128]", "", "Softmax %x {axis=1}", "f32[512,128]"},
    {"%x: f32[128,768]", "f32[768]\nf32[768]", "LayerNorm %x, %w0, %w1", "f32[128,768]"},
    {"%x: f32[128,768]", "f32[768]", "RMSNorm %x, %w0", "f32[128,768]"},
    {kImage, "f32[128]\nf32[128]\nf32[128]\nf32[128]", "BatchNormInfer %x, %w0, %w1, %w2, %w3",
     "f32[1,128,28,28]"},
    {kImage, "f32[128]\nf32[128]", "GroupNorm %x, %w0, %w1 {groups=8}", "f32[1,128,28,28]"},
    {kImage, "", "MaxPool %x {kernel=[2,2], strides=[2,2]}", "f32[1,128,14,14]"},
    {kImage, "", "AveragePool %x {kernel=[2,2], strides=[2,2]}", "f32[1,128,14,14]"},
    {kImage, "", "Resize %x", "f32[1,128,56,56]"},
    {"%x: f32[1,1,256]", "f32[1,512,256]\nf32[1,512,128]\nf32[1,1024]",
     "LSTM %x, %w0, %w1, %w2 {hidden_size=128}", "f32[1,1,1,128], f32[1,1,128], f32[1,1,128]"},
    {"%x: f32[1,1,256]", "f32[1,384,256]\nf32[1,384,128]\nf32[1,768]",
     "GRU %x, %w0, %w1, %w2 {hidden_size=128}", "f32[1,1,1,128], f32[1,1,128]"},

    // What every map costs, then what each operation adds.
    {kRowArgument, "", "Abs %x", kRow},
    {kRowArgument, "", "Clamp %x {min=0x0p+0, max=0x1p+0}", kRow},
    {kTwoRows, "", "Compare %x, %y {predicate=lt}", "bool[16384]"},
    {"%c: bool[16384], %x: f32[16384], %y: f32[16384]", "", "Select %c, %x, %y", kRow},
    {"%x: i64[16384]", "", "Cast %x", kRow},

    {"%x: f32[512,128]", "", "ReduceSum %x {axes=[1]}", "f32[512]"},
    {"%x: f32[512,128]", "", "ReduceMean %x {axes=[1]}", "f32[512]"},
    {"%x: f32[512,128]", "", "ReduceMax %x {axes=[1]}", "f32[512]"},
    {"%x: f32[512,128]", "", "ReduceMin %x {axes=[1]}", "f32[512]"},
    {"%x: f32[512,128]", "", "ArgMax %x {axis=1}", "i64[512]"},
    {"%x: f32[128,512]", "", "Transpose %x {permutation=[1,0]}", "f32[512,128]"},
    {"%x: f32[512]", "", "Broadcast %x", "f32[128,512]"},
    {"%x: f32[128,512]", "", "Slice %x {starts=[0,128]}", "f32[128,256]"},
    {"%x: f32[128,512], %y: f32[128,512]", "", "Concat %x, %y {axis=1}", "f32[128,1024]"},
    {"%x: f32[128,512]", "", "Split %x {axis=1, sizes=[256,256]}", "f32[128,256], f32[128,256]"},
    {"%x: f32[1,64,56,56]", "", "Pad %x {low=[0,0,1,1], high=[0,0,1,1]}", "f32[1,64,58,58]"},
    {"%i: i64[128]", "f32[4096,768]", "EmbeddingLookup %w0, %i", "f32[128,768]"},
    {"%x: f32[512,128], %i: i64[256]", "", "Gather %x, %i {axis=0}", "f32[256,128]"},
};

std::vector<MachineSample> with_elementwise() {
  std::vector<MachineSample> samples(std::begin(kSamples), std::end(kSamples));
  for (const InstructionInfo& info : instructions()) {
    const std::string_view kind = info.instruction_class->name;
    const bool unary = kind == "ElementwiseUnary";
    if ((!unary && kind != "ElementwiseBinary") || !info.dtypes.contains(DType::kF32) ||
        info.opcode == Opcode::kAbs || info.opcode == Opcode::kClamp) {
      continue;
    }
    samples.push_back({unary ? kRowArgument : kTwoRows, "",
                       fmt::format("{} {}", info.name, unary ? "%x" : "%x, %y"), kRow});
  }
  return samples;
}

}  // namespace

std::span<const MachineSample> machine_samples() {
  static const std::vector<MachineSample> samples = with_elementwise();
  return samples;
}

std::string sample_text(const MachineSample& sample) {
  std::string text = "bcvm 1.0 profile n1\n";
  std::string body;
  std::string_view rest = sample.weights;
  for (int i = 0; !rest.empty(); ++i) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    body += fmt::format("  %w{} = Param w \"w{}\" : {}\n", i, i, rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!body.empty()) text += fmt::format("weights w sha256:{:0>64} size 1\n", 0);
  // Results named after the types, which commas outside brackets part.
  std::string ports;
  std::string names;
  int depth = 0;
  size_t begin = 0;
  const std::string_view types = sample.result;
  for (size_t i = 0; i <= types.size(); ++i) {
    if (i < types.size() && types[i] == '[') ++depth;
    if (i < types.size() && types[i] == ']') --depth;
    if (i < types.size() && (types[i] != ',' || depth > 0)) continue;
    const std::string_view separator = ports.empty() ? "" : ", ";
    const std::string name = fmt::format("%r{}", ports.empty() ? 0 : i);
    ports += fmt::format("{}{}: {}", separator, name, types.substr(begin, i - begin));
    names += fmt::format("{}{}", separator, name);
    begin = i + 1;
  }
  return fmt::format("{}\nfunc @main({}) -> ({}) {{\n{}  {} = {} : {}\n  return {}\n}}\n", text,
                     sample.arguments, ports, body, names, sample.instruction, sample.result,
                     names);
}

}  // namespace bcai::vm
