// Kernels that work on one row at a time, against double: RMSNorm with residual, RoPE, SwiGLU,
// embedding, gather and store_kv, at any width, grid and alignment.
#include <algorithm>
#include <cstring>

#include "proof.h"

using namespace remask::proof;

namespace {

constexpr double kF32 = 0x1p-24;  // unit roundoff
template <class T>
constexpr double kRoundoff = sizeof(T) == 2 ? 0x1p-8 : kF32;

std::size_t product(int a, int b) { return std::size_t(a) * std::size_t(b); }

// An array of which kernels get the elements behind `skew`, which may break the alignment.
template <class T>
struct Skewed {
  Array<T> all;
  int skew;

  T* data() const { return all.data() + skew; }
  const T* read() const { return data(); }
  T& operator[](std::size_t i) const { return data()[i]; }
  // Those elements as doubles.
  std::vector<double> values() const {
    std::vector<double> doubles;
    for (std::size_t i = std::size_t(skew); i < all.size(); i++) doubles.push_back(double(all[i]));
    return doubles;
  }
};

// One row shape and what all kernels of this file draw alike.
struct Rows {
  Case& it;
  int rows, width, skew, threads, chunks;

  explicit Rows(Case& it)
      : it(it),
        rows(it.size(20)),
        width(it.chance(0.1) ? it.uniform(4000, 9000) : it.size(1500, {4, 8, 256, 1024})),
        skew(it.chance(0.2)),
        threads(32 * it.uniform(1, 8)),
        chunks(it.uniform(1, 3)) {
    if (it.chance(0.4)) width = (width + 7) / 8 * 8;  // what vectors need
  }
  template <class T>
  Skewed<T> normal(std::size_t count, double deviation = 1) const {
    return {it.normal<T>(count + std::size_t(skew), deviation), skew};
  }
  template <class T>
  Skewed<T> output(std::size_t count) const {
    return {it.output<T>(count + std::size_t(skew)), skew};
  }
  void shape(const char* what) const {
    it.shape("%s rows=%d width=%d skew=%d threads=%d chunks=%d", what, rows, width, skew, threads,
             chunks);
  }
  Array<int> index(int below) const {
    return it.filled<int>(std::size_t(rows), [&] { return it.uniform(0, below - 1); });
  }
};

template <class T>
void rmsnorm(Case& it, const char* kernel) {
  const Rows r(it);
  const bool with_delta = it.chance(0.7);
  const double deviation = it.any_of({1e-4, 1.0, 100.0});
  const float epsilon = 1e-5f;
  r.shape(with_delta ? "rmsnorm with delta" : "rmsnorm");
  const std::size_t n = product(r.rows, r.width), width = std::size_t(r.width);
  auto residual = r.normal<float>(n, 3 * deviation);
  auto delta = r.normal<T>(n, deviation);
  auto weight = r.normal<T>(width);
  auto out = r.output<T>(n);
  std::vector<double> sum(n), want(n);
  for (std::size_t begin = 0; begin < n; begin += width) {
    double squares = 0;
    for (std::size_t i = begin; i < begin + width; i++) {
      const float change = with_delta ? float(delta[i]) : 0.0f;
      sum[i] = double(residual[i] + change);  // one f32 addition, exact to the bit
      squares += sum[i] * sum[i];
    }
    const double scale = 1 / std::sqrt(squares / r.width + double(epsilon));
    for (std::size_t i = begin; i < begin + width; i++) {
      want[i] = sum[i] * scale * double(weight[i - begin]);
    }
  }
  it.launch(kernel, r.rows, r.threads, 0, out.data(), residual.data(),
            with_delta ? delta.read() : nullptr, weight.read(), r.rows, r.width, epsilon);
  it.expect_close(kernel, residual.values(), sum, 0);
  // A thread's chain of squares, the tree, root, mean, two products; one rounding to the type.
  const double chain = double(r.width) / r.threads + 16;
  it.expect_close(kernel, out.values(), want, kRoundoff<T> + (chain / 2 + 8) * kF32);
}

template <class T>
void rope(Case& it, const char* kernel) {
  const Rows r(it);
  const int half = it.any_of({1, 3, 8, 32, 64}), head_dim = 2 * half, heads = it.uniform(1, 12);
  const int rotated = it.uniform(1, heads), positions_known = 50;
  const int stride = heads * head_dim + (it.chance(0.5) ? 0 : it.uniform(1, 16));
  it.shape("rope rows=%d heads=%d of %d, rotated=%d stride=%d skew=%d threads=%d chunks=%d", r.rows,
           heads, head_dim, rotated, stride, r.skew, r.threads, r.chunks);
  auto x = r.normal<T>(product(r.rows, stride));
  auto angles = r.normal<float>(product(positions_known, head_dim));
  const auto positions = r.index(positions_known);
  std::vector<double> want = x.values();
  const std::vector<double> before = want;
  for (int row = 0; row < r.rows; row++) {
    for (int i = 0; i < rotated * half; i++) {
      const std::size_t a = product(row, stride) + std::size_t(i / half * head_dim + i % half);
      const std::size_t b = a + std::size_t(half);
      const std::size_t turn =
          product(positions[std::size_t(row)], head_dim) + 2 * std::size_t(i % half);
      const double cosine = double(angles[turn]), sine = double(angles[turn + 1]);
      want[a] = before[a] * cosine - before[b] * sine;
      want[b] = before[b] * cosine + before[a] * sine;
    }
  }
  it.launch(kernel, {r.rows, r.chunks}, r.threads, 0, x.data(), angles.read(),
            static_cast<const int*>(positions.data()), r.rows, stride, rotated, head_dim);
  const std::vector<double> after = x.values();
  it.expect_close(kernel, after, want, kRoundoff<T> + 4 * kF32);
  for (std::size_t i = 0; i < after.size(); i++) {
    if (int(i % std::size_t(stride)) >= rotated * head_dim && after[i] != before[i]) {
      return it.wrong(kernel, "element %zu beyond the rotated heads changed", i);
    }
  }
}

template <class T>
void swiglu(Case& it, const char* kernel) {
  const Rows r(it);
  r.shape("swiglu");
  auto gate_up = r.normal<T>(2 * product(r.rows, r.width), it.any_of({1.0, 30.0}));
  auto out = r.output<T>(product(r.rows, r.width));
  std::vector<double> want;
  for (int row = 0; row < r.rows; row++) {
    for (int i = 0; i < r.width; i++) {
      const std::size_t at = 2 * product(row, r.width) + std::size_t(i);
      const double gate = double(gate_up[at]), up = double(gate_up[at + std::size_t(r.width)]);
      want.push_back(gate / (1 + std::exp(-gate)) * up);
    }
  }
  it.launch(kernel, {r.rows, r.chunks}, r.threads, 0, out.data(), gate_up.read(), r.rows, r.width);
  it.expect_close(kernel, out.values(), want, kRoundoff<T> + 10 * kF32);
}

// Copies, to the bit.
template <class T, class Out>
void expect_rows(const Rows& r, const char* kernel, const Skewed<T>& from, const Array<int>& index,
                 const Skewed<Out>& out) {
  for (std::size_t i = 0; i < product(r.rows, r.width); i++) {
    const int row = index[i / std::size_t(r.width)];
    const std::size_t at = product(row, r.width) + i % std::size_t(r.width);
    if (float(out[i]) != float(from[at])) {
      return r.it.wrong(kernel, "element %zu is %g, not %g", i, double(out[i]), double(from[at]));
    }
  }
}

template <class T>
void embed(Case& it, const char* kernel) {
  const Rows r(it);
  r.shape("embed");
  const int entries = it.uniform(1, 30);
  auto table = r.normal<T>(product(entries, r.width));
  const auto tokens = r.index(entries);
  // Some canvas position for each row, or none: padding.
  auto token_index = r.index(r.rows);
  for (int row = 0; row < r.rows; row++) {
    if (it.uniform(0, 7) == 0) token_index[row] = -1;
  }
  auto out = r.output<float>(product(r.rows, r.width));
  it.launch(kernel, {r.rows, r.chunks}, r.threads, 0, out.data(), table.read(),
            static_cast<const int*>(tokens.data()), static_cast<const int*>(token_index.data()),
            r.rows, r.width);
  for (std::size_t i = 0; i < product(r.rows, r.width); i++) {
    const int index = token_index[i / std::size_t(r.width)];
    const float expected =
        index < 0 ? 0 : float(table[product(tokens[index], r.width) + i % std::size_t(r.width)]);
    if (float(out[i]) != expected) {
      return it.wrong(kernel, "element %zu is %g, not %g", i, double(out[i]), double(expected));
    }
  }
}

template <class T>
void gather(Case& it, const char* kernel) {
  const Rows r(it);
  r.shape("gather");
  const int entries = it.uniform(1, 30);
  auto in = r.normal<T>(product(entries, r.width));
  const auto index = r.index(entries);
  auto out = r.output<T>(product(r.rows, r.width));
  it.launch(kernel, {r.rows, r.chunks}, r.threads, 0, out.data(), in.read(),
            static_cast<const int*>(index.data()), r.rows, r.width);
  expect_rows(r, kernel, in, index, out);
}

// The cache's rows that no query has keep what they held.
template <class T>
void store_kv(Case& it, const char* kernel) {
  const Rows r(it);
  r.shape("store_kv");
  const int stride = r.width + it.any_of({0, 8, r.width, 3});
  auto k = r.normal<T>(product(r.rows, stride));
  auto v = r.normal<T>(product(r.rows, stride));
  const int cached = r.rows + it.uniform(0, 9);
  std::vector<int> free;
  for (int row = 0; row < cached; row++) free.push_back(row);
  auto cache_rows = r.index(1);
  for (int row = 0; row < r.rows; row++) {
    cache_rows[row] = -1;
    if (it.uniform(0, 3) == 0) continue;
    const int place = it.uniform(0, int(free.size()) - 1);
    cache_rows[row] = free[place];
    free.erase(free.begin() + place);
  }
  auto keys = r.output<T>(product(cached, r.width));
  auto values = r.output<T>(product(cached, r.width));
  T untouched;
  std::memcpy(&untouched, keys.data(), sizeof(T));
  it.launch(kernel, {r.rows, r.chunks}, r.threads, 0, keys.data(), values.data(), k.read(),
            v.read(), static_cast<const int*>(cache_rows.data()), r.rows, r.width, stride);
  std::vector<int> source(std::size_t(cached), -1);
  for (int row = 0; row < r.rows; row++) {
    if (cache_rows[row] >= 0) source[std::size_t(cache_rows[row])] = row;
  }
  for (std::size_t i = 0; i < product(cached, r.width); i++) {
    const int row = source[i / std::size_t(r.width)];
    const std::size_t from = product(std::max(row, 0), stride) + i % std::size_t(r.width);
    const T key = row < 0 ? untouched : k[from], value = row < 0 ? untouched : v[from];
    if (std::memcmp(&keys[i], &key, sizeof(T)) != 0) {
      return it.wrong(kernel, "key %zu is %g, not %g", i, double(keys[i]), double(key));
    }
    if (std::memcmp(&values[i], &value, sizeof(T)) != 0) {
      return it.wrong(kernel, "value %zu is %g, not %g", i, double(values[i]), double(value));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 200);
  return proof.run([](Case& it) {
    if (it.wants("rmsnorm_f32")) rmsnorm<float>(it, "rmsnorm_f32");
    if (it.wants("rmsnorm_bf16")) rmsnorm<bf16>(it, "rmsnorm_bf16");
    if (it.wants("rope_f32")) rope<float>(it, "rope_f32");
    if (it.wants("rope_bf16")) rope<bf16>(it, "rope_bf16");
    if (it.wants("swiglu_f32")) swiglu<float>(it, "swiglu_f32");
    if (it.wants("swiglu_bf16")) swiglu<bf16>(it, "swiglu_bf16");
    if (it.wants("embed_f32")) embed<float>(it, "embed_f32");
    if (it.wants("embed_bf16")) embed<bf16>(it, "embed_bf16");
    if (it.wants("store_kv_f32")) store_kv<float>(it, "store_kv_f32");
    if (it.wants("store_kv_bf16")) store_kv<bf16>(it, "store_kv_bf16");
    if (it.wants("gather_rows_f32")) gather<float>(it, "gather_rows_f32");
    if (it.wants("gather_rows_bf16")) gather<bf16>(it, "gather_rows_bf16");
  });
}
