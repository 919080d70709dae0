// SPDX-License-Identifier: Apache-2.0
#include "protocol/job.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/ascii.h"
#include "base/clip.h"
#include "packaging/requirement.h"
#include "protocol/network.h"
#include "protocol/secret.h"

namespace bcai {
namespace {

constexpr int64_t kCodeBytesMax = int64_t{1} << 20;
constexpr int64_t kMemoryBytesMin = 16'000'000;
constexpr int64_t kDiskBytesMin = 1'000'000;
constexpr int64_t kBytesMax = 100'000'000'000'000;
constexpr int64_t kReplicasMax = 5;

bool is_relative_path(std::string_view path) {
  if (path.empty() || path.size() > 255 || path.front() == '/' || path.back() == '/') return false;
  size_t start = 0;
  while (start <= path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return std::all_of(path.begin(), path.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
}

bool is_environment_name(std::string_view name) {
  const auto word = [](char c) { return is_letter(c) || c == '_'; };
  return !name.empty() && word(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return word(c) || is_digit(c); });
}

void read_hardware(Decoder& in, Hardware& hardware) {
  double cores = static_cast<double>(hardware.cpu_millicores) / 1000;
  in.read("cpu_cores", cores, {.min = 0.1, .max = 1024});
  hardware.cpu_millicores = std::llround(cores * 1000);
  in.read_bytes("memory", hardware.memory_bytes, {kMemoryBytesMin, kBytesMax});
  in.read_bytes("disk", hardware.disk_bytes, {kDiskBytesMin, kBytesMax});
  in.read("gpu_count", hardware.gpu_count, {.min = 0, .max = 64});
  in.read_bytes("gpu_memory", hardware.gpu_memory_bytes, {0, kBytesMax});
  in.read("gpu_model", hardware.gpu_model, {.bytes_max = 64});
  in.refuse_unknown();
  if (hardware.gpu_count == 0 && (hardware.gpu_memory_bytes > 0 || !hardware.gpu_model.empty())) {
    if (in.peek("gpu_count") == nullptr) {
      hardware.gpu_count = 1;
    } else {
      in.add("gpu_count", "is 0, but gpu_memory or gpu_model asks for a GPU");
    }
  }
}

bool lies_in(std::string_view path, std::string_view directory) {
  return path == directory || path.starts_with(fmt::format("{}/", directory));
}

// Two files of one name, or a file where another needs a directory, cannot both be laid out. The
// code is a file of the job too, when there is code.
void refuse_clashes(Decoder& in, const JobSpec& spec) {
  const auto add = [&](std::string pointer, std::string message) {
    in.findings()->push_back({.pointer = std::move(pointer), .message = std::move(message)});
  };
  std::vector<std::pair<std::string, std::string_view>> files;  // with the pointer to its path
  if (spec.program.empty()) files.emplace_back(in.pointer_to("filename"), spec.filename);
  for (size_t i = 0; i < spec.files.size(); ++i) {
    files.emplace_back(fmt::format("{}/{}/path", in.pointer_to("files"), i), spec.files[i].path);
  }
  std::set<std::string_view> paths;
  for (const auto& [pointer, path] : files) {
    if (!paths.insert(path).second) {
      const bool code = spec.program.empty() && path == spec.filename;
      add(pointer, code ? fmt::format("'{}' is the name of the code", path)
                        : fmt::format("'{}' is there twice", path));
    }
    if (lies_in(path, ".bcai")) add(pointer, "'.bcai' is the runner's own directory");
  }
  if (spec.program.empty() && lies_in(spec.filename, "outputs")) {
    add(in.pointer_to("filename"), "'outputs' is the directory of what the job leaves");
  }
  for (const auto& [pointer, path] : files) {
    for (size_t end = path.find('/'); end != path.npos; end = path.find('/', end + 1)) {
      if (!paths.contains(path.substr(0, end))) continue;
      add(pointer, fmt::format("lies below '{}', which is a file", path.substr(0, end)));
    }
  }
}

// Code and files lie on the job's disk before it starts, each in whole pages.
void refuse_a_full_disk(Decoder& in, const JobSpec& spec) {
  constexpr int64_t kPageBytes = 4096;
  const auto pages = [](int64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; };
  int64_t taken = pages(static_cast<int64_t>(spec.code.size()));
  for (const InputFile& file : spec.files) taken += pages(file.bytes);
  if (taken * kPageBytes <= spec.hardware.disk_bytes) return;
  in.findings()->push_back(
      {.pointer = in.pointer_to("hardware") + "/disk",
       .message = fmt::format("is {} bytes, but the code and the files take {}",
                              spec.hardware.disk_bytes, taken * kPageBytes)});
}

void read_files(Decoder& in, std::vector<InputFile>& files) {
  const json::value* list = in.take("files");
  if (list == nullptr) return;
  if (!list->is_array() || list->get_array().size() > 1000) {
    in.add("files", "expected an array of at most 1000 files");
    return;
  }
  for (const json::value& element : list->get_array()) {
    Decoder file(element, fmt::format("{}/{}", in.pointer_to("files"), files.size()),
                 in.findings());
    InputFile read;
    std::string sha256;
    file.require("path", read.path);
    file.require("sha256", sha256);
    file.require("bytes", read.bytes, IntRange{0, kBytesMax});
    file.refuse_unknown();
    if (!read.path.empty() && !is_relative_path(read.path)) {
      file.add("path", "expected a relative path of at most 255 bytes without '.' or '..' parts");
    }
    if (Result<Sha256> digest = Sha256::parse(sha256); digest) {
      read.sha256 = *digest;
    } else if (!sha256.empty()) {
      file.add("sha256", digest.error().message);
    }
    files.push_back(std::move(read));
  }
}

bool is_python_version(std::string_view text) {
  const auto dots = std::count(text.begin(), text.end(), '.');
  return text.starts_with("3.") && (dots == 1 || dots == 2) && text.back() != '.' &&
         text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || is_digit(c); });
}

void read_build_from_source(Decoder& in, JobSpec& spec) {
  in.read("build_from_source", spec.build_from_source, 16, {.bytes_min = 1, .bytes_max = 128});
  std::set<std::string> names;
  for (size_t i = 0; i < spec.build_from_source.size(); ++i) {
    const std::string& name = spec.build_from_source[i];
    const auto add = [&](std::string message) {
      in.findings()->push_back(
          {.pointer = fmt::format("{}/{}", in.pointer_to("build_from_source"), i),
           .message = std::move(message)});
    };
    const auto parsed = packaging::parse_requirement(name);
    if (!parsed || !parsed->extras.empty() || !parsed->clauses.empty() || !parsed->marker.empty()) {
      add(fmt::format("expected the name of a package, found '{}'", name));
    } else if (!names.insert(parsed->name).second) {
      add(fmt::format("'{}' is there twice", parsed->name));
    }
  }
  if (!spec.build_from_source.empty() && spec.requirements.empty()) {
    in.add("build_from_source", "names packages that requirements need; there are none");
  }
}

void read_packages(Decoder& in, JobSpec& spec) {
  in.read("requirements", spec.requirements, 64, {.bytes_min = 1, .bytes_max = 256});
  read_build_from_source(in, spec);
  in.read("python_version", spec.python_version, {.bytes_max = 16});
  if (!spec.python_version.empty() && !is_python_version(spec.python_version)) {
    in.add("python_version", fmt::format("expected a version such as 3.11 or 3.11.2, found '{}'",
                                         spec.python_version));
  }
  if (const json::value* lock = in.take("environment_lock"); lock != nullptr) {
    spec.environment_lock =
        packaging::decode_lock(*lock, in.pointer_to("environment_lock"), in.findings());
    if (!spec.requirements.empty()) {
      in.add("environment_lock", "stands in place of requirements; give one of the two");
    }
  }
}

void read_network(Decoder& in, JobSpec& spec) {
  const json::value* network = in.take("network");
  if (network == nullptr) return;
  Decoder members(*network, in.pointer_to("network"), in.findings());
  members.read("allow", spec.network_allow, 32, {.bytes_min = 1, .bytes_max = 260});
  members.refuse_unknown();
  for (const std::string& target : spec.network_allow) {
    if (is_host_and_port(target)) continue;
    members.add("allow", fmt::format("expected host:port in lower case, found '{}'", target));
  }
}

void read_secrets(Decoder& in, JobSpec& spec) {
  in.read("secrets", spec.secrets, kSecretsMax, {.bytes_min = 1, .bytes_max = 64});
  std::set<std::string_view> names;
  for (size_t i = 0; i < spec.secrets.size(); ++i) {
    const std::string& name = spec.secrets[i];
    const auto add = [&](std::string message) {
      in.findings()->push_back({.pointer = fmt::format("{}/{}", in.pointer_to("secrets"), i),
                                .message = std::move(message)});
    };
    if (auto good = check_secret_name(name); !good) add(good.error().message);
    if (!names.insert(name).second) add(fmt::format("'{}' is there twice", name));
    if (spec.environment.contains(name)) add(fmt::format("'{}' is in environment too", name));
  }
}

void read_program(Decoder& in, JobSpec& spec) {
  in.read("program", spec.program, {.bytes_max = 255});
  in.read("inputs", spec.inputs, 256, {.bytes_min = 1, .bytes_max = 255});
  in.read("replicas", spec.replicas, {1, kReplicasMax});
}

// A native program has no Python, and what it has are files of the job.
void check_program_members(Decoder& in, const JobSpec& spec) {
  if (spec.program.empty()) {
    if (!spec.inputs.empty()) in.add("inputs", "is for jobs with a program");
    if (spec.replicas > 1) {
      in.add("replicas", "needs a native program: only its bits are the same on every machine");
    }
    return;
  }
  const auto is_file = [&](const std::string& path) {
    return std::any_of(spec.files.begin(), spec.files.end(),
                       [&](const InputFile& file) { return file.path == path; });
  };
  if (!is_file(spec.program)) {
    in.add("program", fmt::format("'{}' is none of the job's files", spec.program));
  }
  for (const auto& [name, path] : spec.inputs) {
    if (is_file(path)) continue;
    in.add("inputs", fmt::format("'{}' of input '{}' is none of the job's files", path, name));
  }
  if (!spec.arguments.empty()) in.add("arguments", "are for Python; a program takes inputs");
  if (!spec.requirements.empty()) in.add("requirements", "are for Python");
  if (spec.environment_lock) in.add("environment_lock", "is for Python");
  if (!spec.python_version.empty()) in.add("python_version", "is for Python");
  if (!spec.network_allow.empty()) in.add("network", "is for Python");
  if (spec.security_level != "standard") {
    in.add("security_level", "high is for Python: a native program was verified before it runs");
  }
  if (!spec.allowed_imports.empty()) in.add("allowed_imports", "are for Python");
  if (!spec.environment.empty()) in.add("environment", "is for Python");
  if (!spec.secrets.empty()) in.add("secrets", "are for Python");
}

std::string default_name(const JobSpec& spec) {
  const std::string& path = spec.program.empty() ? spec.filename : spec.program;
  const std::string base = path.substr(path.rfind('/') + 1);
  return base == "main.py" ? "job" : base.substr(0, base.rfind('.'));
}

}  // namespace

