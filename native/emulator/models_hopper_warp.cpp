// Instructions of one warp: elect.sync, stmatrix; and of the grid: griddepcontrol.
#include <cstring>

#include "cluster.h"
#include "hopper_block.h"

namespace remask::emulator {
namespace {

struct Election {
  bool won;
};

void elect(void* const (&lanes)[32], Thread* last, const Site&) {
  const unsigned warp = last->rank / 32;
  const unsigned first = last->block->model<HopperBlock>().elected;
  for (unsigned lane = 0; lane < 32; lane++) {
    static_cast<Election*>(lanes[lane])->won = lane == (first + warp * 11 * (first != 0)) % 32;
  }
}

struct MatrixStore {
  unsigned row;
  const unsigned* r;
  bool transposed;
};

void store_matrices(void* const (&lanes)[32], Thread* last, const Site& site) {
  Block& block = *last->block;
  GenericWrites& writes = block.model<HopperBlock>().writes;
  char* rows[32];
  for (unsigned lane = 0; lane < 32; lane++) {
    const auto& row = *static_cast<const MatrixStore*>(lanes[lane]);
    const Thread* owner = block.thread(last->rank / 32 * 32 + lane);
    if (row.row % 16 != 0) {
      block.fail(owner, kMisalignedAddress, site, "the row at 0x%x is not aligned to 16", row.row);
    }
    char* memory = block.own_shared_pointer(block.thread(owner->rank), row.row, 16, site);
    rows[lane] = memory;
    // Row lane % 8 of matrix lane / 8 (its column, if transposed), gathered from all lanes.
    std::uint16_t elements[8];
    for (unsigned i = 0; i < 8; i++) {
      const unsigned line = row.transposed ? i : lane % 8;
      const unsigned column = row.transposed ? lane % 8 : i;
      const auto& source = *static_cast<const MatrixStore*>(lanes[line * 4 + column / 2]);
      elements[i] = std::uint16_t(source.r[lane / 8] >> 16 * (column % 2));
    }
    std::memcpy(memory, elements, sizeof(elements));
    race::writes(memory, 16);
    writes.written(owner, row.row & ((1u << kRankShift) - 1), 16);
  }
  if (BankCounter* banks = block.cluster().banks()) {
    for (int matrix = 0; matrix < 4; matrix++) banks->rows(rows + 8 * matrix, site);
  }
}

}  // namespace

// --- what the headers call --------------------------------------------------------------------

bool elect_one(const Site& site) {
  Election election{};
  warp_instruction(elect, &election, site);
  return election.won;
}

void stmatrix_x4(unsigned row, const unsigned* r, bool transposed, const Site& site) {
  MatrixStore store{row, r, transposed};
  warp_instruction(store_matrices, &store, site);
}

// A launch here begins when the one before it has ended, so there is nothing to wait for.
void griddepcontrol_wait(const Site&) {}
void griddepcontrol_launch_dependents(const Site&) {}

}  // namespace remask::emulator
