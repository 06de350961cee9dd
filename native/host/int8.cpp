#include "int8.h"

#include <cstring>

#include "parallel.h"

namespace remask::host {
namespace {

struct RunnableInt8 {
  const Int8Kernels* tables[5];
  int count = 0;

  RunnableInt8() {
    tables[count++] = &kBaselineInt8;
#ifdef __x86_64__
    int sets = 0;
    const KernelSet* const* runnable = runnable_kernel_sets(&sets);
    for (int i = 0; i < sets; ++i) {
      if (std::strcmp(runnable[i]->name, "avx2") == 0) {
        tables[count++] = &kAvx2Int8;
#ifdef REMASK_HAVE_AVX_VNNI
        if (__builtin_cpu_supports("avxvnni")) tables[count++] = &kAvx2VnniInt8;
#endif
      } else if (std::strcmp(runnable[i]->name, "avx512") == 0) {
        tables[count++] = &kAvx512Int8;
        if (__builtin_cpu_supports("avx512vnni")) tables[count++] = &kAvx512VnniInt8;
      }
    }
#endif
  }
};

const RunnableInt8& runnable() {
  static const RunnableInt8 tables;
  return tables;
}

// "avx512_vnni" is of the vectors of the sets "avx512" and "avx512_bf16".
bool same_vectors(const char* table, const char* set) {
  const auto length = [](const char* name) { return std::strcspn(name, "_"); };
  return length(table) == length(set) && std::strncmp(table, set, length(set)) == 0;
}

template <auto kMember, typename Out>
void run(const RemaskLaunch& launch, Out* out, const std::int8_t* a, const float* a_scales,
         const std::int8_t* w, const float* w_scales, int m, int n, int k) {
  require(m >= 1 && n >= 1 && k >= 1, "gemm_int8: m, n and k must be at least 1");
  require(k <= kInt8MostK, "gemm_int8: sums of 8-bit products are exact up to a k of 133,144");
  (best_int8_kernels().*kMember)(launch.threads < 1 ? 1 : launch.threads, out, a, a_scales, w,
                                 w_scales, m, n, k, kernel_scratch(int8_scratch_bytes(m, k)));
}

}  // namespace

const Int8Kernels& int8_kernels_of(const KernelSet& set) {
  const Int8Kernels* found = &kBaselineInt8;
  for (int i = 0; i < runnable().count; ++i) {
    if (same_vectors(runnable().tables[i]->name, set.name)) found = runnable().tables[i];
  }
  return *found;
}

const Int8Kernels& best_int8_kernels() {
  static const Int8Kernels& best = int8_kernels_of(best_kernel_set());
  return best;
}

const Int8Kernels* const* runnable_int8_kernels(int* count) {
  *count = runnable().count;
  return runnable().tables;
}

void gemm_int8_bf16(const RemaskLaunch& launch, bf16* out, const std::int8_t* a,
                    const float* a_scales, const std::int8_t* w, const float* w_scales, int m,
                    int n, int k) {
  run<&Int8Kernels::gemm_int8_bf16>(launch, out, a, a_scales, w, w_scales, m, n, k);
}

void gemm_int8_f32(const RemaskLaunch& launch, float* out, const std::int8_t* a,
                   const float* a_scales, const std::int8_t* w, const float* w_scales, int m, int n,
                   int k) {
  run<&Int8Kernels::gemm_int8_f32>(launch, out, a, a_scales, w, w_scales, m, n, k);
}

void gemm_int8_residual(const RemaskLaunch& launch, float* residual, const std::int8_t* a,
                        const float* a_scales, const std::int8_t* w, const float* w_scales, int m,
                        int n, int k) {
  run<&Int8Kernels::gemm_int8_residual>(launch, residual, a, a_scales, w, w_scales, m, n, k);
}

}  // namespace remask::host
