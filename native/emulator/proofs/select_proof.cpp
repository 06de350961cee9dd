// Selection and commit against double: any vocabulary, tails, absent and tied logits, guidance, all
// rules and temperatures; and draws from fresh seeds against the softmax, by chi-squared.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "select_case.h"

using namespace remask;
using namespace remask::proof;

namespace {

void select(Case& it) {
  SelectCase selection(it);
  selection.run(selection.slice_width);
  selection.check();
  // Other slices and another schedule: maxima are exact, so no token changes.
  const Array<int> candidates = selection.candidates;
  const Array<float> keys = selection.keys;
  selection.run(selection.slice_width);
  it.expect_same("select_merge", selection.keys, keys);
  selection.run(it.any_of({256, 1024, 8192}));
  it.expect_same("select_merge", selection.candidates, candidates);
}

// The widest reach of the noise: of some steps the one whose noise lies farthest apart, and an id
// that only the highest noise lifts above the largest logit, which has the lowest. A kernel that
// gives up on logits too early misses it.
void far_draws(Case& it, float temperature) {
  constexpr int kColumns = 2000, kMask = 3, kSteps = 600;
  const std::uint64_t seed = std::uint64_t(it.next()) << 32 | it.next();
  int widest_step = 0, low = 0, high = 0;
  double widest = 0;
  for (int step = 0; step < kSteps; step++) {
    int least = 0, most = 0;
    double least_noise = HUGE_VAL, most_noise = -HUGE_VAL;
    for (int id = 4; id < kColumns; id++) {
      const double noise = gumbel_noise(seed, step, 0, id);
      if (noise < least_noise) least_noise = noise, least = id;
      if (noise > most_noise) most_noise = noise, most = id;
    }
    if (most_noise - least_noise > widest) {
      widest = most_noise - least_noise;
      widest_step = step, low = least, high = most;
    }
  }
  it.shape("far draws: %.3f apart at temperature %g", widest, double(temperature));
  for (const bool reached : {true, false}) {
    std::vector<float> logits(kColumns, -1e4f);
    logits[std::size_t(low)] = 5;
    logits[std::size_t(high)] = 5 - temperature * float(widest) * (reached ? 0.9999f : 1.0001f);
    Sequence sequence = {};
    sequence.temperature = temperature;
    sequence.seed = seed;
    const auto sequences = it.copy(std::vector<Sequence>{sequence});
    const auto rows = it.copy(std::vector<Row>{{0, 0, widest_step, kChoose, -1, -1, 0, 0}});
    const auto device_logits = it.copy(logits);
    auto partial = it.output<SelectPartial>(1);
    it.launch("select_slices", {1, 1}, 256, 0, partial.data(),
              static_cast<const float*>(device_logits.data()), static_cast<const Row*>(rows.data()),
              static_cast<const Sequence*>(sequences.data()), static_cast<const float*>(nullptr), 1,
              kColumns, 8192, SpecialTokens{kColumns, kMask, -1, -1});
    const int expected = reached ? high : low;
    if (partial[0].token != expected) {
      it.wrong("select_slices", "chose %d, not %d", partial[0].token, expected);
    }
  }
}

// The probability that chi-squared exceeds `x`, by Wilson and Hilferty's normal approximation.
double tail(double x, int freedom) {
  const double spread = 2.0 / (9 * freedom);
  const double z = (std::cbrt(x / freedom) - (1 - spread)) / std::sqrt(spread);
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

// Draws of fresh seeds, one for each position of many rows in several steps; the ids whose logits
// are not among the `left` largest are cut off.
void draws(Case& it, float temperature, int left) {
  constexpr int kColumns = 24, kMask = 7, kRows = 2000, kSteps = 6;
  constexpr double kSignificance = 1e-7;  // how often the right kernel fails here
  const char* fixed = std::getenv("REMASK_PROOF_DRAWS");
  std::random_device device;
  const std::uint64_t seed = fixed != nullptr ? std::strtoull(fixed, nullptr, 0)
                                              : std::uint64_t(device()) << 32 | device();
  std::vector<float> logits(std::size_t(kRows) * kColumns);
  const auto row = it.normal<float>(kColumns, 1.2);
  for (std::size_t i = 0; i < logits.size(); i++) logits[i] = row[i % kColumns];
  const auto device_logits = it.copy(logits);
  const SpecialTokens tokens = {kColumns, kMask, -1, -1};
  std::vector<float> order;
  for (int id = 0; id < kColumns; id++) {
    if (id != kMask) order.push_back(row[std::size_t(id)]);
  }
  std::sort(order.begin(), order.end());
  const float floor = order[order.size() - std::size_t(left)];
  const auto floors = it.filled<float>(kRows, [&] { return floor; });
  std::vector<double> counts(kColumns, 0.0);
  for (int step = 0; step < kSteps; step++) {
    Sequence sequence = {};
    sequence.temperature = temperature;
    sequence.seed = seed;
    const auto sequences = it.copy(std::vector<Sequence>{sequence});
    std::vector<Row> table;
    for (int i = 0; i < kRows; i++) table.push_back({0, i, step, kChoose, -1, -1, i, 0});
    const auto rows = it.copy(table);
    auto partials = it.output<SelectPartial>(kRows);
    auto candidates = it.output<int>(kRows);
    auto keys = it.output<float>(kRows);
    it.launch("select_slices", {1, kRows}, 32, 0, partials.data(),
              static_cast<const float*>(device_logits.data()), static_cast<const Row*>(rows.data()),
              static_cast<const Sequence*>(sequences.data()),
              static_cast<const float*>(floors.data()), kRows, kColumns, 1024, tokens);
    it.launch("select_merge", kRows / 8, 256, 0, candidates.data(), keys.data(),
              static_cast<const SelectPartial*>(partials.data()),
              static_cast<const Row*>(rows.data()), static_cast<const Sequence*>(sequences.data()),
              kRows, 1, tokens);
    for (const int id : candidates) counts[std::size_t(id)] += 1;
  }
  double sum = 0, chi_squared = 0;
  const auto weight = [&](int id) {
    if (id == kMask || row[std::size_t(id)] < floor) return 0.0;
    return std::exp(double(row[std::size_t(id)]) / double(temperature));
  };
  for (int id = 0; id < kColumns; id++) sum += weight(id);
  int freedom = -1;
  double rare = 0, rare_count = 0;  // bins too small for the approximation, as one
  bool never = false;               // an id was drawn that cannot be
  const auto add = [&](double count, double expected) {
    chi_squared += (count - expected) * (count - expected) / expected;
    freedom++;
  };
  for (int id = 0; id < kColumns; id++) {
    const double expected = weight(id) / sum * kRows * kSteps, count = counts[std::size_t(id)];
    if (expected < 20) {
      rare += expected;
      rare_count += count;
      never = never || (expected == 0 && count > 0);
    } else {
      add(count, expected);
    }
  }
  if (rare > 1) add(rare_count, rare);
  const double p = tail(chi_squared, freedom);
  std::printf("%d draws at temperature %g of %d ids, seed %llu: chi-squared %.1f of %d, p = %.3g\n",
              kRows * kSteps, double(temperature), left, static_cast<unsigned long long>(seed),
              chi_squared, freedom, p);
  if (!(p > kSignificance) || never) {
    it.wrong("select_slices", "draws with seed %llu (REMASK_PROOF_DRAWS) do not follow the softmax",
             static_cast<unsigned long long>(seed));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 200);
  bool drawn = false;
  return proof.run([&](Case& it) {
    if (it.wants("select_slices")) select(it);
    if (!drawn && it.wants("select_slices")) {
      drawn = true;
      far_draws(it, 0.3f);
      far_draws(it, 2.0f);
      it.shape("draws");
      draws(it, 0.6f, 23);
      draws(it, 1.7f, 23);
      draws(it, 1.2f, 9);
    }
  });
}
