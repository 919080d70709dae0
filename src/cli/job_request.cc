// SPDX-License-Identifier: Apache-2.0
#include "cli/job_request.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/units.h"
#include "cli/findings.h"
#include "cli/vm_program.h"
#include "protocol/problem.h"
#include "vm/binary/binary.h"

namespace bcai::cli {
namespace {

constexpr int64_t kCodeBytesMax = int64_t{1} << 20;
constexpr size_t kFilesMax = 1000;
constexpr int kTries = 3;

Result<std::string> read_to_end(int fd, const std::string& name) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, fmt::format("read {}", name));
    text.append(buffer, static_cast<size_t>(got));
    if (static_cast<int64_t>(text.size()) > kCodeBytesMax) {
      return error(ErrorCode::kInvalidArgument,
                   "{}: a program has at most 1 MiB of code; files "
                   "beside it go with --file PATH",
                   name);
    }
  }
}

Result<Sha256> hash_file(const std::filesystem::path& path, int64_t& bytes) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, fmt::format("open {}", path.string()));
  Sha256Stream hash;
  std::string buffer(1 << 20, '\0');
  bytes = 0;
  for (;;) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got == 0) return hash.finish();
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, fmt::format("read {}", path.string()));
    bytes += got;
    hash.update({buffer.data(), static_cast<size_t>(got)});
  }
}

Result<void> add_upload(const std::filesystem::path& source, const std::string& destination,
                        std::vector<Upload>& uploads) {
  if (uploads.size() >= kFilesMax) {
    return error(ErrorCode::kInvalidArgument, "--file: a job takes at most {} files", kFilesMax);
  }
  Upload upload{
      .source = source, .file = {.path = destination, .sha256 = {}, .bytes = 0}, .held = {}};
  BCAI_TRY_ASSIGN(upload.file.sha256, hash_file(source, upload.file.bytes));
  uploads.push_back(std::move(upload));
  return {};
}

Result<void> add_directory(const std::filesystem::path& source, const std::string& destination,
                           std::vector<Upload>& uploads) {
  std::error_code failure;
  std::vector<std::filesystem::path> files;
  using Iterator = std::filesystem::recursive_directory_iterator;
  for (Iterator at(source, failure), end; !failure && at != end; at.increment(failure)) {
    if (at->is_regular_file(failure)) files.push_back(at->path());
  }
  if (failure) {
    return error(ErrorCode::kInvalidArgument, "--file {}: {}", source.string(), failure.message());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    const std::string below = file.lexically_relative(source).generic_string();
    BCAI_TRY(add_upload(file, destination == "." ? below : destination + "/" + below, uploads));
  }
  return {};
}

void add_hardware(const JobOptions& options, json::object& body) {
  json::object hardware;
  if (options.cpu_cores > 0) hardware["cpu_cores"] = options.cpu_cores;
  if (!options.memory.empty()) hardware["memory"] = options.memory;
  if (!options.disk.empty()) hardware["disk"] = options.disk;
  if (options.gpu_count > 0) hardware["gpu_count"] = options.gpu_count;
  if (!options.gpu_memory.empty()) hardware["gpu_memory"] = options.gpu_memory;
  if (!options.gpu_model.empty()) hardware["gpu_model"] = options.gpu_model;
  if (!hardware.empty()) body["hardware"] = std::move(hardware);
}

void add_texts(json::object& body, std::string_view key, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  body[to_json(key)] = std::move(array);
}

// The coordinator counts whole seconds; a part of one is rounded up.
int64_t seconds(Millis duration) { return (duration.count() + 999) / 1000; }

Result<void> upload_all(ApiClient& api, const Screen& screen, const std::vector<Upload>& uploads) {
  for (const Upload& upload : uploads) {
    const bool shown = screen.err_is_terminal && upload.file.bytes > 8'000'000;
    Result<void> done;
    for (int tried = 0; tried < kTries; ++tried) {
      done = api.upload(upload.source, upload.file.sha256, upload.file.bytes, [&](int64_t sent) {
        if (!shown) return;
        screen.err("\r\033[K{}",
                   shorten(fmt::format("uploading {}  {} of {}", upload.source.string(),
                                       format_bytes(sent), format_bytes(upload.file.bytes)),
                           screen.width - 1));
      });
      if (done || done.error().code != ErrorCode::kUnavailable) break;
    }
    if (shown) screen.err("\r\033[K");
    if (!done) {
      return error(done.error().code, "upload of {}: {}", upload.source.string(),
                   done.error().message);
    }
  }
  return {};
}

int refused(const Screen& screen, const JobOptions& options, const Program& program,
            const Error& failure, const Refusal& refusal) {
  if (options.json) {
    json::array errors;
    for (const Finding& finding : refusal.findings) {
      errors.push_back(json::object{{"pointer", finding.pointer},
                                    {"message", finding.message},
                                    {"line", finding.line},
                                    {"column", finding.column}});
    }
    screen.out("{}\n", to_text(json::object{{"event", "refused"},
                                            {"code", to_json(error_code_name(failure.code))},
                                            {"message", failure.message},
                                            {"errors", std::move(errors)}}));
    return exit_code(failure.code);
  }
  if (refusal.findings.empty()) return report(screen, failure);
  screen.write_err(findings_with_source(screen, refusal.findings, program.shown, program.code));
  screen.error(printable(refusal.detail.empty() ? "the job was refused" : refusal.detail));
  return exit_code(failure.code);
}

