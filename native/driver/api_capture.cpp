// Stream capture.
#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "objects.h"

using namespace remask;

namespace {

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

// Everything cuStreamGetCaptureInfo's versions answer; outputs may be null except the status.
CUresult capture_info(Context& context, CUstream handle, CUstreamCaptureStatus* status,
                      uint64_t* id, CUgraph* graph, const CUgraphNode** dependencies,
                      size_t* count) {
  if (!status) return null_argument();
  if (graph) *graph = nullptr;
  const auto stream = find_stream(context, handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  *status = capture_status(*stream, id);
  if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return CUDA_SUCCESS;
  std::lock_guard<std::mutex> lock(capture_mutex());
  if (!stream->capture) return CUDA_SUCCESS;
  // A graph of the capture's own has no handle before the capture ends.
  if (graph) *graph = stream->capture->graph->handle;
  if (count) *count = stream->capture_tail.size();
  if (dependencies) {
    stream->tail_handles.clear();
    for (const uint32_t index : stream->capture_tail) {
      const auto& node = stream->capture->graph->nodes[index];
      if (!node->handle) tables().nodes.add(node);
      stream->tail_handles.push_back(node->handle);
    }
    *dependencies = stream->tail_handles.data();
  }
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  static Call call("cuStreamBeginCapture_v2");
  return call.in_context([&](Context& context) -> CUresult {
    const auto stream = find_stream(context, handle);
    return stream ? begin_capture(*stream, mode) : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  static Call call("cuStreamEndCapture");
  return call.releasing([&](Context& context) -> CUresult {
    if (!graph) return null_argument();
    *graph = nullptr;
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    std::shared_ptr<Graph> captured;
    const CUresult ended = end_capture(*stream, &captured);
    if (ended != CUDA_SUCCESS) return ended;
    std::lock_guard<std::mutex> lock(capture_mutex());
    for (const auto& node : captured->nodes) {
      if (!node->handle) tables().nodes.add(node);
    }
    *graph = captured->handle ? captured->handle : tables().graphs.add(captured);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  static Call call("cuStreamIsCapturing");
  return call.in_context([&](Context& context) -> CUresult {
    if (!status) return null_argument();
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->is_legacy) {
      const CUresult allowed = check_legacy(context);
      if (allowed != CUDA_SUCCESS) return allowed;
    }
    *status = capture_status(*stream, nullptr);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id) {
  static Call call("cuStreamGetCaptureInfo");
  return call.in_context([&](Context& context) {
    return capture_info(context, stream, status, id, nullptr, nullptr, nullptr);
  });
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   size_t* count) {
  static Call call("cuStreamGetCaptureInfo_v2");
  return call.in_context([&](Context& context) {
    return capture_info(context, stream, status, id, graph, dependencies, count);
  });
}

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   const CUgraphEdgeData** edges, size_t* count) {
  static Call call("cuStreamGetCaptureInfo_v3");
  return call.in_context([&](Context& context) {
    if (edges) *edges = nullptr;
    return capture_info(context, stream, status, id, graph, dependencies, count);
  });
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  static Call call("cuThreadExchangeStreamCaptureMode");
  return call.initialised([&]() -> CUresult {
    if (!mode) return null_argument();
    if (*mode < CU_STREAM_CAPTURE_MODE_GLOBAL || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "capture mode %d does not exist", *mode);
    }
    std::swap(*mode, thread_capture_mode());
    return CUDA_SUCCESS;
  });
}
