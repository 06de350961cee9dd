// What attention takes, by shape, element type and instruction set.
//
//   attention_bench [--threads N] [--set NAME] [--heads N] [--seconds S]
//
// Sequences whose queries are their keys, and few queries against a long cache. With one thread the
// figures are CPU time, which other work on the machine does not change; with more they are wall
// time and mean something on an idle machine only. Each is the median of as many launches as fit
// into S seconds. FLOP are those of the two products, without the lanes that stay empty.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernel_set.h"

using namespace remask::host;

namespace {

constexpr int kDim = 128;

struct Shape {
  int queries, keys;
};
constexpr Shape kShapes[] = {{54, 54},     {128, 128}, {512, 512}, {1024, 1024},
                             {4096, 4096}, {32, 1024}, {32, 4096}, {8, 4096}};

double now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

void put(float value, float* to) { *to = value; }
void put(float value, bf16* to) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  to->bits = static_cast<std::uint16_t>(bits >> 16);
}

AttentionKernel<bf16> kernel_of(const KernelSet& set, bf16) { return set.attention_hd128_bf16; }
AttentionKernel<float> kernel_of(const KernelSet& set, float) { return set.attention_hd128_f32; }

template <typename X>
void measure(const KernelSet& set, const Shape& shape, int heads, int threads, double seconds) {
  // As the fused QKV product leaves them.
  const int width = heads * kDim, stride = 3 * width;
  std::normal_distribution<float> normal(0, 1);
  std::mt19937 engine(7);
  std::vector<X> q(static_cast<std::size_t>(shape.queries) * stride),
      kv(static_cast<std::size_t>(shape.keys) * stride),
      out(static_cast<std::size_t>(shape.queries) * width);
  for (X& value : q) put(normal(engine), &value);
  for (X& value : kv) put(normal(engine), &value);
  const int q_offsets[] = {0, shape.queries}, kv_offsets[] = {0, shape.keys};
  RemaskLaunch launch = {};
  launch.grid = {1, static_cast<unsigned>(heads), 1};
  launch.threads = threads;
  const clockid_t clock = threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  std::vector<double> times;
  const double stop = now(CLOCK_MONOTONIC) + seconds * 1e6;
  while (times.size() < 5 || now(CLOCK_MONOTONIC) < stop) {
    const double begin = now(clock);
    kernel_of(set, X{})(launch, out.data(), q.data(), kv.data() + width, kv.data() + 2 * width,
                        q_offsets, kv_offsets, heads, heads, stride, stride, width, 0.088f);
    times.push_back(now(clock) - begin);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  const double us = times[times.size() / 2];
  const double flop = 4.0 * shape.queries * shape.keys * kDim * heads;
  std::printf("%-12s %-5s %6d %6d %6d %12.1f %10.1f\n", set.name, sizeof(X) == 2 ? "bf16" : "f32",
              shape.queries, shape.keys, heads, us, flop / us * 1e-3);
}

}  // namespace

int main(int count, char** arguments) {
  int threads = 1, heads = 2;
  double seconds = 0.3;
  std::string only;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    if (name == "--threads") threads = std::max(1, std::atoi(arguments[i + 1]));
    if (name == "--heads") heads = std::max(1, std::atoi(arguments[i + 1]));
    if (name == "--seconds") seconds = std::atof(arguments[i + 1]);
    if (name == "--set") only = arguments[i + 1];
  }
  int sets = 0;
  const KernelSet* const* all = runnable_kernel_sets(&sets);
  std::printf("%d thread%s, %s time\n", threads, threads == 1 ? "" : "s",
              threads == 1 ? "CPU" : "wall");
  std::printf("%-12s %-5s %6s %6s %6s %12s %10s\n", "set", "type", "query", "keys", "heads", "us",
              "GFLOP/s");
  for (int i = 0; i < sets; ++i) {
    if (!only.empty() && only != all[i]->name) continue;
    for (const Shape& shape : kShapes) {
      measure<bf16>(*all[i], shape, heads, threads, seconds);
      measure<float>(*all[i], shape, heads, threads, seconds);
    }
  }
  return 0;
}
