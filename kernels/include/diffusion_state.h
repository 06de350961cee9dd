// The device state of the diffusion loop: plain structs shared by the CUDA kernels, the host
// kernels and (mirrored, and checked against the ABI table) by Java's DiffusionState.
//
// A request has a slot, an index of the arrays of Sequence and Progress. Its token ids ("canvas":
// prompt and answer), the positions of its masks and its plan lie in arenas. Its masks are counted
// in ascending order of position; block b of length B is masks [b * B, min((b + 1) * B, n)), which
// are neighbours unless the request fills holes. A pass is one forward over the positions of
// several slots, its members; every member has block_length rows of logits in it.
//
// A step: lay_rows says which position each row stands for, the forward pass and the selection give
// each row a candidate and a key, commit_rows writes the surest into the canvas and moves Progress.
#pragma once

namespace remask {

// What a sequence may choose and how it goes on; bits of Sequence::flags.
enum SequenceFlags : int {
  kSuppressEos = 1,  // the EOS logit is -inf before anything else
  kDeferEos = 2,     // a chosen EOS or EoT goes last; the others' softmax leaves both out
  kEarlyStop = 4,    // ends once a block holds an EOS with no mask before it
  kAutoLength = 8,   // asks for length where the last active block begins without a sure EOS
  kRevise = 16,      // committed tokens of the block may be masked again
  kLog = 32,         // every commit is recorded
  kCached = 64,      // passes over the whole canvas and passes over a part of it take turns
};

// What orders the rows of a block: Sequence::rule. Each gives a key >= 0 of which a smaller
// one is surer, made so that 1 / (1 + key) is the confidence in the rule's own terms; p is the
// softmax of the clean logits (no temperature, no noise), its sum over every column but deferred
// ones. Only a deferred row's key is infinite; finite keys stop at FLT_MAX.
enum RemaskingRule : int {
  // (1 - p_c) / p_c: the odds that candidate c is wrong. ML-GSAI/LLaDA, generate.py: p_c itself.
  kLowConfidence = 0,
  // (1 - u) / u of a uniform u drawn for (seed, step, position). The same file: "random".
  kRandomOrder = 1,
  // exp(H) - 1, H = -sum p ln p over the columns: the row's perplexity above 1.
  // HKUNLP/Dream, generation_utils.py, alg "entropy": sum p ln p; the same order.
  kEntropy = 2,
  // (1 - d) / d, d = p_1 - p_2 of the two likeliest ids that may be chosen and are not deferred.
  // The same file, alg "topk_margin": d, there over all columns.
  kMargin = 3,
};

// Which of the block's rows that can be chosen commit in a step: Sequence::commit_rule. The order
// is that of their keys, the smallest first, ties to the lower position.
enum CommitRule : int {
  kQuota = 0,      // the first PlanEntry::quota
  kThreshold = 1,  // every key <= Sequence::bound, and at least the first. Fast-dLLM
  // The first n for the largest n with (n + 1) (1 - c_n) < Sequence::bound, and at least one.
  // c_n: confidence of the n-th, 1 - c_n = key / (1 + key) in f64, 1 for an infinite key. Fast-dLLM
  kFactor = 2,
  // Each with probability PlanEntry::chance: where u < chance, u in [0, 1) of 24 bits of the first
  // word of Philox {step, position, 0, 3} under the seed. HKUNLP/Dream, alg "origin"
  kChance = 3,
};

// How a sequence stands: Progress::status. Kernels leave one alone that is not running.
enum SequenceStatus : int {
  kRunning = 0,
  kFilled = 1,       // its plan has ended: no mask is left
  kStopped = 2,      // kEarlyStop; masks may be left behind the EOS
  kWantsPass = 3,    // kCached: the pass that is due is not of the kind that this one was
  kWantsLength = 4,  // kAutoLength: nothing was committed; runs on with more masks, or without flag
  kStuck = 5,        // the block has masks, and none of its rows can be chosen
};

constexpr int kNoGuidance = -0x7fffffff - 1;  // Sequence::unconditional_begin without a copy
constexpr int kMaskedAgain = -1;              // CommitRecord::token of a revision

// What the host says of a slot at admission, and again where it extends one. Kernels only read it.
struct Sequence {
  int canvas_begin;  // arena index of position 0; the slot's mask positions and its plan start at
                     // the same index of their arenas
  int unconditional_begin;  // position p of the unconditional copy is at this + p in the canvas
                            // arena; kNoGuidance
  int mask_count;           // active masks
  int block_length;         // masks of a block, and rows of a pass, > 0
  int plan_end;             // one past the last active plan entry, an arena index
  int flags;                // SequenceFlags
  float guidance;           // cfg_scale + 1
  float temperature;        // of the choice; 0: the largest logit, without noise
  unsigned long long seed;  // of the noise of temperature, random order and chance
  int rule;                 // RemaskingRule
  int commit_rule;          // CommitRule
  float bound;              // kThreshold: the largest key that commits, (1 - t) / t; kFactor: f
  float revision_bound;     // kRevise: a committed row whose key exceeds it may be masked again
  int top_k;                // 0: off
  float top_p;              // 1: off
  int constraint_begin;     // its entries of 16 bytes in the arena of constraints
  int constraint_count;
  int log_begin;      // its records in the commit log
  int log_capacity;   // records beyond it are dropped
  int cache_refresh;  // kCached: a whole pass after so many others; 0: at a block's begin only
  int eos_last;       // 0
  int reserved[10];
};
static_assert(sizeof(Sequence) == 128, "Java and the kernels agree on 128 bytes");

// How far a slot is: the host writes the initial one, commit_rows moves it.
struct alignas(16) Progress {
  int cursor;          // arena index of the plan entry; == plan_end: done
  int repeats;         // passes that ended at this entry so far
  int passes;          // that it was a member of
  int status;          // SequenceStatus
  int revisions_left;  // kRevise: tokens that may still be masked again
  int log_count;       // records written
  int since_whole;     // kCached: other passes since a whole one; -1: a whole pass is due
  int masks_left;      // of the current block
};
static_assert(sizeof(Progress) == 32, "Java and the kernels agree on 32 bytes");

enum PlanFlags : int {
  kUntilFull = 1,     // repeated until its block has no masks
  kFirstOfBlock = 2,  // no entry of the same block before it
};

// One denoising step, or with repeats several, of a sequence; planned before it starts. The last
// entry of a block is repeated while the block has masks whatever its flags are.
struct alignas(16) PlanEntry {
  int block;
  int quota;     // kQuota: tokens to unmask in this step
  int step;      // the schedule's index of this step (steps of quota 0 have no entry)
  int flags;     // PlanFlags
  float chance;  // kChance
  int reserved[3];
};
static_assert(sizeof(PlanEntry) == 32, "Java and the kernels agree on 32 bytes");

// A slot's place in the current pass. Packed queries are the positions that the pass computes.
struct alignas(16) Member {
  int sequence;                   // slot
  int query_begin;                // packed index of position query_first
  int query_first;                // the first position that the pass computes of it
  int unconditional_query_begin;  // the same for the copy's position query_first; not read without
  int row_begin;                  // its first row of logits
  int unconditional_row_begin;    // the copy's first row of logits; not read without guidance
  int cached;                     // 1: this pass computes only a part of the positions
  int reserved;
};
static_assert(sizeof(Member) == 32, "Java and the kernels agree on 32 bytes");

enum RowKind : int {
  kNothing = 0,  // padding, beyond the block, committed, or of a sequence that is not running
  kChoose = 1,   // masked: gets a candidate and a key
  // kRevise with revisions left: committed; gets a key for the token that is there.
  kReconsider = 2,
};

// What a row of logits stands for. lay_rows writes those of members; the host others.
struct alignas(16) Row {
  int sequence;  // slot
  int position;  // in the canvas; -1 for kNothing
  int step;      // PlanEntry::step + Progress::repeats: what noise is drawn for; 0 for kNothing
  int kind;      // RowKind
  int unconditional_row;  // the copy's row of logits; -1: no guidance, or kNothing
  int target;             // kReconsider: the token at the position; otherwise -1
  int mask_index;         // which of the sequence's masks; -1 for kNothing
  int reserved;
};
static_assert(sizeof(Row) == 32, "Java and the kernels agree on 32 bytes");

// An entry of the commit log, in mapped host memory: Sequence::log_begin + its number.
struct alignas(16) CommitRecord {
  int step;  // Row::step
  int position;
  int token;         // kMaskedAgain
  float confidence;  // 1 / (1 + key)
};
static_assert(sizeof(CommitRecord) == 16, "Java and the kernels agree on 16 bytes");

// Result of one row over one slice of the vocabulary. Mergeable: see select.cu.
struct alignas(16) SelectPartial {
  float max;     // largest logit of the softmax columns; -inf if the slice has none
  float rest;    // sum of exp(logit - max) over the softmax columns but one maximal one; -1 if none
  float best;    // largest logit + temperature * noise of the ids that may be chosen; -inf if none
  int token;     // its id, the lowest on ties; -1 if none
  float clean;   // its logit, which is `best` at temperature 0
  float spread;  // kEntropy: sum of exp(logit - max) * (max - logit) over the softmax columns
  float first;   // kMargin: largest logit of the ids that may be chosen and are not deferred
  float second;  // kMargin: the second largest, equal to `first` on ties; -inf if none
};
static_assert(sizeof(SelectPartial) == 32, "two 16-byte stores");

// Ids with a meaning, passed by value to the selection kernels; -1: the model has none.
struct SpecialTokens {
  int vocabulary;  // ids at or above it are never chosen
  int mask;
  int eos;
  int eot;
};
static_assert(sizeof(SpecialTokens) == 16, "four ints in the argument buffer");

}  // namespace remask