bool builds_from_source(const JobSpec& spec) {
  return !spec.build_from_source.empty() ||
         (spec.environment_lock && !spec.environment_lock->sources.empty());
}

JobSpec decode_job_spec(const json::value& value, std::vector<Finding>* findings) {
  JobSpec spec;
  Decoder in(value, "", findings);
  in.take("id");
  in.read("name", spec.name, {.bytes_max = 128});
  read_program(in, spec);
  if (in.peek("program") == nullptr) {
    in.require("code", spec.code, TextLimit{1, kCodeBytesMax});
  } else if (in.take("code") != nullptr) {
    in.add("code", "a job has code or a program, not both");
  }
  in.read("filename", spec.filename, {.bytes_min = 1, .bytes_max = 255});
  in.read("arguments", spec.arguments, 256);
  read_files(in, spec.files);
  in.read("environment", spec.environment, 64);
  read_secrets(in, spec);
  read_packages(in, spec);
  read_network(in, spec);
  in.read_word("security_level", spec.security_level, {"standard", "high"});
  if (const json::value* hardware = in.take("hardware"); hardware != nullptr) {
    Decoder members(*hardware, in.pointer_to("hardware"), findings);
    if (hardware->is_object()) read_hardware(members, spec.hardware);
  }
  in.read("timeout", spec.timeout_s, {1, 604800});
  in.read("cpu_seconds_max", spec.cpu_seconds_max, {0, 100'000'000});
  in.read("queue_timeout", spec.queue_timeout_s, {1, 2'592'000});
  in.read("processes_max", spec.processes_max, {1, 32768});
  in.read_bytes("output_bytes_max", spec.output_bytes_max, {0, 1'000'000'000});
  in.read("max_retries", spec.max_retries, {0, 100});
  in.read_word("import_policy", spec.import_policy, {"standard", "off"});
  in.read("allowed_imports", spec.allowed_imports, 256, {.bytes_min = 1, .bytes_max = 128});
  in.refuse_unknown();

  if (!is_utf8(spec.code)) in.add("code", "is not valid UTF-8");
  if (spec.code.find('\0') != std::string::npos) in.add("code", "contains a NUL character");
  if (!is_relative_path(spec.filename)) in.add("filename", "expected a relative path");
  check_program_members(in, spec);
  refuse_clashes(in, spec);
  refuse_a_full_disk(in, spec);
  for (const auto& [name, text] : spec.environment) {
    if (!is_environment_name(name) || text.find('\0') != std::string::npos) {
      in.add("environment", fmt::format("'{}' is not a valid variable", name.substr(0, 64)));
    }
  }
  if (spec.name.empty()) spec.name = default_name(spec);
  return spec;
}

json::value encode(const JobSpec& spec, bool with_code) {
  json::object out;
  out["name"] = spec.name;
  if (!spec.program.empty()) {
    json::object inputs;
    for (const auto& [name, path] : spec.inputs) inputs[name] = path;
    out["program"] = spec.program;
    out["inputs"] = std::move(inputs);
    out["replicas"] = spec.replicas;
  } else if (with_code) {
    out["code"] = spec.code;
  }
  out["filename"] = spec.filename;
  out["arguments"] = json::value_from(spec.arguments);
  json::array files;
  for (const InputFile& file : spec.files) {
    files.push_back(
        json::object{{"path", file.path}, {"sha256", file.sha256.text()}, {"bytes", file.bytes}});
  }
  out["files"] = std::move(files);
  json::object environment;
  for (const auto& [name, text] : spec.environment) environment[name] = text;
  out["environment"] = std::move(environment);
  out["secrets"] = json::value_from(spec.secrets);
  out["requirements"] = json::value_from(spec.requirements);
  if (!spec.build_from_source.empty()) {
    out["build_from_source"] = json::value_from(spec.build_from_source);
  }
  out["python_version"] = spec.python_version;
  if (spec.environment_lock) out["environment_lock"] = packaging::encode(*spec.environment_lock);
  out["network"] = json::object{{"allow", json::value_from(spec.network_allow)}};
  out["security_level"] = spec.security_level;
  out["hardware"] =
      json::object{{"cpu_cores", static_cast<double>(spec.hardware.cpu_millicores) / 1000},
                   {"memory", spec.hardware.memory_bytes},
                   {"disk", spec.hardware.disk_bytes},
                   {"gpu_count", spec.hardware.gpu_count},
                   {"gpu_memory", spec.hardware.gpu_memory_bytes},
                   {"gpu_model", spec.hardware.gpu_model}};
  out["timeout"] = spec.timeout_s;
  out["cpu_seconds_max"] = spec.cpu_seconds_max;
  out["queue_timeout"] = spec.queue_timeout_s;
  out["processes_max"] = spec.processes_max;
  out["output_bytes_max"] = spec.output_bytes_max;
  out["max_retries"] = spec.max_retries;
  out["import_policy"] = spec.import_policy;
  out["allowed_imports"] = json::value_from(spec.allowed_imports);
  return out;
}

Sha256 digest(const JobSpec& spec) { return Sha256::of(to_text(encode(spec))); }

}  // namespace bcai
