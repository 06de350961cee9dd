// exp, embed, rmsnorm, rope, swiglu, gather_rows and store_kv against plain double arithmetic.
#include "host_testing.h"
#include "row_copies.h"

using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr int kWidths[] = {1, 7, 33, 65, 256};
constexpr int kRows[] = {1, 7, 33};

// The member of a kernel set for an element type.
template <typename X>
constexpr bool kNarrow = sizeof(X) == 2;
template <typename X, typename Narrow, typename Wide>
auto pick(Narrow narrow, Wide wide) {
  if constexpr (kNarrow<X>) {
    return narrow;
  } else {
    return wide;
  }
}

std::string label(const KernelSet& set, const char* kernel, int rows, int width) {
  return std::string(set.name) + " " + kernel + " " + std::to_string(rows) + "x" +
         std::to_string(width);
}

void exponential_is_within_two_ulp(const KernelSet& set) {
  std::vector<float> in;
  std::uniform_real_distribution<float> wide(-110, 90), close(-1, 1);
  for (int i = 0; i < 200000; ++i) {
    in.push_back(i % 2 ? wide(random_engine()) : close(random_engine()));
  }
  const float infinity = HUGE_VALF;
  for (const float x : {0.0f, -0.0f, infinity, -infinity, NAN, -87.33f, -87.34f, -103.27f, -103.9f,
                        -104.0f, -1e30f, 88.72f, 88.73f, 1e30f}) {
    in.push_back(x);
  }
  Poisoned<float> out(in.size());
  set.exponentials(out.data(), in.data(), static_cast<int>(in.size()));
  Comparison compare(std::string(set.name) + " exp");
  for (std::size_t i = 0; i < in.size(); ++i) {
    const double expected = std::exp(static_cast<double>(in[i]));
    if (std::isnan(in[i])) {
      EXPECT_THAT(std::isnan(out[i]), "exp(NaN)");
    } else if (expected > 3.4028235e38) {
      EXPECT_THAT(out[i] > 3.402e38f, "exp overflows to infinity at " + std::to_string(in[i]));
    } else {
      compare.add(i, out[i], expected, expected * kExpError + kTiny<float>);
    }
  }
  EXPECT_THAT(out[in.size() - 11] == 0.0f && !std::signbit(out[in.size() - 11]), "exp(-inf)");
  EXPECT_THAT(out[in.size() - 14] == 1.0f, "exp(0)");
}

template <typename X>
void embed_copies_rows(const KernelSet& set) {
  for (const int width : kWidths) {
    for (const int rows : kRows) {
      const int entries = 13;
      const auto table = random_values<X>(entries * width);
      std::vector<int> tokens(rows);
      for (int& token : tokens) token = random_engine()() % entries;
      std::vector<int> token_index(rows);
      for (int& index : token_index) index = static_cast<int>(random_engine()() % (rows + 1)) - 1;
      Poisoned<float> residual(rows * width);
      pick<X>(set.embed_bf16, set.embed_f32)(launch(2), residual.data(), table.data(),
                                             tokens.data(), token_index.data(), rows, width);
      for (int i = 0; i < rows * width; ++i) {
        const int index = token_index[i / width];
        const float expected =
            index < 0 ? 0 : to_float(table[tokens[index] * width + i % width]);  // -1: padding
        EXPECT_THAT(residual[i] == expected, label(set, "embed", rows, width));
      }
    }
  }
}

template <typename X>
void rmsnorm_matches_reference(const KernelSet& set) {
  const float epsilon = 1e-5f;
  for (const int width : kWidths) {
    for (const int rows : kRows) {
      for (const bool with_delta : {false, true}) {
        auto residual = random_values<float>(rows * width, 3.0f);
        const auto before = residual;
        const auto delta = random_values<X>(rows * width);
        const auto weight = random_values<X>(width);
        Poisoned<X> out(rows * width);
        pick<X>(set.rmsnorm_bf16, set.rmsnorm_f32)(launch(2), out.data(), residual.data(),
                                                   with_delta ? delta.data() : nullptr,
                                                   weight.data(), rows, width, epsilon);
        Comparison compare(label(set, "rmsnorm", rows, width));
        for (int row = 0; row < rows; ++row) {
          double squares = 0;
          for (int i = 0; i < width; ++i) {
            const int at = row * width + i;
            const float sum = with_delta ? before[at] + to_float(delta[at]) : before[at];
            EXPECT_THAT(residual[at] == sum, label(set, "rmsnorm's residual", rows, width));
            squares += static_cast<double>(sum) * sum;
          }
          const double factor = 1 / std::sqrt(squares / width + epsilon);
          for (int i = 0; i < width; ++i) {
            const int at = row * width + i;
            const double expected = residual[at] * factor * to_float(weight[i]);
            // the sum of squares (halved by the root), root, quotient, two products, the store
            compare.add(
                at, to_float(out[at]), expected,
                std::fabs(expected) * (kRoundoff<X> + (width / 2.0 + 6) * kF32Roundoff) + kTiny<X>);
          }
        }
      }
    }
  }
}

