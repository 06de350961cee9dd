// The subset of cuBLASLt that Remask uses, on the host GEMM.
#include "cublaslt.h"

#include <cstring>

#include "call.h"
#include "device_api.h"
#include "memory_check.h"
#include "objects.h"
#include "settings.h"

using namespace remask;

namespace {

constexpr size_t kVersion = 130000;  // 13.0.0, as the driver version

struct BlasHandle {
  cublasLtHandle_t handle = nullptr;
};
struct Preference {
  cublasLtMatmulPreference_t handle = nullptr;
};

struct BlasTables {
  HandleTable<cublasLtHandle_t, BlasHandle> handles;
  HandleTable<cublasLtMatmulDesc_t, MatmulDesc> descriptors;
  HandleTable<cublasLtMatrixLayout_t, MatrixLayout> layouts;
  HandleTable<cublasLtMatmulPreference_t, Preference> preferences;
};

BlasTables& blas() {
  static BlasTables& instance = *new BlasTables;
  return instance;
}

cublasStatus_t bad_handle(const char* what) {
  return refuse(CUBLAS_STATUS_INVALID_VALUE, "the %s is no live one", what);
}

template <typename Value>
cublasStatus_t set(Value* field, const void* value, size_t bytes) {
  if (!value || bytes != sizeof(Value)) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "the attribute has %zu bytes, given were %zu",
                  sizeof(Value), bytes);
  }
  std::memcpy(field, value, sizeof(Value));
  return CUBLAS_STATUS_SUCCESS;
}

// An attribute that may be set to its default only.
cublasStatus_t expect(int wanted, const void* value, size_t bytes, int attribute) {
  int given = 0;
  const cublasStatus_t status = set(&given, value, bytes);
  if (status != CUBLAS_STATUS_SUCCESS || given == wanted) return status;
  return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "attribute %d can only be %d", attribute, wanted);
}

struct Operands {
  std::shared_ptr<MatmulDesc> descriptor;
  std::shared_ptr<MatrixLayout> a, b, c, d;
};

cublasStatus_t find_operands(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                             cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                             cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, Operands* found) {
  if (!blas().handles.find(handle)) return bad_handle("handle");
  found->descriptor = blas().descriptors.find(descriptor);
  if (!found->descriptor) return bad_handle("descriptor");
  found->a = blas().layouts.find(a);
  found->b = blas().layouts.find(b);
  found->c = blas().layouts.find(c);
  found->d = blas().layouts.find(d);
  if (!found->a || !found->b || !found->c || !found->d) return bad_handle("layout");
  return CUBLAS_STATUS_SUCCESS;
}

size_t element_bytes(int type) { return type == CUDA_R_16BF ? 2 : 4; }

