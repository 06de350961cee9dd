// The PTX that sm_90a kernels use: mbarrier, TMA, wgmma, clusters. One wrapper per instruction;
// nvcc compiles its PTX, the emulator's build its model (native/emulator). Section numbers of the
// PTX ISA stand beside what is easily got wrong.
//
// Addresses of shared memory are SharedAddress (shared_address(pointer)); one that map_to_rank()
// gave names another CTA of the cluster and is taken where this file says so.
#pragma once

#include "ptx.h"

#ifndef __CUDACC__
#include "remask_emulator/hopper.h"
#endif

namespace remask::ptx {

// The model's statement for g++, the arguments of asm volatile for nvcc.
#ifdef __CUDACC__
#define REMASK_ASM(model, ...) asm volatile(__VA_ARGS__)
#else
#define REMASK_ASM(model, ...) model
#endif

// A CUtensorMap, a kernel parameter by value: `const __grid_constant__ TensorMap map`. The TMA unit
// reads it through the constant bank, so a copy elsewhere would need a fence of its own.
struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

// --- mbarrier (9.7.13.15) -----------------------------------------------------------------------

// One thread, once; then fence_mbarrier_init() and a barrier of the CTA (of the cluster, if others
// will arrive here) before anybody else or the TMA unit uses it.
REMASK_PTX void mbarrier_init(SharedAddress barrier, unsigned count REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::mbarrier_init(barrier, count, REMASK_PTX_HERE),
             "mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count)
             : "memory");
}
REMASK_PTX void fence_mbarrier_init(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::fence_mbarrier_init(REMASK_PTX_HERE),
             "fence.mbarrier_init.release.cluster;" ::
                 : "memory");
}

REMASK_PTX void mbarrier_arrive(SharedAddress barrier REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::mbarrier_arrive(barrier, REMASK_PTX_HERE),
             "mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier)
             : "memory");
}
// `mapped` by map_to_rank(), to the caller's own rank or another's.
REMASK_PTX void mbarrier_arrive_cluster(SharedAddress mapped REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::mbarrier_arrive_cluster(mapped, REMASK_PTX_HERE),
             "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(mapped)
             : "memory");
}
// Announces `bytes` that TMA will deliver in this phase, then arrives once.
REMASK_PTX void mbarrier_arrive_expect_tx(SharedAddress barrier, unsigned bytes REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::mbarrier_arrive_expect_tx(barrier, bytes, REMASK_PTX_HERE),
             "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
             : "memory");
}

// Waits for the end of the phase of this parity: the first phase has parity 0, and a barrier fresh
// from init passes parity 1. What the phase delivered is visible afterwards.
REMASK_PTX void mbarrier_wait(SharedAddress barrier, unsigned parity REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::mbarrier_wait(barrier, parity, REMASK_PTX_HERE),
             "{\n"
             ".reg .pred done;\n"
             "again:\n"
             "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
             "@!done bra again;\n"
             "}" ::"r"(barrier),
             "r"(parity)
             : "memory");
}

// Between ordinary writes to shared memory and TMA or wgmma that read them: each writer calls it,
// then a barrier, then the asynchronous unit may be sent.
REMASK_PTX void fence_proxy_async(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::fence_proxy_async(REMASK_PTX_HERE), "fence.proxy.async.shared::cta;" ::
                 : "memory");
}

// --- TMA (9.7.9.27) -----------------------------------------------------------------------------
// Coordinates are in elements, innermost first. One thread issues.

// REMASK_TMA(rank, before, after, operands...): the five ranks differ in the list of coordinates,
// which follow three operands; what else an instruction takes is %8.
#define REMASK_AT_1 "{%3}"
#define REMASK_AT_2 "{%3, %4}"
#define REMASK_AT_3 "{%3, %4, %5}"
#define REMASK_AT_4 "{%3, %4, %5, %6}"
#define REMASK_AT_5 "{%3, %4, %5, %6, %7}"
#define REMASK_TMA(before, after, first, second, third, fourth)   \
  const int c1 = kRank > 1 ? at[kRank > 1 ? 1 : 0] : 0,           \
            c2 = kRank > 2 ? at[kRank > 2 ? 2 : 0] : 0,           \
            c3 = kRank > 3 ? at[kRank > 3 ? 3 : 0] : 0,           \
            c4 = kRank > 4 ? at[kRank > 4 ? 4 : 0] : 0;           \
  REMASK_TMA_RANK(1, before, after, first, second, third, fourth) \
  REMASK_TMA_RANK(2, before, after, first, second, third, fourth) \
  REMASK_TMA_RANK(3, before, after, first, second, third, fourth) \
  REMASK_TMA_RANK(4, before, after, first, second, third, fourth) \
  REMASK_TMA_RANK(5, before, after, first, second, third, fourth)
