#include "capture.h"

#include <algorithm>
#include <atomic>

#include "log.h"

namespace remask {
namespace {

struct Active {
  std::mutex mutex;
  std::vector<std::shared_ptr<Capture>> captures;
  std::atomic<int> count{0};
  uint64_t next_id = 1;
};

Active& active() {
  static Active& instance = *new Active;
  return instance;
}

// All below: capture_mutex() held.

void invalidate(Capture& capture) { capture.invalidated = true; }

std::vector<uint32_t> merged(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  std::vector<uint32_t> all(a);
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void leave(Stream& stream) {
  stream.capture.reset();
  stream.capture_tail.clear();
  stream.capturing = false;
}

// Frees every stream that takes part.
void finish(const std::shared_ptr<Capture>& capture) {
  for (const CUstream handle : capture->streams) {
    const auto stream = tables().streams.find(handle);
    if (stream && stream->capture == capture) leave(*stream);
  }
  auto& all = active().captures;
  all.erase(std::remove(all.begin(), all.end(), capture), all.end());
  active().count = static_cast<int>(all.size());
}

CUresult refuse_invalidated() {
  return refuse(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                "an earlier call broke the capture that this stream is in");
}

// Whether the capture forbids unsafe calls of this thread, whose mode is given.
bool forbids(const Capture& capture, CUstreamCaptureMode thread_mode) {
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  const bool own = capture.owner == std::this_thread::get_id();
  if (own && capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED) return true;
  return thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
         capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

}  // namespace

std::mutex& capture_mutex() { return active().mutex; }

CUstreamCaptureMode& thread_capture_mode() {
  thread_local CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  return mode;
}

bool is_captured_into(const Graph& graph) {
  for (const auto& capture : active().captures) {
    if (capture->graph.get() == &graph) return true;
  }
  for (const auto& node : graph.nodes) {
    if (!node->conditional) continue;
    for (const auto& body : node->conditional->bodies) {
      if (is_captured_into(*body)) return true;
    }
  }
  return false;
}

CUresult begin_capture(Stream& stream, CUstreamCaptureMode mode, std::shared_ptr<Graph> into,
                       std::vector<uint32_t> dependencies) {
  if (stream.is_legacy) {
    return refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
  }
  if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "capture mode %d does not exist", mode);
  }
  std::lock_guard<std::mutex> lock(capture_mutex());
  if (stream.capture) {
    invalidate(*stream.capture);
    return refuse(CUDA_ERROR_ILLEGAL_STATE, "the stream is capturing already");
  }
  if (into && is_captured_into(*into)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "another capture into this graph is going on");
  }
  auto capture = std::make_shared<Capture>();
  capture->id = active().next_id++;
  capture->mode = mode;
  capture->owner = std::this_thread::get_id();
  capture->origin = stream.handle;
  capture->graph = into ? std::move(into) : std::make_shared<Graph>();
  capture->first_node = capture->graph->nodes.size();
  capture->streams.push_back(stream.handle);
  stream.capture = capture;
  stream.capture_tail = std::move(dependencies);
  stream.capturing = true;
  active().captures.push_back(capture);
  active().count = static_cast<int>(active().captures.size());
  return CUDA_SUCCESS;
}

