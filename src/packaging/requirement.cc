// SPDX-License-Identifier: Apache-2.0
#include "packaging/requirement.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace bcai::packaging {
namespace {

constexpr size_t kRequirementBytesMax = 256;
constexpr size_t kClausesMax = 16;

// Longer operators stand before those they begin with.
constexpr std::pair<std::string_view, VersionOperator> kOperators[] = {
    {"~=", VersionOperator::kCompatible},   {"==", VersionOperator::kEqual},
    {"!=", VersionOperator::kNotEqual},     {"<=", VersionOperator::kLessEqual},
    {">=", VersionOperator::kGreaterEqual}, {"<", VersionOperator::kLess},
    {">", VersionOperator::kGreater},
};

bool is_separator(char c) { return c == '-' || c == '_' || c == '.'; }

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The longest name at the front; it begins and ends with a letter or digit.
std::string_view name_at_front(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && (is_alphanumeric(text[end]) || is_separator(text[end]))) ++end;
  while (end > 0 && is_separator(text[end - 1])) --end;
  return end > 0 && is_alphanumeric(text[0]) ? text.substr(0, end) : std::string_view();
}

Result<VersionClause> parse_clause(std::string_view text) {
  const auto* const found =
      std::find_if(std::begin(kOperators), std::end(kOperators),
                   [&](const auto& candidate) { return text.starts_with(candidate.first); });
  if (found == std::end(kOperators)) {
    return error(ErrorCode::kInvalidArgument,
                 "expected one of ==, !=, >=, <=, >, <, ~= and a version, found '{}'",
                 text.substr(0, 64));
  }
  VersionClause clause{.op = found->second, .version = {}, .prefix = false};
  std::string_view version = trim(text.substr(found->first.size()));
  if (version.ends_with(".*")) {
    clause.prefix = true;
    version.remove_suffix(2);
    if (clause.op != VersionOperator::kEqual && clause.op != VersionOperator::kNotEqual) {
      return error(ErrorCode::kInvalidArgument, "'.*' goes with == and != only, found '{}'",
                   text.substr(0, 64));
    }
  }
  BCAI_TRY_ASSIGN(clause.version, Version::parse(version));
  if (clause.op == VersionOperator::kCompatible && clause.version.release.size() < 2) {
    return error(ErrorCode::kInvalidArgument, "~= needs a version of two parts, found '{}'",
                 text.substr(0, 64));
  }
  return clause;
}

Result<std::vector<VersionClause>> parse_clauses(std::string_view text) {
  std::vector<VersionClause> clauses;
  if (text.starts_with('(') && text.ends_with(')')) text = trim(text.substr(1, text.size() - 2));
  if (text.empty()) return clauses;
  size_t start = 0;
  while (start <= text.size()) {
    const size_t end = std::min(text.find(',', start), text.size());
    BCAI_TRY_ASSIGN(VersionClause clause, parse_clause(trim(text.substr(start, end - start))));
    clauses.push_back(std::move(clause));
    if (clauses.size() > kClausesMax) {
      return error(ErrorCode::kInvalidArgument, "more than {} version clauses", kClausesMax);
    }
    start = end + 1;
  }
  return clauses;
}

// "[a, b]" at the front, or nothing; returns what follows.
Result<std::string_view> read_extras(std::string_view text, std::vector<std::string>* names) {
  if (!text.starts_with('[')) return text;
  const size_t end = text.find(']');
  if (end == std::string_view::npos) {
    return error(ErrorCode::kInvalidArgument, "expected ']' after the extras");
  }
  const std::string_view extras = text.substr(1, end - 1);
  for (size_t start = 0; start <= extras.size() && !trim(extras).empty();) {
    const size_t comma = std::min(extras.find(',', start), extras.size());
    const std::string_view name = trim(extras.substr(start, comma - start));
    if (name.empty() || name_at_front(name) != name) {
      return error(ErrorCode::kInvalidArgument, "expected names of extras, found '{}'",
                   extras.substr(0, 64));
    }
    names->push_back(normalized_package_name(name));
    start = comma + 1;
  }
  return trim(text.substr(end + 1));
}

// The commonest ways to name something that is no package of an index, each with its own words.
Result<void> refuse_addresses(std::string_view text) {
  const auto refuse = [&](std::string_view what) {
    return error(ErrorCode::kInvalidArgument,
                 "'{}' is {}; a package is asked for by name and version", text.substr(0, 64),
                 what);
  };
  if (text.starts_with('-')) return refuse("an option of an installer");
  if (text.starts_with("git+") || text.find("@ git+") != std::string_view::npos) {
    return refuse("the address of a repository");
  }
  if (text.find("://") != std::string_view::npos) return refuse("an address");
  const std::string_view before_marker = text.substr(0, text.find(';'));
  if (before_marker.find('/') != std::string_view::npos || text.starts_with('.') ||
      text.starts_with('~') || before_marker.ends_with(".whl") ||
      before_marker.ends_with(".tar.gz")) {
    return refuse("the path of a file");
  }
  if (before_marker.find('@') != std::string_view::npos) return refuse("an address");
  return {};
}

// PEP 508: marker_or, marker_and and marker_expr of names, quoted strings and comparisons.
class MarkerGrammar {
 public:
  explicit MarkerGrammar(std::string_view text) : rest_(trim(text)) {}

