// Matrix multiplication of the software device.
//
// Done by oneDNN where the processor has AMX tiles for bf16, which it drives and we do not, and by
// our own kernel (simd_gemm.h) elsewhere, where that is faster than oneDNN: see there for why. Both
// read weights as rows: tied embeddings, and memory that is not the model's own. What a model packs
// at load is multiplied by gemm_packed.h's kernels.
// REMASK_HOST_GEMM=own or onednn chooses for the process; where oneDNN has no such product, own.
#ifndef REMASK_HOST_GEMM_H_
#define REMASK_HOST_GEMM_H_

#include <cstddef>
#include <string>

// Element types of (a and w)_(out).
enum class GemmTypes { BF16_BF16, BF16_F32, F32_F32 };

// out[m,n] (+)= sum over k of a[m,k] * w[n,k], all row-major and dense. Accumulates in f32; bf16
// results are rounded once, to nearest even; f32 inputs are never rounded to less. With
// `accumulate` the old content of `out` is added before that rounding. A row's result depends
// neither on `threads` nor on m, its place or the other rows. Blocks until done, uses up to
// `threads` compute threads, may be called from several threads at once. The first call of a shape
// on a thread makes what it needs and keeps it; the next ones allocate nothing. Returns false, with
// the reason in *why (which may be null), if it could not be done.
bool remask_gemm(void* out, const void* a, const void* w, int m, int n, int k, GemmTypes types,
                 bool accumulate, int threads, std::string* why);

// Whether this process multiplies these types by oneDNN, where that has such a product.
bool remask_gemm_prefers_onednn(GemmTypes types);

// Memory of the calling thread for one product, aligned to a page; the next call reuses it. Throws
// std::bad_alloc.
void* remask_gemm_scratch(std::size_t bytes);

// Frees the scratch memory and primitives that the calling thread keeps.
void remask_gemm_release();

// What multiplies bf16 here: "oneDNN 3.8.1" or "own (avx512)".
std::string remask_gemm_name();

#endif  // REMASK_HOST_GEMM_H_
