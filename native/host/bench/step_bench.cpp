// Where a denoising step's time goes, kernel by kernel, and what regions and launches add to it.
//
//   step_bench [--threads N] [--rounds N] [--set NAME] [--weights rows|packed]
//
// Runs the launches of a step as the model makes them (54 tokens, 32 rows, tiny-llada's shapes,
// bf16) one by one; products by packed weights rotate, gate and add to the residual stream
// themselves. With one thread the figures are CPU time, which other work on the machine does
// not change; with more they are wall time and mean something on an idle machine only.
#include <omp.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gemm.h"
#include "kernel_set.h"
#include "parallel.h"
#include "row_copies.h"

using namespace remask;
using namespace remask::host;

namespace {

constexpr int kTokens = 54, kRows = 32, kWidth = 256, kHeads = 2, kHeadDim = 128, kMlp = 768,
              kVocabulary = 2048, kLayers = 4, kQkv = 3 * kWidth;

double now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

template <typename T>
std::vector<T> filled(std::size_t count) {
  // bf16 and f32 of small magnitude, from a fixed linear congruence.
  std::vector<T> values(count);
  std::uint32_t state = 12345;
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    const float number = (static_cast<float>(state >> 8) * 0x1p-24f - 0.5f) * 0.25f;
    std::uint32_t bits;
    std::memcpy(&bits, &number, sizeof(bits));
    if constexpr (sizeof(T) == 2) {
      value.bits = static_cast<std::uint16_t>(bits >> 16);
    } else {
      value = number;
    }
  }
  return values;
}

struct Launch {
  const char* name;
  double flops;
  std::function<void()> run;
};

class Step {
 public:
  Step(const KernelSet& set, int threads, bool packed) : set_(set), packed_(packed) {
    launch_.grid = {1, kHeads, 1};
    launch_.block = {1, 1, 1};
    launch_.threads = threads;
    for (int i = 0; i < kTokens; ++i) positions_[i] = tokens_[i] = index_[i] = i;
    for (int i = 0; i < kRows; ++i) rows_[i] = Row{0, i, 0, kChoose, -1, -1, i, 0};
    sequence_.unconditional_begin = kNoGuidance;
    add("embed", 0, [this] {
      set_.embed_bf16(launch_, residual_.data(), table_.data(), tokens_, index_, kTokens, kWidth);
    });
    for (int layer = 0; layer < kLayers; ++layer) {
      if (packed) {
        add_packed_layer();
      } else {
        add_layer();
      }
    }
    add("gather_rows", 0, [this] {
      gather_rows(launch_, row_residual_.data(), residual_.data(), index_, kRows, kWidth);
      if (!packed_) gather_rows(launch_, row_delta_.data(), delta_.data(), index_, kRows, kWidth);
    });
    add("rmsnorm", 0, [this] {
      set_.rmsnorm_bf16(launch_, row_normed_.data(), row_residual_.data(),
                        packed_ ? nullptr : row_delta_.data(), norm_.data(), kRows, kWidth, 1e-5f);
    });
    if (packed) {
      add_packed("gemm head", set_.gemm_packed_bf16_f32, logits_.data(), row_normed_.data(),
                 head_.data(), kRows, kVocabulary, kWidth);
    } else {
      add_gemm("gemm head", logits_.data(), row_normed_.data(), head_.data(), kRows, kVocabulary,
               kWidth, GemmTypes::BF16_F32);
    }
    add("select_slices", 0, [this] {
      RemaskLaunch launch = launch_;
      launch.grid = {1, 1, 1};
      set_.select_slices(launch, partials_, logits_.data(), rows_, &sequence_, nullptr, kRows,
                         kVocabulary, kVocabulary, {kVocabulary - 1, 5, 6, kVocabulary});
    });
  }

  std::vector<Launch> launches;

 private:
  void add(const char* name, double flops, std::function<void()> run) {
    launches.push_back({name, flops, std::move(run)});
  }

  void add_gemm(const char* name, void* out, const bf16* a, const bf16* w, int m, int n, int k,
                GemmTypes types = GemmTypes::BF16_BF16) {
    add(name, 2.0 * m * n * k, [=] {
      std::string why;
      if (!remask_gemm(out, a, w, m, n, k, types, false, launch_.threads, &why)) {
        std::fprintf(stderr, "%s\n", why.c_str());
        std::exit(1);
      }
    });
  }

