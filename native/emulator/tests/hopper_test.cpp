// The models of sm_90a's instructions: right uses compute what they should under every adversary,
// wrong uses are reported with the rule that they break. Usage: hopper_test [seeds] [first seed]
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "check.h"
#include "hopper_mistakes.h"
#include "launcher.h"
#include "tensor_map.h"

namespace {

const char* const kAdversaries[] = {"random", "earliest", "latest", "off"};

void set_adversary(const char* name) { setenv("REMASK_EMULATOR_ADVERSARY", name, 1); }

struct alignas(64) Map : RemaskTensorMap {};

// A row-major matrix and its boxes, as cuTensorMapEncodeTiled would write them.
Map matrix_map(void* data, unsigned element_bytes, unsigned rows, unsigned columns,
               unsigned box_rows, unsigned box_columns, unsigned span) {
  Map map{};
  map.magic = kRemaskTensorMapMagic;
  map.rank = 2;
  map.element_bytes = static_cast<unsigned char>(element_bytes);
  map.swizzle = span == 128 ? 3 : span == 64 ? 2 : span == 32 ? 1 : 0;
  map.address = reinterpret_cast<unsigned long long>(data);
  map.dim[0] = columns;
  map.dim[1] = rows;
  map.box[0] = box_columns;
  map.box[1] = box_rows;
  map.stride16[0] = columns * element_bytes / 16;
  map.element_stride[0] = map.element_stride[1] = 1;
  return map;
}

// Small integers, so that sums are exact in any order.
struct Matrix {
  Matrix(unsigned rows, unsigned columns, std::uint64_t seed)
      : rows(rows), columns(columns), storage(rows * columns + 8) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage.data());
    bits = storage.data() + (16 - address % 16) % 16 / 2;
    for (unsigned i = 0; i < rows * columns; i++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      const float value = float(int(seed >> 33) % 9);
      std::uint32_t word;
      std::memcpy(&word, &value, sizeof(word));
      bits[i] = std::uint16_t(word >> 16);
    }
  }
  double at(unsigned row, unsigned column) const {
    const std::uint32_t word = std::uint32_t(bits[row * columns + column]) << 16;
    float value;
    std::memcpy(&value, &word, sizeof(value));
    return value;
  }

  unsigned rows, columns;
  std::vector<std::uint16_t> storage;
  std::uint16_t* bits;
};

struct Gemm {
  int span, steps, lda, mistake;
};

struct GemmCase {
  const char* kernel;
  unsigned n;
  bool trans, registers;
};
const GemmCase kGemms[] = {
    {"gemm_n64", 64, false, false},
    {"gemm_n96", 96, false, false},
    {"gemm_n256", 256, false, false},
    {"gemm_trans_n64", 64, true, false},
    {"gemm_trans_n192", 192, true, false},
    {"gemm_registers_n128", 128, false, true},
    {"gemm_registers_trans_n128", 128, true, true},
};

// The tile [0, 64) x [0, n) of a product whose matrices are smaller, so that boxes reach out of
// them. Returns the launch's result; *wrong counts elements that are not as they should be.
Result run_gemm(const GemmCase& it, int span, int steps, int mistake, std::uint64_t seed,
                int* wrong) {
  const unsigned stage_k = span == 0 ? 16 : unsigned(span) / 2;
  const unsigned inner = span == 0 ? 8 : unsigned(span) / 2;
  // Registers are loaded unguarded, so A is whole then.
  const unsigned m = it.registers ? 64 : 61, n = it.n - 8, k = stage_k * unsigned(steps);
  Matrix a(m, k, seed), b(it.trans ? k : n, it.trans ? n : k, seed + 1);
  struct alignas(16) Four {
    float x[4];
  };
  std::vector<Four> c(m * n / 4 + 1, Four{{-1, -1, -1, -1}});
  const Map map_a = matrix_map(a.bits, 2, m, k, 64, inner, unsigned(span));
  const Map map_b = it.trans ? matrix_map(b.bits, 2, k, n, stage_k, inner, unsigned(span))
                             : matrix_map(b.bits, 2, n, k, it.n, inner, unsigned(span));
  const Map map_c = matrix_map(c.data(), 4, m, n, 64, it.n, 0);
  const unsigned shared = 2 * (64 + it.n) * stage_k * 2 + 64 * it.n * 4;
  Result result = Launcher(it.kernel).block(160).shared(shared).seed(seed)(
      map_a, map_b, map_c, static_cast<const unsigned short*>(a.bits),
      Gemm{span, steps, int(k), mistake});
  *wrong = 0;
  for (unsigned row = 0; row < m; row++) {
    for (unsigned column = 0; column < n; column++) {
      double want = 0;
      for (unsigned i = 0; i < k; i++) {
        want += a.at(row, i) * (it.trans ? b.at(i, column) : b.at(column, i));
      }
      const float got = c[(row * n + column) / 4].x[(row * n + column) % 4];
      *wrong += !(double(got) == want);
    }
  }
  return result;
}

