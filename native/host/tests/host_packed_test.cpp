// Products by packed weights, and what their kernels do with the sums, in every instruction set.
#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <utility>

#include "gemm.h"
#include "gemm_packed.h"
#include "host_testing.h"
#include "scratch.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr int kStrip = 16;

struct Size {
  int m, n, k;
};
// Rows below, at and above tiles and groups of them; n and k that are multiples of nothing; k on
// both sides of what is done at a time.
const Size kSizes[] = {{1, 1, 1},     {1, 7, 33},    {2, 64, 64},    {3, 130, 257},  {4, 33, 512},
                       {5, 1013, 96}, {6, 48, 300},  {7, 33, 65},    {8, 16, 2},     {13, 17, 31},
                       {14, 96, 256}, {15, 96, 258}, {33, 65, 7},    {46, 768, 256}, {54, 200, 513},
                       {65, 1, 64},   {113, 66, 40}, {300, 257, 70}, {257, 200, 33}};

std::string describe(const std::string& what, const Size& s) {
  return what + " " + std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
}

// Whether the set multiplies bf16 two at a time, and so rounds sums otherwise than simd_gemm.h.
bool sums_by_pairs(const KernelSet& set) { return std::strcmp(set.name, "avx512_bf16") == 0; }

template <typename X>
std::vector<X> packed(std::vector<X> w, int n, int k, int threads = 1) {
  pack_weight(launch(threads), w.data(), n, k);
  return w;
}

constexpr int kMostThreads = 5;

// Scratch whose content is NaN: what is read must have been written.
float* poisoned_scratch(int m, int k) {
  static Scratch scratch;
  void* memory = scratch.get(packed_scratch_bytes(m, k, kMostThreads));
  std::memset(memory, 0xff, packed_scratch_bytes(m, k, kMostThreads));
  return static_cast<float*>(memory);
}

// The sums in double arithmetic, and how far f32 sums of any order may be from them.
struct Reference {
  std::vector<double> sums, errors;

  template <typename X>
  Reference(const Size& s, const std::vector<X>& a, const std::vector<X>& w)
      : sums(std::size_t(s.m) * s.n), errors(sums.size()) {
    std::vector<float> wide_a(a.size()), wide_w(w.size());
    for (std::size_t i = 0; i < a.size(); ++i) wide_a[i] = to_float(a[i]);
    for (std::size_t i = 0; i < w.size(); ++i) wide_w[i] = to_float(w[i]);
    for (int i = 0; i < s.m * s.n; ++i) {
      double norm = 0;
      for (int k = 0; k < s.k; ++k) {
        const double product =
            static_cast<double>(wide_a[i / s.n * s.k + k]) * wide_w[i % s.n * s.k + k];
        sums[i] += product;
        norm += std::fabs(product);
      }
      errors[i] = norm * (s.k + 1) * kF32Roundoff;
    }
  }
};

// Each element of w lies where the format says.
template <typename X>
void weights_are_packed_in_place() {
  constexpr int kGroup = sizeof(X) == 2 ? 2 : 1;
  for (const auto& [n, k] : {std::pair(1, 1), std::pair(16, 2), std::pair(16, 3), std::pair(15, 64),
                             std::pair(17, 33), std::pair(130, 257), std::pair(700, 999)}) {
    const std::vector<X> w = random_values<X>(std::size_t(n) * k);
    for (const int threads : {1, 3}) {
      const std::vector<X> result = packed(w, n, k, threads);
      int wrong = 0;
      for (int column = 0; column < n; ++column) {
        const int strip = column / kStrip * kStrip, width = std::min(kStrip, n - strip);
        for (int i = 0; i < k; ++i) {
          const int group = i - i % kGroup, together = std::min(kGroup, k - group);
          const std::size_t at = std::size_t(strip) * k + std::size_t(group) * width +
                                 std::size_t(column - strip) * together + (i - group);
          wrong += std::memcmp(&result[at], &w[std::size_t(column) * k + i], sizeof(X)) != 0;
        }
      }
      EXPECT_THAT(wrong == 0, describe("packed format", {0, n, k}));
    }
  }
}

