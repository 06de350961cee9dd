// Which devices there are: the host kernels always, the emulator where its library lies beside
// ours.
#include <dlfcn.h>

#include <cstring>

#include "log.h"
#include "objects.h"
#include "settings.h"

namespace remask {
namespace {

// The emulator models every instruction that kernels use, up to those of sm_90a.
constexpr int kEmulatedCapability = 90;

struct Devices {
  std::once_flag once;
  std::atomic<bool> initialised{false};
  std::vector<std::unique_ptr<Device>> list;
};

Devices& the_devices() {
  static Devices& instance = *new Devices;
  return instance;
}

void add_device(const char* name, const RemaskKernelTable* kernels, bool has_blas, int capability) {
  auto device = std::make_unique<Device>();
  device->ordinal = static_cast<int>(the_devices().list.size());
  device->name = name;
  device->kernels = kernels;
  device->has_blas = has_blas;
  device->capability = capability;
  device->memory_limit = settings().device_memory;
  the_devices().list.push_back(std::move(device));
}

// The folder of the library that this code is in, with its final slash.
std::string own_folder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&own_folder), &info) || !info.dli_fname) return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

const RemaskKernelTable* load_emulator() {
  const std::string path = own_folder() + "libremask-emulator.so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    log_line("no emulator device: " + std::string(dlerror()));
    return nullptr;
  }
  using Entry = const RemaskKernelTable* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "remask_emulator_kernels"));
  const RemaskKernelTable* table = entry ? entry() : nullptr;
  if (!table || table->version != REMASK_KERNEL_TABLE_VERSION) {
    log_line("no emulator device: " + path + " is not of this version");
    dlclose(library);
    return nullptr;
  }
  return table;
}

}  // namespace

const RemaskKernel* Device::find_kernel(const std::string& kernel) const {
  for (unsigned i = 0; i < kernels->count; ++i) {
    if (kernel == kernels->kernels[i].name) return &kernels->kernels[i];
  }
  return nullptr;
}

void initialise_devices() {
  Devices& all = the_devices();
  std::call_once(all.once, [&all] {
    add_device("Remask software device", remask_host_kernels(), true, 0);
    if (const RemaskKernelTable* table = load_emulator()) {
      add_device("Remask emulator", table, false, kEmulatedCapability);
    }
    all.initialised = true;
  });
}

bool is_initialised() { return the_devices().initialised; }

const std::vector<std::unique_ptr<Device>>& devices() { return the_devices().list; }

Device* find_device(CUdevice device) {
  const auto& list = devices();
  return device >= 0 && static_cast<size_t>(device) < list.size()
             ? list[static_cast<size_t>(device)].get()
             : nullptr;
}

Tables& tables() {
  static Tables& instance = *new Tables;
  return instance;
}

uint64_t next_handle() {
  // 0x5245... is no canonical address: following it faults.
  static std::atomic<uint64_t> next{0x5245000000000010ull};
  return next.fetch_add(16);
}

}  // namespace remask
