// One kernel per wrapper of ptx.h, probe_<wrapper>[__<variant>], for conformance.cpp to read in
// PTX. Arguments reach the wrapper straight from a parameter, results leave straight into the
// output.
#include "../../kernels/include/ptx.h"

using namespace remask::ptx;

struct Floats4 {
  float lane[4];
};
struct Words2 {
  unsigned lane[2];
};
struct Words4 {
  unsigned lane[4];
};

extern "C" {

__global__ void probe_mma_m16n8k16(Floats4* out, Floats4 d, Words4 a, unsigned b0, unsigned b1) {
  mma_m16n8k16(d.lane, a.lane, b0, b1);
  *out = d;
}

__global__ void probe_ldmatrix_x4(Words4* out, unsigned row) {
  Words4 r;
  ldmatrix_x4(r.lane, row);
  *out = r;
}

__global__ void probe_ldmatrix_x4_trans(Words4* out, unsigned row) {
  Words4 r;
  ldmatrix_x4_trans(r.lane, row);
  *out = r;
}

__global__ void probe_ldmatrix_x2(Words2* out, unsigned row) {
  Words2 r;
  ldmatrix_x2(r.lane, row);
  *out = r;
}

__global__ void probe_ldmatrix_x2_trans(Words2* out, unsigned row) {
  Words2 r;
  ldmatrix_x2_trans(r.lane, row);
  *out = r;
}

__global__ void probe_evict_first_policy(CachePolicy* out) { *out = evict_first_policy(); }

__global__ void probe_cp_async_16(unsigned to, const void* from) { cp_async_16(to, from, true); }

__global__ void probe_cp_async_16__zero(unsigned to, const void* from) {
  cp_async_16(to, from, false);
}

__global__ void probe_cp_async_16__policy(unsigned to, const void* from, CachePolicy policy) {
  cp_async_16(to, from, true, policy);
}

__global__ void probe_cp_async_commit() { cp_async_commit(); }

__global__ void probe_cp_async_wait() { cp_async_wait<2>(); }

__global__ void probe_barrier_sync(int id, int threads) { barrier_sync(id, threads); }

__global__ void probe_barrier_arrive(int id, int threads) { barrier_arrive(id, threads); }

__global__ void probe_exp2_approx(float* out, float x) { *out = exp2_approx(x); }

__global__ void probe_load_acquire(unsigned* out, const unsigned* p) { *out = load_acquire(p); }

__global__ void probe_store_release(unsigned* p, unsigned x) { store_release(p, x); }

__global__ void probe_atomic_add_acq_rel(unsigned* out, unsigned* p, unsigned x) {
  *out = atomic_add_acq_rel(p, x);
}

}  // extern "C"