template <typename X, typename Out>
struct Kernels {
  const KernelSet& set;
  PackedKernel<X, Out> packed;
  GemmKernel<X, Out> rows;
};

// What every kernel's result may be off, and that it is the same for any number of threads.
template <typename X, typename Out>
void product_matches_reference(const Kernels<X, Out>& kernels) {
  for (const Size& s : kSizes) {
    const auto a = random_values<X>(std::size_t(s.m) * s.k);
    const auto w = random_values<X>(std::size_t(s.n) * s.k);
    const Walled<X> in_strips(packed(w, s.n, s.k)), walled_a(a);
    const Reference reference(s, a, w);
    Poisoned<Out> out(std::size_t(s.m) * s.n);
    kernels.packed(1, out.data(), walled_a.data(), in_strips.data(), s.m, s.n, s.k,
                   poisoned_scratch(s.m, s.k));
    Comparison compare(describe(kernels.set.name, s));
    for (int i = 0; i < s.m * s.n; ++i) {
      compare.add(i, to_float(out[i]), reference.sums[i],
                  std::fabs(reference.sums[i]) * kRoundoff<Out> + reference.errors[i] + kTiny<Out>);
    }
    for (const int threads : {2, 5}) {
      Poisoned<Out> again(std::size_t(s.m) * s.n);
      kernels.packed(threads, again.data(), walled_a.data(), in_strips.data(), s.m, s.n, s.k,
                     poisoned_scratch(s.m, s.k));
      EXPECT_THAT(again.copy() == out.copy(), describe("threads change bits", s));
    }
    if (sizeof(X) == 2 && sums_by_pairs(kernels.set)) continue;
    Scratch scratch;
    Poisoned<Out> by_rows(std::size_t(s.m) * s.n);
    kernels.rows(1, by_rows.data(), a.data(), w.data(), s.m, s.n, s.k, false,
                 static_cast<float*>(scratch.get(gemm_scratch_bytes(s.m, s.k))));
    EXPECT_THAT(by_rows.copy() == out.copy(),
                describe(std::string(kernels.set.name) + ": other bits than rows", s));
  }
}

// A row's bits are the same alone and at every place, whatever stands beside it.
template <typename Out, typename X, typename Kernel>
void row_has_its_bits_anywhere(const std::string& what, int width, int n, int k,
                               const Kernel& kernel) {
  const auto row = random_values<X>(k), w = packed(random_values<X>(std::size_t(n) * k), n, k);
  std::vector<Out> alone(width);
  kernel(1, alone.data(), row.data(), w.data(), 1, n, k);
  for (const int m : {2, 4, 7, 8, 13, 15, 29, 64, 127, 230}) {
    std::vector<X> others = random_values<X>(std::size_t(m) * k, 30.0f);
    from_float(NAN, &others[random_engine()() % others.size()]);
    const bool everywhere = m <= 15;
    for (int i = 0; i < (everywhere ? m : 4); ++i) {
      const int place = everywhere ? i : static_cast<int>(random_engine()() % m);
      std::vector<X> a = others;
      std::copy(row.begin(), row.end(), a.begin() + std::size_t(place) * k);
      for (const int threads : {1, 2}) {
        std::vector<Out> out(std::size_t(m) * width);
        kernel(threads, out.data(), a.data(), w.data(), m, n, k);
        EXPECT_THAT(
            std::memcmp(&out[std::size_t(place) * width], alone.data(), sizeof(Out) * width) == 0,
            what + ": row " + std::to_string(place) + " of " + std::to_string(m) + ", " +
                std::to_string(threads) + " threads, n = " + std::to_string(n) +
                ", k = " + std::to_string(k));
      }
    }
  }
}

