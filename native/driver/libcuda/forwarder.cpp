// libcuda.so.1 for clients of the driver API: each export jumps to the function of the same name in
// libremask-device.so, which lies in the parent folder or is loaded already. A jump, not a call:
// arguments stay where they are, whatever their types. A name the device lacks answers
// CUDA_ERROR_NOT_SUPPORTED; all do so with another error when the device cannot be loaded.
#include <dlfcn.h>

#include <string>

namespace {

constexpr int kNotSupported = 801;
constexpr int kSharedObjectInitFailed = 303;

int not_supported() { return kNotSupported; }
int device_missing() { return kSharedObjectInitFailed; }

}  // namespace

// One slot per export, filled in below, read by the jump.
#define REMASK_FORWARD(name)                                            \
  extern "C" {                                                          \
  __attribute__((visibility("hidden"), used)) void* remask_slot_##name; \
  }
#include "forwarded_names.inc"
#undef REMASK_FORWARD

#if defined(__x86_64__)
#define REMASK_JUMP(name) "jmp *remask_slot_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define REMASK_JUMP(name)        \
  "adrp x16, remask_slot_" #name \
  "\n"                           \
  "ldr x16, [x16, :lo12:remask_slot_" #name "]\nbr x16\n"
#else
#error "the forwarder knows the jump of x86-64 and arm64 only"
#endif

#define REMASK_FORWARD(name) \
  asm(".text\n.globl " #name "\n.type " #name ", %function\n" #name ":\n" REMASK_JUMP(name));
#include "forwarded_names.inc"
#undef REMASK_FORWARD

namespace {

struct Slot {
  const char* name;
  void** function;
};

constexpr Slot kSlots[] = {
#define REMASK_FORWARD(name) {#name, &remask_slot_##name},
#include "forwarded_names.inc"
#undef REMASK_FORWARD
};

void* open_device() {
  constexpr char kName[] = "libremask-device.so";
  if (void* loaded = dlopen(kName, RTLD_NOW | RTLD_NOLOAD)) return loaded;
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&open_device), &info)) return nullptr;
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  return dlopen((folder + "/../" + kName).c_str(), RTLD_NOW | RTLD_LOCAL);
}

__attribute__((constructor)) void fill_slots() {
  void* device = open_device();
  for (const Slot& slot : kSlots) {
    void* function = device ? dlsym(device, slot.name) : nullptr;
    if (!function) {
      function = device ? reinterpret_cast<void*>(&not_supported)
                        : reinterpret_cast<void*>(&device_missing);
    }
    *slot.function = function;
  }
}

}  // namespace
