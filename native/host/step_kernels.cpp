#include "step_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "philox.h"

namespace remask::host {
namespace {

constexpr std::uint32_t kChanceStream = 3;  // Philox: the counter's last word, one per use

// The masks of a plan entry's block: indices into the sequence's masks.
struct Block {
  int first, count;
  bool last;

  Block(const Sequence& sequence, const PlanEntry& entry)
      : first(entry.block * sequence.block_length),
        count(std::min(sequence.block_length, sequence.mask_count - first)),
        last(sequence.mask_count - first <= sequence.block_length) {}
};

// A row that may be taken; smaller ones come first.
struct Candidate {
  float key;  // negated for revisions
  int row;

  bool operator<(const Candidate& other) const {
    return key < other.key || (key == other.key && row < other.row);
  }
};

// One member's end of a step.
class Step {
 public:
  Step(const Sequence& sequence, const Member& member, Progress& progress, const PlanEntry* plan,
       const SpecialTokens& tokens)
      : sequence_(sequence),
        member_(member),
        progress_(progress),
        plan_(plan),
        entry_(plan[progress.cursor]),
        tokens_(tokens),
        block_(sequence, entry_) {}

  void run(int* canvas, CommitRecord* log, int* log_heads, const float* keys, const int* candidates,
           const Row* rows, const int* mask_positions) {
    keys_ = keys + member_.row_begin;
    candidates_ = candidates + member_.row_begin;
    rows_ = rows + member_.row_begin;
    take_census();
    progress_.passes++;
    if (masked_ > 0 && choosable_.empty()) {
      progress_.status = kStuck;
      return;
    }
    if (has(kAutoLength) && (entry_.flags & kFirstOfBlock) != 0 && progress_.repeats == 0 &&
        block_.last && ends_ == 0) {
      progress_.status = kWantsLength;
      return;
    }
    choose();
    if (has(kRevise)) reconsider();
    std::sort(taken_.begin(), taken_.end());
    std::sort(revised_.begin(), revised_.end());
    for (const int i : taken_) put(canvas, rows_[i].position, candidates_[i]);
    for (const int i : revised_) put(canvas, rows_[i].position, tokens_.mask);
    if (has(kLog)) record(log, log_heads);
    move();
    if (has(kEarlyStop) && ends_early(canvas, mask_positions)) progress_.status = kStopped;
  }

 private:
  bool has(SequenceFlags flag) const { return (sequence_.flags & flag) != 0; }

  void take_census() {
    for (int i = 0; i < block_.count; ++i) {
      const float key = keys_[i];
      const bool valid = key >= 0.0f;  // no NaN
      if (rows_[i].kind == kChoose) {
        ++masked_;
        if (!valid) continue;
        choosable_.push_back({key, i});
        if (key <= 1.0f && tokens_.eos >= 0 && candidates_[i] == tokens_.eos) ++ends_;
      } else if (rows_[i].kind == kReconsider && valid && key > sequence_.revision_bound) {
        doubtful_.push_back({-key, i});
      }
    }
  }

  // The first `count` of `from`, into `to`.
  static void take(std::vector<Candidate>& from, std::size_t count, std::vector<int>& to) {
    if (count < from.size()) {
      std::nth_element(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(count), from.end());
      from.resize(count);
    }
    for (const Candidate& candidate : from) to.push_back(candidate.row);
  }

  // As many of the sorted rows as the factor rule lets commit at once.
  std::size_t by_factor() const {
    std::size_t count = 1;
    for (std::size_t n = 1; n <= choosable_.size(); ++n) {
      const double odds = choosable_[n - 1].key;
      const double doubt = std::isinf(odds) ? 1.0 : odds / (1.0 + odds);
      if ((static_cast<double>(n) + 1.0) * doubt < sequence_.bound) count = n;
    }
    return count;
  }

  void choose() {
    if (choosable_.empty()) return;
    std::size_t count = 0;
    switch (sequence_.commit_rule) {
      case kThreshold:
        for (const Candidate& row : choosable_) count += row.key <= sequence_.bound;
        count = std::max<std::size_t>(count, 1);
        break;
      case kFactor:
        std::sort(choosable_.begin(), choosable_.end());
        count = by_factor();
        break;
      case kChance:
        for (const Candidate& candidate : choosable_) {
          if (draw(rows_[candidate.row]) < entry_.chance) taken_.push_back(candidate.row);
        }
        return;
      default:
        count = static_cast<std::size_t>(std::max(entry_.quota, 0));
    }
    take(choosable_, count, taken_);
  }

  void reconsider() {
    take(doubtful_, static_cast<std::size_t>(std::max(progress_.revisions_left, 0)), revised_);
    progress_.revisions_left -= static_cast<int>(revised_.size());
  }

  // A uniform draw in [0, 1).
  float draw(const Row& row) const {
    const std::uint32_t word = philox4x32_10_word0(static_cast<std::uint32_t>(row.step),
                                                   static_cast<std::uint32_t>(row.position), 0,
                                                   kChanceStream, sequence_.seed);
    return static_cast<float>(word >> 8) * 0x1p-24f;
  }

  void put(int* canvas, int position, int token) const {
    canvas[sequence_.canvas_begin + position] = token;
    if (sequence_.unconditional_begin != kNoGuidance) {
      canvas[sequence_.unconditional_begin + position] = token;
    }
  }

