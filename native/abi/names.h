// What the ABI table covers: names only, as X macros. Types, sizes and values come from the
// compiler.
#pragma once

// Functions of the driver API, by the name that a driver exports: device_api.h declares them too.
// clang-format off
#define REMASK_DRIVER_FUNCTIONS(X) \
  X(cuCtxCreate_v2) \
  X(cuCtxCreate_v3) \
  X(cuCtxCreate_v4) \
  X(cuCtxDestroy) \
  X(cuCtxDestroy_v2) \
  X(cuCtxGetApiVersion) \
  X(cuCtxGetCurrent) \
  X(cuCtxGetDevice) \
  X(cuCtxGetFlags) \
  X(cuCtxGetId) \
  X(cuCtxGetStreamPriorityRange) \
  X(cuCtxPopCurrent) \
  X(cuCtxPopCurrent_v2) \
  X(cuCtxPushCurrent) \
  X(cuCtxPushCurrent_v2) \
  X(cuCtxSetCurrent) \
  X(cuCtxSynchronize) \
  X(cuDeviceCanAccessPeer) \
  X(cuDeviceComputeCapability) \
  X(cuDeviceGet) \
  X(cuDeviceGetAttribute) \
  X(cuDeviceGetCount) \
  X(cuDeviceGetName) \
  X(cuDeviceGetPCIBusId) \
  X(cuDeviceGetUuid) \
  X(cuDeviceGetUuid_v2) \
  X(cuDevicePrimaryCtxGetState) \
  X(cuDevicePrimaryCtxRelease) \
  X(cuDevicePrimaryCtxRelease_v2) \
  X(cuDevicePrimaryCtxReset) \
  X(cuDevicePrimaryCtxReset_v2) \
  X(cuDevicePrimaryCtxRetain) \
  X(cuDevicePrimaryCtxSetFlags) \
  X(cuDevicePrimaryCtxSetFlags_v2) \
  X(cuDeviceTotalMem_v2) \
  X(cuDriverGetVersion) \
  X(cuEventCreate) \
  X(cuEventDestroy) \
  X(cuEventDestroy_v2) \
  X(cuEventElapsedTime) \
  X(cuEventElapsedTime_v2) \
  X(cuEventQuery) \
  X(cuEventRecord) \
  X(cuEventRecordWithFlags) \
  X(cuEventSynchronize) \
  X(cuFuncGetAttribute) \
  X(cuFuncGetModule) \
  X(cuFuncGetName) \
  X(cuFuncGetParamInfo) \
  X(cuFuncSetAttribute) \
  X(cuFuncSetCacheConfig) \
  X(cuGetErrorName) \
  X(cuGetErrorString) \
  X(cuGetProcAddress) \
  X(cuGetProcAddress_v2) \
  X(cuGraphAddNode) \
  X(cuGraphAddNode_v2) \
  X(cuGraphConditionalHandleCreate) \
  X(cuGraphCreate) \
  X(cuGraphDestroy) \
  X(cuGraphExecDestroy) \
  X(cuGraphExecUpdate) \
  X(cuGraphExecUpdate_v2) \
  X(cuGraphGetNodes) \
  X(cuGraphInstantiate) \
  X(cuGraphInstantiateWithFlags) \
  X(cuGraphInstantiateWithParams) \
  X(cuGraphInstantiate_v2) \
  X(cuGraphLaunch) \
  X(cuGraphNodeGetType) \
  X(cuGraphUpload) \
  X(cuInit) \
  X(cuKernelGetFunction) \
  X(cuKernelGetName) \
  X(cuKernelGetParamInfo) \
  X(cuLaunchHostFunc) \
  X(cuLaunchKernel) \
  X(cuLaunchKernelEx) \
  X(cuLibraryGetKernel) \
  X(cuLibraryGetModule) \
  X(cuLibraryLoadData) \
  X(cuLibraryUnload) \
  X(cuLogsCurrent) \
  X(cuLogsDumpToFile) \
  X(cuLogsDumpToMemory) \
  X(cuLogsRegisterCallback) \
  X(cuLogsUnregisterCallback) \
  X(cuMemAllocHost_v2) \
  X(cuMemAlloc_v2) \
  X(cuMemFreeHost) \
  X(cuMemFree_v2) \
  X(cuMemGetAddressRange_v2) \
  X(cuMemGetInfo_v2) \
  X(cuMemHostAlloc) \
  X(cuMemHostGetDevicePointer_v2) \
  X(cuMemHostGetFlags) \
  X(cuMemHostRegister_v2) \
  X(cuMemHostUnregister) \
  X(cuMemcpy) \
  X(cuMemcpyAsync) \
  X(cuMemcpyDtoDAsync_v2) \
  X(cuMemcpyDtoD_v2) \
  X(cuMemcpyDtoHAsync_v2) \
  X(cuMemcpyDtoH_v2) \
  X(cuMemcpyHtoDAsync_v2) \
  X(cuMemcpyHtoD_v2) \
  X(cuMemsetD16Async) \
  X(cuMemsetD16_v2) \
  X(cuMemsetD32Async) \
  X(cuMemsetD32_v2) \
  X(cuMemsetD8Async) \
  X(cuMemsetD8_v2) \
  X(cuModuleGetFunction) \
  X(cuModuleGetLoadingMode) \
  X(cuModuleLoadData) \
  X(cuModuleLoadDataEx) \
  X(cuModuleLoadFatBinary) \
  X(cuModuleUnload) \
  X(cuPointerGetAttribute) \
  X(cuStreamAddCallback) \
  X(cuStreamBeginCaptureToGraph) \
  X(cuStreamBeginCapture_v2) \
  X(cuStreamCreate) \
  X(cuStreamCreateWithPriority) \
  X(cuStreamDestroy) \
  X(cuStreamDestroy_v2) \
  X(cuStreamEndCapture) \
  X(cuStreamGetCaptureInfo) \
  X(cuStreamGetCaptureInfo_v2) \
  X(cuStreamGetCaptureInfo_v3) \
  X(cuStreamGetCtx) \
  X(cuStreamGetFlags) \
  X(cuStreamGetId) \
  X(cuStreamGetPriority) \
  X(cuStreamIsCapturing) \
  X(cuStreamQuery) \
  X(cuStreamSynchronize) \
  X(cuStreamWaitEvent) \
  X(cuTensorMapEncodeTiled) \
  X(cuThreadExchangeStreamCaptureMode)