  // The weights count as packed: any bits are as good as others here.
  template <typename Out>
  void add_packed(const char* name, PackedKernel<bf16, Out> kernel, Out* out, const bf16* a,
                  const bf16* w, int m, int n, int k) {
    add(name, 2.0 * m * n * k, [=] { kernel(launch_.threads, out, a, w, m, n, k, scratch(m, k)); });
  }

  float* scratch(int m, int k) const {
    return static_cast<float*>(remask_gemm_scratch(packed_scratch_bytes(m, k, launch_.threads)));
  }

  void add_norm(const bf16* delta) {
    add("rmsnorm", 0, [=] {
      set_.rmsnorm_bf16(launch_, normed_.data(), residual_.data(), delta, norm_.data(), kTokens,
                        kWidth, 1e-5f);
    });
  }

  void add_attention() {
    add("attention", 4.0 * kTokens * kTokens * kWidth, [this] {
      set_.attention_hd128_bf16(launch_, normed_.data(), qkv_.data(), qkv_.data() + kWidth,
                                qkv_.data() + 2 * kWidth, offsets_, offsets_, kHeads, kHeads, kQkv,
                                kQkv, kWidth, 0.08f);
    });
  }

  void add_packed_layer() {
    add_norm(nullptr);
    add("gemm qkv", 2.0 * kTokens * kQkv * kWidth, [this] {
      const PackedHeads<bf16> heads = {qkv_.data(),
                                       qkv_.data() + kWidth,
                                       qkv_.data() + 2 * kWidth,
                                       cos_sin_.data(),
                                       positions_,
                                       nullptr,
                                       kHeads,
                                       kHeads,
                                       kHeadDim,
                                       kQkv,
                                       kQkv};
      set_.gemm_packed_rope_bf16(launch_.threads, heads, normed_.data(), w_qkv_.data(), kTokens,
                                 kQkv, kWidth, scratch(kTokens, kWidth));
    });
    add_attention();
    add_packed("gemm attn out", set_.gemm_packed_residual_bf16, residual_.data(), normed_.data(),
               w_out_.data(), kTokens, kWidth, kWidth);
    add_norm(nullptr);
    add_packed("gemm gate up", set_.gemm_packed_swiglu_bf16, activated_.data(), normed_.data(),
               w_up_.data(), kTokens, 2 * kMlp, kWidth);
    add_packed("gemm ff out", set_.gemm_packed_residual_bf16, residual_.data(), activated_.data(),
               w_down_.data(), kTokens, kWidth, kMlp);
  }

  void add_layer() {
    add_norm(delta_.data());
    add_gemm("gemm qkv", qkv_.data(), normed_.data(), w_qkv_.data(), kTokens, kQkv, kWidth);
    add("rope", 0, [this] {
      set_.rope_bf16(launch_, qkv_.data(), cos_sin_.data(), positions_, kTokens, kQkv, 2 * kHeads,
                     kHeadDim);
    });
    add_attention();
    add_gemm("gemm attn out", delta_.data(), normed_.data(), w_out_.data(), kTokens, kWidth,
             kWidth);
    add_norm(delta_.data());
    add_gemm("gemm gate up", gate_up_.data(), normed_.data(), w_up_.data(), kTokens, 2 * kMlp,
             kWidth);
    add("swiglu", 0,
        [this] { set_.swiglu_bf16(launch_, activated_.data(), gate_up_.data(), kTokens, kMlp); });
    add_gemm("gemm ff out", delta_.data(), activated_.data(), w_down_.data(), kTokens, kWidth,
             kMlp);
  }

