// head_bench: the LM head's product and the choice of tokens in one kernel, beside the separate
// ones.
//
//   head_bench [--set NAME] [--threads T] [--rounds R] [--f32] [--slice WIDTH] [--masked N]
//              [--temperature X] [ROWS COLUMNS K]
//
// By default 32 rows of 126,464 columns from 1,024 inputs, bf16, all rows masked, slices of 1,024
// columns. One thread: its CPU time, so that other programs disturb little; T threads: wall time.
// The candidates take turns; printed are medians and, for the fused kernel, the rate at which it
// reads the weights.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "gemm.h"
#include "head_select.h"

namespace remask::host::bench {
namespace {

struct Settings {
  const KernelSet* set = &best_kernel_set();
  int threads = 1, rounds = 15, slice_width = 1024, masked = -1;
  int rows = 32, columns = 126464, k = 1024;
  float temperature = 0;
  bool narrow = true;  // bf16
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

// Numbers in [-scale, scale] of no period that a cache or a predictor could use.
float next_number(float scale) {
  static std::uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return (static_cast<float>(state >> 8) * 0x1p-23f - 1.0f) * scale;
}

template <typename X>
std::vector<X> numbers(std::size_t count, float scale) {
  std::vector<X> values(count);
  for (X& value : values) {
    const float number = next_number(scale);
    if constexpr (std::is_same_v<X, bf16>) {
      std::uint32_t bits;
      std::memcpy(&bits, &number, sizeof(bits));
      value.bits = static_cast<std::uint16_t>(bits >> 16);
    } else {
      value = number;
    }
  }
  return values;
}

template <typename X>
void run(const Settings& s) {
  // As logits of a spread of a few units. Packed weights are weights in another order.
  const std::vector<X> w = numbers<X>(std::size_t(s.columns) * s.k, 3 / std::sqrt(float(s.k)));
  const std::vector<X> a = numbers<X>(std::size_t(s.rows) * s.k, 2);
  std::vector<float> logits(std::size_t(s.rows) * s.columns);
  const int slices = (s.columns + s.slice_width - 1) / s.slice_width;
  std::vector<SelectPartial> partials(std::size_t(s.rows) * slices);
  Sequence sequence = {};
  sequence.top_p = 1;
  sequence.temperature = s.temperature;
  std::vector<Row> rows;
  for (int i = 0; i < s.rows; ++i) {
    rows.push_back({0, i, 0, s.masked < 0 || i < s.masked ? kChoose : kNothing, -1, -1, i, 0});
  }
  const SpecialTokens tokens = {s.columns, 0, 1, 2};
  RemaskLaunch launch = {};
  launch.grid = {static_cast<unsigned>(slices), static_cast<unsigned>(s.rows), 1};
  launch.threads = s.threads;

  const std::function<void()> candidates[] = {
      [&] {
        head_select(*s.set, launch, partials.data(), a.data(), w.data(), rows.data(), &sequence,
                    s.rows, s.columns, s.k, s.slice_width, tokens);
      },
      [&] {
        float* scratch =
            static_cast<float*>(remask_gemm_scratch(packed_scratch_bytes(s.rows, s.k, s.threads)));
        if constexpr (std::is_same_v<X, bf16>) {
          s.set->gemm_packed_bf16_f32(s.threads, logits.data(), a.data(), w.data(), s.rows,
                                      s.columns, s.k, scratch);
        } else {
          s.set->gemm_packed_f32_f32(s.threads, logits.data(), a.data(), w.data(), s.rows,
                                     s.columns, s.k, scratch);
        }
      },
      [&] {
        s.set->select_slices(launch, partials.data(), logits.data(), rows.data(), &sequence,
                             nullptr, s.rows, s.columns, s.slice_width, tokens);
      }};
  std::vector<double> times[3];
  for (int round = -2; round < s.rounds; ++round) {
    for (int i = 0; i < 3; ++i) {
      const double begin = now(s.threads);
      candidates[i]();
      const double end = now(s.threads);
      if (round >= 0) times[i].push_back(end - begin);
    }
  }
  const double fused = median(times[0]), product = median(times[1]), select = median(times[2]);
  std::printf("%d rows (%d masked) x %d x %d %s, set %s, %d thread%s, slices of %d\n", s.rows,
              s.masked < 0 ? s.rows : s.masked, s.columns, s.k, s.narrow ? "bf16" : "f32",
              s.set->name, s.threads, s.threads == 1 ? " (its CPU time)" : "s", s.slice_width);
  std::printf("  head_select   %9.3f ms   weights at %.1f GB/s\n", 1e3 * fused,
              1e-9 * static_cast<double>(w.size() * sizeof(X)) / fused);
  std::printf("  separate      %9.3f ms   product %.3f, select_slices %.3f\n",
              1e3 * (product + select), 1e3 * product, 1e3 * select);
  std::printf("  saved         %9.3f ms   %.1f %%\n", 1e3 * (product + select - fused),
              100 * (1 - fused / (product + select)));
}

[[noreturn]] void usage() {
  std::fputs(
      "usage: head_bench [--set NAME] [--threads T] [--rounds R] [--f32] [--slice WIDTH]\n"
      "                  [--masked N] [--temperature X] [ROWS COLUMNS K]\n",
      stderr);
  std::exit(2);
}

Settings parse(int count, char** words) {
  Settings settings;
  std::vector<int> sizes;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&]() -> const char* { return ++i < count ? words[i] : (usage(), ""); };
    if (word == "--set") {
      const std::string name = value();
      int sets = 0;
      const KernelSet* const* all = runnable_kernel_sets(&sets);
      settings.set = nullptr;
      for (int j = 0; j < sets; ++j) {
        if (name == all[j]->name) settings.set = all[j];
      }
      if (settings.set == nullptr) usage();
    } else if (word == "--threads") {
      settings.threads = std::atoi(value());
    } else if (word == "--rounds") {
      settings.rounds = std::atoi(value());
    } else if (word == "--slice") {
      settings.slice_width = std::atoi(value());
    } else if (word == "--masked") {
      settings.masked = std::atoi(value());
    } else if (word == "--temperature") {
      settings.temperature = static_cast<float>(std::atof(value()));
    } else if (word == "--f32") {
      settings.narrow = false;
    } else {
      sizes.push_back(std::atoi(word.c_str()));
    }
  }
  if (sizes.size() == 3) {
    settings.rows = sizes[0];
    settings.columns = sizes[1];
    settings.k = sizes[2];
  } else if (!sizes.empty()) {
    usage();
  }
  if (settings.threads < 1 || settings.rounds < 1 || settings.rows < 1 || settings.columns < 1 ||
      settings.k < 1 || settings.slice_width < 16 || settings.slice_width % 16 != 0) {
    usage();
  }
  return settings;
}

}  // namespace
}  // namespace remask::host::bench

int main(int count, char** words) {
  const auto settings = remask::host::bench::parse(count, words);
  if (settings.narrow) {
    remask::host::bench::run<remask::host::bf16>(settings);
  } else {
    remask::host::bench::run<float>(settings);
  }
  return 0;
}