// Functions that only Java names, where a driver has them.
#define REMASK_TOOLKIT_FUNCTIONS(X) \
  X(cuFuncLoad)

// Types that are no structs.
#define REMASK_DRIVER_TYPES(X) \
  X(CUresult) \
  X(CUdevice) \
  X(CUdeviceptr) \
  X(CUcontext) \
  X(CUstream) \
  X(CUlogIterator) \
  X(CUstreamCaptureMode) \
  X(CUstreamCaptureStatus) \
  X(CUgraphNodeType) \
  X(CUgraphExecUpdateResult) \
  X(CUgraphConditionalHandle) \
  X(CUgraphConditionalNodeType) \
  X(CUgraphInstantiateResult) \
  X(CUtensorMapDataType) \
  X(CUtensorMapInterleave) \
  X(CUtensorMapSwizzle) \
  X(CUtensorMapL2promotion) \
  X(CUtensorMapFloatOOBfill)

// Structs, X(struct), and their fields, X(struct, field).
#define REMASK_DRIVER_STRUCTS(X) \
  X(CUuuid) \
  X(CUlaunchConfig) \
  X(CUlaunchAttribute) \
  X(CUtensorMap) \
  X(CUgraphExecUpdateResultInfo) \
  X(CUDA_CONDITIONAL_NODE_PARAMS) \
  X(CUgraphEdgeData) \
  X(CUgraphNodeParams) \
  X(CUDA_GRAPH_INSTANTIATE_PARAMS)