#define REMASK_TMA_RANK(rank, before, after, first, second, third, fourth)                         \
  if constexpr (kRank == rank) {                                                                   \
    asm volatile(before(#rank) REMASK_AT_##rank after ::first, second, third, "r"(at[0]), "r"(c1), \
                 "r"(c2), "r"(c3), "r"(c4), fourth                                                 \
                 : "memory");                                                                      \
  }
#define REMASK_TMA_LOAD(rank) \
  "cp.async.bulk.tensor." rank "d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, "
#define REMASK_TMA_LOAD_CACHED(rank) \
  "cp.async.bulk.tensor." rank       \
  "d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, "
#define REMASK_TMA_LOAD_MULTICAST(rank) \
  "cp.async.bulk.tensor." rank          \
  "d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, "
#define REMASK_TMA_STORE(rank) "cp.async.bulk.tensor." rank "d.global.shared::cta.bulk_group [%1, "

// A box of the tensor into this CTA's shared memory; elements outside the tensor arrive as zeros
// and count as bytes. Completes box bytes on `barrier`.
template <int kRank>
REMASK_PTX void tma_load(SharedAddress to, const TensorMap& map, const int (&at)[kRank],
                         SharedAddress barrier REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  REMASK_TMA(REMASK_TMA_LOAD, "], [%2];", "r"(to), "l"(&map), "r"(barrier), "n"(0))
#else
  emulator::tma_load(to, &map, at, kRank, barrier, REMASK_PTX_HERE);
#endif
}
template <int kRank>
REMASK_PTX void tma_load(SharedAddress to, const TensorMap& map, const int (&at)[kRank],
                         SharedAddress barrier, CachePolicy policy REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  REMASK_TMA(REMASK_TMA_LOAD_CACHED, "], [%2], %8;", "r"(to), "l"(&map), "r"(barrier),
             "l"(policy.bits))
#else
  (void)policy;
  emulator::tma_load(to, &map, at, kRank, barrier, REMASK_PTX_HERE);
#endif
}
// The same box into every CTA of the cluster whose bit is set, at the same offset in each, and
// completes on each one's own barrier at the same offset.
template <int kRank>
REMASK_PTX void tma_load_multicast(SharedAddress to, const TensorMap& map, const int (&at)[kRank],
                                   SharedAddress barrier,
                                   unsigned short cta_mask REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  REMASK_TMA(REMASK_TMA_LOAD_MULTICAST, "], [%2], %8;", "r"(to), "l"(&map), "r"(barrier),
             "h"(cta_mask))
#else
  emulator::tma_load_multicast(to, &map, at, kRank, barrier, cta_mask, REMASK_PTX_HERE);
#endif
}
// A box from shared memory into the tensor; what lies outside the tensor is not written. Part of
// the thread's next bulk group.
template <int kRank>
REMASK_PTX void tma_store(const TensorMap& map, const int (&at)[kRank],
                          SharedAddress from REMASK_PTX_SITE_) {
#ifdef __CUDACC__
  REMASK_TMA(REMASK_TMA_STORE, "], [%0];", "r"(from), "l"(&map), "n"(0), "n"(0))
#else
  emulator::tma_store(&map, at, kRank, from, REMASK_PTX_HERE);
#endif
}
#undef REMASK_TMA_STORE
#undef REMASK_TMA_LOAD_MULTICAST
#undef REMASK_TMA_LOAD_CACHED
#undef REMASK_TMA_LOAD
#undef REMASK_TMA_RANK
#undef REMASK_TMA

// Plain bytes, a multiple of 16 at addresses that are multiples of 16.
REMASK_PTX void bulk_load(SharedAddress to, const void* from, unsigned bytes,
                          SharedAddress barrier REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::bulk_load(to, from, bytes, barrier, REMASK_PTX_HERE),
             "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
             "[%3];" ::"r"(to),
             "l"(from), "r"(bytes), "r"(barrier)
             : "memory");
}
REMASK_PTX void bulk_store(void* to, SharedAddress from, unsigned bytes REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::bulk_store(to, from, bytes, REMASK_PTX_HERE),
             "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from),
             "r"(bytes)
             : "memory");
}
REMASK_PTX void bulk_commit(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::bulk_commit(REMASK_PTX_HERE), "cp.async.bulk.commit_group;" ::: "memory");
}
// Until at most kPending of this thread's groups are not complete...
template <int kPending>
REMASK_PTX void bulk_wait(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::bulk_wait(kPending, false, REMASK_PTX_HERE),
             "cp.async.bulk.wait_group %0;" ::"n"(kPending)
             : "memory");
}
// ...or have not read their shared memory, which may then be written again.
template <int kPending>
REMASK_PTX void bulk_wait_read(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::bulk_wait(kPending, true, REMASK_PTX_HERE),
             "cp.async.bulk.wait_group.read %0;" ::"n"(kPending)
             : "memory");
}
REMASK_PTX void prefetch_tensor_map(const TensorMap& map REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::prefetch_tensor_map(&map, REMASK_PTX_HERE),
             "prefetch.tensormap [%0];" ::"l"(&map)
             : "memory");
}

