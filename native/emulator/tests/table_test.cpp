// The host kernels and the emulated ones are the same set: names, parameters, in any order. Those
// of one architecture, which end in its name, run on a card and in the emulator only; those of
// packed weights, and the empty ones that launches are timed with, on the host only.
#include <cstring>
#include <string>

#include "check.h"
#include "kernel_table.h"

namespace {

const RemaskKernel* find(const RemaskKernelTable& table, const char* name) {
  for (unsigned i = 0; i < table.count; i++) {
    if (std::strcmp(table.kernels[i].name, name) == 0) return &table.kernels[i];
  }
  return nullptr;
}

bool is_of_one_architecture(const std::string& name) {
  for (const std::string suffix : {"_sm80", "_sm90a"}) {
    if (name.size() > suffix.size() &&
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
      return true;
    }
  }
  return false;
}

bool is_of_the_host(const std::string& name) {
  for (const std::string prefix : {"pack_weight_", "gemm_packed_", "head_select_", "empty_"}) {
    if (name.compare(0, prefix.size(), prefix) == 0) return true;
  }
  return false;
}

void expect_same_parameters(const RemaskKernel& host, const RemaskKernel& emulated) {
  EXPECT(host.parameter_count == emulated.parameter_count, host.name);
  EXPECT(host.buffer_bytes == emulated.buffer_bytes, host.name);
  for (unsigned i = 0; i < host.parameter_count && i < emulated.parameter_count; i++) {
    const RemaskParameter &a = host.parameters[i], &b = emulated.parameters[i];
    EXPECT(a.offset == b.offset && a.size == b.size && a.kind == b.kind,
           host.name << ", parameter " << i << ": host kernel " << a.offset << "+" << a.size
                     << " of kind " << a.kind << ", emulated " << b.offset << "+" << b.size
                     << " of kind " << b.kind);
  }
}

}  // namespace

int main() {
  const RemaskKernelTable* host = remask_host_kernels();
  const RemaskKernelTable* emulated = remask_emulator_kernels();
  if (emulated == nullptr) {
    std::puts("not run: this CPU has no AVX2, the emulator offers no kernels");
    return 77;
  }
  EXPECT(host->version == emulated->version, "versions");
  for (unsigned i = 0; i < host->count; i++) {
    const RemaskKernel* other = find(*emulated, host->kernels[i].name);
    if (is_of_the_host(host->kernels[i].name)) {
      EXPECT(other == nullptr, host->kernels[i].name << " is in kernels/*.cu");
      continue;
    }
    EXPECT(other != nullptr, host->kernels[i].name << " is not in kernels/*.cu");
    if (other != nullptr) expect_same_parameters(host->kernels[i], *other);
  }
  for (unsigned i = 0; i < emulated->count; i++) {
    if (is_of_one_architecture(emulated->kernels[i].name)) continue;
    EXPECT(find(*host, emulated->kernels[i].name) != nullptr,
           emulated->kernels[i].name << " has no host kernel");
  }
  std::printf("%u kernels, %d failures\n", host->count, failures());
  return failures() == 0 ? 0 : 1;
}
