#include "proof.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>

namespace remask::proof {
namespace {

constexpr std::size_t kCanaryBytes = 512;
constexpr std::size_t kAlignment = 256;  // of cuMemAlloc
constexpr unsigned char kCanary = 0xc3;

// What kernels may touch.
struct Registry {
  std::shared_mutex mutex;
  std::map<const char*, std::size_t> live;
};

Registry& registry() {
  static Registry& registry = *new Registry;
  return registry;
}

int find_memory(const void* address, RemaskMemoryRange* range) {
  const char* at = static_cast<const char*>(address);
  std::shared_lock<std::shared_mutex> lock(registry().mutex);
  auto after = registry().live.upper_bound(at);
  if (after == registry().live.begin()) return 0;
  --after;
  if (std::size_t(at - after->first) >= after->second) return 0;
  range->begin = after->first;
  range->end = after->first + after->second;
  return 1;
}

[[noreturn]] void usage(const std::string& program, const char* what) {
  std::fprintf(stderr,
               "%s: %s\nusage: %s [--seed S] [--shapes N] [--kernel SUBSTRING] [--threads T]\n",
               program.c_str(), what, program.c_str());
  std::exit(64);
}

ConditionsSet conditions_set;  // one launch at a time, in which one thread does it

int set_condition(unsigned long long handle, unsigned value) {
  conditions_set = {conditions_set.times + 1, handle, value};
  return 1;
}

}  // namespace

Memory::Memory(std::size_t bytes)
    : all_(new char[bytes + 2 * kCanaryBytes + kAlignment]), bytes_(bytes) {
  auto begin = reinterpret_cast<std::uintptr_t>(all_.get()) + kCanaryBytes;
  data_ = reinterpret_cast<char*>((begin + kAlignment - 1) / kAlignment * kAlignment);
  std::memset(data_ - kCanaryBytes, kCanary, kCanaryBytes);
  std::memset(data_ + bytes, kCanary, kCanaryBytes);
  std::unique_lock<std::shared_mutex> lock(registry().mutex);
  registry().live[data_] = bytes;
}

Memory::~Memory() {
  std::unique_lock<std::shared_mutex> lock(registry().mutex);
  registry().live.erase(data_);
}

long Memory::broken_canary() const {
  for (std::size_t i = 0; i < kCanaryBytes; i++) {
    if (static_cast<unsigned char>(data_[bytes_ + i]) != kCanary) return long(bytes_ + i);
    if (static_cast<unsigned char>(data_[-long(i) - 1]) != kCanary) return -long(i) - 1;
  }
  return 0;
}

double relative_error(const std::vector<double>& x, const std::vector<double>& reference) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < reference.size(); i++) {
    error += (x[i] - reference[i]) * (x[i] - reference[i]);
    norm += reference[i] * reference[i];
  }
  return norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}

// --- draws ---------------------------------------------------------------------------------------

std::uint32_t Case::next() {
  // SplitMix64 over the case's seed.
  std::uint64_t x = seed_ * 0xd1342543de82ef95ull + (state_ += 0x9e3779b97f4a7c15ull);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return std::uint32_t(x >> 32);
}

double Case::normal_real() {
  const double u = (next() + 0.5) * 0x1p-32, v = next() * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
}

int Case::size(int most, std::initializer_list<int> tiles) {
  if (chance(0.1)) return 1;
  if (tiles.size() > 0 && chance(0.5)) {
    const int tile = tiles.begin()[next() % tiles.size()];
    const int size = tile * uniform(1, std::max(1, most / tile)) + uniform(-1, 1);
    return std::min(std::max(size, 1), most);
  }
  return uniform(1, most);
}

// --- what the proof does -------------------------------------------------------------------------

void Case::shape(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  shape_ = text;
}

bool Case::wants(const char* kernel) const {
  return std::strstr(kernel, options_.kernel.c_str()) != nullptr;
}

void Case::wrong(const char* kernel, const char* format, ...) {
  char text[4096];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  std::printf("WRONG %s, %s, --seed %llu --shapes 1: %s\n", kernel, shape_.c_str(),
              static_cast<unsigned long long>(seed_), text);
  failures_++;
}

void Case::expect_close(const char* kernel, const std::vector<double>& x,
                        const std::vector<double>& reference, double bound) {
  if (x.size() != reference.size()) {
    return wrong(kernel, "%zu results for %zu references", x.size(), reference.size());
  }
  const double error = relative_error(x, reference);
  if (error <= bound) return;  // false for a NaN
  std::size_t worst = 0;
  double largest = -1;
  for (std::size_t i = 0; i < x.size(); i++) {
    const double difference = std::fabs(x[i] - reference[i]);
    if (std::isnan(difference) || difference > largest) {
      worst = i;
      largest = difference;
      if (std::isnan(difference)) break;
    }
  }
  wrong(kernel, "relative error %.3g, bound %.3g; worst is element %zu of %zu: %.9g, not %.9g",
        error, bound, worst, x.size(), x[worst], reference[worst]);
}