template <typename X>
void residual_gets_the_sums(const KernelSet& set, PackedKernel<X, float> kernel) {
  for (const Size& s : kSizes) {
    const auto a = random_values<X>(std::size_t(s.m) * s.k);
    const auto w = random_values<X>(std::size_t(s.n) * s.k);
    const Walled<X> in_strips(packed(w, s.n, s.k));
    const auto before = random_values<float>(std::size_t(s.m) * s.n);
    const Reference reference(s, a, w);
    Poisoned<float> residual(before.size());
    std::memcpy(residual.data(), before.data(), sizeof(float) * before.size());
    kernel(2, residual.data(), a.data(), in_strips.data(), s.m, s.n, s.k,
           poisoned_scratch(s.m, s.k));
    Comparison compare(describe(std::string(set.name) + " residual", s));
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double sum = before[i] + reference.sums[i];
      compare.add(i, residual[i], sum, reference.errors[i] + std::fabs(sum) * 2 * kF32Roundoff);
    }
  }
  row_has_its_bits_anywhere<float, X>(
      std::string(set.name) + " residual", 66, 66, 70,
      [&](int threads, float* out, const X* a, const X* w, int m, int n, int k) {
        kernel(threads, out, a, w, m, n, k, poisoned_scratch(m, k));
      });
}

template <typename X>
void gates_open_by_the_sums(const KernelSet& set, PackedKernel<X, X> kernel) {
  for (Size s : kSizes) {
    const int width = (s.n + 1) / 2;
    s.n = 2 * width;
    const auto a = random_values<X>(std::size_t(s.m) * s.k, 0.3f);
    const auto w = random_values<X>(std::size_t(s.n) * s.k, 0.3f);
    const Walled<X> in_strips(packed(w, s.n, s.k));
    const Reference reference(s, a, w);
    Poisoned<X> out(std::size_t(s.m) * width);
    kernel(2, out.data(), a.data(), in_strips.data(), s.m, s.n, s.k, poisoned_scratch(s.m, s.k));
    Comparison compare(describe(std::string(set.name) + " swiglu", s));
    for (int i = 0; i < s.m * width; ++i) {
      const std::size_t gate_at = std::size_t(i / width) * s.n + i % width, up_at = gate_at + width;
      const double gate = reference.sums[gate_at], up = reference.sums[up_at];
      const double silu = gate / (1 + std::exp(-gate)), result = silu * up;
      // |silu'| <= 1.1; the gate's error enters by it, the up's by silu, the exponential's by at
      // most its share of the quotient; then four roundings.
      const double error = 1.1 * reference.errors[gate_at] * std::fabs(up) +
                           reference.errors[up_at] * std::fabs(silu) +
                           1.1 * reference.errors[gate_at] * reference.errors[up_at] +
                           std::fabs(result) * (kExpError + 4 * kF32Roundoff);
      compare.add(i, to_float(out[i]), result,
                  std::fabs(result) * kRoundoff<X> + error * (1 + kRoundoff<X>)+kTiny<X>);
    }
  }
  row_has_its_bits_anywhere<X, X>(
      std::string(set.name) + " swiglu", 33, 66, 70,
      [&](int threads, X* out, const X* a, const X* w, int m, int n, int k) {
        kernel(threads, out, a, w, m, n, k, poisoned_scratch(m, k));
      });
}

struct HeadShape {
  int m, k, heads, kv_heads, head_dim;
  bool moved;  // rows of k and v go elsewhere
};

