#include "machine_limits.h"

#include <cstdint>
#include <cstring>
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace remask::host::bench {
namespace {

constexpr int kRepeats = 1000000;
constexpr int kChains = 12;  // more than latency x units of every processor of interest

volatile float sink;

// `step(sum)` is sum * factor + term for some vector; a macro, because a function is compiled for
// the instruction set that its caller may not have.
#define REMASK_MULTIPLY_ADDS(Vector, first, step)                                           \
  Vector sums[kChains];                                                                     \
  for (Vector & sum : sums) sum = first;                                                    \
  for (int i = 0; i < kRepeats; ++i) {                                                      \
    _Pragma("GCC unroll 12") for (int c = 0; c < kChains; ++c) { sums[c] = step(sums[c]); } \
  }                                                                                         \
  for (int c = 0; c < kChains; ++c) sink = sums[c][0];                                      \
  return 2.0 * kRepeats * kChains * (sizeof(Vector) / sizeof(float))

#ifdef __x86_64__
__attribute__((target("avx512f"))) double wide() {
  const __m512 factor = _mm512_set1_ps(0.5f), term = _mm512_set1_ps(1.0f);
#define REMASK_STEP(sum) _mm512_fmadd_ps(sum, factor, term)
  REMASK_MULTIPLY_ADDS(__m512, term, REMASK_STEP);
#undef REMASK_STEP
}

__attribute__((target("avx2,fma"))) double middle() {
  const __m256 factor = _mm256_set1_ps(0.5f), term = _mm256_set1_ps(1.0f);
#define REMASK_STEP(sum) _mm256_fmadd_ps(sum, factor, term)
  REMASK_MULTIPLY_ADDS(__m256, term, REMASK_STEP);
#undef REMASK_STEP
}
#endif

typedef float Narrow __attribute__((vector_size(16)));

double narrow() {
  const Narrow factor = {0.5f, 0.5f, 0.5f, 0.5f}, term = {1, 1, 1, 1};
#define REMASK_STEP(sum) sum* factor + term
  REMASK_MULTIPLY_ADDS(Narrow, term, REMASK_STEP);
#undef REMASK_STEP
}

}  // namespace

double run_multiply_adds(const char* set) {
#ifdef __x86_64__
  if (std::strncmp(set, "avx512", 6) == 0) return wide();
  if (std::strcmp(set, "avx2") == 0) return middle();
#endif
  (void)set;
  return narrow();
}

void read_all(const void* memory, std::size_t bytes) {
  constexpr std::size_t kLine = 64, kStreams = 4;
  const std::size_t stream = bytes / kStreams / kLine * kLine;
  const char* from = static_cast<const char*>(memory);
  std::uint64_t sum[kStreams] = {};
  for (std::size_t at = 0; at < stream; at += kLine) {
    for (std::size_t s = 0; s < kStreams; ++s) {
      std::uint64_t word;  // a line of memory moves as a whole
      std::memcpy(&word, from + s * stream + at, sizeof(word));
      sum[s] += word;
    }
  }
  sink = static_cast<float>(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]);
}

}  // namespace remask::host::bench