Result<Program> read_native_program(const std::string& file) {
  BCAI_TRY_ASSIGN(const vm::VerifiedProgram verified, read_verified_program(file));
  const vm::Program& program = verified.program();
  return Program{.code = {},
                 .filename = std::filesystem::path(file).stem().string() + ".bcvm",
                 .shown = file,
                 .binary = vm::encode(program),
                 .argument_names = program.functions[0].argument_names};
}

void add_native(const JobOptions& options, const Program& program,
                const std::map<std::string, std::string>& inputs, json::object& body) {
  json::object paths;
  for (const auto& [name, path] : inputs) paths[name] = path;
  body["program"] = program.filename;
  body["inputs"] = std::move(paths);
  if (options.replicas > 1) body["replicas"] = options.replicas;
}

}  // namespace

Result<Program> read_program(const JobOptions& options) {
  Program program{.code = {}, .filename = "main.py", .shown = "main.py"};
  if (options.code) {
    program.code = *options.code;
  } else if (options.file == "-") {
    program.shown = "<stdin>";
    BCAI_TRY_ASSIGN(program.code, read_to_end(STDIN_FILENO, "standard input"));
  } else {
    const std::filesystem::path path = options.file;
    const std::string suffix = path.extension().string();
    if (suffix == ".yaml" || suffix == ".yml") {
      return error(ErrorCode::kUnimplemented, "{}: this version runs Python files and programs",
                   options.file);
    }
    if (suffix == ".bcvm" || suffix == ".bcasm") return read_native_program(options.file);
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
      return error(ErrorCode::kInvalidArgument, "{}", errno_error(errno, options.file).message);
    }
    BCAI_TRY_ASSIGN(program.code, read_to_end(fd.get(), options.file));
    program.filename = path.filename().string();
    program.shown = options.file;
  }
  BCAI_TRY(check_utf8(program.code, program.shown));
  if (!options.inputs.empty() || !options.weights.empty() || options.replicas > 1) {
    return error(ErrorCode::kInvalidArgument,
                 "--input, --weights and --replicas are for native programs (.bcvm, .bcasm)");
  }
  return program;
}

Result<NativeFiles> find_native_files(const JobOptions& options, const Program& program) {
  NativeFiles files;
  auto held = std::make_shared<UniqueFd>(memfd_create("program", MFD_CLOEXEC));
  if (!*held) return errno_error(errno, "memfd_create");
  BCAI_TRY(write_all(held->get(), program.binary));
  BCAI_TRY(
      add_upload(fmt::format("/proc/self/fd/{}", held->get()), program.filename, files.uploads));
  files.uploads.back().held = std::move(held);
  for (const std::string& word : options.inputs) {
    const size_t equals = word.find('=');
    const bool named = equals != std::string::npos;
    if (!named && program.argument_names.size() != 1) {
      return error(ErrorCode::kInvalidArgument, "--input {}: expected NAME=FILE, NAME one of: {}",
                   word, fmt::join(program.argument_names, ", "));
    }
    const std::string name = named ? word.substr(0, equals) : program.argument_names[0];
    const std::string path = "inputs/" + npy_file_name(name);
    if (!files.inputs.emplace(name, path).second) {
      return error(ErrorCode::kInvalidArgument, "--input: '{}' is given twice", name);
    }
    BCAI_TRY(add_upload(named ? word.substr(equals + 1) : word, path, files.uploads));
  }
  for (const std::string& source : options.weights) {
    BCAI_TRY(add_upload(source, "", files.uploads));
    InputFile& file = files.uploads.back().file;
    file.path = fmt::format("weights/{}.safetensors", file.sha256.text());
  }
  return files;
}

Result<std::vector<Upload>> find_uploads(const std::vector<std::string>& files) {
  std::vector<Upload> uploads;
  for (const std::string& text : files) {
    std::error_code failure;
    std::filesystem::path source = text;
    std::string destination;
    const size_t colon = text.rfind(':');
    if (!std::filesystem::exists(source, failure) && colon != std::string::npos && colon > 0) {
      source = text.substr(0, colon);
      destination = text.substr(colon + 1);
    }
    const std::filesystem::file_status status = std::filesystem::status(source, failure);
    if (destination.empty()) destination = source.lexically_normal().filename().string();
    if (destination.empty()) destination = ".";  // "data/" has no last part
    if (std::filesystem::is_directory(status)) {
      if (source.filename().empty()) destination = source.parent_path().filename().string();
      BCAI_TRY(add_directory(source, destination, uploads));
    } else if (std::filesystem::is_regular_file(status)) {
      BCAI_TRY(add_upload(source, destination, uploads));
    } else {
      return error(ErrorCode::kInvalidArgument, "--file {}: no such file or directory",
                   source.string());
    }
  }
  return uploads;
}

