// The emulator against the rules of CUDA: what legal kernels compute, under many schedules, and how
// broken rules are reported. Usage: emulator_test [seeds] [first seed]
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "check.h"
#include "launcher.h"

namespace {

constexpr unsigned kWhole = 0xffffffffu;

// --- legal kernels, every one under `seed` ----------------------------------------------------

void barriers(std::uint64_t seed) {
  for (unsigned threads : {1u, 31u, 64u, 100u, 1024u}) {
    const unsigned blocks = 5;
    std::vector<int> x(threads * blocks);
    for (std::size_t i = 0; i < x.size(); i++) x[i] = int(i);
    Result result = Launcher("reverse").grid(blocks).block(threads).seed(seed)(x.data());
    EXPECT(result.code == 0, result.reason);
    for (unsigned i = 0; i < x.size(); i++) {
      unsigned want = i / threads * threads + threads - 1 - i % threads;
      EXPECT(x[i] == int(want), "x[" << i << "] = " << x[i] << ", seed " << seed);
    }
  }
  const unsigned threads = 256, blocks = 9;
  std::vector<float> x(threads * blocks), sums(blocks);
  for (std::size_t i = 0; i < x.size(); i++) x[i] = float(i % 17);
  Result result = Launcher("sum_in_tree")
                      .grid(blocks)
                      .block(threads)
                      .shared(threads * sizeof(float))
                      .seed(seed)(sums.data(), x.data());
  EXPECT(result.code == 0, result.reason);
  for (unsigned block = 0; block < blocks; block++) {
    float want = 0;
    for (unsigned i = 0; i < threads; i++) want += x[block * threads + i];
    EXPECT(sums[block] == want, "block " << block << ", seed " << seed);
  }
}

void shuffles_and_votes(std::uint64_t seed) {
  const unsigned threads = 64;
  std::vector<int> out(threads * 8);
  EXPECT(Launcher("shuffles").block(threads).seed(seed)(out.data()).code == 0, "seed " << seed);
  for (int i = 0; i < int(threads); i++) {
    const int lane = i % 32;
    const int want[8] = {5,
                         lane / 8 * 8 + (lane + 1) % 8,
                         lane >= 3 ? lane - 3 : lane,
                         lane < 29 ? lane + 3 : lane,
                         lane ^ 7,
                         lane % 16 < 15 ? lane + 1 : lane,
                         lane < 16 ? lane : lane - 16,
                         lane % 4 >= 1 ? lane - 1 : lane};
    for (int k = 0; k < 8; k++) {
      EXPECT(out[i * 8 + k] == want[k], "lane " << lane << ", case " << k << ": " << out[i * 8 + k]
                                                << ", not " << want[k] << ", seed " << seed);
    }
  }
  std::vector<unsigned> votes(threads * 8);
  EXPECT(Launcher("votes").block(threads).seed(seed)(votes.data()).code == 0, "seed " << seed);
  for (unsigned i = 0; i < threads; i++) {
    const unsigned lane = i % 32;
    const unsigned want[8] = {0x49249249u, 1, 0, 0xfu << lane / 4 * 4, kWhole, 1, 0, 10 * 100 + 11};
    for (int k = 0; k < 8; k++) {
      EXPECT(votes[i * 8 + k] == want[k],
             "lane " << lane << ", case " << k << ": " << votes[i * 8 + k] << ", seed " << seed);
    }
  }
  EXPECT(Launcher("reductions").block(threads).seed(seed)(out.data()).code == 0, "seed " << seed);
  for (unsigned i = 0; i < threads; i++) {
    const int want[8] = {-144, -20, 11, 0, -1, 0x30, -1, 32};
    for (int k = 0; k < 8; k++) {
      EXPECT(out[i * 8 + k] == want[k],
             "case " << k << ": " << out[i * 8 + k] << ", seed " << seed);
    }
  }
  EXPECT(Launcher("divergence").block(32).seed(seed)(out.data()).code == 0, "seed " << seed);
  for (int lane = 0; lane < 32; lane++) {
    const int want = lane % 2 == 0 ? 240 : lane % 4 == 1 ? 4 : 3;
    EXPECT(out[lane] == want + 31000, "lane " << lane << ": " << out[lane] << ", seed " << seed);
  }
  std::fill(out.begin(), out.end(), 0);
  EXPECT(Launcher("some_warps_leave").block(256).seed(seed)(out.data(), 3).code == 0, seed);
  for (int i = 0; i < 256; i++) EXPECT(out[i] == (i < 96 ? 32 : 0), "thread " << i);
}

void atomics(std::uint64_t seed) {
  const unsigned threads = 96, blocks = 50, all = threads * blocks;
  std::vector<unsigned> bins(13);
  unsigned long long total = 0;
  float sum = 0;
  int smallest = 1 << 30, largest = -1;
  unsigned flags = 0;
  Result result = Launcher("histogram")
                      .grid(blocks)
                      .block(threads)
                      .threads(4)
                      .seed(seed)(bins.data(), &total, &sum, &smallest, &largest, &flags);
  EXPECT(result.code == 0, result.reason);
  std::vector<unsigned> want(13);
  for (unsigned i = 0; i < all; i++) want[i * 7 % 13]++;
  EXPECT(bins == want, "seed " << seed);
  EXPECT(total == (unsigned long long)all * (all - 1) / 2, total);
  EXPECT(sum == float(all) && smallest == -100 && largest == int(all) - 1 && flags == kWhole, seed);

  std::vector<int> parts(blocks);
  unsigned tickets = 0;
  int last = 0;
  Launcher("last_block_sums")
      .grid(blocks)
      .block(threads)
      .threads(4)
      .seed(seed)(parts.data(), &tickets, &last);
  EXPECT(last == int(blocks * (blocks + 1) / 2), last << ", seed " << seed);

  int lock = 0, count = 0;
  Launcher("spin_lock").grid(2).block(64).threads(2).seed(seed)(&lock, &count);
  EXPECT(count == 128, count << ", seed " << seed);
}

// --- what does not depend on the seed ---------------------------------------------------------

void unwritten_shared_memory_is_nan() {
  const unsigned threads = 64;
  std::vector<float> out(threads * 3);
  for (int round = 0; round < 2; round++) {  // a block's memory is poisoned again for the next one
    Launcher("unwritten").grid(3).block(threads).shared(threads * 8)(out.data(), round > 1);
    for (float x : out) EXPECT(std::isnan(x), x);
    std::vector<int> x(1024);
    Launcher("reverse").block(1024)(x.data());
  }
}

// Legal schedules of a kernel that lacks a barrier give different results.
void forgotten_barriers_show() {
  for (const char* name : {"reverse_without_barrier", "exchange_without_syncwarp"}) {
    std::set<std::vector<int>> results;
    for (std::uint64_t seed = 0; seed < 20; seed++) {
      std::vector<int> x(32);
      std::iota(x.begin(), x.end(), 0);
      Launcher(name).block(32).seed(seed)(x.data());
      results.insert(x);
    }
    EXPECT(results.size() > 10, name << ": " << results.size() << " results of 20 seeds");
  }
}

// The order of threads follows from the seed alone, however many OS threads run the blocks.
void schedules_differ_by_seed_and_repeat() {
  const unsigned threads = 96, blocks = 7;
  auto order_of = [](std::uint64_t seed, int os_threads) {
    std::vector<int> order(threads * blocks), next(blocks);
    Launcher("arrival_order")
        .grid(blocks)
        .block(threads)
        .threads(os_threads)
        .seed(seed)(order.data(), next.data());
    return order;
  };
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 20; seed++) {
    orders.insert(order_of(seed, 1));
    EXPECT(order_of(seed, 1) == order_of(seed, 4), "seed " << seed);
  }
  EXPECT(orders.size() == 20, orders.size() << " orders");
}

