// The cuBLASLt surface: which products it recognises, and that it queues them.
#include <cstring>
#include <memory>

#include "fixture.h"

namespace {

struct Matmul {
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t descriptor = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;

  Matmul(int transpose_a, int transpose_b) {
    CHECK_OK(cublasLtCreate(&handle));
    CHECK_OK(cublasLtMatmulDescCreate(&descriptor, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    CHECK_OK(set(CUBLASLT_MATMUL_DESC_TRANSA, transpose_a));
    CHECK_OK(set(CUBLASLT_MATMUL_DESC_TRANSB, transpose_b));
    CHECK_OK(cublasLtMatmulPreferenceCreate(&preference));
  }
  ~Matmul() {
    for (const cublasLtMatrixLayout_t layout : {a, b, d}) {
      CHECK_OK(cublasLtMatrixLayoutDestroy(layout));
    }
    CHECK_OK(cublasLtMatmulPreferenceDestroy(preference));
    CHECK_OK(cublasLtMatmulDescDestroy(descriptor));
    CHECK_OK(cublasLtDestroy(handle));
  }
  cublasStatus_t set(cublasLtMatmulDescAttributes_t attribute, int value) {
    return cublasLtMatmulDescSetAttribute(descriptor, attribute, &value, sizeof value);
  }
  static cublasLtMatrixLayout_t layout(uint64_t rows, uint64_t columns, int64_t leading, int order,
                                       int type = CUDA_R_32F) {
    cublasLtMatrixLayout_t made = nullptr;
    CHECK_OK(cublasLtMatrixLayoutCreate(&made, type, rows, columns, leading));
    CHECK_OK(
        cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order));
    return made;
  }
  cublasStatus_t heuristic() {
    cublasLtMatmulHeuristicResult_t result;
    int returned = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, descriptor, a, b, d, d,
                                                                 preference, 1, &result, &returned);
    CHECK_EQ(returned, status == CUBLAS_STATUS_SUCCESS ? 1 : 0);
    return status;
  }
  cublasStatus_t run(CUdeviceptr to_a, CUdeviceptr to_b, float beta, CUdeviceptr to_d,
                     CUstream stream, float alpha = 1) {
    const auto pointer = [](CUdeviceptr address) { return reinterpret_cast<void*>(address); };
    return cublasLtMatmul(handle, descriptor, &alpha, pointer(to_a), a, pointer(to_b), b, &beta,
                          pointer(to_d), d, pointer(to_d), d, nullptr, nullptr, 0, stream);
  }
};

// a[2,3], w[4,3], their product, all row-major
const float kA[] = {1, 2, 3, 4, 5, 6};
const float kW[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1};
const float kOut[] = {1, 2, 3, 6, 4, 5, 6, 15};
constexpr uint64_t kM = 2, kN = 4, kK = 3;

struct Buffers {
  CUdeviceptr a = allocate(sizeof kA), w = allocate(sizeof kW), out = allocate(sizeof kOut);
  Buffers() {
    CHECK_OK(cuMemcpyHtoD_v2(a, kA, sizeof kA));
    CHECK_OK(cuMemcpyHtoD_v2(w, kW, sizeof kW));
  }
  void check(float times) const {
    const std::vector<float> values = download(out, 8);
    for (size_t i = 0; i < 8; ++i) CHECK_EQ(values[i], kOut[i] * times);
  }
};

Matmul* column_major(uint64_t leading = kK) {
  auto* matmul = new Matmul(CUBLAS_OP_T, CUBLAS_OP_N);
  matmul->a = Matmul::layout(kK, kN, static_cast<int64_t>(leading), CUBLASLT_ORDER_COL);
  matmul->b = Matmul::layout(kK, kM, kK, CUBLASLT_ORDER_COL);
  matmul->d = Matmul::layout(kN, kM, kN, CUBLASLT_ORDER_COL);
  return matmul;
}

}  // namespace

TEST(blas_column_major_tn) {
  const Fixture device;
  const std::unique_ptr<Matmul> matmul(column_major());
  const Buffers buffers;
  const CUstream stream = new_stream();
  CHECK_OK(matmul->heuristic());
  close_gate();
  CHECK_OK(device.hold(stream));
  CHECK_OK(matmul->run(buffers.w, buffers.a, 0, buffers.out, stream));
  CHECK_OK(matmul->run(buffers.w, buffers.a, 1, buffers.out, stream));
  CHECK_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  buffers.check(2);
}

TEST(blas_row_major_nt) {
  const Fixture device;
  Matmul matmul(CUBLAS_OP_N, CUBLAS_OP_T);
  matmul.a = Matmul::layout(kM, kK, kK, CUBLASLT_ORDER_ROW);
  matmul.b = Matmul::layout(kN, kK, kK, CUBLASLT_ORDER_ROW);
  matmul.d = Matmul::layout(kM, kN, kN, CUBLASLT_ORDER_ROW);
  const Buffers buffers;
  CHECK_OK(matmul.heuristic());
  CHECK_OK(matmul.run(buffers.a, buffers.w, 0, buffers.out, nullptr));
  buffers.check(1);
}

TEST(blas_captured_matmul_replays) {
  const Fixture device;
  const std::unique_ptr<Matmul> matmul(column_major());
  const Buffers buffers;
  const CUstream stream = new_stream();
  CHECK_OK(cuMemsetD8_v2(buffers.out, 0, sizeof kOut));
  CHECK_OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK_OK(matmul->run(buffers.w, buffers.a, 1, buffers.out, stream));
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CHECK_OK(cuStreamEndCapture(stream, &graph));
  CHECK_OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < 3; ++i) CHECK_OK(cuGraphLaunch(exec, stream));
  CHECK_OK(cuStreamSynchronize(stream));
  buffers.check(3);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(graph));
}

TEST(blas_other_products_are_not_supported) {
  const Fixture device;
  const Buffers buffers;
  {
    const std::unique_ptr<Matmul> matmul(column_major());
    LogSince log;
    CHECK_EQ(matmul->run(buffers.w, buffers.a, 0, buffers.out, nullptr, 2),
             CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK_LOGGED(log, "cublasLtMatmul: CUBLAS_STATUS_NOT_SUPPORTED: alpha 2");
    CHECK_EQ(matmul->run(buffers.w, buffers.a, 0.5f, buffers.out, nullptr),
             CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK_OK(matmul->set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, 77));  // TF32
    CHECK_EQ(matmul->heuristic(), CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK_OK(matmul->set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, CUBLAS_COMPUTE_32F));
    CHECK_OK(matmul->set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_N));
    CHECK_EQ(matmul->heuristic(), CUBLAS_STATUS_NOT_SUPPORTED);
  }
  const std::unique_ptr<Matmul> padded(column_major(kK + 1));
  CHECK_EQ(padded->heuristic(), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST(blas_addresses_are_checked) {
  const Fixture device;
  const std::unique_ptr<Matmul> matmul(column_major());
  const Buffers buffers;
  LogSince log;
  CHECK_EQ(matmul->run(buffers.w + 4, buffers.a, 0, buffers.out, nullptr),
           CUBLAS_STATUS_INVALID_VALUE);
  CHECK_LOGGED(log, "A: 48 bytes at offset 4 reach past the end");
  CHECK_OK(cuMemFree_v2(buffers.a));
  CHECK_EQ(matmul->run(buffers.w, buffers.a, 0, buffers.out, nullptr), CUBLAS_STATUS_INVALID_VALUE);
}
