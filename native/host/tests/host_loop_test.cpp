// lay_rows, commit_rows, Philox, and the table that the device sees.
#include <set>

#include "host_testing.h"
#include "kernel_signature.h"
#include "philox.h"
#include "step_kernels.h"

using namespace remask;
using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr SpecialTokens kTokens = {100, 99, 1, -1};

// A prompt of 4 positions and 7 masks, its unconditional copy behind it; blocks of 5.
struct Loop {
  Sequence sequence = {};
  Progress progress = {};
  std::vector<PlanEntry> plan = {
      {0, 2, 7, kFirstOfBlock, 0, {}}, {0, 3, 8, 0, 0, {}}, {1, 2, 9, kFirstOfBlock, 0, {}}};
  std::vector<int> masks = {4, 5, 6, 7, 8, 9, 10};
  std::vector<int> canvas = std::vector<int>(22, kTokens.mask);
  Member member = {0, 100, 0, 200, 0, 5, 0, 0};
  std::vector<Row> rows = std::vector<Row>(5);
  std::vector<int> row_index = std::vector<int>(10);
  std::vector<CommitRecord> log = std::vector<CommitRecord>(9);
  int log_head = -1;

  Loop() {
    sequence.unconditional_begin = 11;
    sequence.mask_count = 7;
    sequence.block_length = 5;
    sequence.plan_end = 3;
    sequence.flags = kLog;
    sequence.log_capacity = 9;
  }

  // Masks that are committed after a step with these keys.
  std::vector<int> step(std::vector<float> keys) {
    lay_rows(launch(1), rows.data(), row_index.data(), &sequence, &progress, plan.data(),
             masks.data(), canvas.data(), &member, kTokens.mask);
    std::vector<int> candidates = {10, 11, 12, 13, 14};
    commit_rows(launch(1), canvas.data(), &progress, log.data(), &log_head, keys.data(),
                candidates.data(), rows.data(), &sequence, plan.data(), masks.data(), &member,
                kTokens);
    std::vector<int> committed;
    for (int i = 0; i < 7; ++i) {
      const int position = masks[static_cast<std::size_t>(i)];
      const int token = canvas[static_cast<std::size_t>(position)];
      EXPECT_THAT(canvas[static_cast<std::size_t>(11 + position)] == token, "the copy");
      if (token == kTokens.mask) continue;
      EXPECT_THAT(token == 10 + i % 5, "token");
      committed.push_back(i);
    }
    return committed;
  }
};

using Masks = std::vector<int>;

void steps_commit_the_smallest_keys_and_move_on() {
  Loop loop;
  EXPECT_THAT((loop.step({5, 0.5f, -1, 0.5f, 0.5f}) == Masks{1, 3}), "ties, and none to choose");
  EXPECT_THAT(loop.progress.cursor == 1 && loop.progress.masks_left == 3, "the next entry");
  EXPECT_THAT(loop.log_head == 2 && loop.log[1].position == 7 && loop.log[1].step == 7, "log");
  EXPECT_THAT((loop.step({1, 0, NAN, 0, 1}) == Masks{0, 1, 3, 4}), "fewer than the quota");
  EXPECT_THAT(loop.progress.cursor == 1 && loop.progress.repeats == 1, "its last entry, again");
  EXPECT_THAT((loop.step({0, 0, HUGE_VALF, 0, 0}) == Masks{0, 1, 2, 3, 4}), "deferred");
  EXPECT_THAT(loop.progress.cursor == 2 && loop.progress.masks_left == 2, "the next block");
  EXPECT_THAT((loop.step({2, 1, 0, 0, 0}).size() == 7), "a short block");
  EXPECT_THAT(loop.progress.status == kFilled && loop.progress.passes == 4, "filled");
  EXPECT_THAT(loop.log_head == 7 && loop.log[6].confidence == 0.5f, "log's end");
  const Progress end = loop.progress;
  loop.step({0, 0, 0, 0, 0});
  EXPECT_THAT(std::memcmp(&end, &loop.progress, sizeof(end)) == 0, "left alone");
}

