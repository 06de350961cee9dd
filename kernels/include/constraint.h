// What a request allows and prefers at its positions: entries that constrain.cu applies.
#pragma once

namespace remask {

// How an entry reads its data: see constrain.cu.
enum ConstraintKind : int {
  kBan = 0,        // ids whose logits become -inf
  kBias = 1,       // ids, then as many floats to add to their logits
  kAllowOnly = 2,  // ids; all other logits become -inf
  kOneOf = 3,      // choices of mask_count ids each, of which the answer has to be one
};

// An entry of the constraints arena; a sequence has constraint_count from constraint_begin on.
struct alignas(16) Constraint {
  int position;  // that it holds for; -1: every one
  int kind;      // ConstraintKind
  int begin;     // of its data, in ints
  int count;     // ids or choices
};
static_assert(sizeof(Constraint) == 16, "Java and the kernels agree on 16 bytes");

}  // namespace remask