// --- right uses -------------------------------------------------------------------------------

void products(std::uint64_t seed) {
  for (const GemmCase& it : kGemms) {
    for (int span : {0, 32, 64, 128}) {
      const int steps = 1 + int(seed + unsigned(span) / 32) % 6;
      int wrong;
      Result result = run_gemm(it, span, steps, kNone, seed, &wrong);
      EXPECT(result.code == 0, result.reason);
      EXPECT(wrong == 0, it.kernel << ", swizzle " << span << ", " << steps << " steps, seed "
                                   << seed << ": " << wrong << " wrong elements");
    }
  }
}

// Boxes of every rank and swizzle, some of them partly or wholly outside, against the rule element
// by element.
void boxes(std::uint64_t seed) {
  std::uint64_t state = seed * 77 + 5;
  auto draw = [&state](int least, int most) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return least + int((state >> 33) % std::uint64_t(most - least + 1));
  };
  struct BoxAt {
    int at[5];
    int rank, bytes;
  };
  struct alignas(16) Eight {
    std::uint16_t x[8];
  };
  for (int rank = 1; rank <= 5; rank++) {
    for (unsigned swizzle = 0; swizzle <= 3; swizzle++) {
      Map from{};
      from.magic = kRemaskTensorMapMagic;
      from.rank = static_cast<unsigned char>(rank);
      from.element_bytes = 2;
      from.swizzle = static_cast<unsigned char>(swizzle);
      const unsigned span = swizzle == 0 ? 0 : 16u << swizzle;
      BoxAt box{{}, rank, 2};
      unsigned elements = 1;
      for (int d = 0; d < rank; d++) {
        from.dim[d] = unsigned(d == 0 ? draw(1, 12) * 8 : draw(1, 6));
        from.box[d] = unsigned(d == 0 ? (span == 0 ? draw(1, 8) * 8 : int(span) / 2) : draw(1, 4));
        from.element_stride[d] = 1;
        box.at[d] = draw(-int(from.box[d]) - 1, int(from.dim[d]) + 1);
        if (draw(0, 2) != 0) box.at[d] = 0;
        box.bytes *= int(from.box[d]);
        elements *= unsigned(from.dim[d]);
        if (d > 0) from.stride16[d - 1] = elements / unsigned(from.dim[d]) / 8;
      }
      std::vector<Eight> source(elements / 8),
          target(elements / 8, Eight{{9, 9, 9, 9, 9, 9, 9, 9}});
      std::uint16_t* in = source[0].x;
      for (unsigned i = 0; i < elements; i++) in[i] = std::uint16_t(i + 100);
      Map to = from;
      from.address = reinterpret_cast<unsigned long long>(source.data());
      to.address = reinterpret_cast<unsigned long long>(target.data());
      std::vector<unsigned char> raw(static_cast<std::size_t>(box.bytes), 0xee);
      Result result = Launcher("box")
                          .block(32)
                          .shared((unsigned(box.bytes) + 127) / 128 * 128)
                          .seed(seed)(from, to, raw.data(), box);
      EXPECT(result.code == 0, result.reason);

      std::vector<std::uint16_t> stored(elements, 9);
      int wrong = 0;
      for (unsigned i = 0; i < unsigned(box.bytes) / 2; i++) {
        unsigned rest = i;
        long long index = 0, stride = 1;
        bool inside = true;
        for (int d = 0; d < rank; d++) {
          const long long at = box.at[d] + int(rest % from.box[d]);
          rest /= from.box[d];
          inside &= at >= 0 && at < static_cast<long long>(from.dim[d]);
          index += at * stride;
          stride *= static_cast<long long>(from.dim[d]);
        }
        const std::uint16_t want = inside ? in[index] : 0;
        if (inside) stored[std::size_t(index)] = want;
        unsigned byte = 2 * i;  // the block's dynamic shared memory begins at a multiple of 1024
        if (span != 0) byte ^= (byte >> 7 & (span / 16 - 1)) << 4;
        std::uint16_t got;
        std::memcpy(&got, raw.data() + byte, 2);
        wrong += got != want;
      }
      EXPECT(wrong == 0, "rank " << rank << ", swizzle " << swizzle << ", seed " << seed << ": "
                                 << wrong << " wrong elements");
      EXPECT(std::memcmp(stored.data(), target.data(), elements * 2) == 0,
             "stored, rank " << rank << ", swizzle " << swizzle << ", seed " << seed);
    }
  }
}

