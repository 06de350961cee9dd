// gemm_bench: how fast weights are multiplied, beside what the machine and oneDNN can do.
//
//   gemm_bench [--set NAME] [--threads T] [--rounds R] [--f32] [--fused]
//              [--shapes tiny|llada-8b | M N K ...]
//
// Per shape m x n x k, bf16 unless --f32: our kernels for packed weights, for weights as rows and
// for weights of 8-bit integers (rows quantised each time), and oneDNN (where linked) with the
// weight layout that it chooses itself. Then the limits: fused multiply-adds of the instruction
// set, memory read, memory copied (read and written bytes).
// One thread: its CPU time, so that other programs disturb little; T threads: wall time. All
// candidates take turns; printed are medians. Weights come from a pool larger than the caches, as
// layers of a model would; like the device's memory it lies in huge pages where the system has
// them.
// --fused adds what follows a product: SwiGLU (n = gates and ups) in the product's kernel and after
// it, and the product added to a residual stream. Kernels are those of the set NAME, by default the
// one that Remask picks.
#include <omp.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "int8.h"
#include "kernel_set.h"
#include "machine_limits.h"
#include "scratch.h"
#ifdef REMASK_HAVE_DNNL
#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace remask::host::bench {
namespace {

constexpr std::size_t kLeastPool = std::size_t{768} << 20;

struct Size {
  int m, n, k;
};

struct Settings {
  const KernelSet* set = &best_kernel_set();
  int threads = 1, rounds = 15;
  bool narrow = true;  // bf16
  bool fused = false;
  std::vector<Size> sizes;
};

double now(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Random bits that are moderate numbers as bf16 and as f32.
class Pool {
 public:
  explicit Pool(std::size_t bytes)
      : memory_(static_cast<std::uint32_t*>(scratch_.get(bytes))), bytes_(bytes) {
    madvise(memory_, bytes, MADV_HUGEPAGE);
    std::uint64_t state = 88172645463325252u;
    for (std::size_t i = 0; i < bytes / 4; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      // sign and mantissa random, 1/16 to 1/8: sums that exponentials stand
      memory_[i] = static_cast<std::uint32_t>(state & 0x807f807fu) | 0x3d803d80u;
    }
  }
  const void* begin() const { return memory_; }
  std::size_t bytes() const { return bytes_; }
  // The next `bytes` that have not been used for the longest time.
  void* next(std::size_t bytes) {
    constexpr std::size_t kPage = 4096;
    if (bytes > bytes_) {
      std::fprintf(stderr, "weights of %zu bytes are too many for the pool\n", bytes);
      std::exit(1);
    }
    if (at_ + bytes > bytes_) at_ = 0;
    void* result = reinterpret_cast<char*>(memory_) + at_;
    at_ += (bytes + kPage - 1) / kPage * kPage;
    return result;
  }

 private:
  Scratch scratch_;
  std::uint32_t* memory_;
  std::size_t bytes_, at_ = 0;
};

struct Candidate {
  std::string name;
  double flops, bytes;  // per run
  std::function<void()> run;
  std::vector<double> seconds = {};
};

// Runs all in turns and prints each one's median.
void measure(std::vector<Candidate>& candidates, const Settings& settings) {
  for (int round = -1; round < settings.rounds; ++round) {
    for (Candidate& candidate : candidates) {
      const double begin = now(settings.threads);
      candidate.run();
      if (round >= 0) candidate.seconds.push_back(now(settings.threads) - begin);
    }
  }
  for (const Candidate& candidate : candidates) {
    const double seconds = median(candidate.seconds);
    std::printf("  %-22s %10.3f ms", candidate.name.c_str(), seconds * 1e3);
    if (candidate.flops > 0) std::printf(" %9.1f GFLOP/s", candidate.flops / seconds * 1e-9);
    if (candidate.bytes > 0) std::printf(" %8.2f GB/s", candidate.bytes / seconds * 1e-9);
    std::printf("\n");
  }
  std::fflush(stdout);
}

#ifdef REMASK_HAVE_DNNL
// One product by oneDNN, the weights in the layout of its choice.
class OneDnn {
 public:
  OneDnn(const Size& s, bool narrow) {
    using dnnl::memory;
    const auto type = narrow ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::desc a({s.m, s.k}, type, memory::format_tag::ab);
    const memory::desc w({s.k, s.n}, type, memory::format_tag::any);
    const memory::desc c({s.m, s.n}, type, memory::format_tag::ab);
    description_ = dnnl::matmul::primitive_desc(engine_, a, w, c);
    primitive_ = dnnl::matmul(description_);
    weight_bytes_ = description_.weights_desc().get_size();
    a_ = memory(description_.src_desc(), engine_, nullptr);
    w_ = memory(description_.weights_desc(), engine_, nullptr);
    c_ = memory(description_.dst_desc(), engine_, nullptr);
  }
  std::size_t weight_bytes() const { return weight_bytes_; }
  std::string implementation() const { return description_.impl_info_str(); }
  void run(void* out, const void* a, void* w) {
    a_.set_data_handle(const_cast<void*>(a));
    w_.set_data_handle(w);
    c_.set_data_handle(out);
    primitive_.execute(stream_, {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, w_}, {DNNL_ARG_DST, c_}});
    stream_.wait();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul primitive_;
  dnnl::memory a_, w_, c_;
  std::size_t weight_bytes_ = 0;
};
#endif

// What follows a product, by the product's kernel or after it.
template <typename Add>
void add_fused(const Size& s, const Settings& settings, const Add& add, const void* a, void* out,
               Scratch& gated_memory, Scratch& residual_memory, float* packed) {
  const KernelSet* set = settings.set;
  const int threads = settings.threads;
  const std::size_t element = settings.narrow ? 2 : 4, bytes = element * s.n * s.k;
  void* gated = gated_memory.get(element * s.m * s.n);
  float* residual = static_cast<float*>(residual_memory.get(sizeof(float) * s.m * s.n));
  std::memset(residual, 0, sizeof(float) * s.m * s.n);
  RemaskLaunch launch = {};
  launch.threads = threads;
  const auto add_both = [&](auto type, auto product, auto swiglu, auto fused, auto adding) {
    using X = decltype(type);
    const X* rows = static_cast<const X*>(a);
    X *sums = static_cast<X*>(out), *to = static_cast<X*>(gated);
    if (s.n % 2 == 0) {
      add("packed, then swiglu", bytes, [=](void* w) {
        product(threads, sums, rows, static_cast<X*>(w), s.m, s.n, s.k, packed);
        swiglu(launch, to, sums, s.m, s.n / 2);
      });
      add("packed with swiglu", bytes,
          [=](void* w) { fused(threads, to, rows, static_cast<X*>(w), s.m, s.n, s.k, packed); });
    }
    add("packed with residual", bytes, [=](void* w) {
      adding(threads, residual, rows, static_cast<X*>(w), s.m, s.n, s.k, packed);
    });
  };
  if (settings.narrow) {
    add_both(bf16(), set->gemm_packed_bf16_bf16, set->swiglu_bf16, set->gemm_packed_swiglu_bf16,
             set->gemm_packed_residual_bf16);
  } else {
    add_both(float(), set->gemm_packed_f32_f32, set->swiglu_f32, set->gemm_packed_swiglu_f32,
             set->gemm_packed_residual_f32);
  }
}

void measure_product(const Size& s, const Settings& settings, Pool& pool) {
  const bool narrow = settings.narrow;
  const std::size_t element = narrow ? 2 : 4;
  const std::size_t weight_bytes = element * s.n * s.k;
  const double flops = 2.0 * s.m * s.n * s.k;
  Scratch a_memory, out_memory, packed_memory, rows_memory;
  void* a = a_memory.get(element * s.m * s.k);
  std::memcpy(a, pool.begin(), element * s.m * s.k);
  void* out = out_memory.get(element * s.m * s.n);
  float* packed =
      static_cast<float*>(packed_memory.get(packed_scratch_bytes(s.m, s.k, settings.threads)));
  float* rows = static_cast<float*>(rows_memory.get(gemm_scratch_bytes(s.m, s.k)));
  const KernelSet& set = *settings.set;
  const int threads = settings.threads;
  // How often one sample runs: the clock's grain and a call's start must not show.
  const int repeats = static_cast<int>(std::max(1.0, 2e7 / flops));
  std::vector<Candidate> candidates;
  const auto add = [&](const std::string& name, std::size_t bytes,
                       const std::function<void(void*)>& run) {
    candidates.push_back(
        {name, flops * repeats, static_cast<double>(bytes) * repeats, [&pool, bytes, run, repeats] {
           for (int i = 0; i < repeats; ++i) run(pool.next(bytes));
         }});
  };
  add("packed", weight_bytes, [&](void* w) {
    if (narrow) {
      set.gemm_packed_bf16_bf16(threads, static_cast<bf16*>(out), static_cast<bf16*>(a),
                                static_cast<bf16*>(w), s.m, s.n, s.k, packed);
    } else {
      set.gemm_packed_f32_f32(threads, static_cast<float*>(out), static_cast<float*>(a),
                              static_cast<float*>(w), s.m, s.n, s.k, packed);
    }
  });
  add("rows", weight_bytes, [&](void* w) {
    if (narrow) {
      set.gemm_bf16_bf16(threads, static_cast<bf16*>(out), static_cast<bf16*>(a),
                         static_cast<bf16*>(w), s.m, s.n, s.k, false, rows);
    } else {
      set.gemm_f32_f32(threads, static_cast<float*>(out), static_cast<float*>(a),
                       static_cast<float*>(w), s.m, s.n, s.k, false, rows);
    }
  });
  // As a model with --quantize int8 does it: the rows are quantised, then multiplied.
  Scratch bytes_memory, int8_memory;
  auto* bytes = static_cast<std::int8_t*>(bytes_memory.get(std::size_t(s.m) * s.k));
  void* int8_scratch = int8_memory.get(int8_scratch_bytes(s.m, s.k));
  std::vector<float> a_scales(s.m), w_scales(s.n, 1.0f);
  const RemaskLaunch launch = {{}, {}, 0, threads, 0, nullptr, nullptr, nullptr};
  const Int8Kernels& int8 = int8_kernels_of(set);
  add(std::string("int8 ") + int8.name, std::size_t(s.n) * s.k, [&](void* w) {
    if (narrow) {
      int8.quantize_rows_bf16(launch, bytes, a_scales.data(), static_cast<bf16*>(a), s.m, s.k);
      int8.gemm_int8_bf16(threads, static_cast<bf16*>(out), bytes, a_scales.data(),
                          static_cast<std::int8_t*>(w), w_scales.data(), s.m, s.n, s.k,
                          int8_scratch);
    } else {
      int8.quantize_rows_f32(launch, bytes, a_scales.data(), static_cast<float*>(a), s.m, s.k);
      int8.gemm_int8_f32(threads, static_cast<float*>(out), bytes, a_scales.data(),
                         static_cast<std::int8_t*>(w), w_scales.data(), s.m, s.n, s.k,
                         int8_scratch);
    }
  });
#ifdef REMASK_HAVE_DNNL
  OneDnn onednn(s, narrow);
  add("oneDNN " + onednn.implementation().substr(0, 14), onednn.weight_bytes(),
      [&](void* w) { onednn.run(out, a, w); });
#endif
  Scratch gated_memory, residual_memory;
  if (settings.fused) add_fused(s, settings, add, a, out, gated_memory, residual_memory, packed);
  std::printf("%s m=%d n=%d k=%d, per sample %d\n", narrow ? "bf16" : "f32", s.m, s.n, s.k,
              repeats);
  measure(candidates, settings);
}

void measure_limits(const Settings& settings, Pool& pool) {
  const std::size_t half = pool.bytes() / 2;
  char* memory = static_cast<char*>(const_cast<void*>(pool.begin()));
  const double flops = run_multiply_adds(settings.set->name);
  const int threads = settings.threads;
  const auto on_all = [threads](const std::function<void(int)>& body) {
#pragma omp parallel num_threads(threads)
    body(omp_get_thread_num());
  };
  std::vector<Candidate> candidates;
  candidates.push_back({"multiply-adds", flops * threads, 0,
                        [&] { on_all([&](int) { run_multiply_adds(settings.set->name); }); }});
  candidates.push_back({"memory read", 0, static_cast<double>(pool.bytes()), [&] {
                          on_all([&](int t) {
                            const std::size_t part = pool.bytes() / threads;
                            read_all(memory + part * t, part);
                          });
                        }});
  candidates.push_back({"memory copied", 0, 2.0 * static_cast<double>(half), [&] {
                          on_all([&](int t) {
                            const std::size_t part = half / threads;
                            std::memcpy(memory + half + part * t, memory + part * t, part);
                          });
                        }});
  std::printf("limits of %d thread%s\n", threads, threads == 1 ? "" : "s");
  measure(candidates, settings);
}

const std::vector<Size> kTiny = {{54, 768, 256},   {54, 256, 256},   {54, 1536, 256},
                                 {54, 256, 768},   {1728, 768, 256}, {1728, 1536, 256},
                                 {1728, 256, 768}, {64, 3072, 1024}, {128, 8192, 1024}};
const std::vector<Size> kLlada8b = {
    {1, 12288, 4096},   {2, 12288, 4096},  {4, 12288, 4096},  {8, 12288, 4096},  {16, 12288, 4096},
    {32, 12288, 4096},  {64, 12288, 4096}, {64, 4096, 4096},  {64, 24576, 4096}, {64, 4096, 12288},
    {128, 12288, 4096}, {256, 4096, 4096}, {32, 126464, 4096}};

int usage() {
  std::fprintf(stderr,
               "usage: gemm_bench [--set NAME] [--threads T] [--rounds R] [--f32] [--fused]"
               " [--shapes tiny|llada-8b | M N K ...]\n");
  return 2;
}

bool parse(int count, char** words, Settings* settings) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const char* value = i + 1 < count ? words[i + 1] : "";
    if (word == "--f32") {
      settings->narrow = false;
      continue;
    }
    if (word == "--fused") {
      settings->fused = true;
      continue;
    }
    if (word == "--threads") {
      settings->threads = std::atoi(value);
    } else if (word == "--rounds") {
      settings->rounds = std::atoi(value);
    } else if (word == "--set") {
      int sets = 0;
      const KernelSet* const* all = runnable_kernel_sets(&sets);
      const auto found = std::find_if(
          all, all + sets, [&](const KernelSet* s) { return s->name == std::string(value); });
      if (found == all + sets) {
        std::fprintf(stderr, "no kernel set '%s' runs here\n", value);
        return false;
      }
      settings->set = *found;
    } else if (word == "--shapes" && std::strcmp(value, "tiny") == 0) {
      settings->sizes = kTiny;
    } else if (word == "--shapes" && std::strcmp(value, "llada-8b") == 0) {
      settings->sizes = kLlada8b;
    } else if (i + 2 < count) {
      const Size size = {std::atoi(words[i]), std::atoi(words[i + 1]), std::atoi(words[i + 2])};
      if (size.m < 1 || size.n < 1 || size.k < 1) return false;
      settings->sizes.push_back(size);
      ++i;
    } else {
      return false;
    }
    ++i;
  }
  return settings->threads >= 1 && settings->rounds >= 1;
}

int run(int count, char** words) {
  Settings settings;
  if (!parse(count, words, &settings)) return usage();
  if (settings.sizes.empty()) {
    settings.sizes = kTiny;
    settings.sizes.insert(settings.sizes.end(), kLlada8b.begin(), kLlada8b.end());
  }
  // Room for the largest weights, and a quarter more for the padding that oneDNN's layouts have.
  std::size_t pool_bytes = kLeastPool;
  for (const Size& s : settings.sizes) {
    const std::size_t bytes = std::size_t(s.n) * s.k * (settings.narrow ? 2 : 4);
    pool_bytes = std::max(pool_bytes, bytes + bytes / 4);
  }
  omp_set_num_threads(settings.threads);  // what oneDNN asks for
  Pool pool(pool_bytes);
  std::printf("kernel set %s, %s of %d thread%s, medians of %d\n", settings.set->name,
              settings.threads == 1 ? "CPU time" : "wall time", settings.threads,
              settings.threads == 1 ? "" : "s", settings.rounds);
  for (const Size& s : settings.sizes) measure_product(s, settings, pool);
  measure_limits(settings, pool);
  return 0;
}

}  // namespace
}  // namespace remask::host::bench

int main(int count, char** words) { return remask::host::bench::run(count, words); }
