// select_slices and select_merge together against plain double arithmetic, and their edge cases.
#include "host_testing.h"
#include "philox.h"
#include "selection.h"

using namespace remask;
using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr float kInfinity = HUGE_VALF;

// One or more sequences with some rows each.
struct Selection {
  int columns, slice_width, slices;
  SpecialTokens tokens;
  std::vector<Sequence> sequences;
  std::vector<Row> table;
  std::vector<float> logits;  // conditional rows, then the copies' rows
  std::vector<float> floors;  // empty: none
  std::vector<int> candidates;
  std::vector<float> keys;
  std::vector<SelectPartial> partials;

  Selection(int columns_, int slice_width_, SpecialTokens tokens_)
      : columns(columns_),
        slice_width(slice_width_),
        slices((columns_ + slice_width_ - 1) / slice_width_),
        tokens(tokens_) {}

  int rows() const { return static_cast<int>(table.size()); }

  // Adds sequences before any logits are set.
  Sequence& add(int block, int flags) {
    Sequence sequence = {};
    sequence.flags = flags;
    sequence.seed = 0x123456789abcdefull;
    sequence.top_p = 1;
    const int slot = static_cast<int>(sequences.size());
    for (int i = 0; i < block; ++i) table.push_back({slot, 3 + i, 11, kChoose, -1, -1, i, 0});
    sequences.push_back(sequence);
    return sequences.back();
  }

  // Gives the rows of the sequence added last their copies, from row `first` of the logits on.
  void guide(float guidance, int first) {
    sequences.back().guidance = guidance;
    const int slot = static_cast<int>(sequences.size()) - 1;
    for (Row& row : table) {
      if (row.sequence == slot) row.unconditional_row = first++;
    }
  }

  float* row(int r) { return &logits[static_cast<std::size_t>(r) * columns]; }

  void run(const KernelSet& set, int threads) {
    Poisoned<SelectPartial> partial(table.size() * slices);
    Poisoned<int> candidate(table.size());
    Poisoned<float> key(table.size());
    set.select_slices(launch(threads, slices, rows()), partial.data(), logits.data(), table.data(),
                      sequences.data(), floors.empty() ? nullptr : floors.data(), rows(), columns,
                      slice_width, tokens);
    select_merge(launch(threads), candidate.data(), key.data(), partial.data(), table.data(),
                 sequences.data(), rows(), slices, tokens);
    partials.assign(partial.data(), partial.data() + partial.size());
    candidates.assign(candidate.data(), candidate.data() + rows());
    keys.assign(key.data(), key.data() + rows());
  }
};

struct Expected {
  int candidate = -1;
  double key = -1, allowed = 0;
};

// The id that must be chosen; `actual`, if f32 cannot tell the two apart. `error`: of a logit.
int candidate_of(const Selection& s, const std::vector<double>& logits, double error,
                 const Sequence& sequence, const Row& row, float floor, int actual) {
  const double temperature = sequence.temperature;
  int best = -1;
  double most = -HUGE_VAL, most_error = 0, actual_value = -HUGE_VAL, actual_error = 0;
  for (int j = 0; j < s.tokens.vocabulary; ++j) {
    if (j == s.tokens.mask || logits[j] == -HUGE_VAL) continue;
    if (temperature > 0 && logits[j] < floor) continue;
    double value = logits[j], value_error = 0;
    if (temperature > 0) {
      const std::uint32_t word =
          philox4x32_10(row.step, row.position, static_cast<std::uint32_t>(j) / 4, 2, sequence.seed)
              .word[j % 4];
      const double noise = -std::log(-std::log(std::max((word >> 8) * 0x1p-24, 0x1p-25)));
      value += temperature * noise;
      // two logarithms of 2 ulp each, of which the first becomes absolute; the sum's rounding
      value_error = error + (temperature * (8 + 4 * std::fabs(noise)) + 2 * std::fabs(logits[j])) *
                                kF32Roundoff;
    }
    if (value > most) {
      best = j;
      most = value;
      most_error = value_error;
    }
    if (j == actual) {
      actual_value = value;
      actual_error = value_error;
    }
  }
  const bool as_good = temperature > 0 && actual_value >= most - most_error - actual_error;
  return as_good && actual_value > -HUGE_VAL ? actual : best;
}

