#include "launch.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "cluster.h"

namespace remask::emulator {
namespace {

// Guard pages split the stacks into mappings, of which a process may have 65,530.
constexpr unsigned kMostFibers = 16 * 1024;

// What the pool keeps at most: launches of large blocks take turns with whatever block comes first,
// so on a machine of many cores every kept block would come to have stacks for the largest.
constexpr unsigned kMostKeptFibers = kMostFibers / 2;

// Clusters with their stacks and shared memory, kept for the next launch.
class ClusterPool {
 public:
  std::unique_ptr<Cluster> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Cluster>();
    std::unique_ptr<Cluster> cluster = std::move(free_.back());
    free_.pop_back();
    kept_fibers_ -= cluster->usable_stacks();
    return cluster;
  }
  void give_back(std::unique_ptr<Cluster> cluster) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (kept_fibers_ + cluster->usable_stacks() > kMostKeptFibers) return;
    kept_fibers_ += cluster->usable_stacks();
    free_.push_back(std::move(cluster));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Cluster>> free_;
  unsigned kept_fibers_ = 0;
};

ClusterPool& pool() {
  // Never destroyed: stream workers may launch until the process has ended.
  static ClusterPool& pool = *new ClusterPool;
  return pool;
}

std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

// One launch while it runs.
class Grid {
 public:
  explicit Grid(const Launch& launch)
      : launch_(launch),
        clusters_{launch.request->grid.x / launch.cluster.x,
                  launch.request->grid.y / launch.cluster.y,
                  launch.request->grid.z / launch.cluster.z},
        count_(std::uint64_t(clusters_.x) * clusters_.y * clusters_.z) {
    if (launch.adversary == Adversary::kOff) return;
    // Position p of the order is cluster (p * stride + first) % count: a permutation, as the
    // stride has no factor in common with the count. A GPU promises no order of blocks.
    Random random(mixed(launch.request->seed + 1));
    first_ = random.next() % count_;
    do {
      stride_ = 1 + random.next() % count_;
    } while (std::gcd(stride_, count_) != 1);
  }

  std::uint64_t clusters() const { return count_; }
  int code() const { return code_; }
  const std::string& reason() const { return reason_; }

  // Runs clusters until none is left or one failed. Called by every worker.
  void work() {
    std::unique_ptr<Cluster> cluster = pool().take();
    for (;;) {
      std::uint64_t position = next_.fetch_add(1);
      if (position >= end_.load()) break;
      std::uint64_t rank = std::uint64_t((unsigned __int128)position * stride_ % count_);
      rank = (rank + first_) % count_;
      uint3 first{unsigned(rank % clusters_.x) * launch_.cluster.x,
                  unsigned(rank / clusters_.x % clusters_.y) * launch_.cluster.y,
                  unsigned(rank / clusters_.x / clusters_.y) * launch_.cluster.z};
      if (cluster->run(launch_, first, mixed(launch_.request->seed ^ mixed(rank + 1))) !=
          kSuccess) {
        failed(position, *cluster);
      }
      if (launch_.request->banks != nullptr) {
        std::lock_guard<std::mutex> lock(mutex_);
        cluster->add_banks(launch_.request->banks);
      }
    }
    pool().give_back(std::move(cluster));
  }

 private:
  // Keeps the failure that comes first in the order, so that a seed always gives the same report.
  void failed(std::uint64_t position, const Cluster& cluster) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (position >= end_.load()) return;
    end_ = position;
    code_ = cluster.code();
    reason_ = cluster.reason();
  }

  const Launch launch_;
  const RemaskDim3 clusters_;
  const std::uint64_t count_;
  std::uint64_t first_ = 0;
  std::uint64_t stride_ = 1;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> end_{count_};
  std::mutex mutex_;
  int code_ = kSuccess;
  std::string reason_;
};

#ifndef REMASK_EMULATOR_CHECKED
// One launch in so many runs in the library that checks accesses, where that lies beside this one.
constexpr unsigned kLaunchesPerCheck = 8;

const RemaskKernelTable* checked_table() {
  static const RemaskKernelTable* const table = []() -> const RemaskKernelTable* {
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(&checked_table), &info) == 0) return nullptr;
    std::string path = info.dli_fname;
    path = path.substr(0, path.rfind('/') + 1) + "libremask-emulator-checked.so";
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return nullptr;
    using Entry = const RemaskKernelTable* (*)();
    const auto entry = reinterpret_cast<Entry>(dlsym(library, "remask_emulator_kernels"));
    const RemaskKernelTable* table = entry != nullptr ? entry() : nullptr;
    return table != nullptr && table->version == REMASK_KERNEL_TABLE_VERSION ? table : nullptr;
  }();
  return table;
}