#define REMASK_DRIVER_FIELDS(X) \
  X(CUuuid, bytes) \
  X(CUlaunchConfig, gridDimX) \
  X(CUlaunchConfig, gridDimY) \
  X(CUlaunchConfig, gridDimZ) \
  X(CUlaunchConfig, blockDimX) \
  X(CUlaunchConfig, blockDimY) \
  X(CUlaunchConfig, blockDimZ) \
  X(CUlaunchConfig, sharedMemBytes) \
  X(CUlaunchConfig, hStream) \
  X(CUlaunchConfig, attrs) \
  X(CUlaunchConfig, numAttrs) \
  X(CUlaunchAttribute, id) \
  X(CUtensorMap, opaque) \
  X(CUgraphExecUpdateResultInfo, result) \
  X(CUgraphExecUpdateResultInfo, errorNode) \
  X(CUgraphExecUpdateResultInfo, errorFromNode) \
  X(CUDA_CONDITIONAL_NODE_PARAMS, handle) \
  X(CUDA_CONDITIONAL_NODE_PARAMS, type) \
  X(CUDA_CONDITIONAL_NODE_PARAMS, size) \
  X(CUDA_CONDITIONAL_NODE_PARAMS, phGraph_out) \
  X(CUDA_CONDITIONAL_NODE_PARAMS, ctx) \
  X(CUgraphEdgeData, from_port) \
  X(CUgraphEdgeData, to_port) \
  X(CUgraphEdgeData, type) \
  X(CUgraphEdgeData, reserved) \
  X(CUgraphNodeParams, type) \
  X(CUgraphNodeParams, reserved0) \
  X(CUgraphNodeParams, reserved1) \
  X(CUgraphNodeParams, reserved2) \
  X(CUDA_GRAPH_INSTANTIATE_PARAMS, flags) \
  X(CUDA_GRAPH_INSTANTIATE_PARAMS, hUploadStream) \
  X(CUDA_GRAPH_INSTANTIATE_PARAMS, hErrNode_out) \
  X(CUDA_GRAPH_INSTANTIATE_PARAMS, result_out)

// Constants that the software device defines too; the CUresults are in cuda_errors.h.
#define REMASK_DRIVER_CONSTANTS(X) \
  X(CUDA_SUCCESS) \
  X(CU_STREAM_NON_BLOCKING) \
  X(CU_EVENT_DISABLE_TIMING) \
  X(CU_EVENT_RECORD_EXTERNAL) \
  X(CU_MEMHOSTALLOC_PORTABLE) \
  X(CU_MEMHOSTALLOC_DEVICEMAP) \
  X(CU_MEMHOSTALLOC_WRITECOMBINED) \
  X(CU_MEMHOSTREGISTER_PORTABLE) \
  X(CU_MEMHOSTREGISTER_DEVICEMAP) \
  X(CU_MEMHOSTREGISTER_IOMEMORY) \
  X(CU_MEMHOSTREGISTER_READ_ONLY) \
  X(CU_MEMORYTYPE_HOST) \
  X(CU_MEMORYTYPE_DEVICE) \
  X(CU_STREAM_CAPTURE_MODE_GLOBAL) \
  X(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) \
  X(CU_STREAM_CAPTURE_MODE_RELAXED) \
  X(CU_STREAM_CAPTURE_STATUS_NONE) \
  X(CU_STREAM_CAPTURE_STATUS_ACTIVE) \
  X(CU_STREAM_CAPTURE_STATUS_INVALIDATED) \
  X(CU_GRAPH_NODE_TYPE_KERNEL) \
  X(CU_GRAPH_NODE_TYPE_MEMCPY) \
  X(CU_GRAPH_NODE_TYPE_MEMSET) \
  X(CU_GRAPH_NODE_TYPE_HOST) \
  X(CU_GRAPH_NODE_TYPE_GRAPH) \
  X(CU_GRAPH_NODE_TYPE_CONDITIONAL) \
  X(CU_GRAPH_COND_ASSIGN_DEFAULT) \
  X(CU_GRAPH_COND_TYPE_IF) \
  X(CU_GRAPH_COND_TYPE_WHILE) \
  X(CU_GRAPH_COND_TYPE_SWITCH) \
  X(CUDA_GRAPH_INSTANTIATE_SUCCESS) \
  X(CUDA_GRAPH_INSTANTIATE_ERROR) \
  X(CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED) \
  X(CU_GRAPH_EXEC_UPDATE_SUCCESS) \
  X(CU_GRAPH_EXEC_UPDATE_ERROR) \
  X(CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED) \
  X(CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED) \
  X(CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED) \
  X(CU_LAUNCH_PARAM_END) \
  X(CU_LAUNCH_PARAM_BUFFER_POINTER) \
  X(CU_LAUNCH_PARAM_BUFFER_SIZE) \
  X(CU_TENSOR_MAP_DATA_TYPE_UINT8) \
  X(CU_TENSOR_MAP_DATA_TYPE_UINT16) \
  X(CU_TENSOR_MAP_DATA_TYPE_UINT32) \
  X(CU_TENSOR_MAP_DATA_TYPE_INT32) \
  X(CU_TENSOR_MAP_DATA_TYPE_UINT64) \
  X(CU_TENSOR_MAP_DATA_TYPE_INT64) \
  X(CU_TENSOR_MAP_DATA_TYPE_FLOAT16) \
  X(CU_TENSOR_MAP_DATA_TYPE_FLOAT32) \
  X(CU_TENSOR_MAP_DATA_TYPE_FLOAT64) \
  X(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16) \
  X(CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ) \
  X(CU_TENSOR_MAP_DATA_TYPE_TFLOAT32) \
  X(CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ) \
  X(CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B) \
  X(CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B) \
  X(CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B) \
  X(CU_TENSOR_MAP_INTERLEAVE_NONE) \
  X(CU_TENSOR_MAP_INTERLEAVE_16B) \
  X(CU_TENSOR_MAP_INTERLEAVE_32B) \
  X(CU_TENSOR_MAP_SWIZZLE_NONE) \
  X(CU_TENSOR_MAP_SWIZZLE_32B) \
  X(CU_TENSOR_MAP_SWIZZLE_64B) \
  X(CU_TENSOR_MAP_SWIZZLE_128B) \
  X(CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B) \
  X(CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B_FLIP_8B) \
  X(CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B) \
  X(CU_TENSOR_MAP_L2_PROMOTION_NONE) \
  X(CU_TENSOR_MAP_L2_PROMOTION_L2_64B) \
  X(CU_TENSOR_MAP_L2_PROMOTION_L2_128B) \
  X(CU_TENSOR_MAP_L2_PROMOTION_L2_256B) \
  X(CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) \
  X(CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA) \
  X(CUDA_R_32F) \
  X(CUDA_R_16BF)

