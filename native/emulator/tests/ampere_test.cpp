// The models of sm_80's instructions: right uses compute what they should under every adversary,
// wrong uses are reported or give wrong results. Usage: ampere_test [seeds] [first seed]
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "check.h"
#include "launcher.h"

namespace {

const char* const kAdversaries[] = {"random", "earliest", "latest", "off"};

void set_adversary(const char* name) { setenv("REMASK_EMULATOR_ADVERSARY", name, 1); }

std::uint16_t to_bf16(float x) {
  std::uint32_t word;
  std::memcpy(&word, &x, sizeof(word));
  return std::uint16_t(word >> 16);  // exact for small integers
}

// Small integers, so that sums are exact in any order.
struct Matrix {
  explicit Matrix(int size, unsigned seed) : bits(std::size_t(size)), values(std::size_t(size)) {
    for (int i = 0; i < size; i++) {
      seed = seed * 1664525u + 1013904223u;
      values[std::size_t(i)] = float(int(seed >> 24) % 9 - 4);
      bits[std::size_t(i)] = to_bf16(values[std::size_t(i)]);
    }
  }
  std::vector<std::uint16_t> bits;
  std::vector<float> values;
};

void products(std::uint64_t seed) {
  for (int steps : {1, 2, 7}) {
    Matrix a(256 * steps, unsigned(seed)), b(256 * steps, unsigned(seed) + 7);
    for (bool transposed : {false, true}) {
      std::vector<float> out(256, NAN);
      Result result = Launcher(transposed ? "product_kn" : "product_nk")
                          .block(32)
                          .seed(seed)(out.data(), a.bits.data(), b.bits.data(), steps);
      EXPECT(result.code == 0, result.reason);
      for (int m = 0; m < 16; m++) {
        for (int n = 0; n < 16; n++) {
          float want = 0;
          for (int step = 0; step < steps; step++) {
            for (int k = 0; k < 16; k++) {
              want += a.values[step * 256 + m * 16 + k] *
                      b.values[step * 256 + (transposed ? k * 16 + n : n * 16 + k)];
            }
          }
          EXPECT(out[m * 16 + n] == want, "transposed " << transposed << ", " << m << ", " << n
                                                        << ": " << out[m * 16 + n] << ", not "
                                                        << want << ", seed " << seed);
        }
      }
    }
  }
  Matrix a(256, 3), b(128, 4);
  std::vector<float> out(128, NAN);
  Result result =
      Launcher("single_mma").block(32).seed(seed)(out.data(), a.bits.data(), b.bits.data());
  EXPECT(result.code == 0, result.reason);
  for (int m = 0; m < 16; m++) {
    for (int n = 0; n < 8; n++) {
      float want = 0;
      for (int k = 0; k < 16; k++) {
        want += a.values[m * 16 + k] * (b.values[n * 16 + k] + a.values[k * 16 + n]);
      }
      EXPECT(out[m * 8 + n] == want, m << ", " << n << ": " << out[m * 8 + n] << ", not " << want);
    }
  }
}

void zero_fills(std::uint64_t seed) {
  std::vector<int> in(256), out(256, -1);
  for (int i = 0; i < 256; i++) in[i] = i + 1;
  struct alignas(16) Aligned {
    int x[256];
  } source;
  std::memcpy(source.x, in.data(), sizeof(source.x));
  for (int valid : {0, 33, 64}) {
    Result result = Launcher("zero_fill").block(64).seed(seed)(out.data(), source.x, valid);
    EXPECT(result.code == 0, result.reason);
    for (int i = 0; i < 256; i++) {
      const int from = (63 - i / 4) * 4 + i % 4;
      EXPECT(out[i] == (from / 4 < valid ? in[from] : 0), "element " << i << ", valid " << valid);
    }
  }
}

void named_barriers(std::uint64_t seed) {
  const int rounds = 9;
  std::vector<int> out(rounds * 64, -1);
  Result result = Launcher("hand_over").block(96).seed(seed)(out.data(), rounds);
  EXPECT(result.code == 0, result.reason);
  for (int i = 0; i < rounds * 64; i++) {
    EXPECT(out[i] == i / 64 * 100 + 31 - i % 32, "element " << i << ": " << out[i]);
  }
}

void split_sums(std::uint64_t seed) {
  std::vector<unsigned> parts(20 * 128);
  unsigned ticket = 0, sum = 0;
  Result result = Launcher("last_one_sums")
                      .grid(20)
                      .block(128)
                      .threads(4)
                      .seed(seed)(parts.data(), &ticket, &sum);
  EXPECT(result.code == 0, result.reason);
  EXPECT(sum == 128 * 210, sum << ", seed " << seed);
}

void bank_conflicts() {
  struct Case {
    int stride, row_bytes, copy_stride;
    unsigned long long conflicts;
  };
  static struct alignas(16) { float x[256]; } in;
  // A plain load is one access, ldmatrix_x4 and the copies are 4 each.
  for (const Case& it :
       {Case{1, 16, 1, 0}, Case{2, 16, 1, 1}, Case{32, 16, 1, 31}, Case{33, 16, 1, 0},
        Case{0, 16, 1, 0}, Case{1, 32, 1, 4}, Case{1, 128, 1, 28}, Case{1, 144, 1, 0},
        Case{1, 16, 2, 4}, Case{1, 16, 8, 28}}) {
    RemaskBanks banks{};
    std::vector<float> out(32);
    Result result = Launcher("strides").block(32).shared(16 * 1024).banks(&banks)(
        out.data(), in.x, it.stride, it.row_bytes, it.copy_stride);
    EXPECT(result.code == 0, result.reason);
    EXPECT(banks.accesses == 9 && banks.conflicts == it.conflicts,
           "strides " << it.stride << ", " << it.row_bytes << ", " << it.copy_stride << ": "
                      << banks.conflicts << " conflicts in " << banks.accesses << ", most at "
                      << banks.worst);
    EXPECT(it.conflicts == 0 || contains(banks.worst, "tests/ampere.cu:"), banks.worst);
  }
}

// --- wrong uses ---------------------------------------------------------------------------------

void expect_report(const Result& result, int code, const std::vector<const char*>& parts) {
  EXPECT(result.code == code, "code " << result.code << ": " << result.reason);
  for (const char* part : parts) EXPECT(contains(result.reason, part), result.reason);
}

void wrong_uses_are_reported(std::uint64_t seed) {
  alignas(16) static char memory[4096];
  auto with = [seed](const char* name, unsigned threads) {
    return Launcher(name).block(threads).seed(seed);
  };
  expect_report(with("lanes_at_different_mma", 32)(memory), 719,
                {"kernel lanes_at_different_mma, block (0,0,0), warp 0, lane ",
                 "ampere_errors.cu:1", "mma_m16n8k16", "the same .aligned instruction"});
  expect_report(with("half_a_warp_loads", 32)(memory), 719,
                {"ampere_errors.cu:21: ldmatrix_x4", "names lane", "exited"});
  expect_report(with("misaligned_row", 32)(memory), 716,
                {"warp 0, lane 5", "ampere_errors.cu:28", "multiple of 16"});
  expect_report(with("row_outside", 32).shared(256)(memory), 700,
                {"lane 16", "ampere_errors.cu:35", "16 bytes", "of 256 bytes", "in no array"});
  expect_report(with("misaligned_copy", 32)(memory), 716, {"cp_async_16", "multiples of 16"});
  expect_report(with("no_such_barrier", 32)(), 719, {"no named barrier 16"});
  expect_report(with("barrier_of_33", 64)(), 719, {"33 threads", "multiple of 32"});
  expect_report(with("counts_differ", 64)(), 719, {"barrier_sync", "barrier 1"});
  expect_report(with("arrives_twice", 64)(), 719, {"barrier_arrive", "twice at barrier 2"});
  expect_report(with("half_warps_arrive", 64)(), 719,
                {"barrier 3 is complete", "whole warps must arrive"});
  expect_report(with("warp_splits_at_barrier", 64)(), 719,
                {"barrier 4", "all lanes of a warp must execute the same"});
  expect_report(with("one_warp_is_missing", 96)(), 702,
                {"deadlock", "threads 0-63 wait at barrier_sync", "ampere_errors.cu:",
                 "barrier 5: 64 of 96 threads arrived", "threads 64-95 exited"});
}

// --- accesses -----------------------------------------------------------------------------------

struct alignas(256) {
  float before[64], x[96], after[64];
} global_memory;

int find_global_memory(const void* address, RemaskMemoryRange* range) {
  *range = {reinterpret_cast<const char*>(global_memory.x),
            reinterpret_cast<const char*>(global_memory.after)};
  return address >= range->begin && address < range->end;
}

void forbidden_accesses_are_reported(std::uint64_t seed) {
  float* x = global_memory.x;
  auto with = [seed](const char* name, unsigned threads, unsigned shared = 0) {
    return Launcher(name).block(threads).seed(seed).shared(shared).memory(&find_global_memory);
  };
  expect_report(with("reads_past_the_end", 96)(x, x, 96), 0, {});
  expect_report(with("reads_past_the_end", 97)(x, x, 96), 700,
                {"kernel reads_past_the_end, block (0,0,0), warp 3, lane 0, thread (96,0,0), ",
                 "native/emulator/tests/ampere_errors.cu:115: load of 4 bytes at byte 384 of an "
                 "allocation of 384 bytes"});
  expect_report(with("writes_before_the_begin", 3)(x), 700,
                {"ampere_errors.cu:118: store of 4 bytes", "bytes before an allocation of 384"});
  static float* nowhere[1] = {nullptr};
  expect_report(with("follows_nothing", 1)(x, nowhere), 700, {"ampere_errors.cu:121: load of 8"});
  expect_report(with("copies_past_the_end", 24)(x), 0, {});
  expect_report(with("copies_past_the_end", 25)(x), 700,
                {"lane 24", "ampere_errors.cu:126: cp_async_16: load of 16 bytes at byte 384"});
  expect_report(with("leaves_dynamic_shared", 32, 256)(x, 32), 0, {});
  expect_report(with("leaves_dynamic_shared", 32, 256)(x, 33), 700,
                {"lane 31",
                 "ampere_errors.cu:133: load of 4 bytes at byte 256 of dynamic shared "
                 "memory of 256 bytes"});
  expect_report(with("leaves_static_shared", 32)(x, 1), 0, {});
  expect_report(with("leaves_static_shared", 32)(x, 2), 700,
                {"lane 31", "ampere_errors.cu:140: load of 4 bytes", "first", "132 bytes"});
  expect_report(with("leaves_static_shared", 32)(x, 9), 700, {"ampere_errors.cu:140: load of 4"});
}

// How many of 40 seeds give something else than the right result.
template <class Right>
int wrong_results(const char* name, unsigned threads, Right right) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 40; seed++) {
    struct alignas(16) {
      float x[256];
    } in;
    std::vector<float> out(256, 0.0f);
    for (int i = 0; i < 256; i++) in.x[i] = float(i);
    Result result = Launcher(name).block(threads).seed(seed)(out.data(), in.x);
    EXPECT(result.code == 0, result.reason);
    bool all = true;
    for (unsigned i = 0; i < threads; i++) all &= out[i] == right(i);
    wrong += !all;
  }
  return wrong;
}

