// Stream capture: CUDA's rules of what may happen while one is going on.
#ifndef REMASK_DRIVER_CAPTURE_H_
#define REMASK_DRIVER_CAPTURE_H_

#include <memory>
#include <mutex>
#include <vector>

#include "objects.h"

namespace remask {

// Guards all captures. Captures are rare: launches outside of any never take it.
std::mutex& capture_mutex();

// The thread's mode for calls that are unsafe during a capture.
CUstreamCaptureMode& thread_capture_mode();

// into: the graph that takes the nodes, the first of which depend on `dependencies`, indices of
// nodes that it has; null: a new one.
CUresult begin_capture(Stream& stream, CUstreamCaptureMode mode,
                       std::shared_ptr<Graph> into = nullptr,
                       std::vector<uint32_t> dependencies = {});
// Whether a capture into the graph, or into a body of its conditional nodes, is going on. With
// capture_mutex() held.
bool is_captured_into(const Graph& graph);
// On success the graph is complete; the caller gives it its handle.
CUresult end_capture(Stream& stream, std::shared_ptr<Graph>* graph);
CUstreamCaptureStatus capture_status(Stream& stream, uint64_t* id);

// Adds to the capture that the stream is in; false (and nothing done) if it is in none.
bool capture_operation(Stream& stream, const std::shared_ptr<const Operation>& operation,
                       CUresult* result);
// Notes where the stream is; false if it is in no capture.
bool capture_record(Stream& stream, Event& event, CUresult* result);
// False if neither the stream nor the event is in a capture.
bool capture_wait(Stream& stream, Event& event, CUresult* result);

// Refuses a call that is unsafe during captures (allocation, synchronous copies, ...) and
// invalidates the captures it would have broken.
CUresult check_unsafe_call();
// Refuses a call that waits for or queries a stream that captures, and invalidates the capture.
CUresult check_not_capturing(Stream& stream, const char* what);
// Refuses the legacy stream while a blocking stream of the context captures.
CUresult check_legacy(Context& context);
// CUDA_ERROR_CAPTURED_EVENT for an event last recorded in a capture; breaks it if it goes on.
CUresult check_not_captured(Event& event);
// A stream that goes away takes its capture with it.
void abandon_capture(Stream& stream);

}  // namespace remask

#endif  // REMASK_DRIVER_CAPTURE_H_
