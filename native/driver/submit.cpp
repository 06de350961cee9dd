#include "capture.h"
#include "log.h"
#include "objects.h"

namespace remask {
namespace {
thread_local bool inside_host_function = false;
}  // namespace

bool in_host_function() { return inside_host_function; }
void set_in_host_function(bool inside) { inside_host_function = inside; }

std::shared_ptr<Stream> find_stream(Context& context, CUstream handle) {
  if (reinterpret_cast<uint64_t>(handle) <= 2) {
    std::shared_ptr<Stream> legacy;
    {
      std::lock_guard<std::mutex> lock(context.streams_mutex);
      legacy = context.legacy;
    }
    if (!legacy) context.check_alive();  // logs why
    return legacy;
  }
  std::shared_ptr<Stream> stream = tables().streams.find(handle);
  if (!stream)
    refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live stream", static_cast<void*>(handle));
  return stream;
}

CUresult submit(Stream& stream, std::shared_ptr<const Operation> operation, Marker* marker,
                std::vector<Marker> after) {
  if (stream.is_legacy) {
    const CUresult allowed = check_legacy(*stream.context);
    if (allowed != CUDA_SUCCESS) return allowed;
    // The legacy stream waits for all blocking streams...
    for (const auto& other : stream.context->all_streams()) {
      if (other->is_blocking() && !other->is_legacy) {
        Marker last = other->worker->last();
        if (!last.reached()) after.push_back(std::move(last));
      }
    }
  } else {
    CUresult result = CUDA_SUCCESS;
    if (operation && capture_operation(stream, operation, &result)) return result;
    // ... and they wait for it.
    if (stream.is_blocking()) {
      std::shared_ptr<Stream> legacy;
      {
        std::lock_guard<std::mutex> lock(stream.context->streams_mutex);
        legacy = stream.context->legacy;
      }
      if (legacy) {
        Marker last = legacy->worker->last();
        if (!last.reached()) after.push_back(std::move(last));
      }
    }
  }
  Marker made = stream.worker->push(std::move(operation), std::move(after));
  if (marker) *marker = std::move(made);
  return CUDA_SUCCESS;
}

}  // namespace remask