CUresult end_capture(Stream& stream, std::shared_ptr<Graph>* graph) {
  std::lock_guard<std::mutex> lock(capture_mutex());
  const std::shared_ptr<Capture> capture = stream.capture;
  if (!capture) {
    return refuse(CUDA_ERROR_ILLEGAL_STATE, "the stream is not capturing");
  }
  if (capture->origin != stream.handle) {
    invalidate(*capture);
    return refuse(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
  }
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
      capture->owner != std::this_thread::get_id()) {
    invalidate(*capture);
    return refuse(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread");
  }
  // Everything that other streams did must lie before this stream's end.
  std::vector<bool> joined(capture->graph->nodes.size());
  std::fill_n(joined.begin(), capture->first_node, true);
  for (const uint32_t node : stream.capture_tail) joined[node] = true;
  for (size_t i = joined.size(); i-- > 0;) {
    if (!joined[i]) continue;
    for (const uint32_t before : capture->graph->nodes[i]->dependencies) joined[before] = true;
  }
  const bool broken = capture->invalidated;
  finish(capture);
  const auto refused = [&](CUresult result) {
    capture->graph->drop_nodes_from(capture->first_node);
    return result;
  };
  if (broken) return refused(refuse_invalidated());
  if (std::find(joined.begin(), joined.end(), false) != joined.end()) {
    return refused(
        refuse(CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
               "work forked to another stream was not joined by an event before the end"));
  }
  *graph = capture->graph;
  return CUDA_SUCCESS;
}

CUstreamCaptureStatus capture_status(Stream& stream, uint64_t* id) {
  if (!stream.capturing) return CU_STREAM_CAPTURE_STATUS_NONE;
  std::lock_guard<std::mutex> lock(capture_mutex());
  if (!stream.capture) return CU_STREAM_CAPTURE_STATUS_NONE;
  if (id) *id = stream.capture->id;
  return stream.capture->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                     : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

bool capture_operation(Stream& stream, const std::shared_ptr<const Operation>& operation,
                       CUresult* result) {
  if (!stream.capturing) return false;
  std::lock_guard<std::mutex> lock(capture_mutex());
  if (!stream.capture) return false;
  if (stream.capture->invalidated) {
    *result = refuse_invalidated();
    return true;
  }
  if (stream.capture->graph->is_body && operation->kind() == CU_GRAPH_NODE_TYPE_HOST) {
    invalidate(*stream.capture);
    *result = refuse(CUDA_ERROR_NOT_SUPPORTED,
                     "%s: the body of a conditional node takes kernels, copies, fills, child graphs"
                     " and conditional nodes only",
                     operation->describe().c_str());
    return true;
  }
  auto node = std::make_shared<GraphNode>();
  node->operation = operation;
  node->context = stream.context->handle;
  node->dependencies = stream.capture_tail;
  auto& nodes = stream.capture->graph->nodes;
  nodes.push_back(std::move(node));
  stream.capture_tail = {static_cast<uint32_t>(nodes.size() - 1)};
  *result = CUDA_SUCCESS;
  return true;
}

bool capture_record(Stream& stream, Event& event, CUresult* result) {
  if (!stream.capturing) return false;
  std::lock_guard<std::mutex> lock(capture_mutex());
  if (!stream.capture) return false;
  if (stream.capture->invalidated) {
    *result = refuse_invalidated();
    return true;
  }
  std::lock_guard<std::mutex> event_lock(event.mutex);
  event.capture = stream.capture;
  event.capture_tail = stream.capture_tail;
  event.captured = true;
  *result = CUDA_SUCCESS;
  return true;
}

bool capture_wait(Stream& stream, Event& event, CUresult* result) {
  if (active().count == 0) return false;
  std::lock_guard<std::mutex> lock(capture_mutex());
  std::lock_guard<std::mutex> event_lock(event.mutex);
  const std::shared_ptr<Capture> from = event.captured ? event.capture.lock() : nullptr;
  const bool from_active =
      from && std::count(active().captures.begin(), active().captures.end(), from) > 0;
  if (!stream.capture && !from_active) return false;
  *result = CUDA_SUCCESS;
  if (stream.capture && stream.capture->invalidated) {
    *result = refuse_invalidated();
  } else if (stream.capture && !from_active) {
    // An event from before the capture: the graph cannot depend on it.
    if (event.recorded || event.captured) {
      invalidate(*stream.capture);
      *result = refuse(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                       "the event was recorded outside of the capture");
    }
  } else if (stream.capture && stream.capture != from) {
    invalidate(*stream.capture);
    invalidate(*from);
    *result = refuse(CUDA_ERROR_STREAM_CAPTURE_MERGE, "the event belongs to another capture");
  } else if (from->invalidated) {
    *result = refuse_invalidated();
  } else if (stream.is_legacy) {
    invalidate(*from);
    *result = refuse(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                     "the legacy stream cannot wait for an event of a capture");
  } else {
    if (!stream.capture) {
      stream.capture = from;
      stream.capturing = true;
      stream.capture_tail.clear();
      from->streams.push_back(stream.handle);
    }
    stream.capture_tail = merged(stream.capture_tail, event.capture_tail);
  }
  return true;
}

CUresult check_unsafe_call() {
  if (active().count == 0) return CUDA_SUCCESS;
  std::lock_guard<std::mutex> lock(capture_mutex());
  bool forbidden = false;
  for (const auto& capture : active().captures) {
    if (forbids(*capture, thread_capture_mode())) {
      invalidate(*capture);
      forbidden = true;
    }
  }
  if (!forbidden) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                "not allowed while a stream captures; the capture is broken by it");
}

CUresult check_not_capturing(Stream& stream, const char* what) {
  if (!stream.capturing) return CUDA_SUCCESS;
  std::lock_guard<std::mutex> lock(capture_mutex());
  if (!stream.capture) return CUDA_SUCCESS;
  if (stream.capture->invalidated) return refuse_invalidated();
  invalidate(*stream.capture);
  return refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                "%s a stream that captures; the capture is broken by it", what);
}

CUresult check_legacy(Context& context) {
  if (active().count == 0) return CUDA_SUCCESS;
  std::lock_guard<std::mutex> lock(capture_mutex());
  bool forbidden = false;
  for (const auto& capture : active().captures) {
    for (const CUstream handle : capture->streams) {
      const auto stream = tables().streams.find(handle);
      if (stream && stream->is_blocking() && stream->context.get() == &context) {
        invalidate(*capture);
        forbidden = true;
      }
    }
  }
  if (!forbidden) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                "the legacy stream waits for every blocking stream, and one of them captures");
}

CUresult check_not_captured(Event& event) {
  std::lock_guard<std::mutex> lock(capture_mutex());
  std::lock_guard<std::mutex> event_lock(event.mutex);
  if (!event.captured) return CUDA_SUCCESS;
  const auto capture = event.capture.lock();
  const bool going_on =
      capture && std::count(active().captures.begin(), active().captures.end(), capture) > 0;
  if (going_on) invalidate(*capture);
  return refuse(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capturing stream");
}

void abandon_capture(Stream& stream) {
  if (!stream.capturing) return;
  std::lock_guard<std::mutex> lock(capture_mutex());
  const std::shared_ptr<Capture> capture = stream.capture;
  if (!capture) return;
  invalidate(*capture);
  if (capture->origin == stream.handle) {
    capture->graph->drop_nodes_from(capture->first_node);
    finish(capture);
  }
  leave(stream);
}

}  // namespace remask