// --- wgmma (9.7.15) -----------------------------------------------------------------------------

// Values as in the descriptor. A swizzle of 2^k bytes repeats every 8 rows: tiles are aligned to 8
// times the span (1024 bytes for k128).
enum class Swizzle { kNone = 0, k128 = 1, k64 = 2, k32 = 3 };

// Descriptor of a matrix in shared memory (9.7.15.5.1). K-major with a swizzle: stride_bytes leads
// to the next 8 rows, leading_bytes is ignored. MN-major with a swizzle: stride_bytes leads to the
// next 8 rows of k, leading_bytes to the next span of columns.
REMASK_PTX unsigned long long smem_descriptor(SharedAddress at, unsigned leading_bytes,
                                              unsigned stride_bytes, Swizzle swizzle) {
  return (unsigned long long)((at & 0x3ffffu) >> 4) |
         (unsigned long long)((leading_bytes & 0x3ffffu) >> 4) << 16 |
         (unsigned long long)((stride_bytes & 0x3ffffu) >> 4) << 32 |
         (unsigned long long)(swizzle) << 62;
}

// Keeps the compiler from moving uses of these registers across this point: ptxas would have to
// serialise the wgmmas otherwise (notes C7510 and C7514).
template <int kRegisters>
REMASK_PTX void wgmma_pin(float (&d)[kRegisters]) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < kRegisters; i++) asm volatile("" : "+f"(d[i])::"memory");
#else
  (void)d;
#endif
}
template <int kRegisters>
REMASK_PTX void wgmma_pin(unsigned (&a)[kRegisters]) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < kRegisters; i++) asm volatile("" : "+r"(a[i])::"memory");
#else
  (void)a;
#endif
}

// Before the first wgmma, and between any access of accumulators or A fragments and the wgmma that
// uses them next. Name the accumulators, so that the compiler knows.
REMASK_PTX void wgmma_fence(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::wgmma_fence(REMASK_PTX_HERE), "wgmma.fence.sync.aligned;" ::: "memory");
}
template <int kRegisters>
REMASK_PTX void wgmma_fence(float (&d)[kRegisters] REMASK_PTX_SITE_) {
  wgmma_pin(d);
  REMASK_ASM(emulator::wgmma_fence(REMASK_PTX_HERE), "wgmma.fence.sync.aligned;" ::: "memory");
}
REMASK_PTX void wgmma_commit(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::wgmma_commit(REMASK_PTX_HERE), "wgmma.commit_group.sync.aligned;" ::
                 : "memory");
}
// Until at most kPending groups are in flight. Name the accumulators that are read afterwards.
template <int kPending>
REMASK_PTX void wgmma_wait(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::wgmma_wait(kPending, REMASK_PTX_HERE),
             "wgmma.wait_group.sync.aligned %0;" ::"n"(kPending)
             : "memory");
}
template <int kPending, int kRegisters>
REMASK_PTX void wgmma_wait(float (&d)[kRegisters] REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::wgmma_wait(kPending, REMASK_PTX_HERE),
             "wgmma.wait_group.sync.aligned %0;" ::"n"(kPending)
             : "memory");
  wgmma_pin(d);
}
template <int kPending, int kRegisters, int kMore>
REMASK_PTX void wgmma_wait(float (&d)[kRegisters], float (&more)[kMore] REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::wgmma_wait(kPending, REMASK_PTX_HERE),
             "wgmma.wait_group.sync.aligned %0;" ::"n"(kPending)
             : "memory");
  wgmma_pin(d);
  wgmma_pin(more);
}

