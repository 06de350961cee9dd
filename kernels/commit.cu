// commit_rows: ends a denoising step. Per member of the pass whose sequence is running, the rows
// that its commit rule takes put their candidate into the canvas; doubtful tokens are masked again;
// then Progress moves on. in/out canvas i32 (arena; unconditional copies too), progress (by slot)
// out    log CommitRecord, log_heads i32 (by slot), both in mapped host memory
// in     keys f32[R], candidates i32[R], rows (lay_rows), sequences, members; arenas plan,
//        mask_positions i32
// A kChoose row with key >= 0 can be chosen; one with a negative key or NaN has no candidate.
// In this order:
//   kStuck         the block has masks and no row can be chosen: nothing is committed
//   kWantsLength   kAutoLength, the first pass of the last active block, and no row that can be
//                  chosen has the EOS as candidate with key <= 1: nothing is committed
//   commit         by CommitRule
//   revise         kReconsider rows with key > revision_bound, the largest keys first, ties to the
//                  lower position, as many as revisions are left
//   log            a record for each commit, then for each revision, by position; log_heads counts
//                  only records that the host can see
//   move           a full block: to the next one's first entry. Otherwise an entry that is
//   kUntilFull
//                  or its block's last is repeated, another is left for the next one
//   kStopped       kEarlyStop, and the block holds an EOS with no mask before it
//   kFilled        the plan has ended
//   kWantsPass     kCached: the next pass is to be whole if the block has changed or cache_refresh
//                  passes have not been, and this one was not; or the other way round
// 1 one CTA per member, any number of rows  2 a row's 64-bit order is (bits of its key, row), so no
// two are equal and integers order them  3 the rows to take are the longest prefix of that order
// that the rule likes, found by radix: a digit of 8 bits a pass, counted in smem with the digit's
// largest key; the first digit whose last row is not liked is looked into. 2 passes as a rule, 8 at
// most, each linear in the rows  4 rows below the cut commit
// compiled: 256 threads, up to 62 regs, 2.1 KB smem; floor: bound by the launch; not measured
#include "include/diffusion_state.h"
#include "include/philox.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kResidentBlocks = 4;  // 64 registers a thread: a pass has few members, and none waits
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kOrderBits = 64;
constexpr unsigned kChanceStream = 3;             // Philox: the counter's last word, one per use
constexpr unsigned long long kUnordered = ~0ull;  // comes after all
constexpr int kNever = 0x7fffffff;

// The block's rows in this pass.
struct BlockRows {
  const Row* rows;
  const float* keys;
  const int* candidates;
  int count;
};

// What is to be taken first, and how much of it.
struct Taking {
  bool revisions;  // kReconsider rows beyond `bound`, largest keys first; otherwise kChoose rows
  float bound;
  int quota;       // as many, ...
  bool by_factor;  // ... or as long as (n + 1) (1 - c_n) < factor, and one
  double factor;

  __device__ __forceinline__ unsigned long long order_of(int kind, float key, int row) const {
    if (!(key >= 0.0f) || kind != (revisions ? kReconsider : kChoose)) return kUnordered;
    if (revisions && !(key > bound)) return kUnordered;
    // The bits of floats >= 0 order like the floats; -0 + 0 is 0.
    const unsigned bits = __float_as_uint(key + 0.0f);
    return static_cast<unsigned long long>(revisions ? ~bits : bits) << 32 |
           static_cast<unsigned>(row);
  }
  // Whether the first `rank` rows may all be taken, the last of which has this key. False for all
  // higher ranks once it is false: in f64 the quotient never falls as the f32 key grows.
  __device__ __forceinline__ bool likes(int rank, float key) const {
    if (!by_factor) return rank <= quota;
    const double odds = static_cast<double>(key);
    const double doubt = key == INFINITY ? 1.0 : odds / (1.0 + odds);
    return rank <= 1 || (rank + 1.0) * doubt < factor;
  }
};

// The rows taken: those whose order, without its lowest `shift` bits, is below `prefix`.
struct Cut {
  unsigned long long prefix;
  int shift;

  __device__ __forceinline__ bool takes(unsigned long long order) const {
    return order >> shift < prefix;
  }
};
constexpr Cut kTakesNone = {0, 0};
constexpr Cut kTakesAll = {kUnordered, 0};

struct Scratch {
  int counts[kDigits];        // rows of a digit
  unsigned largest[kDigits];  // bits of their largest key
  int warp_counts[kWarps];
  int digit;             // the first that is not liked whole
  int before, in_digit;  // rows below it, and its own
};

