// Attention over packed sequences against plain double arithmetic, and its independence of tiling.
#include "host_testing.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

struct Case {
  std::vector<int> queries, keys;  // tokens of each sequence
  int heads, kv_heads;
};

const Case kCases[] = {
    {{1}, {1}, 1, 1},
    {{7, 33, 1}, {7, 33, 1}, 2, 2},
    {{65, 3}, {65, 3}, 4, 2},
    {{5, 40, 2}, {129, 0, 64}, 4, 1},  // few queries against many keys, and none at all
    {{63, 64}, {130, 191}, 3, 3},
    {{3, 1, 70}, {1025, 0, 1300}, 2, 1},  // several splits of the keys
};

std::vector<int> offsets(const std::vector<int>& lengths) {
  std::vector<int> result = {0};
  for (const int length : lengths) result.push_back(result.back() + length);
  return result;
}

template <int kDim, typename X>
AttentionKernel<X> kernel_of(const KernelSet& set) {
  if constexpr (sizeof(X) == 2) {
    return kDim == 64 ? set.attention_hd64_bf16 : set.attention_hd128_bf16;
  } else {
    return kDim == 64 ? set.attention_hd64_f32 : set.attention_hd128_f32;
  }
}

template <typename X>
struct Tensors {
  int q_stride, kv_stride, out_stride;
  std::vector<X> q, k, v;
  std::vector<int> q_offsets, kv_offsets;
};

template <int kDim, typename X>
Tensors<X> make_tensors(const Case& c) {
  Tensors<X> t;
  t.q_offsets = offsets(c.queries);
  t.kv_offsets = offsets(c.keys);
  t.q_stride = c.heads * kDim + 3;
  t.kv_stride = c.kv_heads * kDim + 5;
  t.out_stride = c.heads * kDim + 1;
  t.q = random_values<X>(t.q_offsets.back() * t.q_stride, 2.0f);
  t.k = random_values<X>(t.kv_offsets.back() * t.kv_stride + 1);
  t.v = random_values<X>(t.kv_offsets.back() * t.kv_stride + 1);
  return t;
}

template <int kDim, typename X>
void run(const KernelSet& set, const Case& c, const Tensors<X>& t, X* out, int threads) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(kDim));
  kernel_of<kDim, X>(set)(launch(threads, 1, c.heads, static_cast<unsigned>(c.queries.size())), out,
                          t.q.data(), t.k.data(), t.v.data(), t.q_offsets.data(),
                          t.kv_offsets.data(), c.heads, c.kv_heads, t.q_stride, t.kv_stride,
                          t.out_stride, scale);
}

// One query of one head: its output, and how far f32 arithmetic may be from it, with weights
// rounded to bf16 before the second product where `narrow_weights`.
template <int kDim, typename X>
void reference(const Case& c, const Tensors<X>& t, int s, int token, int head, bool narrow_weights,
               double* out, double* allowed) {
  const double scale = 1.0f / std::sqrt(static_cast<float>(kDim));
  const int kv_head = head / (c.heads / c.kv_heads);
  const X* q = &t.q[token * t.q_stride + head * kDim];
  std::vector<double> scores(c.keys[s]);
  double highest = -HUGE_VAL, score_error = 0, sum = 0;
  for (int key = 0; key < c.keys[s]; ++key) {
    const X* k = &t.k[(t.kv_offsets[s] + key) * t.kv_stride + kv_head * kDim];
    double dot = 0, norm = 0;
    for (int dim = 0; dim < kDim; ++dim) {
      const double product = static_cast<double>(to_float(q[dim])) * to_float(k[dim]);
      dot += product;
      norm += std::fabs(product);
    }
    scores[key] = dot * scale;
    highest = std::max(highest, scores[key]);
    score_error = std::max(score_error, norm * scale * (kDim + 2) * kF32Roundoff);
  }
  for (double& score : scores) sum += score = std::exp(score - highest);
  // Weights: twice the score's error (own and maximum's), exp, the subtraction (arguments below
  // -25 carry no weight), one rescaling per key tile and two per split; then the two sums over the
  // keys.
  const double weight_error = 2 * score_error +
                              kExpError * (2 + c.keys[s] / 64 + 2 * (c.keys[s] / 512)) +
                              25 * kF32Roundoff + (2.0 * c.keys[s] + 4) * kF32Roundoff +
                              (narrow_weights ? kRoundoff<bf16> / 2 : 0);
  for (int dim = 0; dim < kDim; ++dim) {
    double value = 0, norm = 0;
    for (int key = 0; key < c.keys[s]; ++key) {
      const double term =
          scores[key] / sum *
          to_float(t.v[(t.kv_offsets[s] + key) * t.kv_stride + kv_head * kDim + dim]);
      value += term;
      norm += std::fabs(term);
    }
    out[dim] = value;
    allowed[dim] = std::fabs(value) * kRoundoff<X> + 2 * norm * weight_error + kTiny<X>;
  }
}

