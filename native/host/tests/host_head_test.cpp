// head_select against the kernels it fuses: the packed product's logits and select_slices, bit for
// bit, for every rule, flag, temperature, guidance and shape.
#include <algorithm>
#include <numeric>

#include "gemm.h"
#include "gemm_packed.h"
#include "head_select.h"
#include "host_testing.h"
#include "selection.h"

using namespace remask;
using namespace remask::host;
using namespace remask::host::testing;

namespace {

struct Shape {
  int columns, k, slice_width;
  SpecialTokens tokens;
};

template <typename X>
struct Head {
  Shape shape;
  std::vector<X> w, packed;  // [columns, k]
  std::vector<X> a;          // [rows of a, k]
  std::vector<Row> rows;     // those of `a` from the first on
  std::vector<Sequence> sequences;

  explicit Head(const Shape& shape_) : shape(shape_) {
    const std::size_t count = static_cast<std::size_t>(shape.columns) * shape.k;
    w = random_values<X>(count, 1.5f / std::sqrt(static_cast<float>(shape.k)));
    pack();
  }

  void pack() {
    packed = w;
    pack_weight(launch(1), packed.data(), shape.columns, shape.k);
  }

  int slices() const { return (shape.columns + shape.slice_width - 1) / shape.slice_width; }

  // A sequence with `count` rows of random kinds and, where it is guided, their copies' indices
  // still open.
  Sequence& add(int count, int choosable_of_8) {
    Sequence sequence = {};
    sequence.seed = random_engine()();
    sequence.top_p = 1;
    const int slot = static_cast<int>(sequences.size());
    for (int i = 0; i < count; ++i) {
      const bool choose = static_cast<int>(random_engine()() % 8) < choosable_of_8;
      const int kind = choose ? kChoose : i % 2 == 0 ? kNothing : kReconsider;
      rows.push_back({slot, 3 + i, 11, kind, -1, 0, i, 0});
    }
    sequences.push_back(sequence);
    return sequences.back();
  }

  // Gives every row of the guided sequences a copy, in any order, behind all rows.
  void finish() {
    std::vector<int> guided;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (sequences[rows[i].sequence].guidance != 0) guided.push_back(static_cast<int>(i));
    }
    std::shuffle(guided.begin(), guided.end(), random_engine());
    int copy = static_cast<int>(rows.size());
    for (const int index : guided) rows[index].unconditional_row = copy++;
    a = random_values<X>(static_cast<std::size_t>(copy) * shape.k, 2.0f);
  }

  std::vector<unsigned char> fused(const KernelSet& set, int threads) const {
    Poisoned<SelectPartial> partials(rows.size() * slices());
    const Walled<X> walled_a(a), walled_w(packed);
    head_select(set, launch(threads), partials.data(), walled_a.data(), walled_w.data(),
                rows.data(), sequences.data(), static_cast<int>(rows.size()), shape.columns,
                shape.k, shape.slice_width, shape.tokens);
    return partials.copy();
  }

  std::vector<unsigned char> unfused(const KernelSet& set) const {
    const int m = static_cast<int>(a.size() / shape.k);
    Poisoned<float> logits(static_cast<std::size_t>(m) * shape.columns);
    product(set, logits.data(), m);
    Poisoned<SelectPartial> partials(rows.size() * slices());
    set.select_slices(launch(1, slices(), static_cast<unsigned>(rows.size())), partials.data(),
                      logits.data(), rows.data(), sequences.data(), nullptr,
                      static_cast<int>(rows.size()), shape.columns, shape.slice_width,
                      shape.tokens);
    return partials.copy();
  }

  void product(const KernelSet& set, float* logits, int m) const;
};

template <>
void Head<bf16>::product(const KernelSet& set, float* logits, int m) const {
  void* scratch = remask_gemm_scratch(packed_scratch_bytes(m, shape.k, 1));
  set.gemm_packed_bf16_f32(1, logits, a.data(), packed.data(), m, shape.columns, shape.k,
                           static_cast<float*>(scratch));
}

template <>
void Head<float>::product(const KernelSet& set, float* logits, int m) const {
  void* scratch = remask_gemm_scratch(packed_scratch_bytes(m, shape.k, 1));
  set.gemm_packed_f32_f32(1, logits, a.data(), packed.data(), m, shape.columns, shape.k,
                          static_cast<float*>(scratch));
}

