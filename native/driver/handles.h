// Handles that clients hold: numbers that name objects, never pointers to them.
//
// A number is given out once in the life of the process, so a stale handle is always recognised,
// and it is no canonical address, so whoever follows it as a pointer faults.
#ifndef REMASK_DRIVER_HANDLES_H_
#define REMASK_DRIVER_HANDLES_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace remask {

// The next number of all tables together, so that a stream's handle is never also an event's.
uint64_t next_handle();

// The live objects of one kind. Handle is the pointer-shaped C type. Any thread.
template <typename Handle, typename Object>
class HandleTable {
 public:
  Handle add(std::shared_ptr<Object> object) {
    const uint64_t number = next_handle();
    object->handle = reinterpret_cast<Handle>(number);
    std::unique_lock<std::shared_mutex> lock(mutex_);
    Handle handle = object->handle;
    objects_.emplace(number, std::move(object));
    return handle;
  }

  // Null when the handle names no live object.
  std::shared_ptr<Object> find(Handle handle) const {
    std::shared_lock<std::shared_mutex> lock(mutex_);
    const auto found = objects_.find(reinterpret_cast<uint64_t>(handle));
    return found == objects_.end() ? nullptr : found->second;
  }

  // Removes and returns it; null when there is none (a second destroy).
  std::shared_ptr<Object> remove(Handle handle) {
    std::unique_lock<std::shared_mutex> lock(mutex_);
    const auto found = objects_.find(reinterpret_cast<uint64_t>(handle));
    if (found == objects_.end()) return nullptr;
    std::shared_ptr<Object> object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

  template <typename Predicate>
  std::vector<std::shared_ptr<Object>> select(Predicate&& wanted) const {
    std::vector<std::shared_ptr<Object>> result;
    std::shared_lock<std::shared_mutex> lock(mutex_);
    for (const auto& entry : objects_) {
      if (wanted(*entry.second)) result.push_back(entry.second);
    }
    return result;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<Object>> objects_;
};

}  // namespace remask

#endif  // REMASK_DRIVER_HANDLES_H_
