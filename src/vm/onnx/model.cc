// SPDX-License-Identifier: Apache-2.0
// Field numbers as in the public onnx.proto.
#include "vm/onnx/model.h"

#include "vm/onnx/wire.h"

namespace bcai::vm::onnx {
namespace {

// Counts the messages: an empty one takes two bytes of input, but a hundred of memory.
struct Budget {
  size_t records = 0;
  size_t depth = 0;

  Result<void> record() {
    if (++records <= kRecordsMax) return {};
    return error(ErrorCode::kInvalidArgument, "more than {} messages", kRecordsMax);
  }
};

// Calls `each(field)` for every field of a message.
template <typename Each>
Result<void> for_fields(std::string_view bytes, Budget& budget, Each each) {
  BCAI_TRY(budget.record());
  WireReader reader(bytes);
  Field field;
  while (true) {
    BCAI_TRY_ASSIGN(const bool more, reader.next(&field));
    if (!more) return {};
    BCAI_TRY(each(field));
  }
}

Result<void> read_text(const Field& field, std::string* text) {
  BCAI_TRY_ASSIGN(const std::string_view bytes, bytes_of(field));
  *text = bytes;
  return {};
}

Result<void> read_integer(const Field& field, int64_t* integer) {
  BCAI_TRY_ASSIGN(*integer, integer_of(field));
  return {};
}

Result<void> append_text(const Field& field, std::vector<std::string>* texts, Budget& budget) {
  BCAI_TRY(budget.record());
  texts->emplace_back();
  return read_text(field, &texts->back());
}

// Reads a submessage with `read(bytes, budget, out)`.
template <typename T, typename Read>
Result<void> read_message(const Field& field, Budget& budget, Read read, T* out) {
  BCAI_TRY_ASSIGN(const std::string_view bytes, bytes_of(field));
  return read(bytes, budget, out);
}

template <typename T, typename Read>
Result<void> append_message(const Field& field, Budget& budget, Read read, std::vector<T>* out) {
  out->emplace_back();
  return read_message(field, budget, read, &out->back());
}

Result<void> read_external(std::string_view bytes, Budget& budget, TensorMessage* tensor) {
  std::string key;
  std::string value;
  BCAI_TRY(for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number == 1) return read_text(field, &key);
    if (field.number == 2) return read_text(field, &value);
    return {};
  }));
  tensor->external_data[key] = value;
  return {};
}

Result<void> read_tensor(std::string_view bytes, Budget& budget, TensorMessage* tensor) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    switch (field.number) {
      case 1: return append_integers(field, &tensor->dims);
      case 2: return read_integer(field, &tensor->data_type);
      case 4: return append_floats(field, &tensor->floats);
      case 5:
      case 7: return append_integers(field, &tensor->integers);
      case 8: return read_text(field, &tensor->name);
      case 9: {
        BCAI_TRY_ASSIGN(tensor->raw, bytes_of(field));
        return {};
      }
      case 13: return read_message(field, budget, read_external, tensor);
      case 14: {
        BCAI_TRY_ASSIGN(const int64_t location, integer_of(field));
        tensor->external = location == 1;
        return {};
      }
      case 3:
      case 6:
      case 10:
      case 11: tensor->unread = true; return {};
      default: return {};
    }
  });
}

Result<void> read_graph(std::string_view bytes, Budget& budget, Graph* graph);

Result<void> read_attribute(std::string_view bytes, Budget& budget, Attribute* attribute) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    switch (field.number) {
      case 1: return read_text(field, &attribute->name);
      case 2: {
        BCAI_TRY_ASSIGN(attribute->real, float_of(field));
        return {};
      }
      case 3: {
        BCAI_TRY_ASSIGN(attribute->integer, integer_of(field));
        return {};
      }
      case 4: {
        BCAI_TRY_ASSIGN(attribute->text, bytes_of(field));
        return {};
      }
      case 5: {
        auto tensor = std::make_shared<TensorMessage>();
        BCAI_TRY(read_message(field, budget, read_tensor, tensor.get()));
        attribute->tensor = std::move(tensor);
        return {};
      }
      case 6: {
        auto graph = std::make_shared<Graph>();
        BCAI_TRY(read_message(field, budget, read_graph, graph.get()));
        attribute->graph = std::move(graph);
        return {};
      }
      case 7: return append_floats(field, &attribute->reals);
      case 8: return append_integers(field, &attribute->integers);
      case 9: return append_text(field, &attribute->texts, budget);
      case 20: return read_integer(field, &attribute->type);
      case 21: return read_text(field, &attribute->reference);
      default: return {};
    }
  });
}