// Operand lists, in eights and their multiples: d[] as "+f" and the text "%0, %1, ...".
#ifdef __CUDACC__
#define REMASK_D8(i)                                                                          \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define REMASK_D16(i) REMASK_D8(i), REMASK_D8(i + 8)
#define REMASK_D32(i) REMASK_D16(i), REMASK_D16(i + 16)
#define REMASK_D48 REMASK_D32(0), REMASK_D16(32)
#define REMASK_D64 REMASK_D32(0), REMASK_D32(32)
#define REMASK_D88 REMASK_D64, REMASK_D16(64), REMASK_D8(80)
#define REMASK_D96 REMASK_D64, REMASK_D32(64)
#define REMASK_D128 REMASK_D96, REMASK_D32(96)
#define REMASK_T16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define REMASK_T32 REMASK_T16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define REMASK_T48 REMASK_T32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define REMASK_T64 REMASK_T48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define REMASK_T80 REMASK_T64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define REMASK_T88 REMASK_T80 ",%80,%81,%82,%83,%84,%85,%86,%87"
#define REMASK_T96 REMASK_T88 ",%88,%89,%90,%91,%92,%93,%94,%95"
#define REMASK_T112 \
  REMASK_T96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define REMASK_T128 \
  REMASK_T112 ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

// One width: p0.. are the texts of the operands behind the accumulators.
#define REMASK_WGMMA_SS(n, text, list, p0, p1, p2, p3)                                            \
  if constexpr (kN == n) {                                                                        \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " p2                                           \
                 ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" text "}, " p0 \
                 ", " p1 ", p, 1, 1, 0, " p3 ";\n}"                                               \
                 : list                                                                           \
                 : "l"(a), "l"(b), "r"(int(accumulate)), "n"(kTransB ? 1 : 0)                     \
                 : "memory");                                                                     \
  }
#define REMASK_WGMMA_RS(n, text, list, p0, p1, p2, p3, p4, p5, p6)                                 \
  if constexpr (kN == n) {                                                                         \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " p5                                            \
                 ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" text "}, {" p0 \
                 ", " p1 ", " p2 ", " p3 "}, " p4 ", p, 1, 1, " p6 ";\n}"                          \
                 : list                                                                            \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(accumulate)),       \
                   "n"(kTransB ? 1 : 0)                                                            \
                 : "memory");                                                                      \
  }
#endif

template <int kN>
constexpr bool kWgmmaWidth =
    kN == 64 || kN == 96 || kN == 128 || kN == 176 || kN == 192 || kN == 256;

