// SPDX-License-Identifier: Apache-2.0
// Accepts connections and closes those that have waited too long, by one look at all of them a
// second, while there are any. Runs on the loop's thread.
#pragma once

#include <string>

#include "base/file.h"
#include "net/connection.h"
#include "net/endpoint.h"

namespace bcai::net {

class Listener {
 public:
  // A path of a unix socket is removed by close() if it is still this one.
  Listener(ServerState& server, ListenSocket socket, std::string unix_path);

  void arm();
  void close();

 private:
  void accept_some();
  int accept_one();  // 0 or errno
  void shed_one(int cause);
  void arm_sweep();

  ServerState& server_;
  Descriptor descriptor_;
  std::string unix_path_;
  uint64_t unix_inode_ = 0;
  // Given up for a moment when descriptors run out, to take a connection and close it: left in the
  // queue it would wake the loop for ever.
  UniqueFd reserve_;
  bool sweeping_ = false;
  int64_t warned_ms_ = INT64_MIN;
};

}  // namespace bcai::net
