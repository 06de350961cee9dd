// Streams: creation, waiting, host functions.
#include <algorithm>

#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "objects.h"

using namespace remask;

namespace {

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult create(Context& context, CUstream* stream, unsigned flags, int priority) {
  if (!stream) return null_argument();
  if ((flags & ~CU_STREAM_NON_BLOCKING) != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "stream flags 0x%x do not exist", flags);
  }
  const auto made = std::make_shared<Stream>(context.shared_from_this(), flags, priority);
  // Under the lock, because a destruction takes its list of streams under it after `alive` is gone:
  // a stream that it missed would keep its thread, and the context, for ever.
  std::lock_guard<std::mutex> lock(context.streams_mutex);
  const CUresult alive = context.check_alive();
  if (alive != CUDA_SUCCESS) return alive;
  *stream = tables().streams.add(made);
  context.streams.push_back(made);
  return CUDA_SUCCESS;
}

CUresult destroy(CUstream handle) {
  const auto stream = tables().streams.remove(handle);
  if (!stream) {
    return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live stream", static_cast<void*>(handle));
  }
  abandon_capture(*stream);
  Context& context = *stream->context;
  {
    std::lock_guard<std::mutex> lock(context.streams_mutex);
    auto& all = context.streams;
    all.erase(std::remove(all.begin(), all.end(), stream), all.end());
  }
  // The worker finishes what is queued; events recorded in it stay valid. The thread ends when the
  // last call that still waits for this stream lets go of it.
  stream->worker->last().wait();
  return CUDA_SUCCESS;
}

CUresult result_of(Stream& stream) {
  const CUresult failed = stream.context->health->error();
  return failed == CUDA_SUCCESS ? failed : refuse(failed, "work of this stream's context failed");
}

// Runs a client's function on the worker, where it must not call the API.
template <typename Function>
void as_host_function(Function&& function) {
  set_in_host_function(true);
  function();
  set_in_host_function(false);
}

}  // namespace

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  static Call call("cuStreamCreate");
  return call.in_context([&](Context& context) { return create(context, stream, flags, 0); });
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  static Call call("cuStreamCreateWithPriority");
  // CUDA clamps the priority to the device's range, which is 0 to 0 here.
  (void)priority;
  return call.in_context([&](Context& context) { return create(context, stream, flags, 0); });
}

CUresult cuStreamDestroy(CUstream stream) {
  static Call call("cuStreamDestroy");
  return call.releasing([&](Context&) { return destroy(stream); });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  static Call call("cuStreamDestroy_v2");
  return call.releasing([&](Context&) { return destroy(stream); });
}

CUresult cuStreamSynchronize(CUstream handle) {
  static Call call("cuStreamSynchronize");
  return call.in_context([&](Context& context) -> CUresult {
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    CUresult allowed = check_not_capturing(*stream, "waiting for");
    if (allowed == CUDA_SUCCESS && stream->is_legacy) {
      // It stands behind all blocking streams, so waiting for it waits for them.
      Marker all;
      allowed = submit(*stream, nullptr, &all);
      if (allowed == CUDA_SUCCESS) all.wait();
    } else if (allowed == CUDA_SUCCESS) {
      stream->worker->last().wait();
    }
    return allowed == CUDA_SUCCESS ? result_of(*stream) : allowed;
  });
}

CUresult cuStreamQuery(CUstream handle) {
  static Call call("cuStreamQuery");
  return call.in_context([&](Context& context) -> CUresult {
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    CUresult allowed = check_not_capturing(*stream, "asking about");
    if (allowed == CUDA_SUCCESS && stream->is_legacy) allowed = check_legacy(context);
    if (allowed != CUDA_SUCCESS) return allowed;
    bool done = stream->worker->last().reached();
    if (stream->is_legacy) {
      for (const auto& other : context.all_streams()) {
        if (other->is_blocking()) done = done && other->worker->last().reached();
      }
    }
    return done ? result_of(*stream) : CUDA_ERROR_NOT_READY;
  });
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
  static Call call("cuStreamWaitEvent");
  return call.in_context([&](Context& context) -> CUresult {
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    const auto event = tables().events.find(event_handle);
    if (!event) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live event",
                    static_cast<void*>(event_handle));
    }
    if (flags > CU_EVENT_RECORD_EXTERNAL) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "wait flags 0x%x do not exist", flags);
    }
    CUresult result = CUDA_SUCCESS;
    if (capture_wait(*stream, *event, &result)) return result;
    Marker marker;
    {
      std::lock_guard<std::mutex> lock(event->mutex);
      if (event->captured) {
        return refuse(CUDA_ERROR_CAPTURED_EVENT,
                      "the event was last recorded in a capture that has ended");
      }
      if (!event->recorded) return CUDA_SUCCESS;  // as CUDA: nothing to wait for
      marker = event->marker;
    }
    return submit(*stream, nullptr, nullptr, {std::move(marker)});
  });
}

CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback callback, void* data,
                             unsigned flags) {
  static Call call("cuStreamAddCallback");
  return call.in_context([&](Context& context) -> CUresult {
    if (!callback || flags != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "no callback, or flags");
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    const CUresult allowed = check_not_capturing(*stream, "a callback (not a host function) in");
    if (allowed != CUDA_SUCCESS) return allowed;
    const std::shared_ptr<Health> health = stream->context->health;
    const auto body = [=](std::string*) {
      as_host_function([&] { callback(handle, health->error(), data); });
      return CUDA_SUCCESS;
    };
    return submit(*stream, std::make_shared<CallOperation>(CU_GRAPH_NODE_TYPE_HOST, "callback",
                                                           body, MemoryUse{}, true));
  });
}

CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
  static Call call("cuLaunchHostFunc");
  return call.in_context([&](Context& context) -> CUresult {
    if (!function) return refuse(CUDA_ERROR_INVALID_VALUE, "no function");
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    const auto body = [=](std::string*) {
      as_host_function([&] { function(data); });
      return CUDA_SUCCESS;
    };
    return submit(*stream,
                  std::make_shared<CallOperation>(CU_GRAPH_NODE_TYPE_HOST, "host function", body));
  });
}

CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  static Call call("cuStreamGetFlags");
  return call.in_context([&](Context& context) -> CUresult {
    if (!flags) return null_argument();
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    *flags = stream->flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetPriority(CUstream handle, int* priority) {
  static Call call("cuStreamGetPriority");
  return call.in_context([&](Context& context) -> CUresult {
    if (!priority) return null_argument();
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    *priority = stream->priority;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext* owner) {
  static Call call("cuStreamGetCtx");
  return call.in_context([&](Context& context) -> CUresult {
    if (!owner) return null_argument();
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    *owner = stream->context->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetId(CUstream handle, unsigned long long* id) {
  static Call call("cuStreamGetId");
  return call.in_context([&](Context& context) -> CUresult {
    if (!id) return null_argument();
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    *id = reinterpret_cast<uint64_t>(stream->is_legacy ? context.handle : nullptr);
    if (!stream->is_legacy) *id = reinterpret_cast<uint64_t>(stream->handle);
    return CUDA_SUCCESS;
  });
}
