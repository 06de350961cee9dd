#include "call.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

namespace remask {
namespace {

struct Fault {
  std::string call;    // without _v2
  uint64_t remaining;  // calls until it strikes
  int error;
};

// Calls seen so far, and the faults that wait for one of them.
struct Registry {
  std::mutex mutex;
  Call* calls = nullptr;
  std::vector<Fault> faults;
  std::atomic<bool> has_faults{false};  // so that a call without faults takes no lock
  bool environment_read = false;
};

Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

thread_local const Call* current_call = nullptr;

// cuMemAlloc_v2, cuMemAlloc_v2_ptds -> cuMemAlloc
std::string plain(std::string name) {
  for (const char* suffix : {"_ptsz", "_ptds"}) {
    const size_t at = name.size() - std::min(name.size(), std::strlen(suffix));
    if (name.compare(at, std::string::npos, suffix) == 0) name.resize(at);
  }
  const size_t at = name.rfind("_v");
  if (at != std::string::npos && at + 3 == name.size() && std::isdigit(name[at + 2])) {
    name.resize(at);
  }
  return name;
}

std::string without_prefix(const std::string& name, const char* prefix) {
  return name.compare(0, std::strlen(prefix), prefix) == 0 ? name.substr(std::strlen(prefix))
                                                           : name;
}

// 0 when there is no such error.
int error_by_name(const std::string& call, const std::string& error) {
  if (call.compare(0, 6, "cublas") == 0) {
    const std::string name = without_prefix(error, "CUBLAS_STATUS_");
#define REMASK_FIND(candidate, value) \
  if (name == #candidate) return value;
    REMASK_CUBLAS_STATUSES(REMASK_FIND)
#undef REMASK_FIND
    return 0;
  }
  const std::string name = without_prefix(error, "CUDA_ERROR_");
#define REMASK_FIND(candidate, value, text) \
  if (name == #candidate) return value;
  REMASK_CUDA_ERRORS(REMASK_FIND)
#undef REMASK_FIND
  return 0;
}

// Whether this library exports `call`, in any version: a fault at a misspelt name would never
// strike.
bool is_exported(const std::string& call) {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&is_exported), &info) || !info.dli_fname) return true;
  void* library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  if (!library) return true;  // linked into a program: nothing to look in
  bool found = false;
  for (const char* version : {"", "_v2", "_v3"}) {
    found |= dlsym(library, (call + version).c_str()) != nullptr;
  }
  dlclose(library);
  return found;
}

bool parse_fault(const std::string& item, Fault* fault) {
  const size_t first = item.find(':');
  const size_t second = first == std::string::npos ? first : item.find(':', first + 1);
  if (second == std::string::npos) return false;
  fault->call = plain(item.substr(0, first));
  const std::string number = item.substr(first + 1, second - first - 1);
  char* end = nullptr;
  fault->remaining = std::strtoull(number.c_str(), &end, 10);
  if (number.empty() || *end != 0 || fault->remaining == 0) return false;
  fault->error = error_by_name(fault->call, item.substr(second + 1));
  return !fault->call.empty() && fault->error != 0 && is_exported(fault->call);
}

}  // namespace

Call::Call(const char* name) : name_(name), plain_name_(plain(name)) {
  bool read_environment = false;
  {
    Registry& all = registry();
    std::lock_guard<std::mutex> lock(all.mutex);
    next_ = all.calls;
    all.calls = this;
    std::swap(read_environment, all.environment_read);
    read_environment = !read_environment;
    all.environment_read = true;
  }
  if (read_environment) {
    if (const char* spec = std::getenv("REMASK_FAULT")) set_faults(spec);
  }
}

int Call::begin() {
  count_.fetch_add(1, std::memory_order_relaxed);
  Registry& all = registry();
  if (!all.has_faults.load(std::memory_order_acquire)) return 0;
  int error = 0;
  {
    std::lock_guard<std::mutex> lock(all.mutex);
    for (size_t i = 0; i < all.faults.size();) {
      Fault& fault = all.faults[i];
      if (fault.call == plain_name_ && --fault.remaining == 0) {
        if (error == 0) error = fault.error;
        all.faults.erase(all.faults.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    all.has_faults = !all.faults.empty();
  }
  if (error == 0) return 0;
  log_line(std::string(name_) + ": error " + std::to_string(error) + " injected by REMASK_FAULT");
  return error;
}

Call::Scope::Scope(const Call& call) : outer_(current_call) { current_call = &call; }
Call::Scope::~Scope() { current_call = outer_; }

const char* Call::current_name() { return current_call ? current_call->name() : "stream"; }

uint64_t call_count(const std::string& call) {
  const std::string wanted = plain(call);
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  uint64_t sum = 0;
  for (Call* each = all.calls; each; each = each->next_) {
    if (each->plain_name_ == wanted) sum += each->count_.load(std::memory_order_relaxed);
  }
  return sum;
}

bool set_faults(const char* spec) {
  std::vector<Fault> faults;
  std::string rest = spec ? spec : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string item = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    Fault fault;
    if (!parse_fault(item, &fault)) {
      log_line("REMASK_FAULT: \"" + item + "\" is not <call>:<nth from 1>:<error name>");
      return false;
    }
    faults.push_back(fault);
  }
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.environment_read = true;  // what was set by call is not overwritten by the environment
  all.faults = std::move(faults);
  all.has_faults = !all.faults.empty();
  return true;
}

}  // namespace remask
