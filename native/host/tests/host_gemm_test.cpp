// Matrix multiplication, by oneDNN and by our own, against plain double arithmetic.
#include <thread>

#include "gemm.h"
#include "host_testing.h"
#include "scratch.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

struct Size {
  int m, n, k;
};
const Size kSizes[] = {{1, 1, 1},      {1, 7, 33},     {7, 33, 65},   {33, 65, 7},
                       {65, 1, 64},    {46, 768, 256}, {5, 1013, 96}, {64, 130, 1000},
                       {300, 257, 70}, {257, 200, 33}};

template <typename X, typename Out>
struct Data {
  std::vector<X> a, w;
  std::vector<Out> before;

  explicit Data(const Size& s)
      : a(random_values<X>(s.m * s.k)),
        w(random_values<X>(s.n * s.k)),
        before(random_values<Out>(s.m * s.n)) {}
};

template <typename X, typename Out>
void compare_with_reference(const std::string& what, const Size& s, const Data<X, Out>& data,
                            bool accumulate, const Out* out) {
  Comparison compare(what + " " + std::to_string(s.m) + "x" + std::to_string(s.n) + "x" +
                     std::to_string(s.k) + (accumulate ? " accumulating" : ""));
  for (int i = 0; i < s.m * s.n; ++i) {
    const X* a = &data.a[i / s.n * s.k];
    const X* w = &data.w[i % s.n * s.k];
    double sum = accumulate ? to_float(data.before[i]) : 0, norm = std::fabs(sum);
    for (int k = 0; k < s.k; ++k) {
      const double product = static_cast<double>(to_float(a[k])) * to_float(w[k]);
      sum += product;
      norm += std::fabs(product);
    }
    // any order of k + 1 additions and as many products, in f32
    compare.add(i, to_float(out[i]), sum,
                std::fabs(sum) * kRoundoff<Out> + norm * (s.k + 2) * kF32Roundoff + kTiny<Out>);
  }
}

template <typename X, typename Out>
void gemm_matches_reference(GemmTypes types) {
  for (const Size& s : kSizes) {
    const Data<X, Out> data(s);
    for (const bool accumulate : {false, true}) {
      Poisoned<Out> out(s.m * s.n);
      if (accumulate) std::memcpy(out.data(), data.before.data(), sizeof(Out) * s.m * s.n);
      std::string why;
      EXPECT_THAT(remask_gemm(out.data(), data.a.data(), data.w.data(), s.m, s.n, s.k, types,
                              accumulate, 2, &why),
                  why);
      compare_with_reference(remask_gemm_name(), s, data, accumulate, out.data());
      for (const int threads : {1, 2, 4}) {
        Poisoned<Out> again(s.m * s.n);
        if (accumulate) std::memcpy(again.data(), data.before.data(), sizeof(Out) * s.m * s.n);
        remask_gemm(again.data(), data.a.data(), data.w.data(), s.m, s.n, s.k, types, accumulate,
                    threads, nullptr);
        EXPECT_THAT(again.copy() == out.copy(),
                    "gemm depends on the number of threads, m = " + std::to_string(s.m));
      }
    }
  }
}

template <typename X, typename Out>
void own_gemm_matches_reference(const KernelSet& set, GemmKernel<X, Out> gemm) {
  for (const Size& s : kSizes) {
    const Data<X, Out> data(s);
    for (const bool accumulate : {false, true}) {
      Poisoned<Out> out(s.m * s.n);
      if (accumulate) std::memcpy(out.data(), data.before.data(), sizeof(Out) * s.m * s.n);
      Scratch scratch;
      const auto packed = [&](int m) {  // poisoned: what is read must have been written
        void* memory = scratch.get(gemm_scratch_bytes(m, s.k));
        std::memset(memory, 0xff, gemm_scratch_bytes(m, s.k));
        return static_cast<float*>(memory);
      };
      gemm(2, out.data(), data.a.data(), data.w.data(), s.m, s.n, s.k, accumulate, packed(s.m));
      compare_with_reference(set.name, s, data, accumulate, out.data());
      if (accumulate) continue;
      Poisoned<Out> last_row(s.n);
      gemm(1, last_row.data(), &data.a[(s.m - 1) * s.k], data.w.data(), 1, s.n, s.k, false,
           packed(1));
      EXPECT_THAT(std::memcmp(last_row.data(), &out[(s.m - 1) * s.n], sizeof(Out) * s.n) == 0,
                  "own gemm: a row depends on its neighbours");
    }
  }
}