// The documented rules (docs/options.md), in double, logits already guided.
Expected reference(const Selection& s, int index) {
  const int actual = s.candidates[index];
  const Row& row = s.table[index];
  const Sequence& sequence = s.sequences[row.sequence];
  Expected expected;
  if (row.kind != kChoose) return expected;
  const float* conditional = &s.logits[static_cast<std::size_t>(index) * s.columns];
  const bool guided = row.unconditional_row >= 0;
  const float* copy =
      guided ? &s.logits[static_cast<std::size_t>(row.unconditional_row) * s.columns] : nullptr;
  std::vector<double> logits(s.columns);
  double error = 0;  // of a logit, from the mixing in f32
  for (int j = 0; j < s.columns; ++j) {
    double logit = conditional[j];
    if (guided) {
      logit = copy[j] + static_cast<double>(sequence.guidance) * (conditional[j] - copy[j]);
      const double norm =
          std::fabs(copy[j]) + 2 * std::fabs(sequence.guidance * (conditional[j] - copy[j]));
      if (std::isfinite(norm)) error = std::max(error, 2 * norm * kF32Roundoff);
    }
    if (std::isnan(logit)) logit = -HUGE_VAL;
    if ((sequence.flags & kSuppressEos) && j == s.tokens.eos) logit = -HUGE_VAL;
    logits[j] = logit;
  }
  const float floor = s.floors.empty() ? -kInfinity : s.floors[index];
  expected.candidate = candidate_of(s, logits, error, sequence, row, floor, actual);
  if (expected.candidate < 0) return expected;
  const auto deferred = [&](int j) {
    return (sequence.flags & kDeferEos) && (j == s.tokens.eos || j == s.tokens.eot);
  };
  if (deferred(expected.candidate)) {
    expected.key = HUGE_VAL;
    return expected;
  }
  if (sequence.rule == kRandomOrder) {
    const unsigned word = philox4x32_10_word0(row.step, row.position, 0, 1, sequence.seed);
    const double u = ((word >> 8) + 0.5) / 16777216.0;
    expected.key = (1 - u) / u;
    expected.allowed = expected.key * kF32Roundoff;
    return expected;
  }
  const double best = logits[expected.candidate];
  double highest = -HUGE_VAL, first = -HUGE_VAL, second = -HUGE_VAL;
  for (int j = 0; j < s.columns; ++j) {
    if (deferred(j)) continue;
    highest = std::max(highest, logits[j]);
    if (j < s.tokens.vocabulary && j != s.tokens.mask) {
      second = std::max(second, std::min(first, logits[j]));
      first = std::max(first, logits[j]);
    }
  }
  if (sequence.rule == kEntropy || sequence.rule == kMargin) {
    // Sums in units of the largest column, of which one is left out: see diffusion_state.h.
    const double leader = sequence.rule == kMargin ? first : highest;
    double against = 0, mean = 0;
    bool own = false;
    for (int j = 0; j < s.columns; ++j) {
      if (deferred(j) || logits[j] == -HUGE_VAL) continue;
      const double weight = std::exp(logits[j] - leader);
      mean += weight * (highest - logits[j]);
      if (!own && logits[j] == leader) {
        own = true;
      } else {
        against += weight;
      }
    }
    const double lead = -std::expm1(second - first);
    expected.key = sequence.rule == kMargin
                       ? (against + std::exp(second - first)) / lead
                       : std::expm1(std::log1p(against) + mean / (1 + against));
    const double terms = kExpError * 3 + (s.columns / 4.0 + 4.0 * s.slices) * kF32Roundoff;
    const double reach = 2 * error + 110 * kF32Roundoff;
    expected.allowed =
        expected.key * 4 * (terms + reach) * (sequence.rule == kEntropy ? 1 + mean : 1) +
        (sequence.rule == kMargin ? expected.key * error / lead : 0) + s.columns * 0x1p-126 * 110;
    return expected;
  }
  double others = 0, spread = 0;
  for (int j = 0; j < s.columns; ++j) {
    if (j == expected.candidate || deferred(j)) continue;
    others += std::exp(logits[j] - best);
    if (logits[j] > -HUGE_VAL) spread += std::exp(logits[j] - best) * (highest - logits[j]);
  }
  expected.key = others;
  // exp and its argument's rounding for each term, the sum, the merge of the slices; where the
  // candidate is not the maximum, its share's error scales the whole.
  const double relative = kExpError * 3 + (s.columns / 4.0 + 4.0 * s.slices) * kF32Roundoff +
                          2 * error + (highest - best) * 2 * kF32Roundoff;
  expected.allowed = (others + (best < highest ? 1 : 0)) * 2 * relative +
                     spread * 2 * kF32Roundoff + s.columns * kTiny<float>;
  return expected;
}

void compare(const KernelSet& set, const Selection& s, const char* what) {
  Comparison keys(std::string(set.name) + " " + what + " key");
  for (int row = 0; row < s.rows(); ++row) {
    const Expected expected = reference(s, row);
    EXPECT_THAT(s.candidates[row] == expected.candidate,
                std::string(set.name) + " " + what + " candidate of row " + std::to_string(row) +
                    ": " + std::to_string(s.candidates[row]) + ", expected " +
                    std::to_string(expected.candidate));
    keys.add(row, s.keys[row], expected.key, expected.allowed);
  }
}