template <int kDim, typename X>
void attention_matches_reference(const KernelSet& set) {
  const bool narrow_weights = sizeof(X) == 2 && std::string(set.name) == "avx512_bf16";
  for (const Case& c : kCases) {
    const Tensors<X> t = make_tensors<kDim, X>(c);
    const int tokens = t.q_offsets.back();
    Poisoned<X> out(tokens * t.out_stride);
    run<kDim>(set, c, t, out.data(), 2);
    Comparison compare(std::string(set.name) + " attention hd" + std::to_string(kDim) +
                       (sizeof(X) == 2 ? " bf16" : " f32"));
    for (std::size_t s = 0; s < c.queries.size(); ++s) {
      for (int token = t.q_offsets[s]; token < t.q_offsets[s + 1]; ++token) {
        for (int head = 0; head < c.heads; ++head) {
          double expected[kDim] = {}, allowed[kDim] = {};
          if (c.keys[s] > 0) {
            reference<kDim>(c, t, s, token, head, narrow_weights, expected, allowed);
          }
          for (int dim = 0; dim < kDim; ++dim) {
            const int at = token * t.out_stride + head * kDim + dim;
            compare.add(at, to_float(out[at]), expected[dim], allowed[dim]);
          }
        }
        for (int at = token * t.out_stride + c.heads * kDim; at < (token + 1) * t.out_stride;
             ++at) {
          EXPECT_THAT(std::isnan(to_float(out[at])), "attention wrote between its rows");
        }
      }
    }
    for (const int threads : {1, 3, 16}) {
      Poisoned<X> again(tokens * t.out_stride);
      run<kDim>(set, c, t, again.data(), threads);
      EXPECT_THAT(again.copy() == out.copy(), "attention depends on the number of threads");
    }
  }
}

// A sequence's output has the same bits alone and in a batch, wherever it stands, with 1 and 2
// threads; a query's are the same whichever of the sequence's queries are computed with it.
template <int kDim, typename X>
void attention_dependsOnTheOwnSequenceOnly(const KernelSet& set) {
  const std::string what = std::string(set.name) + " attention hd" + std::to_string(kDim);
  for (const int shared : {1, 3}) {
    const Case batch = {{50, 1, 46, 0, 70, 17, 20}, {50, 90, 46, 20, 131, 17, 1100}, 2 * shared, 2};
    const Tensors<X> t = make_tensors<kDim, X>(batch);
    Poisoned<X> together(t.q_offsets.back() * t.out_stride);
    run<kDim>(set, batch, t, together.data(), 2);
    const auto rows = [](const std::vector<X>& all, int first, int count, int stride) {
      return std::vector<X>(all.begin() + std::size_t(first) * stride,
                            all.begin() + std::size_t(first + count) * stride);
    };
    for (std::size_t s = 0; s < batch.queries.size(); ++s) {
      // All queries, then a part of them: what a cached pass computes.
      for (const int first : {0, batch.queries[s] / 3}) {
        const int queries = batch.queries[s] - first;
        if (queries == 0) continue;
        const Case alone = {{queries}, {batch.keys[s]}, batch.heads, batch.kv_heads};
        Tensors<X> part = t;
        part.q_offsets = {0, queries};
        part.kv_offsets = {0, batch.keys[s]};
        const int q_first = t.q_offsets[s] + first;
        part.q = rows(t.q, q_first, queries, t.q_stride);
        part.k = rows(t.k, t.kv_offsets[s], batch.keys[s], t.kv_stride);
        part.v = rows(t.v, t.kv_offsets[s], batch.keys[s], t.kv_stride);
        for (const int threads : {1, 2, 12}) {
          Poisoned<X> single(queries * t.out_stride);
          run<kDim>(set, alone, part, single.data(), threads);
          EXPECT_THAT(std::memcmp(single.data(), &together[q_first * t.out_stride],
                                  sizeof(X) * queries * t.out_stride) == 0,
                      what + ": sequence " + std::to_string(s) + " from query " +
                          std::to_string(first) + ", " + std::to_string(threads) + " threads");
        }
      }
    }
  }
}

}  // namespace

int main() {
  for (const KernelSet* set : kernel_sets()) {
    attention_matches_reference<64, bf16>(*set);
    attention_matches_reference<64, float>(*set);
    attention_matches_reference<128, bf16>(*set);
    attention_matches_reference<128, float>(*set);
    attention_dependsOnTheOwnSequenceOnly<64, bf16>(*set);
    attention_dependsOnTheOwnSequenceOnly<64, float>(*set);
    attention_dependsOnTheOwnSequenceOnly<128, bf16>(*set);
    attention_dependsOnTheOwnSequenceOnly<128, float>(*set);
  }
  return finish();
}
