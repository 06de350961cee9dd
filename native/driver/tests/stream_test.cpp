// Streams and events: asynchronous, in order, ordered by events, the legacy stream's rules.
#include <atomic>
#include <cstring>

#include "fixture.h"

TEST(stream_launch_returns_before_the_kernel_ends) {
  const Fixture device;
  const CUstream stream = new_stream();
  close_gate();
  CHECK_OK(device.hold(stream));
  await_gate_reached();
  CHECK_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_OK(cuStreamQuery(stream));
}

TEST(stream_worker_has_a_name_and_goes_with_the_stream) {
  const Fixture device;
  const std::string before = remaskThreadNames();
  CHECK(before.find("remask-strm") == 0);  // the legacy stream's
  const CUstream stream = new_stream();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_OK(device.hold(stream));
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK(std::string(remaskThreadNames()).size() > before.size());
  CHECK_OK(cuStreamDestroy_v2(stream));
  CHECK_EQ(std::string(remaskThreadNames()), before);
}

TEST(stream_runs_in_order) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(4096);
  close_gate();
  CHECK_OK(device.hold(stream));
  CHECK_OK(device.fill(stream, x, 1, 1024));
  for (int i = 0; i < 500; ++i) CHECK_OK(device.add(stream, x, x, 0, 1024));
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 1024)[1023], 501.0f);
  CHECK_OK(cuMemFree_v2(x));
}

TEST(stream_event_orders_two_streams) {
  const Fixture device;
  const CUstream one = new_stream(), two = new_stream();
  const CUdeviceptr x = allocate(64), y = allocate(64);
  const CUevent event = new_event();
  close_gate();
  CHECK_OK(device.hold(one));
  CHECK_OK(device.fill(one, x, 7, 16));
  CHECK_OK(cuEventRecord(event, one));
  CHECK_OK(cuStreamWaitEvent(two, event, 0));
  CHECK_OK(device.add(two, y, x, 0, 16));
  await_gate_reached();
  CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  CHECK_EQ(cuStreamQuery(two), CUDA_ERROR_NOT_READY);
  open_gate();
  CHECK_OK(cuStreamSynchronize(two));
  CHECK_OK(cuEventQuery(event));
  CHECK_EQ(download(y, 16)[15], 8.0f);
  CHECK_OK(cuEventDestroy_v2(event));
}

TEST(stream_without_an_event_does_not_wait_for_another) {
  const Fixture device;
  const CUstream one = new_stream(), two = new_stream();
  close_gate();
  CHECK_OK(device.hold(one));
  const CUdeviceptr x = allocate(64);
  CHECK_OK(device.fill(two, x, 3, 16));
  CHECK_OK(cuStreamSynchronize(two));  // would hang if it waited for `one`
  CHECK_EQ(cuStreamQuery(one), CUDA_ERROR_NOT_READY);
  open_gate();
}

TEST(stream_event_keeps_what_it_was_recorded_at) {
  const Fixture device;
  const CUstream one = new_stream(), two = new_stream();
  const CUevent event = new_event();
  CHECK_OK(cuEventQuery(event));  // never recorded counts as done
  CHECK_OK(cuEventRecord(event, one));
  CHECK_OK(cuStreamWaitEvent(two, event, 0));
  close_gate();
  CHECK_OK(device.hold(one));
  CHECK_OK(cuEventRecord(event, one));  // again: `two` still waits for the first only
  CHECK_OK(cuStreamSynchronize(two));
  CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  open_gate();
  CHECK_OK(cuEventSynchronize(event));
  CHECK_OK(cuStreamDestroy_v2(one));
  CHECK_OK(cuEventQuery(event));  // outlives its stream
}

