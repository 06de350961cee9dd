#include "address_space.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace remask {
namespace {

constexpr uint64_t kPage = 4096;
// Large allocations are aligned for transparent huge pages: GEMM weights are read end to end.
constexpr uint64_t kHugePage = 2ull << 20;
constexpr unsigned char kPoison = 0xFF;
constexpr unsigned char kTail = 0xFD;
#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kRangeBytes = 16ull << 30;  // its shadow leaves little address space
#else
constexpr uint64_t kRangeBytes = 1ull << 40;
#endif

constexpr uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

void* at(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

void RangeAllocator::reset(uint64_t begin, uint64_t bytes) {
  free_.clear();
  free_[begin] = bytes;
  cursor_ = begin;
}

bool RangeAllocator::take_from(std::map<uint64_t, uint64_t>::iterator range, uint64_t not_before,
                               uint64_t bytes, uint64_t alignment, uint64_t* address) {
  const uint64_t begin = range->first, end = begin + range->second;
  const uint64_t start = round_up(std::max(begin, not_before), alignment);
  if (start > end || end - start < bytes) return false;
  free_.erase(range);
  if (start > begin) free_[begin] = start - begin;
  if (end > start + bytes) free_[start + bytes] = end - start - bytes;
  cursor_ = start + bytes;
  *address = start;
  return true;
}

uint64_t RangeAllocator::take(uint64_t bytes, uint64_t alignment) {
  uint64_t address = 0;
  auto range = free_.upper_bound(cursor_);
  if (range != free_.begin()) --range;  // the cursor may lie inside a range, after a merge
  for (; range != free_.end(); ++range) {
    if (take_from(range, cursor_, bytes, alignment, &address)) return address;
  }
  for (range = free_.begin(); range != free_.end(); ++range) {
    if (take_from(range, 0, bytes, alignment, &address)) return address;
  }
  return 0;
}

void RangeAllocator::give_back(uint64_t begin, uint64_t bytes) {
  auto next = free_.lower_bound(begin);
  if (next != free_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      bytes += before->second;
      free_.erase(before);
    }
  }
  if (next != free_.end() && begin + bytes == next->first) {
    bytes += next->second;
    free_.erase(next);
  }
  free_[begin] = bytes;
}

Allocation::~Allocation() {
  if (host) AddressSpace::instance().release(this);
}

bool Allocation::tail_is_intact() const {
  if (!poisoned) return true;
  for (size_t i = bytes; i < mapped_bytes; ++i) {
    if (static_cast<unsigned char>(host[i]) != kTail) return false;
  }
  return true;
}

AddressSpace& AddressSpace::instance() {
  // Never destroyed: allocations may outlive the end of main.
  static AddressSpace& space = *new AddressSpace;
  return space;
}

AddressSpace::AddressSpace() {
  // Containers may limit address space: take what can be had.
  for (uint64_t bytes = kRangeBytes; bytes >= (64ull << 20); bytes /= 2) {
    void* base = mmap(nullptr, 3 * bytes + kHugePage, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) continue;
    range_bytes_ = bytes;
    device_begin_ = round_up(reinterpret_cast<uint64_t>(base), kHugePage);
    backing_offset_ = bytes;
    pinned_begin_ = device_begin_ + 2 * bytes;
    device_ranges_.reset(device_begin_, bytes);
    pinned_ranges_.reset(pinned_begin_, bytes);
    return;
  }
}

std::shared_ptr<Allocation> AddressSpace::allocate(Allocation::Kind kind, size_t bytes, bool poison,
                                                   const AllocationOwner& owner, std::string* why) {
  const bool device = kind == Allocation::Kind::kDevice;
  if (bytes > range_bytes_) {
    *why = "larger than the device's address range";
    return nullptr;
  }
  auto allocation = std::make_shared<Allocation>();
  const uint64_t mapped = round_up(bytes, kPage);
  const uint64_t alignment = bytes >= kHugePage ? kHugePage : kPage;
  {
    std::lock_guard<std::mutex> lock(ranges_mutex_);
    RangeAllocator& ranges = device ? device_ranges_ : pinned_ranges_;
    allocation->address = ranges.take(mapped + kPage, alignment);
  }
  if (allocation->address == 0) {
    *why = "the device's address range is used up";
    return nullptr;
  }
  const uint64_t host = allocation->address + (device ? backing_offset_ : 0);
  if (mprotect(at(host), mapped, PROT_READ | PROT_WRITE) != 0) {
    *why = std::string("the system gives no more memory: ") + std::strerror(errno);
    std::lock_guard<std::mutex> lock(ranges_mutex_);
    (device ? device_ranges_ : pinned_ranges_).give_back(allocation->address, mapped + kPage);
    return nullptr;
  }
  if (bytes >= kHugePage) madvise(at(host), mapped, MADV_HUGEPAGE);
  allocation->kind = kind;
  allocation->host = static_cast<char*>(at(host));
  allocation->bytes = bytes;
  allocation->device = owner.device;
  allocation->context = owner.context;
  allocation->flags = owner.flags;
  allocation->mapped_bytes = mapped;
  allocation->id = next_id_++;
  allocation->poisoned = poison;
  if (poison) {
    std::memset(allocation->host, kPoison, bytes);
    std::memset(allocation->host + bytes, kTail, mapped - bytes);
  }
  live_count_ += 1;
  live_bytes_ += bytes;
  std::unique_lock<std::shared_mutex> lock(map_mutex_);
  live_[allocation->address] = allocation;
  return allocation;
}

std::shared_ptr<Allocation> AddressSpace::adopt(void* address, size_t bytes,
                                                const AllocationOwner& owner) {
  auto allocation = std::make_shared<Allocation>();
  allocation->kind = Allocation::Kind::kRegistered;
  allocation->address = reinterpret_cast<uint64_t>(address);
  allocation->host = static_cast<char*>(address);
  allocation->bytes = bytes;
  allocation->device = owner.device;
  allocation->context = owner.context;
  allocation->flags = owner.flags;
  allocation->id = next_id_++;
  {
    std::unique_lock<std::shared_mutex> lock(map_mutex_);
    const uint64_t begin = allocation->address, end = begin + bytes;
    const auto after = live_.lower_bound(end);
    if (after != live_.begin()) {
      const Allocation& before = *std::prev(after)->second;
      if (before.address + before.bytes > begin) return nullptr;
    }
    live_[begin] = allocation;
  }
  live_count_ += 1;
  live_bytes_ += bytes;
  return allocation;
}

bool AddressSpace::retire(const std::shared_ptr<Allocation>& allocation) {
  {
    std::unique_lock<std::shared_mutex> lock(map_mutex_);
    if (!allocation->live.exchange(false)) return false;
    live_.erase(allocation->address);
  }
  live_count_ -= 1;
  live_bytes_ -= allocation->bytes;
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

std::vector<std::shared_ptr<Allocation>> AddressSpace::owned_by(uint64_t context) const {
  std::vector<std::shared_ptr<Allocation>> result;
  std::shared_lock<std::shared_mutex> lock(map_mutex_);
  for (const auto& entry : live_) {
    if (entry.second->context == context) result.push_back(entry.second);
  }
  return result;
}

std::shared_ptr<Allocation> AddressSpace::find(uint64_t address) const {
  std::shared_lock<std::shared_mutex> lock(map_mutex_);
  auto after = live_.upper_bound(address);
  if (after == live_.begin()) return nullptr;
  const std::shared_ptr<Allocation>& candidate = std::prev(after)->second;
  return candidate->contains(address) ? candidate : nullptr;
}

std::shared_ptr<Allocation> AddressSpace::find_host(const void* address) const {
  const uint64_t host = reinterpret_cast<uint64_t>(address);
  const uint64_t backing = device_begin_ + backing_offset_;
  return find(host - backing < range_bytes_ ? host - backing_offset_ : host);
}

bool AddressSpace::is_ours(uint64_t address) const {
  return address - device_begin_ < 3 * range_bytes_;
}

void AddressSpace::release(Allocation* allocation) {
  if (allocation->kind == Allocation::Kind::kRegistered) return;  // the client's pages
  // Mapping afresh, not just protecting: this returns the pages to the system.
  mmap(allocation->host, allocation->mapped_bytes, PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  std::lock_guard<std::mutex> lock(ranges_mutex_);
  const bool device = allocation->kind == Allocation::Kind::kDevice;
  (device ? device_ranges_ : pinned_ranges_)
      .give_back(allocation->address, allocation->mapped_bytes + kPage);
}

}  // namespace remask
