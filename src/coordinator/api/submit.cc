// SPDX-License-Identifier: Apache-2.0
// POST /v1/jobs: decode, check the code or the program, commit, answer. Everything wrong is told at
// once.
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator/api/job_json.h"
#include "coordinator/programs/quote.h"
#include "coordinator/store/artifacts.h"
#include "coordinator/store/secrets.h"
#include "packaging/requirement.h"
#include "protocol/network.h"
#include "protocol/secret.h"

namespace bcai::coordinator {
namespace {

struct Pending {
  explicit Pending(Call of) : call(std::move(of)) {}

  Call call;
  Submission submission;
  std::vector<Finding> findings;
  // Of the commit:
  bool created = false;
  std::string job_text;
};
using PendingPtr = std::shared_ptr<Pending>;

void refuse(Services& services, const PendingPtr& pending, net::Response response) {
  if (services.observer.submission) services.observer.submission("refused");
  pending->call.reply.send(std::move(response));
}

void read_id(Services& services, const json::value& body, Pending& pending) {
  const json::value* id = body.is_object() ? body.get_object().if_contains("id") : nullptr;
  if (id == nullptr || id->is_null()) {
    pending.submission.id = JobId::make(services.clock.wall(), services.random);
    return;
  }
  Result<JobId> parsed =
      id->is_string() ? JobId::parse(to_std(id->get_string())) : JobId::parse("");
  if (parsed) {
    pending.submission.id = *parsed;
  } else {
    pending.findings.push_back({.pointer = "/id", .message = parsed.error().message});
  }
}

// Top-level names that the job's own files make importable: "a/b.py" and "a.py" make "a".
std::vector<std::string> modules_of(const JobSpec& spec) {
  std::vector<std::string> modules;
  const auto add = [&](const std::string& path) {
    const size_t slash = path.find('/');
    const std::string first = path.substr(0, slash);
    if (slash != std::string::npos) {
      modules.push_back(first);
    } else if (first.ends_with(".py")) {
      modules.push_back(first.substr(0, first.size() - 3));
    }
  };
  add(spec.filename);
  for (const InputFile& file : spec.files) add(file.path);
  std::sort(modules.begin(), modules.end());
  modules.erase(std::unique(modules.begin(), modules.end()), modules.end());
  return modules;
}

// What the job may import: what it says, and the packages it asks for by their names. What they
// bring under other names is known on the node alone.
std::vector<std::string> imports_of(const JobSpec& spec) {
  std::vector<std::string> modules = spec.allowed_imports;
  const auto add = [&](std::string name) {
    std::replace(name.begin(), name.end(), '-', '_');
    modules.push_back(std::move(name));
  };
  for (const std::string& text : spec.requirements) {
    if (auto requirement = packaging::parse_requirement(text)) add(std::move(requirement->name));
  }
  if (!spec.network_allow.empty()) {
    for (const char* name : {"http.client", "socket", "ssl", "urllib.request"}) add(name);
  }
  if (!spec.environment_lock) return modules;
  for (const auto& package : spec.environment_lock->packages) add(package.name);
  return modules;
}

// What its key does not permit, a job does not ask for.
void check_network(const Principal& who, const JobSpec& spec, std::vector<Finding>* findings) {
  if (!who.network) return;
  for (size_t i = 0; i < spec.network_allow.size(); i++) {
    if (allow_all(*who.network, {spec.network_allow[i]})) continue;
    findings->push_back(
        {.pointer = fmt::format("/network/allow/{}", i),
         .message = fmt::format(
             "the key {} ({}) does not permit {}; it permits {}", who.key.text(), who.name,
             spec.network_allow[i],
             who.network->empty() ? "no host" : fmt::format("{}", fmt::join(*who.network, ", ")))});
  }
}

// A file of the job must be one that the submitter may read; else a job could be used to read what
// belongs to others.
Result<void> check_files(store::Connection& db, Pending& pending) {
  for (size_t i = 0; i < pending.submission.spec.files.size(); ++i) {
    const InputFile& file = pending.submission.spec.files[i];
    const auto add = [&](std::string_view member, std::string message) {
      pending.findings.push_back(
          {.pointer = fmt::format("/files/{}/{}", i, member), .message = std::move(message)});
    };
    Result<store::ArtifactRecord> artifact = store::find_artifact(db, file.sha256);
    if (!artifact && artifact.error().code != ErrorCode::kNotFound) return artifact.error();
    bool readable = artifact && pending.call.who.role == Role::kOwner;
    if (artifact && !readable) {
      BCAI_TRY_ASSIGN(readable, store::may_read(db, pending.call.who.key, file.sha256));
    }
    if (!readable) {
      add("sha256", fmt::format("'{}' is not uploaded: PUT /v1/artifacts/{} first", file.path,
                                file.sha256.text()));
    } else if (artifact->bytes != file.bytes) {
      add("bytes",
          fmt::format("'{}' has {} bytes, found {}", file.path, artifact->bytes, file.bytes));
    }
  }
  if (pending.findings.empty()) return {};
  return error(ErrorCode::kFailedPrecondition, "files of the job are missing");
}

// Each is one of the submitter's; an owner key, too, names only its own.
Result<void> check_secrets(store::Connection& db, Pending& pending) {
  const std::vector<std::string>& names = pending.submission.spec.secrets;
  if (names.empty()) return {};
  BCAI_TRY_ASSIGN(const auto known, store::list_secrets(db, pending.call.who.key));
  std::string list;
  for (const auto& secret : known) list += (list.empty() ? "" : ", ") + secret.name;
  int64_t bytes = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const auto& secret) { return secret.name == names[i]; });
    if (found != known.end()) {
      bytes += found->bytes;
      continue;
    }
    pending.findings.push_back(
        {.pointer = fmt::format("/secrets/{}", i),
         .message = fmt::format("this key has no secret {}; {}", names[i],
                                list.empty() ? "it has none" : "it has " + list)});
  }
  if (bytes > static_cast<int64_t>(kSecretsBytesMax)) {
    pending.findings.push_back(
        {.pointer = "/secrets",
         .message =
             fmt::format("take {} bytes together, expected at most {}", bytes, kSecretsBytesMax)});
  }
  if (pending.findings.empty()) return {};
  return error(ErrorCode::kInvalidArgument, "the job names secrets that it cannot have");
}

