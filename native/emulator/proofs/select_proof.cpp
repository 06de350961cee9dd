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

// Keys of every kind, with ties.
float any_key(Case& it, int distinct) {
  switch (it.uniform(0, 9)) {
    case 0:
      return -1.0f;
    case 1:
      return HUGE_VALF;
    case 2:
      return it.any_of({0.0f, -0.0f, 1e-45f, std::nanf("")});
    case 3:
      return std::exp2(float(it.uniform(-140, 120)));
    default:
      return float(it.uniform(0, distinct)) * 0.37f;
  }
}

void commit(Case& it) {
  const int sequences = it.uniform(1, 4), most = it.chance(0.1) ? 5000 : 300;
  std::vector<SequenceState> states;
  std::vector<PlanEntry> plan;
  int rows = 0, canvas = 0;
  for (int s = 0; s < sequences; s++) {
    SequenceState state = {};
    state.row_begin = rows;
    state.row_count = it.size(most, {32, 256});
    state.canvas_begin = canvas;
    const int block = it.uniform(0, 9), length = block + state.row_count + it.uniform(0, 5);
    state.unconditional_begin = it.chance(0.3) ? canvas + length : -1;
    state.cursor = int(plan.size());
    state.plan_end = it.chance(0.1) ? state.cursor : state.cursor + 1;
    plan.push_back({block, it.uniform(0, state.row_count + 2), it.uniform(0, 99), 0});
    rows += state.row_count;
    canvas += state.unconditional_begin < 0 ? length : 2 * length;
    states.push_back(state);
  }
  it.shape("commit: sequences=%d rows=%d canvas=%d", sequences, rows, canvas);
  const int distinct = it.any_of({1, 20, 100000});
  auto keys = it.filled<float>(std::size_t(rows), [&] { return any_key(it, distinct); });
  int token = 100;
  auto candidates = it.filled<int>(std::size_t(rows), [&] { return token++; });
  auto tokens = it.output<int>(std::size_t(canvas));
  auto steps = it.output<int>(std::size_t(canvas));
  auto confidences = it.output<float>(std::size_t(canvas));
  auto want_tokens = it.output<int>(std::size_t(canvas));
  auto want_steps = it.output<int>(std::size_t(canvas));
  auto want_confidences = it.output<float>(std::size_t(canvas));
  for (const SequenceState& state : states) {
    if (state.cursor == state.plan_end) continue;
    const PlanEntry& entry = plan[std::size_t(state.cursor)];
    std::vector<int> order;
    for (int i = 0; i < state.row_count; i++) {
      if (keys[std::size_t(state.row_begin + i)] >= 0) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return keys[std::size_t(state.row_begin + a)] < keys[std::size_t(state.row_begin + b)];
    });
    order.resize(std::min(order.size(), std::size_t(entry.quota)));
    for (const int i : order) {
      const std::size_t row = std::size_t(state.row_begin + i);
      const int position = entry.block_begin + i;
      const std::size_t at = std::size_t(state.canvas_begin + position);
      want_tokens[at] = candidates[row];
      want_steps[at] = entry.step;
      want_confidences[at] = 1 / (1 + keys[row]);
      if (state.unconditional_begin >= 0) {
        want_tokens[std::size_t(state.unconditional_begin + position)] = candidates[row];
      }
    }
  }
  const auto device_states = it.copy(states);
  const auto device_plan = it.copy(plan);
  it.launch("commit_topk", sequences, 256, 0, tokens.data(), steps.data(), confidences.data(),
            static_cast<const float*>(keys.data()), static_cast<const int*>(candidates.data()),
            static_cast<const SequenceState*>(device_states.data()),
            static_cast<const PlanEntry*>(device_plan.data()));
  it.expect_same("commit_topk", tokens, want_tokens);
  it.expect_same("commit_topk", steps, want_steps);
  it.expect_same("commit_topk", confidences, want_confidences);
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
    SequenceState state = {};
    state.unconditional_begin = state.unconditional_row_begin = -1;
    state.row_count = state.plan_end = 1;
    state.temperature = temperature;
    state.seed = seed;
    const auto states = it.copy(std::vector<SequenceState>{state});
    const auto plan = it.copy(std::vector<PlanEntry>{{0, 1, widest_step, 0}});
    const auto row_sequence = it.zeros<int>(1);
    const auto canvas = it.copy(std::vector<int>{kMask});
    const auto device_logits = it.copy(logits);
    auto partial = it.output<SelectPartial>(1);
    it.launch("select_slices", {1, 1}, 256, 0, partial.data(),
              static_cast<const float*>(device_logits.data()),
              static_cast<const SequenceState*>(states.data()),
              static_cast<const PlanEntry*>(plan.data()),
              static_cast<const int*>(row_sequence.data()), static_cast<const int*>(canvas.data()),
              1, kColumns, 8192, SpecialTokens{kColumns, kMask, -1, -1});
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