void multicasts(std::uint64_t seed) {
  const int rounds = 1 + int(seed % 5);
  Matrix in(unsigned(rounds) * 32, 64, seed);
  struct alignas(16) Eight {
    std::uint16_t x[8];
  };
  std::vector<Eight> out(std::size_t(rounds) * 2 * 32 * 8);
  const Map map = matrix_map(in.bits, 2, in.rows, 64, 16, 64, 0);
  Result result =
      Launcher("multicast")
          .grid(2)
          .block(64)
          .shared(4096)
          .seed(seed)(map, reinterpret_cast<unsigned short*>(out.data()), rounds, int(kNone));
  EXPECT(result.code == 0, result.reason);
  for (int round = 0; round < rounds; round++) {
    for (int cta = 0; cta < 2; cta++) {
      EXPECT(std::memcmp(out.data() + (round * 2 + cta) * 256, in.bits + round * 2048, 4096) == 0,
             "round " << round << ", CTA " << cta << ", seed " << seed);
    }
  }
}

void matrix_stores(std::uint64_t seed) {
  for (int transposed : {0, 1}) {
    struct alignas(16) Eight {
      std::uint16_t x[8];
    } out[16 * 4] = {};
    const Map map = matrix_map(out, 2, 16, 32, 16, 16, 0);
    Result result =
        Launcher("store_matrices").block(64).shared(1024).seed(seed)(map, transposed, int(kNone));
    EXPECT(result.code == 0, result.reason);
    for (int row = 0; row < 16; row++) {
      for (int column = 0; column < 32; column++) {
        const std::uint32_t word = std::uint32_t(out[row * 4 + column / 8].x[column % 8]) << 16;
        float value;
        std::memcpy(&value, &word, sizeof(value));
        const int inner = column % 16;
        const int want = transposed ? inner * 16 + row : row * 16 + inner;
        EXPECT(value == float(want), "transposed " << transposed << ", " << row << ", " << column
                                                   << ": " << value << ", not " << want);
      }
    }
  }
}

void warps(std::uint64_t seed) {
  std::vector<int> out(384, 0);
  Result result = Launcher("registers").block(384).seed(seed)(out.data(), int(kNone));
  EXPECT(result.code == 0, result.reason);
  for (int x : out) EXPECT(x == 1, "seed " << seed);

  std::vector<int> lanes(16, -1);
  result = Launcher("elected").block(256).seed(seed)(lanes.data());
  EXPECT(result.code == 0, result.reason);
  for (int warp = 0; warp < 8; warp++) {
    EXPECT(lanes[warp * 2] >= 0 && lanes[warp * 2] == lanes[warp * 2 + 1], "warp " << warp);
  }
}

// --- wrong uses -------------------------------------------------------------------------------

void expect_report(const Result& result, int code, const char* kernel, const char* file,
                   const char* rule, int mistake) {
  EXPECT(result.code == code, "mistake " << mistake << ": " << result.code << " " << result.reason);
  for (const char* part : {kernel, file, rule, "block ("}) {
    EXPECT(contains(result.reason, part),
           "mistake " << mistake << ", no \"" << part << "\" in: " << result.reason);
  }
}

struct Wrong {
  Mistake mistake;
  int code;
  const char* rule;
};

// Reported whatever the schedule.
void gemm_mistakes(std::uint64_t seed) {
  const Wrong always[] = {
      {kNoInitFence, 719, "fence_mbarrier_init by the same thread"},
      {kExpectsTooMany, 702, "lacks 16 bytes"},
      {kMisalignedBox, 716, "not aligned to 128"},
      {kNoWgmmaFence, 719, "wgmma_fence must come before a warpgroup's first wgmma"},
      {kAccumulatorsAfterFence, 719, "its accumulators were written after the last wgmma_fence"},
      {kOutsideDescriptor, 700, "leads to shared memory from"},
      {kDescriptorsDiffer, 719, "differ from those of thread"},
      {kWarpLeaves, 719, "commits group"},
      {kNoProxyFence, 719, "wrote by ordinary stores and has not fenced since"},
      {kUncommitted, 719, "bulk_commit and bulk_wait_read must come first"},
      {kNotAMap, 719, "no tensor map of this device"},
  };
  int ignored;
  for (const Wrong& wrong : always) {
    Result result = run_gemm(kGemms[0], 128, 4, wrong.mistake, seed, &ignored);
    expect_report(result, wrong.code, "kernel gemm_n64", "hopper.cu:", wrong.rule, wrong.mistake);
  }
  Result result = run_gemm(kGemms[5], 128, 4, kFragmentAfterFence, seed, &ignored);
  expect_report(result, 719, "kernel gemm_registers_n128, block (0,0,0), warp 2, lane 13",
                "hopper.cu:", "its fragment of A was written after", kFragmentAfterFence);
  result = run_gemm(kGemms[0], 64, 3, kWrongStride, seed, &ignored);
  EXPECT(result.code != 0 || ignored > 0, "a wrong stride goes unnoticed");
}

