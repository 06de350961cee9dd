// Stands for libnvtx3interop.so in tests: appends a line for each call to the file that
// REMASK_NVTX_STUB names, complete when the call returns.
//   create <name>                        push <thread> <message> <payload>
//   pop <thread>                         start <range> <message>        end <range>
// A call with another domain, version or kind of attribute than Remask's writes "wrong …".
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

namespace {

// nvtxEventAttributes_v2; native/abi compares Java's layout of it with the toolkit's header.
struct Attributes {
  std::uint16_t version, size;
  std::uint32_t category;
  std::int32_t color_type;
  std::uint32_t color;
  std::int32_t payload_type, reserved;
  std::int64_t payload;
  std::int32_t message_type;
  const char* message;
};

constexpr std::uint16_t kVersion = 3;
constexpr std::int32_t kAscii = 1, kInt64 = 2;

std::mutex lock;
int domain;
std::atomic<std::uint64_t> ranges{0};

void note(const std::string& line) {
  const char* name = std::getenv("REMASK_NVTX_STUB");
  if (name == nullptr) return;
  const std::lock_guard<std::mutex> guard(lock);
  if (std::FILE* file = std::fopen(name, "a")) {
    std::fprintf(file, "%s\n", line.c_str());
    std::fclose(file);
  }
}

std::string thread() { return std::to_string(syscall(SYS_gettid)); }

bool is_ours(const void* handle, const Attributes* given) {
  if (handle != &domain) return note("wrong domain"), false;
  if (given == nullptr) return true;
  if (given->version != kVersion || given->size != sizeof(Attributes) ||
      given->message_type != kAscii || given->payload_type != kInt64) {
    return note("wrong attributes"), false;
  }
  return true;
}

}  // namespace

#define REMASK_EXPORT extern "C" __attribute__((visibility("default")))

REMASK_EXPORT void* nvtxDomainCreateA(const char* name) {
  note(std::string("create ") + name);
  return &domain;
}

REMASK_EXPORT int nvtxDomainRangePushEx(void* handle, const Attributes* given) {
  if (is_ours(handle, given)) {
    note("push " + thread() + " " + given->message + " " + std::to_string(given->payload));
  }
  return 0;
}

REMASK_EXPORT int nvtxDomainRangePop(void* handle) {
  if (is_ours(handle, nullptr)) note("pop " + thread());
  return 0;
}

REMASK_EXPORT std::uint64_t nvtxDomainRangeStartEx(void* handle, const Attributes* given) {
  const std::uint64_t range = ++ranges;
  if (is_ours(handle, given)) note("start " + std::to_string(range) + " " + given->message);
  return range;
}

REMASK_EXPORT void nvtxDomainRangeEnd(void* handle, std::uint64_t range) {
  if (is_ours(handle, nullptr)) note("end " + std::to_string(range));
}
