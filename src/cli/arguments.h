// SPDX-License-Identifier: Apache-2.0
// The command line. The words become the options of one subcommand, a text to show, or an
// answer to the shell that completes them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"

namespace bcai::cli {

// Exactly one of command and text: help and usage errors are texts.
struct Parsed {
  std::optional<Command> command;
  std::string text;
  int exit_code = 0;  // of the text: 0 is help, for standard output; 2 is an error
};

// `words` are the arguments without the program's name.
Parsed parse_arguments(const std::vector<std::string>& words);

// What may stand in place of the last word, one a line: subcommands, options, fixed words. A first
// line ":files" asks the shell for file names instead.
std::string complete(const std::vector<std::string>& words);

}  // namespace bcai::cli
