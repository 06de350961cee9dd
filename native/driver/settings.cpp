#include "settings.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace remask {
namespace {

// libgomp ends the process when it cannot start a thread: a slip of the pen must not get that far.
constexpr long kMostThreads = 1024;

int parse_threads(const char* text) {
  return static_cast<int>(std::min(std::max(std::strtol(text, nullptr, 10), 1l), kMostThreads));
}

// The cores this process may use: its affinity, further bounded by the container's CPU quota,
// because more threads than that only wait for one another.
int available_cores() {
  cpu_set_t set;
  int cores = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = std::max(1, CPU_COUNT(&set));
  if (FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    double quota = 0, period = 0;
    if (std::fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0) {
      cores = std::min(cores, std::max(1, static_cast<int>(std::ceil(quota / period))));
    }
    std::fclose(file);
  }
  return cores;
}

// The machine's memory, further bounded by the container's limit: allocations past that would not
// fail, the process would be killed.
uint64_t available_memory() {
  uint64_t bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  for (const char* limit :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (FILE* file = std::fopen(limit, "re")) {
      unsigned long long bound = 0;  // "max" reads as none
      if (std::fscanf(file, "%llu", &bound) == 1 && bound > 0)
        bytes = std::min<uint64_t>(bytes, bound);
      std::fclose(file);
    }
  }
  return bytes;
}

}  // namespace

uint64_t parse_bytes(const char* text) {
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  if (end == text) return 0;
  int shift = 0;
  switch (*end) {
    case 'k':
    case 'K':
      shift = 10;
      break;
    case 'm':
    case 'M':
      shift = 20;
      break;
    case 'g':
    case 'G':
      shift = 30;
      break;
    case 0:
      return number;
    default:
      return 0;
  }
  return end[1] == 0 && number <= (UINT64_MAX >> shift) ? number << shift : 0;
}

Settings& settings() {
  // Never destroyed: stream workers may outlive the end of main.
  static Settings& instance = *[] {
    auto* made = new Settings;
    const char* threads = std::getenv("REMASK_THREADS");
    made->threads = threads ? parse_threads(threads) : available_cores();
    const char* memory = std::getenv("REMASK_DEVICE_MEMORY");
    made->device_memory = memory ? parse_bytes(memory) : 0;
    if (made->device_memory == 0) made->device_memory = available_memory();
    const char* log = std::getenv("REMASK_LOG");
    made->log = log ? log : "";
    const char* strict = std::getenv("REMASK_STRICT");
    made->strict = strict && std::strcmp(strict, "1") == 0;
    const char* seed = std::getenv("REMASK_EMULATOR_SEED");
    made->seed = seed ? std::strtoull(seed, nullptr, 0) : 1;
    return made;
  }();
  return instance;
}

uint64_t next_launch_seed() {
  Settings& s = settings();
  // SplitMix64: neighbouring launch numbers must not give neighbouring schedules.
  uint64_t x = s.seed.load() + 0x9e3779b97f4a7c15ull * (s.launches.fetch_add(1) + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace remask