// A row's bits are the same alone and at every place of a tile, whatever stands beside it.
template <typename X, typename Out, typename Gemm>
void row_has_its_bits_anywhere(const std::string& what, const Gemm& gemm) {
  // Depths and widths on both sides of what is done at a time.
  for (const auto& [n, k] : {std::pair(150, 70), std::pair(33, 300), std::pair(1, 257)}) {
    const auto row = random_values<X>(k), w = random_values<X>(n * k);
    Poisoned<Out> alone(n);
    gemm(1, alone.data(), row.data(), w.data(), 1, n, k);
    for (const int m : {7, 65, 2, 15, 16, 17, 63, 64, 128, 130, 300}) {
      const bool everywhere = m == 7 || m == 65;
      std::vector<X> others = random_values<X>(m * k, 30.0f);
      from_float(NAN, &others[random_engine()() % others.size()]);
      for (int i = 0; i < (everywhere ? m : 2); ++i) {
        const int place = everywhere ? i : static_cast<int>(random_engine()() % m);
        std::vector<X> a = others;
        std::copy(row.begin(), row.end(), a.begin() + place * k);
        for (const int threads : {1, 2}) {
          Poisoned<Out> out(m * n);
          gemm(threads, out.data(), a.data(), w.data(), m, n, k);
          EXPECT_THAT(std::memcmp(&out[place * n], alone.data(), sizeof(Out) * n) == 0,
                      what + ": row " + std::to_string(place) + " of " + std::to_string(m) + ", " +
                          std::to_string(threads) + " threads, n = " + std::to_string(n) +
                          ", k = " + std::to_string(k));
        }
      }
    }
  }
}

template <typename X, typename Out>
void row_has_its_bits_anywhere(GemmTypes types) {
  row_has_its_bits_anywhere<X, Out>(remask_gemm_name(), [types](int threads, Out* out, const X* a,
                                                                const X* w, int m, int n, int k) {
    remask_gemm(out, a, w, m, n, k, types, false, threads, nullptr);
  });
}

template <typename X, typename Out>
void row_has_its_bits_anywhere(const KernelSet& set, GemmKernel<X, Out> kernel) {
  Scratch scratch;
  row_has_its_bits_anywhere<X, Out>(
      set.name, [&](int threads, Out* out, const X* a, const X* w, int m, int n, int k) {
        float* packed = static_cast<float*>(scratch.get(gemm_scratch_bytes(m, k)));
        kernel(threads, out, a, w, m, n, k, false, packed);
      });
}

void gemm_runs_on_several_threads_at_once() {
  const Size s = {46, 257, 256};
  const Data<bf16, bf16> data(s);
  Poisoned<bf16> expected(s.m * s.n);
  remask_gemm(expected.data(), data.a.data(), data.w.data(), s.m, s.n, s.k, GemmTypes::BF16_BF16,
              false, 2, nullptr);
  constexpr int kWorkers = 3, kRepeats = 20;
  std::vector<int> wrong(kWorkers, 0);
  std::vector<std::thread> workers;
  for (int worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&, worker] {
      for (int i = 0; i < kRepeats; ++i) {
        std::vector<bf16> out(s.m * s.n);
        remask_gemm(out.data(), data.a.data(), data.w.data(), s.m, s.n, s.k, GemmTypes::BF16_BF16,
                    false, 2, nullptr);
        wrong[worker] += std::memcmp(out.data(), expected.data(), sizeof(bf16) * out.size()) != 0;
      }
      remask_gemm_release();
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const int count : wrong) EXPECT_THAT(count == 0, "gemm on several threads at once");
}

void gemm_survives_more_shapes_than_its_cache_holds() {
  const auto a = random_values<float>(200 * 8), w = random_values<float>(3 * 8);
  for (int round = 0; round < 2; ++round) {
    for (int m = 1; m <= 150; ++m) {
      Poisoned<float> out(m * 3);
      remask_gemm(out.data(), a.data(), w.data(), m, 3, 8, GemmTypes::F32_F32, false, 1, nullptr);
      double last = 0;
      for (int k = 0; k < 8; ++k) last += static_cast<double>(a[(m - 1) * 8 + k]) * w[2 * 8 + k];
      EXPECT_THAT(std::fabs(out[m * 3 - 1] - last) < 1e-4, "m = " + std::to_string(m));
    }
  }
}

void gemm_refuses_empty_shapes() {
  std::string why;
  EXPECT_THAT(!remask_gemm(nullptr, nullptr, nullptr, 0, 3, 8, GemmTypes::F32_F32, false, 1, &why),
              "m = 0");
  EXPECT_THAT(why.find("at least 1") != std::string::npos, why);
}

}  // namespace

int main() {
  gemm_matches_reference<bf16, bf16>(GemmTypes::BF16_BF16);
  gemm_matches_reference<bf16, float>(GemmTypes::BF16_F32);
  gemm_matches_reference<float, float>(GemmTypes::F32_F32);
  for (const KernelSet* set : kernel_sets()) {
    own_gemm_matches_reference<bf16, bf16>(*set, set->gemm_bf16_bf16);
    own_gemm_matches_reference<bf16, float>(*set, set->gemm_bf16_f32);
    own_gemm_matches_reference<float, float>(*set, set->gemm_f32_f32);
    row_has_its_bits_anywhere<bf16, bf16>(*set, set->gemm_bf16_bf16);
    row_has_its_bits_anywhere<bf16, float>(*set, set->gemm_bf16_f32);
    row_has_its_bits_anywhere<float, float>(*set, set->gemm_f32_f32);
  }
  row_has_its_bits_anywhere<bf16, bf16>(GemmTypes::BF16_BF16);
  row_has_its_bits_anywhere<bf16, float>(GemmTypes::BF16_F32);
  row_has_its_bits_anywhere<float, float>(GemmTypes::F32_F32);
  gemm_runs_on_several_threads_at_once();
  gemm_survives_more_shapes_than_its_cache_holds();
  gemm_refuses_empty_shapes();
  return finish();
}
