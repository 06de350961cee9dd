// Proof of the attention kernels: numbers, tails, splits, packing, memory.
#include <cstdio>
#include <string>

#include "attention_case.h"
#include "tensor_map.h"

namespace remask::proof {
namespace {

// attention.cu, in bf16 or f32.
template <class X>
void run_portable(Case& it, const AttentionCase& problem, const char* type, const Array<X>& q,
                  const Array<X>& k, const Array<X>& v) {
  const std::string kernel = "attention_hd" + std::to_string(problem.head_dim) + type;
  constexpr int kQueryTile = 64;
  const Array<X> out = it.output<X>(std::size_t(problem.query_tokens - 1) * problem.out_stride +
                                    problem.heads * problem.head_dim);
  it.launch(
      kernel.c_str(),
      {(problem.most_queries() + kQueryTile - 1) / kQueryTile, problem.heads, problem.sequences()},
      {128}, 0, out.data(), q.data(), k.data(), v.data(), problem.q_offsets.data(),
      problem.kv_offsets.data(), problem.heads, problem.kv_heads, problem.q_stride,
      problem.kv_stride, problem.out_stride, problem.scale);
  problem.check(kernel.c_str(), out);
}

Array<float> in_f32(Case& it, const Array<bf16>& x) {
  return it.copy(std::vector<float>(x.begin(), x.end()));
}

void run_portable(Case& it, const AttentionCase& problem) {
  const bool f32 = it.chance(0.3);
  const std::string name = "attention_hd" + std::to_string(problem.head_dim);
  if (!it.wants((name + (f32 ? "_f32" : "_bf16")).c_str())) return;
  if (f32) {
    run_portable(it, problem, "_f32", in_f32(it, problem.q), in_f32(it, problem.k),
                 in_f32(it, problem.v));
  } else {
    run_portable(it, problem, "_bf16", problem.q, problem.k, problem.v);
  }
}

// attention_sm80.cu, with tiles of 64 or 128 queries.
bool run_sm80(Case& it, const AttentionCase& problem, int tile,
              const AttentionCase::Result& result) {
  const int head_dim = problem.head_dim;
  const std::string kernel =
      "attention_hd" + std::to_string(head_dim) + "_q" + std::to_string(tile) + "_bf16_sm80";
  if (!it.wants(kernel.c_str())) return false;
  // AttentionSm80.sharedBytes
  const int slots = head_dim == 64 ? 4 : 3;
  const unsigned shared_bytes = (slots * 64 + (tile == 128 ? 128 : 0)) * head_dim * sizeof(bf16);
  const AttentionCase::Work work = problem.work(tile);
  it.launch(kernel.c_str(), {work.items, problem.heads}, {128}, shared_bytes, result.out.data(),
            problem.q.data(), problem.k.data(), problem.v.data(), result.lse_argument,
            problem.q_offsets.data(), problem.kv_offsets.data(), work.entries.data(),
            work.scratch.data(), work.partial_rows, problem.query_tokens, problem.heads,
            problem.kv_heads, problem.q_stride, problem.kv_stride, problem.out_stride,
            problem.scale);
  it.expect_no_bank_conflicts(kernel.c_str());
  problem.combine(work, result);
  problem.check(kernel.c_str(), result);
  return true;
}

// A plan of attention_sm90a.cu (AttentionSm90a.Plan).
struct Plan {
  const char* name;
  int head_dim, consumers, key_tile, stages;

  int query_tile() const { return 64 * consumers; }
  int threads() const { return 128 * (consumers + 1); }
  unsigned shared_bytes() const {
    const int rows = query_tile() + 2 * stages * key_tile;
    return unsigned(rows * head_dim * int(sizeof(bf16)) + (1 + 4 * stages) * 8);
  }
};

constexpr Plan kPlans[] = {
    {"attention_hd64_bf16_sm90a", 64, 3, 128, 4},
    {"attention_hd64_overlap_bf16_sm90a", 64, 2, 192, 3},
    {"attention_hd128_bf16_sm90a", 128, 3, 128, 2},
    {"attention_hd128_overlap_bf16_sm90a", 128, 2, 176, 2},
};

// Slabs of 64 columns; a box has `tile` tokens of a head. Without tokens nobody reads the map.
RemaskTensorMap slabs(const Array<bf16>& x, int tokens, int stride, int heads, int head_dim,
                      int tile) {
  RemaskTensorMap map{};
  if (tokens == 0) return map;
  constexpr int kColumns = 64;
  map.magic = kRemaskTensorMapMagic;
  map.rank = 3;
  map.element_bytes = sizeof(bf16);
  map.swizzle = 3;
  map.data_type = 9;  // CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
  map.address = reinterpret_cast<unsigned long long>(x.data());
  const int slabs = head_dim / kColumns;
  const int dim[] = {kColumns, tokens, heads * slabs}, box[] = {kColumns, tile, slabs};
  for (int d = 0; d < map.rank; d++) {
    map.dim[d] = unsigned(dim[d]);
    map.box[d] = unsigned(box[d]);
    map.element_stride[d] = 1;
  }
  map.stride16[0] = unsigned(stride) * sizeof(bf16) / 16;
  map.stride16[1] = kColumns * sizeof(bf16) / 16;
  return map;
}

void run_sm90a(Case& it, const AttentionCase& problem, const Plan& plan) {
  if (plan.head_dim != problem.head_dim || !it.wants(plan.name)) return;
  const AttentionCase::Result result = problem.result();
  const AttentionCase::Work work = problem.work(plan.query_tile());
  it.launch(plan.name, {work.items, problem.heads}, {plan.threads()}, plan.shared_bytes(),
            result.out.data(), result.lse_argument, problem.q_offsets.data(),
            problem.kv_offsets.data(), work.entries.data(), work.scratch.data(), work.partial_rows,
            problem.query_tokens, problem.heads, problem.kv_heads, problem.out_stride,
            problem.scale,
            slabs(problem.q, problem.query_tokens, problem.q_stride, problem.heads, plan.head_dim,
                  plan.query_tile()),
            slabs(problem.k, problem.key_tokens, problem.kv_stride, problem.kv_heads, plan.head_dim,
                  plan.key_tile),
            slabs(problem.v, problem.key_tokens, problem.kv_stride, problem.kv_heads, plan.head_dim,
                  plan.key_tile));
  it.expect_no_bank_conflicts(plan.name);
  problem.combine(work, result);
  problem.check(plan.name, result);
}

void prove(Case& it) {
  const AttentionCase problem(it);
  const AttentionCase::Result small = problem.result(), large = problem.result();
  if (it.chance(0.1)) it.count_banks();
  // The tile is chosen by the batch, so it must not show in a row's bits.
  if (run_sm80(it, problem, 64, small) && run_sm80(it, problem, 128, large)) {
    problem.check_same("attention_sm80, tiles of 64 and 128", small, large);
  }
  for (const Plan& plan : kPlans) run_sm90a(it, problem, plan);
  // Loops whose every access is checked: as slow as all others together.
  if (it.chance(0.4)) run_portable(it, problem);
}

}  // namespace
}  // namespace remask::proof

int main(int argc, char** argv) {
  remask::proof::Proof proof(argc, argv, 200);
  return proof.run(remask::proof::prove);
}
