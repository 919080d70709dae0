// SPDX-License-Identifier: Apache-2.0
// What a user asks for: Python, or a native program. The JSON form is the body of POST /v1/jobs
// (schema/openapi.yaml, Job specification); the struct holds it with every default filled in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/decode.h"
#include "base/id.h"
#include "packaging/lock.h"

namespace bcai {

struct Hardware {
  int64_t cpu_millicores = 1000;         // JSON: "cpu_cores", 0.1 to 1024
  int64_t memory_bytes = 2'000'000'000;  // "memory": "2GB"; holds files of the job too
  int64_t disk_bytes = 1'000'000'000;    // "disk"
  int gpu_count = 0;
  int64_t gpu_memory_bytes = 0;  // "gpu_memory", of each GPU
  std::string gpu_model;         // "gpu_model": a part of the name; "" is any
  bool operator==(const Hardware&) const = default;
};

// A file that lies in the job's working directory when it starts. Uploaded before, by digest.
struct InputFile {
  std::string path;  // relative, "/" between parts, no "." or ".."
  Sha256 sha256;
  int64_t bytes = 0;
  bool operator==(const InputFile&) const = default;
};

struct JobSpec {
  std::string name;  // "" takes the file name's stem, or "job"
  // Exactly one of the two: UTF-8 Python of 1 byte to 1 MiB, or the path of the file that is a
  // native program in binary form (docs/formats/bcvm.md).
  std::string code;
  std::string program;
  std::map<std::string, std::string> inputs;  // argument of the program's main → path of a file
  int replicas = 1;                           // nodes that run the program; more than 1 compares
  std::string filename = "main.py";           // where the code lies; shown in tracebacks
  std::vector<std::string> arguments;         // sys.argv[1:]
  std::vector<InputFile> files;
  std::map<std::string, std::string> environment;
  std::vector<std::string> secrets;       // names, of the submitter's secrets; variables of the job
  std::vector<std::string> requirements;  // PEP 508 names with version specifiers
  std::vector<std::string> build_from_source;       // packages among them whose wheels are built
  std::optional<packaging::Lock> environment_lock;  // of an earlier job; instead of requirements
  std::string python_version;                       // "3.11" or "3.11.2"; "" is any
  std::vector<std::string> network_allow;           // host:port that it reaches; none but these
  std::string security_level = "standard";          // or "high": a kernel of its own
  Hardware hardware;
  int64_t timeout_s = 3600;     // wall clock of one attempt, 1 to 604800
  int64_t cpu_seconds_max = 0;  // 0 is no limit beyond the wall clock
  int64_t queue_timeout_s = 86400;
  int64_t processes_max = 256;               // and threads
  int64_t output_bytes_max = 10'000'000;     // kept of standard output and error together
  int max_retries = 3;                       // of attempts that failed through no fault of the job
  std::string import_policy = "standard";    // or "off"
  std::vector<std::string> allowed_imports;  // beyond the policy's list
  bool operator==(const JobSpec&) const = default;
};

// Builds packages from source, or its lock says so: a node of the high level does that.
bool builds_from_source(const JobSpec& spec);

// Reads a specification; each thing wrong is a finding. `id` and `filename` among others have the
// constraints given in schema/openapi.yaml. "id" is read by the caller, not here.
JobSpec decode_job_spec(const json::value& value, std::vector<Finding>* findings);

// The canonical JSON form, defaults included, without `code` when `with_code` is false.
json::value encode(const JobSpec& spec, bool with_code = true);

// Identity of a submission's body: equal for equal specifications, whatever the spelling.
Sha256 digest(const JobSpec& spec);

}  // namespace bcai