// Reported, or wrong results, in most schedules: a mistake that only some orders show.
void gemm_races() {
  struct Race {
    Mistake mistake;
    const char* rule;  // one of the reports; null: any
  };
  const Race races[] = {
      {kExpectsTooFew, "bytes more than expect_tx announced"},
      {kNoFullWait, "is in flight"},
      {kAccumulatorsInFlight, "were written while wgmma was in flight"},
      {kNoWgmmaWait, nullptr},
      {kEarlyRelease, "was changed at"},
      {kArrivesTwice, nullptr},
      {kSourceReused, "was changed before it had been read"},
  };
  for (const Race& race : races) {
    int seen = 0, with_rule = 0, wrong;
    const int seeds = 40;
    for (std::uint64_t seed = 1; seed <= seeds; seed++) {
      Result result = run_gemm(kGemms[0], 128, 6, race.mistake, seed, &wrong);
      seen += result.code != 0 || wrong > 0;
      with_rule += race.rule == nullptr || contains(result.reason, race.rule);
    }
    EXPECT(seen > seeds / 4 && with_rule > 0,
           "mistake " << race.mistake << " seen " << seen << " times, with its rule " << with_rule);
  }
  // A naive emulator would let most of these pass.
  set_adversary("off");
  int passed = 0;
  for (const Race& race : races) {
    int wrong;
    passed += run_gemm(kGemms[0], 128, 6, race.mistake, 1, &wrong).code == 0 && wrong == 0;
  }
  EXPECT(passed >= 3, "off is not naive: " << passed);
  set_adversary("random");
}

