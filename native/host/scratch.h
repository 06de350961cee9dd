// Memory that a thread keeps from call to call.
#ifndef REMASK_HOST_SCRATCH_H_
#define REMASK_HOST_SCRATCH_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace remask::host {

// Grown to the largest need so far; content is not kept between calls of get().
class Scratch {
 public:
  // At least `bytes`, aligned to a page. Throws std::bad_alloc.
  void* get(std::size_t bytes) {
    if (bytes > bytes_) {
      release();
      constexpr std::size_t kPage = 4096;
      const std::size_t rounded = (bytes + kPage - 1) / kPage * kPage;
      memory_.reset(std::aligned_alloc(kPage, rounded));
      if (!memory_) throw std::bad_alloc();
      bytes_ = rounded;
    }
    return memory_.get();
  }

  void release() {
    memory_.reset();
    bytes_ = 0;
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace remask::host

#endif  // REMASK_HOST_SCRATCH_H_
