// A build with ThreadSanitizer reports kernels that lack a barrier or a wait, and only those.
// Usage: race_test [seeds]
#include <vector>

#include "check.h"
#include "launcher.h"

namespace {

int reports = 0;

// How many reports a launch makes.
int races_of(const char* kernel, unsigned blocks, unsigned threads, std::uint64_t seed) {
  struct alignas(16) Memory {
    int x[1024];
  };
  static Memory memory;
  memory = Memory{};
  reports = 0;
  Result result =
      Launcher(kernel).grid(blocks).block(threads).shared(16384).threads(1).seed(seed)(memory.x, 5);
  EXPECT(result.code == 0, result.reason);
  return reports;
}

}  // namespace

extern "C" {
// Called by ThreadSanitizer's runtime.
__attribute__((visibility("default"))) void __tsan_on_report(void*) { reports++; }
// Each launch is to be told of; what one of them found must not hide it from the next.
__attribute__((visibility("default"))) const char* __tsan_default_options() {
  return "exitcode=0:ignore_interceptors_accesses=1:suppress_equal_stacks=0:suppress_equal_"
         "addresses=0:log_path=/dev/null";
}
}

int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 5;
  struct Case {
    const char* name;
    unsigned blocks, threads;
    bool has_twin;
  };
  for (const Case& it :
       {Case{"reverse", 1, 128, true}, Case{"stages", 1, 128, true}, Case{"copy", 1, 128, true},
        Case{"bulk", 1, 128, true}, Case{"matrices", 1, 128, true}, Case{"hand_over", 1, 64, true},
        Case{"lanes", 1, 32, true}, Case{"ticket", 9, 1, false}}) {
    int found = 0;
    for (std::uint64_t seed = 1; seed <= seeds; seed++) {
      const std::string name = it.name;
      const int right = races_of(("right_" + name).c_str(), it.blocks, it.threads, seed);
      EXPECT(right == 0, "right_" << name << ", seed " << seed << ": " << right << " reports");
      if (!it.has_twin) continue;
      found += races_of(("racy_" + name).c_str(), it.blocks, it.threads, seed) > 0;
    }
    if (!it.has_twin) continue;
    std::printf("%s: its broken twin was reported under %d of %d seeds\n", it.name, found,
                int(seeds));
    EXPECT(found == int(seeds), it.name << ": reported under " << found << " seeds");
  }
  std::printf("%d failures\n", failures());
  return failures() == 0 ? 0 : 1;
}
