// The device's log: which call was refused and why.
//
// Lines go to a ring that cuLogsCurrent and cuLogsDumpToMemory read, and to REMASK_LOG (a file, or
// "stderr") when that is set. Any thread.
#ifndef REMASK_DRIVER_LOG_H_
#define REMASK_DRIVER_LOG_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda_types.h"

namespace remask {

void log_line(const std::string& line);

// Logs "<current call>: <error name>: <reason>" and returns the error, so that entry points read
// `return refuse(CUDA_ERROR_INVALID_VALUE, "...")`.
[[gnu::format(printf, 2, 3)]] CUresult refuse(CUresult error, const char* format, ...);
[[gnu::format(printf, 2, 3)]] cublasStatus_t refuse(cublasStatus_t error, const char* format, ...);

// "CUDA_ERROR_INVALID_VALUE"; null for a number that is none.
const char* error_name(CUresult error);
const char* error_text(CUresult error);
const char* status_name(cublasStatus_t status);

// Serial number that the next line will get.
unsigned log_position();

// Lines from `position` on that fit `capacity` bytes (the newest are kept), each ended by a
// newline; moves position to the end. Returns false if there are lines and none fits.
bool log_read(unsigned* position, size_t capacity, std::string* text);

uint64_t log_add_callback(CUlogsCallback callback, void* data);
bool log_remove_callback(uint64_t id);

}  // namespace remask

#endif  // REMASK_DRIVER_LOG_H_
