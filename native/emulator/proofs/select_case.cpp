#include "select_case.h"

#include <algorithm>
#include <cfloat>
#include <limits>

namespace remask::proof {
namespace {

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

SelectCase::SelectCase(Case& it) : RowsCase(it) {
  draw_rows();
  slice_width = it.any_of({64, 128, 200, 256, 1024, 4096, 8192});
  if (wide_) slice_width = it.any_of({1024, 8192});
  draw_logits();
  has_floors_ = it.chance(0.4);
  for (int row = 0; row < rows; row++) {
    floors_.push_back(it.chance(0.5) ? -HUGE_VALF : float(it.normal_real()));
  }
  device_floors_ = it.copy(floors_);
  it.shape(
      "rows=%d columns=%d width=%d vocabulary=%d mask=%d eos=%d eot=%d sequences=%zu skewed=%d",
      rows, columns, slice_width, tokens_.vocabulary, tokens_.mask, tokens_.eos, tokens_.eot,
      sequences_.size(), skewed_);
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
  const Sequence* sequences = device_sequences_.data();
  const Row* table = device_rows_.data();
  const float* floors = has_floors_ ? device_floors_.data() : nullptr;
  it_.launch(kSlices, {slices, rows}, threads, 0, partials.data(), logits(), table, sequences,
             floors, rows, columns, width, tokens_);
  const int warps = it_.uniform(1, kCtaThreads / kWarpThreads);
  const SelectPartial* read = partials.data();
  it_.launch(kMerge, ceil_div(rows, warps), warps * kWarpThreads, 0, candidates.data(), keys.data(),
             read, table, sequences, rows, slices, tokens_);
}

void SelectCase::check() const {
  for (int index = 0; index < rows; index++) {
    const std::size_t at = std::size_t(index);
    const Row& row = rows_[at];
    if (row.kind != kChoose) {
      if (candidates[at] != -1 || keys[at] != -1)
        it_.wrong(kMerge, "row %d is not to be chosen", index);
      continue;
    }
    const Sequence& sequence = sequence_of(index);
    const Logits logits = logits_of(index);
    const int expected = check_candidate(index, logits);
    if (expected != candidates[at]) {
      it_.wrong(kSlices, "row %d chose %d, not %d (temperature %g, rule %d, flags %d, floor %g)",
                index, candidates[at], expected, double(sequence.temperature), sequence.rule,
                sequence.flags, has_floors_ ? double(floors_[at]) : -kInfinity);
    } else if (expected < 0) {
      it_.expect(keys[at] == -1, kMerge, "the key of a row without a candidate is not -1");
    } else {
      check_key(index, logits);
    }
  }
}

// The id that must be chosen; the one that was, if f32 cannot tell the two apart.
int SelectCase::check_candidate(int index, const Logits& logits) const {
  const Row& row = rows_[std::size_t(index)];
  const Sequence& sequence = sequence_of(index);
  const double floor = has_floors_ ? double(floors_[std::size_t(index)]) : -kInfinity;
  const double temperature = double(sequence.temperature);
  const int actual = candidates[std::size_t(index)];
  int best = -1;
  double most = -kInfinity, most_error = 0, actual_value = -kInfinity, actual_error = 0;
  for (int id = 0; id < columns; id++) {
    double value = logits.logits[std::size_t(id)];
    if (!choosable(id) || value == -kInfinity) continue;
    double error = std::isfinite(value) ? logits.error : 0;
    // A guided logit this near to the floor may lie on either side of it.
    if (temperature > 0 && value < floor - (id == actual ? error : 0)) continue;
    if (temperature > 0 && value < floor + error && id != actual) continue;
    if (temperature > 0) {
      const double noise = gumbel_noise(sequence.seed, row.step, row.position, id);
      // Two logarithms of 2 ulp each, of which the first becomes absolute; then the sum's rounding.
      error += temperature * (8 + 4 * std::fabs(noise)) * kF32Roundoff;
      if (std::isfinite(value)) error += 2 * std::fabs(value) * kF32Roundoff;
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

void SelectCase::check_key(int index, const Logits& logits) const {
  const Row& row = rows_[std::size_t(index)];
  const Sequence& sequence = sequence_of(index);
  const int chosen = candidates[std::size_t(index)];
  const float key = keys[std::size_t(index)];
  if (deferred(sequence, chosen)) {
    it_.expect(key == HUGE_VALF, kMerge, "a deferred row's key is not infinite");
    return;
  }
  if (sequence.rule == kRandomOrder) {
    const double u = random_uniform(sequence.seed, row.step, row.position);
    if (key != float((1 - u) / u))
      it_.wrong(kMerge, "row %d: the random key is %g", index, double(key));
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
      3 * ((4 + 2 * widest) * (3 + std::min(slices, 8)) + 32 + 16 + slices) * kF32Roundoff;
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
    it_.wrong(kMerge, "row %d, rule %d, flags %d: key %.9g, expected %.9g within %.3g", index,
              sequence.rule, sequence.flags, double(key), expected, relative * expected);
  }
}

}  // namespace remask::proof