  const KernelSet& set_;
  const bool packed_;
  RemaskLaunch launch_ = {};
  std::vector<float> residual_ = filled<float>(kTokens * kWidth),
                     row_residual_ = filled<float>(kRows * kWidth),
                     cos_sin_ = filled<float>(kTokens * kHeadDim),
                     logits_ = filled<float>(kRows * kVocabulary);
  std::vector<bf16> table_ = filled<bf16>(kVocabulary * kWidth),
                    normed_ = filled<bf16>(kTokens * kWidth), delta_ = normed_,
                    qkv_ = filled<bf16>(kTokens * kQkv), norm_ = filled<bf16>(kWidth),
                    gate_up_ = filled<bf16>(kTokens * 2 * kMlp),
                    activated_ = filled<bf16>(kTokens * kMlp),
                    row_normed_ = filled<bf16>(kRows * kWidth), row_delta_ = row_normed_,
                    head_ = table_, w_qkv_ = filled<bf16>(kQkv * kWidth),
                    w_out_ = filled<bf16>(kWidth * kWidth), w_up_ = filled<bf16>(2 * kMlp * kWidth),
                    w_down_ = filled<bf16>(kMlp * kWidth);
  int positions_[kTokens], tokens_[kTokens], index_[kTokens];
  const int offsets_[2] = {0, kTokens};
  Row rows_[kRows];
  Sequence sequence_ = {};
  SelectPartial partials_[kRows];
};

const KernelSet* find_set(const char* name) {
  int count = 0;
  const KernelSet* const* sets = runnable_kernel_sets(&count);
  for (int i = 0; i < count; ++i) {
    if (std::strcmp(sets[i]->name, name) == 0) return sets[i];
  }
  return nullptr;
}

}  // namespace

int main(int count, char** arguments) {
  int threads = 1, rounds = 500;
  bool packed = true;
  const KernelSet* set = &best_kernel_set();
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    if (name == "--threads") threads = std::max(1, std::atoi(arguments[i + 1]));
    if (name == "--rounds") rounds = std::max(1, std::atoi(arguments[i + 1]));
    if (name == "--weights") packed = std::strcmp(arguments[i + 1], "rows") != 0;
    if (name == "--set") set = find_set(arguments[i + 1]);
  }
  if (set == nullptr) {
    std::fprintf(stderr, "step_bench: no such set can run here\n");
    return 2;
  }
  const clockid_t clock = threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  Step step(*set, threads, packed);
  std::vector<std::vector<double>> times(step.launches.size());
  std::vector<double> whole, clock_times, regions;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < step.launches.size(); ++i) {
      const double begin = now(clock);
      step.launches[i].run();
      times[i].push_back(now(clock) - begin);
    }
    const double begin = now(clock);
    for (const Launch& launch : step.launches) launch.run();
    const double end = now(clock);
    whole.push_back(end - begin);
    clock_times.push_back(now(clock) - end);
    for (int i = 0; threads > 1 && i < 10; ++i) {
      const double before = now(clock);
#pragma omp parallel num_threads(threads)
      { name_compute_thread(omp_get_thread_num()); }
      regions.push_back(now(clock) - before);
    }
  }
  struct Sum {
    double us = 0, flops = 0;
    int launches = 0;
  };
  std::map<std::string, Sum> sums;
  Sum all;
  const double clock_us = median(clock_times);
  for (std::size_t i = 0; i < step.launches.size(); ++i) {
    const Launch& launch = step.launches[i];
    const double us = median(times[i]) - clock_us;
    for (Sum* sum : {&sums[launch.name], &all}) {
      sum->us += us;
      sum->flops += launch.flops;
      ++sum->launches;
    }
  }
  std::printf("%s, weights %s, %d thread%s, median of %d rounds, %s time\n", set->name,
              packed ? "packed" : "as rows", threads, threads == 1 ? "" : "s", rounds,
              threads == 1 ? "CPU" : "wall");
  std::printf("%-16s %8s %10s %8s %10s\n", "kernel", "launches", "us a step", "%", "GFLOP/s");
  for (const auto& entry : sums) {
    std::printf("%-16s %8d %10.1f %8.1f", entry.first.c_str(), entry.second.launches,
                entry.second.us, 100 * entry.second.us / all.us);
    if (entry.second.flops > 0) std::printf(" %10.1f", entry.second.flops / entry.second.us * 1e-3);
    std::printf("\n");
  }
  std::printf("%-16s %8d %10.1f %8.1f %10.1f\n", "all, one by one", all.launches, all.us, 100.0,
              all.flops / all.us * 1e-3);
  std::printf("%-16s %8d %10.1f\n", "all, in a row", all.launches, median(whole));
  if (threads > 1) {
    std::printf("an empty region: %.2f us, at best %.2f\n", median(regions),
                *std::min_element(regions.begin(), regions.end()));
  }
  return 0;
}