  bool holds() { return alternatives(0) && rest_.empty(); }

 private:
  static constexpr int kDepthMax = 16;

  bool alternatives(int depth) {
    do {
      if (!conjunction(depth)) return false;
    } while (word("or"));
    return true;
  }

  bool conjunction(int depth) {
    do {
      if (!comparison(depth)) return false;
    } while (word("and"));
    return true;
  }

  bool comparison(int depth) {
    if (symbol("(")) return depth < kDepthMax && alternatives(depth + 1) && symbol(")");
    return operand() && comparator() && operand();
  }

  bool comparator() {
    for (std::string_view one : {"===", "==", "!=", "<=", ">=", "~=", "<", ">"}) {
      if (symbol(one)) return true;
    }
    return word("in") || (word("not") && word("in"));
  }

  bool operand() {
    for (std::string_view quote : {"'", "\""}) {
      if (!symbol(quote)) continue;
      const size_t end = rest_.find(quote);
      if (end == std::string_view::npos) return false;
      const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
      if (!std::all_of(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(end),
                       printable)) {
        return false;
      }
      rest_ = trim(rest_.substr(end + 1));
      return true;
    }
    for (std::string_view name :
         {"python_version", "python_full_version", "os_name", "sys_platform", "platform_release",
          "platform_system", "platform_version", "platform_machine",
          "platform_python_implementation", "implementation_name", "implementation_version"}) {
      if (word(name)) return true;
    }
    return false;
  }

  bool symbol(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_ = trim(rest_.substr(text.size()));
    return true;
  }

  bool word(std::string_view text) {
    const auto in_word = [](char c) { return is_alphanumeric(c) || c == '_'; };
    if (rest_.size() > text.size() && in_word(rest_[text.size()])) return false;
    return symbol(text);
  }

  std::string_view rest_;
};

Result<void> check_marker(std::string_view text) {
  if (MarkerGrammar(text).holds()) return {};
  return error(ErrorCode::kInvalidArgument,
               "expected a marker such as python_version < '3.12' after ';', found '{}'",
               text.substr(0, 64));
}

bool satisfies(const Version& installed, const VersionClause& clause) {
  const Version& wanted = clause.version;
  const auto order = compare(installed, wanted);
  switch (clause.op) {
    case VersionOperator::kEqual: return clause.prefix ? is_within(installed, wanted) : order == 0;
    case VersionOperator::kNotEqual:
      return clause.prefix ? !is_within(installed, wanted) : order != 0;
    case VersionOperator::kLessEqual: return order <= 0;
    case VersionOperator::kGreaterEqual: return order >= 0;
    case VersionOperator::kLess:
      // 3.0rc1 is no "<3.0", though it sorts before.
      return order < 0 && !(installed.is_prerelease() && !wanted.is_prerelease() &&
                            compare_release(installed, wanted) == 0);
    case VersionOperator::kGreater:
      return order > 0 &&
             !(installed.post >= 0 && wanted.post < 0 && compare_release(installed, wanted) == 0);
    case VersionOperator::kCompatible: {
      Version series = wanted;
      series.release.pop_back();
      return order >= 0 && is_within(installed, series);
    }
  }
  return false;
}

}  // namespace

std::string normalized_package_name(std::string_view name) {
  std::string normalized;
  for (char c : name) {
    if (is_separator(c)) {
      if (!normalized.ends_with('-')) normalized += '-';
    } else {
      normalized += lower(c);
    }
  }
  return normalized;
}

Result<Requirement> parse_requirement(std::string_view text) {
  if (text.size() > kRequirementBytesMax) {
    return error(ErrorCode::kInvalidArgument, "longer than {} bytes", kRequirementBytesMax);
  }
  const std::string_view whole = trim(text);
  BCAI_TRY(refuse_addresses(whole));
  const std::string_view name = name_at_front(whole);
  if (name.empty()) {
    return error(ErrorCode::kInvalidArgument, "expected the name of a package, found '{}'",
                 whole.substr(0, 64));
  }
  Requirement requirement;
  requirement.name = normalized_package_name(name);
  BCAI_TRY_ASSIGN(const std::string_view rest,
                  read_extras(trim(whole.substr(name.size())), &requirement.extras));
  const size_t semicolon = std::min(rest.find(';'), rest.size());
  BCAI_TRY_ASSIGN(requirement.clauses, parse_clauses(trim(rest.substr(0, semicolon))));
  if (semicolon < rest.size()) {
    requirement.marker = trim(rest.substr(semicolon + 1));
    BCAI_TRY(check_marker(requirement.marker));
  }
  return requirement;
}

bool satisfies(const Version& installed, const Requirement& requirement) {
  return std::all_of(requirement.clauses.begin(), requirement.clauses.end(),
                     [&](const VersionClause& clause) { return satisfies(installed, clause); });
}

void check_requirements(const std::vector<std::string>& requirements,
                        std::vector<Finding>* findings) {
  for (size_t i = 0; i < requirements.size(); ++i) {
    if (const auto parsed = parse_requirement(requirements[i]); !parsed) {
      findings->push_back(
          {.pointer = fmt::format("/requirements/{}", i), .message = parsed.error().message});
    }
  }
}

}  // namespace bcai::packaging
