// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "base/decode.h"
#include "cli/declarations.h"

namespace bcai::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0    success\n"
    "  1    the job failed, was cancelled or got lost; doctor: something needed is lacking\n"
    "  2    usage, or the coordinator refused the input\n"
    "  3    the coordinator cannot be reached, or a wait ran out of time\n"
    "  130  interrupted (Ctrl-C)\n";

// Options whose value is a path, so that the shell completes file names.
bool takes_path(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type == "PATH" || type == "DIR" || type.starts_with("PATH[");
}

// Finishes what options alone cannot say.
std::string check(JobOptions& job) {
  if (job.code) {
    // With --code there is no file: the first word is the program's.
    if (!job.file.empty()) job.arguments.insert(job.arguments.begin(), job.file);
    job.file.clear();
  } else if (job.file.empty()) {
    return "what shall run? Give a Python file, --code TEXT, or - for standard input";
  }
  return "";
}

JobOptions* job_options(Command& command) {
  if (auto* run = std::get_if<RunOptions>(&command)) return &run->job;
  if (auto* submit = std::get_if<SubmitOptions>(&command)) return &submit->job;
  return nullptr;
}

std::string check(Command& command) {
  if (const auto* run = std::get_if<RunOptions>(&command);
      run != nullptr && run->local && !run->job.connection.endpoint.empty()) {
    return "--local and --endpoint exclude each other";
  }
  if (JobOptions* job = job_options(command); job != nullptr) return check(*job);
  if (auto* deploy = std::get_if<NodeDeployOptions>(&command)) {
    if (deploy->config.empty() && deploy->flags.empty() && !deploy->print_example &&
        !deploy->print_config) {
      return "--config is required; `bcai node deploy --print-example` shows one";
    }
  }
  return "";
}

std::string usage_error(const std::string& message, const std::string& command) {
  return fmt::format("error: {}\n`bcai{}{} --help` shows what can be said.\n", message,
                     command.empty() ? "" : " ", command);
}

// "run" of "run --gpuu": the path of the subcommands given.
std::string command_path(const CLI::App& app) {
  std::string path;
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    path += (path.empty() ? "" : " ") + at->get_name();
  }
  return path;
}

CLI::App* subcommand(CLI::App& app, const std::string& name) {
  for (CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_name() == name) return sub;
  }
  return nullptr;
}

std::vector<std::string> names_below(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return names;
}

// CLI11 names what it did not expect; this says what was meant.
std::string explain(const CLI::ParseError& failure, CLI::App& app) {
  const auto* extras = dynamic_cast<const CLI::ExtrasError*>(&failure);
  if (extras == nullptr) return failure.what();
  CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  const std::vector<std::string> left = app.remaining(true);
  if (left.empty()) return failure.what();
  const std::string& word = left.front();
  std::vector<std::string> known = names_below(*at);
  for (const CLI::Option* option : at->get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  const std::string name = word.substr(0, word.find('='));
  const std::string near = nearest_word(name, known);
  std::string message =
      fmt::format("unknown {} '{}'", word.starts_with('-') ? "option" : "word", name);
  if (!near.empty()) message += fmt::format(" (did you mean {}?)", near);
  if (word.starts_with('-') && (at->get_name() == "run" || at->get_name() == "submit")) {
    message += "; what is meant for the program goes after --";
  }
  return message;
}

}  // namespace

Parsed parse_arguments(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "help" && words[1] == "exit-codes") {
    return {.command = {}, .text = kExitCodes, .exit_code = 0};
  }
  // `bcai help run` is `bcai run --help`.
  std::vector<std::string> asked = words;
  if (!asked.empty() && asked[0] == "help") {
    asked.erase(asked.begin());
    asked.emplace_back("--help");
  }
  if (asked.empty()) asked.emplace_back("--help");
  if (asked.size() == 1 && asked[0] == "--version") asked[0] = "version";

  // CLI11 gives what follows "--" to the parent command; it is the program's.
  std::vector<std::string> for_program;
  if (!asked.empty() && (asked[0] == "run" || asked[0] == "submit")) {
    const auto mark = std::find(asked.begin(), asked.end(), "--");
    if (mark != asked.end()) for_program.assign(mark + 1, asked.end());
    asked.erase(mark, asked.end());
  }

  auto declarations = std::make_unique<Declarations>();
  CLI::App& app = declarations->app();
  try {
    std::reverse(asked.begin(), asked.end());  // as CLI11 takes them
    app.parse(asked);
  } catch (const CLI::CallForHelp&) {
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
    return {.command = {}, .text = at->help(), .exit_code = 0};
  } catch (const CLI::ParseError& failure) {
    return {.command = {},
            .text = usage_error(explain(failure, app), command_path(app)),
            .exit_code = 2};
  }
  std::optional<Command> command = declarations->command();
  if (!command) {
    return {.command = {},
            .text = usage_error("a subcommand is missing", command_path(app)),
            .exit_code = 2};
  }
  if (JobOptions* job = job_options(*command); job != nullptr) {
    job->arguments.insert(job->arguments.end(), for_program.begin(), for_program.end());
  }
  if (const std::string wrong = check(*command); !wrong.empty()) {
    return {.command = {}, .text = usage_error(wrong, command_path(app)), .exit_code = 2};
  }
  return {.command = std::move(command), .text = "", .exit_code = 0};
}

std::string complete(const std::vector<std::string>& words) {
  if (words.empty()) return "";
  Declarations declarations;
  CLI::App* at = &declarations.app();
  const CLI::Option* pending = nullptr;  // an option that waits for its value
  size_t positionals = 0;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (pending != nullptr) {
      pending = nullptr;
      continue;
    }
    if (word.starts_with('-') && word.size() > 1) {
      const CLI::Option* option = at->get_option_no_throw(word);
      if (option != nullptr && option->get_type_size() > 0) pending = option;
    } else if (CLI::App* sub = subcommand(*at, word); sub != nullptr) {
      at = sub;
      positionals = 0;
    } else {
      ++positionals;
    }
  }
  const std::string& prefix = words.back();
  if (pending != nullptr) return takes_path(*pending) ? ":files\n" : "";

  std::vector<std::string> candidates;
  if (prefix.starts_with('-')) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) candidates.push_back("--" + name);
    }
  } else {
    candidates = names_below(*at);
    const std::string command = at->get_name();
    if ((command == "run" || command == "submit") && candidates.empty()) return ":files\n";
    if (command == "completion") candidates = {"bash", "zsh", "fish"};
    const CLI::Option* id = at->get_option_no_throw("ID");
    if (id != nullptr && positionals == 0 && command != "revoke") candidates.emplace_back("last");
  }
  std::string out;
  std::sort(candidates.begin(), candidates.end());
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(prefix)) out += candidate + "\n";
  }
  return out;
}

}  // namespace bcai::cli
