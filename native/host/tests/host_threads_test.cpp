// The compute threads: named, and gone after remask_host_shutdown.
#include <dirent.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "gemm.h"
#include "host_testing.h"
#include "parallel.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

std::vector<std::string> compute_threads() {
  std::vector<std::string> names;
  DIR* tasks = opendir("/proc/self/task");
  while (dirent* entry = readdir(tasks)) {
    std::ifstream comm(std::string("/proc/self/task/") + entry->d_name + "/comm");
    std::string name;
    if (std::getline(comm, name) && name.rfind("remask-comp-", 0) == 0) names.push_back(name);
  }
  closedir(tasks);
  std::sort(names.begin(), names.end());
  return names;
}

int all_threads() {
  int count = 0;
  DIR* tasks = opendir("/proc/self/task");
  while (dirent* entry = readdir(tasks)) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

// Whether the process comes down to `count` threads. libgomp lets its threads go and offers no way
// to wait for their end, so this looks until they are gone, for a time that only a failure takes.
bool come_down_to(int count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (all_threads() != count) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

void work(const KernelSet& set) {
  const int rows = 64, width = 4096;
  const std::vector<float> in(rows * 2 * width, 1.0f);
  std::vector<float> out(rows * width);
  set.swiglu_f32(launch(3), out.data(), in.data(), rows, width);
}

}  // namespace

int main() {
  using Names = std::vector<std::string>;
  EXPECT_THAT(compute_threads().empty(), "no compute thread before any work");
  work(best_kernel_set());
  EXPECT_THAT((compute_threads() == Names{"remask-comp-1", "remask-comp-2"}), "named by a kernel");
  remask_host_shutdown();
  EXPECT_THAT(come_down_to(1), "gone after shutdown");
  constexpr int kSize = 256;  // worth sharing even if the pool sleeps (OMP_WAIT_POLICY=passive)
  const std::vector<float> a(kSize * kSize, 1.0f), w(kSize * kSize, 1.0f);
  std::vector<float> out(kSize * kSize);
  std::thread worker([&] {
    remask_gemm(out.data(), a.data(), w.data(), kSize, kSize, kSize, GemmTypes::F32_F32, false, 3,
                nullptr);
    EXPECT_THAT((compute_threads() == Names{"remask-comp-1", "remask-comp-2"}), "named by a gemm");
    remask_host_shutdown();
    EXPECT_THAT(come_down_to(2), "a worker ends its own compute threads");
  });
  worker.join();
  work(best_kernel_set());
  EXPECT_THAT(compute_threads().size() == 2, "they come back");
  remask_host_shutdown();
  EXPECT_THAT(come_down_to(1), "gone for good");
  return finish();
}
