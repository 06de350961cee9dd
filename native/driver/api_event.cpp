// Events.
#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "objects.h"

using namespace remask;

namespace {

// BLOCKING_SYNC, DISABLE_TIMING, INTERPROCESS
constexpr unsigned kAllFlags = 1 | CU_EVENT_DISABLE_TIMING | 4;

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult find_event(CUevent handle, std::shared_ptr<Event>* event) {
  *event = tables().events.find(handle);
  if (*event) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live event", static_cast<void*>(handle));
}

CUresult destroy(CUevent handle) {
  if (tables().events.remove(handle)) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live event", static_cast<void*>(handle));
}

CUresult record(Context& context, CUevent handle, CUstream stream_handle) {
  std::shared_ptr<Event> event;
  const CUresult found = find_event(handle, &event);
  if (found != CUDA_SUCCESS) return found;
  const auto stream = find_stream(context, stream_handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->context != event->context) {
    return refuse(CUDA_ERROR_INVALID_HANDLE, "event and stream belong to different contexts");
  }
  CUresult result = CUDA_SUCCESS;
  if (capture_record(*stream, *event, &result)) return result;
  auto timestamp = event->flags & CU_EVENT_DISABLE_TIMING ? nullptr : std::make_shared<Timestamp>();
  Marker marker;
  const CUresult submitted = submit(*stream, std::make_shared<RecordOperation>(timestamp), &marker);
  if (submitted != CUDA_SUCCESS) return submitted;
  std::lock_guard<std::mutex> lock(event->mutex);
  event->recorded = true;
  event->captured = false;
  event->capture.reset();
  event->marker = std::move(marker);
  event->timestamp = std::move(timestamp);
  return CUDA_SUCCESS;
}

// The point the event was last recorded at; nothing recorded counts as reached.
Marker marker_of(Event& event) {
  std::lock_guard<std::mutex> lock(event.mutex);
  return event.marker;
}

CUresult result_of(const Event& event) {
  const CUresult failed = event.context->health->error();
  return failed == CUDA_SUCCESS ? failed : refuse(failed, "work of this event's context failed");
}

CUresult time_of(Event& event, const char* which, std::chrono::steady_clock::time_point* time) {
  const CUresult allowed = check_not_captured(event);
  if (allowed != CUDA_SUCCESS) return allowed;
  if (event.flags & CU_EVENT_DISABLE_TIMING) {
    return refuse(CUDA_ERROR_INVALID_HANDLE, "the %s event was created without timing", which);
  }
  std::shared_ptr<Timestamp> timestamp;
  {
    std::lock_guard<std::mutex> lock(event.mutex);
    if (!event.recorded) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "the %s event was never recorded", which);
    }
    timestamp = event.timestamp;
  }
  if (!marker_of(event).reached() || !timestamp->get(time)) return CUDA_ERROR_NOT_READY;
  return CUDA_SUCCESS;
}

CUresult elapsed(float* milliseconds, CUevent start_handle, CUevent end_handle) {
  if (!milliseconds) return null_argument();
  std::shared_ptr<Event> start, end;
  CUresult checked = find_event(start_handle, &start);
  if (checked == CUDA_SUCCESS) checked = find_event(end_handle, &end);
  if (checked != CUDA_SUCCESS) return checked;
  if (start->context != end->context) {
    return refuse(CUDA_ERROR_INVALID_HANDLE, "the events belong to different contexts");
  }
  std::chrono::steady_clock::time_point from, to;
  checked = time_of(*start, "first", &from);
  if (checked == CUDA_SUCCESS) checked = time_of(*end, "second", &to);
  if (checked == CUDA_SUCCESS) {
    *milliseconds = std::chrono::duration<float, std::milli>(to - from).count();
  }
  return checked;
}

}  // namespace

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  static Call call("cuEventCreate");
  return call.in_context([&](Context& context) -> CUresult {
    if (!event) return null_argument();
    if ((flags & ~kAllFlags) != 0) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "event flags 0x%x do not exist", flags);
    }
    if (flags & 4) return refuse(CUDA_ERROR_NOT_SUPPORTED, "interprocess events");
    const auto made = std::make_shared<Event>();
    made->context = context.shared_from_this();
    made->flags = flags;
    const CUevent handle = tables().events.add(made);
    const CUresult alive = context.check_alive();
    if (alive != CUDA_SUCCESS) {
      tables().events.remove(handle);
      return alive;
    }
    *event = handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy(CUevent event) {
  static Call call("cuEventDestroy");
  return call.releasing([&](Context&) { return destroy(event); });
}

CUresult cuEventDestroy_v2(CUevent event) {
  static Call call("cuEventDestroy_v2");
  return call.releasing([&](Context&) { return destroy(event); });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  static Call call("cuEventRecord");
  return call.in_context([&](Context& context) { return record(context, event, stream); });
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  static Call call("cuEventRecordWithFlags");
  return call.in_context([&](Context& context) -> CUresult {
    if (flags & CU_EVENT_RECORD_EXTERNAL) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "external event nodes");
    }
    if (flags != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "record flags 0x%x", flags);
    return record(context, event, stream);
  });
}

CUresult cuEventQuery(CUevent handle) {
  static Call call("cuEventQuery");
  return call.in_context([&](Context&) -> CUresult {
    std::shared_ptr<Event> event;
    CUresult checked = find_event(handle, &event);
    if (checked == CUDA_SUCCESS) checked = check_not_captured(*event);
    if (checked != CUDA_SUCCESS) return checked;
    return marker_of(*event).reached() ? result_of(*event) : CUDA_ERROR_NOT_READY;
  });
}

CUresult cuEventSynchronize(CUevent handle) {
  static Call call("cuEventSynchronize");
  return call.in_context([&](Context&) -> CUresult {
    std::shared_ptr<Event> event;
    CUresult checked = find_event(handle, &event);
    if (checked == CUDA_SUCCESS) checked = check_not_captured(*event);
    if (checked != CUDA_SUCCESS) return checked;
    marker_of(*event).wait();
    return result_of(*event);
  });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  static Call call("cuEventElapsedTime");
  return call.in_context([&](Context&) { return elapsed(milliseconds, start, end); });
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  static Call call("cuEventElapsedTime_v2");
  return call.in_context([&](Context&) { return elapsed(milliseconds, start, end); });
}
