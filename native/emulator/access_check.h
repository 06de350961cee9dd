// Checks every access of kernels to memory. The kernels are compiled with outlined
// -fsanitize=kernel-address, of which only the calls before each access are used: they end in
// access_check.cpp, which knows what is alive. The compiler's shadow memory does not exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernel_table.h"

namespace remask::emulator {

class GenericWrites;
class SharedMemory;
struct Thread;

// What the threads of a block may touch besides their own stacks.
class AccessCheck {
 public:
  void reset(const SharedMemory* shared, RemaskFindMemory find_memory, const void* arguments,
             std::size_t argument_bytes, bool fast);
  // Whether these bytes are all of one shared array, one live allocation or the library's
  // constants.
  bool allows(std::uintptr_t address, std::size_t bytes);
  // The same, but false also where it takes a search to tell.
  bool allows_at_once(std::uintptr_t address, std::size_t bytes) const {
    for (const Range& range : fast_) {
      if (address >= range.begin && address + bytes <= range.end) return true;
    }
    return false;
  }
  // ... of a live allocation, for models.
  bool allows_global(std::uintptr_t address, std::size_t bytes);
  // From now on until the next reset, stores to dynamic shared memory are told to `writes`.
  void watch_shared(GenericWrites* writes) { watched_ = writes; }
  void stored(const Thread* by, std::uintptr_t address, std::size_t bytes) const {
    if (watched_ != nullptr && address - dynamic_.begin < dynamic_.end - dynamic_.begin) {
      tell_store(by, unsigned(address - dynamic_.begin), unsigned(bytes));
    }
  }
  // Says where an address is that is not allowed.
  std::string describe(std::uintptr_t address, std::size_t bytes) const;

  bool is_shared(std::uintptr_t address) const { return address - shared_begin_ < shared_bytes_; }

 private:
  struct Range {
    std::uintptr_t begin, end;
  };
  static constexpr unsigned kRecent = 4;

  bool find(std::uintptr_t address, std::size_t bytes);
  void tell_store(const Thread* by, unsigned offset, unsigned bytes) const;

  bool has_fast_ = true;  // false: every access is seen by allows()
  Range fast_[3]{};       // dynamic shared memory, the latest static array, the latest global range
  Range dynamic_{};       // shared memory
  GenericWrites* watched_ = nullptr;
  const SharedMemory* shared_ = nullptr;
  RemaskFindMemory find_memory_ = nullptr;
  std::uintptr_t shared_begin_ = 0;
  std::size_t shared_bytes_ = 0;
  Range arguments_{};  // the packed buffer
  Range recent_[kRecent]{};
  unsigned oldest_ = 0;
};

// "kernels/foo.cu:12", or a symbol and an offset where no tool can tell the line.
std::string describe_code(const void* return_address);

}  // namespace remask::emulator