void indices_and_parameters() {
  std::vector<int> out(2 * 3 * 2 * 3 * 5 * 2, -1);
  EXPECT(Launcher("indices").grid(2, 3, 2).block(3, 5, 2)(out.data()).code == 0, "");
  for (int i = 0; i < int(out.size()); i++) EXPECT(out[i] == i / 30 * 1000 + i % 30, out[i]);

  struct Shape {
    int rows, columns;
    unsigned long long seed;
  };
  char right = 0;
  EXPECT(
      Launcher("parameters").block(32)(&right, 1.5f, Shape{3, 4, 1ull << 40}, short(-2)).code == 0,
      "");
  EXPECT(right == 1, "parameters arrived changed");
  const RemaskKernel& kernel = Launcher("parameters").kernel();
  EXPECT(kernel.parameter_count == 4 && kernel.buffer_bytes == 34, kernel.buffer_bytes);
  EXPECT(kernel.parameters[0].kind == kRemaskPointer && kernel.parameters[2].offset == 16,
         "layout");
  EXPECT(Launcher("at_most_64").kernel().max_block_threads == 64, "launch bounds");
}

void bf16_rounds_to_nearest_even() {
  const float nan = std::nanf("");
  float x[32] = {1.0f, 1.00390625f, 1.01171875f, -1.00390625f, 1.00390637f, 3.4e38f, nan, -0.0f};
  unsigned short out[32];
  Launcher("rounds").block(32)(out, x);
  const unsigned short want[8] = {0x3f80, 0x3f80, 0x3f82, 0xbf80, 0x3f81, 0x7f80, 0x7fff, 0x8000};
  for (int i = 0; i < 8; i++) EXPECT(out[i] == want[i], "case " << i << ": " << out[i]);
}

