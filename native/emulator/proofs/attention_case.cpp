#include "attention_case.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace remask::proof {
namespace {

constexpr int kSplitQueries = 64;  // AttentionWork.SPLIT_QUERIES
constexpr int kMostChunks = 9;     // one more than AttentionWork makes
constexpr int kCombineRows = 4;    // queries of a CTA of the combine kernel
constexpr double kF32Roundoff = 0x1p-24;
constexpr double kBf16Roundoff = 0x1p-9;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// What the kernel may err beyond a plain implementation with the same roundings.
constexpr double kAllowed = 1.25;

// One query of one head against n keys: in double, and as "f32 softmax, bf16 P" would have it.
struct Reference {
  std::vector<double> exact;
  std::vector<float> plain;
  double lse;
  double magnitude;  // largest sum of |products| of a score

  Reference(const bf16* q, const bf16* k, const bf16* v, int keys, int stride, int head_dim)
      : exact(head_dim), plain(head_dim), lse(-std::numeric_limits<double>::infinity()) {
    const double scale = 1 / std::sqrt(double(head_dim));
    const float scale_f32 = 1 / std::sqrt(float(head_dim));
    std::vector<double> weights(keys);
    std::vector<float> weights_f32(keys);
    double largest = lse;
    float largest_f32 = float(lse);
    magnitude = 0;
    for (int j = 0; j < keys; j++) {
      const bf16* row = k + std::size_t(j) * stride;
      double sum = 0, absolute = 0;
      float sum_f32 = 0;
      for (int d = 0; d < head_dim; d++) {
        const float product = float(q[d]) * float(row[d]);  // exact: 16 bits of mantissa
        sum += product;
        absolute += std::fabs(product);
        sum_f32 += product;
      }
      weights[j] = sum * scale;
      weights_f32[j] = sum_f32 * scale_f32;
      largest = std::max(largest, weights[j]);
      largest_f32 = std::max(largest_f32, weights_f32[j]);
      magnitude = std::max(magnitude, absolute * scale);
    }
    if (keys == 0) return;
    double total = 0;
    float total_f32 = 0;
    for (int j = 0; j < keys; j++) {
      total += weights[j] = std::exp(weights[j] - largest);
      total_f32 += weights_f32[j] = std::exp(weights_f32[j] - largest_f32);
    }
    lse = largest + std::log(total);
    for (int j = 0; j < keys; j++) {
      const bf16* row = v + std::size_t(j) * stride;
      const float p = bf16(weights_f32[j] / total_f32);
      for (int d = 0; d < head_dim; d++) {
        exact[d] += weights[j] / total * double(float(row[d]));
        plain[d] += p * float(row[d]);
      }
    }
  }
};

}  // namespace

AttentionCase::AttentionCase(Case& it) : it_(it) {
  head_dim = it.any_of({64, 128});
  kv_heads = it.any_of({1, 1, 2});
  heads = kv_heads * it.any_of({1, 1, 2, 3});
  // Rows at multiples of 16 bytes, which is all that copies of 16 bytes ask for.
  q_stride = heads * head_dim + 8 * it.uniform(0, 2);
  kv_stride = kv_heads * head_dim + 8 * it.uniform(0, 2);
  out_stride = heads * head_dim + 8 * it.uniform(0, 2);
  scale = 1 / std::sqrt(float(head_dim));
  wants_lse_ = it.chance(0.5);

  std::string text;
  const int count = it.any_of({1, 1, 2, 3, 4});
  for (int s = 0; s < count; s++) {
    Sequence sequence{};
    const bool decoding = it.chance(0.4);  // few queries against many keys
    sequence.queries =
        decoding ? it.size(kSplitQueries, {16, 32, 64}) : it.size(280, {64, 128, 192});
    sequence.keys = decoding ? it.size(700, {64, 128, 176}) : it.size(280, {64, 128, 176, 192});
    // Rings of tiles go round: up to 3 stages of 192 keys.
    if (s == 0 && it.chance(0.35)) sequence.keys = it.size(1300, {128, 176, 192});
    if (it.chance(0.08)) sequence.keys = 0;
    if (s > 0 && it.chance(0.15)) sequence.queries = 0;  // the gaps of a cache are such
    sequence.chunk = sequence.keys;
    if (sequence.queries <= kSplitQueries && sequence.keys > 1 && it.chance(0.6)) {
      const int least = (sequence.keys + kMostChunks - 1) / kMostChunks;
      sequence.chunk = it.uniform(least, sequence.keys);
    }
    sequence.poison = s > 0 && it.chance(0.2);
    query_tokens += sequence.queries;
    key_tokens += sequence.keys;
    sequences_.push_back(sequence);
    text += " " + std::to_string(sequence.queries) + "x" + std::to_string(sequence.keys);
    if (sequence.chunk < sequence.keys) text += "/" + std::to_string(sequence.chunk);
    if (sequence.poison) text += "!";
  }
  it.shape("D=%d H=%d/%d strides %d %d %d%s, queries x keys / chunk%s", head_dim, heads, kv_heads,
           q_stride, kv_stride, out_stride, wants_lse_ ? " lse" : "", text.c_str());
  // Scores of order 1; of order 10; of hundreds, where one weight is all and the others vanish.
  draw_data(it.any_of({1.0, 1.0, 3.0, 12.0}));
  refer();
}

