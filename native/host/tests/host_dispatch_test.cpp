// Which set of kernels a process uses.
#include <algorithm>

#include "host_testing.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr int kSets = 4;

// Sets of which nothing but the name is looked at.
struct NamedSets {
  KernelSet sets[kSets] = {};
  const KernelSet* pointers[kSets];

  NamedSets() {
    const char* names[kSets] = {"baseline", "avx2", "avx512", "avx512_bf16"};
    for (int i = 0; i < kSets; ++i) {
      sets[i].name = names[i];
      pointers[i] = &sets[i];
    }
  }
};

void default_is_the_fastest_of_the_processor() {
  const NamedSets all;
  std::string why;
  for (const bool amd : {false, true}) {
    for (int count = 1; count <= kSets; ++count) {
      const int expected = count == kSets && !amd ? 2 : count - 1;
      for (const char* unset : {static_cast<const char*>(nullptr), ""}) {
        EXPECT_THAT(choose_kernel_set(unset, all.pointers, count, amd, &why) == &all.sets[expected],
                    std::to_string(count) + (amd ? " sets on AMD" : " sets elsewhere"));
      }
    }
  }
}

void a_name_is_taken_or_refused() {
  const NamedSets all;
  for (int i = 0; i < kSets; ++i) {
    std::string why;
    EXPECT_THAT(
        choose_kernel_set(all.sets[i].name, all.pointers, kSets, false, &why) == &all.sets[i],
        all.sets[i].name);
    EXPECT_THAT(why.empty(), why);
  }
  for (const char* name : {"avx512", "avx512_bf16"}) {
    std::string why;
    EXPECT_THAT(choose_kernel_set(name, all.pointers, 2, true, &why) == nullptr, name);
    EXPECT_THAT(why == "REMASK_HOST_KERNELS=" + std::string(name) +
                           " cannot run on this processor, which runs baseline, avx2",
                why);
  }
  for (const char* name : {"AVX2", "neon", "avx512 "}) {
    std::string why;
    EXPECT_THAT(choose_kernel_set(name, all.pointers, 1, true, &why) == nullptr, name);
    EXPECT_THAT(why == "REMASK_HOST_KERNELS=" + std::string(name) +
                           " is no set of kernels; this processor runs baseline",
                why);
  }
}

void the_set_in_use_can_run() {
  const std::vector<const KernelSet*> sets = kernel_sets();
  EXPECT_THAT(std::string(sets.front()->name) == "baseline", sets.front()->name);
  EXPECT_THAT(std::count(sets.begin(), sets.end(), &best_kernel_set()) == 1,
              best_kernel_set().name);
  EXPECT_THAT(std::string(remask_host_kernel_set(nullptr)) == best_kernel_set().name,
              "one name for one set");
}

}  // namespace

int main() {
  default_is_the_fastest_of_the_processor();
  a_name_is_taken_or_refused();
  the_set_in_use_can_run();
  return finish();
}
