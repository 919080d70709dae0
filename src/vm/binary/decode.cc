// SPDX-License-Identifier: Apache-2.0
#include "vm/binary/reader.h"

namespace bcai::vm {

std::optional<Program> decode(std::string_view bytes, std::vector<BinaryFinding>* findings) {
  ProgramReader reader(bytes);
  std::optional<Program> program = reader.read();
  if (!program) findings->push_back(reader.finding());
  return program;
}

std::optional<Program> ProgramReader::read() {
  header();
  section(Section::kSymbols, &ProgramReader::symbols);
  section(Section::kTypes, &ProgramReader::types);
  section(Section::kFiles, &ProgramReader::files);
  section(Section::kParams, &ProgramReader::params);
  section(Section::kConstants, &ProgramReader::constants);
  section(Section::kFunctions, &ProgramReader::functions);
  section(Section::kCheckpoints, &ProgramReader::checkpoints);
  while (in_.ok() && in_.left() > 0) section(Section::kCustom, &ProgramReader::custom);
  if (!in_.ok()) return std::nullopt;
  return std::move(program_);
}

void ProgramReader::header() {
  if (bytes_ > kProgramBytesMax) {
    in_.fail(kProgramBytesMax, "V1", "{} bytes, expected at most {}", bytes_, kProgramBytesMax);
  }
  if (in_.raw(kBinaryMagic.size()) != kBinaryMagic) {
    in_.fail(0, "V2", "the first bytes are not {}", kBinaryMagic);
  }
  const size_t at = in_.offset();
  program_.major = in_.u16();
  program_.minor = in_.u16();
  if (program_.major != kFormatMajor || program_.minor > kFormatMinor) {
    in_.fail(at, "V4", "version {}.{}, expected {}.0 to {}.{}", program_.major, program_.minor,
             kFormatMajor, kFormatMajor, kFormatMinor);
  }
  const size_t profile_at = in_.offset();
  const uint8_t profile = in_.u8();
  if (profile != kProfileN1) in_.fail(profile_at, "V4", "profile {} is not known", profile);
}

void ProgramReader::section(Section expected, void (ProgramReader::*content)()) {
  const size_t at = in_.offset();
  const uint8_t id = in_.u8();
  if (id != static_cast<uint8_t>(expected)) {
    in_.fail(at, "V2", "section {}, expected {}", id, static_cast<uint8_t>(expected));
  }
  const uint64_t size = in_.number(in_.left(), "V1", "the size of a section");
  const size_t end = in_.enter(static_cast<size_t>(size));
  if (in_.ok()) (this->*content)();
  if (in_.left() > 0) in_.fail(in_.offset(), "V2", "{} bytes after a section's end", in_.left());
  in_.leave(end);
}

void ProgramReader::symbols() {
  const size_t count = in_.count(kSymbolsMax, 5, "the count of symbols");
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    Symbol symbol;
    symbol.name = in_.name();
    symbol.min = in_.integer();
    symbol.max = in_.integer();
    symbol.multiple_of = in_.integer();
    if (!is_symbol_name(symbol.name)) in_.fail(at, "V3", "a symbol's name is an identifier");
    for (const Symbol& other : program_.symbols) {
      if (other.name == symbol.name) in_.fail(at, "V3", "symbol {} is there twice", symbol.name);
    }
    program_.symbols.push_back(std::move(symbol));
  }
}

Dim ProgramReader::dim() {
  const size_t at = in_.offset();
  Dim dim = in_.dim();
  if (dim.symbols_used() > program_.symbols.size()) {
    in_.fail(at, "V3", "symbol {} of {}", dim.symbols_used() - 1, program_.symbols.size());
  }
  return dim;
}

