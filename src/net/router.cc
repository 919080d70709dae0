// SPDX-License-Identifier: Apache-2.0
#include "net/router.h"

#include <algorithm>
#include <set>

namespace bcai::net {
namespace {

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

std::vector<std::string> split_pattern(std::string_view pattern) {
  std::vector<std::string> segments;
  std::string_view rest = pattern.substr(1);
  while (true) {
    const size_t slash = rest.find('/');
    segments.emplace_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    rest = rest.substr(slash + 1);
  }
}

// The pattern without the names of its parameters: two routes of one method must not share it.
std::string shape_of(const std::string& method, const std::vector<std::string>& segments) {
  std::string shape = method;
  for (const std::string& segment : segments) {
    shape += '/';
    shape += is_parameter(segment) ? "{}" : segment;
  }
  return shape;
}

bool is_good_segment(std::string_view segment) {
  if (!is_parameter(segment)) return segment.find_first_of("{}") == std::string_view::npos;
  return segment.size() > 2 && segment.find('}') == segment.size() - 1 &&
         segment.find('{', 1) == std::string_view::npos;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
  if (pattern.size() != segments.size()) return false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i]) ? segments[i].empty() : pattern[i] != segments[i]) return false;
  }
  return true;
}

}  // namespace

Result<Router> Router::make(std::vector<Route> routes) {
  Router router;
  std::set<std::string> shapes;
  for (Route& route : routes) {
    const bool rooted = route.pattern.starts_with('/');
    std::vector<std::string> segments = split_pattern(rooted ? route.pattern : "/");
    if (route.method.empty() || !route.handler || !rooted ||
        !std::ranges::all_of(segments, is_good_segment)) {
      return error(ErrorCode::kInvalidArgument,
                   "route {} \"{}\": expected a method, a handler and a pattern like "
                   "\"/v1/jobs/{{id}}\"",
                   route.method, route.pattern);
    }
    if (!shapes.insert(shape_of(route.method, segments)).second) {
      return error(ErrorCode::kInvalidArgument, "route {} \"{}\" is there twice", route.method,
                   route.pattern);
    }
    router.entries_.push_back(
        {std::make_unique<const Route>(std::move(route)), std::move(segments)});
  }
  std::ranges::stable_sort(router.entries_, [](const Entry& a, const Entry& b) {
    return std::ranges::lexicographical_compare(a.segments, b.segments, {}, is_parameter,
                                                is_parameter);
  });
  return router;
}

RouteMatch Router::match(std::string_view method, const std::vector<std::string>& segments) const {
  RouteMatch match;
  const Entry* found = nullptr;
  const Entry* get = nullptr;
  std::set<std::string_view> methods;
  for (const Entry& entry : entries_) {
    if (!matches(entry.segments, segments)) continue;
    methods.insert(entry.route->method);
    if (found == nullptr && entry.route->method == method) found = &entry;
    if (get == nullptr && entry.route->method == "GET") get = &entry;
  }
  if (found == nullptr && method == "HEAD") found = get;
  if (found == nullptr) {
    if (get != nullptr) methods.insert("HEAD");
    for (const std::string_view name : methods) {
      if (!match.allow.empty()) match.allow += ", ";
      match.allow += name;
    }
    return match;
  }
  match.route = found->route.get();
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string_view name = found->segments[i];
    if (is_parameter(name)) {
      match.params.emplace(name.substr(1, name.size() - 2), segments[i]);
    }
  }
  return match;
}

}  // namespace bcai::net
