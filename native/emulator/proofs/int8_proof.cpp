// The kernels of --quantize int8 against plain integers, bit for bit, at any shape and alignment.
#include <algorithm>
#include <cmath>

#include "proof.h"

using namespace remask::proof;

namespace {

using Byte = signed char;

std::size_t product(int a, int b) { return std::size_t(a) * std::size_t(b); }

std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

template <class T>
void quantize(Case& it, const char* kernel) {
  const int rows = it.size(12), skew = it.chance(0.2), threads = 32 * it.uniform(1, 8);
  int width = it.chance(0.1) ? it.uniform(4000, 9000) : it.size(1500, {4, 8, 256, 1024});
  if (it.chance(0.4)) width = (width + 7) / 8 * 8;
  const double deviation = it.any_of({1e-35, 1.0, 1e30});
  it.shape("quantize rows=%d width=%d skew=%d threads=%d deviation=%g", rows, width, skew, threads,
           deviation);
  const std::size_t n = product(rows, width);
  auto in = it.normal<T>(n + std::size_t(skew), deviation);
  T* const x = in.data() + skew;
  if (it.chance(0.2)) std::fill_n(x, width, T(0.0f));
  if (it.chance(0.2)) x[n - std::size_t(it.uniform(1, width))] = T(NAN);
  if (it.chance(0.2)) x[it.next() % unsigned(width)] = T(-INFINITY);
  auto out = it.output<Byte>(n + std::size_t(skew));
  auto scales = it.output<float>(std::size_t(rows));
  if (!it.wants(kernel)) return;
  it.launch(kernel, rows, threads, 0, out.data() + skew, scales.data(), static_cast<const T*>(x),
            rows, width);
  for (int row = 0; row < rows; row++) {
    const T* const from = x + product(row, width);
    float largest = 0;
    bool finite = true;
    for (int i = 0; i < width; i++) {
      finite = finite && std::isfinite(float(from[i]));
      largest = std::max(largest, std::fabs(float(from[i])));
    }
    const bool zero = !finite || largest < 0x1p-100f;
    const float scale = scales[std::size_t(row)], want = zero ? 0 : largest / 127.0f;
    if (finite ? bits_of(scale) != bits_of(want) : !std::isnan(scale)) {
      return it.wrong(kernel, "row %d has scale %g, not %g", row, double(scale), double(want));
    }
    const float factor = 127.0f / largest;
    for (int i = 0; i < width; i++) {
      const volatile float exact = float(from[i]) * factor;
      const int byte = zero ? 0 : int(std::nearbyint(exact));
      const int found = out[std::size_t(skew) + product(row, width) + std::size_t(i)];
      if (byte != found) {
        return it.wrong(kernel, "row %d has %d at %d, not %d", row, found, i, byte);
      }
    }
  }
}

enum Epilogue { kBf16, kF32, kResidual, kEpilogues };
constexpr const char* kKernels[kEpilogues] = {"gemm_int8_bf16", "gemm_int8_f32",
                                              "gemm_int8_residual"};

void multiply(Case& it) {
  const auto epilogue = Epilogue(it.uniform(0, kEpilogues - 1));
  const char* const kernel = kKernels[epilogue];
  const int m = it.size(150, {64}), n = it.size(270, {4, 128});
  int k = it.size(400, {4, 16, 64});
  if (it.chance(0.5)) k = (k + 15) / 16 * 16;
  const int a_skew = it.chance(0.1) ? it.uniform(1, 15) : 0;
  const int w_skew = it.chance(0.1) ? it.uniform(1, 15) : 0;
  const int out_skew = it.chance(0.1) ? it.uniform(1, 3) : 0;
  it.shape("%s m=%d n=%d k=%d skews=%d,%d,%d", kernel, m, n, k, a_skew, w_skew, out_skew);
  const auto bytes = [&](std::size_t count) {
    return it.filled<Byte>(count, [&] { return Byte(it.uniform(-127, 127)); });
  };
  const auto positive = [&](int count) {
    return it.filled<float>(std::size_t(count), [&] { return float(0.02 * it.uniform_real()); });
  };
  auto a = bytes(product(m, k) + std::size_t(a_skew));
  auto w = bytes(product(n, k) + std::size_t(w_skew));
  auto a_scales = positive(m), w_scales = positive(n);
  auto before = it.normal<float>(product(m, n));
  if (!it.wants(kernel)) return;
  const Byte* const a_rows = a.data() + a_skew;
  const Byte* const w_rows = w.data() + w_skew;
  const std::size_t skew = std::size_t(out_skew), size = product(m, n) + skew;
  const Dim3 grid((m + 63) / 64, (n + 127) / 128);
  std::vector<float> found;
  // Of element-wise loads g++ makes other stores than nvcc.
  const bool counts = a_skew == 0 && w_skew == 0 && k % 16 == 0 && it.chance(0.3);
  if (counts) it.count_banks();
  const auto launch = [&](auto* out) {
    it.launch(kernel, grid, 128, 0, out + skew, a_rows, static_cast<const float*>(a_scales.data()),
              w_rows, static_cast<const float*>(w_scales.data()), m, n, k);
    if (counts) it.expect_no_bank_conflicts(kernel);
    for (std::size_t i = skew; i < size; i++) found.push_back(float(out[i]));
  };
  if (epilogue == kBf16) {
    auto out = it.output<bf16>(size);
    launch(out.data());
  } else {
    auto out = it.output<float>(size);
    if (epilogue == kResidual) std::copy_n(before.data(), size - skew, out.data() + skew);
    launch(out.data());
  }
  for (int row = 0; row < m; row++) {
    for (int column = 0; column < n; column++) {
      int sum = 0;
      for (int i = 0; i < k; i++)
        sum +=
            a_rows[product(row, k) + std::size_t(i)] * w_rows[product(column, k) + std::size_t(i)];
      const std::size_t at = product(row, n) + std::size_t(column);
      const volatile float scaled = float(sum) * a_scales[std::size_t(row)];
      const float w_scale = w_scales[std::size_t(column)];
      float want =
          epilogue == kResidual ? std::fmaf(scaled, w_scale, before[at]) : scaled * w_scale;
      if (epilogue == kBf16) want = float(bf16(want));
      if (bits_of(want) != bits_of(found[at])) {
        return it.wrong(kernel, "row %d, column %d: %.9g, not bit for bit %.9g", row, column,
                        double(found[at]), double(want));
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 120);
  return proof.run([](Case& it) {
    switch (it.seed() % 3) {
      case 0:
        return quantize<bf16>(it, "quantize_rows_bf16");
      case 1:
        return quantize<float>(it, "quantize_rows_f32");
      default:
        return multiply(it);
    }
  });
}
