// Sampling by the Gumbel-max trick: the id of the largest logit + T * G is a draw from
// softmax(logit / T), where each G = -ln E, E = -ln(1 - v), v uniform. (LLaDA's generate.py takes
// the largest exp(logit) / (-ln u)^T, the same.)
//
// A draw is a pure function of (the request's seed; step, position in the sequence, id): word id %
// 4 of the Philox counter {step, position, id / 4, kSamplingStream}, so neither tiling nor batch
// nor neighbours have a say in it. 24 bits of it make v, such that 1 - v is exact in f32 and E
// keeps its relative precision where it is small, which is where samples come from. 1 - v = 0
// becomes 2^-25.
#pragma once

#include "philox.h"

namespace remask {

// The counter's last word: one per use of the generator.
constexpr unsigned kRemaskingStream = 1;
constexpr unsigned kSamplingStream = 2;

constexpr int kPhiloxWords = 4;  // neighbouring ids that share a counter

// The noise lies in [-2.853, 16.636], so of two logits more than this times T apart the lower one
// cannot win.
constexpr float kGumbelSpan = 20.0f;
// And this times the larger one's magnitude, for what rounding adds.
constexpr float kGumbelSlack = 1e-6f;

__device__ __forceinline__ float gumbel(unsigned word) {
  const float rest = fmaxf(static_cast<float>(word >> 8) * 0x1p-24f, 0x1p-25f);  // 1 - v
  return -logf(-logf(rest));
}

}  // namespace remask