void random_batches_match_reference(const KernelSet& set) {
  struct Shape {
    int columns, slice_width;
    SpecialTokens tokens;
  };
  const Shape shapes[] = {{512, 512, {500, 499, 3, 4}},
                          {512, 128, {500, 7, 128, 127}},
                          {1013, 256, {1013, 0, 1, 2}},
                          {1013, 100, {1000, 999, 1005, -1}},
                          {33, 8, {33, 32, -1, -1}},
                          {1, 16, {1, -7, -1, -1}},
                          {126464, 4096, {126464, 126336, 126081, 126348}}};
  for (const Shape& shape : shapes) {
    Selection s(shape.columns, shape.slice_width, shape.tokens);
    const bool large = shape.columns > 10000;
    for (int flags = 0; flags < 16; ++flags) {
      if (large && flags % 3 != 0) continue;
      s.add(large ? 2 : 5, flags & 3).rule = flags / 4;
    }
    for (const float temperature : {1e-6f, 0.3f, 1.0f, 2.5f}) {
      Sequence& sampled = s.add(large ? 1 : 4, temperature == 1 ? kDeferEos : 0);
      sampled.temperature = temperature;
      sampled.rule = temperature < 1 ? kEntropy : kMargin;
      sampled.seed = random_engine()();
    }
    Sequence& guided = s.add(4, kSuppressEos | kDeferEos);
    guided.temperature = 0.7f;
    s.guide(2.5f, s.rows());
    s.table[1].kind = kNothing;
    s.table[0].kind = kReconsider;  // target_odds' work
    s.logits = random_values<float>(static_cast<std::size_t>(s.rows() + 4) * s.columns, 4.0f);
    s.run(set, 2);
    compare(set, s, ("columns " + std::to_string(shape.columns)).c_str());
    for (int row = 0; row < s.rows(); ++row) s.floors.push_back(row % 3 ? 1.0f : -kInfinity);
    s.run(set, 2);
    compare(set, s, ("floors, columns " + std::to_string(shape.columns)).c_str());
    for (const int threads : {1, 3}) {
      Selection again = s;
      again.run(set, threads);
      EXPECT_THAT(std::memcmp(again.keys.data(), s.keys.data(), sizeof(float) * s.keys.size()) == 0,
                  "keys depend on the number of threads");
      EXPECT_THAT(std::memcmp(again.partials.data(), s.partials.data(),
                              sizeof(SelectPartial) * s.partials.size()) == 0,
                  "partials depend on the number of threads");
    }
  }
}

// Maxima are exact: no token depends on the slices' width, with noise or without.
void tokens_do_not_depend_on_the_slices(const KernelSet& set) {
  Selection s(3000, 8192, {2990, 17, 5, 6});
  for (const float temperature : {0.0f, 0.8f}) {
    Sequence& sequence = s.add(6, 0);
    sequence.temperature = temperature;
    if (temperature > 0) s.guide(1.7f, 12);
  }
  s.logits = random_values<float>(static_cast<std::size_t>(18) * s.columns, 2.0f);
  s.run(set, 1);
  for (const int width : {4, 100, 512, 1024}) {
    Selection sliced = s;
    sliced.slice_width = width;
    sliced.slices = (s.columns + width - 1) / width;
    sliced.run(set, 2);
    EXPECT_THAT(sliced.candidates == s.candidates,
                std::string(set.name) + " tokens depend on slices of " + std::to_string(width));
  }
}

// One row of 50 columns in slices of 16; ids: vocabulary 45, mask 20, EOS 30, EoT 31.
Selection one_row(int flags) {
  Selection s(50, 16, {45, 20, 30, 31});
  s.add(1, flags);
  s.logits.assign(50, -5.0f);
  return s;
}

void ties_take_the_lowest_id(const KernelSet& set) {
  Selection s = one_row(0);
  s.row(0)[7] = s.row(0)[9] = s.row(0)[40] = 3.0f;
  s.run(set, 1);
  compare(set, s, "ties");
  EXPECT_THAT(s.candidates[0] == 7 && s.keys[0] >= 2.0f, "two other maxima count 1 each");
}

void mask_id_is_never_chosen_but_counts(const KernelSet& set) {
  Selection s = one_row(0);
  s.row(0)[20] = 9.0f;   // mask
  s.row(0)[47] = 11.0f;  // beyond the vocabulary
  s.row(0)[12] = 8.0f;
  s.run(set, 1);
  compare(set, s, "mask id is the maximum");
  EXPECT_THAT(s.candidates[0] == 12 && s.keys[0] > std::exp(3.0f), "odds count both");
}

void suppressed_eos_is_absent(const KernelSet& set) {
  Selection s = one_row(kSuppressEos);
  s.row(0)[30] = 50.0f;
  s.row(0)[2] = 1.0f;
  s.run(set, 1);
  compare(set, s, "suppressed EOS");
  EXPECT_THAT(s.candidates[0] == 2, "EOS is not chosen");
}

