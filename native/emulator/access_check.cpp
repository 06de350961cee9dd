#include "access_check.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cluster.h"
#include "hopper_proxy.h"

namespace remask::emulator {
namespace {

struct Image {
  std::uintptr_t base = 0, begin = 0, end = 0;
};

// Where this library lies: its constants may be read.
const Image& own_image() {
  static const Image image = [] {
    Image image;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
          Image found{info->dlpi_addr, UINTPTR_MAX, 0};
          const auto here = reinterpret_cast<std::uintptr_t>(&own_image);
          bool ours = false;
          for (int i = 0; i < info->dlpi_phnum; i++) {
            const ElfW(Phdr)& header = info->dlpi_phdr[i];
            if (header.p_type != PT_LOAD) continue;
            const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
            found.begin = std::min(found.begin, begin);
            found.end = std::max(found.end, std::uintptr_t(begin + header.p_memsz));
            ours |= here - begin < header.p_memsz;
          }
          if (ours) *static_cast<Image*>(data) = found;
          return ours ? 1 : 0;
        },
        &image);
    return image;
  }();
  return image;
}

}  // namespace

void AccessCheck::reset(const SharedMemory* shared, RemaskFindMemory find_memory,
                        const void* arguments, std::size_t argument_bytes, bool fast) {
  watched_ = nullptr;
  shared_ = shared;
  shared_begin_ = reinterpret_cast<std::uintptr_t>(shared->base());
  shared_bytes_ = shared->mapped_bytes();
  find_memory_ = find_memory;
  arguments_.begin = reinterpret_cast<std::uintptr_t>(arguments);
  arguments_.end = arguments_.begin + argument_bytes;
  for (Range& range : recent_) range = Range{};
  if (find_memory == nullptr) recent_[0] = Range{0, UINTPTR_MAX};
  dynamic_.begin = shared_begin_ + shared->dynamic_begin();
  dynamic_.end = dynamic_.begin + shared->dynamic_bytes();
  fast_[0] = fast ? dynamic_ : Range{};
  has_fast_ = fast;
  fast_[1] = Range{};
  fast_[2] = Range{};
}

bool AccessCheck::allows(std::uintptr_t address, std::size_t bytes) {
  const std::uintptr_t offset = address - shared_begin_;
  if (offset < shared_bytes_) {
    if (!shared_->is_inside(offset, bytes)) return false;
    if (has_fast_ && offset < shared_->dynamic_begin()) {
      const SharedArray& array = *shared_->array_at(offset);
      fast_[1] = Range{shared_begin_ + array.begin, shared_begin_ + array.end};
    }
    return true;
  }
  return allows_global(address, bytes);
}

bool AccessCheck::allows_global(std::uintptr_t address, std::size_t bytes) {
  for (const Range& range : recent_) {
    if (address >= range.begin && address + bytes <= range.end) {
      if (has_fast_) fast_[2] = range;
      return true;
    }
  }
  return find(address, bytes);
}

bool AccessCheck::find(std::uintptr_t address, std::size_t bytes) {
  RemaskMemoryRange found;
  Range range;
  if (address >= arguments_.begin && address < arguments_.end) {
    range = arguments_;
  } else if (find_memory_(reinterpret_cast<const void*>(address), &found)) {
    range = Range{reinterpret_cast<std::uintptr_t>(found.begin),
                  reinterpret_cast<std::uintptr_t>(found.end)};
  } else {
    range = Range{own_image().begin, own_image().end};
  }
  if (address < range.begin || address + bytes > range.end) return false;
  recent_[oldest_] = range;
  oldest_ = (oldest_ + 1) % kRecent;
  return true;
}

void AccessCheck::tell_store(const Thread* by, unsigned offset, unsigned bytes) const {
  watched_->written(by, kDynamicWindow + offset, bytes);
}

std::string AccessCheck::describe(std::uintptr_t address, std::size_t bytes) const {
  const std::uintptr_t offset = address - shared_begin_;
  if (offset < shared_bytes_) return shared_->describe(offset);
  // The nearest allocation before it, if it is near.
  RemaskMemoryRange range;
  const char* at = reinterpret_cast<const char*>(address);
  for (std::size_t back = 0; back <= 1 << 20; back = back == 0 ? 1 : back * 2) {
    if (!find_memory_(at - back, &range)) continue;
    return "byte " + std::to_string(at - range.begin) + " of an allocation of " +
           std::to_string(range.end - range.begin) + " bytes";
  }
  for (std::size_t ahead = bytes; ahead <= 1 << 20; ahead *= 2) {
    if (!find_memory_(at + ahead, &range)) continue;
    return std::to_string(range.begin - at) + " bytes before an allocation of " +
           std::to_string(range.end - range.begin) + " bytes";
  }
  char text[64];
  std::snprintf(text, sizeof(text), "address %p, far from any live allocation",
                static_cast<const void*>(at));
  return text;
}