// A cuBLASLt status for what a driver-level check (already logged) said.
cublasStatus_t blas_status(CUresult result) {
  return result == CUDA_SUCCESS ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t check_matrix(const void* pointer, const MatrixLayout& layout, const char* what,
                            HostRange* range) {
  const size_t bytes = layout.rows * layout.columns * element_bytes(layout.type);
  const CUresult checked =
      check_device_range(reinterpret_cast<CUdeviceptr>(pointer), bytes, what, range);
  return checked == CUDA_SUCCESS ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

std::shared_ptr<const Operation> make_gemm(const MatmulShape& shape, const HostRange& a,
                                           const HostRange& b, const HostRange& d,
                                           bool accumulate) {
  const char* weight = shape.a_is_weight ? a.pointer : b.pointer;
  const char* input = shape.a_is_weight ? b.pointer : a.pointer;
  char* out = d.pointer;
  const int threads = settings().threads;
  const auto body = [=](std::string* reason) {
    return remask_gemm(out, input, weight, shape.m, shape.n, shape.k, shape.types, accumulate,
                       threads, reason)
               ? CUDA_SUCCESS
               : CUDA_ERROR_LAUNCH_FAILED;
  };
  const std::string name = "matmul " + std::to_string(shape.m) + "x" + std::to_string(shape.n) +
                           "x" + std::to_string(shape.k);
  return std::make_shared<CallOperation>(CU_GRAPH_NODE_TYPE_KERNEL, name, body,
                                         MemoryUse{a.allocation, b.allocation, d.allocation});
}

// The context that cuBLASLt calls work in: the calling thread's.
std::shared_ptr<Context> current_context() {
  const auto& stack = context_stack();
  if (stack.empty() || !stack.back() || !stack.back()->alive) return nullptr;
  return stack.back();
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static Call call("cublasLtCreate");
  return call.blas([&]() -> cublasStatus_t {
    if (!handle) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the output pointer is null");
    const auto context = current_context();
    if (!context) {
      return refuse(CUBLAS_STATUS_NOT_INITIALIZED, "the calling thread has no current context");
    }
    if (!context->device->has_blas) {
      return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "%s runs Remask's own GEMM kernel",
                    context->device->name.c_str());
    }
    *handle = blas().handles.add(std::make_shared<BlasHandle>());
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  static Call call("cublasLtDestroy");
  return call.blas([&]() -> cublasStatus_t {
    return blas().handles.remove(handle) ? CUBLAS_STATUS_SUCCESS : bad_handle("handle");
  });
}

// These cannot fail; an injected fault shows as a version of 0.
size_t cublasLtGetVersion(void) {
  static Call call("cublasLtGetVersion");
  return call.begin() == 0 ? kVersion : 0;
}

size_t cublasLtGetCudartVersion(void) {
  static Call call("cublasLtGetCudartVersion");
  return call.begin() == 0 ? static_cast<size_t>(kDriverVersion) : 0;
}

const char* cublasLtGetStatusName(cublasStatus_t status) { return status_name(status); }

const char* cublasLtGetStatusString(cublasStatus_t status) { return status_name(status); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* descriptor, int compute_type,
                                        int scale_type) {
  static Call call("cublasLtMatmulDescCreate");
  return call.blas([&]() -> cublasStatus_t {
    if (!descriptor) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the output pointer is null");
    auto made = std::make_shared<MatmulDesc>();
    made->compute_type = compute_type;
    made->scale_type = scale_type;
    *descriptor = blas().descriptors.add(made);
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor) {
  static Call call("cublasLtMatmulDescDestroy");
  return call.blas([&]() -> cublasStatus_t {
    return blas().descriptors.remove(descriptor) ? CUBLAS_STATUS_SUCCESS : bad_handle("descriptor");
  });
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  static Call call("cublasLtMatmulDescSetAttribute");
  return call.blas([&]() -> cublasStatus_t {
    const auto found = blas().descriptors.find(descriptor);
    if (!found) return bad_handle("descriptor");
    switch (attribute) {
      case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return set(&found->compute_type, value, bytes);
      case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return set(&found->scale_type, value, bytes);
      case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return set(&found->pointer_mode, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&found->transpose_a, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&found->transpose_b, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSC:
        return expect(CUBLAS_OP_N, value, bytes, attribute);
      case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&found->epilogue, value, bytes);
      default:
        return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matmul attribute %d", attribute);
    }
  });
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, int type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  static Call call("cublasLtMatrixLayoutCreate");
  return call.blas([&]() -> cublasStatus_t {
    if (!layout) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the output pointer is null");
    auto made = std::make_shared<MatrixLayout>();
    made->type = type;
    made->rows = rows;
    made->columns = columns;
    made->leading = leading;
    *layout = blas().layouts.add(made);
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  static Call call("cublasLtMatrixLayoutDestroy");
  return call.blas([&]() -> cublasStatus_t {
    return blas().layouts.remove(layout) ? CUBLAS_STATUS_SUCCESS : bad_handle("layout");
  });
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  static Call call("cublasLtMatrixLayoutSetAttribute");
  return call.blas([&]() -> cublasStatus_t {
    const auto found = blas().layouts.find(layout);
    if (!found) return bad_handle("layout");
    switch (attribute) {
      case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return set(&found->type, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return set(&found->order, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return set(&found->rows, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_COLS:
        return set(&found->columns, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_LD:
        return set(&found->leading, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return set(&found->batch_count, value, bytes);
      default:
        return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "layout attribute %d", attribute);
    }
  });
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  static Call call("cublasLtMatmulPreferenceCreate");
  return call.blas([&]() -> cublasStatus_t {
    if (!preference) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the output pointer is null");
    *preference = blas().preferences.add(std::make_shared<Preference>());
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  static Call call("cublasLtMatmulPreferenceDestroy");
  return call.blas([&]() -> cublasStatus_t {
    return blas().preferences.remove(preference) ? CUBLAS_STATUS_SUCCESS : bad_handle("preference");
  });
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void* value, size_t) {
  static Call call("cublasLtMatmulPreferenceSetAttribute");
  // There is one algorithm and it needs no workspace, so every preference is met.
  return call.blas([&]() -> cublasStatus_t {
    if (!blas().preferences.find(preference)) return bad_handle("preference");
    return value ? CUBLAS_STATUS_SUCCESS : refuse(CUBLAS_STATUS_INVALID_VALUE, "the value is null");
  });
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor, cublasLtMatrixLayout_t a_layout,
    cublasLtMatrixLayout_t b_layout, cublasLtMatrixLayout_t c_layout,
    cublasLtMatrixLayout_t d_layout, cublasLtMatmulPreference_t preference, int requested,
    cublasLtMatmulHeuristicResult_t* results, int* returned) {
  static Call call("cublasLtMatmulAlgoGetHeuristic");
  return call.blas([&]() -> cublasStatus_t {
    if (!results || !returned || requested < 1) {
      return refuse(CUBLAS_STATUS_INVALID_VALUE, "no room for a result");
    }
    *returned = 0;
    if (!blas().preferences.find(preference)) return bad_handle("preference");
    Operands operands;
    cublasStatus_t status =
        find_operands(handle, descriptor, a_layout, b_layout, c_layout, d_layout, &operands);
    MatmulShape shape;
    if (status == CUBLAS_STATUS_SUCCESS) {
      status = reduce_matmul(*operands.descriptor, *operands.a, *operands.b, *operands.c,
                             *operands.d, &shape);
    }
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    results[0] = cublasLtMatmulHeuristicResult_t{};
    results[0].state = CUBLAS_STATUS_SUCCESS;
    results[0].wavesCount = 1;
    *returned = 1;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*,
                              void* workspace, size_t workspace_bytes, CUstream stream_handle) {
  static Call call("cublasLtMatmul");
  return call.blas([&]() -> cublasStatus_t {
    const auto context = current_context();
    if (!context) {
      return refuse(CUBLAS_STATUS_NOT_INITIALIZED, "the calling thread has no current context");
    }
    if (context->health->error() != CUDA_SUCCESS) {
      return refuse(CUBLAS_STATUS_EXECUTION_FAILED, "earlier work of this context failed");
    }
    Operands operands;
    cublasStatus_t status =
        find_operands(handle, descriptor, a_layout, b_layout, c_layout, d_layout, &operands);
    MatmulShape shape;
    if (status == CUBLAS_STATUS_SUCCESS) {
      status = reduce_matmul(*operands.descriptor, *operands.a, *operands.b, *operands.c,
                             *operands.d, &shape);
    }
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (!alpha || !beta) return refuse(CUBLAS_STATUS_INVALID_VALUE, "alpha or beta is null");
    float scale = 0, keep = 0;
    std::memcpy(&scale, alpha, sizeof scale);
    std::memcpy(&keep, beta, sizeof keep);
    if (scale != 1.0f || (keep != 0.0f && keep != 1.0f) || (keep == 1.0f && c != d)) {
      return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "alpha %g, beta %g%s", scale, keep,
                    c == d ? "" : ", C is not D");
    }
    HostRange a_range, b_range, d_range, workspace_range;
    status = check_matrix(a, *operands.a, "A", &a_range);
    if (status == CUBLAS_STATUS_SUCCESS) status = check_matrix(b, *operands.b, "B", &b_range);
    if (status == CUBLAS_STATUS_SUCCESS) status = check_matrix(d, *operands.d, "D", &d_range);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (workspace && workspace_bytes > 0 &&
        check_device_range(reinterpret_cast<CUdeviceptr>(workspace), workspace_bytes, "workspace",
                           &workspace_range) != CUDA_SUCCESS) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    const auto stream = find_stream(*context, stream_handle);
    if (!stream) return CUBLAS_STATUS_INVALID_VALUE;
    return blas_status(submit(*stream, make_gemm(shape, a_range, b_range, d_range, keep == 1.0f)));
  });
}
