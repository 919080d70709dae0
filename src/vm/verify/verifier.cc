// SPDX-License-Identifier: Apache-2.0
#include "vm/verify/verifier.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <unordered_set>

#include "vm/verify/cost.h"
#include "vm/verify/function.h"

namespace bcai::vm {
namespace {

class ProgramVerifier {
 public:
  ProgramVerifier(const Program& program, Findings& findings)
      : program_(program), findings_(findings) {}

  void run() {
    verify_version();
    verify_symbols();
    verify_files();
    if (!verify_dims()) return;
    verify_params();
    verify_constants();
    if (!verify_signatures()) return;
    verify_calls();
    for (const Function& function : program_.functions) {
      verify_function(program_, function, findings_);
    }
    verify_checkpoints();
  }

 private:
  template <typename... Args>
  void refuse(std::string_view rule, std::string where, fmt::format_string<Args...> format,
              Args&&... args) {
    findings_.add(rule, std::move(where), {}, format, std::forward<Args>(args)...);
  }

  void require_name(const std::string& name, std::string_view what) {
    const bool plain = std::all_of(name.begin(), name.end(),
                                   [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
    if (name.empty() || name.size() > kNameBytesMax || !plain) {
      refuse("V3", std::string(what), "a name of {} bytes, expected 1 to {} printable ones",
             name.size(), kNameBytesMax);
    }
  }
  template <typename Items>
  void require_names(const Items& items, std::string_view what) {
    std::set<std::string_view> seen;
    for (const auto& item : items) {
      const std::string& name = [&]() -> const std::string& {
        if constexpr (std::is_same_v<std::decay_t<decltype(item)>, std::string>) {
          return item;
        } else {
          return item.name;
        }
      }();
      require_name(name, what);
      if (!seen.insert(name).second) refuse("V3", std::string(what), "'{}' is there twice", name);
    }
  }

  void verify_version() {
    if (program_.major != kFormatMajor || program_.minor > kFormatMinor) {
      refuse("V4", "the program", "format {}.{}, this build reads {}.0 to {}.{}", program_.major,
             program_.minor, kFormatMajor, kFormatMajor, kFormatMinor);
    }
  }

  void verify_symbols() {
    require_names(program_.symbols, "a symbol");
    if (program_.symbols.size() > kSymbolsMax) {
      refuse("V5", "the program", "{} symbols, at most {}", program_.symbols.size(), kSymbolsMax);
    }
    for (const Symbol& symbol : program_.symbols) {
      if (symbol.min < 0 || symbol.min > symbol.max || symbol.max > kDimMax ||
          symbol.multiple_of < 1) {
        refuse("V7", "symbol " + symbol.name, "range [{},{}] of multiples of {}", symbol.min,
               symbol.max, symbol.multiple_of);
      }
    }
  }

  void verify_files() {
    require_names(program_.files, "a weight file");
    for (const WeightFile& file : program_.files) {
      if (file.bytes > static_cast<uint64_t>(kTensorBytesMax)) {
        refuse("V6", "weight file " + file.name, "{} bytes, at most {}", file.bytes,
               kTensorBytesMax);
      }
    }
  }

  bool in_range(const Dim& dim) const {
    return dim.valid() && dim.symbols_used() <= program_.symbols.size();
  }
  bool in_range(const Type& type) const {
    const auto dims = type.shape.dims();
    return is_dtype(static_cast<uint64_t>(type.dtype)) &&
           std::all_of(dims.begin(), dims.end(), [&](const Dim& dim) { return in_range(dim); });
  }
  bool in_range(const Attributes& attributes) const {
    for (const Attributes::Entry& entry : attributes.entries()) {
      const auto* dims = std::get_if<std::vector<Dim>>(&entry.value);
      if (dims != nullptr &&
          !std::all_of(dims->begin(), dims->end(), [&](const Dim& dim) { return in_range(dim); })) {
        return false;
      }
    }
    return true;
  }
  bool in_range(const Region& region, size_t depth) const {
    if (depth > kNestingMax + 1) return false;
    return std::all_of(region.instructions.begin(), region.instructions.end(),
                       [&](const Instruction& instruction) {
                         const auto& regions = instruction.regions;
                         return find_instruction(instruction.opcode) != nullptr &&
                                in_range(instruction.attributes) &&
                                std::all_of(regions.begin(), regions.end(), [&](const Region& r) {
                                  return in_range(r, depth + 1);
                                });
                       });
  }

  // Before any rule computes: dimensions are valid and name only symbols that are there.
  bool verify_dims() {
    const auto types_fit = [&](const std::vector<Type>& types) {
      return std::all_of(types.begin(), types.end(),
                         [&](const Type& type) { return in_range(type); });
    };
    bool fit = true;
    for (const Param& param : program_.params) fit &= in_range(param.type);
    for (const Constant& constant : program_.constants) fit &= in_range(constant.type);
    for (const Function& function : program_.functions) {
      fit &= types_fit(function.values) && types_fit(function.result_types) &&
             in_range(function.body, 1);
    }
    if (!fit) {
      refuse("V3", "the program",
             "a dimension is invalid or names a symbol, an opcode or a dtype is unknown, or "
             "regions nest deeper than {}",
             kNestingMax);
    }
    return fit;
  }

  // `where()` names it.
  template <typename Where>
  void require_tensor(const Type& type, const Where& where) {
    if (type.is_state) refuse("V23", where(), "is a state");
    if (!type.shape.is_constant()) {
      refuse("V27", where(), "{} has symbols", to_text(type, program_.symbols));
    }
    Judgement judgement(program_.symbols);
    if (!judgement.at_most(type.bytes(), Dim(kTensorBytesMax))) {
      refuse("V7", where(), "{} exceeds {} bytes", to_text(type, program_.symbols),
             kTensorBytesMax);
    }
    for (const Dim& dim : type.shape.dims()) {
      if (!judgement.at_most(Dim(0), dim) || !judgement.at_most(dim, Dim(kDimMax))) {
        refuse("V7", where(), "{} has a dimension outside 0 to {}", to_text(type, program_.symbols),
               kDimMax);
      }
    }
  }

  void verify_params() {
    std::vector<std::unordered_set<std::string_view>> seen(program_.files.size());
    for (const Param& param : program_.params) {
      const auto where = [&] { return "parameter " + param.name; };
      require_name(param.name, "a parameter");
      require_tensor(param.type, where);
      if (param.file >= program_.files.size()) {
        refuse("V27", where(), "weight file {} of {}", param.file, program_.files.size());
      } else if (!seen[param.file].insert(param.name).second) {
        refuse("V27", where(), "is listed twice");
      }
    }
  }

  void verify_constants() {
    size_t total = 0;
    for (size_t i = 0; i < program_.constants.size(); ++i) {
      const Constant& constant = program_.constants[i];
      const auto where = [&] { return fmt::format("constant {}", i); };
      require_tensor(constant.type, where);
      total += constant.bytes.size();
      if (constant.bytes.size() > kConstantBytesMax) {
        refuse("V28", where(), "{} bytes, at most {}", constant.bytes.size(), kConstantBytesMax);
      }
      if (!(constant.type.bytes() == Dim(static_cast<int64_t>(constant.bytes.size())))) {
        refuse("V28", where(), "{} bytes for {}", constant.bytes.size(),
               to_text(constant.type, program_.symbols));
      }
      if (!canonical(constant)) {
        refuse("V28", where(), "a NaN is not 0x7fc00000, or a bool is neither 0 nor 1");
      }
    }
    if (total > kConstantsBytesMax) {
      refuse("V28", "the program", "{} bytes of constants, at most {}", total, kConstantsBytesMax);
    }
  }

  static bool canonical(const Constant& constant) {
    if (constant.type.dtype == DType::kBool) {
      return std::all_of(constant.bytes.begin(), constant.bytes.end(),
                         [](char byte) { return byte == 0 || byte == 1; });
    }
    if (constant.type.dtype != DType::kF32) return true;
    for (size_t at = 0; at + 4 <= constant.bytes.size(); at += 4) {
      uint32_t bits = 0;
      std::memcpy(&bits, constant.bytes.data() + at, 4);
      if (std::isnan(std::bit_cast<float>(bits)) && bits != 0x7fc00000U) return false;
    }
    return true;
  }

  bool verify_signatures() {
    if (program_.functions.empty() || program_.functions.size() > kFunctionsMax) {
      refuse("V5", "the program", "{} functions, expected 1 to {}", program_.functions.size(),
             kFunctionsMax);
      return false;
    }
    require_names(program_.functions, "a function");
    if (program_.functions[0].name != "main") {
      refuse("V20", program_.functions[0].name, "the first function is called main");
    }
    for (const Function& function : program_.functions) {
      require_names(function.argument_names, function.name + ", an argument");
      require_names(function.result_names, function.name + ", a result");
      if (function.argument_names.size() != function.body.arguments.size() ||
          function.result_names.size() != function.result_types.size()) {
        refuse("V20", function.name, "{} argument names for {}, {} result names for {}",
               function.argument_names.size(), function.body.arguments.size(),
               function.result_names.size(), function.result_types.size());
      }
      for (const ValueId id : function.body.arguments) {
        if (id < function.values.size()) require_bounded(function.values[id], function.name);
      }
    }
    return true;
  }

  void require_bounded(const Type& type, const std::string& where) {
    Judgement judgement(program_.symbols);
    bool bounded = judgement.at_most(type.bytes(), Dim(kTensorBytesMax));
    for (const Dim& dim : type.shape.dims()) {
      bounded = bounded && judgement.at_most(Dim(0), dim) && judgement.at_most(dim, Dim(kDimMax));
    }
    if (!bounded) {
      refuse("V7", where, "argument {} leaves the limits", to_text(type, program_.symbols));
    }
  }

  // Rule V20: a function calls only later ones, so there is no cycle.
  void verify_calls() {
    for (size_t i = 0; i < program_.functions.size(); ++i) {
      verify_calls_in(program_.functions[i].body, i);
    }
  }
  void verify_calls_in(const Region& region, size_t caller) {
    for (const Instruction& instruction : region.instructions) {
      if (instruction.opcode == Opcode::kCall && instruction.reference <= caller) {
        findings_.add("V20", program_.functions[caller].name, instruction.place,
                      "calls function {}, but may call only later ones", instruction.reference);
      }
      for (const Region& inner : instruction.regions) verify_calls_in(inner, caller);
    }
  }

  void verify_checkpoints() {
    if (program_.checkpoints.empty()) return;
    const Region& body = program_.functions[0].body;
    std::set<ValueId> top(body.arguments.begin(), body.arguments.end());
    for (const Instruction& instruction : body.instructions) {
      top.insert(instruction.results.begin(), instruction.results.end());
    }
    ValueId previous = 0;
    for (size_t i = 0; i < program_.checkpoints.size(); ++i) {
      const ValueId id = program_.checkpoints[i];
      if (!top.contains(id) || (i > 0 && id <= previous)) {
        refuse("V17", "the checkpoints", "{} is no value of main's own, or not ascending", id);
      }
      previous = id;
    }
  }

  const Program& program_;
  Findings& findings_;
};

}  // namespace

std::string findings_text(const std::vector<ProgramFinding>& findings) {
  std::string text;
  for (const ProgramFinding& finding : findings) {
    if (!text.empty()) text += '\n';
    const std::string place =
        finding.place.line == 0 ? ""
                                : fmt::format(", {}:{}", finding.place.line, finding.place.column);
    text += fmt::format("{}: {}{}: {}", finding.rule, finding.where, place, finding.message);
  }
  return text;
}

std::optional<VerifiedProgram> verify(Program program, std::vector<ProgramFinding>* findings) {
  Findings collected(findings);
  ProgramVerifier(program, collected).run();
  if (collected.count() > 0) return std::nullopt;
  return VerifiedProgram(std::make_shared<const Program>(std::move(program)));
}

}  // namespace bcai::vm