void ProgramReader::types() {
  const size_t count = in_.count(kProgramEntriesMax, 2, "the count of types");
  std::unordered_set<std::string_view> seen(count);
  types_.reserve(count);
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    const uint8_t code = in_.u8();
    const auto dtype = static_cast<uint8_t>(code & ~kStateFlag);
    if (!is_dtype(dtype)) in_.fail(at, "V3", "dtype {} is not known", dtype);
    Type& type = types_.emplace_back();
    type.dtype = static_cast<DType>(dtype);
    type.is_state = (code & kStateFlag) != 0;
    const uint64_t rank = in_.number(kRankMax, "V7", "a rank");
    for (uint64_t axis = 0; axis < rank && in_.ok(); ++axis) type.shape.push_back(dim());
    if (!seen.insert(in_.since(at)).second) in_.fail(at, "V3", "type {} is there twice", i);
  }
  types_known_ = types_.size();
}

const Type& ProgramReader::type() {
  static const Type kNoType;
  const size_t at = in_.offset();
  const uint64_t id = in_.number();
  if (id > types_used_ || id >= types_known_) {
    in_.fail(at, "V3", "type {}, of {} that are listed by first use the next is {}", id,
             types_known_, types_used_);
  }
  if (!in_.ok()) return kNoType;
  if (id == types_used_) ++types_used_;
  return types_[id];
}

void ProgramReader::files() {
  const size_t count = in_.count(kProgramEntriesMax, 35, "the count of weight files");
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    WeightFile file;
    file.name = in_.name();
    const std::string_view digest = in_.raw(file.sha256.bytes.size());
    std::copy(digest.begin(), digest.end(), file.sha256.bytes.begin());
    file.bytes = in_.number();
    if (!names.insert(file.name).second) {
      in_.fail(at, "V3", "weight file '{}' is there twice", file.name);
    }
    program_.files.push_back(std::move(file));
  }
}

void ProgramReader::params() {
  const size_t count = in_.count(kProgramEntriesMax, 4, "the count of params");
  std::unordered_set<std::string_view> seen(count);
  program_.params.reserve(count);
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    Param param;
    param.file = static_cast<uint32_t>(in_.number(kProgramEntriesMax, "V27", "a weight file"));
    if (param.file >= program_.files.size()) {
      in_.fail(at, "V27", "weight file {} of {}", param.file, program_.files.size());
    }
    param.name = in_.name();
    param.type = type();
    if (!seen.insert(in_.since(at)).second) in_.fail(at, "V3", "param {} is there twice", i);
    program_.params.push_back(std::move(param));
  }
}

void ProgramReader::constants() {
  const size_t count = in_.count(kProgramEntriesMax, 1, "the count of constants");
  std::unordered_set<std::string_view> seen;
  size_t total = 0;
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    Constant constant{type(), ""};
    const Dim bytes = constant.type.bytes();
    if (!bytes.is_constant() || bytes.value() < 0 ||
        bytes.value() > static_cast<int64_t>(kConstantBytesMax)) {
      in_.fail(at, "V5", "the type of a constant has a known size of at most {} bytes",
               kConstantBytesMax);
    }
    if (!in_.ok()) return;
    constant.bytes = in_.raw(static_cast<size_t>(bytes.value()));
    total += constant.bytes.size();
    if (total > kConstantsBytesMax) {
      in_.fail(at, "V5", "constants of more than {} bytes", kConstantsBytesMax);
    }
    if (!elements_are_canonical(constant)) {
      in_.fail(at, "V28", "a bool that is neither 0 nor 1, or a NaN with other bits than its one");
    }
    if (!seen.insert(in_.since(at)).second) in_.fail(at, "V3", "constant {} is there twice", i);
    program_.constants.push_back(std::move(constant));
  }
}

void ProgramReader::checkpoints() {
  const size_t values = program_.functions.empty() ? 0 : program_.functions[0].values.size();
  const size_t count = in_.count(kProgramEntriesMax, 1, "the count of checkpoints");
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    const auto id = static_cast<ValueId>(in_.number(kProgramEntriesMax, "V3", "a checkpoint"));
    if (id >= values) in_.fail(at, "V3", "checkpoint {} of {} values", id, values);
    program_.checkpoints.push_back(id);
  }
}

// A name and whatever its reader makes of the rest.
void ProgramReader::custom() {
  in_.name();
  in_.raw(in_.left());
}

}  // namespace bcai::vm