// Sum of `count` over this thread and those before it. All threads call it.
__device__ __forceinline__ int sum_up_to(int count, int (&warp_counts)[kWarps]) {
  const int warp = threadIdx.x / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  int up_to = count;
#pragma unroll
  for (int apart = 1; apart < kWarpThreads; apart *= 2) {
    const int lower = __shfl_up_sync(kWholeWarp, up_to, apart);
    if (lane >= apart) up_to += lower;
  }
  if (lane == kWarpThreads - 1) warp_counts[warp] = up_to;
  __syncthreads();
  for (int before = 0; before < warp; ++before) up_to += warp_counts[before];
  return up_to;
}

// All threads call it; the first row of the order is liked.
__device__ __forceinline__ Cut find_cut(const BlockRows& block, const Taking& taking,
                                        Scratch& scratch) {
  static_assert(kDigits == kThreads, "a thread sums up a digit");
  const int own = threadIdx.x;
  Cut cut = {0, kOrderBits};  // of which `prefix` is the digits found so far
  int taken = 0;              // rows below them
  while (cut.shift > 0) {
    scratch.counts[own] = 0;
    scratch.largest[own] = 0;
    if (own == 0) scratch.digit = kDigits;
    __syncthreads();
    const int shift = cut.shift - kDigitBits;
    for (int row = own; row < block.count; row += kThreads) {
      const float key = block.keys[row];
      const unsigned long long order = taking.order_of(block.rows[row].kind, key, row);
      const unsigned long long prefix = order >> shift;
      if (order == kUnordered || prefix >> kDigitBits != cut.prefix) continue;
      atomicAdd(&scratch.counts[prefix % kDigits], 1);
      if (taking.by_factor) {
        atomicMax(&scratch.largest[prefix % kDigits], __float_as_uint(key + 0.0f));
      }
    }
    __syncthreads();
    const int count = scratch.counts[own];
    const int up_to = taken + sum_up_to(count, scratch.warp_counts);
    const bool liked = count == 0 || taking.likes(up_to, __uint_as_float(scratch.largest[own]));
    if (!liked) atomicMin(&scratch.digit, own);
    __syncthreads();
    if (scratch.digit == kDigits) return kTakesAll;  // in the first pass only
    if (own == scratch.digit) {
      scratch.before = up_to - count;
      scratch.in_digit = count;
    }
    __syncthreads();
    cut = {cut.prefix << kDigitBits | static_cast<unsigned>(scratch.digit), shift};
    taken = scratch.before;
    // Of one row that is not liked none is taken.
    const bool exact = scratch.in_digit == 1 || (!taking.by_factor && taken == taking.quota);
    __syncthreads();  // everyone has read `scratch`
    if (exact) break;
  }
  return cut;
}

// A uniform draw in [0, 1) of (seed; step, position).
__device__ __forceinline__ float chance_of(unsigned long long seed, const Row& row) {
  const PhiloxCounter drawn = philox4x32_10(
      {{static_cast<unsigned>(row.step), static_cast<unsigned>(row.position), 0, kChanceStream}},
      static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32));
  return static_cast<float>(drawn.word[0] >> 8) * 0x1p-24f;
}

// What the rows of the block amount to, over all threads.
struct Census {
  int masked;      // kChoose
  int choosable;   // of them with a candidate
  int sure;        // of them with a key <= bound
  int ends;        // of them with a candidate EOS that is likelier than not
  int doubtful;    // kReconsider and beyond revision_bound
  int first_mask;  // after the commit: the block's first row that is masked
  int first_end;   // ... and its first EOS
  int next_entry;  // the plan's first entry of another block
};

__device__ __forceinline__ void add_up(int* sum, int own) {
  own = __reduce_add_sync(kWholeWarp, own);
  if (threadIdx.x % kWarpThreads == 0 && own != 0) atomicAdd(sum, own);
}

__device__ __forceinline__ void take_census(Census& census, const BlockRows& block,
                                            const Sequence& sequence, int eos) {
  int masked = 0, choosable = 0, sure = 0, ends = 0, doubtful = 0;
  for (int row = threadIdx.x; row < block.count; row += kThreads) {
    const int kind = block.rows[row].kind;
    const float key = block.keys[row];
    if (kind == kChoose) {
      ++masked;
      if (!(key >= 0.0f)) continue;
      ++choosable;
      if (key <= sequence.bound) ++sure;
      if (key <= 1.0f && eos >= 0 && block.candidates[row] == eos) ++ends;
    } else if (kind == kReconsider && key >= 0.0f && key > sequence.revision_bound) {
      ++doubtful;
    }
  }
  add_up(&census.masked, masked);
  add_up(&census.choosable, choosable);
  add_up(&census.sure, sure);
  add_up(&census.ends, ends);
  add_up(&census.doubtful, doubtful);
}

