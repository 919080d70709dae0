// SPDX-License-Identifier: Apache-2.0
// The coordinator's REST API (schema/openapi.yaml) as functions. The only file of the program that
// sends a request. One request at a time; cancel() alone may come from another thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/decode.h"
#include "base/json.h"
#include "base/result.h"
#include "cli/event_reader.h"
#include "cli/job_view.h"
#include "net/client.h"

namespace bcai::cli {

// A problem as the coordinator told it; the findings are also in the error's message.
struct Refusal {
  std::vector<Finding> findings;
  std::string detail;  // without the findings
};

struct JobQuery {
  std::string state;
  std::string name;
  int limit = 50;
  std::string before;
};

struct ArtifactView {
  std::string name;
  Sha256 sha256;
  int64_t bytes = 0;
};

class ApiClient {
 public:
  static Result<ApiClient> make(net::ClientOptions options);

  // The same endpoint and key on a connection of its own; not cancelled.
  Result<ApiClient> another() const { return make(options_); }

  // On a refusal of the input fills *refusal, when it is given.
  Result<JobView> submit(const json::object& body, Refusal* refusal);
  Result<JobView> job(const std::string& id);
  // Until the job ends, or its version passes `version` (when not negative), or `wait` is over.
  Result<JobView> wait(const std::string& id, int64_t version, Millis wait);
  Result<std::vector<JobView>> jobs(const JobQuery& query, std::string* next);
  Result<json::value> results(const std::string& id);
  Result<json::value> events(const std::string& id);
  Result<JobView> cancel_job(const std::string& id);
  // The newest job of the key's owner.
  Result<JobView> last_job();

  struct LogPage {
    std::string attempt;
    json::array records;
    int64_t next_offset = 0;
    bool end = false;
  };
  Result<LogPage> logs(const std::string& id, const std::string& attempt, int64_t offset);
  // Follows the log's event stream until it closes, breaks, or `take` returns false.
  // last_event_id, when not empty, resumes after that event.
  Result<void> follow(const std::string& id, const std::string& attempt,
                      const std::string& last_event_id,
                      const std::function<bool(const ServerEvent&)>& take);

  // Uploads the file's bytes unless they are there; goes on where an earlier upload broke off.
  // `sent` hears of the bytes that are there so far.
  Result<void> upload(const std::filesystem::path& file, const Sha256& digest, int64_t bytes,
                      const std::function<void(int64_t)>& sent);
  // Into `file`, in one step at the end; resumes a part that an earlier download left. The bytes
  // are checked against the digest.
  Result<void> download(const ArtifactView& artifact, const std::filesystem::path& file);

  Result<json::value> nodes();
  Result<json::value> whoami();
  Result<json::value> keys();
  // `network`: patterns; nothing: any host.
  Result<json::value> create_key(const std::string& name, const std::string& role,
                                 const std::optional<std::vector<std::string>>& network);
  Result<void> revoke_key(const std::string& id);
  Result<json::value> secrets();
  // kFailedPrecondition where others could read it on the way.
  Result<void> put_secret(const std::string& name, const std::string& value);
  Result<void> delete_secret(const std::string& name);

  void cancel() { client_.cancel(); }
  const std::string& endpoint() const { return options_.endpoint; }

 private:
  ApiClient(net::ClientOptions options, net::Client client)
      : options_(std::move(options)), client_(std::move(client)) {}
  Result<json::value> get(const std::string& target, Millis timeout = Millis(30'000));
  Result<json::value> send(const net::ClientRequest& request, Refusal* refusal = nullptr);

  net::ClientOptions options_;
  net::Client client_;
};

}  // namespace bcai::cli
