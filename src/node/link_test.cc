// SPDX-License-Identifier: Apache-2.0
#include "node/link.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <utility>

#include "base/json.h"

namespace bcai::node {
namespace {

net::ClientResponse client_response(int status, const json::value& body) {
  net::ClientResponse response;
  response.status = status;
  response.body = to_text(body);
  return response;
}

// Knows the session of the last registration alone. `on_refusal` runs between a request that it
// refuses and its answer.
struct OneSession {
  int sessions = 0;
  std::function<void()> on_refusal;

  net::ClientResponse answer(const net::ClientRequest& request) {
    if (request.target == "/v1/nodes/challenge")
      return client_response(200, json::object{{"nonce", "n"}});
    if (request.target == "/v1/nodes") {
      return client_response(200, json::object{{"node_id", "node_1"},
                                               {"session", fmt::format("bcain_{}", ++sessions)}});
    }
    const auto& [name, value] = request.headers.back();
    if (value == fmt::format("Bearer bcain_{}", sessions))
      return client_response(200, json::object{});
    if (const auto once = std::exchange(on_refusal, nullptr)) once();
    return client_response(401, json::object{});
  }
};

TEST(Link, ASessionThatEndedIsRenewedOnceByWhomeverIsRefusedFirst) {
  OneSession coordinator;
  Link link({.dial = [&]() -> Result<Wire> {
               return Wire{
                   .send = [&](const net::ClientRequest& request) -> Result<net::ClientResponse> {
                     return coordinator.answer(request);
                   },
                   .cancel = [] {}};
             },
             .key = "bcai_operator",
             .name = "test",
             .identity = SigningKey::from_seed(std::array<uint8_t, 32>{9}),
             .capabilities = {}});
  ASSERT_TRUE(link.connect());
  coordinator.sessions++;  // it has forgotten ours
  int status_of_other = 0;
  coordinator.on_refusal = [&] { status_of_other = link.ask({.target = "/other"}).status; };
  EXPECT_EQ(link.ask({.target = "/one"}).status, 200);
  EXPECT_EQ(status_of_other, 200);
  EXPECT_EQ(coordinator.sessions, 3);
}

}  // namespace
}  // namespace bcai::node
