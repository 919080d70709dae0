// SPDX-License-Identifier: Apache-2.0
// For tests: a coordinator that answers over a real socket as the test tells it, and a context
// whose screen is kept. One test thread; handlers run on the server's.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/json.h"
#include "base/random.h"
#include "cli/context.h"
#include "net/server.h"
#include "protocol/problem.h"

namespace bcai::cli {

// What one connection to the event stream gets.
struct StreamScript {
  struct Event {
    std::string id;
    std::string event;
    std::string data;
  };
  std::vector<Event> events;
  bool stay_open = false;
};

class FakeCoordinator {
 public:
  FakeCoordinator() { start(); }
  ~FakeCoordinator() { server_->stop(); }

  std::string endpoint() const { return server_->endpoint(); }

  std::mutex mutex;
  // Answers by "METHOD /path"; what is not here is 404.
  std::map<std::string, net::Response> answers;
  // One for each connection to any job's event stream; the last is repeated.
  std::vector<StreamScript> streams;
  std::vector<std::string> last_event_ids;  // as asked for
  std::vector<net::Request> requests;
  std::map<std::string, std::string> artifacts;  // stored, by digest
  std::map<std::string, std::string> partial;
  int drop_puts = 0;  // answers 503 to so many parts
  std::atomic<int> streams_opened{0};

  void answer(const std::string& request, const json::value& body, int status = 200) {
    const std::lock_guard lock(mutex);
    answers[request] = {.status = status, .headers = {}, .body = to_text(body), .file = {}};
  }
  std::vector<std::string> targets(const std::string& method);
  json::value body_of(const std::string& method, const std::string& path);

 private:
  void start();
  void handle(net::Request request, const net::Reply& reply);
  void stream(const net::Request& request, const net::Reply& reply);
  net::Response artifact(const net::Request& request);

  std::unique_ptr<net::Server> server_;
};

// A job as the coordinator would send it.
json::object fake_job(const std::string& state, const std::string& outcome = "");

inline constexpr const char* kFakeJobId = "job_01k9x2m4c8q6t3v5w7y9z1a2b4";

class CommandTest : public testing::Test {
 protected:
  CommandTest();
  ~CommandTest() override;

  // Runs the command with its connection set to the fake.
  template <typename Options>
  int run(Options options) {
    if constexpr (requires { options.job.connection; }) {
      options.job.connection = connection();
    } else if constexpr (requires { options.connection; }) {
      options.connection = connection();
    }
    Result<Settings> settings = Settings::load(environment, 1000);
    EXPECT_TRUE(settings.has_value());
    Context context{.environment = environment,
                    .settings = *settings,
                    .screen = screen,
                    .clock = clock,
                    .random = random,
                    .interrupts = interrupts};
    return execute(options, context);
  }
  Connection connection() const {
    return {.endpoint = coordinator.endpoint(), .api_key = "bcai_k_s", .ca_file = {}};
  }
  std::filesystem::path write(const std::string& name, std::string_view text) const;

  std::filesystem::path directory;
  Environment environment;
  FakeCoordinator coordinator;
  std::string out;
  std::string err;
  Screen screen;
  SystemClock clock;
  SeededRandom random{1};
  Interrupts interrupts;
};

}  // namespace bcai::cli
