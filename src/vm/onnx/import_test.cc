// SPDX-License-Identifier: Apache-2.0
// Models made by hand, most of them hostile.
#include "vm/onnx/import.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/file.h"
#include "vm/onnx/model.h"

namespace bcai::vm::onnx {
namespace {

// A message, field by field.
class Message {
 public:
  Message& number(uint32_t field, uint64_t value) {
    varint(uint64_t{field} << 3U);
    varint(value);
    return *this;
  }
  Message& text(uint32_t field, std::string_view bytes) {
    varint((uint64_t{field} << 3U) | 2U);
    varint(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  Message& message(uint32_t field, const Message& inner) { return text(field, inner.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>((value & 0x7fU) | 0x80U);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

Message tensor(std::string_view name, int64_t type, const std::vector<int64_t>& dims,
               std::string_view raw) {
  Message message;
  for (const int64_t dim : dims) message.number(1, static_cast<uint64_t>(dim));
  message.number(2, static_cast<uint64_t>(type)).text(8, name).text(9, raw);
  return message;
}

// f32 of named or constant dimensions.
Message value_info(std::string_view name, const std::vector<std::string>& dims) {
  Message shape;
  for (const std::string& dim : dims) {
    const bool is_number = !dim.empty() && is_digit(dim[0]);
    shape.message(1, is_number ? Message().number(1, std::stoull(dim)) : Message().text(2, dim));
  }
  const Message type = Message().number(1, 1).message(2, shape);
  return Message().text(1, name).message(2, Message().message(1, type));
}

Message node(std::string_view op_type, const std::vector<std::string>& inputs,
             const std::string& output, const std::vector<Message>& attributes = {}) {
  Message message;
  for (const std::string& input : inputs) message.text(1, input);
  message.text(2, output).text(3, "n_" + output).text(4, op_type);
  for (const Message& attribute : attributes) message.message(5, attribute);
  return message;
}

std::string model(const Message& graph, uint64_t opset = 17) {
  return Message().number(1, 8).message(7, graph).message(8, Message().number(2, opset)).bytes();
}

std::string imported(const std::string& bytes, const ImportOptions& options = {},
                     const std::filesystem::path& directory = {}) {
  const Result<Imported> result = import_onnx_bytes(bytes, directory, options);
  return result ? "imported" : result.error().message;
}

// x -> a node -> y.
Message simple_graph(const Message& only_node, const std::vector<std::string>& dims = {"B", "4"}) {
  return Message()
      .message(1, only_node)
      .message(11, value_info("x", dims))
      .message(12, value_info("y", dims));
}

const std::string kFour(16, '\0');

TEST(ImportTest, NamedDimensionsBecomeSymbols) {
  ImportOptions options;
  options.ranges["H"] = {32, 960, 32};
  const auto result = import_onnx_bytes(
      model(simple_graph(node("Relu", {"x"}, "y"), {"N", "3", "H"})), {}, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->program.symbols, (std::vector<Symbol>{{"N", 1, 64, 1}, {"H_by_32", 1, 30, 1}}));
  EXPECT_EQ(to_text(result->program.functions[0].result_types[0], result->program.symbols),
            "f32[N,3,32*H_by_32]");
  EXPECT_TRUE(result->program.files.empty());
}

TEST(ImportTest, AQuestionMarkIsNoName) {
  const auto result =
      import_onnx_bytes(model(simple_graph(node("Relu", {"x"}, "y"), {"N", "?", "?"})), {}, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(to_text(result->program.functions[0].result_types[0], result->program.symbols),
            "f32[N,x_1,x_2]");
}

TEST(ImportTest, ShapesAreComputedWithSymbols) {
  // Reshape(x, Concat(Shape(x)[0:1], [-1])) of [B,4,6].
  Message graph;
  graph.message(1, node("Shape", {"x"}, "s"))
      .message(1, node("Gather", {"s", "zero"}, "b"))
      .message(1, node("Concat", {"b", "rest"}, "target",
                       {Message().text(1, "axis").number(3, 0).number(20, 2)}))
      .message(1, node("Reshape", {"x", "target"}, "y"))
      .message(5, tensor("zero", 7, {1}, std::string(8, '\0')))
      .message(5, tensor("rest", 7, {1}, std::string(8, '\xff')))
      .message(11, value_info("x", {"B", "4", "6"}))
      .message(12, value_info("y", {"B", "24"}));
  const auto result = import_onnx_bytes(model(graph), {}, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(to_text(result->program.functions[0].result_types[0], result->program.symbols),
            "f32[B,24]");
  EXPECT_EQ(result->program.functions[0].body.instructions.size(), 2U);  // and Return
}

TEST(ImportTest, WeightsAreOnlyThoseInUse) {
  const std::string large(4 * 64, '\0');
  Message graph = simple_graph(node("Add", {"x", "w"}, "y"), {"B", "64"});
  graph.message(5, tensor("w", 1, {64}, large)).message(5, tensor("unused", 1, {64}, large));
  const auto result = import_onnx_bytes(model(graph), {}, {});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->weights.size(), 1U);
  EXPECT_EQ(result->weights[0].first, "w");
  EXPECT_EQ(result->program.params[0].name, "w");
}

TEST(ImportTest, EverythingRefusedIsNamedAtOnce) {
  Message graph = simple_graph(node("Frobnicate", {"x"}, "a"));
  graph.message(1, node("Relu", {"a"}, "b"))
      .message(1, node("Relu", {"x"}, "c", {Message().text(1, "twist").number(3, 1)}))
      .message(1, node("MatMul", {"x", "x"}, "d"))
      .message(1, node("Add", {"b", "later"}, "y"))
      .message(1, node("Neg", {"x"}, "later"));
  EXPECT_EQ(imported(model(graph)),
            "node 0 'n_a' (Frobnicate): this operator is not supported\n"
            "node 2 'n_c' (Relu): attribute twist is not supported\n"
            "node 3 'n_d' (MatMul): TensorMatMul: a has 4 columns, b has B rows (V12)\n"
            "node 4 'n_y' (Add): its input 'later' is not defined before it");
}

TEST(ImportTest, GraphsMustBeSound) {
  EXPECT_EQ(imported(""), "not an ONNX model: it has no graph");
  EXPECT_EQ(imported("hello world"), "not an ONNX model: byte 3: wire type 4");
  EXPECT_EQ(imported(model(simple_graph(node("Relu", {"y"}, "y")))),
            "node 0 'n_y' (Relu): its input 'y' is not defined before it");
  EXPECT_EQ(imported(model(simple_graph(node("Relu", {"x"}, "x")))),
            "node 0 'n_x' (Relu): the name 'x' is defined twice\noutput 'y': is not defined");
  EXPECT_EQ(imported(model(simple_graph(node("Add", {"x"}, "y")))),
            "node 0 'n_y' (Add): input 1 (b) is missing");
  EXPECT_EQ(imported(model(simple_graph(node("Relu", {"x"}, "y")), 26)),
            "the model is of opset 26, supported are 6 to 25");
}

TEST(ImportTest, TensorsHoldWhatTheirDimensionsSay) {
  const auto with = [](const Message& initializer) {
    return imported(model(simple_graph(node("Add", {"x", "w"}, "y")).message(5, initializer)));
  };
  EXPECT_EQ(with(tensor("w", 1, {4}, kFour)), "imported");
  EXPECT_EQ(with(tensor("w", 1, {5}, kFour)),
            "initializer 'w': has 16 bytes, its dimensions say 20");
  EXPECT_EQ(with(tensor("w", 1, {1 << 30, 1 << 30, 1 << 30}, kFour)),
            "initializer 'w': its dimensions' product is too large");
  EXPECT_EQ(with(tensor("w", 1, {-1}, kFour)), "initializer 'w': has a dimension of -1");
  EXPECT_EQ(with(tensor("w", 1, {1, 1, 1, 1, 1, 1, 1, 1, 4}, kFour)),
            "initializer 'w': has 9 dimensions, at most 8 are supported");
  EXPECT_EQ(with(tensor("w", 11, {2}, kFour)),
            "initializer 'w': element type double is not supported");
}

TEST(ImportTest, FoldingIsBounded) {
  const std::string minus_two = "\xfe" + std::string(7, '\xff');
  Message graph = simple_graph(node("Relu", {"x"}, "y"));
  graph.message(5, tensor("two", 7, {2}, minus_two + minus_two))
      .message(5, tensor("four", 7, {4}, std::string(32, '\0')))
      .message(1, node("ConstantOfShape", {"two"}, "a"))
      .message(1, node("Reshape", {"four", "two"}, "b"))
      .message(1, node("Expand", {"four", "two"}, "c"));
  EXPECT_EQ(imported(model(graph)),
            "node 1 'n_a' (ConstantOfShape): Fill: a dimension of f32[-2,-2] may leave 0 to "
            "2147483647 (V7)\n"
            "node 2 'n_b' (Reshape): the result has the dimensions [-2,-2]\n"
            "node 3 'n_c' (Expand): Broadcast: a dimension of i64[-2,4] may leave 0 to "
            "2147483647 (V7)");
  // Each of few bytes asks for 4096 integers.
  Message many = simple_graph(node("Relu", {"x"}, "y"));
  many.message(5, tensor("n", 7, {1}, std::string("\0\x10\0\0\0\0\0\0", 8)))
      .message(5, tensor("zero", 7, {1}, std::string(8, '\0')));
  for (int i = 0; i < 260; ++i) {
    many.message(1, node("Expand", {"zero", "n"}, fmt::format("v{}", i)));
  }
  EXPECT_TRUE(
      imported(model(many))
          .starts_with("node 257 'n_v256' (Expand): too many integers to compute on import\n"));
}

TEST(ImportTest, CountsBeyondTheBytesAreRefused) {
  std::string deep;
  for (int i = 0; i < 20; ++i) {
    Message attribute;
    attribute.text(1, "then_branch");
    deep =
        Message().message(1, Message().text(4, "If").message(5, attribute.text(6, deep))).bytes();
  }
  Message whole;
  whole.text(7, deep).message(8, Message().number(2, 17));
  EXPECT_EQ(imported(whole.bytes()), "not an ONNX model: graphs inside graphs more than 8 deep");
  std::string nodes;
  for (size_t i = 0; i <= kRecordsMax; ++i) nodes += std::string("\x0a\x00", 2);
  EXPECT_EQ(imported(Message().text(7, nodes).bytes()),
            "not an ONNX model: more than 1048576 messages");
}

Message external_tensor(std::string_view location, std::string_view offset = "0") {
  const auto entry = [](std::string_view key, std::string_view value) {
    return Message().text(1, key).text(2, value);
  };
  Message message;
  message.number(1, 4).number(2, 1).text(8, "w").number(14, 1);
  return message.message(13, entry("location", location)).message(13, entry("offset", offset));
}

TEST(ImportTest, ExternalDataStaysInTheDirectory) {
  const std::filesystem::path home =
      std::filesystem::path(::testing::TempDir()) / fmt::format("onnx_{}", ::getpid());
  const std::filesystem::path inside = home / "model";
  std::filesystem::create_directories(inside);
  ASSERT_TRUE(write_file(inside / "w.bin", kFour));
  ASSERT_TRUE(write_file(home / "secret.bin", kFour));
  std::filesystem::create_symlink(home / "secret.bin", inside / "link.bin");
  std::filesystem::create_symlink(home, inside / "up");
  const auto with = [&](const Message& initializer) {
    const Message graph = simple_graph(node("Add", {"x", "w"}, "y")).message(5, initializer);
    return imported(model(graph), {}, inside);
  };
  EXPECT_EQ(with(external_tensor("w.bin")), "imported");
  EXPECT_EQ(with(external_tensor("../secret.bin")),
            "initializer 'w': external data: '../secret.bin' is not a name inside the directory");
  EXPECT_EQ(with(external_tensor((home / "secret.bin").string())),
            fmt::format("initializer 'w': external data: '{}' is not a name inside the directory",
                        (home / "secret.bin").string()));
  EXPECT_EQ(with(external_tensor("link.bin")),
            "initializer 'w': external data: 'link.bin' leads out of the directory");
  EXPECT_EQ(with(external_tensor("up/secret.bin")),
            "initializer 'w': external data: 'up/secret.bin' leads out of the directory");
  EXPECT_EQ(with(external_tensor("w.bin", "4")),
            "initializer 'w': external data: 16 bytes at 4 of 'w.bin', which has 16; the "
            "dimensions say 16");
  EXPECT_EQ(with(external_tensor("w.bin", "-4")), "initializer 'w': external data: offset is '-4'");
  EXPECT_EQ(with(external_tensor("up")),
            "initializer 'w': external data: 'up' leads out of the directory");
  std::filesystem::remove_all(home);
}

TEST(ImportTest, OptionsThatFitNothingAreRefused) {
  const std::string relu = model(simple_graph(node("Relu", {"x"}, "y")));
  ImportOptions options;
  options.shapes["z"] = {1};
  options.ranges["B"] = {3, 2, 1};
  EXPECT_EQ(imported(relu, options),
            "input 'x': dimension 'B': 3 to 2 in steps of 1 is not a range\n"
            "there is no input 'z' to shape");
  options = {};
  options.shapes["x"] = {2, 5};
  EXPECT_EQ(imported(relu, options), "input 'x': axis 1 is given 5, the model says 4");
}

}  // namespace
}  // namespace bcai::vm::onnx