template <typename X>
void heads_turn_and_part(const KernelSet& set, PackedRopeKernel<X> kernel) {
  constexpr int kPositions = 40;
  for (const HeadShape& h : {HeadShape{1, 33, 1, 1, 2, false}, HeadShape{5, 70, 3, 1, 6, true},
                             HeadShape{14, 64, 2, 2, 64, false}, HeadShape{29, 257, 4, 2, 64, true},
                             HeadShape{3, 40, 2, 1, 128, true}, HeadShape{120, 30, 3, 3, 20, true},
                             HeadShape{31, 9, 1, 1, 512, false}}) {
    const int all = h.heads + 2 * h.kv_heads, half = h.head_dim / 2;
    const Size s = {h.m, all * h.head_dim, h.k};
    const auto a = random_values<X>(std::size_t(s.m) * s.k);
    const auto w = random_values<X>(std::size_t(s.n) * s.k);
    const Walled<X> in_strips(packed(w, s.n, s.k));
    const Reference reference(s, a, w);
    const auto cos_sin = random_values<float>(std::size_t(kPositions) * h.head_dim);
    const int q_stride = h.heads * h.head_dim + 3, kv_stride = h.kv_heads * h.head_dim + 5;
    std::vector<int> positions(h.m), kv_rows(h.m);
    for (int r = 0; r < h.m; ++r) {
      positions[r] = static_cast<int>(random_engine()() % kPositions);
      kv_rows[r] = h.moved ? 2 * (h.m - 1 - r) + 1 : r;
    }
    Poisoned<X> q(std::size_t(h.m) * q_stride), keys(std::size_t(2) * h.m * kv_stride),
        values(std::size_t(2) * h.m * kv_stride);
    std::vector<bool> written[3] = {std::vector<bool>(q.size()), std::vector<bool>(keys.size()),
                                    std::vector<bool>(values.size())};
    const PackedHeads<X> to = {q.data(),       keys.data(),      values.data(),
                               cos_sin.data(), positions.data(), h.moved ? kv_rows.data() : nullptr,
                               h.heads,        h.kv_heads,       h.head_dim,
                               q_stride,       kv_stride};
    kernel(2, to, a.data(), in_strips.data(), s.m, s.n, s.k, poisoned_scratch(s.m, s.k));
    Comparison compare(describe(std::string(set.name) + " rope", s));
    for (int r = 0; r < h.m; ++r) {
      for (int c = 0; c < s.n; ++c) {
        const int head = c / h.head_dim, i = c % h.head_dim;
        const int part = head < h.heads ? 0 : head < h.heads + h.kv_heads ? 1 : 2;
        const int own_head = head - (part > 0 ? h.heads : 0) - (part > 1 ? h.kv_heads : 0);
        const std::size_t at =
            part == 0 ? std::size_t(r) * q_stride + own_head * h.head_dim + i
                      : std::size_t(kv_rows[r]) * kv_stride + own_head * h.head_dim + i;
        const std::size_t sum_at = std::size_t(r) * s.n + c;
        double result = reference.sums[sum_at], error = reference.errors[sum_at];
        if (part < 2) {
          const float* pair = &cos_sin[std::size_t(positions[r]) * h.head_dim + 2 * (i % half)];
          const std::size_t other_at = i < half ? sum_at + half : sum_at - half;
          const double sine = i < half ? -pair[1] : pair[1];
          const double first = result * pair[0], second = reference.sums[other_at] * sine;
          error = error * std::fabs(pair[0]) + reference.errors[other_at] * std::fabs(sine) +
                  (std::fabs(first) + std::fabs(second)) * 2 * kF32Roundoff;
          result = first + second;
        }
        const Poisoned<X>& from = part == 0 ? q : part == 1 ? keys : values;
        written[part][at] = true;
        compare.add(sum_at, to_float(from[at]), result,
                    std::fabs(result) * kRoundoff<X> + error * (1 + kRoundoff<X>)+kTiny<X>);
      }
    }
    const X untouched = Poisoned<X>(1)[0];
    for (int part = 0; part < 3; ++part) {
      const Poisoned<X>& target = part == 0 ? q : part == 1 ? keys : values;
      for (std::size_t i = 0; i < target.size(); ++i) {
        EXPECT_THAT(written[part][i] || std::memcmp(&target[i], &untouched, sizeof(X)) == 0,
                    "rope wrote between its rows");
      }
    }
  }
  const auto turns = random_values<float>(64);
  const std::vector<int> positions(300, 0);
  row_has_its_bits_anywhere<X, X>(
      std::string(set.name) + " rope", 4 * 64, 4 * 64, 70,
      [&](int threads, X* out, const X* a, const X* w, int m, int n, int k) {
        const PackedHeads<X> to = {
            out, out + 128, out + 192, turns.data(), positions.data(), nullptr, 2, 1, 64, n, n};
        kernel(threads, to, a, w, m, n, k, poisoned_scratch(m, k));
      });
}