void intrinsics() {
  unsigned out[11];
  Launcher("intrinsics")(out);
  // The last: -128 * 127 + -1 * -128 + 127 * 2 + 1 * 127 + 5.
  const unsigned want[11] = {0xfffffffdu, 31, 0x80000001u,  0x77661100u,     3, 0x3f800001u, 2,
                             0x80000000u, 12, unsigned(-3), unsigned(-15742)};
  for (int i = 0; i < 11; i++) EXPECT(out[i] == want[i], "case " << i << ": " << out[i]);
}

// --- broken rules -----------------------------------------------------------------------------

void expect_report(const Result& result, int code, const std::vector<const char*>& parts) {
  EXPECT(result.code == code, "code " << result.code << ": " << result.reason);
  for (const char* part : parts) EXPECT(contains(result.reason, part), result.reason);
}

unsigned condition_value = 0;

int set_condition_of_17(unsigned long long handle, unsigned value) {
  if (handle != 17) return 0;
  condition_value = value;
  return 1;
}

void conditions_are_set_by_the_launch(std::uint64_t seed) {
  const auto kernel = Launcher("sets_condition").block(32).seed(seed);
  condition_value = 0;
  EXPECT(Launcher(kernel).condition(&set_condition_of_17)(17ull, 3u).code == 0, "set");
  EXPECT(condition_value == 3, condition_value);
  const std::vector<const char*> words = {"lane 5", "cudaGraphSetConditional(0x12, 1)",
                                          "no graph that runs has it"};
  expect_report(Launcher(kernel).condition(&set_condition_of_17)(18ull, 1u), 719, words);
  expect_report(kernel(18ull, 1u), 719, words);
}