// Constants of the toolkit that only Java names, or that the device handles as numbers.
#define REMASK_TOOLKIT_CONSTANTS(X) \
  X(CU_STREAM_DEFAULT) \
  X(CU_STREAM_LEGACY) \
  X(CU_STREAM_PER_THREAD) \
  X(CU_EVENT_DEFAULT) \
  X(CU_EVENT_BLOCKING_SYNC) \
  X(CU_LAUNCH_PARAM_END_AS_INT) \
  X(CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT) \
  X(CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT) \
  X(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) \
  X(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) \
  X(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) \
  X(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) \
  X(CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES) \
  X(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES) \
  X(CU_FUNC_ATTRIBUTE_NUM_REGS) \
  X(CU_FUNC_ATTRIBUTE_PTX_VERSION) \
  X(CU_FUNC_ATTRIBUTE_BINARY_VERSION) \
  X(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) \
  X(CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) \
  X(CU_GET_PROC_ADDRESS_DEFAULT) \
  X(CU_GET_PROC_ADDRESS_LEGACY_STREAM) \
  X(CU_GET_PROC_ADDRESS_SUCCESS) \
  X(CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND) \
  X(CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT) \
  X(CU_POINTER_ATTRIBUTE_CONTEXT) \
  X(CU_POINTER_ATTRIBUTE_MEMORY_TYPE) \
  X(CU_POINTER_ATTRIBUTE_DEVICE_POINTER) \
  X(CU_POINTER_ATTRIBUTE_HOST_POINTER) \
  X(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) \
  X(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR) \
  X(CU_POINTER_ATTRIBUTE_RANGE_SIZE) \
  X(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK) \
  X(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X) \
  X(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y) \
  X(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z) \
  X(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X) \
  X(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y) \
  X(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z) \
  X(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK) \
  X(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY) \
  X(CU_DEVICE_ATTRIBUTE_WARP_SIZE) \
  X(CU_DEVICE_ATTRIBUTE_MAX_PITCH) \
  X(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK) \
  X(CU_DEVICE_ATTRIBUTE_CLOCK_RATE) \
  X(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT) \
  X(CU_DEVICE_ATTRIBUTE_GPU_OVERLAP) \
  X(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) \
  X(CU_DEVICE_ATTRIBUTE_INTEGRATED) \
  X(CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY) \
  X(CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS) \
  X(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR) \
  X(CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT) \
  X(CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING) \
  X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) \
  X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) \
  X(CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED) \
  X(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR) \
  X(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR) \
  X(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) \
  X(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR) \
  X(CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID) \
  X(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE) \
  X(CU_DEVICE_ATTRIBUTE_MAX)

