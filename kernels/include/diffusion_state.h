// The device state of the diffusion loop: plain structs shared by the CUDA kernels, the host
// kernels and (mirrored, and checked against the ABI table) by Java's DiffusionState.
#pragma once

namespace remask {

// What a sequence's row may choose and how it is ordered; bits of SequenceState::flags.
enum SequenceFlags : int {
  kSuppressEos = 1,      // the EOS logit is -inf before anything else
  kDeferEos = 2,         // a chosen EOS or EoT goes last; the others' softmax leaves both out
  kRandomRemasking = 4,  // confidence is uniform noise instead of the softmax probability
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
  int reserved0;
  unsigned long long seed;
  int reserved1[4];
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
struct SelectPartial {
  float max;   // largest logit of the softmax columns; -inf if the slice has none
  float rest;  // sum of exp(logit - max) over the softmax columns but one maximal one; -1 if none
  float best;  // largest candidate logit; -inf if none
  int token;   // its id, the lowest on ties; -1 if none
};
static_assert(sizeof(SelectPartial) == 16, "one 16-byte store");

// Ids with a meaning, passed by value to the selection kernels; -1: the model has none.
struct SpecialTokens {
  int vocabulary;  // ids at or above it are never chosen
  int mask;
  int eos;
  int eot;
};
static_assert(sizeof(SpecialTokens) == 16, "four ints in the argument buffer");

}  // namespace remask
