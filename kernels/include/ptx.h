// PTX instructions of sm_80 and later, by name. With ptx_sm90a.h the only file that holds inline
// assembly: nvcc compiles it, g++ calls the emulator's model of the same instruction instead
// (native/emulator/include/remask_emulator/ptx.h). One signature, two bodies; g++ alone sees the
// defaulted parameters by which a report names the caller's line.
//
// .aligned instructions (ldmatrix, mma, barriers) want all 32 lanes of a warp at the same place.
#pragma once

#ifdef __CUDACC__
#define REMASK_PTX __device__ __forceinline__
#define REMASK_PTX_SITE   // only parameter
#define REMASK_PTX_SITE_  // after other parameters
#else
#include "remask_emulator/ptx.h"
#define REMASK_PTX inline __attribute__((always_inline))
#define REMASK_PTX_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define REMASK_PTX_SITE_ , REMASK_PTX_SITE
#define REMASK_PTX_HERE \
  ::remask::emulator::Site { __func__, file, line }
#endif

namespace remask::ptx {

// An address in the shared window of the CTA or, once mapped to a rank, of the cluster.
using SharedAddress = unsigned;

// What the L2 should do with the lines that an access touches.
struct CachePolicy {
  unsigned long long bits;
};

// The address of a variable in shared memory.
REMASK_PTX SharedAddress shared_address(const void* shared REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  return SharedAddress(__cvta_generic_to_shared(shared));
#else
  return emulator::shared_address(shared, REMASK_PTX_HERE);
#endif
}

// --- tensor cores ------------------------------------------------------------------------------

// d += a * b for the warp's 16x16 a and 16x8 b of bf16. With g = lane / 4 and t = lane % 4: a[0] is
// row g, columns 2t and 2t + 1; a[1] row g + 8; a[2] and a[3] the same 8 columns on. b0 is column
// g, rows 2t and 2t + 1; b1 8 rows on. d[0] and d[1] are row g, columns 2t and 2t + 1; d[2] and
// d[3] row g + 8.
REMASK_PTX void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], unsigned b0,
                             unsigned b1 REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  const unsigned b[1][2] = {{b0, b1}};
  emulator::mma_m16n8k16(&d, &a, b, 1, 1, REMASK_PTX_HERE);
#endif
}

// The same for a tile of kM x kN such fragments: d[i][j] += a[i] * b[j]. On a card exactly those
// mma; in the emulator one meeting of the lanes instead of kM * kN, so prefer it where it fits.
template <int kM, int kN>
REMASK_PTX void mma_m16n8k16_tile(float (&d)[kM][kN][4], const unsigned (&a)[kM][4],
                                  const unsigned (&b)[kN][2] REMASK_PTX_SITE_) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < kM; i++) {
#pragma unroll
    for (int j = 0; j < kN; j++) mma_m16n8k16(d[i][j], a[i], b[j][0], b[j][1]);
  }
#else
  emulator::mma_m16n8k16(&d[0][0], a, b, kM, kN, REMASK_PTX_HERE);
#endif
}

// Loads 8x8 matrices of 2-byte elements: lanes 8j to 8j + 7 give the addresses of the rows of
// matrix j, 16 bytes each; lane l gets row l / 4, columns 2(l % 4) and the next, of matrix j in
// r[j]. _trans gives the transposed matrices' elements.
REMASK_PTX void ldmatrix_x4(unsigned (&r)[4], SharedAddress row REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
#else
  emulator::ldmatrix(r, 4, false, row, REMASK_PTX_HERE);
#endif
}

REMASK_PTX void ldmatrix_x4_trans(unsigned (&r)[4], SharedAddress row REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
#else
  emulator::ldmatrix(r, 4, true, row, REMASK_PTX_HERE);
#endif
}

REMASK_PTX void ldmatrix_x2(unsigned (&r)[2], SharedAddress row REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(row)
               : "memory");
#else
  emulator::ldmatrix(r, 2, false, row, REMASK_PTX_HERE);
#endif
}

REMASK_PTX void ldmatrix_x2_trans(unsigned (&r)[2], SharedAddress row REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(row)
               : "memory");
#else
  emulator::ldmatrix(r, 2, true, row, REMASK_PTX_HERE);
#endif
}

// --- asynchronous copies -----------------------------------------------------------------------

// A policy for lines that nobody will read again soon: weights that stream by.
REMASK_PTX CachePolicy evict_first_policy() {
  CachePolicy policy{0};
#ifdef __CUDACC__
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy.bits));
#endif
  return policy;
}

// Copies 16 bytes from global to shared memory past L1, some time before a cp_async_wait() of this
// thread that covers it returns; zeros, without looking at `from`, if not valid. Both addresses are
// multiples of 16. Other threads see it only after a barrier that follows that wait.
REMASK_PTX void cp_async_16(SharedAddress to, const void* from, bool valid REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
#else
  emulator::cp_async_16(to, from, valid, REMASK_PTX_HERE);
#endif
}

REMASK_PTX void cp_async_16(SharedAddress to, const void* from, bool valid,
                            CachePolicy policy REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0), "l"(policy.bits)
               : "memory");
#else
  (void)policy;
  emulator::cp_async_16(to, from, valid, REMASK_PTX_HERE);
#endif
}

// Ends a group of this thread's copies; it may be empty.
REMASK_PTX void cp_async_commit(REMASK_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulator::cp_async_commit(REMASK_PTX_HERE);
#endif
}

// Waits until at most the kPending latest groups of this thread are under way.
template <int kPending>
REMASK_PTX void cp_async_wait(REMASK_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  emulator::cp_async_wait(kPending, REMASK_PTX_HERE);
#endif
}

// --- barriers and global synchronisation -------------------------------------------------------

// Waits at barrier `id`, 1 to 15 (0 is __syncthreads), until `threads` threads, whole warps, have
// reached it by barrier_sync() or barrier_arrive().
REMASK_PTX void barrier_sync(int id, int threads REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("barrier.sync.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulator::barrier_sync(id, threads, REMASK_PTX_HERE);
#endif
}

// Counts as having reached it, and goes on.
REMASK_PTX void barrier_arrive(int id, int threads REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  asm volatile("barrier.arrive.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulator::barrier_arrive(id, threads, REMASK_PTX_HERE);
#endif
}

// 2^x, denormals as zero, about 2 ulp.
REMASK_PTX float exp2_approx(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return emulator::exp2_approx(x);
#endif
}

// What follows in this thread comes after what preceded the store_release() (or the like) that
// wrote the value read. Scope of all of these: the GPU.
REMASK_PTX unsigned load_acquire(const unsigned* p) {
#ifdef __CUDACC__
  unsigned x;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
               : "=r"(x)
               : "l"(__cvta_generic_to_global(p))
               : "memory");
  return x;
#else
  return emulator::load_acquire(p);
#endif
}

REMASK_PTX void store_release(unsigned* p, unsigned x) {
#ifdef __CUDACC__
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(p)), "r"(x)
               : "memory");
#else
  emulator::store_release(p, x);
#endif
}

// *p += x and the value before, acquiring and releasing: a ticket whose last holder sees all parts.
REMASK_PTX unsigned atomic_add_acq_rel(unsigned* p, unsigned x) {
#ifdef __CUDACC__
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(p)), "r"(x)
               : "memory");
  return before;
#else
  return emulator::atomic_add_acq_rel(p, x);
#endif
}

}  // namespace remask::ptx
