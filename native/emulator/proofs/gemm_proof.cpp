// The GEMMs against double: any shape and alignment, every tile and epilogue, K in splits or whole.
// A row's bits must not depend on the tile, on the CTAs that share K, on the number of rows or on
// its position among them.
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "proof.h"

using namespace remask::proof;

namespace {

using Doubles = std::vector<double>;

// As kernels/include/gemm_split.h and dev.remask.kernel.KSplit have it.
int splits_of(int n, int k) {
  const int tiles = (n + 63) / 64, slabs = (k + 63) / 64;
  return std::max(1, std::min({(256 + tiles - 1) / tiles, slabs / 4, 16}));
}

struct Tile {
  int rows, columns, threads, stages;
};
constexpr Tile kTiles[] = {
    {16, 64, 128, 6}, {32, 64, 128, 6}, {64, 128, 256, 4}, {128, 128, 256, 3}};

enum Epilogue { kBf16, kF32, kResidual, kSwiGlu, kRope, kEpilogues };
constexpr const char* kEpilogueNames[kEpilogues] = {"bf16", "f32", "residual", "swiglu", "rope"};

// One product with what its epilogue needs. Arrays may begin off the alignment of 16 bytes.
struct Problem {
  Epilogue epilogue;
  int m, n, k;
  int a_skew = 0, w_skew = 0, out_skew = 0;
  Array<bf16> a{0}, w{0};
  Array<float> residual{0};
  int heads = 0, kv_heads = 0, head_dim = 0, q_stride = 0, kv_stride = 0, kv_size = 0;
  Array<float> cos_sin{0};
  Array<int> positions{0}, kv_rows{0};
  bool maps_rows = false;

