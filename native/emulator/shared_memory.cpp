// How `__shared__ float tile[64]` gets an address.
//
// The shim turns __shared__ into thread_local, so all such variables lie in this library's TLS
// segment, and code that uses one calls __tls_get_addr(module, offset). We define that function
// ourselves, hidden, so that the linker binds those calls here: the answer is the offset into the
// memory of the block whose fiber asks. So the OS's thread-local storage is never used, blocks may
// share an OS thread, and the whole segment is ours to poison. This library must therefore have no
// thread-local variable that is not __shared__ (the loader would not mind, the values would be
// wrong); the build compiles it with -ftls-model=global-dynamic to keep the compiler to the call.
#include "shared_memory.h"

#include <link.h>
#include <sys/mman.h>

#include <cstring>
#include <cwchar>

#include "remask_emulator/thread.h"

extern "C" {

struct TlsIndex {
  unsigned long module;
  unsigned long offset;
};

__attribute__((visibility("hidden"))) void* __tls_get_addr(TlsIndex* index) {
  return remask::emulator::this_thread()->shared + index->offset;
}

}  // extern "C"

namespace remask::emulator {
namespace {

constexpr std::size_t kPageBytes = 4096;
// What `extern __shared__` arrays may be aligned to: 128-byte swizzles need 1024.
constexpr std::size_t kDynamicAlignment = 1024;
// NaN as bf16, f16, f32 and f64; as an index far out of any array.
constexpr std::uint32_t kPoisonWord = 0x7fff7fff;
constexpr std::uint32_t kCanaryWord = 0x7ff5a5c3;
constexpr std::size_t kCanaryBytes = 16 * 1024;

// Size of this library's TLS segment; its last byte marks where dynamic shared memory begins
// (CMakeLists.txt generates it). 0 if it has none.
std::size_t segment_bytes() {
  static const std::size_t bytes = [] {
    struct Search {
      std::uintptr_t here;
      std::size_t bytes;
    } search{reinterpret_cast<std::uintptr_t>(&segment_bytes), 0};
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
          auto* search = static_cast<Search*>(data);
          std::size_t tls = 0;
          bool ours = false;
          for (int i = 0; i < info->dlpi_phnum; i++) {
            const ElfW(Phdr)& header = info->dlpi_phdr[i];
            if (header.p_type == PT_TLS) tls = header.p_memsz;
            if (header.p_type == PT_LOAD &&
                search->here - (info->dlpi_addr + header.p_vaddr) < header.p_memsz) {
              ours = true;
            }
          }
          if (ours) search->bytes = tls;
          return ours ? 1 : 0;
        },
        &search);
    return search.bytes;
  }();
  return bytes;
}

// Whole words from an aligned begin; the last one may be cut. This is done for every block of a
// grid, over all of the library's shared variables, hence the library's fastest fill.
void fill(char* begin, std::size_t bytes, std::uint32_t word) {
  static_assert(sizeof(wchar_t) == sizeof(word), "wmemset fills words");
  std::wmemset(reinterpret_cast<wchar_t*>(begin), wchar_t(word), bytes / sizeof(word));
  std::memcpy(begin + bytes / sizeof(word) * sizeof(word), &word, bytes % sizeof(word));
}

// What lies behind the end of the dynamic memory, which need not be a whole word.
const char* canaries() {
  static char bytes[kCanaryBytes];
  static const bool filled = [] {
    fill(bytes, kCanaryBytes, kCanaryWord);
    return true;
  }();
  (void)filled;
  return bytes;
}

}  // namespace

SharedMemory::~SharedMemory() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
}

bool SharedMemory::prepare(unsigned dynamic_bytes) {
  if (base_ == nullptr) {
    std::size_t segment = segment_bytes();
    if (segment == 0 || (segment - 1) % kDynamicAlignment != 0) return false;
    dynamic_begin_ = segment - 1;
    std::size_t bytes = dynamic_begin_ + kMostSharedBytes + kCanaryBytes;
    bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    // The page after the canaries faults.
    void* mapped = mmap(nullptr, bytes + kPageBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    mprotect(static_cast<char*>(mapped) + bytes, kPageBytes, PROT_NONE);
    base_ = static_cast<char*>(mapped);
    mapped_bytes_ = bytes + kPageBytes;
  }
  dynamic_bytes_ = dynamic_bytes;
  fill(base_, dynamic_begin_ + dynamic_bytes, kPoisonWord);
  std::memcpy(base_ + dynamic_begin_ + dynamic_bytes, canaries(), kCanaryBytes);
  return true;
}

long SharedMemory::broken_canary() const {
  const char* found = base_ + dynamic_begin_ + dynamic_bytes_;
  if (std::memcmp(found, canaries(), kCanaryBytes) == 0) return -1;
  long offset = 0;
  while (found[offset] == canaries()[offset]) offset++;
  return offset;
}

}  // namespace remask::emulator