std::string describe_code(const void* return_address) {
  // The call itself, which lies before the place that it returns to.
  const auto address = reinterpret_cast<std::uintptr_t>(return_address) - 1;
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0 || info.dli_fname == nullptr) return "";
  char command[1024];
  std::snprintf(command, sizeof(command), "addr2line -i -e '%s' 0x%zx 2>/dev/null", info.dli_fname,
                std::size_t(address - own_image().base));
  std::string found;
  if (FILE* lines = popen(command, "re")) {
    // From the innermost inlined function outwards: the first line that is a kernel's.
    char line[1024];
    while (std::fgets(line, sizeof(line), lines) != nullptr) {
      std::string text = line;
      text.resize(std::min(text.size(), text.find_first_of(" \n")));
      const bool ours = text.find("include/remask_emulator/") == std::string::npos &&
                        text.find("include/cuda_") == std::string::npos &&
                        text.find("??") == std::string::npos && text.find("/usr/") != 0;
      if (found.empty() && ours) found = text.substr(text.find("./") == 0 ? 2 : 0);
    }
    pclose(lines);
  }
  if (!found.empty()) return found;
  return std::string(info.dli_sname != nullptr ? info.dli_sname : "code") + "+0x" + [&] {
    char text[32];
    std::snprintf(
        text, sizeof(text), "%zx",
        std::size_t(address - reinterpret_cast<std::uintptr_t>(
                                  info.dli_saddr != nullptr ? info.dli_saddr : info.dli_fbase)));
    return std::string(text);
  }();
}

namespace {

__attribute__((noinline)) void check_slowly(std::uintptr_t address, std::size_t bytes,
                                            const char* what, const void* return_address) {
  Thread* self = this_thread();
  BankCounter* banks = self->block->cluster().banks();
  if (banks != nullptr && self->accesses->is_shared(address)) {
    banks->access(self, address, bytes, return_address, Site{});
  }
  if (self->accesses->allows(address, bytes)) return;
  self->block->forbid(self, address, bytes, what, return_address);
}

// Called before each access of a kernel: short, and no register saved on the usual ways out.
template <bool kStore>
inline __attribute__((always_inline)) void check(std::uintptr_t address, std::size_t bytes,
                                                 const void* return_address) {
  std::uintptr_t stack;
#if defined(__x86_64__)
  asm("mov %%rsp, %0" : "=r"(stack));
#else
  asm("mov %0, sp" : "=r"(stack));
#endif
  if ((address ^ stack) < kStackSlotBytes) return;  // a local variable of the thread
  const AccessCheck* accesses = this_thread()->accesses;
  if (accesses == nullptr) return;
  if (!accesses->allows_at_once(address, bytes)) {
    check_slowly(address, bytes, kStore ? "store" : "load", return_address);
  }
  if (kStore) accesses->stored(this_thread(), address, bytes);
}

}  // namespace
}  // namespace remask::emulator

#define REMASK_CHECK(bytes)                                                            \
  extern "C" __attribute__((visibility("hidden"))) void __asan_load##bytes##_noabort(  \
      std::uintptr_t address) {                                                        \
    remask::emulator::check<false>(address, bytes, __builtin_return_address(0));       \
  }                                                                                    \
  extern "C" __attribute__((visibility("hidden"))) void __asan_store##bytes##_noabort( \
      std::uintptr_t address) {                                                        \
    remask::emulator::check<true>(address, bytes, __builtin_return_address(0));        \
  }
REMASK_CHECK(1)
REMASK_CHECK(2)
REMASK_CHECK(4)
REMASK_CHECK(8)
REMASK_CHECK(16)
#undef REMASK_CHECK

extern "C" {
__attribute__((visibility("hidden"))) void __asan_loadN_noabort(std::uintptr_t address,
                                                                std::size_t bytes) {
  remask::emulator::check<false>(address, bytes, __builtin_return_address(0));
}
__attribute__((visibility("hidden"))) void __asan_storeN_noabort(std::uintptr_t address,
                                                                 std::size_t bytes) {
  remask::emulator::check<true>(address, bytes, __builtin_return_address(0));
}
// Called before a thread leaves its stack by an exception or longjmp, which kernels do not.
__attribute__((visibility("hidden"))) void __asan_handle_no_return() {}
}
