// SPDX-License-Identifier: Apache-2.0
// The description of the API and a page to read it on, both part of the program.
#include <array>

#include "base/crypto.h"
#include "base/yaml.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator_api_files.h"

namespace bcai::coordinator {
namespace {

constexpr std::string_view kOpenApi = "../../../schema/openapi.yaml";

net::Response file_response(std::string_view type, std::string_view body) {
  net::Response response;
  response.headers = {{"Content-Type", std::string(type)},
                      {"Cache-Control", "no-cache"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body = body;
  return response;
}

}  // namespace

void get_openapi_yaml(Services&, Call call) {
  call.reply.send(file_response("application/yaml", coordinator_api_files(kOpenApi)));
}

// Converted anew each time: it is rarely asked for and would else be kept for ever.
void get_openapi_json(Services&, Call call) {
  const Result<YamlDocument> document = parse_yaml(coordinator_api_files(kOpenApi));
  BCAI_ASSERT(document.has_value());
  call.reply.send(file_response("application/json", to_text(document->value)));
}

// The page's own script and style carry the nonce: nothing else runs, and it talks to this server
// alone.
void get_docs(Services& services, Call call) {
  std::array<uint8_t, 16> random;
  services.random.fill(random);
  const std::string nonce = to_hex(random);
  constexpr std::string_view kPlace = "{nonce}";
  std::string page(coordinator_api_files("docs.html"));
  for (size_t at = page.find(kPlace); at != std::string::npos; at = page.find(kPlace, at)) {
    page.replace(at, kPlace.size(), nonce);
  }
  net::Response response = file_response("text/html; charset=utf-8", page);
  response.headers.emplace_back(
      "Content-Security-Policy",
      fmt::format("default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src "
                  "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                  nonce));
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  call.reply.send(std::move(response));
}

}  // namespace bcai::coordinator
