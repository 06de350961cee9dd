// The kernels of --quantize int8, in every table of instructions, against plain integers: the same
// bits, whatever the shape, the threads and the rows beside a row.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "host_testing.h"
#include "int8.h"
#include "scratch.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

std::vector<const Int8Kernels*> tables() {
  int count = 0;
  const Int8Kernels* const* all = runnable_int8_kernels(&count);
  return std::vector<const Int8Kernels*>(all, all + count);
}

std::vector<std::int8_t> random_bytes(std::size_t count) {
  std::uniform_int_distribution<int> uniform(-127, 127);
  std::vector<std::int8_t> bytes(count);
  for (std::int8_t& byte : bytes) byte = static_cast<std::int8_t>(uniform(random_engine()));
  return bytes;
}

std::vector<float> random_scales(std::size_t count) {
  std::vector<float> scales = random_values<float>(count, 0.01f);
  for (float& scale : scales) scale = std::fabs(scale);
  return scales;
}

struct Product {
  int m, n, k;
  std::vector<std::int8_t> a, w;
  std::vector<float> a_scales, w_scales, before;

  Product(int m, int n, int k)
      : m(m),
        n(n),
        k(k),
        a(random_bytes(std::size_t(m) * k)),
        w(random_bytes(std::size_t(n) * k)),
        a_scales(random_scales(m)),
        w_scales(random_scales(n)),
        before(random_values<float>(std::size_t(m) * n)) {}

  std::string text() const {
    return std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  }
  float scaled(int row, int column) const {
    long long sum = 0;
    for (int i = 0; i < k; ++i) {
      sum += a[std::size_t(row) * k + i] * w[std::size_t(column) * k + i];
    }
    return static_cast<float>(sum) * a_scales[row];
  }
};

float as_float(float x) { return x; }
float as_float(bf16 x) { return to_float(x); }

template <typename Out>
void product_is_exact(const std::string& what, GemmInt8Kernel<Out> gemm, bool adds,
                      const Product& p) {
  Scratch scratch;
  const Walled<std::int8_t> a(p.a), w(p.w);
  const Walled<float> a_scales(p.a_scales), w_scales(p.w_scales);
  for (const int threads : {1, 2, 5}) {
    Poisoned<Out> out(std::size_t(p.m) * p.n);
    if (adds) std::memcpy(out.data(), p.before.data(), sizeof(float) * p.before.size());
    void* memory = scratch.get(int8_scratch_bytes(p.m, p.k));
    std::memset(memory, 0x7e, int8_scratch_bytes(p.m, p.k));
    gemm(threads, out.data(), a.data(), a_scales.data(), w.data(), w_scales.data(), p.m, p.n, p.k,
         memory);
    int wrong = 0;
    for (int i = 0; i < p.m * p.n; ++i) {
      const float scaled = p.scaled(i / p.n, i % p.n), w_scale = p.w_scales[i % p.n];
      Out expected;
      from_float(adds ? std::fmaf(scaled, w_scale, p.before[i]) : scaled * w_scale, &expected);
      wrong += as_float(expected) != as_float(out[i]);
    }
    EXPECT_THAT(wrong == 0, what + " " + p.text() + ", " + std::to_string(threads) +
                                " threads: " + std::to_string(wrong) + " elements");
  }
}

void products_are_exact(const Int8Kernels& table, const Product& p) {
  const std::string name = table.name;
  product_is_exact<bf16>(name + " bf16", table.gemm_int8_bf16, false, p);
  product_is_exact<float>(name + " f32", table.gemm_int8_f32, false, p);
  product_is_exact<float>(name + " residual", table.gemm_int8_residual, true, p);
}

// All of the greatest magnitude, both signs: 16-bit sums of two products would saturate.
void extremes_are_exact(const Int8Kernels& table) {
  for (const int m : {1, 3, 20}) {
    for (const int sign : {1, -1}) {
      Product p(m, 7, 5000);
      std::fill(p.a.begin(), p.a.end(), std::int8_t(127));
      std::fill(p.w.begin(), p.w.end(), std::int8_t(127 * sign));
      products_are_exact(table, p);
    }
  }
}

