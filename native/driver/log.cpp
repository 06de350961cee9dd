#include "log.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "call.h"
#include "settings.h"

namespace remask {
namespace {

// As much as a driver keeps (cuLogsDumpToMemory: "maximum size of the buffer is 25600 bytes").
constexpr size_t kRingBytes = 25600;

struct Log {
  std::mutex mutex;
  std::deque<std::string> lines;
  size_t bytes = 0;         // of `lines`
  unsigned next = 0;        // serial number of the next line; lines.back() is next - 1
  FILE* file = nullptr;     // REMASK_LOG
  bool file_tried = false;  // opened at the first line, so that a quiet process leaves no file
  std::map<uint64_t, std::pair<CUlogsCallback, void*>> callbacks;
  uint64_t next_callback = 1;
};

Log& the_log() {
  static Log& instance = *new Log;
  return instance;
}

std::string format_arguments(const char* format, va_list arguments) {
  char text[1024];
  std::vsnprintf(text, sizeof text, format, arguments);
  return text;
}

}  // namespace

void log_line(const std::string& line) {
  Log& log = the_log();
  std::vector<std::pair<CUlogsCallback, void*>> callbacks;
  {
    std::lock_guard<std::mutex> lock(log.mutex);
    if (!log.file_tried) {
      log.file_tried = true;
      const std::string& target = settings().log;
      if (target == "stderr") {
        log.file = stderr;
      } else if (!target.empty()) {
        log.file = std::fopen(target.c_str(), "ae");
      }
    }
    if (log.file) {
      std::fprintf(log.file, "remask-device: %s\n", line.c_str());
      std::fflush(log.file);
    }
    log.lines.push_back(line);
    log.bytes += line.size() + 1;
    ++log.next;
    while (log.bytes > kRingBytes) {
      log.bytes -= log.lines.front().size() + 1;
      log.lines.pop_front();
    }
    for (const auto& entry : log.callbacks) callbacks.push_back(entry.second);
  }
  // Outside the lock: a callback may read the log.
  std::string copy = line;
  for (const auto& callback : callbacks) callback.first(callback.second, 0, &copy[0], copy.size());
}

CUresult refuse(CUresult error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const std::string text = format_arguments(format, arguments);
  va_end(arguments);
  const char* name = error_name(error);
  log_line(std::string(Call::current_name()) + ": " + (name ? name : "?") + ": " + text);
  return error;
}

cublasStatus_t refuse(cublasStatus_t error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const std::string text = format_arguments(format, arguments);
  va_end(arguments);
  log_line(std::string(Call::current_name()) + ": " + status_name(error) + ": " + text);
  return error;
}

const char* error_name(CUresult error) {
  switch (error) {
    case CUDA_SUCCESS:
      return "CUDA_SUCCESS";
#define REMASK_NAME(name, value, text) \
  case CUDA_ERROR_##name:              \
    return "CUDA_ERROR_" #name;
      REMASK_CUDA_ERRORS(REMASK_NAME)
#undef REMASK_NAME
  }
  return nullptr;
}

const char* error_text(CUresult error) {
  switch (error) {
    case CUDA_SUCCESS:
      return "no error";
#define REMASK_TEXT(name, value, text) \
  case CUDA_ERROR_##name:              \
    return text;
      REMASK_CUDA_ERRORS(REMASK_TEXT)
#undef REMASK_TEXT
  }
  return nullptr;
}

const char* status_name(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
#define REMASK_NAME(name, value) \
  case CUBLAS_STATUS_##name:     \
    return "CUBLAS_STATUS_" #name;
      REMASK_CUBLAS_STATUSES(REMASK_NAME)
#undef REMASK_NAME
  }
  return "CUBLAS_STATUS_UNKNOWN";
}

unsigned log_position() {
  Log& log = the_log();
  std::lock_guard<std::mutex> lock(log.mutex);
  return log.next;
}

bool log_read(unsigned* position, size_t capacity, std::string* text) {
  Log& log = the_log();
  std::lock_guard<std::mutex> lock(log.mutex);
  const unsigned first = log.next - static_cast<unsigned>(log.lines.size());
  unsigned begin = *position;
  // Unsigned distances, so that the serial number may wrap.
  if (log.next - begin > log.lines.size()) begin = first;
  size_t bytes = 0;
  unsigned from = log.next;
  while (from != begin) {
    const size_t length = log.lines[from - 1 - first].size() + 1;
    if (bytes + length > capacity) break;
    bytes += length;
    --from;
  }
  if (from == log.next && begin != log.next) return false;
  text->clear();
  for (unsigned i = from; i != log.next; ++i) *text += log.lines[i - first] + "\n";
  *position = log.next;
  return true;
}

uint64_t log_add_callback(CUlogsCallback callback, void* data) {
  Log& log = the_log();
  std::lock_guard<std::mutex> lock(log.mutex);
  log.callbacks[log.next_callback] = {callback, data};
  return log.next_callback++;
}

bool log_remove_callback(uint64_t id) {
  Log& log = the_log();
  std::lock_guard<std::mutex> lock(log.mutex);
  return log.callbacks.erase(id) > 0;
}

}  // namespace remask
