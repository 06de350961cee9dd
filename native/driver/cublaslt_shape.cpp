#include <climits>
#include <utility>

#include "cublaslt.h"
#include "log.h"

namespace remask {
namespace {

// A stored matrix in column-major terms, and whether the product uses its transpose.
struct Operand {
  uint64_t rows, columns;
  int64_t leading;
  bool transposed;
};

// A row-major matrix is the column-major one of its transpose.
Operand column_major(const MatrixLayout& layout, bool transposed) {
  if (layout.order == CUBLASLT_ORDER_COL) {
    return {layout.rows, layout.columns, layout.leading, transposed};
  }
  return {layout.columns, layout.rows, layout.leading, !transposed};
}

bool is_dense(const Operand& x) { return x.leading == static_cast<int64_t>(x.rows); }

bool same_layout(const MatrixLayout& x, const MatrixLayout& y) {
  return x.type == y.type && x.order == y.order && x.rows == y.rows && x.columns == y.columns &&
         x.leading == y.leading;
}

cublasStatus_t unsupported(const char* what) {
  return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "%s", what);
}

bool find_types(const MatrixLayout& a, const MatrixLayout& b, const MatrixLayout& d,
                GemmTypes* types) {
  if (a.type != b.type) return false;
  if (a.type == CUDA_R_16BF && d.type == CUDA_R_16BF) {
    *types = GemmTypes::BF16_BF16;
  } else if (a.type == CUDA_R_16BF && d.type == CUDA_R_32F) {
    *types = GemmTypes::BF16_F32;
  } else if (a.type == CUDA_R_32F && d.type == CUDA_R_32F) {
    *types = GemmTypes::F32_F32;
  } else {
    return false;
  }
  return true;
}

}  // namespace

cublasStatus_t reduce_matmul(const MatmulDesc& desc, const MatrixLayout& a, const MatrixLayout& b,
                             const MatrixLayout& c, const MatrixLayout& d, MatmulShape* shape) {
  if (desc.compute_type != CUBLAS_COMPUTE_32F && desc.compute_type != CUBLAS_COMPUTE_32F_PEDANTIC) {
    return unsupported("only CUBLAS_COMPUTE_32F, without TF32");
  }
  if (desc.scale_type != CUDA_R_32F) return unsupported("only the scale type CUDA_R_32F");
  if (desc.pointer_mode != CUBLASLT_POINTER_MODE_HOST) {
    return unsupported("only alpha and beta in host memory");
  }
  if (desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT) return unsupported("no epilogue");
  for (const MatrixLayout* each : {&a, &b, &c, &d}) {
    if (each->order != CUBLASLT_ORDER_COL && each->order != CUBLASLT_ORDER_ROW) {
      return unsupported("only row- and column-major matrices");
    }
    if (each->batch_count != 1) return unsupported("no batches");
  }
  if (!find_types(a, b, d, &shape->types)) {
    return unsupported("only bf16 to bf16, bf16 to f32 and f32 to f32");
  }
  if (!same_layout(c, d)) return unsupported("C and D must have one layout");

  Operand left = column_major(a, desc.transpose_a != CUBLAS_OP_N);
  Operand right = column_major(b, desc.transpose_b != CUBLAS_OP_N);
  const Operand out = column_major(d, false);
  shape->a_is_weight = true;
  if (out.transposed) {
    // (A B)^T = B^T A^T: the other order of the same product.
    std::swap(left, right);
    left.transposed = !left.transposed;
    right.transposed = !right.transposed;
    shape->a_is_weight = false;
  }
  // Now out (n x m, column-major) = left (w^T) * right (a^T, which is a row-major a).
  if (!left.transposed || right.transposed) {
    return unsupported("only products of rows with rows (TN in column-major terms)");
  }
  if (!is_dense(left) || !is_dense(right) || !is_dense(out)) {
    return unsupported("only dense matrices (ld = extent)");
  }
  if (left.rows != right.rows || out.rows != left.columns || out.columns != right.columns) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "the shapes do not fit one another");
  }
  if (left.rows == 0 || left.rows > INT_MAX || out.rows == 0 || out.rows > INT_MAX ||
      out.columns == 0 || out.columns > INT_MAX) {
    return unsupported("only extents from 1 to 2^31 - 1");
  }
  shape->m = static_cast<int>(out.columns);
  shape->n = static_cast<int>(out.rows);
  shape->k = static_cast<int>(left.rows);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace remask
