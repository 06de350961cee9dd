// commit_topk, advance, Philox, and the table that the device sees.
#include <set>

#include "host_testing.h"
#include "kernel_signature.h"
#include "loop_kernels.h"
#include "philox.h"

using namespace remask;
using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr int kMask = 99;

// One sequence of 10 positions with a copy behind it, its block at 4..8, five rows.
struct Loop {
  SequenceState sequence = {};
  std::vector<PlanEntry> plan = {{4, 2, 7, 0}, {8, 1, 9, 0}};
  std::vector<int> canvas = std::vector<int>(20, kMask);
  std::vector<int> trace_step = std::vector<int>(20, -5);
  std::vector<float> trace_confidence = std::vector<float>(20, -5.0f);
  std::vector<float> keys;
  std::vector<int> candidates = {10, 11, 12, 13, 14};

  explicit Loop(std::vector<float> row_keys) : keys(std::move(row_keys)) {
    sequence.unconditional_begin = 10;
    sequence.unconditional_row_begin = 5;
    sequence.row_count = 5;
    sequence.plan_end = 2;
  }

  // Positions that were committed, in order.
  std::vector<int> commit() {
    commit_topk(launch(2), canvas.data(), trace_step.data(), trace_confidence.data(), keys.data(),
                candidates.data(), &sequence, plan.data());
    std::vector<int> committed;
    for (int p = 0; p < 10; ++p) {
      if (canvas[p] == kMask) {
        EXPECT_THAT(canvas[p + 10] == kMask && trace_step[p] == -5, "untouched position");
        continue;
      }
      committed.push_back(p);
      EXPECT_THAT(canvas[p] == candidates[p - 4] && canvas[p + 10] == canvas[p], "token");
      EXPECT_THAT(trace_step[p] == plan[sequence.cursor].step, "trace step");
      EXPECT_THAT(trace_confidence[p] == 1 / (1 + keys[p - 4]), "confidence");
      EXPECT_THAT(trace_step[p + 10] == -5, "the copy has no trace");
    }
    return committed;
  }
};

using Positions = std::vector<int>;

void commit_takes_the_smallest_keys() {
  EXPECT_THAT((Loop({5, 0.5f, 3, 1e-30f, 7}).commit() == Positions{5, 7}), "smallest keys");
}

void commit_ties_take_the_lower_position() {
  EXPECT_THAT((Loop({2, 1, 1, 1, 1}).commit() == Positions{5, 6}), "ties");
  EXPECT_THAT((Loop({0.0f, -0.0f, 0.0f, 0.0f, 0.0f}).commit() == Positions{4, 5}), "zeros tie");
}

void commit_skips_rows_that_cannot_be_chosen() {
  EXPECT_THAT((Loop({-1, NAN, 3, -1, -1}).commit() == Positions{6}), "quota above the count");
  EXPECT_THAT((Loop({-1, -1, -1, -1, -1}).commit() == Positions{}), "none at all");
  EXPECT_THAT((Loop({HUGE_VALF, -1, 2, HUGE_VALF, -1}).commit() == Positions{4, 6}),
              "deferred rows go last, but go");
}

void commit_leaves_a_finished_sequence_alone() {
  Loop loop({1, 1, 1, 1, 1});
  loop.sequence.cursor = 2;
  EXPECT_THAT((loop.commit() == Positions{}), "done");
}

void advance_moves_to_the_next_plan_entry() {
  Loop loop({});
  std::vector<int> row_index(10, -7);
  advance(launch(1), &loop.sequence, row_index.data(), loop.plan.data());
  EXPECT_THAT(loop.sequence.cursor == 1, "cursor");
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(row_index[i] == 8 + i && row_index[5 + i] == 18 + i, "row index");
  }
  std::fill(row_index.begin(), row_index.end(), -7);
  advance(launch(1), &loop.sequence, row_index.data(), loop.plan.data());
  advance(launch(1), &loop.sequence, row_index.data(), loop.plan.data());
  EXPECT_THAT(loop.sequence.cursor == 2, "the cursor stays at the end");
  for (const int index : row_index) EXPECT_THAT(index == -7, "rows of a finished sequence");
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
                           "swiglu_", "gather_rows_"}) {
    EXPECT_THAT(names.count(std::string(stem) + "bf16") && names.count(std::string(stem) + "f32"),
                stem);
  }
  for (const char* name : {"gemm_bf16_bf16", "gemm_bf16_f32", "gemm_f32_f32", "select_slices",
                           "select_merge", "commit_topk", "advance"}) {
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
  commit_takes_the_smallest_keys();
  commit_ties_take_the_lower_position();
  commit_skips_rows_that_cannot_be_chosen();
  commit_leaves_a_finished_sequence_alone();
  advance_moves_to_the_next_plan_entry();
  philox_gives_the_known_answers();
  table_names_every_kernel_once();
  table_entry_runs_from_a_packed_buffer();
  return finish();
}
