// The objects behind the API's handles, and the tables that name them.
#ifndef REMASK_DRIVER_OBJECTS_H_
#define REMASK_DRIVER_OBJECTS_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_types.h"
#include "graph.h"
#include "handles.h"
#include "kernel_table.h"
#include "stream_worker.h"

namespace remask {

struct Context;

// A device's limits. Those of a real card where kernels depend on them.
constexpr unsigned kMaxBlockThreads = 1024;
constexpr unsigned kMaxBlockZ = 64;
constexpr unsigned kMaxGridX = 0x7fffffff;
constexpr unsigned kMaxGridYZ = 65535;
constexpr unsigned kSharedBytes = 48u << 10;        // without asking
constexpr unsigned kSharedBytesOptIn = 227u << 10;  // with cuFuncSetAttribute
constexpr int kDriverVersion = 13000;

struct Device {
  int ordinal = 0;
  std::string name;
  const RemaskKernelTable* kernels = nullptr;
  bool has_blas = false;
  int capability = 0;  // ten times the compute capability; 0: no card's kernels but portable ones
  uint64_t memory_limit = 0;
  std::atomic<uint64_t> memory_in_use{0};

  std::mutex primary_mutex;  // of the three below
  std::shared_ptr<Context> primary;
  unsigned primary_references = 0;
  unsigned primary_flags = 0;

  const RemaskKernel* find_kernel(const std::string& kernel) const;
};

// All of a capture's fields are guarded by capture_mutex().
struct Capture {
  uint64_t id = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id owner;
  CUstream origin = nullptr;
  bool invalidated = false;
  std::shared_ptr<Graph> graph;
  size_t first_node = 0;          // of the graph that is this capture's; more if it had some before
  std::vector<CUstream> streams;  // that take part, the origin included
};

struct Stream {
  Stream(std::shared_ptr<Context> owner, unsigned stream_flags, int stream_priority);

  CUstream handle = nullptr;
  const std::shared_ptr<Context> context;
  const unsigned flags;
  const int priority;
  bool is_legacy = false;
  std::unique_ptr<StreamWorker> worker;

  std::atomic<bool> capturing{false};     // so that launches outside captures take no lock
  std::shared_ptr<Capture> capture;       // guarded by capture_mutex()
  std::vector<uint32_t> capture_tail;     // nodes that the stream's next node depends on; likewise
  std::vector<CUgraphNode> tail_handles;  // what cuStreamGetCaptureInfo handed out; likewise

  bool is_blocking() const { return !(flags & CU_STREAM_NON_BLOCKING); }
};

struct Context : std::enable_shared_from_this<Context> {
  CUcontext handle = nullptr;
  Device* device = nullptr;
  bool primary = false;
  unsigned flags = 0;
  std::atomic<bool> alive{true};
  std::shared_ptr<Health> health = std::make_shared<Health>();
  std::shared_ptr<Stream> legacy;  // stream 0; null once destroyed

  std::mutex streams_mutex;
  std::vector<std::shared_ptr<Stream>> streams;  // created ones

  std::vector<std::shared_ptr<Stream>> all_streams();  // with the legacy one
  // For a call that has just made something in the context: CONTEXT_IS_DESTROYED if another thread
  // destroyed it meanwhile, so that the caller must take back what the destruction may have missed.
  CUresult check_alive() const;
};

struct Event {
  CUevent handle = nullptr;
  std::shared_ptr<Context> context;
  unsigned flags = 0;

  std::mutex mutex;  // of the rest
  bool recorded = false;
  Marker marker;
  std::shared_ptr<Timestamp> timestamp;
  std::weak_ptr<Capture> capture;      // last recorded in this capture, if any
  std::vector<uint32_t> capture_tail;  // as it was then
  bool captured = false;
};

struct Function {
  CUfunction handle = nullptr;
  const RemaskKernel* kernel = nullptr;
  std::weak_ptr<Context> context;
  CUcontext context_handle = nullptr;
  CUmodule module = nullptr;
  std::atomic<int> max_dynamic_shared{static_cast<int>(kSharedBytes)};
};

struct Module {
  CUmodule handle = nullptr;
  std::shared_ptr<Context> context;
  std::string operation;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Function>> functions;
};

struct LibraryKernel {
  CUkernel handle = nullptr;
  CUlibrary library = nullptr;
  std::string name;
};

// An image that belongs to no context; each context gets its module when it first asks.
struct Library {
  CUlibrary handle = nullptr;
  std::string operation;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<LibraryKernel>> kernels;
  std::map<CUcontext, std::shared_ptr<Module>> modules;
};

struct Tables {
  HandleTable<CUcontext, Context> contexts;
  HandleTable<CUstream, Stream> streams;
  HandleTable<CUevent, Event> events;
  HandleTable<CUmodule, Module> modules;
  HandleTable<CUfunction, Function> functions;
  HandleTable<CUlibrary, Library> libraries;
  HandleTable<CUkernel, LibraryKernel> kernels;
  HandleTable<CUgraph, Graph> graphs;
  HandleTable<CUgraphNode, GraphNode> nodes;
  HandleTable<CUgraphExec, GraphExec> execs;
};
Tables& tables();

// devices.cpp -------------------------------------------------------------------------------------

// Finds the devices; idempotent.
void initialise_devices();
bool is_initialised();
const std::vector<std::unique_ptr<Device>>& devices();
// Null for an ordinal that is none.
Device* find_device(CUdevice device);

// context.cpp -------------------------------------------------------------------------------------

// The calling thread's stack of current contexts; the last is current. May hold destroyed ones.
std::vector<std::shared_ptr<Context>>& context_stack();
std::shared_ptr<Context> create_context(Device& device, bool primary, unsigned flags);
// Finishes its work, frees what it owns, and makes its handles unknown.
void destroy_context(const std::shared_ptr<Context>& context);
// Frees: gives back the device's accounting, too.
void free_allocation(const std::shared_ptr<Allocation>& allocation);

// submit.cpp --------------------------------------------------------------------------------------

// The stream a handle means in a context: 0, 1 (legacy) and 2 (per thread) are its legacy stream.
// Null after logging.
std::shared_ptr<Stream> find_stream(Context& context, CUstream handle);
// Hands work to a stream, or to the capture it is in. `marker` may be null.
CUresult submit(Stream& stream, std::shared_ptr<const Operation> operation,
                Marker* marker = nullptr, std::vector<Marker> after = {});
// True on a stream's worker: host functions must not call the API.
bool in_host_function();
void set_in_host_function(bool inside);

}  // namespace remask

#endif  // REMASK_DRIVER_OBJECTS_H_
