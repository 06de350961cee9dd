// The table of kernels that a library offers to the software CUDA device.
//
// Plain C structs, because the emulator's table comes from a library of its own that the device
// opens at run time: what crosses that boundary has no C++ types in it. Use kernel_signature.h to
// fill one in; nobody types a parameter list by hand.
#ifndef REMASK_DRIVER_KERNEL_TABLE_H_
#define REMASK_DRIVER_KERNEL_TABLE_H_

#include <cstddef>
#include <string>

struct RemaskDim3 {
  unsigned x, y, z;
};

// Live memory that kernels may touch: [begin, end), host-addressable.
struct RemaskMemoryRange {
  const char *begin, *end;
};

// Answers 1 and the range that holds the address, or 0 if nothing alive does. Any thread.
typedef int (*RemaskFindMemory)(const void* address, RemaskMemoryRange* range);

// What a launch's accesses to shared memory cost beyond one pass of 128 bytes each.
struct RemaskBanks {
  unsigned long long accesses;         // of up to 128 bytes
  unsigned long long conflicts;        // further passes because of banks that several wanted
  unsigned long long worst_conflicts;  // of them, in one cluster at the worst place
  char worst[160];                     // which is file:line
};

// Gives the condition of a conditional graph node its value: what cudaGraphSetConditional does.
// Answers 1, or 0 if the handle is of no graph that runs now. Any thread.
typedef int (*RemaskSetCondition)(unsigned long long handle, unsigned value);

struct RemaskLaunch {
  RemaskDim3 grid, block;
  unsigned shared_bytes;             // dynamic shared memory asked for by the launch
  int threads;                       // compute threads to use
  unsigned long long seed;           // emulator: seed of the scheduling order
  RemaskFindMemory find_memory;      // emulator: checks accesses by it; null: it does not
  RemaskBanks* banks;                // emulator: adds its counts; null: does not count
  RemaskSetCondition set_condition;  // null: the launch is in no graph
};

// What the device translates before the call: a device pointer, the address in a tensor map.
enum RemaskParameterKind : unsigned {
  kRemaskValue,
  kRemaskPointer,
  kRemaskTensorMap,  // a RemaskTensorMap by value
};

struct RemaskParameter {
  unsigned offset, size;  // in the packed argument buffer, as cuFuncGetParamInfo reports them
  RemaskParameterKind kind;
};

// args: packed parameter buffer, addresses already translated to host-addressable ones. Returns a
// CUresult (0 done); on failure writes a reason, NUL-terminated, into `reason`.
typedef int (*RemaskKernelBody)(const RemaskLaunch* launch, const void* args, char* reason,
                                size_t reason_bytes);

struct RemaskKernel {
  const char* name;
  const RemaskParameter* parameters;
  unsigned parameter_count;
  unsigned buffer_bytes;  // end of the last parameter, without padding after it
  unsigned max_block_threads;
  RemaskKernelBody run;
};

struct RemaskKernelTable {
  unsigned version;  // REMASK_KERNEL_TABLE_VERSION
  unsigned count;
  const RemaskKernel* kernels;
};

#define REMASK_KERNEL_TABLE_VERSION 3u

// Linked into the device library by native/host.
const RemaskKernelTable* remask_host_kernels();
// The name of the instruction set that they use, or null, with the reason in *why (which may be
// null), where REMASK_HOST_KERNELS names none that can run here.
const char* remask_host_kernel_set(std::string* why);

// Looked up by the device with dlsym in libremask-emulator.so.
extern "C" __attribute__((visibility("default"))) const RemaskKernelTable*
remask_emulator_kernels();

#endif  // REMASK_DRIVER_KERNEL_TABLE_H_
