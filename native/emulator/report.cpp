// How a block says what went wrong.
#include <cstdio>
#include <cstring>

#include "cluster.h"

namespace remask::emulator {

void Block::fail(const Thread* self, int code, const Site& site, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  note_failure(self, code, site, format, arguments);
  va_end(arguments);
  stop();
}

void Block::note_failure(const Thread* self, int code, const Site& site, const char* format,
                         va_list arguments) {
  char(&failure)[sizeof(cluster_.failure_)] = cluster_.failure_;
  cluster_.code_ = code;
  std::snprintf(failure, sizeof(failure), "%s, warp %u, lane %u, thread (%u,%u,%u), %s:%d: %s%s",
                describe().c_str(), self->rank / 32, self->rank % 32, self->index.x, self->index.y,
                self->index.z, site.file, site.line, site.what, site.what[0] != 0 ? ": " : "");
  std::size_t used = std::strlen(failure);
  std::vsnprintf(failure + used, sizeof(failure) - used, format, arguments);
}

void Block::forbid(Thread* self, std::uintptr_t address, std::size_t bytes, const char* what,
                   const void* return_address) {
  // The words are found later, on a stack that may hold strings.
  cluster_.forbidden_ = Cluster::Forbidden{self, address, bytes, what, return_address, Site{}};
  stop();
}

void Block::check_global(Thread* self, const void* from, std::size_t bytes, const char* what,
                         const Site& site) {
  const auto address = reinterpret_cast<std::uintptr_t>(from);
  if (self->accesses == nullptr || self->accesses->allows_global(address, bytes)) return;
  cluster_.forbidden_ = Cluster::Forbidden{self, address, bytes, what, nullptr, site};
  stop();
}

void Cluster::explain_forbidden() {
  const Forbidden& access = forbidden_;
  const Thread& thread = *access.thread;
  const Block& block = *thread.block;
  code_ = kIllegalAddress;
  const std::string place = access.return_address != nullptr
                                ? describe_code(access.return_address)
                                : std::string(access.site.file) + ":" +
                                      std::to_string(access.site.line) + ": " + access.site.what;
  reason_ = block.describe() + ", warp " + std::to_string(thread.rank / 32) + ", lane " +
            std::to_string(thread.rank % 32) + ", thread (" + std::to_string(thread.index.x) + "," +
            std::to_string(thread.index.y) + "," + std::to_string(thread.index.z) + "), " + place +
            ": " + access.what + " of " + std::to_string(access.bytes) + " bytes at " +
            block.accesses_.describe(access.address, access.bytes);
}

void Block::report(int code, const char* format, ...) {
  if (cluster_.failure_[0] != 0) return;
  cluster_.code_ = code;
  int used =
      std::snprintf(cluster_.failure_, sizeof(cluster_.failure_), "%s: ", describe().c_str());
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(cluster_.failure_ + used, sizeof(cluster_.failure_) - std::size_t(used), format,
                 arguments);
  va_end(arguments);
}

void Block::stop() {
  void* dropped;
  cluster_.jump(&dropped, nullptr);
  __builtin_unreachable();
}

std::string Block::describe() const {
  return "kernel " + std::string(cluster_.launch_.kernel) + ", block (" + std::to_string(index_.x) +
         "," + std::to_string(index_.y) + "," + std::to_string(index_.z) + ")";
}

// "threads 0-31 wait at __syncthreads, foo.cu:12; threads 32-63 exited"
std::string Block::describe_waiting() const {
  auto state = [this](unsigned rank) -> std::string {
    const Warp& warp = warps_[rank / 32];
    const std::uint32_t bit = 1u << rank % 32;
    if (warp.exited & bit) return "exited";
    const Thread* thread = slots_.thread(rank);
    std::string text = "wait at " + std::string(thread->site.what) + ", " + thread->site.file +
                       ":" + std::to_string(thread->site.line);
    if (warp.meeting & bit) {
      char mask[32];
      std::snprintf(mask, sizeof(mask), " (mask 0x%08x)", thread->offer.mask);
      text += mask;
    }
    if (thread->wait.describe != nullptr) {
      text += " (" + thread->wait.describe(thread->wait.object, thread->wait.value) + ")";
    }
    return text;
  };
  std::string all;
  for (unsigned begin = 0, end; begin < count_; begin = end) {
    std::string first = state(begin);
    for (end = begin + 1; end < count_ && state(end) == first; end++) {
    }
    if (!all.empty()) all += "; ";
    if (all.size() > 1500) return all + "...";
    all += end - begin == 1 ? "thread " + std::to_string(begin)
                            : "threads " + std::to_string(begin) + "-" + std::to_string(end - 1);
    all += " " + first;
  }
  return all;
}

}  // namespace remask::emulator
