#include "rows_case.h"

#include <algorithm>
#include <limits>

namespace remask::proof {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

void RowsCase::draw_rows() {
  wide_ = it_.chance(0.05);
  columns = wide_ ? it_.uniform(8192, 20000) : it_.size(1200, {4, 128, 1024});
  skewed_ = it_.chance(0.15);
  tokens_.vocabulary = columns - (it_.chance(0.5) ? 0 : it_.uniform(0, columns - 1));
  tokens_.mask = it_.uniform(0, columns - 1);
  tokens_.eos = it_.chance(0.2) ? -1 : it_.uniform(0, columns - 1);
  tokens_.eot = it_.chance(0.2) ? -1 : it_.uniform(0, columns - 1);
  for (int s = it_.uniform(1, wide_ ? 2 : 4); s > 0; s--) add_sequence();
  rows = logits_rows = int(rows_.size());
  for (Row& row : rows_) {
    if (row.unconditional_row >= 0) row.unconditional_row = logits_rows++;
  }
}

void RowsCase::draw_logits() {
  const std::size_t count = std::size_t(logits_rows) * std::size_t(columns);
  logits_ = it_.output<float>(count + 1);
  const bool eighths = it_.chance(0.3);
  for (int row = 0; row < logits_rows; row++) {
    fill_row(logits_.data() + skewed_ + std::size_t(row) * std::size_t(columns), eighths);
  }
  device_sequences_ = it_.copy(sequences_);
  device_rows_ = it_.copy(rows_);
}

void RowsCase::add_sequence() {
  Sequence s = {};
  s.top_p = 1;
  s.guidance = it_.any_of({1.5f, 2.5f, 4.0f});
  s.flags = it_.uniform(0, 3);
  s.rule = it_.uniform(0, 3);
  s.temperature = it_.chance(0.4) ? 0.0f : it_.any_of({1e-6f, 0.1f, 0.7f, 1.0f, 2.5f});
  s.seed = std::uint64_t(it_.next()) << 32 | it_.next();
  const bool guided = it_.chance(0.3);
  const int first = it_.uniform(0, 5), step = it_.uniform(0, 1000);
  for (int i = it_.size(8); i > 0; i--) {
    Row row = {int(sequences_.size()), first + i, step, kChoose, guided ? 0 : -1, -1, i, 0};
    if (it_.chance(0.15)) row.kind = it_.any_of({kNothing, kReconsider});
    rows_.push_back(row);
  }
  sequences_.push_back(s);
}

void RowsCase::fill_row(float* row, bool eighths) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  const double deviation = it_.any_of({0.05, 3.0, 12.0});
  const double absent = it_.any_of({0.0, 0.0, 0.3, 1.0});
  const double offset = it_.any_of({0.0, 0.0, 60.0, -200.0});
  for (int j = 0; j < columns; j++) {
    double x = it_.normal_real() * deviation + offset;
    if (eighths) x = std::rint(x * 8) / 8;  // ties
    row[j] = float(x);
    if (it_.chance(absent)) row[j] = it_.chance(0.5) ? kNothing : std::nanf("");
  }
  if (it_.chance(0.4)) row[it_.uniform(0, columns - 1)] = float(offset + it_.uniform(10, 60));
  if (it_.chance(0.3) && tokens_.eos >= 0) row[tokens_.eos] = float(offset + 40);
  if (it_.chance(0.3)) row[tokens_.mask] = float(offset + 50);
  if (it_.chance(0.05)) row[it_.uniform(0, columns - 1)] = -kNothing;
}

RowsCase::Logits RowsCase::logits_of(int index) const {
  const Row& row = rows_[std::size_t(index)];
  const Sequence& sequence = sequences_[std::size_t(row.sequence)];
  const float* first = logits();
  const float* conditional = first + std::size_t(index) * std::size_t(columns);
  const float* copy = nullptr;
  if (row.unconditional_row >= 0) {
    copy = first + std::size_t(row.unconditional_row) * std::size_t(columns);
  }
  Logits result = {std::vector<double>(std::size_t(columns)), 0};
  for (int j = 0; j < columns; j++) {
    double x = double(conditional[j]);
    if (copy != nullptr) {
      const double base = double(copy[j]), change = double(sequence.guidance) * (x - base);
      x = base + change;
      const double error = (std::fabs(base) + 3 * std::fabs(change)) * kF32Roundoff;
      if (std::isfinite(error)) result.error = std::max(result.error, error);
    }
    if (std::isnan(x) || ((sequence.flags & kSuppressEos) && j == tokens_.eos)) x = -kInfinity;
    result.logits[std::size_t(j)] = x;
  }
  return result;
}

}  // namespace remask::proof
