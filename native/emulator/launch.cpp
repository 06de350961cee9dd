#include "launch.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "block.h"

namespace remask::emulator {
namespace {

// Guard pages split the stacks into mappings, of which a process may have 65,530.
constexpr unsigned kMostFibers = 16 * 1024;

// What the pool keeps at most: launches of large blocks take turns with whatever block comes first,
// so on a machine of many cores every kept block would come to have stacks for the largest.
constexpr unsigned kMostKeptFibers = kMostFibers / 2;

// Blocks with their stacks and shared memory, kept for the next launch.
class BlockPool {
 public:
  std::unique_ptr<Block> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Block>();
    std::unique_ptr<Block> block = std::move(free_.back());
    free_.pop_back();
    kept_fibers_ -= block->usable_stacks();
    return block;
  }
  void give_back(std::unique_ptr<Block> block) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (kept_fibers_ + block->usable_stacks() > kMostKeptFibers) return;
    kept_fibers_ += block->usable_stacks();
    free_.push_back(std::move(block));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> free_;
  unsigned kept_fibers_ = 0;
};

BlockPool& pool() {
  // Never destroyed: stream workers may launch until the process has ended.
  static BlockPool& pool = *new BlockPool;
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
        blocks_(std::uint64_t(launch.request->grid.x) * launch.request->grid.y *
                launch.request->grid.z) {
    // Position p of the order is block (p * stride + first) % blocks: a permutation, as the stride
    // has no factor in common with the number of blocks. A GPU promises no order of blocks.
    Random random(mixed(launch.request->seed + 1));
    first_ = random.next() % blocks_;
    do {
      stride_ = 1 + random.next() % blocks_;
    } while (std::gcd(stride_, blocks_) != 1);
  }

  std::uint64_t blocks() const { return blocks_; }
  int code() const { return code_; }
  const std::string& reason() const { return reason_; }

  // Runs blocks until none is left or one failed. Called by every worker.
  void work() {
    std::unique_ptr<Block> block = pool().take();
    for (;;) {
      std::uint64_t position = next_.fetch_add(1);
      if (position >= end_.load()) break;
      const RemaskDim3& grid = launch_.request->grid;
      std::uint64_t rank = std::uint64_t((unsigned __int128)position * stride_ % blocks_);
      rank = (rank + first_) % blocks_;
      uint3 index{unsigned(rank % grid.x), unsigned(rank / grid.x % grid.y),
                  unsigned(rank / grid.x / grid.y)};
      if (block->run(launch_, index, mixed(launch_.request->seed ^ mixed(rank + 1))) != kSuccess) {
        failed(position, block->reason(), *block);
      }
    }
    pool().give_back(std::move(block));
  }

 private:
  // Keeps the failure that comes first in the order, so that a seed always gives the same report.
  void failed(std::uint64_t position, const std::string& reason, const Block& block) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (position >= end_.load()) return;
    end_ = position;
    code_ = block.code();
    reason_ = reason;
  }

  const Launch launch_;
  const std::uint64_t blocks_;
  std::uint64_t first_ = 0;
  std::uint64_t stride_ = 1;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> end_{blocks_};
  std::mutex mutex_;
  int code_ = kSuccess;
  std::string reason_;
};

// What a driver refuses before anything runs. Null: nothing.
const char* refusal(const RemaskLaunch& launch) {
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
  return nullptr;
}

}  // namespace

int run_kernel(const char* kernel, void (*body)(const void* args), const RemaskLaunch* request,
               const void* args, char* reason, std::size_t reason_bytes) {
  if (const char* rule = refusal(*request)) {
    std::snprintf(reason, reason_bytes,
                  "kernel %s: grid (%u,%u,%u), block (%u,%u,%u), %u bytes of shared memory: %s",
                  kernel, request->grid.x, request->grid.y, request->grid.z, request->block.x,
                  request->block.y, request->block.z, request->shared_bytes, rule);
    return kInvalidValue;
  }
  Grid grid(Launch{kernel, body, args, request});
  const unsigned block_threads = request->block.x * request->block.y * request->block.z;
  std::uint64_t workers = std::uint64_t(std::max(request->threads, 1));
  workers = std::min({workers, grid.blocks(), std::uint64_t(kMostFibers / block_threads)});
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

}  // namespace remask::emulator