void deferred_eos_is_chosen_last(const KernelSet& set) {
  for (const int id : {30, 31}) {
    Selection s = one_row(kDeferEos);
    s.row(0)[id] = 50.0f;
    s.run(set, 1);
    compare(set, s, "deferred EOS");
    EXPECT_THAT(s.candidates[0] == id && s.keys[0] == kInfinity, "selectable, but last");
    s.row(0)[2] = 60.0f;
    s.run(set, 1);
    compare(set, s, "EOS leaves the sum");
    EXPECT_THAT(s.candidates[0] == 2 && s.keys[0] < 1e-20f, "the others' softmax has no EOS");
  }
}

void absent_logits(const KernelSet& set) {
  Selection s = one_row(0);
  for (int j = 0; j < 50; ++j) s.row(0)[j] = j < 32 ? -kInfinity : -5.0f;
  s.run(set, 1);
  compare(set, s, "two empty slices");
  EXPECT_THAT(s.partials[0].token == -1 && s.partials[0].rest == -1 &&
                  s.partials[0].max == -kInfinity && s.partials[0].best == -kInfinity,
              "partial of an empty slice");
  for (int j = 0; j < 50; ++j) s.row(0)[j] = j % 2 ? NAN : -5.0f + j * 0.01f;
  s.run(set, 1);
  compare(set, s, "NaN among others");
  for (const float nothing : {NAN, -kInfinity}) {
    for (int j = 0; j < 50; ++j) s.row(0)[j] = nothing;
    s.run(set, 1);
    EXPECT_THAT(s.candidates[0] == -1 && s.keys[0] == -1, "no token can be chosen");
  }
  for (int j = 0; j < 50; ++j) s.row(0)[j] = j == 20 || j >= 45 ? 1.0f : NAN;
  s.run(set, 1);
  EXPECT_THAT(s.candidates[0] == -1 && s.keys[0] == -1, "only ids that may not be chosen");
  for (int j = 0; j < 50; ++j) s.row(0)[j] = j == 17 || j == 41 ? kInfinity : 0.0f;
  s.run(set, 1);
  EXPECT_THAT(s.candidates[0] == 17 && s.keys[0] == 1, "two infinite logits share the probability");
}

// Where f32 probabilities are all 1.0 the odds still tell rows apart.
void odds_resolve_what_probabilities_do_not(const KernelSet& set) {
  Selection s(4000, 512, {4000, 0, -1, -1});
  s.add(2, 0);
  s.logits.assign(2 * 4000, -40.0f);
  s.row(0)[5] = 0.0f;
  s.row(1)[5] = 1.0f;
  s.run(set, 1);
  compare(set, s, "small odds");
  EXPECT_THAT(s.keys[1] < s.keys[0] && s.keys[0] < 1e-12f, "ordered");
}

void rows_of_other_kinds_are_skipped(const KernelSet& set) {
  for (const int kind : {kNothing, kReconsider}) {
    Selection s = one_row(0);
    s.table[0].kind = kind;
    s.run(set, 1);
    EXPECT_THAT(s.candidates[0] == -1 && s.keys[0] == -1, "not to be chosen");
    EXPECT_THAT(std::isnan(s.partials[0].max), "no partial is written");
  }
}

void floors_restrict_the_choice_but_not_the_key(const KernelSet& set) {
  Selection s(64, 16, {64, 63, -1, -1});
  s.add(40, 0).temperature = 1.0f;
  s.logits.assign(std::size_t{40} * 64, 0.0f);
  for (int row = 0; row < 40; ++row) s.row(row)[row] = s.row(row)[50] = 0.5f;
  s.floors.assign(40, 0.5f);
  s.run(set, 1);
  compare(set, s, "floors");
  int others = 0;
  for (int row = 0; row < 40; ++row) {
    EXPECT_THAT(s.candidates[row] == row || s.candidates[row] == 50, "not below the floor");
    others += s.candidates[row] == 50;
    EXPECT_THAT(s.keys[row] > 37, "the odds are of the whole softmax");
  }
  EXPECT_THAT(others > 5 && others < 35, "ties with the floor may be chosen");
}

}  // namespace

int main() {
  for (const KernelSet* set : kernel_sets()) {
    random_batches_match_reference(*set);
    tokens_do_not_depend_on_the_slices(*set);
    ties_take_the_lowest_id(*set);
    mask_id_is_never_chosen_but_counts(*set);
    suppressed_eos_is_absent(*set);
    deferred_eos_is_chosen_last(*set);
    absent_logits(*set);
    odds_resolve_what_probabilities_do_not(*set);
    rows_of_other_kinds_are_skipped(*set);
    floors_restrict_the_choice_but_not_the_key(*set);
  }
  return finish();
}
