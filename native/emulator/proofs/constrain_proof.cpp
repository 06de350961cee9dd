// Constraints on logits against a plain loop over ids: several entries a sequence, for all
// positions and for one, choices at every stage of being filled in, masks in holes.
#include <algorithm>
#include <limits>
#include <set>

#include "constraint.h"
#include "rows_case.h"

using namespace remask;
using namespace remask::proof;

namespace {

constexpr const char* kConstrain = "constrain";
constexpr int kThreads = 256;
constexpr float kNothingLeft = -std::numeric_limits<float>::infinity();

class ConstrainCase : RowsCase {
 public:
  explicit ConstrainCase(Case& it) : RowsCase(it) {
    draw_rows();
    if (it.chance(0.05)) columns = it.uniform(65530, 66000);  // around the bits of one round
    if (columns > 20000) tokens_.mask = it.uniform(0, columns - 1);
    for (Row& row : rows_) {
      if (it.chance(0.3)) row.kind = kReconsider;
    }
    for (std::size_t slot = 0; slot < sequences_.size(); slot++) add_canvas(int(slot));
    for (std::size_t slot = 0; slot < sequences_.size(); slot++) add_entries(int(slot));
    draw_logits();
    constraints_.push_back({});  // an arena is never empty
    data_.push_back(0);
    it.shape("constrain: rows=%d columns=%d mask=%d entries=%zu data=%zu", rows, columns,
             tokens_.mask, constraints_.size() - 1, data_.size() - 1);
  }

  void run_and_check() {
    const auto before = it_.copy(std::vector<float>(logits_.begin(), logits_.end()));
    const auto constraints = it_.copy(constraints_);
    const auto data = it_.copy(data_);
    const auto canvas = it_.copy(canvas_);
    const auto positions = it_.copy(mask_positions_);
    it_.launch(kConstrain, rows, kThreads, 0, const_cast<float*>(logits()),
               static_cast<const Row*>(device_rows_.data()),
               static_cast<const Sequence*>(device_sequences_.data()),
               static_cast<const Constraint*>(constraints.data()),
               static_cast<const int*>(data.data()), static_cast<const int*>(canvas.data()),
               static_cast<const int*>(positions.data()), rows, columns, tokens_.mask);
    for (int index = 0; index < rows; index++) apply(index, before.data() + skewed_);
    it_.expect_same(kConstrain, logits_, before);
  }

 private:
  // Positions with holes between the masks, some of which are committed.
  void add_canvas(int slot) {
    Sequence& sequence = sequences_[std::size_t(slot)];
    sequence.canvas_begin = int(canvas_.size());
    int position = it_.uniform(0, 4);
    sequence.mask_count = 0;
    for (Row& row : rows_) {
      if (row.sequence != slot) continue;
      row.mask_index = sequence.mask_count++;
      row.position = position;
      mask_positions_.push_back(position);
      position += it_.any_of({1, 1, 1, 3});
    }
    const std::size_t begin = canvas_.size();
    for (int p = 0; p < position; p++) canvas_.push_back(any_id());
    for (const Row& row : rows_) {
      if (row.sequence != slot) continue;
      int& token = canvas_[begin + std::size_t(row.position)];
      token = row.kind != kReconsider && it_.chance(0.7) ? tokens_.mask : few_id();
    }
    mask_positions_.resize(canvas_.size(), 0);
  }

  // Often ids that others name, too, and those around the end of a round's bits.
  int any_id() {
    if (it_.chance(0.3)) return few_id();
    if (columns > 65536 && it_.chance(0.3)) return 65535 + it_.uniform(0, 1);
    return it_.uniform(0, columns - 1);
  }
  int few_id() { return it_.uniform(0, std::min(columns, 3) - 1); }

  void add_entries(int slot) {
    Sequence& sequence = sequences_[std::size_t(slot)];
    sequence.constraint_begin = int(constraints_.size());
    sequence.constraint_count = it_.uniform(0, 6);
    for (int i = 0; i < sequence.constraint_count; i++) {
      Constraint entry = {-1, it_.uniform(0, 3), int(data_.size()), 0};
      if (it_.chance(0.4)) entry.position = it_.uniform(0, 6);
      if (entry.kind == kOneOf) {
        add_choices(sequence, entry);
      } else {
        add_ids(entry);
      }
      constraints_.push_back(entry);
    }
  }

