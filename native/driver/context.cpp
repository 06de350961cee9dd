#include <algorithm>

#include "call.h"
#include "capture.h"
#include "host/parallel.h"
#include "objects.h"

namespace remask {
namespace {

// At most 15 characters reach the system; the number counts the streams of the process.
std::string worker_name() {
  static std::atomic<unsigned> next{0};
  return "remask-strm" + std::to_string(next++ % 10000);
}

}  // namespace

Stream::Stream(std::shared_ptr<Context> owner, unsigned stream_flags, int stream_priority)
    : context(std::move(owner)), flags(stream_flags), priority(stream_priority) {
  // The host kernels keep compute threads and GEMM primitives for each thread that calls them.
  worker = std::make_unique<StreamWorker>(worker_name(), context->health, &remask_host_shutdown);
}

std::vector<std::shared_ptr<Stream>> Context::all_streams() {
  std::lock_guard<std::mutex> lock(streams_mutex);
  std::vector<std::shared_ptr<Stream>> all = streams;
  if (legacy) all.push_back(legacy);
  return all;
}

CUresult Context::check_alive() const {
  if (alive) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_CONTEXT_IS_DESTROYED, "another thread destroyed the context");
}

std::vector<std::shared_ptr<Context>>& context_stack() {
  thread_local std::vector<std::shared_ptr<Context>> stack;
  return stack;
}

std::shared_ptr<Context> create_context(Device& device, bool primary, unsigned flags) {
  auto context = std::make_shared<Context>();
  context->device = &device;
  context->primary = primary;
  context->flags = flags;
  context->legacy = std::make_shared<Stream>(context, 0u, 0);
  context->legacy->is_legacy = true;
  tables().contexts.add(context);
  return context;
}

void destroy_context(const std::shared_ptr<Context>& context) {
  if (!context->alive.exchange(false)) return;
  Tables& all = tables();
  all.contexts.remove(context->handle);
  std::vector<std::shared_ptr<Stream>> streams = context->all_streams();
  for (const auto& stream : streams) {
    abandon_capture(*stream);
    all.streams.remove(stream->handle);
  }
  // Waits for queued work; threads end with the last reference.
  for (const auto& stream : streams) stream->worker->last().wait();
  {
    std::lock_guard<std::mutex> lock(context->streams_mutex);
    context->streams.clear();
    context->legacy.reset();
  }
  streams.clear();
  const auto owned = [&](const auto& object) { return object.context == context; };
  for (const auto& event : all.events.select(owned)) all.events.remove(event->handle);
  for (const auto& module : all.modules.select(owned)) all.modules.remove(module->handle);
  for (const auto& function : all.functions.select(
           [&](const Function& each) { return each.context_handle == context->handle; })) {
    all.functions.remove(function->handle);
  }
  for (const auto& library : all.libraries.select([](const Library&) { return true; })) {
    std::lock_guard<std::mutex> lock(library->mutex);
    library->modules.erase(context->handle);
  }
  const uint64_t handle = reinterpret_cast<uint64_t>(context->handle);
  for (const auto& allocation : AddressSpace::instance().owned_by(handle)) {
    free_allocation(allocation);
  }
}

void free_allocation(const std::shared_ptr<Allocation>& allocation) {
  Device* device = find_device(allocation->device);
  if (AddressSpace::instance().retire(allocation) && device &&
      allocation->kind == Allocation::Kind::kDevice) {
    device->memory_in_use -= allocation->bytes;
  }
}

CUresult Call::check_initialised() const {
  if (in_host_function()) {
    return refuse(CUDA_ERROR_NOT_PERMITTED, "host functions of a stream must not call the API");
  }
  if (is_initialised()) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
}

CUresult Call::check_context(std::shared_ptr<Context>* context) const {
  const CUresult initialised = check_initialised();
  if (initialised != CUDA_SUCCESS) return initialised;
  const auto& stack = context_stack();
  if (stack.empty() || !stack.back()) {
    return refuse(CUDA_ERROR_INVALID_CONTEXT, "the calling thread has no current context");
  }
  if (!stack.back()->alive) {
    return refuse(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the thread's current context was destroyed");
  }
  *context = stack.back();
  return CUDA_SUCCESS;
}

CUresult Call::check_health(const Context& context) {
  const CUresult error = context.health->error();
  if (error == CUDA_SUCCESS) return CUDA_SUCCESS;
  return refuse(error, "earlier work of this context failed; it stays unusable");
}

}  // namespace remask