// Draws of fresh seeds, one for each position of a long block in several steps.
void draws(Case& it, float temperature) {
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
  const auto canvas = it.filled<int>(kRows, [] { return kMask; });
  const auto row_sequence = it.zeros<int>(kRows);
  std::vector<double> counts(kColumns, 0.0);
  for (int step = 0; step < kSteps; step++) {
    SequenceState state = {};
    state.unconditional_begin = state.unconditional_row_begin = -1;
    state.row_count = kRows;
    state.plan_end = 1;
    state.temperature = temperature;
    state.seed = seed;
    const auto states = it.copy(std::vector<SequenceState>{state});
    const auto plan = it.copy(std::vector<PlanEntry>{{0, 1, step, 0}});
    auto partials = it.output<SelectPartial>(kRows);
    auto candidates = it.output<int>(kRows);
    auto keys = it.output<float>(kRows);
    it.launch("select_slices", {1, kRows}, 32, 0, partials.data(),
              static_cast<const float*>(device_logits.data()),
              static_cast<const SequenceState*>(states.data()),
              static_cast<const PlanEntry*>(plan.data()),
              static_cast<const int*>(row_sequence.data()), static_cast<const int*>(canvas.data()),
              kRows, kColumns, 1024, tokens);
    it.launch("select_merge", kRows / 8, 256, 0, candidates.data(), keys.data(),
              static_cast<const SelectPartial*>(partials.data()),
              static_cast<const SequenceState*>(states.data()),
              static_cast<const PlanEntry*>(plan.data()),
              static_cast<const int*>(row_sequence.data()), static_cast<const int*>(canvas.data()),
              kRows, 1, tokens);
    for (const int id : candidates) counts[std::size_t(id)] += 1;
  }
  double sum = 0, chi_squared = 0;
  const auto weight = [&](int id) {
    return id == kMask ? 0 : std::exp(double(row[std::size_t(id)]) / double(temperature));
  };
  for (int id = 0; id < kColumns; id++) sum += weight(id);
  int freedom = -1;
  double rare = 0, rare_count = 0;  // bins too small for the approximation, as one
  const auto add = [&](double count, double expected) {
    chi_squared += (count - expected) * (count - expected) / expected;
    freedom++;
  };
  for (int id = 0; id < kColumns; id++) {
    const double expected = weight(id) / sum * kRows * kSteps, count = counts[std::size_t(id)];
    if (expected < 20) {
      rare += expected;
      rare_count += count;
    } else {
      add(count, expected);
    }
  }
  if (rare > 1) add(rare_count, rare);
  const double p = tail(chi_squared, freedom);
  std::printf("%d draws at temperature %g, seed %llu: chi-squared %.1f of %d, p = %.3g\n",
              kRows * kSteps, double(temperature), static_cast<unsigned long long>(seed),
              chi_squared, freedom, p);
  if (!(p > kSignificance) || counts[kMask] != 0) {
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
    if (it.wants("commit_topk")) commit(it);
    if (!drawn && it.wants("select_slices")) {
      drawn = true;
      far_draws(it, 0.3f);
      far_draws(it, 2.0f);
      it.shape("draws");
      draws(it, 0.6f);
      draws(it, 1.7f);
    }
  });
}