Result<JobId> choose_id(const std::string& asked, WallTime now, Random& random) {
  if (asked.empty()) return JobId::make(now, random);
  if (asked.starts_with(JobTag::kPrefix)) return JobId::parse(asked);
  const Sha256 digest = Sha256::of("bcai job id\n" + asked);
  JobId id;
  std::copy_n(digest.bytes.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

Result<std::optional<json::value>> read_environment_lock(const std::string& path) {
  if (path.empty()) return std::optional<json::value>();
  const auto wrong = [&](std::string_view why) {
    return error(ErrorCode::kInvalidArgument, "--environment-lock {}: {}", path, why);
  };
  auto text = read_file(path);
  if (!text) return wrong(text.error().message);
  auto value = parse_json(*text);
  if (!value) return wrong(value.error().message);
  if (!value->is_object()) return wrong("expected an object");
  const json::object& object = value->get_object();
  if (const json::value* inner = object.if_contains("environment_lock")) {
    return std::optional<json::value>(*inner);
  }
  if (object.contains("job_id")) return wrong("this job had no environment");
  return std::optional<json::value>(*std::move(value));
}

json::object job_body(const JobOptions& options, const Program& program,
                      const std::vector<Upload>& uploads,
                      const std::map<std::string, std::string>& inputs, const JobId& id) {
  json::object body{{"id", id.text()}};
  if (program.is_native()) {
    add_native(options, program, inputs, body);
  } else {
    body["code"] = program.code;
    body["filename"] = program.filename;
  }
  if (!options.name.empty()) body["name"] = options.name;
  add_texts(body, "arguments", options.arguments);
  add_texts(body, "secrets", options.secrets);
  add_texts(body, "requirements", options.requirements);
  add_texts(body, "build_from_source", options.build_from_source);
  if (!options.allow_hosts.empty()) {
    json::object network;
    add_texts(network, "allow", options.allow_hosts);
    body["network"] = std::move(network);
  }
  if (!options.security_level.empty()) body["security_level"] = options.security_level;
  if (!options.python_version.empty()) body["python_version"] = options.python_version;
  add_texts(body, "allowed_imports", options.allowed_imports);
  if (!options.import_policy.empty()) body["import_policy"] = options.import_policy;
  add_hardware(options, body);
  if (options.timeout) body["timeout"] = seconds(*options.timeout);
  if (options.queue_timeout) body["queue_timeout"] = seconds(*options.queue_timeout);
  if (options.max_retries) body["max_retries"] = *options.max_retries;
  if (!options.environment.empty()) {
    json::object environment;
    for (const auto& [name, value] : options.environment) environment[name] = value;
    body["environment"] = std::move(environment);
  }
  if (!uploads.empty()) {
    json::array files;
    for (const Upload& upload : uploads) {
      files.push_back(json::object{{"path", upload.file.path},
                                   {"sha256", upload.file.sha256.text()},
                                   {"bytes", upload.file.bytes}});
    }
    body["files"] = std::move(files);
  }
  return body;
}

Submission submit_job(ApiClient& api, Context& context, const JobOptions& options,
                      const Program& program) {
  const Screen& screen = context.screen;
  const auto failed = [&](const Error& failure) {
    return Submission{.job = {}, .exit_code = report(screen, failure)};
  };
  const Result<JobId> id = choose_id(options.id, context.clock.wall(), context.random);
  if (!id) return failed(error(ErrorCode::kInvalidArgument, "--id: {}", id.error().message));
  Result<std::vector<Upload>> uploads = find_uploads(options.files);
  if (!uploads) return failed(uploads.error());
  NativeFiles native;
  if (program.is_native()) {
    Result<NativeFiles> found = find_native_files(options, program);
    if (!found) return failed(found.error());
    native = *std::move(found);
    uploads->insert(uploads->end(), native.uploads.begin(), native.uploads.end());
  }
  // `--file .` finds the program too, which travels by itself.
  if (!program.is_native())
    std::erase_if(*uploads, [&](const Upload& upload) {
      return upload.file.path == program.filename && upload.file.sha256 == Sha256::of(program.code);
    });
  Result<std::optional<json::value>> lock = read_environment_lock(options.environment_lock);
  if (!lock) return failed(lock.error());
  if (const Result<void> sent = upload_all(api, screen, *uploads); !sent) {
    return failed(sent.error());
  }
  json::object body = job_body(options, program, *uploads, native.inputs, *id);
  if (*lock) body["environment_lock"] = **std::move(lock);
  const int seen = context.interrupts.count();
  Millis pause{200};
  for (int tried = 1;; ++tried) {
    Refusal refusal;
    Result<JobView> job = api.submit(body, &refusal);
    if (job) return {.job = *std::move(job), .exit_code = 0};
    // The first try may have arrived: the id makes a second one harmless.
    const bool again = job.error().code == ErrorCode::kUnavailable && tried < kTries;
    if (!again) {
      return {.job = {}, .exit_code = refused(screen, options, program, job.error(), refusal)};
    }
    if (context.interrupts.sleep(pause, seen)) return {.job = {}, .exit_code = kExitInterrupted};
    pause *= 2;
  }
}

}  // namespace bcai::cli