// The same kernel there, if this launch is to be checked. REMASK_EMULATOR_ACCESSES=all|some|none.
const RemaskKernel* checked_kernel(const char* kernel, const RemaskLaunch& request,
                                   Adversary adversary) {
  if (adversary == Adversary::kOff) return nullptr;
  if (request.find_memory == nullptr && request.banks == nullptr) return nullptr;
  const char* which = std::getenv("REMASK_EMULATOR_ACCESSES");
  if (which != nullptr && std::strcmp(which, "none") == 0) return nullptr;
  const bool all = request.banks != nullptr || (which != nullptr && std::strcmp(which, "all") == 0);
  if (!all && mixed(request.seed + 2) % kLaunchesPerCheck != 0) return nullptr;
  const RemaskKernelTable* table = checked_table();
  for (unsigned i = 0; table != nullptr && i < table->count; i++) {
    if (std::strcmp(table->kernels[i].name, kernel) == 0) return &table->kernels[i];
  }
  return nullptr;
}
#endif

// What a driver refuses before anything runs. Null: nothing.
const char* refusal(const RemaskLaunch& launch, const RemaskDim3& cluster) {
  const RemaskDim3 &grid = launch.grid, &block = launch.block;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535) {
    return "a grid has 1 to 2147483647 x 65535 x 65535 blocks";
  }
  if (block.x == 0 || block.y == 0 || block.z == 0 || block.x > 1024 || block.y > 1024 ||
      block.z > 64 || std::uint64_t(block.x) * block.y * block.z > kMostThreads) {
    return "a block has 1 to 1024 threads, at most 64 in z";
  }
  if (launch.shared_bytes > kMostSharedBytes) {
    return "a block has at most 232448 bytes of dynamic shared memory";
  }
  if (cluster.x == 0 || cluster.y == 0 || cluster.z == 0 ||
      std::uint64_t(cluster.x) * cluster.y * cluster.z > kMostClusterBlocks) {
    return "a cluster has 1 to 8 blocks";
  }
  if (grid.x % cluster.x != 0 || grid.y % cluster.y != 0 || grid.z % cluster.z != 0) {
    return "the grid is not a multiple of the kernel's __cluster_dims__";
  }
  return nullptr;
}

int run_grid(const char* kernel, void (*body)(const void* args), const RemaskDim3& cluster,
             const RemaskLaunch* request, const void* args, std::size_t argument_bytes,
             char* reason, std::size_t reason_bytes) {
  const Adversary adversary = adversary_of_environment();
#ifndef REMASK_EMULATOR_CHECKED
  if (const RemaskKernel* checked = checked_kernel(kernel, *request, adversary)) {
    return checked->run(request, args, reason, reason_bytes);
  }
#endif
  Grid grid(Launch{kernel, body, args, argument_bytes, request, cluster, adversary});
  const unsigned cluster_threads =
      request->block.x * request->block.y * request->block.z * cluster.x * cluster.y * cluster.z;
  std::uint64_t workers = std::uint64_t(std::max(request->threads, 1));
  workers = std::min({workers, grid.clusters(), std::uint64_t(kMostFibers / cluster_threads)});
  pool();  // made before the threads that use it
  // Threads live as long as the launch: a grid is milliseconds of work here, a thread's start 20
  // us.
  std::vector<std::thread> helpers;
  for (std::uint64_t i = 1; i < workers; i++) {
    try {
      helpers.emplace_back([&grid] {
        pthread_setname_np(pthread_self(), "remask-emulator");
        grid.work();
      });
    } catch (const std::system_error&) {
      break;  // fewer threads do the same work
    }
  }
  grid.work();
  for (std::thread& helper : helpers) helper.join();
  if (grid.code() != kSuccess) std::snprintf(reason, reason_bytes, "%s", grid.reason().c_str());
  return grid.code();
}

}  // namespace

int run_kernel(const char* kernel, void (*body)(const void* args), const RemaskDim3& cluster,
               const RemaskLaunch* request, const void* args, std::size_t argument_bytes,
               char* reason, std::size_t reason_bytes) {
  if (const char* rule = refusal(*request, cluster)) {
    std::snprintf(reason, reason_bytes,
                  "kernel %s: grid (%u,%u,%u), block (%u,%u,%u), %u bytes of shared memory: %s",
                  kernel, request->grid.x, request->grid.y, request->grid.z, request->block.x,
                  request->block.y, request->block.z, request->shared_bytes, rule);
    return kInvalidValue;
  }
  const char* count = std::getenv("REMASK_EMULATOR_BANKS");
  if (request->banks != nullptr || count == nullptr || std::strcmp(count, "1") != 0) {
    return run_grid(kernel, body, cluster, request, args, argument_bytes, reason, reason_bytes);
  }
  RemaskBanks banks{};
  RemaskLaunch counted = *request;
  counted.banks = &banks;
  const int code =
      run_grid(kernel, body, cluster, &counted, args, argument_bytes, reason, reason_bytes);
  std::fprintf(stderr, "banks: %s: %llu accesses to shared memory, %llu conflicts%s%s\n", kernel,
               banks.accesses, banks.conflicts, banks.conflicts > 0 ? ", most at " : "",
               banks.worst);
  return code;
}

}  // namespace remask::emulator
