#include "stream_worker.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "log.h"

namespace remask {

void Health::fail(CUresult error, const std::string& reason) {
  int expected = 0;
  error_.compare_exchange_strong(expected, error, std::memory_order_acq_rel);
  const char* name = error_name(error);
  log_line("stream: " + std::string(name ? name : std::to_string(error)) + ": " + reason);
}

void Progress::wait(uint64_t ticket) {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return done >= ticket; });
}

bool Progress::reached(uint64_t ticket) {
  std::lock_guard<std::mutex> lock(mutex);
  return done >= ticket;
}

uint64_t Progress::last_enqueued() {
  std::lock_guard<std::mutex> lock(mutex);
  return enqueued;
}

StreamWorker::StreamWorker(const std::string& name, std::shared_ptr<Health> health,
                           std::function<void()> at_exit)
    : health_(std::move(health)), at_exit_(std::move(at_exit)) {
  // The host's handlers (a JVM's, say) must run on its own threads; faults stay with whom they hit.
  sigset_t all, before;
  sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
    sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] {
      loop();
      if (at_exit_) at_exit_();
    });
    // From here, so that the name is there when the stream is.
    pthread_setname_np(thread_.native_handle(), name.c_str());
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

StreamWorker::~StreamWorker() {
  {
    std::lock_guard<std::mutex> lock(progress_->mutex);
    closing_ = true;
  }
  work_.notify_one();
  thread_.join();
}

Marker StreamWorker::push(std::shared_ptr<const Operation> operation, std::vector<Marker> after) {
  if (operation) {
    for (const auto& allocation : operation->memory()) {
      allocation->queued.fetch_add(1, std::memory_order_acq_rel);
    }
  }
  uint64_t ticket = 0;
  {
    std::lock_guard<std::mutex> lock(progress_->mutex);
    queue_.push_back(Item{std::move(operation), std::move(after)});  // may throw: counted after
    ticket = ++progress_->enqueued;
  }
  work_.notify_one();
  return Marker{progress_, ticket};
}

Marker StreamWorker::last() const { return Marker{progress_, progress_->last_enqueued()}; }

void StreamWorker::loop() {
  std::unique_lock<std::mutex> lock(progress_->mutex);
  for (;;) {
    work_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    {
      Item item = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      for (const Marker& marker : item.after) {
        if (marker.progress != progress_) marker.wait();
      }
      if (item.operation) run(*item.operation);
      // The item goes before its completion shows: what it held is free when a waiter wakes.
    }
    lock.lock();
    ++progress_->done;
    progress_->changed.notify_all();
  }
}

void StreamWorker::run(const Operation& operation) {
  if (health_->error() == CUDA_SUCCESS || operation.runs_after_failure()) {
    std::string reason;
    CUresult result = CUDA_SUCCESS;
    try {
      result = operation.run(&reason);
    } catch (const std::exception& failure) {
      result = CUDA_ERROR_LAUNCH_FAILED;
      reason = failure.what();
    } catch (...) {
      result = CUDA_ERROR_LAUNCH_FAILED;
    }
    if (result != CUDA_SUCCESS) health_->fail(result, operation.describe() + ": " + reason);
  }
  for (const auto& allocation : operation.memory()) {
    allocation->queued.fetch_sub(1, std::memory_order_acq_rel);
  }
}

namespace {

// The name of a thread of this process; empty when it is on its way out, because a joined thread
// may still be listed for a moment.
std::string live_thread_name(const char* id) {
  const std::string path = std::string("/proc/self/task/") + id + "/stat";
  FILE* file = std::fopen(path.c_str(), "re");
  if (!file) return "";
  char text[512] = "";
  const size_t length = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  // "id (name) state parent group session terminal terminal-group flags ..."
  const std::string line(text, length);
  const size_t open = line.find('('), close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return "";
  constexpr unsigned kExiting = 0x4;  // PF_EXITING
  unsigned flags = 0;
  const bool parsed =
      std::sscanf(line.c_str() + close + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1;
  return parsed && (flags & kExiting) ? "" : line.substr(open + 1, close - open - 1);
}

}  // namespace

std::string thread_names() {
  std::vector<std::string> names;
  DIR* tasks = opendir("/proc/self/task");
  if (!tasks) return "";
  while (const dirent* task = readdir(tasks)) {
    const std::string name = live_thread_name(task->d_name);
    // remask-device-<n> is the thread that the Java side makes its calls on.
    if (name.rfind("remask-", 0) == 0 && name.rfind("remask-device", 0) != 0) names.push_back(name);
  }
  closedir(tasks);
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const std::string& name : names) joined += name + "\n";
  return joined;
}

}  // namespace remask