void broken_rules_are_reported(std::uint64_t seed) {
  std::vector<int> out(1024);
  int* x = out.data();
  auto with = [seed](const char* name, unsigned threads) {
    return Launcher(name).grid(3).block(threads).seed(seed);
  };
  expect_report(with("barrier_after_exit", 64)(0), 702,
                {"kernel barrier_after_exit", "deadlock", "threads 0-31 wait at __syncthreads",
                 "errors.cu:6", "threads 32-63 exited", "every thread of a block"});
  expect_report(with("barrier_in_one_branch", 32)(x), 702,
                {"deadlock", "thread 0 wait at __syncthreads", "errors.cu:11",
                 "thread 1 wait at __shfl_sync", "errors.cu:13", "mask 0xffffffff"});
  expect_report(with("two_barriers_meet", 64)(x), 719,
                {"different barriers", "threads 0-31 wait at __syncthreads, ", "errors.cu:20",
                 "threads 32-63 wait at __syncthreads, ", "errors.cu:23", "Rule: "});
  expect_report(
      with("mask_names_exited_lane", 32)(x), 719,
      {"block (", "warp 0, lane ", "__shfl_xor_sync", "mask 0xffffffff names lane 7", "exited"});
  expect_report(with("mask_names_absent_lane", 20)(x), 719,
                {"names lane 20, which a block of 20 threads does not have", "errors.cu:33"});
  expect_report(with("caller_not_in_mask", 32)(x), 719,
                {"__any_sync", "mask 0x0000ffff does not name the calling lane"});
  expect_report(with("masks_differ", 32)(x), 719, {"0x7fffffff", "0xffffffff", "differs"});
  expect_report(with("collectives_differ", 32)(x), 719,
                {"__any_sync", "__reduce_add_sync", "must reach the same collective"});
  expect_report(with("waits_for_each_other", 32)(x), 702,
                {"threads 0-1 wait at __any_sync", "mask 0x00000007", "mask 0x0000000c",
                 "threads 3-31 wait at __syncthreads"});
  expect_report(with("traps", 64)(2), 719,
                {"block (2,0,0), warp 1, lane 1", "__trap()", "errors.cu:"});
  alignas(16) float floats[8] = {};
  expect_report(Launcher("misaligned_load").seed(seed)(floats), 716, {"16 bytes", "misaligned"});
  for (int past : {0, 1, 5, 4000}) {
    Result result = with("writes_past_shared", 33).shared(33 * 4)(past);
    expect_report(result, 700, {"132 bytes"});
    EXPECT(contains(result.reason, "first " + std::to_string(past) + " bytes"), result.reason);
  }
  expect_report(with("writes_past_shared", 33).shared(33 * 4 + 1)(0), 0, {});
}

void impossible_launches_are_refused() {
  expect_report(Launcher("nothing").block(1025)(), 1, {"1 to 1024 threads", "block (1025,1,1)"});
  expect_report(Launcher("nothing").block(32, 33)(), 1, {"1 to 1024 threads"});
  expect_report(Launcher("nothing").block(1, 1, 65)(), 1, {"64 in z"});
  expect_report(Launcher("nothing").grid(0)(), 1, {"grid"});
  expect_report(Launcher("nothing").shared(232449)(), 1, {"232448"});
  expect_report(Launcher("nothing").shared(232448)(), 0, {});
}

// A launch that failed leaves nothing behind: the next one on the same stacks is right.
void failed_launches_leave_no_trace() {
  for (std::uint64_t seed = 0; seed < 20; seed++) {
    std::vector<int> out(1024);
    Launcher("barrier_in_one_branch").block(1024).seed(seed)(out.data());
    barriers(seed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 40;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 1;
  for (std::uint64_t seed = first; seed < first + seeds; seed++) {
    barriers(seed);
    shuffles_and_votes(seed);
    atomics(seed);
    broken_rules_are_reported(seed);
    conditions_are_set_by_the_launch(seed);
  }
  unwritten_shared_memory_is_nan();
  forgotten_barriers_show();
  schedules_differ_by_seed_and_repeat();
  indices_and_parameters();
  bf16_rounds_to_nearest_even();
  intrinsics();
  impossible_launches_are_refused();
  failed_launches_leave_no_trace();
  std::printf("%d failures, seeds %llu to %llu\n", failures(), (unsigned long long)first,
              (unsigned long long)(first + seeds - 1));
  return failures() == 0 ? 0 : 1;
}
