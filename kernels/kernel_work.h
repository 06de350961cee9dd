// What the kernels compute at LLaDA-8B shapes: FLOPs and bytes, for kernel_table.cpp.
#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace remask::kernel_table {

// LLaDA-8B.
constexpr double kWidth = 4096;
constexpr double kHeads = 32;
constexpr double kHeadDim = 128;
constexpr int kLayers = 32;
constexpr double kFeedForward = 12288;
constexpr double kVocabulary = 126464;
constexpr double kInt = 4;
constexpr double kF32 = 4;

struct Cost {
  std::string shape;
  double flops;
  double bytes;
  int per_pass;  // launches of this shape in a forward pass or a denoising step
};
using Costs = std::vector<Cost>;

// What a launch computes: a formula for the table's head, the rows (tokens) it is shown at, and its
// cost for that many rows with elements of x bytes.
struct Work {
  const char* formula;
  bool tensor;  // on tensor cores where the elements are bf16
  std::vector<int> rows;
  std::function<Costs(double rows, double x)> costs;
};

inline std::string text(const char* format, double a, double b = 0, double c = 0) {
  char buffer[128];
  std::snprintf(buffer, sizeof(buffer), format, a, b, c);
  return buffer;
}

// What becomes of a product: the bytes of an element of out, and how many products make one.
struct Epilogue {
  double out_bytes;
  double products = 1;
};

inline Cost gemm(const char* what, double m, double n, double k, double x, Epilogue out) {
  return {what + text(" n=%.0f k=%.0f", n, k), 2 * m * n * k,
          x * (m * k + n * k) + out.out_bytes * m * n / out.products, kLayers};
}

inline Cost qkv(double m, double x) { return gemm("QKV", m, 3 * kWidth, kWidth, x, {x}); }
inline Cost gate_up(double m, double x, Epilogue out) {
  return gemm("gate, up", m, 2 * kFeedForward, kWidth, x, out);
}
inline Costs output_and_down(double m, double x, Epilogue out) {
  return {gemm("output", m, kWidth, kWidth, x, out), gemm("down", m, kWidth, kFeedForward, x, out)};
}

inline Costs layer_gemms(double m, double x) {
  Costs all = output_and_down(m, x, {x});
  all.insert(all.begin(), {qkv(m, x), gate_up(m, x, {x})});
  return all;
}
inline Costs residual_gemms(double m, double x) { return output_and_down(m, x, {2 * kF32}); }
inline Costs swiglu_gemms(double m, double x) { return {gate_up(m, x, {x, 2})}; }
inline Costs rope_gemms(double m, double x) { return {qkv(m, x)}; }
inline Costs lm_head(double m, double x) {
  Cost logits = gemm("logits", m, kVocabulary, kWidth, x, {kF32});
  logits.per_pass = 1;
  return {logits};
}

// Bytes of operands; x is the output's. dp4a makes four products and sums in the time of one of
// f32.
inline Cost gemm_int8(const char* what, double m, double n, double k, double x) {
  return {what + text(" n=%.0f k=%.0f", n, k), 2 * m * n * k / 4, m * k + n * k + x * m * n,
          kLayers};
}
inline Costs layer_gemms_int8(double m, double x) {
  return {gemm_int8("QKV", m, 3 * kWidth, kWidth, x), gemm_int8("output", m, kWidth, kWidth, x),
          gemm_int8("gate, up", m, 2 * kFeedForward, kWidth, x),
          gemm_int8("down", m, kWidth, kFeedForward, x)};
}
inline Costs lm_head_int8(double m, double x) {
  Cost logits = gemm_int8("logits", m, kVocabulary, kWidth, x);
  logits.per_pass = 1;
  return {logits};
}

inline Costs attention(double queries, double keys, double heads, double head_dim, double x) {
  const double width = heads * head_dim;
  return {{text("%.0f heads of %.0f, %.0f keys", heads, head_dim, keys), 4 * queries * keys * width,
           x * 2 * (queries + keys) * width, kLayers}};
}

inline Costs elements(const char* what, double count, double flops, double bytes, int per_pass) {
  return {{what, count * flops, count * bytes, per_pass}};
}

inline const std::vector<int> kCanvases = {128, 512, 1024, 4096};
inline const std::vector<int> kFewRows = {1, 8, 32, 64, 128, 256};
inline const std::vector<int> kBlockRows = {1, 8, 32, 64};
constexpr double kCachedKeys = 4096;

