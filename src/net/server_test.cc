// SPDX-License-Identifier: Apache-2.0
#include "net/server.h"

#include <gtest/gtest.h>

#include "net/client.h"

namespace bcai::net {
namespace {

TEST(Server, AnswersARequestWithItsParts) {
  std::vector<Route> routes{
      {"POST", "/v1/jobs/{id}/x", [](const Request& request, const Reply& reply) {
         reply.send({.status = 201,
                     .headers = {{"X-Id", request.params.at("id")}},
                     .body = request.body + request.query.at("q") + std::string(request.route)});
       }}};
  auto server = Server::start({}, std::move(routes));
  ASSERT_TRUE(server) << server.error().message;
  auto client = Client::make({.endpoint = (*server)->endpoint()});
  ASSERT_TRUE(client);
  auto response =
      client->send({.method = "POST", .target = "/v1/jobs/a%2Fb/x?q=1%202", .body = "body"});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->header("x-id"), "a/b");
  EXPECT_EQ(response->body, "body1 2/v1/jobs/{id}/x");
  auto missing = client->send({.target = "/nothing"});
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, 404);
  auto wrong = client->send({.target = "/v1/jobs/a/x"});
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->header("allow"), "POST");
}

}  // namespace
}  // namespace bcai::net
