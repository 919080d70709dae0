// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "cli/program.h"

int main(int argc, char** argv) {
  return bcai::cli::run_program(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
