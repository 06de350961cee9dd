// Probes of the instructions that kernels/*_sm80.cu use; dev.remask.bundle.Calibration runs them.
#include <cuda_bf16.h>

#include "../include/ptx.h"
#include "probe.h"

namespace remask {
namespace {

constexpr int kRounds = 8;
constexpr unsigned kMatrixWords = 512;
extern __shared__ __align__(1024) unsigned calibrate_sm80_shared[];

}  // namespace
}  // namespace remask

using namespace remask;

// out[kRounds][32][4]: accumulators of mma.m16n8k16, on operands that differ from round to round.
extern "C" __global__ void __launch_bounds__(32) calibrate_mma_sm80(unsigned* out) {
  for (int round = 0; round < kRounds; round++) {
    unsigned a[4], b[2];
    float d[4];
    for (unsigned i = 0; i < 4; i++) {
      a[i] = small_pair(threadIdx.x * 4 + i, round);
      d[i] = static_cast<float>(mixed(threadIdx.x * 4 + i, 100 + round) % 1024);
    }
    for (unsigned i = 0; i < 2; i++) b[i] = small_pair(1000 + threadIdx.x * 2 + i, round);
    ptx::mma_m16n8k16(d, a, b[0], b[1]);
    for (int i = 0; i < 4; i++) {
      out[(round * 32 + threadIdx.x) * 4 + i] = __float_as_uint(d[i]);
    }
  }
}

// out[kRounds][32][12]: what ldmatrix x4, x4.trans, x2 and x2.trans leave, rows given in an order
// that differs from round to round.
extern "C" __global__ void __launch_bounds__(32) calibrate_ldmatrix_sm80(unsigned* out) {
  unsigned* words = calibrate_sm80_shared;
  fill(words, kMatrixWords, Filling::kIndex, 0);
  for (int round = 0; round < kRounds; round++) {
    const unsigned row = mixed(threadIdx.x, round) % (kMatrixWords / 4);
    const ptx::SharedAddress at = ptx::shared_address(words + row * 4);
    unsigned four[4], four_trans[4], two[2], two_trans[2];
    ptx::ldmatrix_x4(four, at);
    ptx::ldmatrix_x4_trans(four_trans, at);
    ptx::ldmatrix_x2(two, at);
    ptx::ldmatrix_x2_trans(two_trans, at);
    unsigned* lane = out + (round * 32 + threadIdx.x) * 12;
    for (int i = 0; i < 4; i++) lane[i] = four[i];
    for (int i = 0; i < 4; i++) lane[4 + i] = four_trans[i];
    for (int i = 0; i < 2; i++) lane[8 + i] = two[i];
    for (int i = 0; i < 2; i++) lane[10 + i] = two_trans[i];
  }
}

// out[256]: shared memory after copies of 16 bytes, every third filled with zeros, every fourth
// left out.
extern "C" __global__ void __launch_bounds__(64)
    calibrate_cp_async_sm80(unsigned* out, const unsigned* in) {
  unsigned* words = calibrate_sm80_shared;
  fill(words, 256, Filling::kPoison, 0);
  if (threadIdx.x % 4 != 3) {
    const ptx::SharedAddress to = ptx::shared_address(words + 4 * (threadIdx.x ^ 5));
    ptx::cp_async_16(to, in + 4 * threadIdx.x, threadIdx.x % 3 != 0);
  }
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  dump(out, words, 256);
}
