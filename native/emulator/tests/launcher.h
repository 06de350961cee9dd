// Launches a kernel of the emulator's table by name, packing its arguments as a driver does.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernel_table.h"

struct Result {
  int code;
  std::string reason;
};

class Launcher {
 public:
  explicit Launcher(const char* name) : Launcher(remask_emulator_kernels(), name) {}

  Launcher(const RemaskKernelTable* table, const char* name) {
    for (unsigned i = 0; table != nullptr && i < table->count; i++) {
      if (std::strcmp(table->kernels[i].name, name) == 0) kernel_ = &table->kernels[i];
    }
    if (kernel_ == nullptr) {
      std::fprintf(stderr, "no kernel %s in the emulator's table\n", name);
      std::exit(1);
    }
  }

  Launcher& grid(unsigned x, unsigned y = 1, unsigned z = 1) {
    launch_.grid = {x, y, z};
    return *this;
  }
  Launcher& block(unsigned x, unsigned y = 1, unsigned z = 1) {
    launch_.block = {x, y, z};
    return *this;
  }
  Launcher& shared(unsigned bytes) {
    launch_.shared_bytes = bytes;
    return *this;
  }
  Launcher& threads(int count) {
    launch_.threads = count;
    return *this;
  }
  Launcher& seed(std::uint64_t seed) {
    launch_.seed = seed;
    return *this;
  }
  Launcher& memory(RemaskFindMemory find) {
    launch_.find_memory = find;
    return *this;
  }
  Launcher& banks(RemaskBanks* banks) {
    launch_.banks = banks;
    return *this;
  }
  Launcher& condition(RemaskSetCondition set) {
    launch_.set_condition = set;
    return *this;
  }
  const RemaskKernel& kernel() const { return *kernel_; }

  template <class... Arguments>
  Result operator()(Arguments... arguments) const {
    if (sizeof...(arguments) != kernel_->parameter_count) std::abort();
    std::vector<char> buffer(kernel_->buffer_bytes + 1);
    unsigned i = 0;
    (void)i;
    (put(buffer, i++, arguments), ...);
    char reason[2048] = "";
    int code = kernel_->run(&launch_, buffer.data(), reason, sizeof(reason));
    return {code, reason};
  }

 private:
  template <class T>
  void put(std::vector<char>& buffer, unsigned i, const T& value) const {
    if (sizeof(T) != kernel_->parameters[i].size) std::abort();
    std::memcpy(buffer.data() + kernel_->parameters[i].offset, &value, sizeof(T));
  }

  const RemaskKernel* kernel_ = nullptr;
  RemaskLaunch launch_{{1, 1, 1}, {1, 1, 1}, 0, 2, 1, nullptr, nullptr, nullptr};
};