  void record(CommitRecord* log, int* log_heads) {
    const auto append = [&](int i, int token) {
      if (progress_.log_count >= sequence_.log_capacity) return;
      log[sequence_.log_begin + progress_.log_count++] = {rows_[i].step, rows_[i].position, token,
                                                          1.0f / (1.0f + keys_[i])};
    };
    for (const int i : taken_) append(i, candidates_[i]);
    for (const int i : revised_) append(i, kMaskedAgain);
    // The host reads the count on another thread, and then the records before it.
    __atomic_store_n(log_heads + member_.sequence, progress_.log_count, __ATOMIC_RELEASE);
  }

  void move() {
    const int left = masked_ - static_cast<int>(taken_.size()) + static_cast<int>(revised_.size());
    const int next = progress_.cursor + 1;
    progress_.masks_left = left;
    if (left == 0) {
      int entry = next;
      while (entry < sequence_.plan_end && plan_[entry].block == entry_.block) ++entry;
      progress_.cursor = entry;
      progress_.repeats = 0;
      if (entry < sequence_.plan_end) progress_.masks_left = Block(sequence_, plan_[entry]).count;
    } else if ((entry_.flags & kUntilFull) != 0 || next == sequence_.plan_end ||
               plan_[next].block != entry_.block) {
      progress_.repeats++;
    } else {
      progress_.cursor = next;
      progress_.repeats = 0;
    }
    if (has(kCached)) {
      progress_.since_whole = member_.cached != 0 ? progress_.since_whole + 1 : 0;
      const bool stale =
          sequence_.cache_refresh > 0 && progress_.since_whole >= sequence_.cache_refresh;
      if (left == 0 || stale) progress_.since_whole = -1;
      const bool cached_next = progress_.since_whole >= 0;
      if (cached_next != (member_.cached != 0)) progress_.status = kWantsPass;
    }
    if (progress_.cursor == sequence_.plan_end) progress_.status = kFilled;
  }

  // Whether the block holds an EOS with no mask before it.
  bool ends_early(const int* canvas, const int* mask_positions) const {
    if (tokens_.eos < 0) return false;
    for (int i = 0; i < block_.count; ++i) {
      const int position = mask_positions[sequence_.canvas_begin + block_.first + i];
      const int token = canvas[sequence_.canvas_begin + position];
      if (token == tokens_.mask) return false;
      if (token == tokens_.eos) return true;
    }
    return false;
  }

  const Sequence& sequence_;
  const Member& member_;
  Progress& progress_;
  const PlanEntry* plan_;
  const PlanEntry entry_;
  const SpecialTokens& tokens_;
  const Block block_;
  const float* keys_ = nullptr;
  const int* candidates_ = nullptr;
  const Row* rows_ = nullptr;
  int masked_ = 0, ends_ = 0;
  std::vector<Candidate> choosable_, doubtful_;
  std::vector<int> taken_, revised_;
};

}  // namespace

void lay_rows(const RemaskLaunch& launch, Row* rows, int* row_index, const Sequence* sequences,
              const Progress* progress, const PlanEntry* plan, const int* mask_positions,
              const int* canvas, const Member* members, int mask) {
  for (unsigned m = 0; m < launch.grid.x; ++m) {
    const Member& member = members[m];
    const Sequence& sequence = sequences[member.sequence];
    const Progress& at = progress[member.sequence];
    const bool guided = sequence.unconditional_begin != kNoGuidance;
    const bool revises = (sequence.flags & kRevise) != 0 && at.revisions_left > 0;
    for (int i = 0; i < sequence.block_length; ++i) {
      rows[member.row_begin + i] = {member.sequence, -1, 0, kNothing, -1, -1, -1, 0};
      row_index[member.row_begin + i] = member.query_begin;
      if (guided) row_index[member.unconditional_row_begin + i] = member.unconditional_query_begin;
    }
    if (at.status != kRunning || at.cursor >= sequence.plan_end) continue;
    const PlanEntry& entry = plan[at.cursor];
    const Block block(sequence, entry);
    for (int i = 0; i < block.count; ++i) {
      const int index = block.first + i;
      const int position = mask_positions[sequence.canvas_begin + index];
      const int token = canvas[sequence.canvas_begin + position];
      if (token != mask && !revises) continue;
      const int unconditional = guided ? member.unconditional_row_begin + i : -1;
      const int step = entry.step + at.repeats;
      rows[member.row_begin + i] =
          token == mask
              ? Row{member.sequence, position, step, kChoose, unconditional, -1, index, 0}
              : Row{member.sequence, position, step, kReconsider, unconditional, token, index, 0};
      row_index[member.row_begin + i] += position - member.query_first;
      if (guided) row_index[unconditional] += position - member.query_first;
    }
  }
}

void commit_rows(const RemaskLaunch& launch, int* canvas, Progress* progress, CommitRecord* log,
                 int* log_heads, const float* keys, const int* candidates, const Row* rows,
                 const Sequence* sequences, const PlanEntry* plan, const int* mask_positions,
                 const Member* members, SpecialTokens tokens) {
  for (unsigned m = 0; m < launch.grid.x; ++m) {
    const Member& member = members[m];
    const Sequence& sequence = sequences[member.sequence];
    Progress& at = progress[member.sequence];
    if (at.status != kRunning) continue;
    if (at.cursor >= sequence.plan_end) {
      at.status = kFilled;
      continue;
    }
    Step(sequence, member, at, plan, tokens)
        .run(canvas, log, log_heads, keys, candidates, rows, mask_positions);
  }
}

}  // namespace remask::host