void AttentionCase::draw_data(double deviation) {
  std::vector<int> q_ends{0}, kv_ends{0};
  for (const Sequence& sequence : sequences_) {
    q_ends.push_back(q_ends.back() + sequence.queries);
    kv_ends.push_back(kv_ends.back() + sequence.keys);
  }
  q_offsets = it_.copy(q_ends);
  kv_offsets = it_.copy(kv_ends);
  // The last row ends with its last head: nothing behind it may be read. Padding is NaN.
  const auto rows = [&](int tokens, int stride, int width) {
    return it_.output<bf16>(tokens > 0 ? std::size_t(tokens - 1) * stride + width : 1);
  };
  q = rows(query_tokens, q_stride, heads * head_dim);
  k = rows(key_tokens, kv_stride, kv_heads * head_dim);
  v = rows(key_tokens, kv_stride, kv_heads * head_dim);
  const auto fill = [&](Array<bf16>& x, int begin, int end, int stride, int width, double spread) {
    for (int t = begin; t < end; t++) {
      for (int c = 0; c < width; c++) {
        x[std::size_t(t) * stride + c] = bf16(float(it_.normal_real() * spread));
      }
    }
  };
  for (std::size_t s = 0; s < sequences_.size(); s++) {
    if (sequences_[s].poison) continue;
    fill(q, q_ends[s], q_ends[s + 1], q_stride, heads * head_dim, deviation);
    fill(k, kv_ends[s], kv_ends[s + 1], kv_stride, kv_heads * head_dim, deviation);
    fill(v, kv_ends[s], kv_ends[s + 1], kv_stride, kv_heads * head_dim, 1);
  }
}

void AttentionCase::refer() {
  std::vector<double> plain;
  int rows = 0;
  for (std::size_t s = 0; s < sequences_.size(); s++) {
    if (sequences_[s].poison) continue;
    for (int query = q_offsets[s]; query < q_offsets[s + 1]; query++) {
      for (int head = 0; head < heads; head++) {
        const std::size_t kv =
            std::size_t(kv_offsets[s]) * kv_stride + head / (heads / kv_heads) * head_dim;
        const Reference one(q.data() + std::size_t(query) * q_stride + head * head_dim,
                            k.data() + kv, v.data() + kv, sequences_[s].keys, kv_stride, head_dim);
        out_.insert(out_.end(), one.exact.begin(), one.exact.end());
        for (float x : one.plain) plain.push_back(bf16(x));
        lse_.push_back(one.lse);
        // A score is off by head_dim + 4 roundings of products, sum and scale, its exponential by 2
        // more, their sum by one for each of the terms that a lane adds and for each rescaling.
        lse_bound_.push_back(kF32Roundoff * ((head_dim + 4) * one.magnitude +
                                             2 * sequences_[s].keys + 8 + 2 * std::fabs(one.lse)));
        rows++;
      }
    }
  }
  if (rows == 0) return;
  // The weights' roundings differ, since one has them before the division and the other after it,
  // and they make up a part of the error that all of a row's columns share. Over n rows the two
  // errors are estimates of one figure with a relative spread of the order of 1 / sqrt(n).
  bound_ = kAllowed * relative_error(plain, out_) + 2 * kBf16Roundoff / std::sqrt(double(rows));
}

AttentionCase::Work AttentionCase::work(int query_tile) const {
  std::vector<AttentionItem> items, combines;
  int row = 0;
  for (int s = 0; s < int(sequences_.size()); s++) {
    const Sequence& sequence = sequences_[s];
    if (sequence.queries == 0) {
      // Work that pads a launch refers to such a sequence, and to none of its keys.
      items.push_back({s, 0, 0, 0, -1, {}});
      combines.push_back({s, 0, 0, 0, 0, {}});
      continue;
    }
    if (sequence.chunk >= sequence.keys) {
      for (int begin = 0; begin < sequence.queries; begin += query_tile) {
        items.push_back({s, begin, 0, sequence.keys, -1, {}});
      }
      continue;
    }
    const int first = row;
    for (int begin = 0; begin < sequence.keys; begin += sequence.chunk) {
      items.push_back({s, 0, begin, std::min(begin + sequence.chunk, sequence.keys), row, {}});
      row += sequence.queries;
    }
    combines.push_back({s, first, (row - first) / sequence.queries, 0, 0, {}});
  }
  // Any order must do.
  for (std::size_t i = items.size(); i > 1; i--) {
    std::swap(items[i - 1], items[it_.next() % unsigned(i)]);
  }
  const int count = int(items.size());
  items.insert(items.end(), combines.begin(), combines.end());
  return {it_.copy(items), count, int(combines.size()), row,
          it_.output<float>(std::size_t(row) * heads * (head_dim + 2))};
}

