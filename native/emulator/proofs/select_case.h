// A random batch for the selection kernels and what they must answer, in double.
#pragma once

#include <vector>

#include "rows_case.h"

namespace remask::proof {

// Philox4x32-10's words, for the reference.
struct Words {
  unsigned word[4];
};
Words philox(std::uint64_t key, unsigned c0, unsigned c1, unsigned c2, unsigned c3);
// The noise of gumbel.h and the uniform of random order, in double.
double gumbel_noise(std::uint64_t seed, int step, int position, int id);
double random_uniform(std::uint64_t seed, int step, int position);

class SelectCase : public RowsCase {
 public:
  // Draws everything: sequences, rows, tokens, logits, floors.
  explicit SelectCase(Case& it);

  // Launches both kernels with slices of this width; the results are in candidates and keys.
  void run(int width);
  // Compares them with the reference.
  void check() const;

  int slice_width;
  Array<int> candidates{0};
  Array<float> keys{0};

 private:
  int check_candidate(int index, const Logits& logits) const;
  void check_key(int index, const Logits& logits) const;

  std::vector<float> floors_;
  bool has_floors_;
  int launched_width_ = 0;
  Array<float> device_floors_{0};
};

}  // namespace remask::proof
