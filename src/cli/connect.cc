// SPDX-License-Identifier: Apache-2.0
#include "cli/connect.h"

namespace bcai::cli {
namespace {

std::filesystem::path local_directory(const Context& context) {
  return std::filesystem::path(context.settings.value(SettingKey::kDataDirectory)) / "local";
}

// The record of local runs: opened here, or served by a run that is under way.
Result<Connected> connect_to_record(Context& context, bool make) {
  const std::filesystem::path directory = local_directory(context) / kLocalRecord;
  std::error_code ignored;
  if (!make && !std::filesystem::exists(directory / "key", ignored)) {
    return error(
        ErrorCode::kInvalidArgument,
        "no coordinator is configured and nothing ran on this machine yet: start `bcai up`, "
        "or name one with `bcai config set endpoint URL`, BCAI_ENDPOINT or --endpoint");
  }
  MachineOptions options;
  options.directory = directory;
  options.python = context.settings.value(SettingKey::kPython);
  options.with_node = false;
  net::ClientOptions client;
  Result<std::unique_ptr<OneMachine>> machine = OneMachine::start(options);
  if (machine) {
    client.endpoint = (*machine)->endpoint();
    client.bearer_token = (*machine)->key();
  } else if (machine.error().code == ErrorCode::kAlreadyExists) {
    BCAI_TRY_ASSIGN(const std::string endpoint, read_file(directory / "endpoint", 4096));
    BCAI_TRY_ASSIGN(const std::string key, read_file(directory / "key", 4096));
    client.endpoint = endpoint.substr(0, endpoint.find('\n'));
    client.bearer_token = key.substr(0, key.find('\n'));
  } else {
    return machine.error();
  }
  BCAI_TRY_ASSIGN(ApiClient api, ApiClient::make(client));
  return Connected{std::move(api), machine ? *std::move(machine) : nullptr};
}

}  // namespace

void apply(const Connection& connection, Settings& settings) {
  settings.override_with_flag(SettingKey::kEndpoint, connection.endpoint, "--endpoint");
  settings.override_with_flag(SettingKey::kApiKey, connection.api_key, "--api-key");
  settings.override_with_flag(SettingKey::kCaFile, connection.ca_file, "--ca-file");
}

Result<ApiClient> connect_to_network(const Connection& connection, Context& context) {
  apply(connection, context.settings);
  net::ClientOptions client;
  const Settings& settings = context.settings;
  client.endpoint = settings.value(SettingKey::kEndpoint);
  client.ca_file = settings.value(SettingKey::kCaFile);
  // The file's key is for the file's endpoint: another one is not told it.
  if (settings.at(SettingKey::kApiKey).origin != "file" ||
      client.endpoint == settings.stored(SettingKey::kEndpoint)) {
    client.bearer_token = settings.value(SettingKey::kApiKey);
  }
  if (client.endpoint.empty()) {
    return error(ErrorCode::kInvalidArgument,
                 "no coordinator is configured: start `bcai up`, or name one with "
                 "`bcai config set endpoint URL`, BCAI_ENDPOINT or --endpoint");
  }
  return ApiClient::make(client);
}

Result<Connected> connect(const Connection& connection, Context& context, bool make) {
  apply(connection, context.settings);
  if (context.settings.value(SettingKey::kEndpoint).empty())
    return connect_to_record(context, make);
  BCAI_TRY_ASSIGN(ApiClient api, connect_to_network(connection, context));
  return Connected{std::move(api), nullptr};
}

Result<std::string> resolve_job(ApiClient& api, const std::string& job) {
  if (job != "last" && job != "@last") return job;
  BCAI_TRY_ASSIGN(const JobView last, api.last_job());
  return last.id;
}

}  // namespace bcai::cli