Result<void> commit(Services& services, store::Connection& db, Pending& pending) {
  pending.findings.clear();
  BCAI_TRY(check_files(db, pending));
  BCAI_TRY(check_secrets(db, pending));
  BCAI_TRY_ASSIGN(const Submitted submitted, submit(db, services.clock.wall(), pending.submission));
  pending.created = submitted.created;
  BCAI_TRY_ASSIGN(const JobRecord record, find_job(db, pending.submission.id));
  pending.job_text = to_text(job_json(db, record));
  return {};
}

void answer(Services& services, const PendingPtr& pending, const Result<void>& done) {
  if (!done) {
    refuse(services, pending, problem_response(done.error(), pending->findings));
    return;
  }
  if (services.observer.submission) {
    services.observer.submission(pending->created ? "created" : "repeated");
  }
  net::Response response =
      json_text_response(pending->created ? 202 : 200, std::move(pending->job_text));
  response.headers.emplace_back("Location", "/v1/jobs/" + pending->submission.id.text());
  pending->call.reply.send(std::move(response));
}

void store(Services& services, const PendingPtr& pending) {
  const Millis queue_timeout(pending->submission.spec.queue_timeout_s * 1000);
  services.database.write(
      [&services, pending](store::Connection& db) { return commit(services, db, *pending); },
      [&services, pending, queue_timeout](Result<void> done) {
        answer(services, pending, done);
        if (done && pending->created) services.dispatch.deadline_within(queue_timeout);
      });
  // Behind the write, so that both can share one commit.
  services.dispatch.kick();
}

void checked(Services& services, const PendingPtr& pending,
             const Result<policy::CheckReport>& report) {
  if (report) {
    pending->findings.insert(pending->findings.end(), report->findings.begin(),
                             report->findings.end());
  } else if (pending->findings.empty()) {
    refuse(services, pending, problem_response(report.error()));
    return;
  }
  if (!pending->findings.empty()) {
    refuse(services, pending, findings_response("job", pending->findings));
    return;
  }
  store(services, pending);
}

void quote_and_store(Services& services, const PendingPtr& pending) {
  const FindFile find_file = [&services](const Sha256& sha256) {
    return services.artifacts.path_of(sha256);
  };
  const std::optional<Quote> quote =
      quote_program(pending->submission.spec, find_file, &pending->findings);
  if (!quote) {
    refuse(services, pending, findings_response("job", pending->findings));
    return;
  }
  pending->submission.quote = to_text(encode(*quote));
  store(services, pending);
}

// A program is a file, so first it must be one that the submitter may read.
void check_program(Services& services, const PendingPtr& pending) {
  if (!pending->findings.empty()) {
    refuse(services, pending, findings_response("job", pending->findings));
    return;
  }
  services.database.read([&services, pending](store::Connection& db) {
    const Result<void> readable = check_files(db, *pending);
    if (!readable) {
      refuse(services, pending, problem_response(readable.error(), pending->findings));
      return;
    }
    const bool taken =
        services.programs.post([&services, pending] { quote_and_store(services, pending); });
    if (taken) return;
    refuse(services, pending,
           problem_response(
               error(ErrorCode::kUnavailable, "too many programs wait to be verified; try again")));
  });
}

}  // namespace

void submit_job(Services& services, Call call) {
  std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) {
    if (services.observer.submission) services.observer.submission("refused");
    return;
  }
  call.request.body = {};
  auto pending = std::make_shared<Pending>(std::move(call));
  Submission& submission = pending->submission;
  submission.owner = pending->call.who.key;
  read_id(services, *body, *pending);
  submission.spec = decode_job_spec(*body, &pending->findings);
  check_spec(submission.spec, &pending->findings);
  check_network(pending->call.who, submission.spec, &pending->findings);

  if (!submission.spec.program.empty()) return check_program(services, pending);
  const bool code_is_bad = std::any_of(pending->findings.begin(), pending->findings.end(),
                                       [](const Finding& one) { return one.pointer == "/code"; });
  if (code_is_bad || submission.spec.code.empty()) {
    refuse(services, pending, findings_response("job", pending->findings));
    return;
  }
  policy::CheckRequest request{.code = submission.spec.code,
                               .filename = submission.spec.filename,
                               .imports_restricted = submission.spec.import_policy == "standard",
                               .allowed_imports = imports_of(submission.spec),
                               .job_modules = modules_of(submission.spec)};
  services.checker.check(std::move(request),
                         [&services, pending](const Result<policy::CheckReport>& report) {
                           checked(services, pending, report);
                         });
}

}  // namespace bcai::coordinator
