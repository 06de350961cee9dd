#include "select_case.h"

#include <algorithm>
#include <cfloat>
#include <limits>

namespace remask::proof {
namespace {

constexpr double kRoundoff = 0x1p-24;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kCtaThreads = 256, kWarpThreads = 32, kLanes = 4;
constexpr const char* kSlices = "select_slices";
constexpr const char* kMerge = "select_merge";

int ceil_div(int a, int b) { return (a + b - 1) / b; }

}  // namespace

Words philox(std::uint64_t key, unsigned c0, unsigned c1, unsigned c2, unsigned c3) {
  unsigned k0 = unsigned(key), k1 = unsigned(key >> 32);
  for (int round = 0; round < 10; round++) {
    const std::uint64_t a = std::uint64_t(0xD2511F53u) * c0, b = std::uint64_t(0xCD9E8D57u) * c2;
    c0 = unsigned(b >> 32) ^ c1 ^ k0;
    c1 = unsigned(b);
    c2 = unsigned(a >> 32) ^ c3 ^ k1;
    c3 = unsigned(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

double gumbel_noise(std::uint64_t seed, int step, int position, int id) {
  const unsigned word =
      philox(seed, unsigned(step), unsigned(position), unsigned(id) / 4, 2).word[id % 4];
  const double rest = std::max((word >> 8) * 0x1p-24, 0x1p-25);  // 1 - v
  return -std::log(-std::log1p(rest - 1));
}

double random_uniform(std::uint64_t seed, int step, int position) {
  return ((philox(seed, unsigned(step), unsigned(position), 0, 1).word[0] >> 8) + 0.5) * 0x1p-24;
}

SelectCase::SelectCase(Case& it) : it_(it) {
  const bool wide = it.chance(0.05);
  columns = wide ? it.uniform(8192, 20000) : it.size(1200, {4, 128, 1024});
  slice_width = it.any_of({64, 128, 200, 256, 1024, 4096, 8192});
  if (wide) slice_width = it.any_of({1024, 8192});
  skewed_ = it.chance(0.15);
  tokens_.vocabulary = columns - (it.chance(0.5) ? 0 : it.uniform(0, columns - 1));
  tokens_.mask = it.uniform(0, columns - 1);
  tokens_.eos = it.chance(0.2) ? -1 : it.uniform(0, columns - 1);
  tokens_.eot = it.chance(0.2) ? -1 : it.uniform(0, columns - 1);
  for (int s = it.uniform(1, wide ? 2 : 4); s > 0; s--) add_sequence();
  logits_rows = rows;
  for (SequenceState& sequence : sequences_) {
    if (sequence.unconditional_row_begin < 0) continue;
    sequence.unconditional_row_begin = logits_rows;
    logits_rows += sequence.row_count;
  }
  const std::size_t count = std::size_t(logits_rows) * std::size_t(columns);
  logits_ = it.output<float>(count + 1);
  const bool eighths = it.chance(0.3);
  for (int row = 0; row < logits_rows; row++) {
    fill_row(logits_.data() + skewed_ + std::size_t(row) * std::size_t(columns), eighths);
  }
  device_sequences_ = it.copy(sequences_);
  device_plan_ = it.copy(plan_);
  device_row_sequence_ = it.copy(row_sequence_);
  device_canvas_ = it.copy(canvas_);
  it.shape(
      "rows=%d columns=%d width=%d vocabulary=%d mask=%d eos=%d eot=%d sequences=%zu skewed=%d",
      rows, columns, slice_width, tokens_.vocabulary, tokens_.mask, tokens_.eos, tokens_.eot,
      sequences_.size(), skewed_);
}

void SelectCase::add_sequence() {
  SequenceState s = {};
  const int prompt = it_.uniform(0, 5);
  s.canvas_begin = int(canvas_.size());
  s.unconditional_begin = -1;
  s.row_begin = rows;
  s.row_count = it_.size(8);
  s.unconditional_row_begin = it_.chance(0.3) ? 0 : -1;  // where: once all rows are known
  s.guidance = it_.any_of({1.5f, 2.5f, 4.0f});
  s.cursor = int(plan_.size());
  s.plan_end = it_.chance(0.1) ? s.cursor : s.cursor + 1;
  s.flags = it_.uniform(0, 3);
  s.rule = it_.uniform(0, 3);
  s.temperature = it_.chance(0.4) ? 0.0f : it_.any_of({1e-6f, 0.1f, 0.7f, 1.0f, 2.5f});
  s.seed = std::uint64_t(it_.next()) << 32 | it_.next();
  plan_.push_back({prompt, 1, it_.uniform(0, 1000), 0});
  for (int p = 0; p < prompt; p++) canvas_.push_back(tokens_.mask + 1);
  for (int row = 0; row < s.row_count; row++) {
    canvas_.push_back(it_.chance(0.15) ? tokens_.mask + 1 : tokens_.mask);
    row_sequence_.push_back(int(sequences_.size()));
  }
  rows += s.row_count;
  sequences_.push_back(s);
}

void SelectCase::fill_row(float* row, bool eighths) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  const double deviation = it_.any_of({0.05, 3.0, 12.0});
  const double absent = it_.any_of({0.0, 0.0, 0.3, 1.0});
  const double offset = it_.any_of({0.0, 0.0, 60.0, -200.0});
  for (int j = 0; j < columns; j++) {
    double x = it_.normal_real() * deviation + offset;
    if (eighths) x = std::rint(x * 8) / 8;  // ties
    row[j] = float(x);
    if (it_.chance(absent)) row[j] = it_.chance(0.5) ? kNothing : std::nanf("");
  }
  if (it_.chance(0.4)) row[it_.uniform(0, columns - 1)] = float(offset + it_.uniform(10, 60));
  if (it_.chance(0.3) && tokens_.eos >= 0) row[tokens_.eos] = float(offset + 40);
  if (it_.chance(0.3)) row[tokens_.mask] = float(offset + 50);
  if (it_.chance(0.05)) row[it_.uniform(0, columns - 1)] = -kNothing;
}

void SelectCase::run(int width) {
  launched_width_ = width;
  const int slices = ceil_div(columns, width);
  const int vectors = ceil_div(std::min(width, columns), kLanes);
  const int least = std::min(kCtaThreads, ceil_div(vectors, kWarpThreads) * kWarpThreads);
  const int threads = it_.chance(0.5) ? least : kCtaThreads;
  auto partials = it_.output<SelectPartial>(std::size_t(rows) * std::size_t(slices));
  candidates = it_.output<int>(std::size_t(rows));
  keys = it_.output<float>(std::size_t(rows));
  const SequenceState* sequences = device_sequences_.data();
  const PlanEntry* plan = device_plan_.data();
  const int* row_sequence = device_row_sequence_.data();
  const int* canvas = device_canvas_.data();
  const float* logits = logits_.data() + skewed_;
  it_.launch(kSlices, {slices, rows}, threads, 0, partials.data(), logits, sequences, plan,
             row_sequence, canvas, rows, columns, width, tokens_);
  const int warps = it_.uniform(1, kCtaThreads / kWarpThreads);
  const SelectPartial* read = partials.data();
  it_.launch(kMerge, ceil_div(rows, warps), warps * kWarpThreads, 0, candidates.data(), keys.data(),
             read, sequences, plan, row_sequence, canvas, rows, slices, tokens_);
}

SelectCase::Row SelectCase::row_of(int row, const SequenceState& sequence) const {
  const float* conditional = logits_.data() + skewed_ + std::size_t(row) * std::size_t(columns);
  const float* copy = nullptr;
  if (sequence.unconditional_row_begin >= 0) {
    const int at = sequence.unconditional_row_begin + row - sequence.row_begin;
    copy = logits_.data() + skewed_ + std::size_t(at) * std::size_t(columns);
  }
  Row result = {std::vector<double>(std::size_t(columns)), 0};
  for (int j = 0; j < columns; j++) {
    double x = double(conditional[j]);
    if (copy != nullptr) {
      const double base = double(copy[j]), change = double(sequence.guidance) * (x - base);
      x = base + change;
      const double error = (std::fabs(base) + 3 * std::fabs(change)) * kRoundoff;
      if (std::isfinite(error)) result.error = std::max(result.error, error);
    }
    if (std::isnan(x) || ((sequence.flags & kSuppressEos) && j == tokens_.eos)) x = -kInfinity;
    result.logits[std::size_t(j)] = x;
  }
  return result;
}

void SelectCase::check() const {
  for (int row = 0; row < rows; row++) {
    const SequenceState& sequence = sequences_[std::size_t(row_sequence_[std::size_t(row)])];
    const std::size_t at = std::size_t(row);
    bool selectable = sequence.cursor != sequence.plan_end;
    int step = 0, position = 0;
    if (selectable) {
      const PlanEntry& entry = plan_[std::size_t(sequence.cursor)];
      step = entry.step;
      position = entry.block_begin + row - sequence.row_begin;
      selectable = canvas_[std::size_t(sequence.canvas_begin + position)] == tokens_.mask;
    }
    if (!selectable) {
      if (candidates[at] != -1 || keys[at] != -1)
        it_.wrong(kMerge, "row %d is not selectable", row);
      continue;
    }
    const Row logits = row_of(row, sequence);
    const int expected = check_candidate(row, logits, sequence, step, position);
    if (expected != candidates[at]) {
      it_.wrong(kSlices, "row %d chose %d, not %d (temperature %g, rule %d, flags %d)", row,
                candidates[at], expected, double(sequence.temperature), sequence.rule,
                sequence.flags);
    } else if (expected < 0) {
      it_.expect(keys[at] == -1, kMerge, "the key of a row without a candidate is not -1");
    } else {
      check_key(row, logits, sequence, step, position);
    }
  }
}

// The id that must be chosen; the one that was, if f32 cannot tell the two apart.
int SelectCase::check_candidate(int row, const Row& logits, const SequenceState& sequence, int step,
                                int position) const {
  const double temperature = double(sequence.temperature);
  const int actual = candidates[std::size_t(row)];
  int best = -1;
  double most = -kInfinity, most_error = 0, actual_value = -kInfinity, actual_error = 0;
  for (int id = 0; id < columns; id++) {
    double value = logits.logits[std::size_t(id)];
    if (!choosable(id) || value == -kInfinity) continue;
    double error = std::isfinite(value) ? logits.error : 0;
    if (temperature > 0) {
      const double noise = gumbel_noise(sequence.seed, step, position, id);
      // Two logarithms of 2 ulp each, of which the first becomes absolute; then the sum's rounding.
      error += temperature * (8 + 4 * std::fabs(noise)) * kRoundoff;
      if (std::isfinite(value)) error += 2 * std::fabs(value) * kRoundoff;
      value += temperature * noise;
    }
    if (value > most) {
      best = id;
      most = value;
      most_error = error;
    }
    if (id == actual) {
      actual_value = value;
      actual_error = error;
    }
  }
  if (actual_value < most - most_error - actual_error || actual_value == -kInfinity) return best;
  return actual_error == 0 && most_error == 0 ? best : actual;
}

void SelectCase::check_key(int row, const Row& logits, const SequenceState& sequence, int step,
                           int position) const {
  const int chosen = candidates[std::size_t(row)];
  const float key = keys[std::size_t(row)];
  if (deferred(sequence, chosen)) {
    it_.expect(key == HUGE_VALF, kMerge, "a deferred row's key is not infinite");
    return;
  }
  if (sequence.rule == kRandomOrder) {
    const double u = random_uniform(sequence.seed, step, position);
    if (key != float((1 - u) / u))
      it_.wrong(kMerge, "row %d: the random key is %g", row, double(key));
    return;
  }
  double top = -kInfinity, first = -kInfinity, second = -kInfinity;
  for (int j = 0; j < columns; j++) {
    if (deferred(sequence, j)) continue;
    const double x = logits.logits[std::size_t(j)];
    top = std::max(top, x);
    if (choosable(j)) {
      second = std::max(second, std::min(first, x));
      first = std::max(first, x);
    }
  }
  // Sums in units of the largest column, but without one that is the reference: the candidate for
  // its odds, the leader for the margin, a largest column for the entropy.
  const double reference = sequence.rule == kLowConfidence
                               ? logits.logits[std::size_t(chosen)]
                               : (sequence.rule == kMargin ? first : top);
  const auto weight_of = [&](double x) { return x == reference ? 1.0 : std::exp(x - reference); };
  double against = -1, mean = 0, widest = 0;
  std::vector<double> weights;
  for (int j = 0; j < columns; j++) {
    const double x = logits.logits[std::size_t(j)];
    if (deferred(sequence, j) || x == -kInfinity) continue;
    weights.push_back(weight_of(x));
    if (x < top && weight_of(x) > 0) {
      widest = std::max(widest, std::min(top - x, 110.0));
      mean += weight_of(x) * (top - x);
    }
  }
  std::sort(weights.begin(), weights.end());
  // The reference's own weight of 1 is left out, not subtracted.
  bool own = false;
  against = 0;
  for (const double weight : weights) {
    if (!own && weight == 1) {
      own = true;
    } else {
      against += weight;
    }
  }
  double expected = against;
  if (sequence.rule == kEntropy) expected = std::expm1(std::log1p(against) + mean / (1 + against));
  if (sequence.rule == kMargin) {
    const double lead = first == second ? 0 : -std::expm1(second - first);
    expected = (against + (first == second ? 1 : std::exp(second - first))) / lead;
  }
  // An exp is off by 4 ulp and by its argument's rounding, `widest` ulp; rescaled once per slice,
  // a thread's 32 and the tree's and the warps' additions; a quotient of two such.
  const int slices = ceil_div(columns, launched_width_);
  double relative =
      3 * ((4 + 2 * widest) * (3 + std::min(slices, 8)) + 32 + 16 + slices) * kRoundoff;
  relative += 4 * logits.error;
  if (sequence.rule == kMargin && second < first && logits.error > 0) {
    relative += 2 * logits.error / (first - second);
  }
  if (sequence.rule == kEntropy) relative *= 2 * (1 + std::log1p(expected));
  if (expected * (1 - relative) > double(FLT_MAX)) {
    it_.expect(key == FLT_MAX, kMerge, "a key beyond FLT_MAX is not FLT_MAX");
    return;
  }
  // Weights below the least normal number are gone.
  const double gone = columns * 0x1p-126 * (sequence.rule == kEntropy ? 110 : 1);
  if (!(std::fabs(double(key) - expected) <= relative * expected + gone)) {
    it_.wrong(kMerge, "row %d, rule %d, flags %d: key %.9g, expected %.9g within %.3g", row,
              sequence.rule, sequence.flags, double(key), expected, relative * expected);
  }
}

}  // namespace remask::proof
