// Which of the compiled kernel sets this processor can run, and which of them it does.
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "kernel_set.h"

namespace remask::host {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "avx512_bf16"};
constexpr char kVariable[] = "REMASK_HOST_KERNELS";

struct RunnableSets {
  const KernelSet* sets[sizeof(kNames) / sizeof(kNames[0])];
  int count = 0;
  bool is_amd = false;

  RunnableSets() {
    sets[count++] = &kBaselineKernels;
#ifdef __x86_64__
    __builtin_cpu_init();  // also asks whether the system saves the wide registers
    is_amd = __builtin_cpu_is("amd");
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    sets[count++] = &kAvx2Kernels;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
      return;
    }
    sets[count++] = &kAvx512Kernels;
    if (__builtin_cpu_supports("avx512bf16")) sets[count++] = &kAvx512Bf16Kernels;
#endif
  }
};

const RunnableSets& runnable() {
  static const RunnableSets sets;
  return sets;
}

bool is_name(const char* text) {
  for (const char* name : kNames) {
    if (std::strcmp(text, name) == 0) return true;
  }
  return false;
}

// The environment's choice; `why` says what is wrong with it where `set` is null.
struct Choice {
  const KernelSet* set;
  std::string why;

  Choice() {
    const RunnableSets& all = runnable();
    set = choose_kernel_set(std::getenv(kVariable), all.sets, all.count, all.is_amd, &why);
  }
};

const Choice& choice() {
  static const Choice made;
  return made;
}

}  // namespace

const KernelSet* choose_kernel_set(const char* asked, const KernelSet* const* sets, int count,
                                   bool is_amd, std::string* why) {
  if (asked == nullptr || *asked == 0) {
    // vdpbf16ps multiplies twice as many pairs as an FMA: at the FMA's rate on AMD's cores (Zen 4
    // and 5), at half of it on Intel's (Sapphire Rapids), where it gains nothing and rounds more.
    const KernelSet* last = sets[count - 1];
    const bool is_bf16 = std::strcmp(last->name, "avx512_bf16") == 0;
    return is_bf16 && !is_amd ? sets[count - 2] : last;
  }
  std::string runnable_names;
  for (int i = 0; i < count; ++i) {
    if (std::strcmp(asked, sets[i]->name) == 0) return sets[i];
    runnable_names += (i == 0 ? "" : ", ") + std::string(sets[i]->name);
  }
  *why = std::string(kVariable) + "=" + asked +
         (is_name(asked) ? " cannot run on this processor, which runs "
                         : " is no set of kernels; this processor runs ") +
         runnable_names;
  return nullptr;
}

const KernelSet& best_kernel_set() {
  if (choice().set == nullptr) throw std::invalid_argument(choice().why);
  return *choice().set;
}

const KernelSet* const* runnable_kernel_sets(int* count) {
  *count = runnable().count;
  return runnable().sets;
}

}  // namespace remask::host

const char* remask_host_kernel_set(std::string* why) {
  using remask::host::choice;
  if (choice().set != nullptr) return choice().set->name;
  if (why != nullptr) *why = choice().why;
  return nullptr;
}