inline const std::map<std::string, Work> kWork = {
    {"attention",
     {"4·T²·H·hd FLOP; Q, K, V read, out written: x·4·T·H·hd bytes", true, kCanvases,
      [](double t, double x) { return attention(t, t, kHeads, kHeadDim, x); }}},
    {"attention64",
     {"as attention, with 64 heads of 64", true, kCanvases,
      [](double t, double x) { return attention(t, t, 2 * kHeads, kHeadDim / 2, x); }}},
    {"attention_split",
     {"4·T·keys·H·hd FLOP; x·2·(T + keys)·H·hd bytes: a block of queries, cached keys", true,
      kBlockRows,
      [](double t, double x) { return attention(t, kCachedKeys, kHeads, kHeadDim, x); }}},
    {"attention64_split",
     {"as attention_split, with 64 heads of 64", true, kBlockRows,
      [](double t, double x) { return attention(t, kCachedKeys, 2 * kHeads, kHeadDim / 2, x); }}},
    {"attention_combine",
     {"f32 partial results of 8 splits of the keys read, out written", false, kBlockRows,
      [](double t, double x) {
        return elements("32 heads of 128, 8 splits", t * kWidth, 16, 8 * kF32 + x, kLayers);
      }}},
    {"attention64_combine",
     {"as attention_combine", false, kBlockRows,
      [](double t, double x) {
        return elements("64 heads of 64, 8 splits", t * kWidth, 16, 8 * kF32 + x, kLayers);
      }}},
    {"gemm", {"2·m·n·k FLOP, x·(m·k + n·k + m·n) bytes", true, kCanvases, layer_gemms}},
    {"gemm_residual",
     {"as gemm, the f32 residual read and written: 8·m·n bytes instead of x·m·n", true, kCanvases,
      residual_gemms}},
    {"gemm_swiglu",
     {"as gemm, one element written for two products: x·m·n/2 bytes", true, kCanvases,
      swiglu_gemms}},
    {"gemm_rope", {"as gemm; Q, K and V written where they stay", true, kCanvases, rope_gemms}},
    {"lm_head",
     {"2·m·n·k FLOP, x·(m·k + n·k) + 4·m·n bytes: f32 logits", true, kCanvases, lm_head}},
    {"gemm_rows", {"as gemm, few rows: the weights are the bytes", true, kFewRows, layer_gemms}},
    {"gemm_rows_residual", {"as gemm_residual, few rows", true, kFewRows, residual_gemms}},
    {"gemm_rows_swiglu", {"as gemm_swiglu, few rows", true, kFewRows, swiglu_gemms}},
    {"gemm_rows_rope", {"as gemm_rope, few rows", true, kFewRows, rope_gemms}},
    {"lm_head_rows", {"as lm_head, few rows", true, kFewRows, lm_head}},
    {"gemm_int8",
     {"2·m·n·k operations, counted as a quarter of them in f32; m·k + n·k + x·m·n bytes", false,
      kCanvases, layer_gemms_int8}},
    {"lm_head_int8", {"as gemm_int8: f32 logits", false, kCanvases, lm_head_int8}},
    {"quantize",
     {"read, and a byte written: x + 1 bytes an element", false, kCanvases,
      [](double t, double x) {
        return elements("width 4096", t * kWidth, 2, x + 1, 4 * kLayers + 1);
      }}},
    {"rmsnorm",
     {"residual (f32) read and written, delta read, out written: 8 + 2·x bytes an element", false,
      kCanvases,
      [](double t, double x) {
        return elements("width 4096", t * kWidth, 5, 2 * kF32 + 2 * x, 2 * kLayers + 1);
      }}},
    {"rope",
     {"Q and K heads read and written, 8 bytes of cos and sin a pair of a token", false, kCanvases,
      [](double t, double x) {
        const double turned = t * 2 * kHeads * kHeadDim;
        return Costs{
            {"64 heads of 128", 3 * turned, 2 * x * turned + t * kHeadDim * kF32, kLayers}};
      }}},
    {"swiglu",
     {"gate and up read, out written: 3·x bytes an element", false, kCanvases,
      [](double t, double x) {
        return elements("ffn 12288", t * kFeedForward, 5, 3 * x, kLayers);
      }}},
    {"embed",
     {"a row of the table read, one of f32 written: x + 4 bytes an element", false, kCanvases,
      [](double t, double x) { return elements("width 4096", t * kWidth, 0, x + kF32, 1); }}},
    {"gather",
     {"rows read and written: 2·x bytes an element", false, kCanvases,
      [](double t, double x) { return elements("width 4096", t * kWidth, 0, 2 * x, 1); }}},
    {"store_kv",
     {"K and V of a query read and written: 4·x bytes an element", false, kCanvases,
      [](double t, double x) {
        return elements("32 heads of 128", t * kWidth, 0, 4 * x, kLayers);
      }}},
    {"select",
     {"f32 logits read once: 4·R·V bytes",
      false,
      {1, 32, 64, 128, 1024, 4096},
      [](double r, double x) { return elements("vocabulary 126464", r * kVocabulary, 4, x, 1); }}},
    {"select_merge",
     {"16 slices' partial results of 32 bytes a row; bound by the launch", false, kCanvases,
      [](double r, double) { return elements("16 slices", r * 16, 4, 32, 1); }}},
    {"odds",
     {"f32 logits read once: 4·R·V bytes",
      false,
      {1, 32, 64, 128, 1024, 4096},
      [](double r, double x) { return elements("vocabulary 126464", r * kVocabulary, 4, x, 1); }}},
    {"restrict",
     {"f32 logits read once: 4·R·V bytes; 4 to 7 passes, the later ones from L2",
      false,
      {1, 32, 64, 128},
      [](double r, double x) { return elements("vocabulary 126464", r * kVocabulary, 4, x, 1); }}},
    {"constrain",
     {"where few ids are allowed all other logits are written: 4·R·V bytes",
      false,
      {1, 32, 64, 128},
      [](double r, double x) { return elements("vocabulary 126464", r * kVocabulary, 0, x, 1); }}},
    {"commit",
     {"keys and candidates read, canvas and trace written: 20 bytes a row; bound by the launch",
      false, kCanvases,
      [](double r, double) { return elements("one sequence", r, 0, 5 * kInt, 1); }}},
    {"lay",
     {"mask positions and canvas read, rows of 32 bytes and row indices written: 44 bytes a row; "
      "bound by the launch",
      false, kCanvases,
      [](double r, double) { return elements("one sequence", r, 0, 11 * kInt, 1); }}},
    {"loop_while",
     {"a member and its progress of 32 bytes each; bound by the launch",
      false,
      {1, 64},
      [](double r, double) { return elements("members", r, 0, 64, 1); }}},
};

}  // namespace remask::kernel_table
