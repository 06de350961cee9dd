// Kernels that work on one row at a time: embed, rmsnorm, rope, swiglu. See simd_vector.h for how
// this file is compiled; kernels/*.cu define what each does.
#ifndef REMASK_HOST_SIMD_ROWS_H_
#define REMASK_HOST_SIMD_ROWS_H_

#include "simd_vector.h"

namespace remask::host::REMASK_SIMD {

template <typename X>
void embed(const RemaskLaunch& launch, float* residual, const X* table, const int* tokens,
           const int* token_index, int rows, int width) {
  parallel_for(launch.threads, rows, std::int64_t{rows} * width, [=](std::int64_t row) {
    float* to = residual + row * width;
    const int index = token_index[row];
    if (index < 0) {
      std::memset(to, 0, sizeof(float) * width);
      return;
    }
    const X* from = table + std::int64_t{tokens[index]} * width;
    for (int i = 0; i < width; i += kLanes) {
      store_some(to + i, load_some(from + i, width - i, 0), width - i);
    }
  });
}

// x += delta, where there is one; the sum of x's squares.
template <bool kAdds, typename X>
inline float add_and_square(float* x, const X* delta, int width) {
  Floats even = splat(0), odd = splat(0);  // two chains hide the latency of the additions
  const auto value_at = [=](int i, int count) {
    Floats value = load_some(x + i, count, 0);
    if constexpr (kAdds) {
      value += load_some(delta + i, count, 0);
      store_some(x + i, value, count);
    }
    return value;
  };
  int i = 0;
  for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
    const Floats first = value_at(i, kLanes), second = value_at(i + kLanes, kLanes);
    even += first * first;
    odd += second * second;
  }
  if (i < width) {
    const Floats first = value_at(i, width - i);
    even += first * first;
  }
  if (i + kLanes < width) {
    const Floats second = value_at(i + kLanes, width - i - kLanes);
    odd += second * second;
  }
  return sum_lanes(even + odd);
}

template <typename X>
void rmsnorm(const RemaskLaunch& launch, X* out, float* residual, const X* delta, const X* weight,
             int rows, int width, float epsilon) {
  parallel_for(launch.threads, rows, std::int64_t{rows} * width * 5, [=](std::int64_t row) {
    float* x = residual + row * width;
    const float squares = delta == nullptr ? add_and_square<false>(x, delta, width)
                                           : add_and_square<true>(x, delta + row * width, width);
    const float mean = squares / static_cast<float>(width);
    const float factor = 1.0f / __builtin_sqrtf(mean + epsilon);
    X* to = out + row * width;
    for (int i = 0; i < width; i += kLanes) {
      const Floats scaled = load_some(x + i, width - i, 0) * factor;
      store_some(to + i, scaled * load_some(weight + i, width - i, 0), width - i);
    }
  });
}

// Splits kLanes (cosine, sine) pairs.
inline void load_cos_sin(const float* pairs, Floats* cosine, Floats* sine) {
  const Floats low = load(pairs), high = load(pairs + kLanes);
  static constexpr LaneNumbers kEven = lane_numbers([](int lane) { return 2 * lane; });
  static constexpr LaneNumbers kOdd = lane_numbers([](int lane) { return 2 * lane + 1; });
  *cosine = __builtin_shuffle(low, high, kEven.load());
  *sine = __builtin_shuffle(low, high, kOdd.load());
}

// The first `count` pairs; touches no memory past them.
inline void load_cos_sin(const float* pairs, int count, Floats* cosine, Floats* sine) {
  if (count >= kLanes) {
    load_cos_sin(pairs, cosine, sine);
    return;
  }
  float padded[2 * kLanes] = {};
  std::memcpy(padded, pairs, sizeof(float) * 2 * count);
  load_cos_sin(padded, cosine, sine);
}

template <typename X>
void rope(const RemaskLaunch& launch, X* heads, const float* cos_sin, const int* positions,
          int rows, int row_stride, int rotated_heads, int head_dim) {
  const int half = head_dim / 2;
  const std::int64_t work = std::int64_t{rows} * rotated_heads * head_dim * 3;
  parallel_for(launch.threads, rows, work, [=](std::int64_t row) {
    const float* pairs = cos_sin + std::int64_t{positions[row]} * head_dim;
    for (int i = 0; i < half; i += kLanes) {
      const int count = half - i;
      Floats cosine, sine;
      load_cos_sin(pairs + 2 * i, count, &cosine, &sine);
      for (int head = 0; head < rotated_heads; ++head) {
        X* first = heads + row * row_stride + std::int64_t{head} * head_dim + i;
        X* second = first + half;
        const Floats a = load_some(first, count, 0), b = load_some(second, count, 0);
        store_some(first, a * cosine - b * sine, count);
        store_some(second, b * cosine + a * sine, count);
      }
    }
  });
}

template <typename X>
void swiglu(const RemaskLaunch& launch, X* out, const X* gate_up, int rows, int width) {
  parallel_for(launch.threads, rows, std::int64_t{rows} * width * 4, [=](std::int64_t row) {
    const X* gate = gate_up + row * 2 * width;
    const X* up = gate + width;
    X* to = out + row * width;
    for (int i = 0; i < width; i += kLanes) {
      const Floats g = load_some(gate + i, width - i, 0);
      store_some(to + i, silu(g) * load_some(up + i, width - i, 0), width - i);
    }
  });
}

inline void exponentials(float* out, const float* in, int count) {
  for (int i = 0; i < count; i += kLanes) {
    store_some(out + i, exponential(load_some(in + i, count - i, 0)), count - i);
  }
}

inline void round_to_bf16(bf16* out, const float* in, int count) {
  for (int i = 0; i < count; i += kLanes) {
    store_some(out + i, load_some(in + i, count - i, 0), count - i);
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_ROWS_H_
