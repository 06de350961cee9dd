// Device memory and pinned host memory of the software device.
//
// Three reservations of equal size: device addresses (never accessible: host code that follows one
// faults), their backing at a constant offset behind them, and pinned memory, whose device and host
// address are the same. An allocation takes whole pages and is followed by a page that nobody owns,
// so that a kernel that runs past its buffer faults instead of corrupting the next one; freed
// addresses are reused as late as possible, so that a stale pointer is recognised.
#ifndef REMASK_DRIVER_ADDRESS_SPACE_H_
#define REMASK_DRIVER_ADDRESS_SPACE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

namespace remask {

// Free parts of an address range; next fit. Not thread-safe.
class RangeAllocator {
 public:
  void reset(uint64_t begin, uint64_t bytes);
  // 0 when nothing is large enough.
  uint64_t take(uint64_t bytes, uint64_t alignment);
  void give_back(uint64_t begin, uint64_t bytes);

 private:
  bool take_from(std::map<uint64_t, uint64_t>::iterator range, uint64_t not_before, uint64_t bytes,
                 uint64_t alignment, uint64_t* address);

  std::map<uint64_t, uint64_t> free_;  // begin -> bytes
  uint64_t cursor_ = 0;
};

// One allocation. It stays readable as long as someone holds it, even after it was freed: queued
// work and graphs hold what they use, so that a client's mistake never crashes the process.
struct Allocation {
  enum class Kind { kDevice, kPinned, kRegistered };  // the last is the client's, pinned

  Allocation() = default;
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;
  ~Allocation();  // unmaps and gives the addresses back

  // One past the end counts as inside: it is where an empty slice at the end points.
  bool contains(uint64_t pointer) const { return pointer - address <= bytes; }
  char* host_pointer(uint64_t pointer) const { return host + (pointer - address); }
  // False if someone wrote behind the end (only known when `poisoned`).
  bool tail_is_intact() const;

  Kind kind = Kind::kDevice;
  uint64_t address = 0;  // what clients see
  char* host = nullptr;  // what the device's own code follows
  size_t bytes = 0;
  size_t mapped_bytes = 0;  // whole pages
  int device = 0;
  uint64_t context = 0;  // handle of the one that owns it
  uint64_t id = 0;
  unsigned flags = 0;
  bool poisoned = false;
  std::atomic<bool> live{true};
  std::atomic<int> queued{0};  // operations queued or running that use it
};

struct AllocationOwner {
  int device = 0;        // ordinal
  uint64_t context = 0;  // handle
  unsigned flags = 0;    // what the caller asked for
};

class AddressSpace {
 public:
  static AddressSpace& instance();

  // Null, with a reason, when the addresses or the system's memory are used up. Poisoned memory is
  // all 0xFF: NaN as bf16 and f32, -1 as an integer.
  std::shared_ptr<Allocation> allocate(Allocation::Kind kind, size_t bytes, bool poison,
                                       const AllocationOwner& owner, std::string* why);
  // Host memory of the client's that it registers; null if some of it is an allocation already.
  std::shared_ptr<Allocation> adopt(void* address, size_t bytes, const AllocationOwner& owner);
  // Makes it unknown to find(); its pages go when the last holder lets go. False if it was before.
  bool retire(const std::shared_ptr<Allocation>& allocation);
  // Those that the context with this handle made.
  std::vector<std::shared_ptr<Allocation>> owned_by(uint64_t context) const;

  // The live allocation that holds the address, or null.
  std::shared_ptr<Allocation> find(uint64_t address) const;
  // The same for an address that the device's own code follows.
  std::shared_ptr<Allocation> find_host(const void* address) const;
  // Whether the address is in a range of ours, so that host code must not follow it unless find()
  // knows it as pinned.
  bool is_ours(uint64_t address) const;

  // Changes whenever something is retired: what was checked at the same epoch is still live.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  uint64_t live_allocations() const { return live_count_.load(); }
  uint64_t live_bytes() const { return live_bytes_.load(); }

 private:
  friend struct Allocation;
  AddressSpace();
  void release(Allocation* allocation);

  uint64_t range_bytes_ = 0;
  uint64_t device_begin_ = 0;
  uint64_t backing_offset_ = 0;  // backing = device address + this
  uint64_t pinned_begin_ = 0;
  std::mutex ranges_mutex_;
  RangeAllocator device_ranges_, pinned_ranges_;
  mutable std::shared_mutex map_mutex_;
  std::map<uint64_t, std::shared_ptr<Allocation>> live_;
  std::atomic<uint64_t> epoch_{1}, live_count_{0}, live_bytes_{0}, next_id_{1};
};

}  // namespace remask

#endif  // REMASK_DRIVER_ADDRESS_SPACE_H_
