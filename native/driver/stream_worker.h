// One thread that executes one stream's operations in order.
#ifndef REMASK_DRIVER_STREAM_WORKER_H_
#define REMASK_DRIVER_STREAM_WORKER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "operation.h"

namespace remask {

// Whether a context still works. The first failure sticks, as CUDA's do. Any thread.
class Health {
 public:
  CUresult error() const { return static_cast<CUresult>(error_.load(std::memory_order_acquire)); }
  // Logs the reason.
  void fail(CUresult error, const std::string& reason);

 private:
  std::atomic<int> error_{0};
};

// How far a stream has come: operations are numbered from 1.
struct Progress {
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t enqueued = 0;
  uint64_t done = 0;

  void wait(uint64_t ticket);
  bool reached(uint64_t ticket);
  uint64_t last_enqueued();
};

// A point in a stream's order. An empty one has always been reached.
struct Marker {
  std::shared_ptr<Progress> progress;
  uint64_t ticket = 0;

  void wait() const {
    if (progress) progress->wait(ticket);
  }
  bool reached() const { return !progress || progress->reached(ticket); }
};

class StreamWorker {
 public:
  // name: of the thread, at most 15 characters. at_exit: runs on it, last of all.
  StreamWorker(const std::string& name, std::shared_ptr<Health> health,
               std::function<void()> at_exit = nullptr);
  // Finishes what is queued, then joins.
  ~StreamWorker();
  StreamWorker(const StreamWorker&) = delete;
  StreamWorker& operator=(const StreamWorker&) = delete;

  // Runs the operation after all earlier ones and after the markers are reached. A null operation
  // only waits. Markers must have been made by earlier pushes: that is why streams cannot deadlock.
  Marker push(std::shared_ptr<const Operation> operation, std::vector<Marker> after = {});

  // Everything pushed so far.
  Marker last() const;
  const std::shared_ptr<Progress>& progress() const { return progress_; }
  bool is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  struct Item {
    std::shared_ptr<const Operation> operation;
    std::vector<Marker> after;
  };

  void loop();
  void run(const Operation& operation);

  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
  std::shared_ptr<Health> health_;
  std::function<void()> at_exit_;
  std::condition_variable work_;  // with progress_->mutex
  std::deque<Item> queue_;
  bool closing_ = false;
  std::thread thread_;
};

// "name\nname\n" of the process's threads that are the device's.
std::string thread_names();

}  // namespace remask

#endif  // REMASK_DRIVER_STREAM_WORKER_H_
