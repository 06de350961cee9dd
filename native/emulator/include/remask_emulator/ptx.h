// The models of PTX instructions that kernels/include/ptx.h calls.
#pragma once

#include "arithmetic.h"
#include "thread.h"

namespace remask::emulator {

// `shared` must lie in the calling block's shared memory.
unsigned shared_address(const void* shared, const Site& site);

// d[i * n + j] += a[i] * b[j] for i < m, j < n.
void mma_m16n8k16(float (*d)[4], const unsigned (*a)[4], const unsigned (*b)[2], int m, int n,
                  const Site& site);
void ldmatrix(unsigned* r, int matrices, bool transposed, unsigned row, const Site& site);

void cp_async_16(unsigned to, const void* from, bool valid, const Site& site);
void cp_async_commit(const Site& site);
void cp_async_wait(int pending, const Site& site);

void barrier_sync(int id, int threads, const Site& site);
void barrier_arrive(int id, int threads, const Site& site);

// Not rounded as the hardware does, but no less exact, and with its range.
inline float exp2_approx(float x) {
  const float y = exp2f(fabsf(x) < 1.17549435e-38f ? 0.0f : x);
  return y < 1.17549435e-38f ? 0.0f : y;
}

unsigned load_acquire(const unsigned* p);
void store_release(unsigned* p, unsigned x);
unsigned atomic_add_acq_rel(unsigned* p, unsigned x);

}  // namespace remask::emulator
