#include "parallel.h"

#include <omp.h>
#include <pthread.h>
#include <strings.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "gemm.h"
#include "scratch.h"

namespace remask::host {
namespace {

// About 8 us of one core: a region costs 1 to 3 us while the pool still spins.
constexpr std::int64_t kWorthSharingAwake = 64 * 1024;
// About 60 us: with OMP_WAIT_POLICY=passive the pool sleeps between regions, and waking it costs 10
// to 100 us. (2 cores of a virtual machine: break-even near twice this; real ones wake sooner.)
constexpr std::int64_t kWorthSharingAsleep = 512 * 1024;

std::int64_t work_worth_sharing() {
  static const std::int64_t work = [] {
    const char* policy = std::getenv("OMP_WAIT_POLICY");  // as libgomp read it
    return policy && strcasecmp(policy, "passive") == 0 ? kWorthSharingAsleep : kWorthSharingAwake;
  }();
  return work;
}

thread_local bool named = false;  // this compute thread has its name
thread_local Scratch launch_scratch;

}  // namespace

int region_threads(int requested, std::int64_t items, std::int64_t work) {
  if (requested <= 1 || items <= 1 || work < work_worth_sharing()) return 1;
  return requested;
}

void name_compute_thread(int index) {
  if (named || index == 0) return;  // thread 0 is the caller's own and keeps its name
  named = true;
#ifdef __linux__
  char name[16];  // the kernel's limit, NUL included: "remask-compute-" would leave no digit
  std::snprintf(name, sizeof(name), "remask-comp-%u", static_cast<unsigned>(index) % 1000u);
  pthread_setname_np(pthread_self(), name);
#endif
}

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

void* kernel_scratch(std::size_t bytes) { return launch_scratch.get(bytes); }

}  // namespace remask::host

void remask_host_shutdown() {
  remask::host::launch_scratch.release();
  remask_gemm_release();
  omp_pause_resource_all(omp_pause_soft);
}
