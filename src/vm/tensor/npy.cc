// SPDX-License-Identifier: Apache-2.0
// The header is a Python dictionary literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2,
// 3), }
#include <charconv>
#include <cstring>
#include <optional>

#include "vm/tensor/tensor.h"

namespace bcai::vm {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeaderMax = 64 << 10;

struct Name {
  DType dtype;
  std::string_view descr;
};
constexpr Name kNames[] = {{DType::kF32, "<f4"}, {DType::kF16, "<f2"}, {DType::kI64, "<i8"},
                           {DType::kI32, "<i4"}, {DType::kI8, "|i1"},  {DType::kU8, "|u1"},
                           {DType::kBool, "|b1"}};

Error bad(std::string_view what) {
  return error(ErrorCode::kInvalidArgument, "not a readable .npy file: {}", what);
}

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  Result<Tensor> read() {
    std::optional<DType> dtype;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> dims;
    if (!take('{')) return bad("the header is no dictionary");
    while (!take('}')) {
      const std::optional<std::string_view> key = quoted();
      if (!key || !take(':')) return bad("a key in the header");
      if (*key == "descr" && !dtype) {
        const std::optional<std::string_view> descr = quoted();
        for (const Name& name : kNames) {
          if (descr == name.descr) dtype = name.dtype;
        }
        if (!dtype) return bad(fmt::format("dtype '{}'", descr.value_or("?")));
      } else if (*key == "fortran_order" && !fortran_order) {
        fortran_order = word("True")    ? std::optional(true)
                        : word("False") ? std::optional(false)
                                        : std::nullopt;
        if (!fortran_order) return bad("fortran_order");
      } else if (*key == "shape" && !dims) {
        dims = shape();
        if (!dims) return bad("shape");
      } else {
        return bad("an unknown or repeated key in the header");
      }
      if (!take(',') && peek() != '}') return bad("the header does not end");
    }
    skip_space();
    if (at_ != text_.size() || !dtype || !fortran_order || !dims) return bad("the header");
    if (*fortran_order && dims->size() > 1) return bad("Fortran order; expected C order");
    Dim elements(1);
    for (const int64_t dim : *dims) elements = elements * Dim(dim);
    if (dims->size() > kRankMax || !elements.valid() || elements.value() > kElementsMax) {
      return bad("shape is too large");
    }
    return Tensor::borrow(*dtype, *std::move(dims), nullptr, nullptr);
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view expected) {
    skip_space();
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  std::optional<std::string_view> quoted() {
    if (!take('\'')) return std::nullopt;
    const size_t end = text_.find('\'', at_);
    if (end == text_.npos) return std::nullopt;
    const std::string_view inside = text_.substr(at_, end - at_);
    at_ = end + 1;
    return inside;
  }
  std::optional<std::vector<int64_t>> shape() {
    std::vector<int64_t> dims;
    if (!take('(')) return std::nullopt;
    while (!take(')')) {
      skip_space();
      int64_t dim = 0;
      const char* const begin = text_.data() + at_;
      const auto [end, problem] = std::from_chars(begin, text_.data() + text_.size(), dim);
      if (problem != std::errc() || dim < 0 || dim > kDimMax) return std::nullopt;
      at_ += static_cast<size_t>(end - begin);
      dims.push_back(dim);
      if (dims.size() > kRankMax || (!take(',') && peek() != ')')) return std::nullopt;
    }
    return dims;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<NpyHeader> parse_npy_header(std::string_view start) {
  if (!start.starts_with(kMagic) || start.size() < 10)
    return bad("it does not start with \\x93NUMPY");
  const int major = start[6];
  if (major < 1 || major > 3) return bad(fmt::format("version {}", major));
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (start.size() < 8 + length_bytes) return bad("it is cut off");
  size_t length = 0;
  for (size_t i = length_bytes; i-- > 0;) {
    length = length << 8U | static_cast<unsigned char>(start[8 + i]);
  }
  const size_t begin = 8 + length_bytes;
  if (length > kHeaderMax || length > start.size() - begin) return bad("the header is cut off");
  BCAI_TRY_ASSIGN(const Tensor described, HeaderReader(start.substr(begin, length)).read());
  return NpyHeader{.dtype = described.dtype(),
                   .dims = described.dims(),
                   .header_bytes = static_cast<int64_t>(begin + length),
                   .element_bytes = described.byte_count()};
}

Result<Tensor> parse_npy(std::string_view file) {
  BCAI_TRY_ASSIGN(const NpyHeader header, parse_npy_header(file));
  const std::string_view body = file.substr(static_cast<size_t>(header.header_bytes));
  if (body.size() != static_cast<size_t>(header.element_bytes)) {
    return bad(fmt::format("{} bytes of elements, expected {}", body.size(), header.element_bytes));
  }
  Tensor tensor(header.dtype, header.dims);
  if (!body.empty()) std::memcpy(tensor.bytes().data(), body.data(), body.size());
  if (tensor.dtype() == DType::kBool) {
    for (const std::byte byte : tensor.bytes()) {
      if (byte > std::byte{1}) return bad("a bool is neither 0 nor 1");
    }
  }
  return tensor;
}

Result<std::string> format_npy(const Tensor& tensor) {
  std::string_view descr;
  for (const Name& name : kNames) {
    if (name.dtype == tensor.dtype()) descr = name.descr;
  }
  if (descr.empty()) {
    return error(ErrorCode::kInvalidArgument, ".npy has no name for {}",
                 dtype_name(tensor.dtype()));
  }
  std::string shape;
  for (const int64_t dim : tensor.dims()) shape += fmt::format("{}, ", dim);
  if (tensor.rank() > 1) shape.resize(shape.size() - 2);
  if (tensor.rank() == 1) shape.resize(shape.size() - 1);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  // Elements begin at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string file(kMagic);
  file += {'\x01', '\x00', static_cast<char>(header.size() & 0xffU),
           static_cast<char>(header.size() >> 8U)};
  file += header;
  file += tensor.byte_view();
  return file;
}

}  // namespace bcai::vm
