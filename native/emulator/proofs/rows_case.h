// Random rows of logits with their sequences, for the kernels between the forward pass and the
// commit, and the logits as those kernels' rules see them, in double.
#pragma once

#include <vector>

#include "diffusion_state.h"
#include "proof.h"

namespace remask::proof {

constexpr double kF32Roundoff = 0x1p-24;

class RowsCase {
 public:
  explicit RowsCase(Case& it) : it_(it) {}

  int columns = 0, rows = 0, logits_rows = 0;

 protected:
  // A row's logits, guided, NaN and a suppressed EOS absent.
  struct Logits {
    std::vector<double> logits;
    double error;  // of a finite logit, from the guidance in f32
  };

  // Special ids, sequences and rows: of which slots, kinds and copies. Sets columns and rows.
  void draw_rows();
  // Logits for them, on the device with rows and sequences, which may not change from here on.
  void draw_logits();

  const float* logits() const { return logits_.data() + skewed_; }
  const Sequence& sequence_of(int index) const {
    return sequences_[std::size_t(rows_[std::size_t(index)].sequence)];
  }
  Logits logits_of(int index) const;
  bool choosable(int id) const { return id < tokens_.vocabulary && id != tokens_.mask; }
  bool is_end(int id) const { return id == tokens_.eos || id == tokens_.eot; }
  bool deferred(const Sequence& sequence, int id) const {
    return (sequence.flags & kDeferEos) && is_end(id);
  }

  Case& it_;
  SpecialTokens tokens_ = {};
  std::vector<Sequence> sequences_;
  std::vector<Row> rows_;
  bool wide_ = false;
  bool skewed_ = false;  // logits are not aligned for vectors
  Array<float> logits_{0};
  Array<Sequence> device_sequences_{0};
  Array<Row> device_rows_{0};

 private:
  void add_sequence();
  void fill_row(float* row, bool eighths);
};

}  // namespace remask::proof