template <typename X, typename Out>
void product_is_right(const Kernels<X, Out>& kernels) {
  product_matches_reference(kernels);
  for (const auto& [n, k] : {std::pair(150, 70), std::pair(33, 300), std::pair(1, 257)}) {
    row_has_its_bits_anywhere<Out, X>(
        kernels.set.name, n, n, k,
        [&](int threads, Out* out, const X* a, const X* w, int m, int, int) {
          kernels.packed(threads, out, a, w, m, n, k, poisoned_scratch(m, k));
        });
  }
}

// The kernels as the device calls them, without a set: their scratch, their refusals.
void kernels_refuse_shapes_that_they_cannot_run() {
  const auto refuses = [](auto body) {
    try {
      body();
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  std::vector<float> x(64), out(64);
  const RemaskLaunch one = launch(1);
  EXPECT_THAT(refuses([&] { gemm_packed(one, out.data(), x.data(), x.data(), 0, 1, 1); }), "m = 0");
  EXPECT_THAT(refuses([&] { gemm_packed(one, out.data(), x.data(), x.data(), 1, 1, 0); }), "k = 0");
  EXPECT_THAT(refuses([&] { pack_weight(one, x.data(), 0, 4); }), "n = 0");
  EXPECT_THAT(refuses([&] { gemm_packed_swiglu(one, out.data(), x.data(), x.data(), 1, 3, 1); }),
              "odd n");
  const auto rope = [&](int n, int head_dim) {
    gemm_packed_rope<float>(one, out.data(), out.data(), out.data(), x.data(), nullptr, nullptr,
                            x.data(), x.data(), 1, n, 1, 1, 1, head_dim, 8, 8);
  };
  EXPECT_THAT(refuses([&] { rope(9, 3); }), "odd head_dim");
  EXPECT_THAT(refuses([&] { rope(10, 4); }), "n is no multiple of heads");
  EXPECT_THAT(refuses([&] { rope(3 * 514, 514); }), "head_dim of 514");
  x.assign(64, 1.0f);
  gemm_packed(one, out.data(), x.data(), x.data(), 2, 3, 5);
  EXPECT_THAT(out[0] == 5 && out[5] == 5, "a product by the kernel of the device");
  remask_gemm_release();
}

}  // namespace

int main() {
  weights_are_packed_in_place<bf16>();
  weights_are_packed_in_place<float>();
  for (const KernelSet* set : kernel_sets()) {
    product_is_right<bf16, bf16>({*set, set->gemm_packed_bf16_bf16, set->gemm_bf16_bf16});
    product_is_right<bf16, float>({*set, set->gemm_packed_bf16_f32, set->gemm_bf16_f32});
    product_is_right<float, float>({*set, set->gemm_packed_f32_f32, set->gemm_f32_f32});
    residual_gets_the_sums<bf16>(*set, set->gemm_packed_residual_bf16);
    residual_gets_the_sums<float>(*set, set->gemm_packed_residual_f32);
    gates_open_by_the_sums<bf16>(*set, set->gemm_packed_swiglu_bf16);
    gates_open_by_the_sums<float>(*set, set->gemm_packed_swiglu_f32);
    heads_turn_and_part<bf16>(*set, set->gemm_packed_rope_bf16);
    heads_turn_and_part<float>(*set, set->gemm_packed_rope_f32);
  }
  kernels_refuse_shapes_that_they_cannot_run();
  return finish();
}
