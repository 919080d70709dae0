// SPDX-License-Identifier: Apache-2.0
// Answers and the reading of requests, as all resources do it: JSON, problem+json (RFC 9457), query
// parameters with findings.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/json.h"
#include "net/server.h"
#include "protocol/problem.h"

namespace bcai::coordinator {

net::Response json_response(int status, const json::value& body);
net::Response json_text_response(int status, std::string body);
net::Response problem_response(const Error& error, const std::vector<Finding>& findings = {});
// Under another status than that of the error's code, such as 413, with that status's title.
json::value problem_of_status(int status, const Error& error);
net::Response problem_response(int status, const Error& error);
// 400 "the WHAT has 2 errors", with every finding.
net::Response findings_response(std::string_view what, const std::vector<Finding>& findings);

// The problem with `offset` beside its members, as 409.
net::Response offset_problem(std::string_view detail, int64_t offset);

// The body as JSON; an answer of 400 was sent when there is none.
std::optional<json::value> json_body(const net::Request& request, const net::Reply& reply);

// Reads query parameters. A parameter that nothing has read is a finding, as are wrong values; the
// pointer is the parameter's name after "?".
class Query {
 public:
  explicit Query(const net::Request& request) : request_(request) {}

  std::optional<std::string> text(std::string_view name, size_t bytes_max = 128);
  std::optional<int64_t> number(std::string_view name, IntRange range);
  void add(std::string_view name, std::string message);

  template <typename T>
  std::optional<T> id(std::string_view name) {
    const std::optional<std::string> found = text(name);
    if (!found) return std::nullopt;
    Result<T> parsed = T::parse(*found);
    if (parsed) return *parsed;
    add(name, parsed.error().message);
    return std::nullopt;
  }

  // False when there was anything wrong; the answer of 400 was sent then.
  bool good(const net::Reply& reply);

 private:
  const net::Request& request_;
  std::vector<std::string> known_;
  std::vector<Finding> findings_;
};

// The {id} of the path; an answer of 400 was sent when it is none.
template <typename T>
std::optional<T> path_id(const net::Request& request, const net::Reply& reply) {
  Result<T> parsed = T::parse(request.params.at("id"));
  if (parsed) return *parsed;
  reply.send(problem_response(parsed.error()));
  return std::nullopt;
}

}  // namespace bcai::coordinator