TEST(stream_event_measures_time) {
  const Fixture device;
  const CUstream stream = new_stream();
  CUevent from = nullptr, to = nullptr;
  CHECK_OK(cuEventCreate(&from, 0));
  CHECK_OK(cuEventCreate(&to, 0));
  float milliseconds = -1;
  CHECK_EQ(cuEventElapsedTime(&milliseconds, from, to), CUDA_ERROR_INVALID_HANDLE);
  CHECK_OK(cuEventRecord(from, stream));
  close_gate();
  CHECK_OK(device.hold(stream));
  CHECK_OK(cuEventRecord(to, stream));
  CHECK_EQ(cuEventElapsedTime_v2(&milliseconds, from, to), CUDA_ERROR_NOT_READY);
  open_gate();
  CHECK_OK(cuEventSynchronize(to));
  CHECK_OK(cuEventElapsedTime_v2(&milliseconds, from, to));
  CHECK(milliseconds > 0);
}

TEST(stream_legacy_waits_for_blocking_streams_and_they_for_it) {
  const Fixture device;
  const CUstream blocking = new_stream(0), free = new_stream();
  const CUdeviceptr x = allocate(64);
  close_gate();
  CHECK_OK(device.hold(blocking));
  CHECK_OK(device.fill(blocking, x, 1, 16));
  CHECK_OK(device.add(nullptr, x, x, 0, 16));   // after the fill
  CHECK_OK(device.add(blocking, x, x, 0, 16));  // after that
  CHECK_EQ(cuStreamQuery(nullptr), CUDA_ERROR_NOT_READY);
  CHECK_OK(cuStreamSynchronize(free));
  open_gate();
  CHECK_OK(cuStreamSynchronize(blocking));
  CHECK_EQ(download(x, 16)[0], 3.0f);
}

TEST(stream_pageable_source_may_change_after_the_call) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  close_gate();
  CHECK_OK(device.hold(stream));
  float values[16];
  std::fill_n(values, 16, 5.0f);
  CHECK_OK(cuMemcpyHtoDAsync_v2(x, values, sizeof values, stream));
  std::fill_n(values, 16, 6.0f);
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 16)[0], 5.0f);
}

TEST(stream_pinned_source_is_read_when_its_turn_comes) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  float* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(reinterpret_cast<void**>(&pinned), 64, 0));
  close_gate();
  CHECK_OK(device.hold(stream));
  std::fill_n(pinned, 16, 5.0f);
  CHECK_OK(cuMemcpyHtoDAsync_v2(x, pinned, 64, stream));
  std::fill_n(pinned, 16, 6.0f);
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 16)[0], 6.0f);  // a missing synchronisation shows
}

TEST(stream_copy_into_pageable_memory_has_ended_at_return) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  CHECK_OK(device.fill(stream, x, 9, 16));
  float values[16] = {};
  CHECK_OK(cuMemcpyDtoHAsync_v2(values, x, sizeof values, stream));
  CHECK_EQ(values[15], 9.0f);
}

TEST(stream_host_function_runs_in_order_and_may_not_call_the_api) {
  const Fixture device;
  const CUstream stream = new_stream();
  static std::atomic<int> seen;
  seen = -1;
  const auto function = [](void* data) {
    CUcontext context = nullptr;
    seen = *static_cast<int*>(data) + static_cast<int>(cuCtxGetCurrent(&context));
  };
  int value = 10000;
  CHECK_OK(cuLaunchHostFunc(stream, function, &value));
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(seen.load(), 10000 + CUDA_ERROR_NOT_PERMITTED);
  const auto callback = [](CUstream, CUresult status, void*) { seen = status; };
  CHECK_OK(cuStreamAddCallback(stream, callback, nullptr, 0));
  CHECK_OK(cuCtxSynchronize());
  CHECK_EQ(seen.load(), 0);
}

TEST(stream_destroy_finishes_queued_work) {
  const Fixture device;
  const CUdeviceptr x = allocate(64);
  const CUstream stream = new_stream();
  for (int i = 0; i < 100; ++i) CHECK_OK(device.fill(stream, x, static_cast<float>(i), 16));
  CHECK_OK(cuStreamDestroy_v2(stream));
  CHECK_EQ(download(x, 16)[3], 99.0f);
  CHECK_EQ(cuStreamDestroy_v2(stream), CUDA_ERROR_INVALID_HANDLE);
}