void other_mistakes(std::uint64_t seed) {
  Matrix in(64 * 2, 64, seed);
  struct alignas(16) Eight {
    std::uint16_t x[8];
  };
  std::vector<Eight> out(4 * 2 * 32 * 8);
  const Map map = matrix_map(in.bits, 2, in.rows, 64, 16, 64, 0);
  auto multicast = [&](Mistake mistake, int rounds) {
    return Launcher("multicast")
        .grid(2)
        .block(64)
        .shared(4096)
        .seed(seed)(map, reinterpret_cast<unsigned short*>(out.data()), rounds, int(mistake));
  };
  expect_report(multicast(kMaskTooWide, 2), 719, "kernel multicast", "hopper.cu:", "the mask 0x7",
                kMaskTooWide);

  Map wrong_map = map;
  wrong_map.rank = 3;
  Result result =
      Launcher("multicast")
          .grid(2)
          .block(64)
          .shared(4096)
          .seed(seed)(wrong_map, reinterpret_cast<unsigned short*>(out.data()), 1, int(kNone));
  expect_report(result, 719, "kernel multicast",
                "hopper.cu:", "coordinates are not as many as the tensor's dimensions", kNone);

  Eight stored[16 * 4] = {};
  const Map out_map = matrix_map(stored, 2, 16, 32, 16, 16, 0);
  result =
      Launcher("store_matrices").block(64).shared(1024).seed(seed)(out_map, 0, int(kNoProxyFence));
  expect_report(result, 719, "kernel store_matrices",
                "hopper.cu:", "wrote by ordinary stores and has not fenced since", kNoProxyFence);

  const Wrong registers[] = {
      {kWarpKeepsRegisters, 719, "all four must"},
      {kNobodyReleases, 702, "registers more, 0 are free"},
      {kReleasesTooMany, 719, "decreases to 32 registers a thread, but the warp has 24"},
      {kWantsTooMany, 702, "registers more"},
      {kWarpgroupDiffers, 719, "another warp of its warpgroup asked for"},
  };
  std::vector<int> ints(384);
  for (const Wrong& wrong : registers) {
    result = Launcher("registers").block(384).seed(seed)(ints.data(), int(wrong.mistake));
    expect_report(result, wrong.code, "kernel registers", "hopper.cu:", wrong.rule, wrong.mistake);
  }

  const Wrong barriers[] = {
      {kNone, 0, ""},
      {kMisalignedBarrier, 716, "not aligned to 8"},
      {kCountsNothing, 719, "counts 1 to 1048575 arrivals, not 0"},
      {kNoInit, 719, "nobody has initialised one there"},
      {kInitTwice, 719, "initialised twice, first at"},
      {kOverwrittenBarrier, 719, "was overwritten since"},
      {kWaitsForEver, 702, "phase 0 (parity 0) has 0 of 2 arrivals"},
      {kParityIsPhase, 719, "a parity is 0 or 1, not 2"},
      {kNobodyWaited, 719, "phase 0 was never waited for"},
      {kOddBytes, 719, "copies 200 bytes"},
      {kExitsInFlight, 719, "arrive in the shared memory of CTA 0, which has exited"},
  };
  struct alignas(16) {
    float x[64];
  } floats{};
  for (const Wrong& wrong : barriers) {
    const char* latest = wrong.mistake == kExitsInFlight ? "latest" : "random";
    set_adversary(latest);
    result = Launcher("barrier_mistakes")
                 .block(32)
                 .shared(2048)
                 .seed(seed)(static_cast<const float*>(floats.x), int(wrong.mistake));
    if (wrong.code == 0) {
      EXPECT(result.code == 0, result.reason);
    } else {
      expect_report(result, wrong.code, "kernel barrier_mistakes", "hopper.cu:", wrong.rule,
                    wrong.mistake);
    }
  }
  set_adversary("latest");
  result = Launcher("barrier_mistakes")
               .block(32)
               .shared(2048)
               .seed(seed)(static_cast<const float*>(floats.x), int(kLoadsOverlap));
  expect_report(result, 719, "kernel barrier_mistakes", "hopper.cu:", "is in flight",
                kLoadsOverlap);
  result = Launcher("barrier_mistakes")
               .block(32)
               .shared(2048)
               .seed(seed)(static_cast<const float*>(floats.x), int(kArrivalTooMany));
  expect_report(result, 719, "kernel barrier_mistakes", "hopper.cu:", "one arrival too many",
                kArrivalTooMany);
  set_adversary("random");

  result = Launcher("no_warpgroup").block(96).seed(seed)();
  expect_report(result, 719, "kernel no_warpgroup", "hopper.cu:", "belongs to no whole warpgroup",
                kNone);
}

// A cluster whose CTAs do not wait for each other.
void cluster_mistakes() {
  Matrix in(64 * 2, 64, 5);
  std::vector<std::uint64_t> out(4 * 2 * 32 * 16 + 2);
  const Map map = matrix_map(in.bits, 2, in.rows, 64, 16, 64, 0);
  for (Mistake mistake : {kReleasesOwnOnly, kClusterExits}) {
    int seen = 0;
    for (std::uint64_t seed = 1; seed <= 60; seed++) {
      const int rounds = 4;
      char* aligned = reinterpret_cast<char*>(out.data());
      aligned += (16 - reinterpret_cast<std::uintptr_t>(aligned) % 16) % 16;
      Result result =
          Launcher("multicast")
              .grid(2)
              .block(64)
              .shared(4096)
              .seed(seed)(map, reinterpret_cast<unsigned short*>(aligned), rounds, int(mistake));
      bool right = true;
      for (int i = 0; i < rounds * 2; i++) {
        right &= std::memcmp(aligned + i * 4096, in.bits + i / 2 * 2048, 4096) == 0;
      }
      seen += result.code != 0 || !right;
    }
    // Without the last barrier all goes well here: every CTA has got all of its data by then.
    EXPECT(mistake == kClusterExits || seen > 10, "mistake " << mistake << " seen " << seen);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 6;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 1;
  for (const char* adversary : kAdversaries) {
    set_adversary(adversary);
    for (std::uint64_t seed = first; seed < first + seeds; seed++) {
      products(seed);
      boxes(seed);
      multicasts(seed);
      matrix_stores(seed);
      warps(seed);
    }
  }
  set_adversary("random");
  for (std::uint64_t seed = first; seed < first + seeds; seed++) {
    gemm_mistakes(seed);
    other_mistakes(seed);
  }
  gemm_races();
  cluster_mistakes();
  std::printf("%d failures, seeds %llu to %llu\n", failures(), (unsigned long long)first,
              (unsigned long long)(first + seeds - 1));
  return failures() == 0 ? 0 : 1;
}
