// SPDX-License-Identifier: Apache-2.0
// Errors as the REST API tells them: RFC 9457 problem details,
//   {"type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid_argument",
//    "detail": "…", "errors": [{"pointer": "/hardware/memory", "message": "…", "line": 3, …}]}
#pragma once

#include <vector>

#include "base/decode.h"
#include "base/result.h"

namespace bcai {

int http_status(ErrorCode code);
ErrorCode error_code_of_http_status(int status);

json::value encode_problem(const Error& error, const std::vector<Finding>& findings = {});

// Back to an Error, with every finding in its message. A body that is no problem gives one that
// names the status.
Error decode_problem(int status, std::string_view body);

// The exit code of `bcai` for an error: 2 usage or refused input, 3 cannot reach, 1 otherwise.
int exit_code(ErrorCode code);

}  // namespace bcai
