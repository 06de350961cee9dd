// Modules and launches: argument buffers, configurations, failures of kernels.
#include <cstring>

#include "fixture.h"

TEST(launch_images_are_told_apart) {
  const Fixture device;
  CUmodule module = nullptr;
  CHECK_EQ(cuModuleLoadData(&module, "no module"), CUDA_ERROR_INVALID_IMAGE);
  CHECK_EQ(cuModuleLoadData(&module, "REMASK-SOFTWARE-MODULE\n"), CUDA_ERROR_INVALID_IMAGE);
  CHECK_EQ(cuModuleLoadData(&module, nullptr), CUDA_ERROR_INVALID_VALUE);
  LogSince log;
  CHECK_EQ(cuModuleLoadData(&module, "\x50\xed\x55\xba"), CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK_EQ(cuModuleLoadData(&module,
                            "\x7f"
                            "ELF"),
           CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK_LOGGED(log, "image for a GPU");
  CHECK_OK(cuModuleLoadDataEx(&module, "REMASK-SOFTWARE-MODULE\nx\n", 0, nullptr, nullptr));
  CUfunction function = nullptr, again = nullptr;
  CHECK_EQ(cuModuleGetFunction(&function, module, "nothing"), CUDA_ERROR_NOT_FOUND);
  CHECK_OK(cuModuleGetFunction(&function, module, "add_f32"));
  CHECK_OK(cuModuleGetFunction(&again, module, "add_f32"));
  CHECK_EQ(function, again);
  CHECK_OK(cuModuleUnload(module));
  CHECK_EQ(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
  int value = 0;
  CHECK_EQ(cuFuncGetAttribute(&value, 0, function), CUDA_ERROR_INVALID_HANDLE);
}

TEST(launch_parameter_layout_is_reported) {
  const Fixture device;
  const CUfunction function = device.function("apply_pair");  // (float*, int, Pair)
  const size_t offsets[] = {0, 8, 12}, sizes[] = {8, 4, 16};
  size_t offset = 0, size = 0;
  for (size_t i = 0; i < 3; ++i) {
    CHECK_OK(cuFuncGetParamInfo(function, i, &offset, &size));
    CHECK_EQ(offset, offsets[i]);
    CHECK_EQ(size, sizes[i]);
  }
  CHECK_EQ(cuFuncGetParamInfo(function, 3, &offset, &size), CUDA_ERROR_INVALID_VALUE);
}

TEST(launch_by_parameter_array_and_by_buffer) {
  const Fixture device;
  CUdeviceptr x = allocate(64);
  CHECK_OK(device.fill(nullptr, x, 2, 16));
  int count = 16;
  Pair pair{10, 1, {}};
  void* parameters[] = {&x, &count, &pair};
  CHECK_OK(cuLaunchKernel(device.function("apply_pair"), 1, 1, 1, 32, 1, 1, 0, nullptr, parameters,
                          nullptr));
  CHECK_EQ(download(x, 16)[15], 21.0f);
  CUlaunchConfig config{};
  config.gridDimX = 3, config.gridDimY = 4, config.gridDimZ = 5;
  config.blockDimX = 6, config.blockDimY = 7, config.blockDimZ = 8;
  config.sharedMemBytes = 9;
  CUlaunchAttribute attribute{};
  attribute.id = 6;  // programmatic stream serialization: a hint here
  config.attrs = &attribute;
  config.numAttrs = 1;
  CHECK_OK(cuLaunchKernelEx(&config, device.function("describe_launch"), parameters, nullptr));
  int seen[7] = {};
  CHECK_OK(cuMemcpyDtoH_v2(seen, x, sizeof seen));
  for (int i = 0; i < 7; ++i) CHECK_EQ(seen[i], i + 3);
  attribute.id = 4;
  attribute.clusterDim = {2, 1, 1};
  CHECK_EQ(cuLaunchKernelEx(&config, device.function("describe_launch"), parameters, nullptr),
           CUDA_ERROR_NOT_SUPPORTED);
}

TEST(launch_argument_buffer_of_another_size_is_refused) {
  const CUresult expected = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  AddArguments arguments{};
  {
    const Fixture device;
    const CUdeviceptr x = allocate(64);
    arguments = {x, x, 0, 16};
    LogSince log;
    CHECK_EQ(device.launch(nullptr, "add_f32", &arguments, 27), expected);
    CHECK_EQ(device.launch(nullptr, "add_f32", &arguments, 32), expected);
    CHECK_LOGGED(log, "add_f32: an argument buffer of 32 bytes, it takes 28");
    CHECK_OK(device.launch(nullptr, "add_f32", &arguments, 28));
  }
  const Fixture lenient(false);
  const CUdeviceptr x = allocate(64);
  arguments = {x, x, 0, 16};
  CHECK_OK(lenient.launch(nullptr, "add_f32", &arguments, 32));  // padding of a C struct
  CHECK_EQ(lenient.launch(nullptr, "add_f32", &arguments, 24), expected);
}

TEST(launch_address_in_no_live_allocation_is_refused_when_strict) {
  const Fixture device;
  const CUdeviceptr x = allocate(64), y = allocate(64);
  CHECK_OK(cuMemFree_v2(y));
  LogSince log;
  CHECK_EQ(device.add(nullptr, x, y, 0, 16), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_LOGGED(log, "add_f32: argument 1, 0x");
  float host[16] = {};
  CHECK_EQ(device.add(nullptr, x, reinterpret_cast<CUdeviceptr>(host), 0, 16),
           CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_OK(cuCtxSynchronize());  // refused, not broken
  float* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(reinterpret_cast<void**>(&pinned), 64, CU_MEMHOSTALLOC_DEVICEMAP));
  pinned[15] = 41;
  CHECK_OK(device.add(nullptr, x, reinterpret_cast<CUdeviceptr>(pinned), 0, 16));
  CHECK_EQ(download(x, 16)[15], 42.0f);
}

TEST(launch_address_in_no_live_allocation_breaks_the_context_when_not_strict) {
  const Fixture device(false);
  const CUdeviceptr x = allocate(64), y = allocate(64);
  CHECK_OK(cuMemFree_v2(y));
  CHECK_OK(device.add(nullptr, x, y, 0, 16));
  CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_EQ(cuMemFree_v2(x), CUDA_ERROR_ILLEGAL_ADDRESS);  // freed all the same
}

TEST(launch_configuration_is_checked) {
  const Fixture device;
  const CUfunction function = device.function("wait_gate");
  const auto launch = [&](unsigned gx, unsigned gy, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared) {
    return cuLaunchKernel(function, gx, gy, 1, bx, by, bz, shared, nullptr, nullptr, nullptr);
  };
  CHECK_OK(launch(1, 1, 1024, 1, 1, 48 << 10));
  CHECK_EQ(launch(0, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(launch(1, 65536, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(launch(1, 1, 1025, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(launch(1, 1, 64, 64, 1, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(launch(1, 1, 1, 1, 65, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(launch(1, 1, 1, 1, 1, (48 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuFuncSetAttribute(function, 8, 227 << 10));
  CHECK_OK(launch(1, 1, 1, 1, 1, 227 << 10));
  CHECK_EQ(cuFuncSetAttribute(function, 8, (227 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
  // The kernel's own limit: add_f32 takes 256 threads.
  const CUdeviceptr x = allocate(64);
  AddArguments arguments{x, x, 0, 16};
  size_t bytes = kAddBytes;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &arguments, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                   CU_LAUNCH_PARAM_END};
  const CUfunction add = device.function("add_f32");
  CHECK_EQ(cuLaunchKernel(add, 1, 1, 1, 257, 1, 1, 0, nullptr, nullptr, extra),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, nullptr, nullptr, extra));
}

TEST(launch_of_stale_handles_is_refused) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUfunction function = device.function("wait_gate");
  CHECK_OK(cuStreamDestroy_v2(stream));
  CHECK_EQ(device.hold(stream), CUDA_ERROR_INVALID_HANDLE);
  const auto bogus = reinterpret_cast<CUfunction>(0x1234);
  CHECK_EQ(cuLaunchKernel(bogus, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
           CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuLaunchKernel(reinterpret_cast<CUfunction>(stream), 1, 1, 1, 1, 1, 1, 0, nullptr,
                          nullptr, nullptr),
           CUDA_ERROR_INVALID_HANDLE);
  CHECK_OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
}

TEST(launch_that_fails_breaks_the_context_until_it_is_released) {
  {
    const Fixture device;
    const CUstream stream = new_stream();
    const CUdeviceptr x = allocate(64);
    const int code = 5;
    LogSince log;
    CHECK_OK(device.launch(stream, "fail", &code, sizeof code));
    CHECK_EQ(cuStreamSynchronize(stream), CUDA_ERROR_LAUNCH_FAILED);
    CHECK_LOGGED(log,
                 "CUDA_ERROR_LAUNCH_FAILED: kernel fail grid (1,1,1) block (1,1,1): told to "
                 "fail with 5");
    CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
    CUdeviceptr y = 0;
    CHECK_EQ(cuMemAlloc_v2(&y, 64), CUDA_ERROR_LAUNCH_FAILED);
    CHECK_EQ(cuMemFree_v2(x), CUDA_ERROR_LAUNCH_FAILED);
    CHECK_EQ(cuStreamDestroy_v2(stream), CUDA_ERROR_LAUNCH_FAILED);
  }
  const Fixture again;
  CHECK_OK(cuCtxSynchronize());
}

TEST(launch_of_a_library_kernel_needs_no_module) {
  const Fixture device;
  CUlibrary library = nullptr;
  CHECK_OK(cuLibraryLoadData(&library, "REMASK-SOFTWARE-MODULE\nfake\n", nullptr, nullptr, 0,
                             nullptr, nullptr, 0));
  CUkernel kernel = nullptr;
  CHECK_EQ(cuLibraryGetKernel(&kernel, library, "nothing"), CUDA_ERROR_NOT_FOUND);
  CHECK_OK(cuLibraryGetKernel(&kernel, library, "fill_f32"));
  CUfunction function = nullptr;
  CHECK_OK(cuKernelGetFunction(&function, kernel));
  CUdeviceptr x = allocate(64);
  float value = 3;
  int count = 16;
  void* parameters[] = {&x, &value, &count};
  CHECK_OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr));
  CHECK_EQ(download(x, 16)[0], 3.0f);
  value = 4;
  CHECK_OK(cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 1, 1, 1, 0, nullptr,
                          parameters, nullptr));
  CHECK_EQ(download(x, 16)[0], 4.0f);
  CUmodule module = nullptr;
  CHECK_OK(cuLibraryGetModule(&module, library));
  CHECK_OK(cuLibraryUnload(library));
  CHECK_EQ(cuKernelGetFunction(&function, kernel), CUDA_ERROR_INVALID_HANDLE);
}