Result<void> read_node(std::string_view bytes, Budget& budget, Node* node) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    switch (field.number) {
      case 1: return append_text(field, &node->inputs, budget);
      case 2: return append_text(field, &node->outputs, budget);
      case 3: return read_text(field, &node->name);
      case 4: return read_text(field, &node->op_type);
      case 5: return append_message(field, budget, read_attribute, &node->attributes);
      case 7: return read_text(field, &node->domain);
      default: return {};
    }
  });
}

Result<void> read_extent(std::string_view bytes, Budget& budget, Extent* extent) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number == 1) {
      BCAI_TRY_ASSIGN(extent->value, integer_of(field));
    }
    if (field.number == 2) return read_text(field, &extent->name);
    return {};
  });
}

Result<void> read_shape(std::string_view bytes, Budget& budget, std::vector<Extent>* shape) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number != 1) return {};
    return append_message(field, budget, read_extent, shape);
  });
}

Result<void> read_tensor_type(std::string_view bytes, Budget& budget, ValueInfo* info) {
  info->is_tensor = true;
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number == 1) return read_integer(field, &info->element_type);
    if (field.number != 2) return {};
    info->shape.emplace();
    return read_message(field, budget, read_shape, &*info->shape);
  });
}

Result<void> read_type(std::string_view bytes, Budget& budget, ValueInfo* info) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number != 1) return {};
    return read_message(field, budget, read_tensor_type, info);
  });
}

Result<void> read_value_info(std::string_view bytes, Budget& budget, ValueInfo* info) {
  return for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number == 1) return read_text(field, &info->name);
    if (field.number == 2) return read_message(field, budget, read_type, info);
    return {};
  });
}

Result<void> read_graph(std::string_view bytes, Budget& budget, Graph* graph) {
  if (++budget.depth > kGraphDepthMax) {
    return error(ErrorCode::kInvalidArgument, "graphs inside graphs more than {} deep",
                 kGraphDepthMax);
  }
  BCAI_TRY(for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    switch (field.number) {
      case 1: return append_message(field, budget, read_node, &graph->nodes);
      case 2: return read_text(field, &graph->name);
      case 5: return append_message(field, budget, read_tensor, &graph->initializers);
      case 11: return append_message(field, budget, read_value_info, &graph->inputs);
      case 12: return append_message(field, budget, read_value_info, &graph->outputs);
      case 15: graph->has_sparse_initializers = true; return {};
      default: return {};
    }
  }));
  --budget.depth;
  return {};
}

Result<void> read_opset(std::string_view bytes, Budget& budget, Model* model) {
  std::string domain;
  int64_t version = 0;
  BCAI_TRY(for_fields(bytes, budget, [&](const Field& field) -> Result<void> {
    if (field.number == 1) return read_text(field, &domain);
    if (field.number == 2) return read_integer(field, &version);
    return {};
  }));
  model->opsets[domain == "ai.onnx" ? "" : domain] = version;
  return {};
}

}  // namespace

Result<Model> parse_model(std::string_view bytes) {
  Model model;
  Budget budget;
  bool has_graph = false;
  const auto read = [&](const Field& field) -> Result<void> {
    switch (field.number) {
      case 1: return read_integer(field, &model.ir_version);
      case 2: return read_text(field, &model.producer);
      case 7:
        if (has_graph) return error(ErrorCode::kInvalidArgument, "two graphs");
        has_graph = true;
        return read_message(field, budget, read_graph, &model.graph);
      case 8: return read_message(field, budget, read_opset, &model);
      default: return {};
    }
  };
  if (const Result<void> done = for_fields(bytes, budget, read); !done) {
    return error(ErrorCode::kInvalidArgument, "not an ONNX model: {}", done.error().message);
  }
  if (!has_graph) return error(ErrorCode::kInvalidArgument, "not an ONNX model: it has no graph");
  return model;
}

Result<TensorMessage> parse_tensor(std::string_view bytes) {
  TensorMessage tensor;
  Budget budget;
  BCAI_TRY(read_tensor(bytes, budget, &tensor));
  return tensor;
}

}  // namespace bcai::vm::onnx