// The cut of the rows that commit; nothing to do with kChance.
__device__ __forceinline__ Cut commit_cut(const BlockRows& block, const Sequence& sequence,
                                          int quota, const Census& census, Scratch& scratch) {
  if (census.choosable == 0) return kTakesNone;
  Taking taking = {false, 0.0f, quota, false, 0.0};
  if (sequence.commit_rule == kThreshold) {
    if (census.sure > 0) {
      return {(static_cast<unsigned long long>(__float_as_uint(sequence.bound + 0.0f)) + 1) << 32,
              0};
    }
    taking.quota = 1;
  } else if (sequence.commit_rule == kFactor) {
    taking.by_factor = true;
    taking.factor = static_cast<double>(sequence.bound);
  } else if (quota <= 0) {
    return kTakesNone;
  } else if (quota >= census.choosable) {
    return kTakesAll;
  }
  return find_cut(block, taking, scratch);
}

struct Writer {
  int* canvas;
  CommitRecord* log;  // the slot's
  const Sequence* sequence;

  __device__ __forceinline__ void put(const Row& row, int token) const {
    canvas[sequence->canvas_begin + row.position] = token;
    if (sequence->unconditional_begin != kNoGuidance) {
      canvas[sequence->unconditional_begin + row.position] = token;
    }
  }
  __device__ __forceinline__ void record(int number, const Row& row, int token, float key) const {
    if (number >= sequence->log_capacity) return;
    log[number] = {row.step, row.position, token, 1.0f / (1.0f + key)};
  }
};

