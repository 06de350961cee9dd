// The begin and the end of a step, lay_rows and commit_rows, from random states of random slots:
// every commit rule, flag and plan, keys with ties and NaN, blocks of any length.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <tuple>

#include "diffusion_state.h"
#include "proof.h"
#include "select_case.h"

using namespace remask;
using namespace remask::proof;

namespace {

constexpr SpecialTokens kTokens = {500, 9, 7, 8};
constexpr const char* kLay = "lay_rows";
constexpr const char* kCommit = "commit_rows";

// Everything that a launch reads and writes; copied for what it must have become.
struct State {
  std::vector<Sequence> sequences;
  std::vector<Progress> progress;
  std::vector<PlanEntry> plan;
  std::vector<int> masks, canvas;
  std::vector<Member> members;
  std::vector<Row> rows;
  std::vector<int> row_index;
  std::vector<float> keys;
  std::vector<int> candidates;
  std::vector<CommitRecord> log;
  std::vector<int> log_heads;
};

template <class T>
std::size_t at(T index) {
  return std::size_t(index);
}

float any_key(Case& it, int distinct) {
  switch (it.uniform(0, 9)) {
    case 0:
      return it.any_of({-1.0f, -HUGE_VALF, std::nanf("")});
    case 1:
      return HUGE_VALF;
    case 2:
      return it.any_of({0.0f, -0.0f, 1e-45f, 1.0f});
    case 3:
      return std::exp2(float(it.uniform(-140, 120)));
    default:
      return float(it.uniform(0, distinct)) * 0.37f;
  }
}

// --- a random state ------------------------------------------------------------------------------

void add_plan(Case& it, State& state, const Sequence& sequence) {
  const int blocks = (sequence.mask_count + sequence.block_length - 1) / sequence.block_length;
  for (int block = 0; block < blocks; block++) {
    const int entries = it.chance(0.05) ? 600 : it.uniform(1, 4);
    for (int i = 0; i < entries; i++) {
      const int flags = (i == 0 ? kFirstOfBlock : 0) | (it.chance(0.2) ? kUntilFull : 0);
      const int quota = it.chance(0.3) ? sequence.block_length : it.uniform(0, 40);
      const float chance = it.any_of({0.0f, 0.3f, 0.9f, 1.0f});
      state.plan.push_back({block, quota, it.uniform(0, 999), flags, chance, {}});
    }
  }
}

void add_slot(Case& it, State& state, int longest) {
  Sequence s = {};
  const int begin = int(std::max({state.canvas.size(), state.plan.size(), state.masks.size()}));
  s.canvas_begin = begin;
  s.block_length = it.size(longest, {32, 256});
  s.mask_count = it.uniform(1, 2 * s.block_length + 3);
  s.flags = it.uniform(0, 127);
  s.rule = it.uniform(0, 3);
  s.commit_rule = it.uniform(0, 3);
  s.seed = std::uint64_t(it.next()) << 32 | it.next();
  s.bound = s.commit_rule == kFactor ? it.any_of({0.5f, 1.2f, 8.0f}) : std::fabs(any_key(it, 9));
  s.revision_bound = it.any_of({0.0f, 1.0f, 5.0f});
  s.cache_refresh = it.uniform(0, 2);
  s.log_begin = int(state.log.size());
  s.log_capacity = it.uniform(0, 3 * s.block_length);
  state.plan.resize(at(begin));
  state.masks.resize(at(begin));
  state.canvas.resize(at(begin), 20);
  add_plan(it, state, s);
  s.plan_end = int(state.plan.size());
  Progress p = {};
  p.cursor = it.chance(0.05) ? s.plan_end : it.uniform(begin, s.plan_end - 1);
  p.repeats = it.any_of({0, 0, 0, 5});
  p.passes = it.uniform(0, 99);
  p.status = it.chance(0.1) ? it.uniform(0, 5) : kRunning;
  p.revisions_left = it.any_of({0, 1, 7, 9999});
  p.log_count = it.any_of({0, 0, 3, s.log_capacity});
  p.log_count = std::min(p.log_count, s.log_capacity);
  p.since_whole = it.uniform(-1, 2);
  const double committed = it.any_of({0.0, 0.2, 0.7, 1.0});
  const double ends = it.any_of({0.0, 0.0, 0.05, 0.5});
  int length = it.uniform(0, 4);
  state.canvas.resize(at(begin + length), 21);
  for (int mask = 0; mask < s.mask_count; mask++) {
    if (it.chance(0.05)) state.canvas.push_back(22);
    state.masks.push_back(int(state.canvas.size()) - begin);
    const int token = it.chance(ends) ? kTokens.eos : it.uniform(30, 400);
    state.canvas.push_back(it.chance(committed) ? token : kTokens.mask);
  }
  s.unconditional_begin = kNoGuidance;
  length = int(state.canvas.size()) - begin;
  if (it.chance(0.3)) {
    s.unconditional_begin = int(state.canvas.size());
    state.canvas.resize(state.canvas.size() + at(length), 23);
  }
  state.log.resize(state.log.size() + at(s.log_capacity), {-5, -5, -5, -5.0f});
  state.sequences.push_back(s);
  state.progress.push_back(p);
  state.log_heads.push_back(-5);
}

void add_members(Case& it, State& state) {
  int rows = 0;
  for (int s = int(state.sequences.size()) - 1; s >= 0; s--) {
    if (it.chance(0.1) && s > 0) continue;
    const Sequence& sequence = state.sequences[at(s)];
    Member member = {};
    member.sequence = s;
    member.query_begin = it.uniform(0, 50);
    member.query_first = it.uniform(0, 3);
    member.unconditional_query_begin = it.uniform(60, 99);
    member.row_begin = rows + it.uniform(0, 1);
    member.unconditional_row_begin = member.row_begin + sequence.block_length;
    member.cached = (sequence.flags & kCached) != 0 && it.chance(0.5);
    rows = member.row_begin + 2 * sequence.block_length;
    state.members.push_back(member);
  }
  state.rows.resize(at(rows), {-5, -5, -5, -5, -5, -5, -5, -5});
  state.row_index.resize(at(rows), -5);
}

// --- what must become of it ----------------------------------------------------------------------

// Masks of the current block: their positions, in order.
std::vector<int> block_positions(const State& state, const Sequence& sequence, int block) {
  std::vector<int> positions;
  for (int i = 0; i < sequence.block_length; i++) {
    const int mask = block * sequence.block_length + i;
    if (mask < sequence.mask_count)
      positions.push_back(state.masks[at(sequence.canvas_begin + mask)]);
  }
  return positions;
}

bool works(const State& state, int s) {
  const Progress& p = state.progress[at(s)];
  return p.status == kRunning && p.cursor < state.sequences[at(s)].plan_end;
}

void lay(State& state) {
  for (const Member& m : state.members) {
    const Sequence& s = state.sequences[at(m.sequence)];
    const Progress& p = state.progress[at(m.sequence)];
    const bool guided = s.unconditional_begin != kNoGuidance;
    std::vector<int> positions;
    if (works(state, m.sequence)) {
      positions = block_positions(state, s, state.plan[at(p.cursor)].block);
    }
    for (int i = 0; i < s.block_length; i++) {
      Row row = {m.sequence, -1, 0, kNothing, -1, -1, -1, 0};
      int query = 0;
      if (at(i) < positions.size()) {
        const int position = positions[at(i)];
        const int token = state.canvas[at(s.canvas_begin + position)];
        const bool masked = token == kTokens.mask;
        if (masked || ((s.flags & kRevise) != 0 && p.revisions_left > 0)) {
          const PlanEntry& entry = state.plan[at(p.cursor)];
          row = {m.sequence,
                 position,
                 entry.step + p.repeats,
                 masked ? kChoose : kReconsider,
                 guided ? m.unconditional_row_begin + i : -1,
                 masked ? -1 : token,
                 entry.block * s.block_length + i,
                 0};
          query = position - m.query_first;
        }
      }
      state.rows[at(m.row_begin + i)] = row;
      state.row_index[at(m.row_begin + i)] = m.query_begin + query;
      if (guided) {
        state.row_index[at(m.unconditional_row_begin + i)] = m.unconditional_query_begin + query;
      }
    }
  }
}

// The rows of a member that commit, and those that are masked again, in order of position.
struct Decision {
  std::vector<int> taken, revised;
  int masked = 0, choosable = 0;
  bool sure_end = false;
};

Decision decide(const State& state, const Member& m, int count) {
  const Sequence& s = state.sequences[at(m.sequence)];
  const Progress& p = state.progress[at(m.sequence)];
  const PlanEntry& entry = state.plan[at(p.cursor)];
  Decision decision;
  std::vector<std::pair<float, int>> order, doubts;
  for (int row = m.row_begin; row < m.row_begin + count; row++) {
    const float key = state.keys[at(row)];
    const int kind = state.rows[at(row)].kind;
    if (kind == kChoose) decision.masked++;
    if (!(key >= 0)) continue;
    if (kind == kChoose) {
      order.push_back({key, row});
      if (state.candidates[at(row)] == kTokens.eos && key <= 1) decision.sure_end = true;
    }
    if (kind == kReconsider && key > s.revision_bound) doubts.push_back({-key, row});
  }
  std::sort(order.begin(), order.end());
  std::sort(doubts.begin(), doubts.end());
  decision.choosable = int(order.size());
  for (int n = 1; n <= decision.choosable; n++) {
    const auto [key, row] = order[at(n - 1)];
    const Row& of = state.rows[at(row)];
    bool takes = n <= entry.quota;
    if (s.commit_rule == kThreshold) takes = key <= s.bound || n == 1;
    if (s.commit_rule == kFactor) {
      const double doubt = key == HUGE_VALF ? 1.0 : double(key) / (1.0 + double(key));
      takes = (n + 1) * doubt < double(s.bound) || n == 1;
    }
    if (s.commit_rule == kChance) {
      const unsigned word = philox(s.seed, unsigned(of.step), unsigned(of.position), 0, 3).word[0];
      takes = (word >> 8) * 0x1p-24 < double(entry.chance);
    }
    if (takes) decision.taken.push_back(row);
  }
  doubts.resize(std::min(doubts.size(), at(std::max(p.revisions_left, 0))));
  if ((s.flags & kRevise) != 0) {
    for (const auto& doubt : doubts) decision.revised.push_back(doubt.second);
  }
  std::sort(decision.taken.begin(), decision.taken.end());
  std::sort(decision.revised.begin(), decision.revised.end());
  return decision;
}

void commit(State& state, const Member& m) {
  const Sequence& s = state.sequences[at(m.sequence)];
  Progress& p = state.progress[at(m.sequence)];
  if (p.status != kRunning) return;
  if (!works(state, m.sequence)) {
    p.status = kFilled;
    return;
  }
  const PlanEntry entry = state.plan[at(p.cursor)];
  const std::vector<int> positions = block_positions(state, s, entry.block);
  const Decision decision = decide(state, m, int(positions.size()));
  const auto has = [&](int flag) { return (s.flags & flag) != 0; };
  p.passes++;
  if (decision.masked > 0 && decision.choosable == 0) {
    p.status = kStuck;
    return;
  }
  if (has(kAutoLength) && (entry.flags & kFirstOfBlock) != 0 && p.repeats == 0 &&
      !decision.sure_end && (entry.block + 1) * s.block_length >= s.mask_count) {
    p.status = kWantsLength;
    return;
  }
  const auto put = [&](int row, int token) {
    const int position = state.rows[at(row)].position;
    state.canvas[at(s.canvas_begin + position)] = token;
    if (s.unconditional_begin != kNoGuidance) {
      state.canvas[at(s.unconditional_begin + position)] = token;
    }
  };
  const auto record = [&](int row, int token) {
    if (p.log_count == s.log_capacity) return;
    const Row& of = state.rows[at(row)];
    state.log[at(s.log_begin + p.log_count++)] = {of.step, of.position, token,
                                                  1 / (1 + state.keys[at(row)])};
  };
  for (const int row : decision.taken) put(row, state.candidates[at(row)]);
  for (const int row : decision.revised) put(row, kTokens.mask);
  if (has(kLog)) {
    for (const int row : decision.taken) record(row, state.candidates[at(row)]);
    for (const int row : decision.revised) record(row, kMaskedAgain);
    state.log_heads[at(m.sequence)] = p.log_count;
  }
  p.revisions_left -= int(decision.revised.size());
  int left = 0, ends_at = -1, mask_at = -1;
  for (int i = int(positions.size()) - 1; i >= 0; i--) {
    const int token = state.canvas[at(s.canvas_begin + positions[at(i)])];
    if (token == kTokens.mask) left++, mask_at = i;
    if (token == kTokens.eos) ends_at = i;
  }
  p.masks_left = left;
  const int next = p.cursor + 1;
  const bool last = next == s.plan_end || state.plan[at(next)].block != entry.block;
  if (left > 0 && (last || (entry.flags & kUntilFull) != 0)) {
    p.repeats++;
  } else {
    p.repeats = 0;
    p.cursor = next;
    while (left == 0 && p.cursor < s.plan_end && state.plan[at(p.cursor)].block == entry.block) {
      p.cursor++;
    }
    if (left == 0 && p.cursor < s.plan_end) {
      p.masks_left = int(block_positions(state, s, state.plan[at(p.cursor)].block).size());
    }
  }
  if (has(kCached)) {
    p.since_whole = m.cached ? p.since_whole + 1 : 0;
    if (s.cache_refresh > 0 && p.since_whole >= s.cache_refresh) p.since_whole = -1;
    if (left == 0) p.since_whole = -1;
    if ((p.since_whole == -1) == (m.cached == 1)) p.status = kWantsPass;
  }
  if (p.cursor == s.plan_end) p.status = kFilled;
  if (has(kEarlyStop) && ends_at >= 0 && (mask_at < 0 || ends_at < mask_at)) p.status = kStopped;
}

// --- the kernels ---------------------------------------------------------------------------------

template <class T>
void expect_same_bytes(Case& it, const char* kernel, const char* what, const Array<T>& got,
                       const std::vector<T>& want) {
  for (std::size_t i = 0; i < want.size(); i++) {
    if (std::memcmp(&got[i], &want[i], sizeof(T)) == 0) continue;
    it.wrong(kernel, "%s %zu of %zu differs", what, i, want.size());
    return;
  }
}

void step(Case& it) {
  State state;
  const int longest = it.chance(0.15) ? 5000 : it.any_of({40, 300});
  const int slots = it.uniform(1, 4);
  for (int i = 0; i < slots; i++) add_slot(it, state, longest);
  add_members(it, state);
  const int members = int(state.members.size());
  it.shape("slots=%d members=%d rows=%zu plan=%zu longest block %d", slots, members,
           state.rows.size(), state.plan.size(), longest);

  const auto sequences = it.copy(state.sequences);
  const auto progress = it.copy(state.progress);
  const auto plan = it.copy(state.plan);
  const auto masks = it.copy(state.masks);
  const auto canvas = it.copy(state.canvas);
  const auto device_members = it.copy(state.members);
  const auto rows = it.copy(state.rows);
  const auto row_index = it.copy(state.row_index);
  const auto log = it.copy(state.log);
  const auto log_heads = it.copy(state.log_heads);
  lay(state);
  if (it.wants(kLay)) {
    it.launch(kLay, members, 256, 0, rows.data(), row_index.data(),
              static_cast<const Sequence*>(sequences.data()),
              static_cast<const Progress*>(progress.data()),
              static_cast<const PlanEntry*>(plan.data()), static_cast<const int*>(masks.data()),
              static_cast<const int*>(canvas.data()),
              static_cast<const Member*>(device_members.data()), kTokens.mask);
    expect_same_bytes(it, kLay, "row", rows, state.rows);
    expect_same_bytes(it, kLay, "row index", row_index, state.row_index);
  }
  if (!it.wants(kCommit)) return;
  std::copy(state.rows.begin(), state.rows.end(), rows.begin());
  const int distinct = it.any_of({1, 20, 100000});
  const bool absent = it.chance(0.1);
  const double ends = it.any_of({0.0, 0.02, 0.3});
  for (std::size_t i = 0; i < state.rows.size(); i++) {
    state.keys.push_back(absent ? std::nanf("") : any_key(it, distinct));
    state.candidates.push_back(it.chance(ends) ? kTokens.eos : it.uniform(30, 400));
  }
  const auto keys = it.copy(state.keys);
  const auto candidates = it.copy(state.candidates);
  it.launch(kCommit, members, 256, 0, canvas.data(), progress.data(), log.data(), log_heads.data(),
            static_cast<const float*>(keys.data()), static_cast<const int*>(candidates.data()),
            static_cast<const Row*>(rows.data()), static_cast<const Sequence*>(sequences.data()),
            static_cast<const PlanEntry*>(plan.data()), static_cast<const int*>(masks.data()),
            static_cast<const Member*>(device_members.data()), kTokens);
  for (const Member& member : state.members) commit(state, member);
  expect_same_bytes(it, kCommit, "canvas", canvas, state.canvas);
  expect_same_bytes(it, kCommit, "log record", log, state.log);
  expect_same_bytes(it, kCommit, "log head", log_heads, state.log_heads);
  expect_same_bytes(it, kCommit, "progress", progress, state.progress);
}

}  // namespace

int main(int argc, char** argv) { return Proof(argc, argv, 300).run(step); }
