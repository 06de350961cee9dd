// Options of ThreadSanitizer for every program that links emulated kernels (emulate.cmake): it asks
// the program, before anything else runs.

// The emulator's own runtime is not compiled with -fsanitize=thread, but ThreadSanitizer replaces
// operator new and delete, memcpy and the like, and takes what they do for accesses of the fiber
// that runs. A vector of the runtime that grows on one fiber and then on another is no race: what
// belongs to a cluster is touched by one OS thread, what clusters share is behind a mutex. Kernels
// lose nothing, since no call in them does their accesses (-fno-tree-loop-distribute-patterns).
extern "C" __attribute__((weak, visibility("default"))) const char* __tsan_default_options() {
  return "ignore_interceptors_accesses=1";
}
