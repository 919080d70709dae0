// SPDX-License-Identifier: Apache-2.0
// Finds the route of a request. Where several patterns match, a literal segment wins over a
// parameter. A HEAD without a route of its own goes to the GET route.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/server.h"

namespace bcai::net {

struct RouteMatch {
  const Route* route = nullptr;  // nullptr: see allow
  std::map<std::string, std::string> params;
  std::string allow;  // the methods of the path, "GET, HEAD"; empty when no pattern matches
};

// Owns the routes; what it hands out lives as long as it does.
class Router {
 public:
  // kInvalidArgument names a pattern that is wrong or there twice.
  static Result<Router> make(std::vector<Route> routes);

  RouteMatch match(std::string_view method, const std::vector<std::string>& segments) const;

 private:
  struct Entry {
    std::unique_ptr<const Route> route;
    std::vector<std::string> segments;  // "{name}" for a parameter
  };
  std::vector<Entry> entries_;
};

}  // namespace bcai::net
