// The host kernels of --quantize int8: kernels/quantize.cu and kernels/gemm_int8.cu, compiled once
// per instruction set, as a table of functions.
//
// A table of its own beside KernelSet: what multiplies bytes (VNNI) is no part of the instruction
// sets that those are cut by. All tables give the same bits, which are those of the CUDA kernels:
// the sums are integers and exact, and each number made of them is rounded in one order.
#ifndef REMASK_HOST_INT8_H_
#define REMASK_HOST_INT8_H_

#include <cstddef>
#include <cstdint>

#include "kernel_set.h"

namespace remask::host {

template <typename X>
using QuantizeRowsKernel = void (*)(const RemaskLaunch&, std::int8_t* out, float* scales,
                                    const X* in, int rows, int width);
// out[m,n] = (sum over k of a[m,k] * w[n,k]) * a_scales[m] * w_scales[n]. `scratch` holds
// int8_scratch_bytes(m, k), aligned to 64.
template <typename Out>
using GemmInt8Kernel = void (*)(int threads, Out* out, const std::int8_t* a, const float* a_scales,
                                const std::int8_t* w, const float* w_scales, int m, int n, int k,
                                void* scratch);

constexpr int kInt8Rows = 64;                         // rows of `a` that are packed together
constexpr int kInt8Depth = 64;                        // k is padded to a multiple of this
constexpr int kInt8MostK = 0x7fffffff / (127 * 127);  // sums of so many products fit 32 bits
inline std::size_t int8_scratch_bytes(int m, int k) {
  const std::size_t rows = static_cast<std::size_t>((m + kInt8Rows - 1) / kInt8Rows) * kInt8Rows;
  const std::size_t depth =
      static_cast<std::size_t>((k + kInt8Depth - 1) / kInt8Depth) * kInt8Depth;
  return rows * depth * sizeof(std::int16_t);
}

struct Int8Kernels {
  const char* name;
  QuantizeRowsKernel<bf16> quantize_rows_bf16;
  QuantizeRowsKernel<float> quantize_rows_f32;
  GemmInt8Kernel<bf16> gemm_int8_bf16;
  GemmInt8Kernel<float> gemm_int8_f32;
  GemmInt8Kernel<float> gemm_int8_residual;  // adds to out
};

extern const Int8Kernels kBaselineInt8;
#ifdef __x86_64__
extern const Int8Kernels kAvx2Int8;
#ifdef REMASK_HAVE_AVX_VNNI
extern const Int8Kernels kAvx2VnniInt8;  // AVX2 and AVX-VNNI
#endif
extern const Int8Kernels kAvx512Int8;
extern const Int8Kernels kAvx512VnniInt8;  // AVX-512 F, BW, DQ, VL, VNNI
#endif

// The fastest table with the vectors of a set that runs here.
const Int8Kernels& int8_kernels_of(const KernelSet& set);
// That of best_kernel_set().
const Int8Kernels& best_int8_kernels();
// All tables that can run here, slowest first; `count` receives how many.
const Int8Kernels* const* runnable_int8_kernels(int* count);

// The kernels by the parameters of the CUDA kernels. A shape that they cannot run, among them one
// of more than kInt8MostK, is std::invalid_argument.
void gemm_int8_bf16(const RemaskLaunch& launch, bf16* out, const std::int8_t* a,
                    const float* a_scales, const std::int8_t* w, const float* w_scales, int m,
                    int n, int k);
void gemm_int8_f32(const RemaskLaunch& launch, float* out, const std::int8_t* a,
                   const float* a_scales, const std::int8_t* w, const float* w_scales, int m, int n,
                   int k);
void gemm_int8_residual(const RemaskLaunch& launch, float* residual, const std::int8_t* a,
                        const float* a_scales, const std::int8_t* w, const float* w_scales, int m,
                        int n, int k);

}  // namespace remask::host

#endif  // REMASK_HOST_INT8_H_