// cuBLASLt, whose header few toolkits have: the sources of org.bytedeco:cuda stand for it.
#define REMASK_BLASLT_FUNCTIONS(X) \
  X(cublasLtCreate) \
  X(cublasLtDestroy) \
  X(cublasLtGetCudartVersion) \
  X(cublasLtGetStatusName) \
  X(cublasLtGetStatusString) \
  X(cublasLtGetVersion) \
  X(cublasLtMatmul) \
  X(cublasLtMatmulAlgoGetHeuristic) \
  X(cublasLtMatmulDescCreate) \
  X(cublasLtMatmulDescDestroy) \
  X(cublasLtMatmulDescSetAttribute) \
  X(cublasLtMatmulPreferenceCreate) \
  X(cublasLtMatmulPreferenceDestroy) \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatrixLayoutCreate) \
  X(cublasLtMatrixLayoutDestroy) \
  X(cublasLtMatrixLayoutSetAttribute)
#define REMASK_BLASLT_STRUCTS(X) \
  X(cublasLtMatmulAlgo_t) \
  X(cublasLtMatmulHeuristicResult_t)
#define REMASK_BLASLT_FIELDS(X) \
  X(cublasLtMatmulAlgo_t, data) \
  X(cublasLtMatmulHeuristicResult_t, algo) \
  X(cublasLtMatmulHeuristicResult_t, workspaceSize) \
  X(cublasLtMatmulHeuristicResult_t, state) \
  X(cublasLtMatmulHeuristicResult_t, wavesCount) \
  X(cublasLtMatmulHeuristicResult_t, reserved)
#define REMASK_BLASLT_CONSTANTS(X) \
  X(CUBLAS_STATUS_SUCCESS) \
  X(CUBLAS_COMPUTE_32F) \
  X(CUBLAS_COMPUTE_32F_PEDANTIC) \
  X(CUBLAS_OP_N) \
  X(CUBLAS_OP_T) \
  X(CUBLAS_OP_C) \
  X(CUBLASLT_ORDER_COL) \
  X(CUBLASLT_ORDER_ROW) \
  X(CUBLASLT_POINTER_MODE_HOST) \
  X(CUBLASLT_EPILOGUE_DEFAULT) \
  X(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE) \
  X(CUBLASLT_MATMUL_DESC_SCALE_TYPE) \
  X(CUBLASLT_MATMUL_DESC_POINTER_MODE) \
  X(CUBLASLT_MATMUL_DESC_TRANSA) \
  X(CUBLASLT_MATMUL_DESC_TRANSB) \
  X(CUBLASLT_MATMUL_DESC_TRANSC) \
  X(CUBLASLT_MATMUL_DESC_FILL_MODE) \
  X(CUBLASLT_MATMUL_DESC_EPILOGUE) \
  X(CUBLASLT_MATRIX_LAYOUT_TYPE) \
  X(CUBLASLT_MATRIX_LAYOUT_ORDER) \
  X(CUBLASLT_MATRIX_LAYOUT_ROWS) \
  X(CUBLASLT_MATRIX_LAYOUT_COLS) \
  X(CUBLASLT_MATRIX_LAYOUT_LD) \
  X(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) \
  X(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) \
  X(CUBLASLT_MATMUL_PREF_SEARCH_MODE) \
  X(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)

// Remask's own: extensions of the software device, and what kernels and Java share.
#define REMASK_OWN_FUNCTIONS(X) \
  X(remaskSetFault) \
  X(remaskSetStrict) \
  X(remaskSetEmulatorSeed) \
  X(remaskCallCount) \
  X(remaskLiveAllocations) \
  X(remaskLiveBytes) \
  X(remaskThreadNames) \
  X(remaskHostKernels)
#define REMASK_OWN_STRUCTS(X) \
  X(Sequence) \
  X(Progress) \
  X(PlanEntry) \
  X(Member) \
  X(Row) \
  X(CommitRecord) \
  X(SelectPartial) \
  X(SpecialTokens) \
  X(Constraint)
