// loop_while, against counting: any number of members, in any slots, any of them in any status.
#include <algorithm>
#include <numeric>

#include "diffusion_state.h"
#include "proof.h"

using namespace remask;
using namespace remask::proof;

namespace {

constexpr const char* kKernel = "loop_while";

void loop_while(Case& it) {
  const int members = it.chance(0.3) ? it.size(2000, {32, 256}) : it.uniform(1, 40);
  const int slots = members + it.uniform(0, 20);
  const int stopped = it.chance(0.5) ? 0 : it.chance(0.7) ? 1 : it.uniform(1, members);
  const int control = it.any_of({0, 0, 1, -1, 256});
  it.shape("members=%d slots=%d stopped=%d control=%d", members, slots, stopped, control);
  if (!it.wants(kKernel)) return;

  std::vector<int> slot_of(static_cast<std::size_t>(slots));
  std::iota(slot_of.begin(), slot_of.end(), 0);
  for (int i = slots - 1; i > 0; i--) std::swap(slot_of[i], slot_of[it.uniform(0, i)]);
  // Slots without a member have any status, and it does not matter.
  std::vector<Progress> progress(static_cast<std::size_t>(slots));
  for (Progress& one : progress) one.status = it.uniform(kRunning, kStuck);
  std::vector<Member> table(static_cast<std::size_t>(members));
  for (int i = 0; i < members; i++) {
    table[i] = {};
    table[i].sequence = slot_of[i];
    progress[slot_of[i]].status = kRunning;
  }
  for (int i = 0; i < stopped; i++) {
    progress[slot_of[it.uniform(0, members - 1)]].status = it.uniform(kFilled, kStuck);
  }
  const unsigned long long handle = (1ull << 40) + it.next();
  const auto device_progress = it.copy(progress);
  const auto device_members = it.copy(table);
  const auto word = it.copy(std::vector<int>{control});
  it.launch(kKernel, 1, 256, 0, handle, static_cast<const Progress*>(device_progress.data()),
            static_cast<const Member*>(device_members.data()), members,
            static_cast<const int*>(word.data()));
  const ConditionsSet set = it.conditions();
  const unsigned wanted = stopped == 0 && control == 0;
  if (set.times != 1 || set.handle != handle || set.value != wanted) {
    it.wrong(kKernel, "set %d times, last 0x%llx to %u; wanted once 0x%llx to %u", set.times,
             set.handle, set.value, handle, wanted);
  }
}

}  // namespace

int main(int argc, char** argv) { return Proof(argc, argv, 300).run(loop_while); }
