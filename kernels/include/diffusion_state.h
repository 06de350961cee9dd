// The device state of the diffusion loop: plain structs shared by the CUDA kernels, the host
// kernels and (mirrored, and checked against the ABI table) by Java's DiffusionState.
#pragma once

namespace remask {

// What a sequence's row may choose; bits of SequenceState::flags.
enum SequenceFlags : int {
  kSuppressEos = 1,  // the EOS logit is -inf before anything else
  kDeferEos = 2,     // a chosen EOS or EoT goes last; the others' softmax leaves both out
};

// What orders the rows of a block: SequenceState::rule. Each gives a key >= 0 of which a smaller
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

// One sequence of a packed batch. "Canvas" is prompt + answer; with classifier-free guidance the
// batch also holds an unconditional copy of it, in which the prompt is masked.
struct SequenceState {
  int canvas_begin;             // packed index of its position 0
  int unconditional_begin;      // packed index of position 0 of its copy; -1: no guidance
  int row_begin;                // its first selectable row
  int unconditional_row_begin;  // first logits row of the copy; -1: no guidance
  int row_count;                // selectable rows: its block length
  int plan_end;                 // one past its last plan entry
  int cursor;                   // its current plan entry; == plan_end: done, its rows are skipped
  int flags;                    // SequenceFlags
  float guidance;               // cfg_scale + 1
  float temperature;            // of the choice; 0: the largest logit, without noise
  unsigned long long seed;      // of the noise of temperature and random order
  int rule;                     // RemaskingRule
  int reserved[3];
};
static_assert(sizeof(SequenceState) == 64, "Java and the kernels agree on 64 bytes");

// One denoising step of one sequence, planned by the host before the loop starts.
struct PlanEntry {
  int block_begin;  // first position of the block, counted from the start of the canvas
  int quota;        // tokens to unmask in this step
  int step;         // the schedule's index of this step (steps of quota 0 have no entry)
  int reserved;
};
static_assert(sizeof(PlanEntry) == 16, "Java and the kernels agree on 16 bytes");

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