// The plan's next entry of another block, or its end. All threads call it.
__device__ __forceinline__ int next_block(const PlanEntry* plan, int cursor, int plan_end,
                                          int* found) {
  const int block = plan[cursor].block;
  for (int begin = cursor + 1;; begin += kThreads) {
    const int at = begin + threadIdx.x;
    if (at >= plan_end || plan[at].block != block) atomicMin(found, min(at, plan_end));
    __syncthreads();
    const int first = *found;
    __syncthreads();  // everyone has read it
    if (first != kNever) return first;
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    commit_rows(int* canvas, remask::Progress* progress, remask::CommitRecord* log, int* log_heads,
                const float* keys, const int* candidates, const remask::Row* rows,
                const remask::Sequence* sequences, const remask::PlanEntry* plan,
                const int* mask_positions, const remask::Member* members,
                remask::SpecialTokens tokens) {
  using namespace remask;
  __shared__ Scratch scratch;
  __shared__ Census census;
  const Member member = members[blockIdx.x];
  const Sequence& sequence = sequences[member.sequence];
  Progress at = progress[member.sequence];
  if (at.status != kRunning) return;
  const bool decides = threadIdx.x == 0;
  if (decides) census = {0, 0, 0, 0, 0, kNever, kNever, kNever};
  __syncthreads();  // and everyone has read the progress
  if (at.cursor >= sequence.plan_end) {
    if (decides) progress[member.sequence].status = kFilled;
    return;
  }
  const PlanEntry entry = plan[at.cursor];
  const int first = entry.block * sequence.block_length;
  const int beyond = sequence.mask_count - first;  // masks from the block on
  const BlockRows block = {rows + member.row_begin, keys + member.row_begin,
                           candidates + member.row_begin, min(sequence.block_length, beyond)};
  take_census(census, block, sequence, tokens.eos);
  __syncthreads();

  at.passes += 1;
  const bool last_block = beyond <= sequence.block_length;
  if (census.masked > 0 && census.choosable == 0) {
    at.status = kStuck;
  } else if ((sequence.flags & kAutoLength) != 0 && (entry.flags & kFirstOfBlock) != 0 &&
             at.repeats == 0 && last_block && census.ends == 0) {
    at.status = kWantsLength;
  }
  if (at.status != kRunning) {
    if (decides) progress[member.sequence] = at;
    return;
  }

  const bool by_chance = sequence.commit_rule == kChance;
  Cut cut = kTakesNone;
  if (!by_chance) cut = commit_cut(block, sequence, entry.quota, census, scratch);
  Cut revision_cut = kTakesNone;
  const bool revises = (sequence.flags & kRevise) != 0 && at.revisions_left > 0;
  const Taking revisions = {true, sequence.revision_bound, at.revisions_left, false, 0.0};
  if (revises && census.doubtful > 0) {
    revision_cut =
        census.doubtful <= at.revisions_left ? kTakesAll : find_cut(block, revisions, scratch);
  }
  const Taking commits = {false, 0.0f, 0, false, 0.0};

  const Writer writer = {canvas, log + sequence.log_begin, &sequence};
  const bool logs = (sequence.flags & kLog) != 0;
  const bool stops_early = (sequence.flags & kEarlyStop) != 0 && tokens.eos >= 0;
  int committed = 0, revised = 0;
  int first_mask = kNever, first_end = kNever;
  for (int begin = 0; begin < block.count; begin += kThreads) {
    const int i = begin + threadIdx.x;
    bool takes = false, again = false;
    if (i < block.count) {
      const Row row = block.rows[i];
      const float key = block.keys[i];
      const unsigned long long order = commits.order_of(row.kind, key, i);
      if (by_chance) {
        takes = order != kUnordered && chance_of(sequence.seed, row) < entry.chance;
      } else {
        takes = order != kUnordered && cut.takes(order);
      }
      const unsigned long long doubt = revisions.order_of(row.kind, key, i);
      again = revises && doubt != kUnordered && revision_cut.takes(doubt);
      if (takes) writer.put(row, block.candidates[i]);
      if (again) writer.put(row, tokens.mask);
      if (again || (row.kind == kChoose && !takes)) {
        first_mask = min(first_mask, i);
      } else if (stops_early) {
        const int position = mask_positions[sequence.canvas_begin + first + i];
        const int token = takes ? block.candidates[i] : canvas[sequence.canvas_begin + position];
        if (token == tokens.eos) first_end = min(first_end, i);
      }
    }
    const int up_to = committed + sum_up_to(takes, scratch.warp_counts);
    if (logs && takes) {
      writer.record(at.log_count + up_to - 1, block.rows[i], block.candidates[i], block.keys[i]);
    }
    for (int warp = 0; warp < kWarps; ++warp) committed += scratch.warp_counts[warp];
    revised += __syncthreads_count(again);
  }
  if (logs && revised > 0) {
    int recorded = committed;
    for (int begin = 0; begin < block.count; begin += kThreads) {
      const int i = begin + threadIdx.x;
      bool again = false;
      if (i < block.count) {
        const unsigned long long doubt = revisions.order_of(block.rows[i].kind, block.keys[i], i);
        again = doubt != kUnordered && revision_cut.takes(doubt);
      }
      const int up_to = recorded + sum_up_to(again, scratch.warp_counts);
      if (again) {
        writer.record(at.log_count + up_to - 1, block.rows[i], kMaskedAgain, block.keys[i]);
      }
      for (int warp = 0; warp < kWarps; ++warp) recorded += scratch.warp_counts[warp];
      __syncthreads();  // everyone has read the counts
    }
  }
  if (stops_early) {
    if (first_mask != kNever) atomicMin(&census.first_mask, first_mask);
    if (first_end != kNever) atomicMin(&census.first_end, first_end);
  }
  const int left = census.masked - committed + revised;
  int next = at.cursor;
  if (left == 0) next = next_block(plan, at.cursor, sequence.plan_end, &census.next_entry);
  __syncthreads();  // everyone's records are written, and what is shared is complete
  if (!decides) return;

  at.revisions_left -= revised;
  at.masks_left = left;
  if (left == 0) {
    at.cursor = next;
    at.repeats = 0;
    if (next < sequence.plan_end) {
      at.masks_left = min(sequence.block_length,
                          sequence.mask_count - plan[next].block * sequence.block_length);
    }
  } else if ((entry.flags & kUntilFull) != 0 || next + 1 == sequence.plan_end ||
             plan[next + 1].block != entry.block) {
    at.repeats += 1;
  } else {
    at.cursor = next + 1;
    at.repeats = 0;
  }
  if ((sequence.flags & kCached) != 0) {
    at.since_whole = member.cached != 0 ? at.since_whole + 1 : 0;
    const bool stale = sequence.cache_refresh > 0 && at.since_whole >= sequence.cache_refresh;
    if (left == 0 || stale) at.since_whole = -1;
    if ((at.since_whole >= 0) != (member.cached != 0)) at.status = kWantsPass;
  }
  if (at.cursor == sequence.plan_end) at.status = kFilled;
  if (stops_early && census.first_end < census.first_mask) at.status = kStopped;
  if (logs) {
    at.log_count = min(at.log_count + committed + revised, sequence.log_capacity);
    // The block's records, which this thread has seen complete at the barrier, before their count.
    __threadfence_system();
    *static_cast<volatile int*>(log_heads + member.sequence) = at.log_count;
  }
  progress[member.sequence] = at;
}