// What no rule is broken by at any one place shows in the results, unless the adversary is off.
void missing_waits_show() {
  auto count = [](const char* adversary, int which) {
    set_adversary(adversary);
    if (which == 0) {
      return wrong_results("waits_for_too_little", 32, [](unsigned i) { return 128.0f + i; });
    }
    if (which == 1) {
      return wrong_results("reads_without_barrier", 64, [](unsigned i) { return 255.0f - i; });
    }
    return wrong_results("source_changes", 32, [](unsigned i) { return 4.0f * i; });
  };
  for (int which = 0; which < 3; which++) {
    EXPECT(count("random", which) > 10, which << ": " << count("random", which));
    EXPECT(count("latest", which) == 40, which << ": " << count("latest", which));
  }
  EXPECT(count("off", 0) == 0 && count("earliest", 0) == 0, "off is not naive");
  EXPECT(count("off", 2) == 0, "off is not naive");
  set_adversary("random");
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 20;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 1;
  for (const char* adversary : kAdversaries) {
    set_adversary(adversary);
    for (std::uint64_t seed = first; seed < first + seeds; seed++) {
      products(seed);
      zero_fills(seed);
      named_barriers(seed);
      split_sums(seed);
      wrong_uses_are_reported(seed);
      if (std::strcmp(adversary, "off") != 0) forbidden_accesses_are_reported(seed);
    }
  }
  missing_waits_show();
  bank_conflicts();
  std::printf("%d failures, seeds %llu to %llu\n", failures(), (unsigned long long)first,
              (unsigned long long)(first + seeds - 1));
  return failures() == 0 ? 0 : 1;
}
