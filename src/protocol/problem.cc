// SPDX-License-Identifier: Apache-2.0
#include "protocol/problem.h"

#include <array>

namespace bcai {
namespace {

struct Row {
  ErrorCode code;
  int status;
  std::string_view title;
  int exit_code;
};

constexpr std::array kTable{
    Row{ErrorCode::kInvalidArgument, 400, "Bad Request", 2},
    Row{ErrorCode::kUnauthenticated, 401, "Unauthorized", 2},
    Row{ErrorCode::kPermissionDenied, 403, "Forbidden", 2},
    Row{ErrorCode::kNotFound, 404, "Not Found", 2},
    Row{ErrorCode::kAlreadyExists, 409, "Conflict", 2},
    Row{ErrorCode::kFailedPrecondition, 412, "Precondition Failed", 2},
    Row{ErrorCode::kResourceExhausted, 429, "Too Many Requests", 1},
    Row{ErrorCode::kCancelled, 499, "Cancelled", 1},
    Row{ErrorCode::kInternal, 500, "Internal Server Error", 1},
    Row{ErrorCode::kDataLoss, 500, "Internal Server Error", 1},
    Row{ErrorCode::kUnimplemented, 501, "Not Implemented", 2},
    Row{ErrorCode::kUnavailable, 503, "Service Unavailable", 3},
    Row{ErrorCode::kDeadlineExceeded, 504, "Gateway Timeout", 3},
};

const Row& row_of(ErrorCode code) {
  for (const Row& row : kTable) {
    if (row.code == code) return row;
  }
  BCAI_ASSERT(false);
}

}  // namespace

int http_status(ErrorCode code) { return row_of(code).status; }

ErrorCode error_code_of_http_status(int status) {
  for (const Row& row : kTable) {
    if (row.status == status) return row.code;
  }
  if (status == 413) return ErrorCode::kResourceExhausted;
  return status >= 500 ? ErrorCode::kInternal : ErrorCode::kInvalidArgument;
}

int exit_code(ErrorCode code) { return row_of(code).exit_code; }

json::value encode_problem(const Error& error, const std::vector<Finding>& findings) {
  const Row& row = row_of(error.code);
  json::object out{{"type", "about:blank"},
                   {"title", to_json(row.title)},
                   {"status", row.status},
                   {"code", to_json(error_code_name(error.code))},
                   {"detail", error.message}};
  if (findings.empty()) return out;
  json::array list;
  for (const Finding& finding : findings) {
    json::object item{{"pointer", finding.pointer}, {"message", finding.message}};
    if (finding.line > 0) {
      item["line"] = finding.line;
      item["column"] = finding.column;
    }
    list.push_back(std::move(item));
  }
  out["errors"] = std::move(list);
  return out;
}

Error decode_problem(int status, std::string_view body) {
  Result<json::value> parsed = parse_json(body);
  if (!parsed || !parsed->is_object()) {
    return error(error_code_of_http_status(status), "HTTP status {}: {}", status,
                 body.substr(0, 200));
  }
  std::vector<Finding> ignored;
  Decoder in(*parsed, "", &ignored);
  std::string code;
  std::string detail;
  in.read("code", code);
  in.read("detail", detail, {.bytes_max = 1 << 20});
  Error problem{error_code_of_http_status(status), detail};
  for (const Row& row : kTable) {
    if (error_code_name(row.code) == code) problem.code = row.code;
  }
  std::vector<Finding> findings;
  if (const json::value* list = in.take("errors"); list != nullptr && list->is_array()) {
    for (const json::value& element : list->get_array()) {
      Decoder item(element, "", &ignored);
      Finding finding;
      item.read("pointer", finding.pointer);
      item.read("message", finding.message, {.bytes_max = 1 << 16});
      item.read("line", finding.line);
      item.read("column", finding.column);
      findings.push_back(std::move(finding));
    }
  }
  if (!findings.empty()) {
    problem.message += (problem.message.empty() ? "" : ": ") + findings_text(findings);
  }
  return problem;
}

}  // namespace bcai