  void add_ids(Constraint& entry) {
    std::set<int> ids;
    for (int n = it_.any_of({0, 1, 3, 40, 700}); n > 0; n--) ids.insert(any_id());
    if (it_.chance(0.1)) ids.insert(it_.any_of({-1, columns, columns + 100}));
    entry.count = int(ids.size());
    data_.insert(data_.end(), ids.begin(), ids.end());
    if (entry.kind != kBias) return;
    for (int n = entry.count; n > 0; n--) {
      // So different that the order in which entries add them shows.
      const float bias = it_.any_of({1.5f, -3.25f, 3e7f, -1e7f});
      int bits;
      std::memcpy(&bits, &bias, sizeof(bits));
      data_.push_back(bits);
    }
  }

  // Choices that often agree with what is committed.
  void add_choices(const Sequence& sequence, Constraint& entry) {
    entry.count = it_.any_of({0, 1, 2, 20});
    const int slot = int(&sequence - sequences_.data());
    for (int c = 0; c < entry.count; c++) {
      const bool agrees = it_.chance(0.6);
      for (const Row& row : rows_) {
        if (row.sequence != slot) continue;
        const int token = canvas_[std::size_t(sequence.canvas_begin + row.position)];
        int id = agrees && token != tokens_.mask ? token : few_id();
        if (it_.chance(0.1)) id = -1;
        data_.push_back(id);
      }
    }
  }

  void apply(int index, float* all) const {
    const Row& row = rows_[std::size_t(index)];
    if (row.kind == kNothing) return;
    const Sequence& sequence = sequence_of(index);
    float* conditional = all + std::size_t(index) * std::size_t(columns);
    for (int i = 0; i < sequence.constraint_count; i++) {
      const Constraint& entry = constraints_[std::size_t(sequence.constraint_begin + i)];
      if (entry.position >= 0 && entry.position != row.position) continue;
      const int* ids = data_.data() + entry.begin;
      if (entry.kind == kOneOf) {
        const std::set<int> allowed = alive_ids(row, sequence, entry);
        if (allowed.count(-1)) continue;
        for (int id = 0; id < columns; id++) {
          if (!allowed.count(id)) conditional[id] = kNothingLeft;
        }
        continue;
      }
      const std::set<int> named(ids, ids + entry.count);
      for (int id = 0; id < columns; id++) {
        const bool hit = named.count(id) != 0;
        if (entry.kind == (hit ? kBan : kAllowOnly)) conditional[id] = kNothingLeft;
      }
      for (int n = 0; entry.kind == kBias && n < entry.count; n++) {
        if (ids[n] < 0 || ids[n] >= columns) continue;
        float bias;
        std::memcpy(&bias, &ids[entry.count + n], sizeof(bias));
        conditional[ids[n]] += bias;
        if (row.unconditional_row < 0) continue;
        all[std::size_t(row.unconditional_row) * std::size_t(columns) + std::size_t(ids[n])] +=
            bias;
      }
    }
  }

  std::set<int> alive_ids(const Row& row, const Sequence& sequence, const Constraint& entry) const {
    std::set<int> ids;
    for (int c = 0; c < entry.count; c++) {
      const int* choice = data_.data() + entry.begin + c * sequence.mask_count;
      bool alive = true;
      for (int m = 0; m < sequence.mask_count; m++) {
        const int position = mask_positions_[std::size_t(sequence.canvas_begin + m)];
        const int token = canvas_[std::size_t(sequence.canvas_begin + position)];
        const bool differs = token != tokens_.mask && choice[m] != -1 && token != choice[m];
        alive = alive && (m == row.mask_index || !differs);
      }
      if (alive) ids.insert(choice[row.mask_index]);
    }
    return ids;
  }

  std::vector<Constraint> constraints_;
  std::vector<int> data_, canvas_, mask_positions_;
};

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 200);
  return proof.run([](Case& it) {
    if (!it.wants(kConstrain)) return;
    ConstrainCase constrain(it);
    constrain.run_and_check();
  });
}
