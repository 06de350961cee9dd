// lay_rows: before a forward pass, what each row of logits of its members stands for.
// in  sequences, progress (by slot), members; arenas plan, mask_positions i32, canvas i32
// out rows Row[R], row_index i32[Rall]: the packed query that a row of logits is computed from
// Row i of a member is mask i of its current block: kChoose where the canvas is masked, kReconsider
// where it is not, but revisions are left, otherwise kNothing. Rows beyond the block and those of a
// sequence that is not running are kNothing. Those point at the member's first query, so that every
// index is one that the pass computes.
// 1 one CTA per member, a thread per row, any number of rows
// compiled: 256 threads, up to 32 regs; floor: bound by the launch; not measured
#include "include/diffusion_state.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    lay_rows(remask::Row* rows, int* row_index, const remask::Sequence* sequences,
             const remask::Progress* progress, const remask::PlanEntry* plan,
             const int* mask_positions, const int* canvas, const remask::Member* members,
             int mask) {
  using namespace remask;
  const Member member = members[blockIdx.x];
  const Sequence& sequence = sequences[member.sequence];
  const Progress at = progress[member.sequence];
  const bool running = at.status == kRunning && at.cursor < sequence.plan_end;
  const bool guided = sequence.unconditional_begin != kNoGuidance;
  const bool revises = (sequence.flags & kRevise) != 0 && at.revisions_left > 0;
  int first = 0, count = 0, step = 0;  // of the current block
  if (running) {
    const PlanEntry entry = plan[at.cursor];
    first = entry.block * sequence.block_length;
    count = min(sequence.block_length, sequence.mask_count - first);
    step = entry.step + at.repeats;
  }
  for (int i = threadIdx.x; i < sequence.block_length; i += kThreads) {
    Row row = {member.sequence, -1, 0, kNothing, -1, -1, -1, 0};
    int query = 0;
    if (i < count) {
      const int position = mask_positions[sequence.canvas_begin + first + i];
      const int token = canvas[sequence.canvas_begin + position];
      if (token == mask || revises) {
        row.position = position;
        row.step = step;
        row.kind = token == mask ? kChoose : kReconsider;
        row.unconditional_row = guided ? member.unconditional_row_begin + i : -1;
        row.target = token == mask ? -1 : token;
        row.mask_index = first + i;
        query = position - member.query_first;
      }
    }
    rows[member.row_begin + i] = row;
    row_index[member.row_begin + i] = member.query_begin + query;
    if (guided) {
      row_index[member.unconditional_row_begin + i] = member.unconditional_query_begin + query;
    }
  }
}