void Case::check_canaries() {
  for (const auto& memory : memory_) {
    if (long offset = memory->broken_canary()) {
      wrong(last_kernel_.c_str(), "wrote at byte %ld of an array of %zu bytes", offset,
            memory->bytes());
    }
  }
}

const RemaskKernel& Case::find(const char* kernel, std::size_t arguments) {
  const RemaskKernelTable* table = remask_emulator_kernels();
  for (unsigned i = 0; i < table->count; i++) {
    const RemaskKernel& entry = table->kernels[i];
    if (std::strcmp(entry.name, kernel) != 0) continue;
    if (entry.parameter_count == arguments) return entry;
    std::fprintf(stderr, "kernel %s takes %u arguments, not %zu\n", kernel, entry.parameter_count,
                 arguments);
    std::exit(64);
  }
  std::fprintf(stderr, "no kernel %s in the emulator's table\n", kernel);
  std::exit(64);
}

void Case::put(const RemaskKernel& kernel, std::vector<char>& buffer, unsigned i, const void* value,
               std::size_t bytes) {
  if (bytes != kernel.parameters[i].size) {
    std::fprintf(stderr, "argument %u of kernel %s has %u bytes, not %zu\n", i, kernel.name,
                 kernel.parameters[i].size, bytes);
    std::exit(64);
  }
  std::memcpy(buffer.data() + kernel.parameters[i].offset, value, bytes);
}

ConditionsSet Case::conditions() const { return conditions_set; }

void Case::run(const RemaskKernel& kernel, Dim3 grid, Dim3 block, unsigned shared_bytes,
               const void* arguments) {
  last_kernel_ = kernel.name;
  RemaskLaunch launch{};
  launch.grid = {grid.x, grid.y, grid.z};
  launch.block = {block.x, block.y, block.z};
  launch.shared_bytes = shared_bytes;
  launch.threads = options_.threads;
  launch.seed = seed_ * 0x9e3779b97f4a7c15ull + ++launches_;
  launch.find_memory = &find_memory;
  launch.set_condition = &set_condition;
  conditions_set = {};
  banks_ = RemaskBanks{};
  if (counts_banks_) launch.banks = &banks_;
  char reason[4096] = "";
  int code = 1;
  if (block.x * block.y * block.z > kernel.max_block_threads) {
    std::snprintf(reason, sizeof(reason), "a block of more than __launch_bounds__(%u)",
                  kernel.max_block_threads);
  } else {
    code = kernel.run(&launch, arguments, reason, sizeof(reason));
  }
  if (code == 0) return;
  std::printf("REPORT %s, %s, --seed %llu --shapes 1: error %d: %s\n", kernel.name, shape_.c_str(),
              static_cast<unsigned long long>(seed_), code, reason);
  reported_ = true;
  throw Reported{};
}

// --- the program ---------------------------------------------------------------------------------

Proof::Proof(int argc, char** argv, int default_shapes) {
  program_ = argv[0];
  program_ = program_.substr(program_.rfind('/') + 1);
  options_.shapes = default_shapes;
  if (const char* seed = std::getenv("REMASK_EMULATOR_SEED")) {
    options_.seed = std::strtoull(seed, nullptr, 0);
  }
  if (const char* threads = std::getenv("REMASK_THREADS")) {
    options_.threads = std::max(1, std::atoi(threads));
  }
  for (int i = 1; i < argc; i++) {
    const std::string option = argv[i];
    if (i + 1 == argc) usage(program_, ("a value is missing after " + option).c_str());
    const char* value = argv[++i];
    if (option == "--seed") {
      options_.seed = std::strtoull(value, nullptr, 0);
    } else if (option == "--shapes") {
      options_.shapes = std::atoi(value);
    } else if (option == "--kernel") {
      options_.kernel = value;
    } else if (option == "--threads") {
      options_.threads = std::max(1, std::atoi(value));
    } else {
      usage(program_, ("no option " + option).c_str());
    }
  }
}

int Proof::run(const std::function<void(Case&)>& body) {
  if (remask_emulator_kernels() == nullptr) {
    std::printf("%s: not run: this CPU has no AVX2, the emulator offers no kernels\n",
                program_.c_str());
    return 77;
  }
  int failures = 0, reports = 0;
  unsigned launches = 0;
  for (int i = 0; i < options_.shapes && failures + reports < 10; i++) {
    Case it(options_, options_.seed + unsigned(i));
    try {
      body(it);
    } catch (const Case::Reported&) {
    }
    it.check_canaries();
    failures += it.failures_;
    reports += it.reported_;
    launches += it.launches_;
  }
  std::printf("%s: %d shapes, %u launches, seed %llu: %d wrong, %d reported\n", program_.c_str(),
              options_.shapes, launches, static_cast<unsigned long long>(options_.seed), failures,
              reports);
  if (launches == 0) {
    std::printf("%s: nothing was proved: no kernel was launched\n", program_.c_str());
    return 3;
  }
  return reports > 0 ? 2 : failures > 0 ? 1 : 0;
}

}  // namespace remask::proof
