// SPDX-License-Identifier: Apache-2.0
#include "sandbox/zygote/preload.h"

#include <gtest/gtest.h>

namespace bcai::sandbox {
namespace {

TEST(ImportedLibrary, IsWhatTheCodeSaysItImports) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {"print(1)\n", ""},
      {"import torch", "torch"},
      {"import torch.nn as nn", "torch"},
      {"from torch.nn import Linear\n", "torch"},
      {"def f():\n    \timport numpy as np\n", "numpy"},
      {"import os, numpy", "numpy"},
      {"import os; import torch", "torch"},
      {"import numpy\nimport torch\n", "torch"},
      {"import torch\nimport numpy\n", "torch"},
      {"import numpy# fast\r\n", "numpy"},
      {"importtorch", ""},
      {"import torchvision", ""},
      {"import torch_like, numpyro", ""},
      {"from .torch import x", ""},
      {"# import torch", ""},
      {"x = 'import torch'", ""},
      {"from", ""},
      {"import", ""},
      {";;,import ,torch", ""},
  };
  for (const auto& [code, expected] : cases) EXPECT_EQ(imported_library(code), expected) << code;
}

Task task_of(std::string code) {
  Task task;
  task.tenant = "a";
  task.code = std::move(code);
  return task;
}

const Interpreter kInterpreter{.version = "3.11.2",
                               .program = {},
                               .standard_library = {},
                               .extensions = {},
                               .site_packages = {},
                               .packages = {{"numpy", "2.0"}}};

TEST(ZygoteKey, SeparatesTenantsOverlaysLibrariesAndThreads) {
  const Task numpy = task_of("import numpy");
  const auto key = zygote_key(numpy, kInterpreter);
  ASSERT_TRUE(key);
  EXPECT_EQ(*key, (ZygoteKey{.tenant = "a", .overlay = "", .preload = "numpy", .threads = 1}));
  Task other = numpy;
  other.tenant = "b";
  EXPECT_NE(zygote_key(other, kInterpreter), key);
  other = numpy;
  other.overlay = "/x";
  EXPECT_NE(zygote_key(other, kInterpreter), key);
  other = numpy;
  other.limits.cpu_millicores = 2000;
  EXPECT_NE(zygote_key(other, kInterpreter), key);
  // What the environment lacks is not loaded: the job shall see the error.
  EXPECT_EQ(zygote_key(task_of("import torch"), kInterpreter)->preload, "");
}

TEST(ZygoteKey, IsNoneWhereAZygoteWouldBeWrong) {
  EXPECT_FALSE(zygote_key(Task{}, kInterpreter));
  Task native = task_of("");
  native.native = {"vm"};
  EXPECT_FALSE(zygote_key(native, kInterpreter));
  Task connected = task_of("");
  connected.proxy = "/x";
  EXPECT_FALSE(zygote_key(connected, kInterpreter));
  for (const char* name : {"OMP_NUM_THREADS", "PYTHONHASHSEED", "LD_PRELOAD", "TORCH_LOGS"}) {
    Task early = task_of("");
    early.environment = {{"SEED", "1"}, {name, "1"}};
    EXPECT_FALSE(zygote_key(early, kInterpreter)) << name;
  }
  Task shadow = task_of("import numpy");
  shadow.files = {{"numpy/__init__.py", "/x"}};
  EXPECT_FALSE(zygote_key(shadow, kInterpreter));
  shadow.files.clear();
  shadow.filename = "torch.py";
  EXPECT_FALSE(zygote_key(shadow, kInterpreter));
}

}  // namespace
}  // namespace bcai::sandbox
