// SPDX-License-Identifier: Apache-2.0
#include "net/router.h"

#include <gtest/gtest.h>

namespace bcai::net {
namespace {

Route route(std::string method, std::string pattern) {
  return {std::move(method), std::move(pattern), [](const Request&, const Reply&) {}};
}

std::string pattern_of(const RouteMatch& match) {
  return match.route == nullptr ? "" : match.route->method + " " + match.route->pattern;
}

TEST(Router, PrefersLiteralsAndFillsParameters) {
  const Result<Router> router = Router::make(
      {route("GET", "/v1/{kind}/{id}"), route("GET", "/v1/jobs/{id}"), route("GET", "/v1/jobs/new"),
       route("PUT", "/v1/jobs/{id}"), route("GET", "/")});
  ASSERT_TRUE(router) << router.error().message;
  EXPECT_EQ(pattern_of(router->match("GET", {"v1", "jobs", "new"})), "GET /v1/jobs/new");
  EXPECT_EQ(pattern_of(router->match("PUT", {"v1", "jobs", "new"})), "PUT /v1/jobs/{id}");
  EXPECT_EQ(pattern_of(router->match("HEAD", {"v1", "jobs", "7"})), "GET /v1/jobs/{id}");
  EXPECT_EQ(pattern_of(router->match("GET", {""})), "GET /");
  const RouteMatch match = router->match("GET", {"v1", "nodes", "a/b"});
  EXPECT_EQ(pattern_of(match), "GET /v1/{kind}/{id}");
  EXPECT_EQ(match.params.at("kind"), "nodes");
  EXPECT_EQ(match.params.at("id"), "a/b");
}

TEST(Router, TellsWhatAPathAllows) {
  const Result<Router> router =
      Router::make({route("GET", "/a/{x}"), route("POST", "/a/{y}"), route("PUT", "/b")});
  ASSERT_TRUE(router);
  EXPECT_EQ(router->match("DELETE", {"a", "1"}).allow, "GET, HEAD, POST");
  EXPECT_EQ(router->match("HEAD", {"b"}).allow, "PUT");
  EXPECT_EQ(router->match("GET", {"a"}).allow, "");
  EXPECT_EQ(router->match("GET", {"a", ""}).allow, "");
  EXPECT_EQ(router->match("GET", {"a", "1", ""}).allow, "");
}

TEST(Router, RefusesBadPatterns) {
  for (const char* pattern : {"", "a", "/{", "/{}", "/a{b}", "/{b}c", "/{a{b}}", "/a}"}) {
    EXPECT_FALSE(Router::make({route("GET", pattern)})) << pattern;
  }
  EXPECT_FALSE(Router::make({route("GET", "/{a}"), route("GET", "/{b}")}));
  EXPECT_FALSE(Router::make({route("", "/a")}));
  EXPECT_FALSE(Router::make({{"GET", "/a", nullptr}}));
}

}  // namespace
}  // namespace bcai::net