void rows_point_at_the_queries_of_their_positions() {
  Loop loop;
  loop.step({5, 0, 5, 0, 5});
  loop.step({-1, -1, 0, -1, -1});
  for (int i = 0; i < 5; ++i) {
    const Row& row = loop.rows[static_cast<std::size_t>(i)];
    const bool committed = i == 1 || i == 3;
    EXPECT_THAT(row.kind == (committed ? kNothing : kChoose), "kind");
    EXPECT_THAT(row.position == (committed ? -1 : 4 + i), "position");
    EXPECT_THAT(row.unconditional_row == (committed ? -1 : 5 + i), "the copy's row");
    const int query = committed ? 0 : 4 + i;
    EXPECT_THAT(loop.row_index[static_cast<std::size_t>(i)] == 100 + query, "query");
    EXPECT_THAT(loop.row_index[static_cast<std::size_t>(5 + i)] == 200 + query, "copy's query");
  }
}

// The known answers of the generator's authors (Random123, kat_vectors).
void philox_gives_the_known_answers() {
  EXPECT_THAT(philox4x32_10_word0(0, 0, 0, 0, 0) == 0x6627e8d5u, "zeros");
  EXPECT_THAT(philox4x32_10_word0(~0u, ~0u, ~0u, ~0u, ~0ull) == 0x408f276du, "ones");
  EXPECT_THAT(philox4x32_10_word0(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u,
                                  0x299f31d0a4093822ull) == 0xd16cfe09u,
              "digits of pi");
  const PhiloxWords words = philox4x32_10(0, 0, 0, 0, 0);
  EXPECT_THAT(
      words.word[1] == 0xe169c58du && words.word[2] == 0xbc57ac4cu && words.word[3] == 0x9b00dbd8u,
      "zeros, the other words");
}

void table_names_every_kernel_once() {
  const RemaskKernelTable* table = remask_host_kernels();
  EXPECT_THAT(table->version == REMASK_KERNEL_TABLE_VERSION, "version");
  std::set<std::string> names;
  for (unsigned i = 0; i < table->count; ++i) {
    EXPECT_THAT(names.insert(table->kernels[i].name).second, table->kernels[i].name);
  }
  for (const char* stem : {"embed_", "rmsnorm_", "rope_", "attention_hd64_", "attention_hd128_",
                           "swiglu_", "gather_rows_", "store_kv_"}) {
    EXPECT_THAT(names.count(std::string(stem) + "bf16") && names.count(std::string(stem) + "f32"),
                stem);
  }
  for (const char* name :
       {"gemm_bf16_bf16", "gemm_bf16_f32", "gemm_f32_f32", "select_slices", "select_merge",
        "constrain", "restrict_tokens", "target_odds", "lay_rows", "commit_rows", "loop_while"}) {
    EXPECT_THAT(names.count(name), name);
  }
}

// A launch through the table: parameters unpacked from a packed buffer.
void table_entry_runs_from_a_packed_buffer() {
  const RemaskKernelTable* table = remask_host_kernels();
  for (unsigned i = 0; i < table->count; ++i) {
    const RemaskKernel& kernel = table->kernels[i];
    if (std::string(kernel.name) != "gemm_f32_f32") continue;
    EXPECT_THAT(kernel.parameter_count == 6 && kernel.buffer_bytes == 36, "layout");
    const float a[] = {1, 2}, w[] = {3, 4};
    float out = NAN;
    unsigned char buffer[36];
    const void* pointers[] = {&out, a, w};
    std::memcpy(buffer, pointers, sizeof(pointers));
    const int sizes[] = {1, 1, 2};
    std::memcpy(buffer + sizeof(pointers), sizes, sizeof(sizes));
    char reason[200] = "";
    const RemaskLaunch one = launch(1);
    EXPECT_THAT(kernel.run(&one, buffer, reason, sizeof(reason)) == 0, reason);
    EXPECT_THAT(out == 11, "1 * 3 + 2 * 4");
    const int empty[] = {0, 1, 2};
    std::memcpy(buffer + sizeof(pointers), empty, sizeof(empty));
    EXPECT_THAT(kernel.run(&one, buffer, reason, sizeof(reason)) == kLaunchFailed, "m = 0");
    EXPECT_THAT(std::string(reason).find("at least 1") != std::string::npos, reason);
  }
}

}  // namespace

int main() {
  steps_commit_the_smallest_keys_and_move_on();
  rows_point_at_the_queries_of_their_positions();
  philox_gives_the_known_answers();
  table_names_every_kernel_once();
  table_entry_runs_from_a_packed_buffer();
  return finish();
}