template <typename X>
void rows_are_quantized(const std::string& what, QuantizeRowsKernel<X> quantize) {
  for (const int width : {1, 3, 15, 16, 17, 31, 64, 70, 257, 1000}) {
    constexpr int kRows = 9;
    std::vector<X> in = random_values<X>(kRows * width, 3.0f);
    for (int i = 0; i < width; ++i) {
      from_float(0, &in[width + i]);
      from_float(1e-38f, &in[2 * width + i]);
      from_float(1e38f * (i % 2 == 0 ? 1 : -1), &in[3 * width + i]);
      from_float(0.5f * float(i - width / 2), &in[4 * width + i]);  // ties
    }
    from_float(NAN, &in[5 * width + width / 2]);
    from_float(-std::numeric_limits<float>::infinity(), &in[6 * width + width / 2]);
    for (const int threads : {1, 3}) {
      const Walled<X> walled_in(in);
      Poisoned<std::int8_t> out(kRows * width);
      Poisoned<float> scales(kRows);
      quantize(launch(threads, kRows), out.data(), scales.data(), walled_in.data(), kRows, width);
      for (int row = 0; row < kRows; ++row) {
        float largest = 0;
        bool finite = true;
        for (int i = 0; i < width; ++i) {
          const float x = std::fabs(as_float(in[row * width + i]));
          finite = finite && std::isfinite(x);
          largest = x > largest ? x : largest;
        }
        const bool zero = !finite || largest < 0x1p-100f;
        const std::string where = what + " width " + std::to_string(width) + ", row " +
                                  std::to_string(row) + ", " + std::to_string(threads) + " threads";
        EXPECT_THAT(finite ? scales[row] == (zero ? 0 : largest / 127.0f) : std::isnan(scales[row]),
                    where);
        int wrong = 0;
        const float factor = 127.0f / largest;
        for (int i = 0; i < width; ++i) {
          const float product = as_float(in[row * width + i]) * factor;
          wrong += out[row * width + i] != (zero ? 0 : static_cast<int>(std::nearbyintf(product)));
        }
        EXPECT_THAT(wrong == 0, where + ": " + std::to_string(wrong) + " elements");
      }
    }
  }
}

// Each set has the vectors that it was chosen for, and what multiplies bytes where there is that.
void sets_have_their_own_tables() {
  const std::vector<const Int8Kernels*> all = tables();
  for (const KernelSet* set : kernel_sets()) {
    const std::string name = set->name, vectors = name.substr(0, name.find('_'));
    std::string expected = vectors;
    for (const Int8Kernels* table : all) {
      if (table->name == vectors + "_vnni") expected = table->name;
    }
    EXPECT_THAT(int8_kernels_of(*set).name == expected,
                name + " has the table " + int8_kernels_of(*set).name);
  }
}

// The kernels as the device calls them.
void kernels_refuse_shapes_that_they_cannot_run() {
  const std::int8_t bytes[8] = {1, 2, 3, 4};
  const float scales[1] = {1};
  const auto refuses = [&](int m, int n, int k) {
    float out = 0;
    try {
      gemm_int8_f32(launch(1), &out, bytes, scales, bytes, scales, m, n, k);
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  EXPECT_THAT(refuses(0, 1, 4), "m = 0");
  EXPECT_THAT(refuses(1, 0, 4), "n = 0");
  EXPECT_THAT(refuses(1, 1, 0), "k = 0");
  EXPECT_THAT(refuses(1, 1, 133145), "sums that do not fit");
  EXPECT_THAT(!refuses(1, 1, 4), "a product");
}

}  // namespace

int main() {
  const std::vector<Product> products = {
      {1, 1, 1},     {1, 5, 3},     {1, 130, 257}, {2, 67, 64},   {3, 33, 65},   {4, 49, 200},
      {5, 16, 63},   {7, 31, 513},  {8, 70, 128},  {9, 48, 1030}, {15, 50, 64},  {16, 1, 600},
      {17, 95, 33},  {31, 12, 127}, {32, 33, 256}, {48, 29, 100}, {63, 47, 512}, {64, 49, 511},
      {65, 100, 70}, {130, 3, 40},  {300, 97, 19}, {270, 11, 1},  {12, 230, 2}};
  for (const Int8Kernels* table : tables()) {
    rows_are_quantized<bf16>(std::string(table->name) + " bf16", table->quantize_rows_bf16);
    rows_are_quantized<float>(std::string(table->name) + " f32", table->quantize_rows_f32);
    for (const Product& p : products) products_are_exact(*table, p);
    extremes_are_exact(*table);
    std::printf("%s\n", table->name);
  }
  sets_have_their_own_tables();
  kernels_refuse_shapes_that_they_cannot_run();
  return finish();
}
