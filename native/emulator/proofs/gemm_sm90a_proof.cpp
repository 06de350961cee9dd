// gemm_sm90a against double: any m and n, several tiles per cluster, rows of out that TMA can store
// and rows that it cannot; both tile widths give the same bits.
#include "proof.h"
#include "tensor_map.h"

using namespace remask::proof;

namespace {

constexpr int kTileM = 128;
constexpr int kTileK = 64;
constexpr int kCluster = 2;
constexpr int kThreads = 384;
constexpr int kRowBytes = 128;  // of a box
constexpr int kRingBytes = 192 * 1024;
constexpr int kOutBytes = 32 * 1024;

struct Sizes {
  int m, n, k;
};

template <class T>
RemaskTensorMap tensor_map(const T* x, int rows, int columns, int box_rows) {
  constexpr int kBfloat16 = 9, kFloat32 = 7;  // CUtensorMapDataType
  RemaskTensorMap map{};
  map.magic = kRemaskTensorMapMagic;
  map.rank = 2;
  map.element_bytes = sizeof(T);
  map.swizzle = 3;
  map.data_type = sizeof(T) == 2 ? kBfloat16 : kFloat32;
  map.address = reinterpret_cast<std::uintptr_t>(x);
  map.dim[0] = unsigned(columns);
  map.dim[1] = unsigned(rows);
  map.box[0] = kRowBytes / sizeof(T);
  map.box[1] = unsigned(box_rows);
  map.stride16[0] = unsigned(columns) * sizeof(T) / 16;
  map.element_stride[0] = map.element_stride[1] = 1;
  return map;
}

template <class Y>
Array<Y> multiply(Case& it, const char* kernel, int tile, int clusters, int skew,
                  const Array<bf16>& a, const Array<bf16>& w, Sizes s) {
  const int stages = kRingBytes / ((kTileM + tile) * kRowBytes);
  const int shared = kRingBytes + kOutBytes + stages * 2 * 8;
  auto out = it.output<Y>(std::size_t(s.m) * std::size_t(s.n) + std::size_t(skew));
  Y* begin = out.data() + skew;
  RemaskTensorMap out_map{};
  if (skew == 0 && s.n * sizeof(Y) % 16 == 0) out_map = tensor_map(begin, s.m, s.n, 64);
  it.launch(kernel, kCluster * clusters, kThreads, unsigned(shared), out_map,
            tensor_map(a.data(), s.m, s.k, kTileM), tensor_map(w.data(), s.n, s.k, tile / kCluster),
            begin, s.m, s.n, s.k);
  auto result = it.output<Y>(out.size() - std::size_t(skew));
  std::copy(out.begin() + skew, out.end(), result.begin());
  return result;
}

template <class Y>
void gemm(Case& it, const char* n256, const char* n128) {
  const bool whole_rows = it.chance(0.6);
  Sizes s{it.size(400, {64, 128, 256}), it.size(520, {128, 256}),
          8 * it.size(40, {kTileK / 8, 2 * kTileK / 8})};
  if (whole_rows) s.n = (s.n + 7) / 8 * 8;
  const int skew = it.chance(0.2) ? it.uniform(1, 3) : 0;
  const int clusters = it.uniform(1, 4);
  const bool integers = it.chance(0.2);  // exact sums: any misplaced element shows
  it.shape("m=%d n=%d k=%d clusters=%d skew=%d integers=%d", s.m, s.n, s.k, clusters, skew,
           integers);
  const std::size_t m = std::size_t(s.m), n = std::size_t(s.n), k = std::size_t(s.k);
  const auto draw = [&](std::size_t count) {
    if (!integers) return it.normal<bf16>(count);
    return it.filled<bf16>(count, [&] { return bf16(float(it.uniform(-1, 1))); });
  };
  const auto a = draw(m * k), w = draw(n * k);
  std::vector<double> want(m * n), plain(m * n);
  std::vector<float> a_wide(a.begin(), a.end()), w_wide(w.begin(), w.end());
  for (std::size_t i = 0; i < m; i++) {
    for (std::size_t j = 0; j < n; j++) {
      double exact = 0;
      float sum = 0;
      for (std::size_t x = 0; x < k; x++) {
        const float product = a_wide[i * k + x] * w_wide[j * k + x];  // exact in f32
        exact += double(product);
        sum += product;
      }
      want[i * n + j] = exact;
      plain[i * n + j] = double(float(Y(sum)));
    }
  }
  // The same roundings in plain order, and a rounding's room for sums that happen to be exact.
  const double bound = 1.25 * relative_error(plain, want) + (integers ? 0 : 0x1p-23);
  // g++ makes two stores of a float2, which then conflict; nvcc makes one, st.shared.v2.f32.
  const bool counts_banks = sizeof(Y) == sizeof(bf16) && it.chance(0.1);
  if (counts_banks) it.count_banks();
  const bool both = it.wants(n256) && it.wants(n128);
  if (it.wants(n256)) {
    const auto wide = multiply<Y>(it, n256, 256, clusters, skew, a, w, s);
    it.expect_close(n256, wide, want, bound);
    if (both) {
      const int others = it.uniform(1, 4);
      it.expect_same(n128, multiply<Y>(it, n128, 128, others, skew, a, w, s), wide);
    }
  } else if (it.wants(n128)) {
    it.expect_close(n128, multiply<Y>(it, n128, 128, clusters, skew, a, w, s), want, bound);
  }
  if (counts_banks) it.expect_no_bank_conflicts(both ? n128 : n256);
}

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 200);
  return proof.run([](Case& it) {
    if (it.chance(0.5)) {
      gemm<bf16>(it, "gemm_bf16_bf16_n256_sm90a", "gemm_bf16_bf16_n128_sm90a");
    } else {
      gemm<float>(it, "gemm_bf16_f32_n256_sm90a", "gemm_bf16_f32_n128_sm90a");
    }
  });
}
