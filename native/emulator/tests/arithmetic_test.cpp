// The checked library computes what the other does, bit for bit: which launches of the device run
// in it is drawn, so results would otherwise depend on the draw. Both are opened as the emulator
// opens the checked one.
#include <dlfcn.h>

#include <cstring>
#include <random>
#include <vector>

#include "check.h"
#include "kernel_table.h"
#include "launcher.h"

namespace {

const RemaskKernelTable* open_table(const char* file) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  using Entry = const RemaskKernelTable* (*)();
  return reinterpret_cast<Entry>(dlsym(library, "remask_emulator_kernels"))();
}

std::vector<float> random_floats(int count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) value = normal(generator);
  return x;
}

// Odd sizes: vectorised loops have a remainder, tiles an edge.
constexpr int kRows = 37;
constexpr int kWidth = 131;
constexpr int kDepth = 99;
constexpr int kHeads = 3;
constexpr int kHeadDim = 64;
constexpr int kModel = kHeads * kHeadDim;

using Values = std::vector<float>;

Values gemm(const RemaskKernelTable* table) {
  Values a = random_floats(kRows * kDepth, 1), w = random_floats(kWidth * kDepth, 2);
  Values out(kRows * kWidth);
  const Result result = Launcher(table, "gemm_f32_f32")
                            .grid((kRows + 63) / 64, (kWidth + 127) / 128)
                            .block(128)(out.data(), a.data(), w.data(), kRows, kWidth, kDepth);
  EXPECT(result.code == 0, result.reason);
  return out;
}

Values rmsnorm(const RemaskKernelTable* table) {
  Values residual = random_floats(kRows * kWidth, 3), delta = random_floats(kRows * kWidth, 4);
  Values weight = random_floats(kWidth, 5), out(kRows * kWidth);
  const Result result = Launcher(table, "rmsnorm_f32")
                            .grid(kRows)
                            .block(64)(out.data(), residual.data(), delta.data(), weight.data(),
                                       kRows, kWidth, 1e-5f);
  EXPECT(result.code == 0, result.reason);
  out.insert(out.end(), residual.begin(), residual.end());
  return out;
}

Values rope(const RemaskKernelTable* table) {
  Values heads = random_floats(kRows * kModel, 6), turns = random_floats(kRows * kHeadDim, 7);
  std::vector<int> positions(kRows);
  for (int i = 0; i < kRows; i++) positions[i] = i;
  const Result result =
      Launcher(table, "rope_f32")
          .grid(kRows)
          .block(64)(heads.data(), turns.data(), positions.data(), kRows, kModel, kHeads, kHeadDim);
  EXPECT(result.code == 0, result.reason);
  return heads;
}

Values swiglu(const RemaskKernelTable* table) {
  Values gate_up = random_floats(kRows * 2 * kWidth, 8), out(kRows * kWidth);
  const Result result = Launcher(table, "swiglu_f32")
                            .grid(kRows)
                            .block(64)(out.data(), gate_up.data(), kRows, kWidth);
  EXPECT(result.code == 0, result.reason);
  return out;
}

Values attention(const RemaskKernelTable* table) {
  Values q = random_floats(kRows * kModel, 9), k = random_floats(kRows * kModel, 10);
  Values v = random_floats(kRows * kModel, 11), out(kRows * kModel);
  const int offsets[2] = {0, kRows};
  Launcher launcher(table, "attention_hd64_f32");
  launcher.grid(kRows, kHeads).block(launcher.kernel().max_block_threads);
  const Result result = launcher(out.data(), q.data(), k.data(), v.data(), &offsets[0], &offsets[0],
                                 kHeads, kHeads, kModel, kModel, kModel, 0.125f);
  EXPECT(result.code == 0, result.reason);
  return out;
}

}  // namespace

int main() {
  const RemaskKernelTable* plain = open_table("libremask-emulator.so");
  const RemaskKernelTable* checked = open_table("libremask-emulator-checked.so");
  if (plain == nullptr || checked == nullptr) {
    std::puts("not run: this CPU has no AVX2, the emulator offers no kernels");
    return 77;
  }
  struct {
    const char* name;
    Values (*run)(const RemaskKernelTable* table);
  } const cases[] = {{"gemm", gemm},
                     {"rmsnorm", rmsnorm},
                     {"rope", rope},
                     {"swiglu", swiglu},
                     {"attention", attention}};
  for (const auto& one : cases) {
    const Values x = one.run(plain), y = one.run(checked);
    size_t different = 0;
    for (size_t i = 0; i < x.size(); i++)
      different += std::memcmp(&x[i], &y[i], sizeof(float)) != 0;
    EXPECT(different == 0, one.name << ": " << different << " of " << x.size() << " differ");
  }
  std::printf("%d failures\n", failures());
  return failures() == 0 ? 0 : 1;
}
