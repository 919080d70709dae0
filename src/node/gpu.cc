// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>

#include <array>
#include <memory>

#include "node/detect.h"

namespace bcai::node {
namespace {

// From NVIDIA's documentation of the management library; its header is not needed to build.
struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
using NvmlDevice = void*;
constexpr unsigned kDevicesMax = 64;

struct Nvml {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*device_count)(unsigned*) = nullptr;
  int (*device_by_index)(unsigned, NvmlDevice*) = nullptr;
  int (*device_name)(NvmlDevice, char*, unsigned) = nullptr;
  int (*device_memory)(NvmlDevice, NvmlMemory*) = nullptr;
};

template <typename Function>
bool load(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

template <size_t N>
std::string terminated(std::array<char, N>& text) {
  text.back() = '\0';
  return text.data();
}

std::vector<Gpu> list(const Nvml& nvml) {
  std::vector<Gpu> gpus;
  std::array<char, 80> driver{};
  nvml.driver_version(driver.data(), driver.size());
  unsigned count = 0;
  if (nvml.device_count(&count) != 0) return gpus;
  for (unsigned index = 0; index < count && index < kDevicesMax; ++index) {
    NvmlDevice device = nullptr;
    std::array<char, 96> model{};
    NvmlMemory memory{};
    // A device that fell off the bus is counted but does not answer: it is not offered.
    if (nvml.device_by_index(index, &device) != 0 ||
        nvml.device_name(device, model.data(), model.size()) != 0 ||
        nvml.device_memory(device, &memory) != 0) {
      continue;
    }
    gpus.push_back({.model = terminated(model),
                    .memory_bytes = static_cast<int64_t>(memory.total),
                    .driver = terminated(driver).substr(0, 64)});
  }
  return gpus;
}

}  // namespace

std::vector<Gpu> detect_gpus(const char* library) {
  struct Close {
    void operator()(void* handle) const { dlclose(handle); }
  };
  const std::unique_ptr<void, Close> handle(dlopen(library, RTLD_NOW | RTLD_LOCAL));
  if (!handle) return {};
  Nvml nvml;
  if (!load(handle.get(), "nvmlInit_v2", nvml.init) ||
      !load(handle.get(), "nvmlShutdown", nvml.shutdown) ||
      !load(handle.get(), "nvmlSystemGetDriverVersion", nvml.driver_version) ||
      !load(handle.get(), "nvmlDeviceGetCount_v2", nvml.device_count) ||
      !load(handle.get(), "nvmlDeviceGetHandleByIndex_v2", nvml.device_by_index) ||
      !load(handle.get(), "nvmlDeviceGetName", nvml.device_name) ||
      !load(handle.get(), "nvmlDeviceGetMemoryInfo", nvml.device_memory) || nvml.init() != 0) {
    return {};
  }
  std::vector<Gpu> gpus = list(nvml);
  nvml.shutdown();
  return gpus;
}

}  // namespace bcai::node