template <typename X>
void rope_rotates_the_first_heads_only(const KernelSet& set) {
  for (const int head_dim : {2, 14, 64, 128}) {
    for (const int rows : kRows) {
      const int heads = 3, rotated = 2, stride = heads * head_dim + 5, positions_known = 40;
      std::vector<float> cos_sin(positions_known * head_dim);
      for (int i = 0; i < positions_known * head_dim / 2; ++i) {
        cos_sin[2 * i] = static_cast<float>(std::cos(0.37 * i));
        cos_sin[2 * i + 1] = static_cast<float>(std::sin(0.37 * i));
      }
      std::vector<int> positions(rows);
      for (int& position : positions) position = random_engine()() % positions_known;
      auto values = random_values<X>(rows * stride);
      const auto before = values;
      pick<X>(set.rope_bf16, set.rope_f32)(launch(2), values.data(), cos_sin.data(),
                                           positions.data(), rows, stride, rotated, head_dim);
      Comparison compare(label(set, "rope", rows, head_dim));
      const int half = head_dim / 2;
      for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < stride; ++i) {
          const int at = row * stride + i, in_head = i % head_dim;
          const double x = to_float(before[at]);
          if (i >= rotated * head_dim) {
            EXPECT_THAT(std::memcmp(&values[at], &before[at], sizeof(X)) == 0,
                        label(set, "rope beyond the rotated heads", rows, head_dim));
            continue;
          }
          const float* turn = &cos_sin[positions[row] * head_dim + 2 * (in_head % half)];
          const bool second = in_head >= half;
          const double other = to_float(before[second ? at - half : at + half]);
          const double expected = x * turn[0] + (second ? 1 : -1) * other * turn[1];
          const double norm = std::fabs(x * turn[0]) + std::fabs(other * turn[1]);
          compare.add(at, to_float(values[at]), expected,
                      std::fabs(expected) * kRoundoff<X> + norm * 3 * kF32Roundoff + kTiny<X>);
        }
      }
    }
  }
}

template <typename X>
void swiglu_matches_reference(const KernelSet& set) {
  for (const int width : kWidths) {
    for (const int rows : kRows) {
      auto gate_up = random_values<X>(rows * 2 * width, 10.0f);
      from_float(-300.0f, &gate_up[0]);
      Poisoned<X> out(rows * width);
      pick<X>(set.swiglu_bf16, set.swiglu_f32)(launch(2), out.data(), gate_up.data(), rows, width);
      Comparison compare(label(set, "swiglu", rows, width));
      for (int i = 0; i < rows * width; ++i) {
        const int at = i / width * 2 * width + i % width;
        const double gate = to_float(gate_up[at]), up = to_float(gate_up[at + width]);
        const double expected = gate / (1 + std::exp(-gate)) * up;
        compare.add(i, to_float(out[i]), expected,
                    std::fabs(expected) * (kRoundoff<X> + kExpError + 4 * kF32Roundoff) +
                        // below exp(-88) the kernel's exp(-gate) is infinite
                        std::fabs(up) * 1e-36 + kTiny<X>);
      }
    }
  }
}

template <typename X>
void gather_rows_copies_bits() {
  const int rows = 7, width = 33, from = 20;
  const auto in = random_values<X>(from * width);
  std::vector<int> index(rows);
  for (int& i : index) i = random_engine()() % from;
  Poisoned<X> out(rows * width);
  gather_rows(launch(2), out.data(), in.data(), index.data(), rows, width);
  for (int row = 0; row < rows; ++row) {
    EXPECT_THAT(std::memcmp(&out[row * width], &in[index[row] * width], sizeof(X) * width) == 0,
                "gather_rows");
  }
}

template <typename X>
void store_kv_copies_bits() {
  const int rows = 7, width = 33, stride = 70, cache = 20;
  const auto k = random_values<X>(rows * stride), v = random_values<X>(rows * stride);
  const int cache_rows[rows] = {3, 19, -1, 0, 7, -1, 12};
  Poisoned<X> keys(cache * width), values(cache * width);
  const auto untouched = keys.copy();
  store_kv(launch(2), keys.data(), values.data(), k.data(), v.data(), cache_rows, rows, width,
           stride);
  for (int at = 0; at < cache; ++at) {
    const void *key = untouched.data(), *value = untouched.data();
    for (int row = 0; row < rows; ++row) {
      if (cache_rows[row] != at) continue;
      key = &k[row * stride];
      value = &v[row * stride];
    }
    EXPECT_THAT(std::memcmp(&keys[at * width], key, sizeof(X) * width) == 0, "store_kv: keys");
    EXPECT_THAT(std::memcmp(&values[at * width], value, sizeof(X) * width) == 0,
                "store_kv: values");
  }
}

// bf16 stores round to nearest even, at every exponent; NaN stays NaN.
void bf16_store_rounds_to_nearest_even(const KernelSet& set) {
  const int count = 4099;
  std::vector<float> values(count);
  for (float& value : values) {
    std::uint32_t bits = static_cast<std::uint32_t>(random_engine()());
    if (random_engine()() % 2) bits = (bits & 0xffff0000u) | 0x8000u;  // ties
    std::memcpy(&value, &bits, sizeof(bits));
  }
  Poisoned<bf16> rounded(count);
  set.round_to_bf16(rounded.data(), values.data(), count);
  for (int i = 0; i < count; ++i) {
    bf16 expected;
    from_float(values[i], &expected);
    EXPECT_THAT(rounded[i].bits == expected.bits, "bf16 of " + std::to_string(values[i]));
  }
}

}  // namespace

int main() {
  for (const KernelSet* set : kernel_sets()) {
    exponential_is_within_two_ulp(*set);
    embed_copies_rows<bf16>(*set);
    embed_copies_rows<float>(*set);
    rmsnorm_matches_reference<bf16>(*set);
    rmsnorm_matches_reference<float>(*set);
    rope_rotates_the_first_heads_only<bf16>(*set);
    rope_rotates_the_first_heads_only<float>(*set);
    swiglu_matches_reference<bf16>(*set);
    swiglu_matches_reference<float>(*set);
    bf16_store_rounds_to_nearest_even(*set);
  }
  gather_rows_copies_bits<bf16>();
  gather_rows_copies_bits<float>();
  store_kv_copies_bits<bf16>();
  store_kv_copies_bits<float>();
  return finish();
}