  const bf16* a_row(int row) const { return a.data() + a_skew + std::size_t(row) * std::size_t(k); }
  const bf16* w_row(int row) const { return w.data() + w_skew + std::size_t(row) * std::size_t(k); }
  // Columns of a row of the result.
  int width() const { return epilogue == kSwiGlu ? n / 2 : n; }
  int kv_row(int row) const { return maps_rows ? kv_rows[std::size_t(row)] : row; }
};

Problem draw(Case& it) {
  Problem p;
  p.epilogue = Epilogue(it.uniform(0, kEpilogues - 1));
  p.m = it.size(150, {16, 32, 64, 128});
  p.n = it.size(270, {64, 128});
  p.k =
      it.chance(0.5) ? it.size(300, {8, 64}) : 64 * it.uniform(8, 20) + it.any_of({0, 0, 8, -8, 3});
  if (it.chance(0.3)) p.k = (p.k + 7) / 8 * 8;
  if (p.epilogue == kSwiGlu) p.n = 2 * ((p.n + 1) / 2);
  if (p.epilogue == kRope) {
    p.head_dim = it.any_of({2, 6, 8, 32, 64, 128});
    p.kv_heads = it.uniform(1, std::max(1, 100 / p.head_dim));
    p.heads = p.kv_heads * it.uniform(1, 2);
    p.n = (p.heads + 2 * p.kv_heads) * p.head_dim;
    p.q_stride = p.heads * p.head_dim + it.any_of({0, 5, 16});
    p.kv_stride = p.kv_heads * p.head_dim + it.any_of({0, 3, 8});
    p.cos_sin = it.normal<float>(std::size_t(40 * p.head_dim));
    p.positions = it.filled<int>(std::size_t(p.m), [&] { return it.uniform(0, 39); });
    p.maps_rows = it.chance(0.6);
    p.kv_size = p.maps_rows ? p.m + 20 : p.m;
    std::vector<int> rows(std::size_t(p.kv_size));
    std::iota(rows.begin(), rows.end(), 0);
    for (std::size_t i = rows.size(); i > 1; i--) std::swap(rows[i - 1], rows[it.next() % i]);
    rows.resize(std::size_t(p.m));
    p.kv_rows = it.copy(rows);
  }
  p.a_skew = it.chance(0.1) ? it.uniform(1, 7) : 0;
  p.w_skew = it.chance(0.1) ? it.uniform(1, 7) : 0;
  p.out_skew = it.chance(0.1) ? it.uniform(1, 7) : 0;
  const std::size_t m = std::size_t(p.m), n = std::size_t(p.n), k = std::size_t(p.k);
  p.a = it.normal<bf16>(m * k + std::size_t(p.a_skew));
  p.w = it.normal<bf16>(n * k + std::size_t(p.w_skew), 1 / std::sqrt(double(k)));
  p.residual = it.normal<float>(m * n);
  it.shape("%s m=%d n=%d k=%d skews=%d,%d,%d heads=%d/%d x %d strides=%d,%d splits=%d",
           kEpilogueNames[p.epilogue], p.m, p.n, p.k, p.a_skew, p.w_skew, p.out_skew, p.heads,
           p.kv_heads, p.head_dim, p.q_stride, p.kv_stride, splits_of(p.n, p.k));
  return p;
}

template <class Sum>
Doubles product(const Problem& p) {
  const std::size_t m = std::size_t(p.m), n = std::size_t(p.n), k = std::size_t(p.k);
  std::vector<Sum> a(p.a_row(0), p.a_row(p.m)), w(p.w_row(0), p.w_row(p.n));
  Doubles out(m * n);
  for (std::size_t row = 0; row < m; row++) {
    for (std::size_t column = 0; column < n; column++) {
      Sum sum = 0;
      for (std::size_t i = 0; i < k; i++) sum += a[row * k + i] * w[column * k + i];
      out[row * n + column] = double(sum);
    }
  }
  return out;
}

// What the epilogue makes of sums, every number of it rounded to R once it is stored.
template <class R>
Doubles finished(const Problem& p, const Doubles& sums) {
  const auto stored = [](double x) { return double(R(float(x))); };
  const auto exact = std::is_same_v<R, double>;
  Doubles out;
  for (int row = 0; row < p.m; row++) {
    const std::size_t begin = std::size_t(row) * std::size_t(p.n);
    const double* sum = sums.data() + begin;
    const auto keep = [&](double x) { out.push_back(exact ? x : stored(x)); };
    switch (p.epilogue) {
      case kResidual:
        for (int i = 0; i < p.n; i++) keep(double(p.residual[begin + std::size_t(i)]) + sum[i]);
        break;
      case kSwiGlu:
        for (int i = 0; i < p.n / 2; i++) keep(sum[i] / (1 + std::exp(-sum[i])) * sum[i + p.n / 2]);
        break;
      case kRope:
        for (int i = 0; i < p.n; i++) {
          const int head = i / p.head_dim, in_head = i % p.head_dim, half = p.head_dim / 2;
          const float* turn = p.cos_sin.data() + p.positions[std::size_t(row)] * p.head_dim;
          const double cosine = double(turn[in_head % half * 2]);
          const double sine = double(turn[in_head % half * 2 + 1]);
          if (head >= p.heads + p.kv_heads) {
            keep(sum[i]);
          } else if (in_head < half) {
            keep(sum[i] * cosine - sum[i + half] * sine);
          } else {
            keep(sum[i] * cosine + sum[i - half] * sine);
          }
        }
        break;
      default:
        for (int i = 0; i < p.n; i++) keep(sum[i]);
    }
  }
  return out;
}

bool rounds_to_bf16(Epilogue epilogue) { return epilogue != kF32 && epilogue != kResidual; }

// Rows [begin, begin + m) by one kernel, into fresh memory; row by row as finished() has them.
Doubles run(Case& it, const Problem& p, const Tile& tile, bool joined, int begin, int m) {
  const std::string name =
      "gemm_rows" + std::to_string(tile.rows) + "_" + kEpilogueNames[p.epilogue] + "_sm80";
  const char* kernel = name.c_str();
  const int splits = joined ? splits_of(p.n, p.k) : 1;
  const int tiles = ((m + tile.rows - 1) / tile.rows) * ((p.n + tile.columns - 1) / tile.columns);
  const unsigned shared = unsigned(tile.stages * (tile.rows + tile.columns) * 128);
  const Dim3 grid(tiles, 1, splits);
  auto partials =
      it.output<float>(splits == 1 ? 0 : std::size_t(tiles * splits * tile.rows * tile.columns));
  auto counters = it.zeros<unsigned>(std::size_t(tiles));
  const std::size_t skew = std::size_t(p.out_skew);
  const auto from = std::size_t(begin);
  const auto launch = [&](auto... outputs) {
    it.launch(kernel, grid, tile.threads, shared, outputs..., p.a_row(begin), p.w_row(0),
              partials.data(), counters.data(), m, p.n, p.k);
    it.expect_no_bank_conflicts(kernel);
  };
  const std::size_t size = std::size_t(m) * std::size_t(p.width());
  Doubles out;
  if (p.epilogue == kRope) {
    // k and v may go to rows anywhere in their caches.
    const std::size_t q_size = std::size_t(m) * std::size_t(p.q_stride) + skew;
    const std::size_t kv_size = std::size_t(p.kv_size) * std::size_t(p.kv_stride) + skew;
    auto q = it.output<bf16>(q_size), keys = it.output<bf16>(kv_size),
         values = it.output<bf16>(kv_size);
    launch(q.data() + skew, keys.data() + skew, values.data() + skew, p.cos_sin.data(),
           p.positions.data() + from, p.maps_rows ? p.kv_rows.data() + from : nullptr, p.heads,
           p.kv_heads, p.head_dim, p.q_stride, p.kv_stride);
    std::size_t written = 0;
    for (int row = 0; row < m; row++) {
      const int kv_row = p.maps_rows ? p.kv_row(begin + row) : row;
      const auto take = [&](const Array<bf16>& x, int at, int stride, int heads) {
        const std::size_t first = skew + std::size_t(at) * std::size_t(stride);
        for (int i = 0; i < heads * p.head_dim; i++)
          out.push_back(double(x[first + std::size_t(i)]));
        written += std::size_t(heads * p.head_dim);
      };
      take(q, row, p.q_stride, p.heads);
      take(keys, kv_row, p.kv_stride, p.kv_heads);
      take(values, kv_row, p.kv_stride, p.kv_heads);
    }
    for (const auto* x : {&q, &keys, &values}) {
      for (bf16 element : *x) written -= element.bits != 0xffff;
    }
    it.expect(written == 0, kernel, "wrote between the rows, or left some of them");
  } else if (p.epilogue == kF32 || p.epilogue == kResidual) {
    auto x = it.output<float>(size + skew);
    if (p.epilogue == kResidual) {
      std::copy_n(p.residual.data() + from * std::size_t(p.n), size, x.data() + skew);
    }
    launch(x.data() + skew);
    out.assign(x.begin() + skew, x.end());
  } else {
    auto x = it.output<bf16>(size + skew);
    launch(x.data() + skew);
    out.assign(x.begin() + skew, x.end());
  }
  for (unsigned counter : counters) it.expect(counter == 0, kernel, "left a counter above zero");
  return out;
}

void expect_same(Case& it, const Doubles& x, const Doubles& y, const char* what, int rows) {
  for (std::size_t i = 0; i < x.size(); i++) {
    if (std::memcmp(&x[i], &y[i], sizeof(double)) != 0) {
      return it.wrong("gemm_*_sm80", "%s: element %zu is %.9g, not bit for bit %.9g (%d rows)",
                      what, i, x[i], y[i], rows);
    }
  }
}

double worst_ratio = 0;

void tensor_kernels(Case& it) {
  const Problem p = draw(it);
  const Tile& tile = it.any_of({kTiles[0], kTiles[1], kTiles[2], kTiles[3]});
  const Tile& other = it.any_of({kTiles[0], kTiles[1], kTiles[2], kTiles[3]});
  const bool joined = it.chance(0.6);
  // Only the widest tile has CTAs that take all splits of K.
  const auto joins = [](const Tile& x, bool wanted) { return wanted || x.rows < 128; };
  const int begin = it.uniform(0, p.m - 1);
  const int rows = it.uniform(1, p.m - begin);
  if (!it.wants(("gemm_rows" + std::to_string(tile.rows)).c_str())) return;
  // Of element-wise loads g++ makes other stores than nvcc.
  const bool whole_pieces = p.a_skew % 8 == 0 && p.w_skew % 8 == 0 && p.k % 8 == 0;
  if (whole_pieces && it.chance(0.3)) it.count_banks();

  const Doubles want = finished<double>(p, product<double>(p));
  const Doubles sums = product<float>(p);
  const Doubles plain =
      rounds_to_bf16(p.epilogue) ? finished<bf16>(p, sums) : finished<float>(p, sums);
  const Doubles x = run(it, p, tile, joins(tile, joined), 0, p.m);
  // The floor: f32's own rounding, and an exponential's.
  const double plain_error = relative_error(plain, want);
  it.expect_close("gemm_*_sm80", x, want, 1.25 * plain_error + 0x1p-22);
  if (plain_error > 0x1p-22) {
    worst_ratio = std::max(worst_ratio, relative_error(x, want) / plain_error);
  }
  expect_same(it, run(it, p, other, joins(other, !joined), 0, p.m), x, "another tile", other.rows);
  const std::size_t width = std::size_t(p.width()), at = std::size_t(begin) * width;
  const Doubles part(x.begin() + long(at), x.begin() + long(at + std::size_t(rows) * width));
  expect_same(it, run(it, p, other, joins(other, joined), begin, rows), part, "some rows alone",
              other.rows);
}

// gemm.cu: any device's, and f32's.
void portable_kernels(Case& it) {
  Problem p = draw(it);
  p.epilogue = it.any_of({kBf16, kF32});
  const std::string name = std::string("gemm_bf16_") + kEpilogueNames[p.epilogue];
  if (!it.wants(name.c_str())) return;
  const Doubles sums = product<float>(p);
  const Doubles plain =
      rounds_to_bf16(p.epilogue) ? finished<bf16>(p, sums) : finished<float>(p, sums);
  const Doubles want = finished<double>(p, product<double>(p));
  const double bound = 1.25 * relative_error(plain, want) + 0x1p-22;
  const std::size_t size = std::size_t(p.m) * std::size_t(p.n);
  const Dim3 grid((p.m + 63) / 64, (p.n + 127) / 128);
  if (p.epilogue == kF32) {
    auto out = it.output<float>(size);
    it.launch(name.c_str(), grid, 128, 0, out.data(), p.a_row(0), p.w_row(0), p.m, p.n, p.k);
    it.expect_close(name.c_str(), out, want, bound);
  } else {
    auto out = it.output<bf16>(size);
    it.launch(name.c_str(), grid, 128, 0, out.data(), p.a_row(0), p.w_row(0), p.m, p.n, p.k);
    it.expect_close(name.c_str(), out, want, bound);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 220);
  const int status = proof.run([](Case& it) {
    if (it.seed() % 10 == 0) {
      portable_kernels(it);
    } else {
      tensor_kernels(it);
    }
  });
  std::printf("gemm: the largest error is %.3f of a plain f32 sum's\n", worst_ratio);
  return status;
}