// d += a·b (d = a·b without accumulate) of 64 x 16 by 16 x kN, by the 128 threads of a warpgroup.
// A is K-major; B is K-major ([n][k] in memory) or, with kTransB, MN-major ([k][n]). d[i] of thread
// t is row 16(t/32) + t%32/4 + 8(i/2%2), column 8(i/4) + 2(t%4) + i%2.
template <int kN, bool kTransB = false>
REMASK_PTX void wgmma(float (&d)[kN / 2], unsigned long long a, unsigned long long b,
                      bool accumulate REMASK_PTX_SITE_) {
  static_assert(kWgmmaWidth<kN>, "add the width to the lists of this file");
#ifdef __CUDACC__
  REMASK_WGMMA_SS(64, REMASK_T32, REMASK_D32(0), "%32", "%33", "%34", "%35")
  REMASK_WGMMA_SS(96, REMASK_T48, REMASK_D48, "%48", "%49", "%50", "%51")
  REMASK_WGMMA_SS(128, REMASK_T64, REMASK_D64, "%64", "%65", "%66", "%67")
  REMASK_WGMMA_SS(176, REMASK_T88, REMASK_D88, "%88", "%89", "%90", "%91")
  REMASK_WGMMA_SS(192, REMASK_T96, REMASK_D96, "%96", "%97", "%98", "%99")
  REMASK_WGMMA_SS(256, REMASK_T128, REMASK_D128, "%128", "%129", "%130", "%131")
#else
  emulator::wgmma(d, kN, kTransB, a, b, accumulate, REMASK_PTX_HERE);
#endif
}
// A from registers: a[r] of thread t holds row 16(t/32%4) + t%32/4 + 8(r%2), columns
// 2(t%4) + 8(r/2) and the next; they must keep their values until the wait.
template <int kN, bool kTransB = false>
REMASK_PTX void wgmma(float (&d)[kN / 2], const unsigned (&a)[4], unsigned long long b,
                      bool accumulate REMASK_PTX_SITE_) {
  static_assert(kWgmmaWidth<kN>, "add the width to the lists of this file");
#ifdef __CUDACC__
  REMASK_WGMMA_RS(64, REMASK_T32, REMASK_D32(0), "%32", "%33", "%34", "%35", "%36", "%37", "%38")
  REMASK_WGMMA_RS(96, REMASK_T48, REMASK_D48, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
  REMASK_WGMMA_RS(128, REMASK_T64, REMASK_D64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
  REMASK_WGMMA_RS(176, REMASK_T88, REMASK_D88, "%88", "%89", "%90", "%91", "%92", "%93", "%94")
  REMASK_WGMMA_RS(192, REMASK_T96, REMASK_D96, "%96", "%97", "%98", "%99", "%100", "%101", "%102")
  REMASK_WGMMA_RS(256, REMASK_T128, REMASK_D128, "%128", "%129", "%130", "%131", "%132", "%133",
                  "%134")
#else
  emulator::wgmma(d, kN, kTransB, a, b, accumulate, REMASK_PTX_HERE);
#endif
}

// --- registers, warps, clusters -----------------------------------------------------------------

// Every warp of a warpgroup, converged. The launch gives floor(65536 / threads / 8) * 8 registers a
// thread; what some warpgroups release others may take.
template <int kRegisters>
REMASK_PTX void setmaxnreg_inc(REMASK_PTX_SITE) {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0, "24, 32, ... 256");
  REMASK_ASM(emulator::setmaxnreg(kRegisters, true, REMASK_PTX_HERE),
             "setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
REMASK_PTX void setmaxnreg_dec(REMASK_PTX_SITE) {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0, "24, 32, ... 256");
  REMASK_ASM(emulator::setmaxnreg(kRegisters, false, REMASK_PTX_HERE),
             "setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// True in one lane of the (whole, converged) warp, the same one every time.
REMASK_PTX bool elect_one(REMASK_PTX_SITE) {
  int elected;
  REMASK_ASM(elected = emulator::elect_one(REMASK_PTX_HERE),
             "{\n"
             ".reg .pred p;\n"
             "elect.sync _|p, 0xffffffff;\n"
             "selp.s32 %0, 1, 0, p;\n"
             "}"
             : "=r"(elected)::"memory");
  return elected != 0;
}

REMASK_PTX unsigned cluster_rank(REMASK_PTX_SITE) {
  unsigned rank;
  REMASK_ASM(rank = emulator::cluster_rank(REMASK_PTX_HERE), "mov.u32 %0, %%cluster_ctarank;"
             : "=r"(rank));
  return rank;
}
// All threads of all CTAs of the cluster arrive, then wait; what was written before the arrive is
// visible after the wait.
REMASK_PTX void cluster_arrive(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::cluster_arrive(REMASK_PTX_HERE), "barrier.cluster.arrive.release.aligned;" ::
                 : "memory");
}
REMASK_PTX void cluster_wait(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::cluster_wait(REMASK_PTX_HERE), "barrier.cluster.wait.acquire.aligned;" ::
                 : "memory");
}
// The same place in the shared memory of CTA `rank` of the cluster.
REMASK_PTX SharedAddress map_to_rank(SharedAddress at, unsigned rank REMASK_PTX_SITE_) {
  SharedAddress mapped;
  REMASK_ASM(mapped = emulator::map_to_rank(at, rank, REMASK_PTX_HERE),
             "mapa.shared::cluster.u32 %0, %1, %2;"
             : "=r"(mapped)
             : "r"(at), "r"(rank));
  return mapped;
}

// Four 8 x 8 matrices of 16-bit elements: lanes 8j..8j+7 give the addresses of the rows of matrix
// j, r[j] is this lane's pair of it: row lane/4, columns 2(lane%4) and the next.
REMASK_PTX void stmatrix_x4(SharedAddress row, const unsigned (&r)[4] REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::stmatrix_x4(row, r, false, REMASK_PTX_HERE),
             "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
             "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
             : "memory");
}
// The same of the transposed matrices.
REMASK_PTX void stmatrix_x4_trans(SharedAddress row, const unsigned (&r)[4] REMASK_PTX_SITE_) {
  REMASK_ASM(emulator::stmatrix_x4(row, r, true, REMASK_PTX_HERE),
             "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
             "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
             : "memory");
}

// Programmatic dependent launch: wait returns when the grids before this one have ended and their
// writes are visible; until then nothing they write may be read. No effect in a plain launch.
REMASK_PTX void griddepcontrol_wait(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::griddepcontrol_wait(REMASK_PTX_HERE), "griddepcontrol.wait;" ::: "memory");
}
REMASK_PTX void griddepcontrol_launch_dependents(REMASK_PTX_SITE) {
  REMASK_ASM(emulator::griddepcontrol_launch_dependents(REMASK_PTX_HERE),
             "griddepcontrol.launch_dependents;" ::
                 : "memory");
}

#undef REMASK_ASM

}  // namespace remask::ptx