int AttentionCase::most_queries() const {
  int most = 0;
  for (const Sequence& sequence : sequences_) most = std::max(most, sequence.queries);
  return most;
}

AttentionCase::Result AttentionCase::result() const {
  const std::size_t rows = query_tokens;
  Result result{it_.output<bf16>((rows - 1) * out_stride + heads * head_dim),
                it_.output<float>(wants_lse_ ? rows * heads : 1), nullptr};
  if (wants_lse_) result.lse_argument = result.lse.data();
  return result;
}

void AttentionCase::combine(const Work& work, const Result& result) const {
  if (work.combines == 0) return;
  it_.launch(
      head_dim == 64 ? "attention_combine_hd64_bf16_sm80" : "attention_combine_hd128_bf16_sm80",
      {kSplitQueries / kCombineRows, heads, work.combines}, {32 * kCombineRows}, 0,
      result.out.data(), result.lse_argument, q_offsets.data(), work.entries.data(),
      work.scratch.data(), work.items, work.partial_rows, query_tokens, heads, out_stride);
}

template <class X>
void AttentionCase::check_rows(const char* kernel, const Array<X>& written, double bound) const {
  X untouched;
  std::memset(static_cast<void*>(&untouched), 0xff, sizeof(untouched));
  std::vector<double> out;
  for (std::size_t s = 0; s < sequences_.size(); s++) {
    for (int query = q_offsets[s]; query < q_offsets[s + 1]; query++) {
      const X* row = written.data() + std::size_t(query) * out_stride;
      for (int c = heads * head_dim; c < out_stride && query + 1 < query_tokens; c++) {
        it_.expect(std::memcmp(row + c, &untouched, sizeof(X)) == 0, kernel,
                   "wrote between the rows of out");
      }
      if (sequences_[s].poison) continue;
      for (int c = 0; c < heads * head_dim; c++) out.push_back(row[c]);
    }
  }
  it_.expect_close(kernel, out, out_, bound);
}

void AttentionCase::check(const char* kernel, const Array<bf16>& out) const {
  check_rows(kernel, out, bound_);
}

void AttentionCase::check(const char* kernel, const Array<float>& out) const {
  // Each weight is off by what its score and the sum of all are.
  double bound = 0;
  for (double of_row : lse_bound_) bound = std::max(bound, 2 * of_row);
  check_rows(kernel, out, bound);
}

void AttentionCase::check(const char* kernel, const Result& result) const {
  check(kernel, result.out);
  if (!wants_lse_) return;
  std::size_t row = 0;
  for (std::size_t s = 0; s < sequences_.size(); s++) {
    if (sequences_[s].poison) continue;
    for (int query = q_offsets[s]; query < q_offsets[s + 1]; query++) {
      for (int head = 0; head < heads; head++, row++) {
        const double found = result.lse[std::size_t(head) * query_tokens + query];
        if (found == lse_[row] || std::fabs(found - lse_[row]) <= lse_bound_[row]) continue;
        return it_.wrong(kernel, "lse of query %d, head %d is %.9g, not %.9g within %.2g", query,
                         head, found, lse_[row], lse_bound_[row]);
      }
    }
  }
}

void AttentionCase::check_same(const char* kernel, const Result& result,
                               const Result& other) const {
  for (std::size_t s = 0; s < sequences_.size(); s++) {
    if (sequences_[s].poison) continue;  // which NaN it is, no one promises
    for (int query = q_offsets[s]; query < q_offsets[s + 1]; query++) {
      for (int head = 0; head < heads; head++) {
        const std::size_t row = std::size_t(query) * out_stride + head * head_dim;
        for (int d = 0; d < head_dim; d++) {
          const bf16 a = result.out[row + d], b = other.out[row + d];
          if (a.bits == b.bits) continue;
          return it_.wrong(kernel, "query %d, head %d, column %d is %.9g in one, %.9g in the other",
                           query, head, d, float(a), float(b));
        }
        if (!wants_lse_) continue;
        const std::size_t at = std::size_t(head) * query_tokens + query;
        it_.expect(std::memcmp(&result.lse[at], &other.lse[at], sizeof(float)) == 0, kernel,
                   "lse differs");
      }
    }
  }
}

}  // namespace remask::proof
