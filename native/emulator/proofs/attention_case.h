// One drawn attention problem: packed sequences with data, the cut into work items, the reference
// in double and what a plain implementation with the same roundings would miss it by.
#pragma once

#include "proof.h"

namespace remask::proof {

// kernels/include/attention_work.h, as the host writes it.
struct AttentionItem {
  int sequence, query_begin, key_begin, key_end, partial, reserved[3];
};

class AttentionCase {
 public:
  // Draws shape and data. Some sequences have no queries, some no keys, some nothing but NaN: those
  // are nobody's business but their own.
  explicit AttentionCase(Case& it);

  // The items of a launch with tiles of so many queries; the chunks of split sequences are drawn
  // once per case, so all tiles have the same.
  struct Work {
    Array<AttentionItem> entries;  // the items, then the combine items
    int items, combines, partial_rows;
    Array<float> scratch;
  };
  Work work(int query_tile) const;

  struct Result {
    Array<bf16> out;
    Array<float> lse;
    float* lse_argument;  // null where the case wants none
  };
  Result result() const;

  // Compares the result with the reference; checks that padding was not written.
  void check(const char* kernel, const Result& result) const;
  void check(const char* kernel, const Array<bf16>& out) const;
  // The data in f32 are the same numbers; nothing is rounded to bf16 then.
  void check(const char* kernel, const Array<float>& out) const;
  // Bit for bit, but for sequences of NaN.
  void check_same(const char* kernel, const Result& result, const Result& other) const;
  // Launches combine kernels where something was split.
  void combine(const Work& work, const Result& result) const;

  int sequences() const { return int(sequences_.size()); }
  int most_queries() const;  // of a sequence

  // The drawn shape; X means bf16.
  int head_dim, heads, kv_heads;
  int q_stride, kv_stride, out_stride;
  int query_tokens = 0, key_tokens = 0;
  float scale;
  Array<bf16> q{0}, k{0}, v{0};  // X[query_tokens, q_stride], X[key_tokens, kv_stride]
  Array<int> q_offsets{0}, kv_offsets{0};

 private:
  struct Sequence {
    int queries, keys;
    int chunk;    // keys of a chunk; `keys` or more: not split
    bool poison;  // its data are NaN
  };

  void draw_data(double deviation);
  void refer();
  template <class X>
  void check_rows(const char* kernel, const Array<X>& written, double bound) const;

  Case& it_;
  std::vector<Sequence> sequences_;
  bool wants_lse_;
  std::vector<double> out_;  // of the queries that have numbers, head by head
  std::vector<double> lse_, lse_bound_;
  double bound_ = 0;
};

}  // namespace remask::proof
