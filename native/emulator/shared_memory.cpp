// How `__shared__ float tile[64]` gets an address.
//
// The shim turns __shared__ into thread_local, so all such variables lie in this library's TLS
// segment, and code that uses one calls __tls_get_addr(module, offset). We define that function
// ourselves, hidden, so that the linker binds those calls here: the answer is the variable's place
// in the memory of the block whose fiber asks. So the OS's thread-local storage is never used,
// blocks may share an OS thread, and each call tells which variable the kernel uses. This library
// must therefore have no thread-local variable that is not __shared__ (the loader would not mind,
// the values would be wrong).
#include "shared_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <cwchar>

#include "remask_emulator/thread.h"

namespace remask::emulator {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::uint32_t kCanaryWord = 0x7ff5a5c3;
constexpr std::size_t kCanaryBytes = 16 * 1024;  // behind dynamic memory

// Before a block's memory lies a byte per static variable: what it has been filled with.
enum Filled : char { kNotYet, kPoisoned, kZeroed };
constexpr std::size_t kHeaderBytes = kMostSharedArrays + kPageBytes;
// ... and the byte before the memory says what to fill with.
char* fill_with(char* base) { return base - 1; }
char* filled(char* base, std::size_t array) { return base - kHeaderBytes + array; }

const SharedLayout* layout = nullptr;

// Whole words from an aligned begin; the last one may be cut. The library's fastest fill, as this
// is done for every block of a grid.
void fill(char* begin, std::size_t bytes, std::uint32_t word) {
  static_assert(sizeof(wchar_t) == sizeof(word), "wmemset fills words");
  std::wmemset(reinterpret_cast<wchar_t*>(begin), wchar_t(word), bytes / sizeof(word));
  std::memcpy(begin + bytes / sizeof(word) * sizeof(word), &word, bytes % sizeof(word));
}

// What lies behind the end of an array, which need not be a whole word.
const char* canaries() {
  static char bytes[kCanaryBytes];
  static const bool is_filled = [] {
    fill(bytes, kCanaryBytes, kCanaryWord);
    return true;
  }();
  (void)is_filled;
  return bytes;
}

__attribute__((noinline)) void first_use(char* base, std::size_t index) {
  const SharedArray& array = layout->arrays[index];
  const char how = *fill_with(base);
  *filled(base, index) = how;
  fill(base + array.begin, array.end - array.begin, how == kPoisoned ? kPoisonWord : 0);
  std::memcpy(base + array.end, canaries(), kGapBytes);
}

}  // namespace

SharedMemory::~SharedMemory() {
  if (base_ != nullptr) munmap(base_ - kHeaderBytes, kHeaderBytes + mapped_bytes_);
}

bool SharedMemory::prepare(unsigned dynamic_bytes, bool poison) {
  if (base_ == nullptr) {
    layout_ = layout = shared_layout();
    if (layout_ == nullptr) return false;
    std::size_t bytes = dynamic_begin() + kMostSharedBytes + kCanaryBytes;
    bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    // The page after the canaries faults.
    void* mapped = mmap(nullptr, kHeaderBytes + bytes + kPageBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    base_ = static_cast<char*>(mapped) + kHeaderBytes;
    mprotect(base_ + bytes, kPageBytes, PROT_NONE);
    mapped_bytes_ = bytes + kPageBytes;
  }
  dynamic_bytes_ = dynamic_bytes;
  std::memset(filled(base_, 0), kNotYet, layout_->arrays.size());
  *fill_with(base_) = poison ? kPoisoned : kZeroed;
  fill(base_ + dynamic_begin(), dynamic_bytes, poison ? kPoisonWord : 0);
  std::memcpy(base_ + dynamic_begin() + dynamic_bytes, canaries(), kCanaryBytes);
  return true;
}

const SharedArray* SharedMemory::array_at(std::size_t offset) const {
  const SharedArray* array = layout_->find(offset);
  if (array == nullptr) return nullptr;
  return *filled(base_, std::size_t(array - layout_->arrays.data())) != kNotYet ? array : nullptr;
}

std::string SharedMemory::describe(std::size_t offset) const {
  if (offset >= dynamic_begin()) {
    return "byte " + std::to_string(offset - dynamic_begin()) + " of dynamic shared memory of " +
           std::to_string(dynamic_bytes_) + " bytes";
  }
  // The last array before it.
  const SharedArray* before = nullptr;
  for (const SharedArray& array : layout_->arrays) {
    if (array.begin <= offset) before = &array;
  }
  if (before == nullptr) return "a place before all shared variables";
  return "byte " + std::to_string(offset - before->begin) + " of shared variable " + before->name +
         " of " + std::to_string(before->end - before->begin) + " bytes";
}

std::string SharedMemory::broken_canary() const {
  const char* found = base_ + dynamic_begin() + dynamic_bytes_;
  if (std::memcmp(found, canaries(), kCanaryBytes) != 0) {
    long offset = 0;
    while (found[offset] == canaries()[offset]) offset++;
    return "wrote behind its dynamic shared memory of " + std::to_string(dynamic_bytes_) +
           " bytes, first " + std::to_string(offset) + " bytes past its end";
  }
  for (std::size_t i = 0; i < layout_->arrays.size(); i++) {
    const SharedArray& array = layout_->arrays[i];
    if (*filled(base_, i) == kNotYet ||
        std::memcmp(base_ + array.end, canaries(), kGapBytes) == 0) {
      continue;
    }
    return "wrote behind shared variable " + array.name + " of " +
           std::to_string(array.end - array.begin) + " bytes";
  }
  return "";
}

}  // namespace remask::emulator

extern "C" {

struct TlsIndex {
  unsigned long module;
  unsigned long offset;
};

__attribute__((visibility("hidden"))) void* __tls_get_addr(TlsIndex* index) {
  using namespace remask::emulator;
  char* base = this_thread()->shared;
  const SharedLayout& all = *layout;
  if (index->offset >= all.segment_bytes - 1) return base + all.dynamic_begin;
  const std::size_t number = all.indices[index->offset];
  if (__builtin_expect(*filled(base, number) == kNotYet, false)) first_use(base, number);
  const SharedArray& array = all.arrays[number];
  return base + array.begin + (index->offset - array.linked);
}

}  // extern "C"
