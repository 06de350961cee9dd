// What a cuBLASLt matmul descriptor with its layouts means, reduced to the one product that the
// host GEMM computes: row-major out[m,n] (+)= sum over k of a[m,k] * w[n,k].
#ifndef REMASK_DRIVER_CUBLASLT_H_
#define REMASK_DRIVER_CUBLASLT_H_

#include <cstdint>

#include "cuda_types.h"
#include "host/gemm.h"

namespace remask {

struct MatmulDesc {
  cublasLtMatmulDesc_t handle = nullptr;
  int compute_type = CUBLAS_COMPUTE_32F;
  int scale_type = CUDA_R_32F;
  int pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  int transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  int epilogue = CUBLASLT_EPILOGUE_DEFAULT;
};

struct MatrixLayout {
  cublasLtMatrixLayout_t handle = nullptr;
  int type = CUDA_R_32F;
  int order = CUBLASLT_ORDER_COL;
  uint64_t rows = 0, columns = 0;
  int64_t leading = 0;
  int batch_count = 1;
};

struct MatmulShape {
  int m = 0, n = 0, k = 0;
  GemmTypes types = GemmTypes::F32_F32;
  bool a_is_weight = false;  // which of the call's A and B is w; the other is a
};

// CUBLAS_STATUS_NOT_SUPPORTED, with a log line, for everything that is not that product.
cublasStatus_t reduce_matmul(const MatmulDesc& desc, const MatrixLayout& a, const MatrixLayout& b,
                             const MatrixLayout& c, const MatrixLayout& d, MatmulShape* shape);

}  // namespace remask

#endif  // REMASK_DRIVER_CUBLASLT_H_
