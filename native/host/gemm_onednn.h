// Matrix multiplication by oneDNN; gemm.h says when it is used.
#ifndef REMASK_HOST_GEMM_ONEDNN_H_
#define REMASK_HOST_GEMM_ONEDNN_H_

#include <string>

#include "gemm.h"

namespace remask::host {

// Whether oneDNN is built in and has bf16 products on AMX tiles on this processor.
bool onednn_has_tiles();

// remask_gemm by oneDNN. False, with nothing written, where it has no such product on this
// processor or is not built in. Throws std::exception if it fails.
bool onednn_gemm(void* out, const void* a, const void* w, int m, int n, int k, GemmTypes types,
                 bool accumulate, int threads);

// Frees what the calling thread keeps. Compute threads free theirs when they end.
void onednn_release();

std::string onednn_version();

}  // namespace remask::host

#endif  // REMASK_HOST_GEMM_ONEDNN_H_
