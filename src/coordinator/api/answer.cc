// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/answer.h"

#include <algorithm>
#include <charconv>

#include "base/clip.h"
#include "net/header.h"

namespace bcai::coordinator {
namespace {

net::Response problem_text(int status, const json::value& problem) {
  net::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/problem+json"}};
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  response.body = to_text(problem);
  return response;
}

}  // namespace

net::Response json_response(int status, const json::value& body) {
  return json_text_response(status, to_text(body));
}

net::Response json_text_response(int status, std::string body) {
  net::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = std::move(body);
  return response;
}

net::Response problem_response(const Error& error, const std::vector<Finding>& findings) {
  return problem_text(http_status(error.code), encode_problem(error, findings));
}

json::value problem_of_status(int status, const Error& error) {
  json::value problem = encode_problem(error);
  problem.as_object()["status"] = status;
  problem.as_object()["title"] = to_json(net::reason_phrase(status));
  return problem;
}

net::Response problem_response(int status, const Error& error) {
  return problem_text(status, problem_of_status(status, error));
}

net::Response findings_response(std::string_view what, const std::vector<Finding>& findings) {
  return problem_response(error(ErrorCode::kInvalidArgument, "the {} has {} error{}", what,
                                findings.size(), findings.size() == 1 ? "" : "s"),
                          findings);
}

net::Response offset_problem(std::string_view detail, int64_t offset) {
  json::value problem = encode_problem(Error{ErrorCode::kAlreadyExists, std::string(detail)});
  problem.as_object()["offset"] = offset;
  return problem_text(http_status(ErrorCode::kAlreadyExists), problem);
}

std::optional<json::value> json_body(const net::Request& request, const net::Reply& reply) {
  Result<json::value> parsed = parse_json(request.body);
  if (parsed) return *std::move(parsed);
  reply.send(problem_response(
      error(ErrorCode::kInvalidArgument, "the body is not JSON: {}", parsed.error().message)));
  return std::nullopt;
}

std::optional<std::string> Query::text(std::string_view name, size_t bytes_max) {
  known_.emplace_back(name);
  const auto found = request_.query.find(std::string(name));
  if (found == request_.query.end()) return std::nullopt;
  if (found->second.size() > bytes_max) {
    add(name, fmt::format("expected at most {} bytes, found {}", bytes_max, found->second.size()));
    return std::nullopt;
  }
  return found->second;
}

std::optional<int64_t> Query::number(std::string_view name, IntRange range) {
  const std::optional<std::string> found = text(name);
  if (!found) return std::nullopt;
  int64_t value = 0;
  const char* const end = found->data() + found->size();
  const auto [stop, code] = std::from_chars(found->data(), end, value);
  if (code == std::errc() && stop == end && value >= range.min && value <= range.max) return value;
  add(name, fmt::format("expected {} to {}, found '{}'", range.min, range.max, *found));
  return std::nullopt;
}

void Query::add(std::string_view name, std::string message) {
  findings_.push_back({.pointer = fmt::format("?{}", name), .message = std::move(message)});
}

bool Query::good(const net::Reply& reply) {
  for (const auto& [name, value] : request_.query) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    const std::string near = nearest_word(name, known_);
    add(clip_utf8(name, 64), near.empty()
                                 ? "unknown parameter"
                                 : fmt::format("unknown parameter; did you mean '{}'?", near));
  }
  if (findings_.empty()) return true;
  reply.send(findings_response("query", findings_));
  return false;
}

}  // namespace bcai::coordinator
