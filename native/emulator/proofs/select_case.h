// A random batch for the selection kernels and what they must answer, in double.
#pragma once

#include <vector>

#include "diffusion_state.h"
#include "proof.h"

namespace remask::proof {

// Philox4x32-10's words, for the reference.
struct Words {
  unsigned word[4];
};
Words philox(std::uint64_t key, unsigned c0, unsigned c1, unsigned c2, unsigned c3);
// The noise of gumbel.h and the uniform of random order, in double.
double gumbel_noise(std::uint64_t seed, int step, int position, int id);
double random_uniform(std::uint64_t seed, int step, int position);

class SelectCase {
 public:
  // Draws everything: sequences, canvas, tokens, logits.
  explicit SelectCase(Case& it);

  // Launches both kernels with slices of this width; the results are in candidates and keys.
  void run(int width);
  // Compares them with the reference.
  void check() const;

  int columns, slice_width, rows = 0, logits_rows = 0;
  Array<int> candidates{0};
  Array<float> keys{0};

 private:
  // A row's logits as the rules see them.
  struct Row {
    std::vector<double> logits;
    double error;  // of a finite logit, from the guidance in f32
  };

  void add_sequence();
  void fill_row(float* row, bool eighths);
  Row row_of(int row, const SequenceState& sequence) const;
  int check_candidate(int row, const Row& logits, const SequenceState& sequence, int step,
                      int position) const;
  void check_key(int row, const Row& logits, const SequenceState& sequence, int step,
                 int position) const;
  bool choosable(int id) const { return id < tokens_.vocabulary && id != tokens_.mask; }
  bool deferred(const SequenceState& sequence, int id) const {
    return (sequence.flags & kDeferEos) && (id == tokens_.eos || id == tokens_.eot);
  }

  Case& it_;
  SpecialTokens tokens_;
  std::vector<SequenceState> sequences_;
  std::vector<PlanEntry> plan_;
  std::vector<int> row_sequence_, canvas_;
  int launched_width_ = 0;
  bool skewed_;  // logits are not aligned for vectors
  Array<float> logits_{0};
  Array<SequenceState> device_sequences_{0};
  Array<PlanEntry> device_plan_{0};
  Array<int> device_row_sequence_{0}, device_canvas_{0};
};

}  // namespace remask::proof