template <typename X>
void expect_same(const KernelSet& set, const Head<X>& head, const std::string& what) {
  const std::vector<unsigned char> expected = head.unfused(set);
  for (const int threads : {1, 3}) {
    const std::vector<unsigned char> actual = head.fused(set, threads);
    std::size_t at = 0;
    while (at < actual.size() && actual[at] == expected[at]) ++at;
    const std::size_t partial = at / sizeof(SelectPartial);
    EXPECT_THAT(at == actual.size(), std::string(set.name) +
                                         (sizeof(X) == 2 ? " bf16, " : " f32, ") + what + ", " +
                                         std::to_string(threads) + " threads: row " +
                                         std::to_string(partial / head.slices()) + " slice " +
                                         std::to_string(partial % head.slices()) + " byte " +
                                         std::to_string(at % sizeof(SelectPartial)));
  }
}

// Batches of sequences of all kinds, between none and several groups of rows.
template <typename X>
void gives_the_bits_of_the_separate_kernels(const KernelSet& set) {
  const Shape shapes[] = {{512, 64, 128, {500, 499, 3, 77}},
                          {1013, 33, 256, {1013, 0, 1, 2}},
                          {1001, 40, 1024, {990, 17, 995, -1}},
                          {47, 7, 16, {45, 20, 30, 31}},
                          {5, 1, 16, {5, 4, 0, -1}},
                          {1, 3, 32, {1, -7, -1, -1}},
                          {3001, 256, 1024, {2999, 1024, 1023, 2048}},
                          {700, 513, 128, {690, 127, 128, 3}}};  // several blocks of k
  for (const Shape& shape : shapes) {
    for (int flags = 0; flags < 4; ++flags) {
      Head<X> head(shape);
      for (int rule = 0; rule < 4; ++rule) {
        for (const float temperature : {0.0f, 0.7f}) {
          Sequence& plain = head.add(1 + static_cast<int>(random_engine()() % 5), 7);
          plain.flags = flags;
          plain.rule = rule;
          plain.temperature = temperature;
          Sequence& guided = head.add(1 + static_cast<int>(random_engine()() % 4), 5);
          guided.flags = flags;
          guided.rule = rule;
          guided.temperature = temperature;
          guided.guidance = 2.5f;
        }
      }
      head.finish();
      expect_same(set, head,
                  "columns " + std::to_string(shape.columns) + " flags " + std::to_string(flags));
    }
  }
}

// From no row to choose for to more than a group of them, pairs across its end.
template <typename X>
void takes_any_number_of_rows(const KernelSet& set) {
  const Shape shape = {200, 50, 64, {200, 199, 3, 4}};
  for (const int count : {1, 2, 13, 14, 15, 29, 64, 127, 128, 129, 300}) {
    for (const bool guided : {false, true}) {
      Head<X> head(shape);
      if (guided) head.add(1, 8);  // an odd place before the pairs
      head.add(count, 8).guidance = guided ? 1.5f : 0.0f;
      head.finish();
      expect_same(set, head, std::to_string(count) + " rows");
    }
  }
  Head<X> idle(shape);
  idle.add(9, 0);
  idle.finish();
  expect_same(set, idle, "nothing to choose");
}

// What is no number is as absent as it is from written logits.
template <typename X>
void takes_weights_that_are_no_numbers(const KernelSet& set) {
  const Shape shape = {100, 6, 32, {90, 5, 8, 9}};
  Head<X> head(shape);
  for (int column = 0; column < shape.columns; column += 3) {
    from_float(column % 2 == 0 ? NAN : -HUGE_VALF, &head.w[std::size_t(column) * shape.k + 1]);
  }
  head.pack();
  for (const float temperature : {0.0f, 1.0f}) head.add(9, 8).temperature = temperature;
  head.finish();
  expect_same(set, head, "NaN and infinities");
}

void refuses_slices_that_cut_strips() {
  Head<float> head({100, 6, 32, {90, 5, 8, 9}});
  head.add(2, 8);
  head.finish();
  for (const int width : {0, -16, 24}) {
    head.shape.slice_width = width;
    bool refused = false;
    try {
      SelectPartial none;
      head_select_f32(launch(1), &none, head.a.data(), head.packed.data(), head.rows.data(),
                      head.sequences.data(), 2, 100, 6, width, head.shape.tokens);
    } catch (const std::exception&) {
      refused = true;
    }
    EXPECT_THAT(refused, "a slice of " + std::to_string(width) + " columns");
  }
}

template <typename X>
void test(const KernelSet& set) {
  gives_the_bits_of_the_separate_kernels<X>(set);
  takes_any_number_of_rows<X>(set);
  takes_weights_that_are_no_numbers<X>(set);
}

}  // namespace

int main() {
  for (const KernelSet* set : kernel_sets()) {
    test<bf16>(*set);
    test<float>(*set);
  }
  refuses_slices_that_cut_strips();
  return finish();
}