#define REMASK_OWN_FIELDS(X) \
  X(Sequence, canvas_begin) \
  X(Sequence, unconditional_begin) \
  X(Sequence, mask_count) \
  X(Sequence, block_length) \
  X(Sequence, plan_end) \
  X(Sequence, flags) \
  X(Sequence, guidance) \
  X(Sequence, temperature) \
  X(Sequence, seed) \
  X(Sequence, rule) \
  X(Sequence, commit_rule) \
  X(Sequence, bound) \
  X(Sequence, revision_bound) \
  X(Sequence, top_k) \
  X(Sequence, top_p) \
  X(Sequence, constraint_begin) \
  X(Sequence, constraint_count) \
  X(Sequence, log_begin) \
  X(Sequence, log_capacity) \
  X(Sequence, cache_refresh) \
  X(Sequence, eos_last) \
  X(Sequence, reserved) \
  X(Progress, cursor) \
  X(Progress, repeats) \
  X(Progress, passes) \
  X(Progress, status) \
  X(Progress, revisions_left) \
  X(Progress, log_count) \
  X(Progress, since_whole) \
  X(Progress, masks_left) \
  X(PlanEntry, block) \
  X(PlanEntry, quota) \
  X(PlanEntry, step) \
  X(PlanEntry, flags) \
  X(PlanEntry, chance) \
  X(PlanEntry, reserved) \
  X(Member, sequence) \
  X(Member, query_begin) \
  X(Member, query_first) \
  X(Member, unconditional_query_begin) \
  X(Member, row_begin) \
  X(Member, unconditional_row_begin) \
  X(Member, cached) \
  X(Member, reserved) \
  X(Row, sequence) \
  X(Row, position) \
  X(Row, step) \
  X(Row, kind) \
  X(Row, unconditional_row) \
  X(Row, target) \
  X(Row, mask_index) \
  X(Row, reserved) \
  X(CommitRecord, step) \
  X(CommitRecord, position) \
  X(CommitRecord, token) \
  X(CommitRecord, confidence) \
  X(SelectPartial, max) \
  X(SelectPartial, rest) \
  X(SelectPartial, best) \
  X(SelectPartial, token) \
  X(SelectPartial, clean) \
  X(SelectPartial, spread) \
  X(SelectPartial, first) \
  X(SelectPartial, second) \
  X(SpecialTokens, vocabulary) \
  X(SpecialTokens, mask) \
  X(SpecialTokens, eos) \
  X(SpecialTokens, eot) \
  X(Constraint, position) \
  X(Constraint, kind) \
  X(Constraint, begin) \
  X(Constraint, count)
#define REMASK_OWN_CONSTANTS(X) \
  X(kSuppressEos) \
  X(kDeferEos) \
  X(kEarlyStop) \
  X(kAutoLength) \
  X(kRevise) \
  X(kLog) \
  X(kCached) \
  X(kLowConfidence) \
  X(kRandomOrder) \
  X(kEntropy) \
  X(kMargin) \
  X(kQuota) \
  X(kThreshold) \
  X(kFactor) \
  X(kChance) \
  X(kRunning) \
  X(kFilled) \
  X(kStopped) \
  X(kWantsPass) \
  X(kWantsLength) \
  X(kStuck) \
  X(kUntilFull) \
  X(kFirstOfBlock) \
  X(kNothing) \
  X(kChoose) \
  X(kReconsider) \
  X(kNoGuidance) \
  X(kMaskedAgain) \
  X(kBan) \
  X(kBias) \
  X(kAllowOnly) \
  X(kOneOf)

// NVTX: ranges in the timeline of NVIDIA's tools.
#define REMASK_NVTX_FUNCTIONS(X) \
  X(nvtxDomainCreateA) \
  X(nvtxDomainRangePushEx) \
  X(nvtxDomainRangePop) \
  X(nvtxDomainRangeStartEx) \
  X(nvtxDomainRangeEnd)
#define REMASK_NVTX_STRUCTS(X) X(nvtxEventAttributes_v2)
#define REMASK_NVTX_FIELDS(X) \
  X(nvtxEventAttributes_v2, version) \
  X(nvtxEventAttributes_v2, size) \
  X(nvtxEventAttributes_v2, category) \
  X(nvtxEventAttributes_v2, colorType) \
  X(nvtxEventAttributes_v2, color) \
  X(nvtxEventAttributes_v2, payloadType) \
  X(nvtxEventAttributes_v2, reserved0) \
  X(nvtxEventAttributes_v2, payload) \
  X(nvtxEventAttributes_v2, messageType) \
  X(nvtxEventAttributes_v2, message)
#define REMASK_NVTX_CONSTANTS(X) \
  X(NVTX_VERSION) \
  X(NVTX_PAYLOAD_TYPE_INT64) \
  X(NVTX_MESSAGE_TYPE_ASCII)
// clang-format on
