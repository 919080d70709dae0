// SPDX-License-Identifier: Apache-2.0
#include "protocol/secret.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/clip.h"
#include "base/seal.h"

namespace bcai {

Result<void> check_secret_name(std::string_view name) {
  const auto letter = [](char c) { return is_upper(c) || c == '_'; };
  const bool good =
      !name.empty() && name.size() <= 64 && letter(name[0]) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || is_digit(c); });
  if (good) return {};
  return error(ErrorCode::kInvalidArgument,
               "a secret's name is 1 to 64 of A-Z 0-9 _ and begins with no digit, found '{}'",
               clip_utf8(name, 64));
}

Result<void> check_secret_value(std::string_view value) {
  if (value.empty() || value.size() > kSecretBytesMax) {
    return error(ErrorCode::kInvalidArgument, "a secret's value has 1 to {} bytes, found {}",
                 kSecretBytesMax, value.size());
  }
  if (is_utf8(value) && value.find('\0') == std::string_view::npos) return {};
  return error(ErrorCode::kInvalidArgument,
               "a secret's value is UTF-8 without NUL, for it becomes an environment variable; "
               "give other bytes in base64");
}

json::value encode(const Secrets& secrets) {
  json::array list;
  for (const auto& [name, value] : secrets) {
    list.push_back(json::object{{"name", name}, {"value", value}});
  }
  return json::object{{"secrets", std::move(list)}};
}

Secrets decode_secrets(const json::value& value, std::vector<Finding>* findings) {
  Secrets secrets;
  Decoder in(value, "", findings);
  const json::value* list = in.take("secrets");
  in.refuse_unknown();
  if (list == nullptr || !list->is_array() || list->get_array().size() > kSecretsMax) {
    in.add("secrets", fmt::format("expected an array of at most {}", kSecretsMax));
    return secrets;
  }
  for (const json::value& element : list->get_array()) {
    Decoder one(element, fmt::format("/secrets/{}", secrets.size()), findings);
    auto& [name, text] = secrets.emplace_back();
    one.require("name", name, TextLimit{1, 64});
    one.require("value", text, TextLimit{1, static_cast<int64_t>(kSecretBytesMax)});
    one.refuse_unknown();
  }
  return secrets;
}

void wipe(Secrets* secrets) {
  for (auto& secret : *secrets) wipe(&secret.second);
  secrets->clear();
}

bool keeps_secrets(std::string_view endpoint) {
  if (!endpoint.starts_with("http://")) return true;
  endpoint.remove_prefix(std::string_view("http://").size());
  const std::string_view host = endpoint.substr(0, endpoint.find('/'));
  const auto is = [&](std::string_view name) {
    return host == name || host.starts_with(fmt::format("{}:", name));
  };
  return is("localhost") || is("[::1]") || is("127.0.0.1");
}

}  // namespace bcai
